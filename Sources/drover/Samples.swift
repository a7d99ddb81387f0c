import ArgumentParser
import Datasets
import ModelFiles
import Models
import Templates
import Terms
import Tokenization

/// Options about a data file and how its rows become samples.
struct DataOptions: ParsableArguments {
    @Option(
        help: """
            The data file: JSONL, JSON, CSV, TSV or text; or LLaMA-Factory's dataset_info.json, with #NAME for one of its \
            data sets. May be given several times.
            """)
    var data: [String]

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
        guard !data.isEmpty else { throw ValidationError("--data needs a file") }
        guard (2...16_777_216).contains(cutoffLen ?? 2) else {
            throw ValidationError("--cutoff-len must be in 2…16777216")
        }
    }

    /// The files as the reader takes them.
    func files() throws -> [DatasetFile] {
        var files: [DatasetFile] = []
        let format = RowFormat(rawValue: type)
        for path in data { files += try DatasetInfo.files(of: DatasetFile(path: path, format: format)) }
        return files
    }
}

extension Datasets.Stage: ExpressibleByArgument {}

/// The samples of data files, as a job would make them.
struct Samples {
    private let options: DataOptions
    private let threads: Int
    let maker: SampleMaker
    let files: [DatasetFile]
    /// How each file was understood.
    let detections: [RowFormat.Detection]

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
        let dataFiles = try options.files()
        self.files = dataFiles
        detections = try dataFiles.map { try DatasetReader.detection(of: $0) }
        guard detections.contains(where: { $0.format != .tokens }) || ModelText.isPresent(files) else {
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
            variables: text.variables, date: .now)
    }

    /// What people are told about how the files were understood, a line a file.
    var explanations: [String] {
        zip(files, detections).map { files.count == 1 ? $1.explanation : "\($0.path): \($1.explanation)" }
    }

    /// Runs `body` on each row, with its batch and file, until it returns false.
    func forEachRow(_ body: (SampleBatch.Row, SampleBatch, DatasetFile) throws -> Bool) throws {
        for file in files where try !forEachRow(of: file, body) { return }
    }

    /// As above for one file; false when `body` had enough.
    private func forEachRow(
        of file: DatasetFile, _ body: (SampleBatch.Row, SampleBatch, DatasetFile) throws -> Bool
    ) throws -> Bool {
        var reader = try DatasetReader(file: file, maker: maker, threads: threads)
        while let batch = try reader.nextBatch() {
            for row in batch.rows where try !body(row, batch, file) { return false }
        }
        return true
    }

    /// Runs `body` on each row that has a sample, with its batch and its place, `file:line`, until it returns false.
    ///
    /// A bad row ends it.
    func forEachWhole(_ body: (SampleBatch.Row, SampleBatch, @autoclosure () -> String) throws -> Bool) throws {
        try forEachRow { row, batch, file in
            if let problem = row.problem { throw DatasetError.badRows([fault(file, row.line, problem)], total: 1) }
            return try body(row, batch, "\(file.path):\(row.line)")
        }
    }

    /// As `forEachWhole` for the samples, cut to `--cutoff-len`.
    func forEach(_ body: (Sample, String) throws -> Bool) throws {
        try forEachWhole { row, batch, place in try body(cut(batch.sample(of: row)), place()) }
    }

    /// The sample without what exceeds `--cutoff-len`.
    func cut(_ sample: Sample) -> Sample {
        guard let limit = options.cutoffLen, sample.count > limit else { return sample }
        return Sample(ids: Array(sample.ids[..<limit]), labels: Array(sample.labels[..<limit]))
    }

    func fault(_ file: DatasetFile, _ line: Int, _ problem: RowProblem) -> RowFault {
        RowFault(file: file.path, line: line, reason: problem.description)
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
