package import Budgeting
package import Recipes
package import Terms
package import Wire

/// One connection to the coordinator; a reconnect is a new session.
package struct SessionID: Sendable, Hashable, Comparable {
    package var number: UInt64
    package init(_ number: UInt64) { self.number = number }
    package static func < (left: SessionID, right: SessionID) -> Bool { left.number < right.number }
}

/// Everything the coordinator's core ever learns.
package enum CoordinatorEvent: Sendable {
    /// `number` is the message's place among those of its connection, 0 = not numbered.
    case received(Message, from: SessionID, number: UInt32 = 0)
    case connectionClosed(SessionID)
    /// A job was asked for. What a client asks for again under the same key is answered, not done again.
    case submitted(Job, request: RequestKey? = nil)
    case ordered(JobOrder, JobID, request: RequestKey? = nil)
    /// A job's limits from now on.
    case limited(JobID, Budget)
    /// What the jobs of a project may spend together, from now on.
    case projectLimited(String, Budget)
    /// The store holds a complete checkpoint of the step: the answer to `.collect`, or found there at start (attempt
    /// 0).
    case published(JobID, step: Step, attempt: UInt32)
    case publishFailed(JobID, step: Step, attempt: UInt32, problem: String)
    /// The shell can't go on with a job: its folder or its store has failed.
    case failed(JobID, reason: String)
    /// The disk takes nothing more of a job: it rests where it stands, until somebody has made room and resumes it.
    case halted(JobID, reason: String)
    /// A worker is wanted away: it leaves at its job's next step boundary.
    case drain(NodeID)
    /// The instant that the last output named has come.
    case deadline
}

/// What an operator may ask of a job.
package enum JobOrder: Sendable, Equatable {
    /// Checkpoint at the next step boundary, then rest.
    case pause
    /// Go on; a job whose budget ran out, from the trunk, with what was granted since.
    case resume
    /// Go on; a job whose budget ran out, from its annealed state.
    case resumeAnnealed
    /// Stop without a checkpoint.
    case cancel
    /// Checkpoint at the next step boundary and go on.
    case checkpoint
    /// The same before the coordinator goes: the checkpoint is kept no longer than any other.
    case secure
    /// Run with so many workers from now on.
    case resize(ClosedRange<Int>)
}

/// From where a job goes on whose budget ran out.
package enum ResumePoint: String, Sendable {
    /// From the state before the anneal: the result is that of a run that was never limited.
    case trunk
    /// From the annealed state.
    case annealed
}

/// What the shell owes the core, in this order: make `journal` durable, then send `sends`, then carry out `commands`,
/// then wake at `deadline`.
package struct CoordinatorOutput: Sendable {
    /// Durable before anything below is visible.
    package var journal: [JournalEntry] = []
    package var sends: [(to: SessionID, message: Message)] = []
    package var commands: [CoordinatorCommand] = []
    /// Answers to requests that had a key.
    package var answers: [RequestAnswer] = []
    /// When `handle(.deadline)` is wanted next; nil = not.
    package var deadline: Instant?
    /// For the log and the live view; nothing depends on them.
    package var notices: [Notice] = []

    package init() {}
}

/// A client's own name for one request: 16 random bytes, the same again when it asks again.
package struct RequestKey: Sendable, Hashable {
    package var high: UInt64
    package var low: UInt64

    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// Reads 32 hexadecimal digits; nil when they are not.
    package init?(hex text: String) {
        guard text.utf8.count == 32, let high = UInt64(text.prefix(16), radix: 16),
            let low = UInt64(text.suffix(16), radix: 16)
        else { return nil }
        self.init(high: high, low: low)
    }
}

/// What became of a request; the same for ever, however often it is asked.
package struct RequestAnswer: Sendable, Equatable {
    package var key: RequestKey
    package var job: JobID
    /// The job's state right after the request.
    package var state: JobState

    /// Answers that are remembered, the newest ones.
    package static let limit = 4096
}

/// Work for the shell that is neither a message nor a journal entry.
package enum CoordinatorCommand: Sendable, Equatable {
    /// Collect the state of `step` from the chunks that workers send, and publish it; `isReadBack`: every object of it
    /// is read back from the disk, else one in twenty.
    case collect(JobID, step: Step, attempt: UInt32, kind: SaveReason, digest: UInt64, isReadBack: Bool)
    /// Forget a collection that will not be completed.
    case abandon(JobID, attempt: UInt32)
    /// Close a session's connection.
    case close(SessionID)
}

/// Why a checkpoint is made.
package enum SaveReason: String, Sendable { case periodic, final, pause, user, trunk }

/// What a person would want to hear.
package enum Notice: Sendable, Equatable {
    case joined(NodeID, name: String, threads: Int)
    case left(NodeID, name: String, reason: String)
    case refused(name: String, reason: String)
    /// A worker is silent for so long that it may be dead.
    case suspected(NodeID, name: String, silence: Span)
    case generation(JobID, Generation, workers: [NodeID], from: Step)
    /// All members of a generation stand at its first state, so long after it was opened.
    case ready(JobID, Generation, after: Span)
    case committed(JobID, CommittedStep)
    case evaluated(JobID, step: Step, loss: Double, tokens: Int)
    /// `stall` is how long training stood still, `total` how long it took until it existed; nil = not known.
    case saved(JobID, step: Step, kind: SaveReason, stall: Span? = nil, total: Span? = nil)
    case saveFailed(JobID, step: Step, problem: String)
    case rewound(JobID, to: Step)
    case planned(JobID, PlanEvent)
    /// A limit's warning level is reached.
    case warned(JobID, BudgetUnit, spent: Int64, limit: Int64)
    /// A limit's warning level is reached by all jobs of a project together.
    case projectWarned(JobID, project: String, BudgetUnit, spent: Int64, limit: Int64)
    case trouble(JobID, node: NodeID?, text: String)
    case state(JobID, JobState, reason: String)
}

/// Time limits of a coordinator. All are lengths on its own boot clock.
package struct CoordinatorTimes: Sendable {
    /// Between two heartbeats of a worker.
    package var heartbeat = Span.seconds(2)
    /// A worker silent for so long is named in the view.
    package var suspectAfter = Span.seconds(6)
    /// A worker silent for so long is out of the generation.
    package var deadAfter = Span.seconds(15)
    /// How long after the first worker a job waits for more than its minimum.
    package var gatherWindow = Span.milliseconds(300)
    /// As `gatherWindow`, for a job that ran before the coordinator was started again.
    package var returnWindow = Span.seconds(2)
    /// Shortest time between two generations that only add workers.
    package var joinPause = Span.seconds(1)
    /// How long a job holds workers below its minimum, for the progress in their memory, against a job behind it.
    package var holdWindow = Span.seconds(60)
    /// A job that every connected worker is unfit for fails after so long.
    package var hopeWindow = Span.seconds(3)
    /// A worker that could not serve a job is tried again after so long.
    package var retryWindow = Span.seconds(60)

    package init() {}
}
