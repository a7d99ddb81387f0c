import Checkpoints
import Coordination
import Dispatch
import Foundation
import Hashing
import Kernels
import Recipes
import StorageShell
import Terms
import Wire

/// Takes in the state that workers send at a save, writes it on a thread of its own, and serves it again at a heal.
///
/// One collection at a time (the core asks for no second one). The buffers are one flat copy of parameters and moments.
final class CheckpointDesk: @unchecked Sendable {
    let store: CheckpointStore
    private let description: JobDescription
    private let job: JobID
    private let layout: TensorLayout
    private let queue = DispatchQueue(label: "drover.checkpoints", qos: .utility)
    private let report: @Sendable (CoordinatorEvent) -> Void
    // MARK: Reactor thread only
    private var collection: Collection?
    private var restored: (step: Step, state: Buffers)?
    /// The newest published checkpoint, parent of the next. Checkpoint thread only, after `init`.
    private var parent: CheckpointRecord?

    static let run = "main"

    private final class Buffers: @unchecked Sendable {
        let vectors: [FloatBuffer]
        let flat: FlatState
        init(elements: Int) {
            vectors = (0..<3).map { _ in FloatBuffer(count: max(1, elements)) }
            flat = FlatState(
                elements: elements, parameters: vectors[0].pointer, firstMoment: vectors[1].pointer,
                secondMoment: vectors[2].pointer)
        }
    }

    private struct Collection {
        var step: Step
        var attempt: UInt32
        var kind: SaveReason
        var progress: ManifestProgress
        var state: Buffers
        /// Elements still missing, all three vectors together.
        var missing: Int
        /// By vector: the starts of the chunks that have arrived.
        var arrived: [Set<UInt64>]
    }

    /// What a manifest says besides the tensors.
    struct ManifestProgress: Sendable {
        var epoch: UInt64
        var generation: Generation
        var tokens: Int
        var samples: Int
        var evaluationLoss: Double?
        /// Digest of the whole state, as workers compute it.
        var digest: UInt64
        var plan: [PlanEvent]
        /// Position and balances of the job's ledger.
        var budget: JSONValue
    }

    init(
        folder: String, job: JobID, description: JobDescription, report: @escaping @Sendable (CoordinatorEvent) -> Void
    ) throws {
        store = try CheckpointStore.open(folder)
        self.job = job
        self.description = description
        self.report = report
        layout = try TensorLayout(description.tensors.map { ($0.name, $0.shape) })
    }

    /// The newest sound checkpoint's step, 0 = there is none; tells what had to be passed over. `step` asks for one.
    ///
    /// - Parameter run: the job as its journal knows it; a checkpoint of a state that is not on its record is passed over.
    ///   nil = the journal does not know it yet.
    func recover(step: Step? = nil, of run: JobRun?, at milliseconds: Int) throws -> (step: Step, rejected: [String]) {
        let found = try step == 0 ? nil : recovery(step, run, milliseconds)
        guard let recovery = found else {
            queue.sync { parent = nil }
            return (0, [])
        }
        queue.sync { parent = recovery.record }
        return (recovery.record.manifest.step, recovery.rejected.map { "\($0.name): \($0.reason)" })
    }

    /// What the store finds; nil also when nothing is damaged, but the job stands before its line's first checkpoint.
    private func recovery(_ step: Step?, _ run: JobRun?, _ milliseconds: Int) throws -> Recovery? {
        func accepts(_ record: CheckpointRecord) -> Bool { run.map { Self.isOn($0, record) } ?? true }
        do {
            return try store.recover(Self.run, step: step, at: milliseconds, accepts: accepts)
        } catch let error {
            guard case .noUsableCheckpoint(_, let rejected) = error, step == nil,
                rejected.allSatisfy({ $0.reason == Recovery.otherLine })
            else { throw error }
            return nil
        }
    }

    private static func isOn(_ run: JobRun, _ record: CheckpointRecord) -> Bool {
        guard let digest = record.manifest.extras["state_digest"]?.string.flatMap({ UInt64($0, radix: 16) }) else { return true }
        return run.knows(digest, at: record.manifest.step)
    }

    func collect(_ step: Step, attempt: UInt32, kind: SaveReason, progress: ManifestProgress) {
        collection = Collection(
            step: step, attempt: attempt, kind: kind, progress: progress, state: Buffers(elements: layout.elements),
            missing: 3 * layout.elements, arrived: Array(repeating: [], count: 3))
        if layout.elements == 0 { write() }
    }

    func abandon(_ attempt: UInt32) { if collection?.attempt == attempt { collection = nil } }

    /// A part of the state from a worker.
    func receive(_ header: DataHeader, _ payload: [UInt8]) {
        guard var current = collection, header.attempt == current.attempt, Int(exactly: header.step) == current.step,
            let offset = Int(exactly: header.offset), let count = Int(exactly: header.count), count > 0,
            offset + count <= layout.elements, payload.count == 4 * count,
            current.arrived[Int(header.role)].insert(header.offset).inserted
        else { return }
        let role = TensorRole.allCases[Int(header.role)]
        payload.withUnsafeBytes { current.state.flat.bytes(role, offset: offset, elements: count).copyMemory(from: $0) }
        current.missing -= count
        collection = current
        if current.missing <= 0 { write() }
    }

    /// Hashes, writes and publishes what was collected, beside everything else.
    private func write() {
        guard let current = collection else { return }
        collection = nil
        queue.async { [self] in
            do {
                let plan = SavePlan(layout: layout)
                try makeRoom(plan.totalBytes)
                let digests = try store.save(plan, from: current.state.flat)
                let record = try publish(current, plan, digests)
                try record.map(verify)
                prune()
                report(.published(job, step: current.step, attempt: current.attempt))
            } catch {
                report(.publishFailed(job, step: current.step, attempt: current.attempt, problem: "\(error)"))
            }
        }
    }

    private func publish(_ current: Collection, _ plan: SavePlan, _ digests: [Digest]) throws -> CheckpointRecord? {
        let now = Int(Date().timeIntervalSince1970 * 1000)
        let encoded = description.encoded()
        var manifest = Manifest(
            run: Self.run, job: job, step: current.step, coordinatorEpoch: Int(current.progress.epoch),
            generation: current.progress.generation, kind: Manifest.Kind(rawValue: current.kind.rawValue) ?? .periodic,
            parent: parent?.digest, lineage: parent?.manifest.lineage ?? Manifest.Lineage(),
            createdUnixMilliseconds: now, exactness: .exact,
            progress: Manifest.Progress(
                tokens: current.progress.tokens, samples: current.progress.samples,
                epoch: current.progress.samples / max(1, description.sequences)),
            model: Manifest.Model(
                config: fileDigest(.model) { $0.name == "config.json" }
                    ?? Digest.sha256(of: encoded), base: Self.digest(of: description.files.filter { $0.kind == .model }),
                tokenizer: fileDigest(.model) { $0.name == "tokenizer.json" }, jobFile: Digest.sha256(of: encoded)),
            numerics: .members(["reduce": .string("bintree-f32-v1"), "virtual_shards": .int(description.virtualShards),
                "gradient_wire": description.training["gradient_wire"] ?? .string("fp32")]),
            optimizer: .members(["kind": .string("adamw"), "t": .int(current.step)]),
            schedule: .members([
                "kind": .string(description.schedule.rawValue), "peak_bits": .string(String(description.peakRate.bitPattern, radix: 16)),
                "plan_events": .array(current.progress.plan.map(\.json)),
            ]),
            data: Manifest.DataPosition(
                digest: fileDigest(.data) { _ in true } ?? Digest.sha256(of: encoded),
                epoch: current.progress.samples / max(1, description.sequences),
                sample: current.progress.samples % max(1, description.sequences)),
            rng: .members(["algo": .string("philox4x32-10")]), budget: current.progress.budget,
            tensors: plan.tensors(digests: digests),
            expectedTensors: Digest.sha256(of: Manifest.tensorListBytes(layout, roles: TensorRole.allCases)),
            modelDigest: current.state.flat.modelDigest(layout))
        manifest.evaluationLossBits = current.progress.evaluationLoss?.bitPattern
        manifest.extras = .members(["state_digest": .string(String(current.progress.digest, radix: 16))])
        let publication = try store.publish(manifest, at: now)
        parent = publication.record
        return publication.record
    }

    /// Reads the new checkpoint back before anything older may go.
    private func verify(_ record: CheckpointRecord) throws {
        let findings = try store.verify(record)
        guard findings.isEmpty else {
            throw DeskError(description: "the checkpoint just written reads back wrong: \(findings[0].path) \(findings[0].problem)")
        }
    }

    /// Sees to it that a checkpoint fits on the disk: prunes by policy when it does not, and gives up before anything is
    /// written when that is not enough.
    private func makeRoom(_ bytes: Int) throws {
        // Objects are rounded up to blocks, and the journal beside them must not run dry.
        let needed = bytes + bytes / 50 + (8 << 20)
        if try store.space().available >= needed { return }
        prune()
        let space = try store.space().available
        guard space >= needed else {
            throw DeskError(
                description: "the disk has \(space) bytes free and a checkpoint needs \(needed): free some, or prune with a "
                    + "lower save_total_limit; the checkpoints that are there stay as they are")
        }
    }

    private func prune() {
        let policy = RetentionPolicy(
            last: max(2, description.saveTotalLimit), every: description.keepEvery, best: description.keepBest)
        // What can't be pruned now is pruned after the next save; the checkpoint itself is safe.
        _ = try? store.prune(
            [(Self.run, policy)], graceSeconds: 0, at: Int(Date().timeIntervalSince1970 * 1000), dryRun: false)
    }

    private func fileDigest(_ kind: JobFile.Kind, _ isWanted: (JobFile) -> Bool) -> Digest? {
        description.files.first { $0.kind == kind && isWanted($0) }?.digest
    }

    private static func digest(of files: [JobFile]) -> Digest {
        Digest.sha256(of: Array(files.map { "\($0.name) \($0.digest.hex)\n" }.joined().utf8))
    }

    // MARK: Serving

    /// The chunks that answer a request for state, or nil when the step is not stored.
    func serve(_ header: DataHeader) throws -> [(header: DataHeader, payload: UnsafeRawPointer, count: Int, owner: AnyObject)]? {
        guard let step = Step(exactly: header.step), let lower = Int(exactly: header.offset),
            let count = Int(exactly: header.count), lower + count <= layout.elements, let state = try state(of: step)
        else { return nil }
        let role = TensorRole.allCases[Int(header.role)]
        let elements = WireLimits.chunkBytes / 4
        return stride(from: lower, to: lower + count, by: elements).map { start in
            var answer = header
            answer.kind = .state
            answer.offset = UInt64(start)
            let part = min(elements, lower + count - start)
            answer.count = UInt64(part)
            let bytes = state.flat.bytes(role, offset: start, elements: part)
            return (answer, UnsafeRawPointer(bytes.baseAddress!), bytes.count, state)
        }
    }

    private func state(of step: Step) throws -> Buffers? {
        if let restored, restored.step == step { return restored.state }
        guard let record = try store.scan(Self.run).records.first(where: { $0.manifest.step == step }) else { return nil }
        let state = Buffers(elements: layout.elements)
        try store.restore(RestorePlan(manifest: record.manifest, layout: layout), into: state.flat)
        restored = (step, state)
        return state
    }

    /// Lets go of the state kept for healing.
    func forgetRestored() { restored = nil }

    /// The next checkpoint continues the newest one of `step` instead of the newest of all.
    func goBack(to step: Step) {
        restored = nil
        queue.sync { parent = (try? store.scan(Self.run).records)?.first { $0.manifest.step == step } }
    }

    /// `model_sha256` of the newest checkpoint at `step`.
    func modelDigest(at step: Step) -> Digest? {
        (try? store.scan(Self.run).records.first { $0.manifest.step == step })?.manifest.modelDigest
    }
}

/// A checkpoint that can't be trusted.
struct DeskError: Error, CustomStringConvertible { let description: String }
