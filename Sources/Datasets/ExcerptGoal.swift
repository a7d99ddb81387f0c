import Terms

/// Estimates whether the chunks that were taken are enough. What it says is never trusted alone: the plan of sequences
/// is counted before an excerpt ends.
struct ExcerptGoal {
    private let excerpt: ExcerptSettings
    private let settings: DatasetSettings
    /// How often the samples of each file count.
    private let weights: [Double]
    private var samples: [Int]
    private var tokens: [Int]
    /// Bytes of the chunks so far.
    private(set) var bytes = 0

    init(_ excerpt: ExcerptSettings, settings: DatasetSettings, weights: [Double]) {
        self.excerpt = excerpt
        self.settings = settings
        // In file order a job comes to the end of the first pass before it comes to the second.
        self.weights = excerpt.isShuffled ? weights : weights.map { min(1, $0) }
        samples = weights.map { _ in 0 }
        tokens = samples
    }

    /// Counts a chunk with what was kept of it.
    mutating func take(_ chunk: DataChunk, samples: Int, tokens: Int) {
        bytes += chunk.bytes.count
        self.samples[chunk.file] += samples
        self.tokens[chunk.file] += tokens
    }

    /// What there is to train on as a share of what is wanted.
    private var share: Double {
        let all = Double(samples.reduce(0, +))
        guard all > 0 else { return 0 }
        let held: Double =
            switch settings.validation {
            case .none: 0
            case .fraction(let part): part
            case .count(let count): Double(count) / all
            }
        func weighted(_ counts: [Int]) -> Double {
            zip(counts, weights).reduce(0) { $0 + Double($1.0) * $1.1 } * max(0, 1 - held)
        }
        switch excerpt.extent {
        case .tokens(let wanted): return weighted(tokens) / Double(wanted)
        case .sequences(let wanted) where settings.packing:
            // Whatever is packed how, a sequence holds no more than cutoff_len tokens.
            return weighted(tokens) / (Double(wanted) * Double(settings.cutoffLength))
        case .sequences(let wanted): return weighted(samples) / Double(wanted)
        }
    }

    private var leastBytes: Int { excerpt.isShuffled ? excerpt.leastBytes : 0 }

    /// Whether an excerpt of so many chunks may be enough, and it is time to count: from 128 chunks on that is not after
    /// every chunk, since counting takes as long as there are samples.
    func isLikelyReached(chunks: Int) -> Bool {
        guard chunks > 0, bytes >= leastBytes else { return false }
        let scale = Int.bitWidth - 1 - chunks.leadingZeroBitCount
        return chunks % (1 << max(0, scale - 6)) == 0 && share >= 1
    }

    /// Whether a plan of sequences over samples of such lengths has all that is wanted.
    func isReached(by train: SequenceTable, lengths: [UInt32]) -> Bool {
        switch excerpt.extent {
        case .sequences(let wanted): train.count >= wanted
        case .tokens(let wanted): train.documents.reduce(0) { $0 + Int(lengths[Int($1)]) } >= wanted
        }
    }

    /// Bytes that will have been taken in the end, of so many there are, as it looks now.
    func bytesWanted(of total: Int) -> Int {
        let share = share
        let wanted = share > 0 ? min(Double(total), Double(bytes) / share) : Double(total)
        return min(total, max(leastBytes, bytes, Int(wanted)))
    }
}
