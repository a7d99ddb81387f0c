import Checkpoints
import Coordination
import Dispatch
import Foundation
import Hashing
import Kernels
import Recipes
import StorageShell
import Synchronization
import Terms
import Wire

/// Makes checkpoints of what workers bring: pieces that they have put into the store themselves, or the bytes of
/// pieces, which are put here. Publishes when all are there, and serves checkpoints again at a heal.
///
/// One collection at a time (the core asks for no second one). Of a piece that comes as bytes no more is in memory than
/// until it is written, and of all of them never more than `mostPieces` and one a worker.
final class CheckpointDesk: @unchecked Sendable {
    let store: CheckpointStore
    private let description: JobDescription
    private let job: JobID
    private let plan: SavePlan
    private var layout: TensorLayout { plan.layout }
    /// Publishes and prunes, one after another.
    private let queue = DispatchQueue(label: "drover.checkpoints", qos: .utility)
    /// Writes pieces.
    private let writers = DispatchQueue(label: "drover.checkpoints.pieces", qos: .utility, attributes: .concurrent)
    private let report: @Sendable (CoordinatorEvent) -> Void
    /// Says a sentence to whoever looks at the job.
    private let tell: @Sendable (String) -> Void
    /// Why nothing could be pruned, as it was told last; nil = it could. Checkpoint thread only.
    private var pruneProblem: String?
    private let collection = Mutex<Collection?>(nil)
    /// The attempt that the core waits for.
    private let awaited = Mutex<UInt32?>(nil)
    /// Whole pieces in memory.
    private let writing = Mutex(0)
    /// Called when a desk that was full no longer is.
    private let wake: @Sendable () -> Void
    private static let mostPieces = 16
    // MARK: Reactor thread only
    private var partial: [Partial] = []
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
        /// Every object is read back from the disk by whoever puts it; false = a sample of them.
        var isReadBack: Bool
        var progress: ManifestProgress
        /// By piece; nil = not in the store yet.
        var digests: [Digest?]
        var missing: Int
    }

    /// A piece of which only some chunks have come.
    private final class Partial: @unchecked Sendable {
        let piece: Int
        let bytes: FloatBuffer
        var missing: Int
        var arrived: Set<UInt64> = []
        init(_ piece: Int, elements: Int) {
            self.piece = piece
            bytes = FloatBuffer(count: elements)
            missing = elements
        }
    }

    /// What a manifest says besides the tensors.
    struct ManifestProgress: Sendable {
        var epoch: UInt64
        var generation: Generation
        var tokens: Int
        var samples: Int
        /// The held-out loss at this very step, nil = it was not measured.
        var evaluationLoss: Double?
        /// The numerics profile that all members share, nil = the job allows several.
        var profile: UInt64?
        /// Digest of the whole state, as workers compute it.
        var digest: UInt64
        var plan: [PlanEvent]
        /// Position and balances of the job's ledger.
        var budget: JSONValue
    }

    init(
        folder: String, job: JobID, description: JobDescription, wake: @escaping @Sendable () -> Void,
        tell: @escaping @Sendable (String) -> Void,
        report: @escaping @Sendable (CoordinatorEvent) -> Void
    ) throws {
        store = try CheckpointStore.open(folder)
        self.job = job
        self.description = description
        self.wake = wake
        self.tell = tell
        self.report = report
        plan = SavePlan(layout: try TensorLayout(description.tensors.map { ($0.name, $0.shape) }))
    }

    /// The newest sound checkpoint's step, 0 = there is none; tells what had to be passed over. `step` asks for one.
    ///
    /// - Parameter run: the job as its journal knows it; a checkpoint of a state that is not on its record is passed
    ///   over. nil = the journal does not know it yet.
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

    /// Whether a checkpoint is of a state that the run has on record.
    static func isOn(_ run: JobRun, _ record: CheckpointRecord) -> Bool {
        guard let digest = record.manifest.extras["state_digest"]?.string.flatMap({ UInt64($0, radix: 16) }) else {
            return true
        }
        return run.knows(digest, at: record.manifest.step)
    }

    func collect(_ step: Step, attempt: UInt32, kind: SaveReason, isReadBack: Bool, progress: ManifestProgress) {
        partial = []
        awaited.withLock { $0 = attempt }
        collection.withLock {
            $0 = Collection(
                step: step, attempt: attempt, kind: kind, isReadBack: isReadBack, progress: progress,
                digests: Array(repeating: nil, count: plan.pieces.count), missing: plan.pieces.count)
        }
        queue.async { [self] in
            do { try makeRoom(plan.totalBytes) } catch { fail(attempt, "\(error)") }
        }
        finishIfComplete(attempt)
    }

    func abandon(_ attempt: UInt32) {
        awaited.withLock { if $0 == attempt { $0 = nil } }
        collection.withLock { if $0?.attempt == attempt { $0 = nil } }
    }

    /// True when so much waits for the disk that nothing more should be taken from the network.
    var isFull: Bool { writing.withLock { $0 >= Self.mostPieces } }

    /// A part of the state from a worker.
    func receive(_ header: DataHeader, _ payload: [UInt8]) {
        guard let (index, elements) = place(header), payload.count == 4 * elements else { return }
        let known = partial.first { $0.piece == index }
        let part = known ?? Partial(index, elements: plan.pieces[index].elements)
        guard part.arrived.insert(header.offset).inserted, part.missing >= elements else { return }
        if known == nil { partial.append(part) }
        let start = part.bytes.pointer + (Int(header.offset) - plan.pieces[index].offset)
        payload.withUnsafeBytes {
            UnsafeMutableRawPointer(start).copyMemory(from: $0.baseAddress!, byteCount: $0.count)
        }
        part.missing -= elements
        guard part.missing == 0 else { return }
        partial.removeAll { $0.piece == index }
        writing.withLock { $0 += 1 }
        writers.async { [self] in
            let bytes = UnsafeRawBufferPointer(start: part.bytes.pointer, count: plan.pieces[index].bytes)
            let isReadBack = collection.withLock { $0?.isReadBack ?? true }
            do {
                let object = try store.objects.put(bytes, readingBack: isReadBack ? .all : .sample)
                note(index, object.digest, attempt: header.attempt)
            } catch {
                fail(header.attempt, "\(error)")
            }
            let wasFull = writing.withLock { count in
                count -= 1
                return count == Self.mostPieces - 1
            }
            if wasFull { wake() }
        }
    }

    /// What a worker says of a piece that it was to put into the store itself.
    func receiveStored(_ header: DataHeader, _ payload: [UInt8]) {
        if header.count == 0 { return fail(header.attempt, String(decoding: payload, as: UTF8.self)) }
        guard let (index, elements) = place(header), elements == plan.pieces[index].elements,
            let digest = Digest(bytes: payload)
        else { return }
        note(index, digest, attempt: header.attempt)
    }

    /// The piece of the awaited collection that a chunk lies in, and how many elements of it.
    private func place(_ header: DataHeader) -> (piece: Int, elements: Int)? {
        guard let offset = Int(exactly: header.offset), let count = Int(exactly: header.count), count > 0,
            header.attempt == awaited.withLock({ $0 }),
            let index = plan.piece(TensorRole.allCases[Int(header.role)], holding: offset),
            collection.withLock({ $0.map { Int(exactly: header.step) == $0.step && $0.digests[index] == nil } ?? false }
            ),
            case let piece = plan.pieces[index], offset + count <= piece.offset + piece.elements
        else { return nil }
        return (index, count)
    }

    private func note(_ piece: Int, _ digest: Digest, attempt: UInt32) {
        collection.withLock { collection in
            guard collection?.attempt == attempt, collection?.digests[piece] == nil else { return }
            collection?.digests[piece] = digest
            collection?.missing -= 1
        }
        finishIfComplete(attempt)
    }

    /// Publishes what is complete, beside everything else.
    private func finishIfComplete(_ attempt: UInt32) {
        let complete = collection.withLock { collection -> Collection? in
            guard let current = collection, current.attempt == attempt, current.missing == 0 else { return nil }
            collection = nil
            return current
        }
        guard let current = complete else { return }
        queue.async { [self] in
            do {
                let record = try publish(current, current.digests.compactMap(\.self))
                store.note(record, current.isReadBack ? .verified : .sampled)
                // While another collection is under way nothing goes: it may have put objects that no manifest names
                // yet.
                if awaited.withLock({ $0 == attempt }) { prune() }
                report(.published(job, step: current.step, attempt: attempt))
            } catch {
                report(.publishFailed(job, step: current.step, attempt: attempt, problem: "\(error)"))
            }
        }
    }

    /// Gives a collection up, makes room by policy, and tells the core.
    private func fail(_ attempt: UInt32, _ problem: String) {
        let failed = collection.withLock { collection -> Collection? in
            guard let current = collection, current.attempt == attempt else { return nil }
            collection = nil
            return current
        }
        guard let failed else { return }
        queue.async { [self] in
            if awaited.withLock({ $0 == attempt }) { prune() }
            report(.publishFailed(job, step: failed.step, attempt: attempt, problem: problem))
        }
    }

    private func publish(_ current: Collection, _ digests: [Digest]) throws -> CheckpointRecord {
        let now = Int(Date().timeIntervalSince1970 * 1000)
        let encoded = description.encoded()
        var manifest = Manifest(
            run: Self.run, job: job, step: current.step, coordinatorEpoch: Int(current.progress.epoch),
            generation: current.progress.generation, kind: Manifest.Kind(rawValue: current.kind.rawValue) ?? .periodic,
            parent: parent?.digest, lineage: parent?.manifest.lineage ?? Manifest.Lineage(),
            createdUnixMilliseconds: now, exactness: exactness,
            progress: Manifest.Progress(
                tokens: current.progress.tokens, samples: current.progress.samples,
                epoch: current.progress.samples / max(1, description.sequences)),
            model: Manifest.Model(
                config: fileDigest(.model) { $0.name == "config.json" }
                    ?? Digest.sha256(of: encoded),
                base: Self.digest(of: description.files.filter { $0.kind == .model }),
                tokenizer: fileDigest(.model) { $0.name == "tokenizer.json" }, jobFile: Digest.sha256(of: encoded)),
            numerics: numerics(current.progress),
            optimizer: .members(["kind": .string("adamw"), "t": .int(current.step)]),
            schedule: .members([
                "kind": .string(description.schedule.rawValue),
                "peak_bits": .string(String(description.peakRate.bitPattern, radix: 16)),
                "plan_events": .array(current.progress.plan.map(\.json)),
            ]),
            data: Manifest.DataPosition(
                digest: fileDigest(.data) { _ in true } ?? Digest.sha256(of: encoded),
                epoch: current.progress.samples / max(1, description.sequences),
                sample: current.progress.samples % max(1, description.sequences)),
            rng: .members(["algo": .string("philox4x32-10")]), budget: current.progress.budget,
            tensors: plan.tensors(digests: digests),
            expectedTensors: Digest.sha256(of: Manifest.tensorListBytes(layout, roles: TensorRole.allCases)),
            // Hashing the parameters a second time is a fifth of what a save costs: only where a job comes to rest, or
            // somebody asked for the checkpoint, is it worth that at once.
            modelDigest: current.kind == .periodic ? nil : try store.modelDigest(plan, digests))
        manifest.evaluationLossBits = current.progress.evaluationLoss?.bitPattern
        manifest.extras = .members(["state_digest": .string(String(current.progress.digest, radix: 16))])
        let publication = try store.publish(manifest, at: now)
        parent = publication.record
        return publication.record
    }

    /// What the job promises: with workers of several numerics profiles it is no longer the same bits.
    private var exactness: Manifest.Exactness { description.isExact ? .exact : .equivalent }

    /// What decides the bits, besides the recipe.
    private func numerics(_ progress: ManifestProgress) -> JSONValue {
        .members([
            "reduce": .string("bintree-f32-v1"), "virtual_shards": .int(description.virtualShards),
            "gradient_wire": description.training["gradient_wire"] ?? .string("fp32"),
            "profile": progress.profile.map { .string(String($0, radix: 16)) } ?? .null,
        ])
    }

    /// Sees to it that a checkpoint fits on the disk: prunes by policy when it does not, and gives up before anything
    /// is written when that is not enough.
    private func makeRoom(_ bytes: Int) throws {
        // Objects are rounded up to blocks, and the journal beside them must not run dry.
        let needed = bytes + bytes / 50 + (8 << 20)
        if try store.space().available >= needed { return }
        prune()
        let space = try store.space().available
        guard space >= needed else {
            throw DeskError(
                description:
                    "the disk has \(space) bytes free and a checkpoint needs \(needed): free some, or prune with a "
                    + "lower save_total_limit; the checkpoints that are there stay as they are")
        }
    }

    private func prune() {
        var problem: String?
        // What can't be pruned now is pruned after the next save; the checkpoint itself is safe.
        do {
            let report = try store.prune(
                [(Self.run, description.retention)], graceSeconds: 0, at: Int(Date().timeIntervalSince1970 * 1000),
                dryRun: false)
            problem = report.refusal ?? report.runs.compactMap(\.refusal).first
        } catch { problem = "\(error)" }
        // Said once: it may stay so for as long as the job runs.
        if let problem, problem != pruneProblem { tell("old checkpoints are not pruned: \(problem)") }
        pruneProblem = problem
    }

    private func fileDigest(_ kind: JobFile.Kind, _ isWanted: (JobFile) -> Bool) -> Digest? {
        description.files.first { $0.kind == kind && isWanted($0) }?.digest
    }

    private static func digest(of files: [JobFile]) -> Digest {
        Digest.sha256(of: Array(files.map { "\($0.name) \($0.digest.hex)\n" }.joined().utf8))
    }

    // MARK: Serving

    /// The part of the state that a request asks for, or nil when the step is not stored or there is no such part.
    func serve(_ header: DataHeader) throws -> ChunkOutbox.Answer? {
        guard let step = Step(exactly: header.step), let lower = Int(exactly: header.offset),
            let count = Int(exactly: header.count), lower + count <= layout.elements, let state = try state(of: step)
        else { return nil }
        var answer = header
        answer.kind = .state
        let bytes = state.flat.bytes(TensorRole.allCases[Int(header.role)], offset: lower, elements: count)
        return .init(
            header: answer, payload: UnsafeRawPointer(bytes.baseAddress!), bytes: bytes.count, unit: 4, owner: state)
    }

    private func state(of step: Step) throws -> Buffers? {
        if let restored, restored.step == step { return restored.state }
        guard let record = try store.scan(Self.run).records.first(where: { $0.manifest.step == step }) else {
            return nil
        }
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

    /// Refuses a store that has checkpoints of the start `epoch` of the coordinator, or of a later one, before it has
    /// made any, or that count more lines of the job's account than there are: its journal or the end of it was lost, or
    /// an older copy of it was put back, and what it tells is not what happened.
    ///
    /// - Parameter postings: of the job's ledger.
    func refuseLater(than epoch: UInt64, postings: Int) throws {
        let later = try store.scan(Self.run).records.first {
            $0.manifest.coordinatorEpoch >= epoch || Self.isBeyond($0.manifest, postings: postings)
        }
        guard let later else { return }
        throw DeskError(
            description:
                "\(store.root) has a checkpoint of step \(later.manifest.step) that the journal knows nothing of: the "
                + "journal or its end was lost, or an older copy was put back. Put the newer one back, or begin a new run "
                + "in another output_dir with `--resume RUN@STEP`")
    }

    /// Whether a checkpoint counts more postings than its job's ledger has. They only ever become more, and were durable
    /// before it was made. What a branch was planted with (epoch 0) counts another job's.
    static func isBeyond(_ manifest: Manifest, postings: Int) -> Bool {
        manifest.coordinatorEpoch > 0 && (manifest.budget["postings"]?.int ?? 0) > postings
    }
}

/// A checkpoint that can't be trusted.
struct DeskError: Error, CustomStringConvertible { let description: String }
