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

        func validate() throws { try MachineOptions.check(threads: threads) }

        func samples() throws -> Samples {
            try Samples(data, model: model, threads: threads ?? MachineOptions.cores)
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
            if !source.json { samples.explanations.forEach { Output.line(Output.styled($0, .dim)) } }
            var shown = 0
            try samples.forEach { sample, place in
                shown += 1
                if source.json { Output.json(Self.json(sample, samples)) } else { Self.show(sample, place, samples) }
                return shown != limit && !Output.isClosed
            }
            guard shown > 0 else { throw DatasetError.noRows(paths: source.data.data) }
        }

        private static func json(_ sample: Sample, _ samples: Samples) -> JSONValue {
            .members([
                "text": .string(samples.maker.encoder.text(of: sample.ids)),
                "ids": .array(sample.ids.map { .int(Int($0)) }), "labels": .array(sample.labels.map { .int(Int($0)) }),
            ])
        }

        private static func show(_ sample: Sample, _ place: String, _ samples: Samples) {
            Output.line(
                Output.styled(
                    "— \(place): \(sample.count) tokens, \(sample.trainedTokens) trained", .dim))
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
            let samples: Samples
            do { samples = try source.samples() } catch DatasetError.badRows(let faults, let total) {
                // Not one row told the format.
                faults.forEach(report)
                if source.json { summary("unknown", rows: total, faults: total) }
                throw Failure.ended(code: 2)
            }
            var rows = 0
            var faults = 0
            try samples.forEachRow { row, _, file in
                rows += 1
                guard let problem = row.problem else { return !Output.isClosed }
                faults += 1
                report(samples.fault(file, row.line, problem))
                return !Output.isClosed
            }
            if source.json {
                var types: [String] = []
                for name in samples.detections.map(\.format.rawValue) where !types.contains(name) { types.append(name) }
                summary(types.joined(separator: ","), rows: rows, faults: faults)
            } else {
                samples.explanations.forEach { Output.line($0) }
                Output.line("\(rows) rows, \(faults) bad")
            }
            guard rows > 0 else { throw DatasetError.noRows(paths: source.data.data) }
            if faults > 0 { throw Failure.ended(code: 2) }
        }

        private func report(_ fault: RowFault) {
            guard source.json else { return Output.line(fault.description) }
            Output.json(
                .members([
                    "file": .string(fault.file), "line": .int(fault.line), "reason": .string(fault.reason),
                ]))
        }

        private func summary(_ type: String, rows: Int, faults: Int) {
            Output.json(.members(["type": .string(type), "rows": .int(rows), "bad_rows": .int(faults)]))
        }
    }
}
