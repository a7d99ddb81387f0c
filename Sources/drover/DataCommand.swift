import ArgumentParser
import Datasets
import Terms

/// `drover data`: what a job would make of a data file.
struct DataCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "data", abstract: "Looks at data before anything is trained on it.",
        subcommands: [Preview.self, Validate.self, Stats.self])

    /// What all three need.
    struct Source: ParsableArguments {
        @Option(help: "Model directory; only its tokenizer and config.json are read.")
        var model: String
        @OptionGroup var data: DataOptions
        @Option(help: "Threads that tokenise; default: every core.")
        var threads: Int?
        @Flag(help: "JSON on standard output.")
        var json = false

        func samples() throws -> Samples {
            try Samples(data, model: model, threads: max(1, threads ?? MachineOptions.cores))
        }
    }

    /// Shows samples, what the model is to learn in colour.
    struct Preview: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Shows the first samples as the model would see them.",
            discussion: """
                With --json one object a sample: {"text","ids","labels"}; a label of -100 doesn't count in the loss.
                Without, what counts is green; where colours are not welcome it stands between ⟦ and ⟧.
                """)
        @OptionGroup var source: Source
        @Option(help: "How many samples; 0 = all.")
        var limit: Int?

        func run() throws {
            let samples = try source.samples()
            let limit = limit ?? (source.json ? 0 : 3)
            guard limit >= 0 else { throw Failure.input("--limit must be 0 or more") }
            if !source.json { Output.line(Output.styled(samples.detection.explanation, .dim)) }
            var shown = 0
            try samples.forEach { sample, line in
                shown += 1
                if source.json { Output.json(Self.json(sample, samples)) } else { Self.show(sample, line, samples) }
                return shown != limit && !Output.isClosed
            }
            guard shown > 0 else { throw DatasetError.noRows(paths: [source.data.data]) }
        }

        private static func json(_ sample: Sample, _ samples: Samples) -> JSONValue {
            .members([
                "text": .string(samples.maker.encoder.text(of: sample.ids)),
                "ids": .array(sample.ids.map { .int(Int($0)) }), "labels": .array(sample.labels.map { .int(Int($0)) }),
            ])
        }

        private static func show(_ sample: Sample, _ line: Int, _ samples: Samples) {
            Output.line(Output.styled(
                "— line \(line): \(sample.count) tokens, \(sample.trainedTokens) trained", .dim))
            Output.line(marked(sample, samples.maker.encoder, isColoured: Output.isColoured))
        }

        /// The text with its trained stretches marked.
        static func marked(_ sample: Sample, _ encoder: any TextEncoder, isColoured: Bool) -> String {
            var text = ""
            var at = 0
            while at < sample.count {
                let isTrained = sample.labels[at] != Sample.ignored
                let end = (at..<sample.count).first { (sample.labels[$0] != Sample.ignored) != isTrained }
                let piece = encoder.text(of: Array(sample.ids[at..<(end ?? sample.count)]))
                if isTrained {
                    text += isColoured ? Output.styled(piece, .green, when: true) : "⟦\(piece)⟧"
                } else {
                    text += piece
                }
                at = end ?? sample.count
            }
            return text
        }
    }

    /// Reads everything and names every bad row.
    struct Validate: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Reads every row and names every bad one; exit code 2 when there is one.")
        @OptionGroup var source: Source

        func run() throws {
            let samples = try source.samples()
            var counts = LengthCounts()
            var faults = 0
            try samples.forEachRow { row in
                switch row.sample {
                case .success(let sample): counts.add(samples.cut(sample))
                case .failure(let problem):
                    faults += 1
                    let fault = samples.fault(row.line, problem)
                    if source.json {
                        Output.json(.members(["line": .int(fault.line), "reason": .string(fault.reason)]))
                    } else {
                        Output.line(fault.description)
                    }
                }
                return !Output.isClosed
            }
            if source.json {
                Output.json(.members([
                    "type": .string(samples.detection.format.rawValue), "rows": .int(counts.samples + faults),
                    "bad_rows": .int(faults),
                ]))
            } else {
                Output.line("\(samples.detection.explanation); \(counts.samples + faults) rows, \(faults) bad")
            }
            guard counts.samples + faults > 0 else { throw DatasetError.noRows(paths: [source.data.data]) }
            if faults > 0 { throw Failure.ended(code: 2) }
        }
    }

    /// Lengths and shares.
    struct Stats: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Counts tokens, trained tokens and lengths.")
        @OptionGroup var source: Source

        func run() throws {
            let samples = try source.samples()
            var counts = LengthCounts()
            try samples.forEach { sample, _ in
                counts.add(sample)
                return true
            }
            guard counts.samples > 0 else { throw DatasetError.noRows(paths: [source.data.data]) }
            if source.json { return Output.json(counts.json) }
            Output.line(samples.detection.explanation)
            Output.line(
                "\(counts.samples) samples, \(counts.tokens) tokens, \(counts.trained) of them trained "
                    + "(\(100 * counts.trained / max(1, counts.tokens)) %), \(counts.untrained) samples teach nothing")
            Output.line(
                "tokens a sample: shortest \(counts.length(0)), half up to \(counts.length(0.5)), nine in ten up to "
                    + "\(counts.length(0.9)), 99 of 100 up to \(counts.length(0.99)), longest \(counts.length(1))")
        }
    }
}

/// Tokens of samples, counted.
struct LengthCounts {
    private var lengths: [Int] = []
    private(set) var tokens = 0
    private(set) var trained = 0
    /// Samples without a token that counts in the loss.
    private(set) var untrained = 0

    var samples: Int { lengths.count }

    mutating func add(_ sample: Sample) {
        lengths.append(sample.count)
        tokens += sample.count
        let count = sample.trainedTokens
        trained += count
        if count == 0 { untrained += 1 }
    }

    /// The length that a share of the samples, in 0...1, does not exceed.
    func length(_ share: Double) -> Int {
        guard !lengths.isEmpty else { return 0 }
        let sorted = lengths.sorted()
        return sorted[min(sorted.count - 1, max(0, Int((share * Double(sorted.count)).rounded(.up)) - 1))]
    }

    var json: JSONValue {
        .members([
            "samples": .int(samples), "tokens": .int(tokens), "trained_tokens": .int(trained),
            "untrained_samples": .int(untrained), "shortest": .int(length(0)), "p50": .int(length(0.5)),
            "p90": .int(length(0.9)), "p99": .int(length(0.99)), "longest": .int(length(1)),
        ])
    }
}
