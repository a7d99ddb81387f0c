import Checkpoints
import Hashing
import StorageShell
import Terms

/// A small model: one tensor of three elements, three roles, so three objects a checkpoint, one of them shared by all.
struct StoreFixture {
    static let root = "/store"
    static let run = "run1"
    static let layout: TensorLayout = {
        guard let layout = try? TensorLayout([("w", [3])]) else {
            preconditionFailure("the fixture's layout is a valid one")
        }
        return layout
    }()

    /// The state after `step` updates: values depend on the step, but the second moment does not.
    static func save(_ store: CheckpointStore, step: Int) throws(StorageError) -> [Manifest.Tensor] {
        let plan = SavePlan(layout: layout)
        let digests = try withState(step: step) { state throws(StorageError) in try store.save(plan, from: state) }
        return plan.tensors(digests: digests)
    }

    static func withState<Value>(
        step: Int, _ body: (FlatState) throws(StorageError) -> Value
    ) throws(StorageError) -> Value {
        let count = layout.elements
        let vectors = (0..<3).map { _ in UnsafeMutablePointer<Float>.allocate(capacity: count) }
        defer { for vector in vectors { vector.deallocate() } }
        for index in 0..<count {
            vectors[0][index] = Float(step) + Float(index) / 16
            vectors[1][index] = Float(step) / 1024
            vectors[2][index] = 0.25
        }
        return try body(
            FlatState(
                elements: count, parameters: vectors[0], firstMoment: vectors[1], secondMoment: vectors[2]))
    }

    static func draft(
        step: Int, tensors: [Manifest.Tensor], kind: Manifest.Kind = .periodic, parent: Digest? = nil, epoch: Int = 1
    ) throws(StorageError) -> Manifest {
        let digest = Digest.sha256(of: "data")
        let model = try withState(step: step) { state throws(StorageError) in state.modelDigest(layout) }
        return Manifest(
            run: run, job: JobID(1), step: step, coordinatorEpoch: epoch, generation: Generation(1), kind: kind,
            parent: parent, createdUnixMilliseconds: 1_000, exactness: .exact,
            progress: .init(tokens: 100 * step, samples: step, epoch: 0),
            model: .init(config: digest, base: nil, tokenizer: nil), numerics: .members(["profile": .string("p")]),
            optimizer: .members(["t": .int(step)]), schedule: .members([:]),
            data: .init(digest: digest, epoch: 0, sample: step), rng: .members(["seed": .string("1")]),
            budget: .members([:]),
            tensors: tensors,
            expectedTensors: Digest.sha256(of: Manifest.tensorListBytes(layout, roles: TensorRole.allCases)),
            modelDigest: model)
    }

    /// Saves and publishes one checkpoint.
    @discardableResult
    static func commit(
        _ store: CheckpointStore, step: Int, kind: Manifest.Kind = .periodic, parent: Digest? = nil, epoch: Int = 1
    ) throws(StorageError) -> CheckpointRecord {
        let tensors = try save(store, step: step)
        let draft = try draft(step: step, tensors: tensors, kind: kind, parent: parent, epoch: epoch)
        return try store.publish(draft, at: 2_000).record
    }

    static func open(_ disk: FaultyFileSystem) throws(StorageError) -> CheckpointStore {
        try CheckpointStore.open(root, fileSystem: disk, threads: 1)
    }

    /// A disk with a store of these steps, each the child of the one before.
    static func disk(steps: [Int]) throws -> FaultyFileSystem {
        let disk = FaultyFileSystem()
        let store = try open(disk)
        var parent: Digest?
        for step in steps { parent = try commit(store, step: step, parent: parent).digest }
        return disk
    }
}
