import Collectives
import Coordination
import Terms

/// Something that will happen at an instant.
enum Happening {
    // MARK: Control plane
    case arrivesAtCoordinator(connection: Int, message: [UInt8])
    case arrivesAtWorker(connection: Int, message: [UInt8])
    /// An end of a connection learns that it is gone.
    case coordinatorHears(connection: Int)
    case workerHears(connection: Int)
    case workerConnects(worker: Int, boot: Int)

    // MARK: Data plane
    /// `link` is the life of the connection it travels on: with the connection its chunks are lost.
    indirect case chunk(Chunk, from: Int, to: Int, link: Int)
    case peerIsLost(worker: Int, boot: Int, peer: NodeID)

    // MARK: Inside processes
    case coordinatorWakes(life: Int)
    case workerWakes(worker: Int, boot: Int)
    /// The task at the head of a worker's engine is done.
    case taskEnds(worker: Int, boot: Int, ticket: Int)
    /// What the engine posted reaches the reactor.
    case mail(worker: Int, boot: Int)
    /// A worker reads what its machine draws.
    case readsPower(worker: Int, boot: Int)
    case storeFinishes(life: Int, job: JobID, attempt: UInt32, isGood: Bool)

    // MARK: The world
    case coordinatorStarts(life: Int)
    case workerStarts(worker: Int)
    /// A stalled process goes on.
    case wakesUp(process: Int)
    case strikes(Int)
    case strikesOnce(Int)
    /// A fault aimed at one worker, or at its connection to `other`.
    case hits(AimedFault, worker: Int, other: Int)
    /// The last fault of all: the next data connection that carries something breaks.
    case lastBreak
    case submits(Int)
    /// Somebody branches off another job's checkpoint.
    case submitsBranch
    /// A client that got no answer asks again.
    case asksAgain(Int)
    /// The coordinator's right disk is put back.
    case backupEnds
    /// The checks that look at everything.
    case inspects
    case calm
    case operatorLooks
}

/// What a client asks, again and again until it has an answer.
struct Request {
    enum Event {
        case submit(reference: Int)
        case order(JobOrder, JobID)
    }
    var event: Event
    var key: RequestKey
    var answer: RequestAnswer?
}

/// What travels between workers, or between a worker and the coordinator's store: one chunk stands for a whole slice.
struct Chunk {
    enum Kind: UInt8 { case node, root, stateRequest, state, saved, plea, grant }
    var kind: Kind
    var job: JobID
    var generation: Generation
    var step: Step
    var tag: UInt64 = 0
    var shards = ShardRange(0, 0)
    var sum = Reference.Sum(value: 0, loss: 0)
    /// Sender's rank, or the part of the state.
    var part = 0
    var digest: UInt64 = 0
    /// Of a save; 1 in a grant that is a loan.
    var attempt: UInt32 = 0
    /// What a shard takes the sender of a plea.
    var shardTime = Span.zero
    /// Elements, of `.saved`.
    var range: Range<UInt64> = 0..<0
}

/// A control connection between a worker and one life of the coordinator.
struct Connection {
    let worker: Int
    let boot: Int
    let life: Int
    /// The coordinator's name for it; nil until a message came, or after the coordinator closed it.
    var session: SessionID?
    /// Nothing sent from now on arrives.
    var isCut = false
    /// The coordinator knows that it is gone.
    var isClosedAtCoordinator = false
    // In-order delivery in both directions.
    var lastToCoordinator = Instant(nanoseconds: 0)
    var lastToWorker = Instant(nanoseconds: 0)
    /// Messages pass from here on (a held-up connection).
    var passesFrom = Instant(nanoseconds: 0)
    /// Until then messages in that direction are lost (a one-way partition).
    var losesToCoordinatorUntil = Instant(nanoseconds: 0)
    var losesToWorkerUntil = Instant(nanoseconds: 0)
    /// Messages that the coordinator sent over it.
    var sent: UInt32 = 0
}

/// What can be aimed at a worker.
enum AimedFault: CaseIterable {
    case kill
    case cutControl
    /// Its data connection to another end, worker or coordinator.
    case breakLink
    case crashCoordinator
}
