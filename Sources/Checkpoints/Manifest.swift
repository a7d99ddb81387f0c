package import Terms

/// Everything that exact resume needs, as one immutable value; its canonical JSON is the file, named by its SHA-256.
///
/// No floating-point number is ever written: what is real stands as a bit pattern or a scaled integer. Nothing depends
/// on how many workers there were.
package struct Manifest: Sendable, Equatable {
    /// The only format this version reads and writes.
    package static let format = "drover-ckpt/1"

    /// The run's name: its folder in the repository.
    package var run: String
    package var job: JobID
    /// The state named here is the one after this many updates.
    package var step: Step
    /// Which start of the coordinator published it.
    package var coordinatorEpoch: Int
    /// The membership that computed it.
    package var generation: Generation
    /// Publications of this run before this one; the store sets it, and it alone orders checkpoints of one epoch.
    package var sequence = 0
    package var kind: Kind
    /// The manifest that this state was continued from; nil for the first one.
    package var parent: Digest?
    package var lineage = Lineage()
    /// Wall clock, for people only; milliseconds since 1970.
    package var createdUnixMilliseconds: Int
    /// What the job promises of a resume from here.
    package var exactness: Exactness
    package var progress: Progress
    package var model: Model
    /// The numerics profile and every `auto` resolved for the job, as the caller describes them.
    package var numerics: JSONValue
    package var optimizer: JSONValue
    /// The recorded schedule plan, on which alone learning rates depend.
    package var schedule: JSONValue
    package var data: DataPosition
    package var rng: JSONValue
    /// The position in the budget ledger.
    package var budget: JSONValue
    /// Anything else that influences training (early stopping, best metric), an object.
    package var extras: JSONValue = .object(JSONObject())
    /// The bits of the evaluation loss at this step (fp64), for retention of the best; nil = none was measured here.
    package var evaluationLossBits: UInt64?
    /// Stored tensors, ascending by (name bytes, role).
    package var tensors: [Tensor]
    /// SHA-256 of `tensorListBytes` of the live model: catches a save that left tensors out.
    package var expectedTensors: Digest
    /// SHA-256 over the parameters: name, a zero byte, fp32 little-endian values, tensor by tensor; nil
    /// = not computed when it was saved. The objects have digests of their own: this one is for people and for exports.
    package var modelDigest: Digest?

    /// A draft; `sequence`, and what has a default, may be set afterwards.
    package init(
        run: String, job: JobID, step: Step, coordinatorEpoch: Int, generation: Generation, kind: Kind,
        parent: Digest? = nil, lineage: Lineage = Lineage(), createdUnixMilliseconds: Int, exactness: Exactness,
        progress: Progress, model: Model, numerics: JSONValue, optimizer: JSONValue, schedule: JSONValue,
        data: DataPosition, rng: JSONValue, budget: JSONValue, tensors: [Tensor], expectedTensors: Digest,
        modelDigest: Digest?
    ) {
        self.run = run
        self.job = job
        self.step = step
        self.coordinatorEpoch = coordinatorEpoch
        self.generation = generation
        self.kind = kind
        self.parent = parent
        self.lineage = lineage
        self.createdUnixMilliseconds = createdUnixMilliseconds
        self.exactness = exactness
        self.progress = progress
        self.model = model
        self.numerics = numerics
        self.optimizer = optimizer
        self.schedule = schedule
        self.data = data
        self.rng = rng
        self.budget = budget
        self.tensors = tensors
        self.expectedTensors = expectedTensors
        self.modelDigest = modelDigest
    }
}

extension Manifest {
    /// Why a checkpoint was made.
    package enum Kind: String, Sendable, CaseIterable {
        case periodic, trunk, final, pause, user

        /// Whether retention never deletes one of this kind; what a person asked for, it may once a person has given it
        /// back (`isReleased`).
        package func isPinned(isReleased: Bool) -> Bool {
            switch self {
            case .trunk, .final: true
            case .user: !isReleased
            case .periodic, .pause: false
            }
        }
    }

    /// How a resume from here compares with a run that was never interrupted.
    package enum Exactness: String, Sendable, CaseIterable {
        /// The same bits.
        case exact = "E0"
        /// Workers of other numerics profiles may take part: equal within rounding.
        case equivalent = "E1"
        /// Anything else, declared.
        case degraded = "E2"
    }

    /// Where a checkpoint stands among the branches of its run.
    package struct Lineage: Sendable, Equatable {
        /// The pre-anneal checkpoint this one descends from, nil before any.
        package var trunk: Digest?
        package var branch = "main"
        /// Each time training went back to an older checkpoint; ascending by sequence.
        package var restores: [Restore] = []

        package init(trunk: Digest? = nil, branch: String = "main", restores: [Restore] = []) {
            self.trunk = trunk
            self.branch = branch
            self.restores = restores
        }

        /// True when the checkpoint (sequence, step) lies on this line: no later restore went below its step.
        package func contains(sequence: Int, step: Step) -> Bool {
            restores.allSatisfy { $0.sequence < sequence || step <= $0.step }
        }
    }

    /// Training went back: what was published up to `sequence` counts only as far as `step`.
    package struct Restore: Sendable, Equatable {
        package var sequence: Int
        package var step: Step
        package init(sequence: Int, step: Step) {
            self.sequence = sequence
            self.step = step
        }
    }

    /// What the lineage has consumed up to this step.
    package struct Progress: Sendable, Equatable {
        package var tokens: Int
        package var samples: Int
        package var epoch: Int
        package init(tokens: Int, samples: Int, epoch: Int) {
            self.tokens = tokens
            self.samples = samples
            self.epoch = epoch
        }
    }

    /// Digests of what the trained tensors belong to.
    package struct Model: Sendable, Equatable {
        /// The model's `config.json`.
        package var config: Digest
        /// The base weights; nil when all weights are trained from scratch.
        package var base: Digest?
        package var tokenizer: Digest?
        /// The resolved job file.
        package var jobFile: Digest?
        package init(config: Digest, base: Digest?, tokenizer: Digest?, jobFile: Digest? = nil) {
            self.config = config
            self.base = base
            self.tokenizer = tokenizer
            self.jobFile = jobFile
        }
    }

    /// Where reading the data goes on.
    package struct DataPosition: Sendable, Equatable {
        /// The digest of the prepared data.
        package var digest: Digest
        package var epoch: Int
        /// Samples of `epoch` already used.
        package var sample: Int
        package init(digest: Digest, epoch: Int, sample: Int) {
            self.digest = digest
            self.epoch = epoch
            self.sample = sample
        }
    }

    /// One stored tensor: fp32, little-endian, row-major, cut into chunks.
    package struct Tensor: Sendable, Equatable {
        package var name: String
        package var role: TensorRole
        package var shape: [Int]
        /// 4 × the product of `shape`.
        package var bytes: Int
        package var chunks: [Chunk]
        package init(name: String, role: TensorRole, shape: [Int], bytes: Int, chunks: [Chunk]) {
            self.name = name
            self.role = role
            self.shape = shape
            self.bytes = bytes
            self.chunks = chunks
        }
    }

    /// A named object that holds a piece of a tensor, 1 byte to 4 MiB.
    package struct Chunk: Sendable, Hashable {
        package var digest: Digest
        package var length: Int
        package init(digest: Digest, length: Int) {
            self.digest = digest
            self.length = length
        }
    }
}
