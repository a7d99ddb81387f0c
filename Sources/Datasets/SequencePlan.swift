import Terms

/// Which samples are trained on, which are kept for validation, and how they are laid into sequences.
/// A pure function of the lengths and the settings.
struct SequencePlan {
    /// Tokens of each sample, each at most `settings.cutoffLength`.
    let lengths: [UInt32]
    /// Sample count after each part of the data: a file, or a chunk of one.
    let partsEnd: [Int]
    /// Each file's weight.
    let weights: [Double]
    let settings: DatasetSettings

    /// How many samples of each file are used; nil = all.
    var limits: [Int?] = []
    /// The file of each part; nil = the parts are the files.
    var files: [Int]?

    /// The sequences of the two sections.
    func tables() throws(DatasetError) -> (train: SequenceTable, validation: SequenceTable) {
        let chosen = chosen()
        let count = chosen.reduce(0) { $0 + $1.samples.count }
        let held = try settings.validation.count(of: count)
        var split = Selection(count: held, of: count, random: Philox(seed: settings.seed, purpose: .split))
        var train: [UInt32] = []
        var validation: [UInt32] = []
        train.reserveCapacity(count - held)
        for (number, part) in chosen.enumerated() {
            let start = train.count
            for sample in part.samples { if split.next() { validation.append(sample) } else { train.append(sample) } }
            repeatTail(of: &train, from: start, weight: part.weight, file: number)
        }
        guard !train.isEmpty else { throw .settings("dataset: the weights leave nothing to train on") }
        return (sequences(of: train), sequences(of: validation))
    }

    /// The samples of each file that are used, ascending, and how often.
    private func chosen() -> [(samples: [UInt32], weight: Double)] {
        samplesOfFiles().enumerated().map { number, all in
            guard let limit = limits.indices.contains(number) ? limits[number] : nil, limit != all.count, !all.isEmpty
            else { return (all, weights[number]) }
            // More than there are: several passes.
            if limit > all.count {
                return (all, weights[number] * Double(limit) / Double(all.count))
            }
            // Streams of the upper half are this choice's own; the lower half is the weights'.
            let random = Philox(seed: settings.seed, purpose: .mixing, stream: 1 << 63 | UInt64(number))
            var selection = Selection(count: limit, of: all.count, random: random)
            return (all.filter { _ in selection.next() }, weights[number])
        }
    }

    /// The samples of each file, ascending.
    private func samplesOfFiles() -> [[UInt32]] {
        var samples = [[UInt32]](repeating: [], count: weights.count)
        var first = 0
        for (part, end) in partsEnd.enumerated() {
            samples[files?[part] ?? part] += (first..<end).map { UInt32($0) }
            first = end
        }
        return samples
    }

    /// Gives the samples from `start` on their weight: whole passes one after another, then the fraction.
    private func repeatTail(of train: inout [UInt32], from start: Int, weight: Double, file: Int) {
        if weight == 1 { return }
        let once = Array(train[start...])
        train.removeSubrange(start...)
        for _ in 0..<Int(weight) { train += once }
        let rest = Int(((weight - weight.rounded(.down)) * Double(once.count)).rounded())
        let random = Philox(seed: settings.seed, purpose: .mixing, stream: UInt64(file))
        var chosen = Selection(count: rest, of: once.count, random: random)
        for sample in once where chosen.next() { train.append(sample) }
    }

    private func sequences(of documents: [UInt32]) -> SequenceTable {
        guard settings.packing else { return SequenceTable(oneEach: documents) }
        let packed = Packing.bestFit(lengths: documents.map { lengths[Int($0)] }, capacity: settings.cutoffLength)
        return packed.renamed(documents)
    }
}
