package import Collectives
package import Recipes
package import Terms
package import Wire

/// Everything a worker's core ever learns.
package enum WorkerEvent: Sendable {
    /// The control connection stands.
    case connected
    /// The control connection is gone.
    case disconnected
    /// `number` is the message's place among those of its connection, 0 = not numbered.
    case received(Message, number: UInt32 = 0)
    /// The job's model and data are in memory, or why not.
    case loaded(JobID, parameters: Int, problem: String)
    /// All computing for the old generation has ended; the nodes still held belong to the recipe of that tag.
    case quiesced(JobID, Generation, held: [ShardRange], tag: UInt64)
    /// The state of the target step is in memory.
    case healed(JobID, Generation, digest: UInt64)
    case healFailed(JobID, Generation, problem: String)
    /// Every own shard of the step is computed, or what was left of them given up: the time and the number of those
    /// that are whole, or of the one that was given up when there are none.
    case computed(JobID, Generation, step: Step, microseconds: UInt64, shards: Int)
    /// A member that is done asks this one for shards.
    case begged(WorkerSession.Plea)
    /// The answer of a member that was asked: a node to compute, empty = nothing. It computes that one too when
    /// `isLoan`, which can come without having asked.
    case granted(JobID, Generation, step: Step, ShardRange, isLoan: Bool)
    /// What `.takeOver` came to: so many shards of a late member were computed here, for so many microseconds beside
    /// it.
    case helped(JobID, Generation, step: Step, shards: Int, repeated: UInt64)
    /// A loss or gradient of the step is infinite or not a number.
    case nonFinite(JobID, Generation, step: Step, problem: String)
    /// The state that the step was computed from is not the one that was written: memory has changed by itself.
    case corrupted(JobID, Generation, step: Step)
    /// The finished sum over all shards is here.
    case gathered(JobID, Generation, step: Step, lossSum: Double)
    /// The update is done; `stalledMicroseconds` of it went by waiting for a checkpoint.
    case applied(
        JobID, Generation, step: Step, digest: UInt64, gradientNorm: Double, stalledMicroseconds: UInt64 = 0)
    case evaluated(EvaluationOrder, lossSums: [Double], tokens: [UInt64])
    case copied(SaveOrder)
    /// The data connection to a peer, or to `NodeID.coordinator`, broke.
    case peerLost(NodeID)
    /// Something local failed while working on a job.
    case failed(JobID, problem: String)
    /// What the machine's own counters say that this process drew on average since they were read last.
    case powerRead(PowerReading)
    /// What was computed could not be used; the state is sound, and it may be tried again.
    case hindered(JobID, problem: String)
    /// The process was asked to end.
    case stopRequested
    case deadline
}

/// What a worker's shell owes its core: send `sends`, carry out `commands` in order, wake at `deadline`.
package struct WorkerOutput: Sendable {
    package var sends: [Message] = []
    package var commands: [WorkerCommand] = []
    package var deadline: Instant?
    package var notices: [WorkerNotice] = []

    package init() {}
}

/// Work for the worker's shell that is no message.
package enum WorkerCommand: Sendable, Equatable {
    /// Read model and data; answer with `.loaded`.
    case load(JobID, description: [UInt8])
    case unload(JobID)
    /// End computing as soon as a micro-batch ends; answer with `.quiesced`.
    case stop(JobID, Generation)
    /// Connect to the peers of the roster; own nodes of `keepTag` stay, everything else that was in flight is dropped.
    case enter(Roster, rank: Int, keepTag: UInt64?)
    /// Bring the state to the roster's target; answer with `.healed`.
    case heal(Roster, rank: Int, from: StateSource)
    /// Compute these shards, send their sums; answer with `.computed`, later `.gathered`.
    case compute(JobID, Generation, Recipe, [ShardRange])
    /// Ask a member that is late in this step for shards, the one that owes most or at a later `turn` the next one;
    /// answer with `.granted`.
    case help(JobID, Generation, Recipe, shardTime: Span, turn: Int)
    /// Answer a plea with at most so many shards that are not begun.
    case give(WorkerSession.Plea, most: Int)
    /// Publish what is added up without the shard in progress, then have the plea's sender compute that one as well.
    case lend(WorkerSession.Plea)
    /// Compute what a late member has given away or lent; answer with `.helped`.
    case takeOver(JobID, Generation, Recipe, ShardRange, isLoan: Bool)
    /// The step's sum is here: end whatever is still computed for it as soon as can be; `.computed` and `.helped`
    /// follow.
    case abandon(JobID, Generation, step: Step)
    /// Update the state with the gathered sum; answer with `.applied`.
    case apply(JobID, Generation, Recipe)
    case evaluate(EvaluationOrder)
    /// End the evaluation that runs; nobody waits for its result.
    case abandonEvaluation(JobID)
    /// Copy a share of the state, then send it; answer with `.copied` as soon as the copy is taken.
    case copy(SaveOrder)
    /// End the process.
    case leave(reason: String)
}

/// Where a worker gets the state of a generation's first step.
package enum StateSource: Sendable, Equatable {
    /// It has it.
    case own
    /// It is step 0: made from the model files and the seed.
    case initial
    /// These ranks have it.
    case peers([Int])
    /// The coordinator's checkpoint.
    case checkpoint
}

/// What a person at the worker would want to hear.
package enum WorkerNotice: Sendable, Equatable {
    case welcomed(epoch: UInt64)
    case refused(String)
    case connectionLost
    case generation(JobID, Generation, rank: Int, worldSize: Int, from: Step)
    case applied(JobID, Step)
    case trouble(String)
}

extension NodeID {
    /// The coordinator's data socket among the peers of a worker.
    package static let coordinator = NodeID(high: .max, low: .max)
}
