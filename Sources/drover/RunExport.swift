import Checkpoints
import Coordination
import Foundation
import Hashing
import JobSpecs
import Kernels
import ModelFiles
import Models
import StorageShell
import Terms
import WorkerShell

/// Turns a checkpoint of a run into a directory that the rest of the world's tools load.
enum RunExport {
    /// What an export wrote, and how it compares with the trained state after loading it again.
    struct Report {
        var path: String
        var format: ExportFormat
        var step: Step
        var tensors: Int
        /// `model_sha256` of the trained tensors.
        var modelDigest: Digest
        /// Whether the written file has the same digest; nil where that can't be (merged, or narrower numbers).
        var hasSameDigest: Bool?
        /// The largest difference between logits of the trained state and of the export, over `probeTokens` tokens.
        var logitsDifference: Float
        /// The largest logit in absolute value, to judge the difference by.
        var logitsScale: Float

        var json: JSONValue {
            .members([
                "path": .string(path), "format": .string(format.rawValue), "step": .int(step), "tensors": .int(tensors),
                "model_sha256": .string(modelDigest.hex), "same_digest": hasSameDigest.map(JSONValue.bool) ?? .null,
                "logits_max_difference": .double(Double(logitsDifference)), "logits_max": .double(Double(logitsScale)),
            ])
        }

        /// One line for people.
        var sentence: String {
            let digest = hasSameDigest == true ? "the same bits as the checkpoint, " : ""
            return "\(path): \(format.rawValue) of step \(step), loaded again: \(digest)largest difference of logits "
                + "\(logitsDifference) (of at most \(logitsScale))"
        }
    }

    /// The folder inside a run that an export of this format goes to.
    static func folder(_ format: ExportFormat) -> String { format == .peft ? "adapter" : "model" }

    /// Tokens of the text whose logits are compared.
    static let probeTokens = 24

    /// Exports a run's newest sound checkpoint, or the `wanted` one, to the folder `target`, loads that again and
    /// compares.
    ///
    /// - Parameters:
    ///   - storage: how the trained tensors are written.
    ///   - replaces: whether an earlier export at `target` may be replaced.
    @discardableResult
    static func write(
        run: String, wanted: WantedCheckpoint = .newest, format: ExportFormat, to target: String,
        storage: WeightStorage = .fp32, replaces: Bool = false, compute: Compute? = nil
    ) throws -> Report {
        let folder = try RunFolder(run)
        try check(format, folder.spec)
        let state = try TrainedState(folder, wanted)
        let compute = compute ?? Compute(team: Team(threads: ProcessInfo.processInfo.activeProcessorCount))
        let staging = try Staging(target: target, replaces: replaces)
        do {
            try write(state, folder.spec, format, to: staging.path, storage)
            let report = try compare(state, format, written: staging.path, target: target, storage, compute)
            guard report.hasSameDigest != false else {
                throw Failure.failed("\(target): what was written reads back differently: check the disk")
            }
            try staging.publish()
            return report
        } catch {
            staging.discard()
            throw error
        }
    }

    /// Writes every export of a run that has ended with something to show: the very weights that its last line names.
    ///
    /// - Parameters:
    ///   - end: the last line of the run.
    ///   - spec: the job, for the formats.
    ///   - view: told why there is nothing to export.
    static func write(end: JSONValue, of spec: JobSpec, run: String, _ view: LiveView) throws -> [Report] {
        let state = end["state"]?.string.flatMap(JobState.init(rawValue:))
        guard let steps = end["steps"]?.int, let state, state.hasResult(steps: steps) else { return [] }
        guard let digest = end["model_sha256"]?.string.flatMap(Digest.init(hex:)) else {
            view.say("nothing is exported: there is no checkpoint of step \(steps)")
            return []
        }
        return try spec.exports.map { format in
            try write(
                run: run, wanted: .state(step: steps, digest: digest), format: format,
                to: joinPath(run, folder(format)), replaces: true)
        }
    }

    private static func check(_ format: ExportFormat, _ spec: JobSpec) throws {
        switch (format, spec.finetuningType) {
        case (.peft, .full):
            throw Failure.input("the run trained all weights, so there is no adapter: export with --format hf")
        case (.hf, .lora):
            throw Failure.input(
                "the run trained an adapter: export it with --format peft, or the whole model with --format merged")
        default: break
        }
    }

    private static func write(
        _ state: TrainedState, _ spec: JobSpec, _ format: ExportFormat, to path: String, _ storage: WeightStorage
    ) throws {
        let model = state.submission.model
        switch format {
        case .peft:
            var configuration = AdapterConfiguration(
                state.specification, for: model.configuration, dropout: spec.loraDropout ?? 0, baseModel: model.path)
            if let start = state.submission.adapter?.configuration, start.targetModules != nil {
                configuration = start
                configuration.baseModel = model.path
            }
            try AdapterDirectory.write(
                to: path, configuration: configuration, model: model.configuration, tensors: state.tensors,
                storage: storage)
        case .merged where spec.finetuningType == .lora:
            try AdapterMerge.write(
                model, modules: try state.modules(), factors: state.table, to: path, storage: storage)
        case .hf, .merged:
            let tensors = state.tensors
            var next = 0
            try ModelDirectoryWriter.write(
                to: path, configuration: model.configuration, companions: model.path, storage: storage
            ) { _ in
                next += 1
                return tensors[next - 1].pointer
            }
        }
    }

    // MARK: Loading again

    private static func compare(
        _ state: TrainedState, _ format: ExportFormat, written: String, target: String, _ storage: WeightStorage,
        _ compute: Compute
    ) throws -> Report {
        let model = state.submission.model
        let isLoRA = state.submission.settings.adapter != nil
        let again = format == .peft ? model : try ModelDirectory(path: written)
        let adapter = format == .peft ? try AdapterDirectory(path: written, model: model.configuration) : nil
        var hasSameDigest: Bool?
        if storage == .fp32, !isLoRA || format == .peft {
            hasSameDigest = try (adapter?.digest() ?? again.digest()) == state.modelDigest
        }
        // One model at a time in memory.
        let trained = try state.logits(probe(model.configuration), compute)
        let loaded = try LoadedModel(again, adapter: adapter, compute: compute)
        let exported = logits(loaded.decoder, probe(model.configuration))
        return Report(
            path: target, format: format, step: state.record.manifest.step, tensors: state.tensors.count,
            modelDigest: state.modelDigest, hasSameDigest: hasSameDigest,
            logitsDifference: largest(zip(trained, exported).lazy.map { $0 - $1 }), logitsScale: largest(trained))
    }

    /// A fixed text spread over the vocabulary.
    private static func probe(_ configuration: DecoderConfiguration) -> MicroBatch {
        let count = min(probeTokens, configuration.longestDocument ?? probeTokens)
        let tokens = (0..<count).map { Int32(($0 * 7919 + 11) % configuration.vocabulary) }
        return MicroBatch(tokens: tokens, targets: tokens.map { _ in -1 }, documents: [0])
    }

    static func logits(_ decoder: Decoder, _ batch: MicroBatch) -> [Float] {
        let count = batch.tokens.count * decoder.configuration.vocabulary
        return [Float](unsafeUninitializedCapacity: count) { buffer, initialised in
            decoder.logits(batch, rows: 0..<batch.tokens.count, into: buffer.baseAddress!)
            initialised = count
        }
    }

    /// The largest absolute value; infinite when one is not a number.
    private static func largest(_ values: some Sequence<Float>) -> Float {
        values.reduce(0) { $1.isNaN ? .infinity : max($0, abs($1)) }
    }
}
