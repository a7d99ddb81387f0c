import Datasets
import Foundation
import Hashing
import JobSpecs
import ModelFiles
import Models
import Templates
import Terms
import Tokenization
import WorkerShell

extension Submission {
    /// A token cache and where it lies.
    struct Tokenised {
        var path: String
        var contents: TokenCache
    }

    /// The job's data as tokens: made now, or found from an earlier start with the same data and settings.
    func tokenised(folder: String, progress: @escaping (BuildProgress) -> Void) throws -> Tokenised {
        let files = spec.datasets.map { file in
            DatasetFile(path: file.path, format: RowFormat(rawValue: file.type.rawValue), weight: file.weight)
        }
        let settings = DatasetSettings(
            cutoffLength: spec.cutoffLen, excess: Datasets.ExcessLength(rawValue: spec.excessLength.rawValue) ?? .drop,
            packing: spec.packing, validation: validation, seed: spec.seed)
        let (maker, tokenizerDigest) = try sampleMaker(files)
        let contents = try files.map { (file: $0, content: try FileCache.digest(ofFile: $0.path)) }
        let key = CacheKey.digest(files: contents, tokenizer: tokenizerDigest, maker: maker, settings: settings)
        let path = "\(folder)/\(key.hex.prefix(16)).tokens"
        if let cache = try? TokenCache(path: path, key: key) { return Tokenised(path: path, contents: cache) }
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let builder = DatasetBuilder(
            files: files, maker: maker, settings: settings, threads: ProcessInfo.processInfo.activeProcessorCount,
            now: { Instant(nanoseconds: Int64(DispatchTime.now().uptimeNanoseconds)) }, progress: progress)
        try builder.build(path: path, key: key)
        return Tokenised(path: path, contents: try TokenCache(path: path, key: key, verifying: false))
    }

    private var validation: ValidationSize {
        if spec.valSize <= 0 { return .none }
        return spec.valSize < 1 ? .fraction(spec.valSize) : .count(Int(spec.valSize))
    }

    /// What turns rows into samples. A model without tokenizer files will do for data that is tokens already.
    private func sampleMaker(_ files: [DatasetFile]) throws -> (SampleMaker, Digest) {
        let stage = Datasets.Stage(rawValue: spec.stage.rawValue) ?? .sft
        let vocabulary = model.configuration.vocabulary
        guard model.tokenizer.tokenizer != nil || model.tokenizer.sentencePiece != nil else {
            let formats = try files.map { try $0.format ?? DatasetReader.detection(of: $0).format }
            guard formats.allSatisfy({ $0 == .tokens }) else {
                throw Failure.input(["\(model.path): there is no tokenizer.json; only data of `type: tokens` can do without"])
            }
            let maker = SampleMaker(
                encoder: NoTokenizer(), template: nil, stage: stage, trainOnPrompt: spec.trainOnPrompt,
                vocabularyCount: vocabulary)
            return (maker, Digest.sha256(of: "no tokenizer"))
        }
        let text = try ModelText(model)
        guard text.tokenizer.vocabularySize <= vocabulary else {
            throw Failure.input([
                "\(model.path): the tokenizer has \(text.tokenizer.vocabularySize) tokens, the model only \(vocabulary)"
            ])
        }
        let maker = SampleMaker(
            encoder: text.encoder, template: try text.template(named: spec.template), stage: stage,
            trainOnPrompt: spec.trainOnPrompt, vocabularyCount: vocabulary, variables: text.variables)
        return (maker, text.digest)
    }
}

/// The encoder of data that is tokens already: no text ever reaches it.
private struct NoTokenizer: TextEncoder {
    var endOfText: Int32? { nil }
    var addedTokens: [AddedToken] { [] }
    func document(_ text: String) -> [Int32] { [] }
    func piece(_ text: String, after place: PiecePlace) -> [Int32] { [] }
    func text(of ids: [Int32]) -> String { ids.map(String.init).joined(separator: " ") }
}
