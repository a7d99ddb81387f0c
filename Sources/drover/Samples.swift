import ArgumentParser
import Datasets
import ModelFiles
import Models
import Templates
import Terms
import Tokenization

/// Options about a data file and how its rows become samples.
struct DataOptions: ParsableArguments {
    @Option(help: "The data file: JSONL, JSON, CSV, TSV or text.")
    var data: String

    @Option(help: "auto, messages, sharegpt, alpaca, completion, text or tokens.")
    var type = "auto"

    @Option(help: "A built-in chat template in place of the model's own.")
    var template = "auto"

    @Option(help: "sft: answers count in the loss; pt: every token does.")
    var stage: Datasets.Stage = .sft

    @Flag(help: "Prompts count in the loss too.")
    var trainOnPrompt = false

    @Option(help: "Cut samples to this many tokens.")
    var cutoffLen: Int?

    func validate() throws {
        let known = ["auto"] + RowFormat.allCases.map(\.rawValue)
        guard known.contains(type) else {
            throw ValidationError("--type takes \(known.joined(separator: ", ")), not `\(type)`")
        }
        guard (cutoffLen ?? 2) >= 2 else { throw ValidationError("--cutoff-len must be at least 2") }
    }

    /// The file as the reader takes it.
    var file: DatasetFile { DatasetFile(path: data, format: RowFormat(rawValue: type)) }
}

extension Datasets.Stage: ExpressibleByArgument {}

/// The samples of one data file, as a job would make them.
struct Samples {
    private let options: DataOptions
    private let threads: Int
    let maker: SampleMaker
    /// How the file was understood.
    let detection: RowFormat.Detection

    /// Reads the tokenizer of a model directory; a directory without one will do for rows that are tokens already.
    init(_ options: DataOptions, model: String, threads: Int) throws {
        guard Disk.hasFolder(model) else {
            throw Failure.input("\(model) is no directory: give the path of a model directory")
        }
        let path = joinPath(model, "config.json")
        let vocabulary = Disk.hasFile(path) ? try ModelDirectory.readConfiguration(path).vocabulary : nil
        try self.init(options, TokenizerFiles(directory: model), vocabulary: vocabulary, threads: threads)
    }

    init(_ options: DataOptions, directory: ModelDirectory, threads: Int) throws {
        try self.init(
            options, directory.tokenizer, vocabulary: directory.configuration.vocabulary, threads: threads)
    }

    private init(_ options: DataOptions, _ files: TokenizerFiles, vocabulary: Int?, threads: Int) throws {
        (self.options, self.threads) = (options, threads)
        detection = try DatasetReader.detection(of: options.file)
        guard detection.format != .tokens || ModelText.isPresent(files) else {
            maker = SampleMaker(
                encoder: NoText(), template: nil, stage: options.stage, trainOnPrompt: options.trainOnPrompt,
                vocabularyCount: vocabulary ?? Int(Int32.max))
            return
        }
        let text = try ModelText(files)
        if let vocabulary, text.tokenizer.vocabularySize > vocabulary {
            throw Failure.input(
                "\(files.directory): the tokenizer has \(text.tokenizer.vocabularySize) tokens, the model only "
                    + "\(vocabulary)")
        }
        maker = SampleMaker(
            encoder: text.encoder, template: try text.template(named: options.template), stage: options.stage,
            trainOnPrompt: options.trainOnPrompt, vocabularyCount: vocabulary ?? text.tokenizer.vocabularySize,
            variables: text.variables)
    }

    /// Runs `body` on each row until it returns false.
    func forEachRow(_ body: (DatasetReader.Row) throws -> Bool) throws {
        var reader = try DatasetReader(file: options.file, maker: maker, threads: threads)
        while let batch = try reader.nextBatch() {
            for row in batch where try !body(row) { return }
        }
    }

    /// Runs `body` on each sample, cut to `--cutoff-len`, and its line, until it returns false; a bad row ends it.
    func forEach(_ body: (Sample, Int) throws -> Bool) throws {
        try forEachRow { row in
            switch row.sample {
            case .success(let sample): try body(cut(sample), row.line)
            case .failure(let problem):
                throw DatasetError.badRows([fault(row.line, problem)], total: 1)
            }
        }
    }

    /// The sample without what exceeds `--cutoff-len`.
    func cut(_ sample: Sample) -> Sample {
        guard let limit = options.cutoffLen, sample.count > limit else { return sample }
        return Sample(ids: Array(sample.ids[..<limit]), labels: Array(sample.labels[..<limit]))
    }

    func fault(_ line: Int, _ problem: RowProblem) -> RowFault {
        RowFault(file: options.data, line: line, reason: problem.description)
    }
}

/// The encoder of data that is tokens already: no text ever reaches it.
private struct NoText: TextEncoder {
    var endOfText: Int32? { nil }
    var addedTokens: [AddedToken] { [] }
    func document(_ text: String) -> [Int32] { [] }
    func piece(_ text: String, after place: PiecePlace) -> [Int32] { [] }
    func text(of ids: [Int32]) -> String { ids.map { String($0) }.joined(separator: " ") }
}
