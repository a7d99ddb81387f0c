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
        /// How each file was understood.
        var detections: [(path: String, detection: RowFormat.Detection)]
        /// The files of the model and of the adapter, as `modelFiles` lists them.
        var model: [DataRecord.Source]
        /// What it was made of.
        var record: DataRecord
    }

    /// The job's data as tokens: made now, gone on with where an earlier start was interrupted, or found from an
    /// earlier start with the same data and settings.
    ///
    /// - Parameter isResuming: whether a run of this job exists, whose data must not have changed; then nothing is put on
    ///   record before that is sure.
    func tokenised(
        folder: String, isResuming: Bool, progress: @escaping (DataProgress) -> Void
    ) throws -> Tokenised {
        var files: [DatasetFile] = []
        for file in spec.datasets {
            files += try DatasetInfo.files(
                of: DatasetFile(
                    path: file.path, format: RowFormat(rawValue: file.type.rawValue), weight: file.weight))
        }
        var settings = DatasetSettings(
            cutoffLength: spec.cutoffLen, excess: Datasets.ExcessLength(rawValue: spec.excessLength.rawValue) ?? .drop,
            packing: spec.packing, validation: validation, seed: spec.seed)
        settings.excerpt = try excerpt(of: files)
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let earlier = DataRecord(folder: folder)
        let neighbours = earlier == nil ? DataRecord.neighbours(of: folder) : []
        let known = (earlier.map { [$0] } ?? []) + neighbours.map(\.record)
        func digests(_ paths: [String], dropsBehind: Bool = false) throws -> [DataRecord.Source] {
            try DataRecord.Source.all(paths, earlier: known, dropsBehind: dropsBehind) { progress(.reading($0)) }
        }
        let sources = try digests(files.map(\.path), dropsBehind: settings.excerpt != nil)
        let detections = try files.map { (path: $0.path, detection: try DatasetReader.detection(of: $0)) }
        if isResuming, let earlier { try earlier.refuseChanges(sources) }
        let (maker, tokenizerDigest) = try sampleMaker(files, earlier, isResuming: isResuming)
        let contents = zip(files, sources).map { (file: $0, content: $1.digest) }
        let key = CacheKey.digest(files: contents, tokenizer: tokenizerDigest, maker: maker, settings: settings)
        let name = "\(key.hex.prefix(16)).tokens"
        let path = "\(folder)/\(name)"
        let model = try digests(modelFiles.map(\.path))
        let record = DataRecord(sources: sources, model: model, date: maker.date, key: key)
        // What is on record from the first moment on is the date: an interrupted start goes on with the same one.
        if !isResuming { try record.write(folder: folder) }
        let others = neighbours.filter { $0.record.key == key }.map { "\($0.folder)/\(name)" }
        if !FileManager.default.fileExists(atPath: path),
            let other = others.first(where: { DigestNote.known($0) != nil }) ?? others.first
        {
            DigestNote.share(other, as: path)
        }
        // What has a note was whole when that was taken, and nobody has written to it since.
        if let cache = try? TokenCache(path: path, key: key, verifying: DigestNote.known(path) == nil) {
            return Tokenised(path: path, contents: cache, detections: detections, model: model, record: record)
        }
        DataRecord.removeUnfinished(in: folder, except: path)
        var builder = DatasetBuilder(
            files: files, maker: maker, settings: settings, threads: ProcessInfo.processInfo.activeProcessorCount,
            now: { Instant(nanoseconds: Int64(DispatchTime.now().uptimeNanoseconds)) },
            progress: { progress(.tokenising($0)) })
        builder.isCancelled = { Signals.stopRequested }
        try Self.build(builder, path, key)
        if let changed = record.changedData { throw DatasetError.changed(path: changed) }
        return Tokenised(
            path: path, contents: try TokenCache(path: path, key: key, verifying: false), detections: detections,
            model: model, record: record)
    }

    private static func build(_ builder: DatasetBuilder, _ path: String, _ key: Digest) throws {
        do throws(DatasetError) {
            try builder.build(path: path, key: key)
        } catch {
            if error == .interrupted { throw CancellationError() }
            throw error
        }
    }

    private var validation: ValidationSize {
        if spec.valSize <= 0 { return .none }
        return spec.valSize < 1 ? .fraction(spec.valSize) : .count(Int(spec.valSize))
    }

    /// What turns rows into samples. A model without tokenizer files will do for data that is tokens already.
    private func sampleMaker(
        _ files: [DatasetFile], _ earlier: DataRecord?, isResuming: Bool
    ) throws -> (SampleMaker, Digest) {
        let stage = Datasets.Stage(rawValue: spec.stage.rawValue) ?? .sft
        let vocabulary = model.configuration.vocabulary
        guard model.tokenizer.tokenizer != nil || model.tokenizer.sentencePiece != nil else {
            let formats = try files.map { try $0.format ?? DatasetReader.detection(of: $0).format }
            guard formats.allSatisfy({ $0 == .tokens }) else {
                throw Failure.input([
                    "\(model.path): there is no tokenizer.json; only data of `type: tokens` can do without"
                ])
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
        let template = try text.template(named: spec.template)
        let maker = SampleMaker(
            encoder: text.encoder, template: template, stage: stage, trainOnPrompt: spec.trainOnPrompt,
            vocabularyCount: vocabulary, variables: text.variables,
            date: Self.date(template, earlier, isResuming: isResuming))
        return (maker, text.digest)
    }

    /// What `strftime_now` tells for the job's whole life: the time of its first start. Templates that don't ask get a
    /// date that is always the same, so that their tokens serve any day.
    private static func date(_ template: ChatTemplate?, _ earlier: DataRecord?, isResuming: Bool) -> CalendarDate {
        guard let template, template.source.contains("strftime_now") else { return .epoch }
        let now = CalendarDate.now
        guard let date = earlier?.date, date != .epoch else { return now }
        // A start that was interrupted before there was a run goes on, on the same day.
        let isToday = (date.year, date.month, date.day) == (now.year, now.month, now.day)
        return isResuming || isToday ? date : now
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
