import ArgumentParser
import Datasets
import Hashing
import Terms

extension DataCommand {
    /// Lengths and shares.
    struct Stats: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Counts tokens, trained tokens, lengths, duplicates, and what packing saves.",
            discussion: "Samples longer than --cutoff-len (default 1024) are counted, and left out of the packing.")
        @OptionGroup var source: Source

        /// The job file's own default.
        private static let usualCutoff = 1024

        func run() throws {
            let samples = try source.samples()
            var stats = SampleStats(cutoff: source.data.cutoffLen ?? Self.usualCutoff)
            try samples.forEachWhole { row, batch, _ in
                batch.withPayload(of: row) { stats.add(count: row.count, trained: row.trainedTokens, payload: $0) }
                return true
            }
            guard stats.samples > 0 else { throw DatasetError.noRows(paths: source.data.data) }
            if source.json { return Output.json(stats.json) }
            samples.explanations.forEach { Output.line($0) }
            stats.lines.forEach { Output.line($0) }
        }
    }
}

/// Samples, counted. Memory: 12 bytes a sample, and a table of digests.
struct SampleStats {
    private let cutoff: Int
    private var lengths: [UInt32] = []
    private(set) var tokens = 0
    private(set) var trained = 0
    /// Samples without a token that counts in the loss.
    private(set) var untrained = 0
    /// Samples whose ids and labels stood before.
    private(set) var duplicates = 0
    private var seen: Set<UInt64> = []
    private var tooLong = 0
    private var tooLongTrained = 0

    /// - Parameter cutoff: tokens that a sequence holds.
    init(cutoff: Int) { self.cutoff = cutoff }

    var samples: Int { lengths.count }

    /// - Parameter payload: ids and labels.
    mutating func add(count: Int, trained: Int, payload: UnsafeBufferPointer<Int32>) {
        lengths.append(UInt32(clamping: count))
        tokens += count
        self.trained += trained
        if trained == 0 { untrained += 1 }
        if !seen.insert(Self.fingerprint(payload)).inserted { duplicates += 1 }
        if count > cutoff {
            tooLong += 1
            tooLongTrained += trained
        }
    }

    /// The first eight bytes of SHA-256 over ids and labels: two samples of 2³² share it by chance once in two runs.
    private static func fingerprint(_ payload: UnsafeBufferPointer<Int32>) -> UInt64 {
        Digest.sha256(of: UnsafeRawBufferPointer(payload)).bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// The figures by name.
    var json: JSONValue {
        let sorted = lengths.sorted()
        func length(_ share: Double) -> JSONValue { .int(Self.length(share, sorted)) }
        let packed = packing
        return .members([
            "samples": .int(samples), "tokens": .int(tokens), "trained_tokens": .int(trained),
            "untrained_samples": .int(untrained), "duplicates": .int(duplicates), "shortest": length(0),
            "mean": .double(Double(tokens) / Double(max(1, samples))), "p50": length(0.5), "p90": length(0.9),
            "p99": length(0.99), "longest": length(1), "cutoff_len": .int(cutoff), "too_long": .int(tooLong),
            "too_long_trained_tokens": .int(tooLongTrained), "packed_sequences": .int(packed.sequences),
            "packing_gain": .double(packed.gain), "packing_fill": .double(packed.fill),
        ])
    }

    /// The figures for people.
    var lines: [String] {
        let sorted = lengths.sorted()
        func length(_ share: Double) -> Int { Self.length(share, sorted) }
        let packed = packing
        var lines = [
            "\(samples) samples, \(tokens) tokens, \(trained) of them trained (\(100 * trained / max(1, tokens)) %), "
                + "\(untrained) samples teach nothing, \(duplicates) are duplicates",
            "tokens a sample: shortest \(length(0)), half up to \(length(0.5)), nine in ten up to \(length(0.9)), "
                + "99 of 100 up to \(length(0.99)), longest \(length(1))",
        ]
        if tooLong > 0 {
            lines.append(
                "\(tooLong) samples with \(tooLongTrained) trained tokens are longer than cutoff_len \(cutoff): "
                    + "excess_length says what becomes of them")
        }
        lines.append(
            "packing at \(cutoff): \(packed.sequences) sequences in place of \(samples - tooLong) "
                + "(\(LiveView.decimals(packed.gain, 2)) ×), \(Int(packed.fill * 100)) % full")
        return lines
    }

    /// What best-fit packing makes of the samples that fit: sequences, samples a sequence, share of places filled.
    private var packing: (sequences: Int, gain: Double, fill: Double) {
        let fitting = lengths.filter { Int($0) <= cutoff }
        guard !fitting.isEmpty else { return (0, 0, 0) }
        let sequences = Packing.bestFit(lengths: fitting, capacity: cutoff).count
        let filled = fitting.reduce(0) { $0 + Int($1) }
        return (
            sequences, Double(fitting.count) / Double(sequences), Double(filled) / Double(sequences) / Double(cutoff)
        )
    }

    /// The length that a share of the samples, in 0...1, does not exceed.
    private static func length(_ share: Double, _ sorted: [UInt32]) -> Int {
        guard !sorted.isEmpty else { return 0 }
        return Int(sorted[min(sorted.count - 1, max(0, Int((share * Double(sorted.count)).rounded(.up)) - 1))])
    }
}
