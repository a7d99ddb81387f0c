import Checkpoints
import Coordination
import Hashing
import Terms

/// A published checkpoint of the simulated store: what its manifest says, and what is known of its bytes.
struct SimulatedCheckpoint {
    var step: Step
    /// Of the state that it names.
    var digest: UInt64
    var kind: SaveReason
    /// Every object was read back; false = a sample was.
    var isVerified: Bool
    /// Publications of its job before this one.
    var sequence: Int
    var epoch: Int
    var restores: [Manifest.Restore]
    /// The life of the coordinator that published it.
    var life = 0

    /// Kept for ever: one to go on from, or the last of a run.
    var isPinned: Bool { kind == .trunk || kind == .final }

    /// What retention knows of it.
    func candidate(_ bug: PlantedBug?) -> RetentionCandidate {
        let kind = bug == .trunksExpire ? .periodic : Manifest.Kind(rawValue: kind.rawValue) ?? .periodic
        return RetentionCandidate(
            name: ManifestName(step: step, epoch: epoch, digest: .simulated(UInt64(sequence))), step: step,
            sequence: sequence, kind: kind, lineage: .init(restores: restores),
            health: isVerified ? .verified : .sampled)
    }
}

extension SimulatedCoordinator.JobRecord {
    /// Where one that is published now stands: behind all others, on the line of `parent` (`CheckpointStore.placed`).
    func place(after parent: SimulatedCheckpoint?) -> (sequence: Int, restores: [Manifest.Restore]) {
        let last = checkpoints.map(\.sequence).max()
        guard let parent, let last else {
            return (last.map { $0 + 1 } ?? 0, last.map { [Manifest.Restore(sequence: $0, step: 0)] } ?? [])
        }
        var restores = parent.restores
        if last > parent.sequence {
            restores.removeAll { $0.step >= parent.step }
            restores.append(Manifest.Restore(sequence: last, step: parent.step))
        }
        return (last + 1, restores)
    }
}

extension Digest {
    /// The name of a simulated object: thirty-two bytes of one number.
    static func simulated(_ value: UInt64) -> Digest {
        let word = Philox.mix(value)
        let bytes = (0..<32 as Range<UInt64>).map { UInt8(truncatingIfNeeded: word >> (($0 & 7) * 8)) }
        return Digest(bytes: bytes) ?? Digest.sha256(of: [])
    }
}

extension SavePlan {
    /// How a state of so many parameters is cut: two tensors, three roles.
    init(parameters: Int) {
        let half = parameters / 2
        guard let layout = try? TensorLayout([("a", [half]), ("b", [parameters - half])]) else {
            preconditionFailure("two small tensors are a layout")
        }
        self.init(layout: layout)
    }

    /// The manifest of a state whose objects have these names, in the order of `pieces`.
    func manifest(_ names: [Digest], of job: JobID, step: Step) -> Manifest {
        let any = Digest.simulated(0)
        return Manifest(
            run: "sim", job: job, step: step, coordinatorEpoch: 0, generation: Generation(0), kind: .periodic,
            createdUnixMilliseconds: 0, exactness: .exact, progress: .init(tokens: 0, samples: 0, epoch: 0),
            model: .init(config: any, base: nil, tokenizer: nil), numerics: .null, optimizer: .null, schedule: .null,
            data: .init(digest: any, epoch: 0, sample: 0), rng: .null, budget: .null,
            tensors: tensors(digests: names), expectedTensors: any, modelDigest: nil)
    }
}
