package import Collectives
package import Terms

/// A step and the digest of the state after it.
package struct Position: Sendable, Equatable {
    package var job: JobID
    package var generation: Generation
    /// Steps applied.
    package var step: UInt64
    /// Digest of parameters and optimizer state after that step.
    package var digest: UInt64

    package init(job: JobID, generation: Generation, step: UInt64, digest: UInt64) {
        self.job = job
        self.generation = generation
        self.step = step
        self.digest = digest
    }
}

/// Where a worker stands between two generations.
package struct Standing: Sendable, Equatable {
    package var job: JobID
    package var generation: Generation
    /// False while it has no state of this job at all.
    package var hasState: Bool
    package var step: UInt64
    package var digest: UInt64
    /// What it measured in the newest steps it applied, oldest first: reports may not have arrived.
    package var reports: [StepReport]
    /// Nodes of the next step's tree whose sums it still holds, sorted, disjoint.
    package var held: [ShardRange]
    /// The recipe those nodes belong to: first eight bytes of its digest.
    package var heldTag: UInt64

    package init(
        job: JobID, generation: Generation, hasState: Bool, step: UInt64, digest: UInt64, reports: [StepReport],
        held: [ShardRange], heldTag: UInt64
    ) {
        self.job = job
        self.generation = generation
        self.hasState = hasState
        self.step = step
        self.digest = digest
        self.reports = reports
        self.held = held
        self.heldTag = heldTag
    }
}

/// One member of a generation.
package struct Member: Sendable, Equatable {
    package var node: NodeID
    package var dataEndpoint: String
    /// Shards it computes.
    package var shards: ShardRange
    /// Shards it computes in the generation's first step: what it holds already, and its part of what nobody holds.
    package var firstShards: [ShardRange]
    /// Elements of the flat parameter vector whose sums it owns.
    package var slice: Range<UInt64>

    package init(
        node: NodeID, dataEndpoint: String, shards: ShardRange, firstShards: [ShardRange], slice: Range<UInt64>
    ) {
        self.node = node
        self.dataEndpoint = dataEndpoint
        self.shards = shards
        self.firstShards = firstShards
        self.slice = slice
    }
}

/// A generation: who is in, who does what, and where everybody's state comes from. Rank = place in `members`.
package struct Roster: Sendable, Equatable {
    package var job: JobID
    package var generation: Generation
    package var members: [Member]
    /// The step at which the generation starts.
    package var target: UInt64
    /// The digest every member must have at `target`; 0 = not known (step 0).
    package var digest: UInt64
    /// Ranks that hold the target state; empty = it is the initial state (target 0) or the coordinator's checkpoint.
    package var sources: [UInt32]

    package init(
        job: JobID, generation: Generation, members: [Member], target: UInt64, digest: UInt64, sources: [UInt32]
    ) {
        self.job = job
        self.generation = generation
        self.members = members
        self.target = target
        self.digest = digest
        self.sources = sources
    }
}

/// The right to run steps, each with its recipe.
package struct Lease: Sendable, Equatable {
    package var job: JobID
    package var generation: Generation
    /// Encoded recipes of consecutive steps.
    package var recipes: [[UInt8]]

    package init(job: JobID, generation: Generation, recipes: [[UInt8]]) {
        self.job = job
        self.generation = generation
        self.recipes = recipes
    }
}

/// What a worker says of a step it applied.
package struct StepReport: Sendable, Equatable {
    package var position: Position
    /// The first eight bytes of the recipe's digest.
    package var recipeTag: UInt64
    /// Sum of −log p over the batch's trained tokens, before the update.
    package var lossSum: Double
    /// Norm of the mean gradient before clipping.
    package var gradientNorm: Double
    /// Time this worker spent on its shards, microseconds.
    package var computeMicroseconds: UInt64
    /// Shards it computed.
    package var shardsComputed: UInt32
    /// Time it spent besides on shards that another member computed as well, microseconds.
    package var repeatedMicroseconds: UInt64
    /// How long the update waited until a checkpoint had what it still needed of the state, microseconds.
    package var stalledMicroseconds: UInt64

    package init(
        position: Position, recipeTag: UInt64, lossSum: Double, gradientNorm: Double, computeMicroseconds: UInt64,
        shardsComputed: UInt32, repeatedMicroseconds: UInt64 = 0, stalledMicroseconds: UInt64 = 0
    ) {
        self.position = position
        self.recipeTag = recipeTag
        self.lossSum = lossSum
        self.gradientNorm = gradientNorm
        self.computeMicroseconds = computeMicroseconds
        self.shardsComputed = shardsComputed
        self.repeatedMicroseconds = repeatedMicroseconds
        self.stalledMicroseconds = stalledMicroseconds
    }
}

/// Held-out shards to compute at a frozen step.
package struct EvaluationOrder: Sendable, Equatable {
    package var job: JobID
    package var generation: Generation
    package var step: UInt64
    /// Evaluation shards that the receiver computes.
    package var shards: ShardRange

    package init(job: JobID, generation: Generation, step: UInt64, shards: ShardRange) {
        self.job = job
        self.generation = generation
        self.step = step
        self.shards = shards
    }
}

/// The sums of the shards that were asked for.
package struct EvaluationResult: Sendable, Equatable {
    package var order: EvaluationOrder
    /// One sum of −log p a shard, in shard order.
    package var lossSums: [Double]
    package var tokens: [UInt64]

    package init(order: EvaluationOrder, lossSums: [Double], tokens: [UInt64]) {
        self.order = order
        self.lossSums = lossSums
        self.tokens = tokens
    }
}

/// A share of the state to copy and send.
package struct SaveOrder: Sendable, Equatable {
    package var job: JobID
    package var generation: Generation
    package var step: UInt64
    /// Tells this save from an aborted one at the same step.
    package var attempt: UInt32
    /// Elements of the flat vector (of parameters, and of both moments) that the receiver sends.
    package var range: Range<UInt64>
    /// Every object is read back from the disk after it was written; false = one in twenty.
    package var isReadBack: Bool

    package init(
        job: JobID, generation: Generation, step: UInt64, attempt: UInt32, range: Range<UInt64>, isReadBack: Bool
    ) {
        self.job = job
        self.generation = generation
        self.step = step
        self.attempt = attempt
        self.range = range
        self.isReadBack = isReadBack
    }
}

/// Why a worker can't go on with a job.
package struct Trouble: Sendable, Equatable {
    package enum Kind: UInt8, Sendable {
        /// A loss or gradient was infinite or not a number.
        case nonFinite = 1
        /// Nothing arrived from a peer for too long.
        case stalled
        /// Local files or memory failed.
        case local
        /// A healed state has another digest than the coordinator said.
        case digest
        /// The state in memory is another than the one that was written there.
        case memory
    }
    package var job: JobID
    package var generation: Generation
    package var step: UInt64
    package var kind: Kind
    package var text: String

    package init(job: JobID, generation: Generation, step: UInt64, kind: Kind, text: String) {
        self.job = job
        self.generation = generation
        self.step = step
        self.kind = kind
        self.text = text
    }
}
