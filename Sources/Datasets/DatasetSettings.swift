/// What to do with a sample longer than a sequence may be.
package enum ExcessLength: String, Sendable, CaseIterable { case drop, truncate, error }

/// How many samples are kept apart for validation.
package enum ValidationSize: Sendable, Equatable {
    case none
    /// In 0 ..< 1, rounded to whole samples; at least one sample when above 0.
    case fraction(Double)
    /// Samples.
    case count(Int)

    /// How many of `samples`, none of the sets being empty.
    ///
    /// - Throws: `.settings` when nothing would be left to train on.
    func count(of samples: Int) throws(DatasetError) -> Int {
        let wanted: Int
        switch self {
        case .none: return 0
        case .fraction(let part):
            guard part >= 0, part < 1 else { throw .settings("val_size: \(part) is no fraction in 0 ..< 1") }
            if part == 0 { return 0 }
            wanted = max(1, Int((part * Double(samples)).rounded()))
        case .count(let count): wanted = count
        }
        guard wanted >= 0, wanted < samples else {
            throw .settings("val_size asks for \(wanted) of \(samples) samples, which leaves nothing to train on")
        }
        return wanted
    }
}

/// How samples become sequences.
package struct DatasetSettings: Sendable, Equatable {
    /// Tokens that a sequence holds at most.
    package var cutoffLength: Int
    /// What becomes of samples that are longer.
    package var excess: ExcessLength
    /// Whether several documents share a sequence.
    package var packing: Bool
    /// What is kept apart and never trained on.
    package var validation: ValidationSize
    /// Decides which samples are kept for validation, which ones a fractional weight repeats, and what an excerpt holds.
    package var seed: UInt64
    /// What part of the data is enough; nil = all of it is read.
    package var excerpt: ExcerptSettings?

    /// Settings with the defaults of a job file.
    package init(
        cutoffLength: Int = 1024, excess: ExcessLength = .drop, packing: Bool = true,
        validation: ValidationSize = .none, seed: UInt64 = 42
    ) {
        self.cutoffLength = cutoffLength
        self.excess = excess
        self.packing = packing
        self.validation = validation
        self.seed = seed
    }
}

/// One file of a dataset.
package struct DatasetFile: Sendable, Equatable {
    /// Where the file is.
    package var path: String
    /// nil = recognised by the first row.
    package var format: RowFormat?
    /// How often each sample is trained on in an epoch; 0.5 = a fixed half of them.
    package var weight: Double
    /// What its columns are called.
    package var columns = ColumnMap.usual
    /// How many of its samples are used: a fixed choice of them, or several passes; nil = all, once.
    package var sampleLimit: Int?
    /// What said how to read the file, for people; nil = the job file or the first row.
    package var source: String?

    /// A file that is trained on once an epoch unless `weight` says otherwise.
    package init(path: String, format: RowFormat? = nil, weight: Double = 1) {
        self.path = path
        self.format = format
        self.weight = weight
    }
}
