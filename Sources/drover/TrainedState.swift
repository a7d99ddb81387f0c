import Checkpoints
import Foundation
import JobSpecs
import Kernels
import ModelFiles
import Models
import StorageShell
import Terms
import WorkerShell

/// The trained parameters of one checkpoint in memory, with the model they belong to.
struct TrainedState {
    let submission: Submission
    let record: CheckpointRecord
    /// `model_sha256` of what is in memory.
    let modelDigest: Digest
    private let parameters: FloatBuffer

    /// Finds the checkpoint, reads every byte of its parameters and checks them.
    init(_ folder: RunFolder, _ wanted: WantedCheckpoint) throws {
        submission = try Submission(folder.spec)
        let store = try folder.openStore()
        record = try Self.find(store, folder, wanted)
        let layout = submission.layout
        let tensors = try TensorLayout(layout.entries.map { (name: $0.name, shape: $0.shape) })
        let plan = try RestorePlan(manifest: record.manifest, layout: tensors, roles: [.parameter])
        parameters = FloatBuffer(count: max(1, layout.count))
        let flat = FlatState(elements: layout.count, parameters: parameters.pointer)
        try store.restore(plan, into: flat)
        modelDigest = flat.modelDigest(tensors)
        guard record.manifest.modelDigest.map({ $0 == modelDigest }) ?? true else {
            throw Failure.failed("\(folder.path): checkpoint \(record.name) does not hold the model it names")
        }
    }

    private static func find(
        _ store: CheckpointStore, _ folder: RunFolder, _ wanted: WantedCheckpoint
    ) throws -> CheckpointRecord {
        let now = Int(Date().timeIntervalSince1970 * 1000)
        switch wanted {
        case .named(let name): return try store.record(RunFolder.run, name)
        case .step(let step):
            guard let found = try store.recover(RunFolder.run, step: step, at: now) else { break }
            return found.record
        case .state(let step, let digest):
            let found = try store.recover(RunFolder.run, step: step, at: now) {
                (try? store.modelDigest(of: $0)) == digest
            }
            guard let found else { break }
            return found.record
        case .newest:
            guard let found = try store.recover(RunFolder.run, at: now) else { break }
            for rejected in found.rejected {
                Output.note("drover: passed over checkpoint \(rejected.name): \(rejected.reason)")
            }
            return found.record
        }
        throw Failure.input("\(folder.path): the run has no checkpoint yet")
    }

    /// The trained tensors in byte order of their names; valid while this lives.
    var tensors: [(name: String, shape: [Int], pointer: UnsafePointer<Float>)] {
        submission.layout.entries.map { ($0.name, $0.shape, UnsafePointer(parameters.pointer + $0.offset)) }
    }

    /// The trained tensors by name.
    var table: WeightTable { WeightTable(submission.layout, in: parameters.pointer, owner: parameters) }

    /// What was adapted; the run trains an adapter.
    var specification: AdapterSpecification {
        guard let specification = submission.settings.adapter else {
            preconditionFailure("only runs that train an adapter are asked for it")
        }
        return specification
    }

    /// The adapted layers.
    func modules() throws -> [AdaptedModule] { try specification.modules(of: submission.model.configuration) }

    /// Logits `[T, V]` of the trained model.
    func logits(_ batch: MicroBatch, _ compute: Compute) throws -> [Float] {
        let configuration = submission.model.configuration
        guard submission.settings.adapter != nil else {
            let decoder = try Decoder(
                configuration: configuration, weights: table, trainable: .nothing, compute: compute)
            return RunExport.logits(decoder, batch)
        }
        let weights = try submission.model.loadWeights()
        let adapter = Adapter(modules: try modules(), parameters: parameters.pointer, owner: parameters)
        let decoder = try Decoder(
            configuration: configuration, weights: weights.table, adapter: adapter, trainable: .nothing,
            compute: compute)
        return withExtendedLifetime(weights) { RunExport.logits(decoder, batch) }
    }
}
