package import Terms

/// Everything that travels on the control plane, between a coordinator and its workers and clients.
///
/// Small, framed, versioned. Parameters and gradients never travel here: see `DataHeader`.
package enum Message: Sendable, Equatable {
    // MARK: Session
    /// Worker or client → coordinator: the first message on a connection.
    case hello(Hello)
    /// Coordinator → peer: the session stands.
    case welcome(Welcome)
    /// Coordinator → peer: no session, and why.
    case refuse(Refusal)
    /// Worker → coordinator, at the interval that `welcome` names; any traffic counts as one.
    case heartbeat(Heartbeat)
    /// Coordinator → worker: the answer to a heartbeat.
    case heartbeatReply(Heartbeat)
    /// Worker → coordinator: leaving now, on purpose.
    case goodbye
    /// Worker → coordinator: wants to leave once its job can do without it; `shutdown` answers.
    case drain
    /// Coordinator → worker: end the process.
    case shutdown

    // MARK: Job
    /// Coordinator → worker: what to train; load it and say when ready.
    case assign(Assignment)
    /// Worker → coordinator: loaded, or why it could not be.
    case assigned(AssignmentResult)
    /// Coordinator → worker: forget the job.
    case release(JobID)

    // MARK: Generation
    /// Coordinator → worker: stop work on the old generation and say where you stand.
    case prepare(JobID, Generation)
    /// Worker → coordinator: where it stands.
    case prepared(Standing)
    /// Coordinator → worker: the new membership and where its state comes from.
    case begin(Roster)
    /// Worker → coordinator: at the target step with the given state.
    case ready(Position)

    // MARK: Steps
    /// Coordinator → worker: the right to run the given steps.
    case lease(Lease)
    /// Worker → coordinator: a step was applied.
    case report(StepReport)
    /// Worker → coordinator: what it draws, where its machine can tell.
    case power(PowerReading)
    /// Coordinator → worker: compute the held-out loss of the given shards at a frozen step.
    case evaluate(EvaluationOrder)
    /// Worker → coordinator: the sums of those shards.
    case evaluated(EvaluationResult)
    /// Coordinator → worker: copy your share of the state and send it.
    case save(SaveOrder)
    /// Worker → coordinator: the copy is taken, training may go on.
    case snapshotTaken(SaveOrder)
    /// Worker → coordinator: it can't go on with a job.
    case trouble(Trouble)

    // MARK: Clients
    /// Client → coordinator: a question or an order, as bounded JSON.
    case request(id: UInt64, body: [UInt8])
    /// Coordinator → client: an answer; `last` ends the stream of answers to `id`.
    case reply(id: UInt64, last: Bool, body: [UInt8])
}

/// The protocol versions that this build speaks.
package enum WireVersion {
    package static let oldest: UInt16 = 2
    package static let newest: UInt16 = 2
}

/// Bounds on what a message may hold; above them it is refused before anything is allocated.
package enum WireLimits {
    /// Bytes of one control message.
    package static let controlBytes = 8 << 20
    /// Bytes of a data payload: one chunk.
    package static let chunkBytes = 256 << 10
    package static let textBytes = 4096
    package static let members = 4096
    package static let ranges = 65536
    package static let recipes = 1024
}

/// Who says it and what it can do: the first message of a connection.
package struct Hello: Sendable, Equatable {
    package enum Role: UInt8, Sendable {
        case worker = 1
        case client = 2
    }
    package var role: Role
    package var oldestVersion = WireVersion.oldest
    package var newestVersion = WireVersion.newest
    /// Kept across restarts of the process.
    package var node: NodeID
    /// New at every start of the process.
    package var boot: UInt64
    /// For people: host and process.
    package var name: String
    /// Threads it computes with.
    package var threads: UInt32
    /// Where peers reach its data socket, and whose key it proves there: `tcp://HOST:PORT` or `tcp://HOST:PORT#KEY`;
    /// empty for clients. Only the shells read it.
    package var dataEndpoint: String
    /// What its arithmetic gives: equal profiles give equal bits (design §4.1, rule 9).
    package var profile: UInt64
    /// The coordinator epoch it saw last, 0 = none.
    package var lastEpoch: UInt64
    /// Bytes of memory that it may use; 0 = it does not say.
    package var memory: UInt64 = 0
    /// +1 at every hello of one process; the welcome echoes it, so that a late answer to an older hello is known as
    /// one.
    package var greeting: UInt64 = 0

    package init(
        role: Role, node: NodeID, boot: UInt64, name: String, threads: UInt32, dataEndpoint: String,
        profile: UInt64, lastEpoch: UInt64
    ) {
        self.role = role
        self.node = node
        self.boot = boot
        self.name = name
        self.threads = threads
        self.dataEndpoint = dataEndpoint
        self.profile = profile
        self.lastEpoch = lastEpoch
    }
}

/// The session stands: its number, the pace of heartbeats, where data moves.
package struct Welcome: Sendable, Equatable {
    package var version: UInt16
    package var session: UInt64
    /// +1 at every start of the coordinator.
    package var epoch: UInt64
    package var heartbeatMilliseconds: UInt32
    /// Where the coordinator serves files and checkpoints; of the same form as a hello's.
    package var dataEndpoint: String
    /// That of the hello it answers.
    package var greeting: UInt64 = 0

    package init(version: UInt16, session: UInt64, epoch: UInt64, heartbeatMilliseconds: UInt32, dataEndpoint: String) {
        self.version = version
        self.session = session
        self.epoch = epoch
        self.heartbeatMilliseconds = heartbeatMilliseconds
        self.dataEndpoint = dataEndpoint
    }
}

/// Why there is no session.
package struct Refusal: Sendable, Equatable {
    package enum Code: UInt16, Sendable {
        case version = 1
        case full, stale, profile, unknown, duplicate, revoked
    }
    package var code: Code
    /// One sentence for the person at the other end.
    package var text: String

    package init(code: Code, text: String) {
        self.code = code
        self.text = text
    }
}

/// A sign of life, with the sender's clock so that the answer measures the way there and back.
package struct Heartbeat: Sendable, Equatable {
    package var session: UInt64
    /// The sender's clock, echoed in the answer; nanoseconds.
    package var sentAt: UInt64

    package init(session: UInt64, sentAt: UInt64) {
        self.session = session
        self.sentAt = sentAt
    }
}

/// What a worker's process drew on average since it last said so: its part of its machine's processors.
package struct PowerReading: Sendable, Equatable {
    package var milliwatts: UInt64
    /// More is no machine: 100 kW.
    package static let most: UInt64 = 100_000_000

    package init(milliwatts: UInt64) { self.milliwatts = milliwatts }
}

/// A job to load.
package struct Assignment: Sendable, Equatable {
    package var job: JobID
    /// A `JobDescription` as JSON text.
    package var description: [UInt8]

    package init(job: JobID, description: [UInt8]) {
        self.job = job
        self.description = description
    }
}

/// How loading a job ended.
package struct AssignmentResult: Sendable, Equatable {
    package var job: JobID
    /// Trained parameters, 0 when `problem` is set.
    package var parameters: UInt64
    /// Empty = loaded.
    package var problem: String

    package init(job: JobID, parameters: UInt64, problem: String) {
        self.job = job
        self.parameters = parameters
        self.problem = problem
    }
}
