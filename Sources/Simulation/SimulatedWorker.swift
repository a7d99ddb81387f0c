import Collectives
import Coordination
import Recipes
import Terms
import Wire

/// One worker's process: the real session, and a modelled shell and engine around it.
final class SimulatedWorker {
    let index: Int
    let node: NodeID
    let threads: Int
    /// Time of one shard of one sequence.
    var shardTime: Span
    /// What its machine's counters say that a core draws, about; nil = it has none.
    var milliwattsPerCore: Int?
    /// Times its process was started.
    var boot = 0
    /// nil while the process is down.
    var session: WorkerSession?
    /// What its state folder remembers.
    var lastEpoch: UInt64 = 0
    var connection: Int?
    /// The newest connection over which a message came.
    var newestHeard = 0
    /// Sent while there was no connection: goes first on the next one.
    var backlog: [[UInt8]] = []
    /// What older connections left behind, in the order it came.
    var leftOver: [(connection: Int, message: [UInt8])] = []
    /// Control messages sent by this process, and one of them.
    var sent: UInt32 = 0
    var spoken: [UInt8] = []
    /// The earliest wake-up that is in the queue, and what its clock will say then.
    var wakesAt: Instant?
    var wakesFor = Instant(nanoseconds: 0)
    /// When the session wants to be woken.
    var deadline: Instant?
    var stalledUntil = Instant(nanoseconds: 0)
    /// What reached the stalled process.
    var parked: [Happening] = []
    /// So many of its next results are infinite.
    var poisons = 0
    /// Refused or asked to leave: it does not come back by itself.
    var hasLeft = false

    // MARK: Shell
    var loaded: (id: JobID, job: Int, description: [UInt8])?
    /// The load that counts when it ends; an older one is for nothing.
    var wanted: (id: JobID, description: [UInt8])?
    var exchange: SimulatedExchange?
    var gathered: (step: Step, sum: Reference.Sum)?
    var healing: Healing?
    /// Requests for state that came before this worker entered their generation.
    var waitingRequests: [(chunk: Chunk, from: Int)] = []
    var mail: [Mail] = []

    // MARK: Engine
    /// nil = no state of the job, or one that is being overwritten.
    var state: (step: Step, digest: UInt64)?
    var held: (tag: UInt64, sums: [(node: ShardRange, sum: Reference.Sum)]) = (0, [])
    var tasks: [EngineTask] = []
    var ticket = 0
    var isRunning = false
    /// Computing that was ordered in an older era ends at the next shard.
    var era = 0

    struct Healing {
        var roster: Roster
        /// By part: the digest that arrived.
        var parts: [UInt64?]
    }

    /// What the engine tells the reactor, in order.
    enum Mail {
        case event(WorkerEvent)
        case node(ShardRange, Reference.Sum, Generation, step: Step, tag: UInt64)
        case loaded(JobID, job: Int, description: [UInt8], problem: String, parameters: Int)
        case snapshot(SaveOrder, digest: UInt64)
        case lent(WorkerSession.Plea, ShardRange)
    }

    init(index: Int, node: NodeID, threads: Int, shardTime: Span) {
        self.index = index
        self.node = node
        self.threads = threads
        self.shardTime = shardTime
    }

    var isAlive: Bool { session != nil }

    /// The process is gone, with everything in its memory.
    func die() {
        lastEpoch = session?.hello.lastEpoch ?? lastEpoch
        session = nil
        connection = nil
        backlog = []
        sent = 0
        spoken = []
        leftOver = []
        deadline = nil
        wakesAt = nil
        parked = []
        stalledUntil = Instant(nanoseconds: 0)
        dropJob()
        tasks = []
        isRunning = false
        mail = []
    }

    func dropJob() {
        loaded = nil
        wanted = nil
        exchange = nil
        gathered = nil
        healing = nil
        waitingRequests = []
        state = nil
        held = (0, [])
        era += 1
    }

    /// Keeps finished sums of the recipe `tag`; sums of any other are let go.
    func keep(_ sums: [(node: ShardRange, sum: Reference.Sum)], tag: UInt64) {
        if held.tag != tag { held = (tag, []) }
        held.sums += sums
    }
}

/// Work for a worker's engine, one after another.
enum EngineTask {
    case load(JobID, job: Int, description: [UInt8], problem: String)
    case compute(Computing)
    case apply(JobID, Generation, Recipe, tag: UInt64, sum: Reference.Sum)
    case evaluate(EvaluationOrder)
    case copy(SaveOrder)
    case becomeInitial
    case finishHealing(Roster, isBroken: Bool)
    case quiesce(JobID, Generation)
}

/// The shards of some ranges, computed node after node.
struct Computing {
    var id: JobID
    var generation: Generation
    var step: Step
    var tag: UInt64
    var era: Int
    /// Sequences a shard: what time depends on.
    var load: Int
    var targets: [ShardRange]
    var next = 0
    var startedAt = Instant(nanoseconds: 0)
    /// When its first target was.
    var begunAt = Instant(nanoseconds: 0)
    var spent = Span.zero
    var shards = 0
    // The target in progress.
    var fold: TreeFold
    var sums: [(node: ShardRange, sum: Reference.Sum)] = []
    var missing: [Int] = []
    var shardTime = Span.zero
    /// How many of `missing` are done when the task is next looked at.
    var planned = 0
    var isNonFinite = false
    /// Given away or lent by another member.
    var isHelp = false
    /// Another member computes the shard in progress too: the one who lent it, or the one it is lent to.
    var isLoan = false
    /// The step's sum is here already.
    var isAbandoned = false

    /// Place in `missing` of the shard in progress at an instant.
    func place(at now: Instant) -> Int {
        let time = max(1, shardTime.nanoseconds)
        return max(0, min(missing.count - 1, Int((now - startedAt).nanoseconds / time)))
    }

    /// Puts a sum among the others and carries out what becomes possible.
    mutating func insert(_ node: ShardRange, _ sum: Reference.Sum) -> Bool {
        guard let merges = fold.insert(node) else { return false }
        sums.append((node, sum))
        for merge in merges {
            guard let left = sums.firstIndex(where: { $0.node == merge.left }) else { return false }
            let first = sums.remove(at: left).sum
            guard let right = sums.firstIndex(where: { $0.node == merge.right }) else { return false }
            let second = sums.remove(at: right).sum
            sums.append((merge.parent, Reference.add(first, second)))
        }
        return true
    }
}
