import Recipes
package import Terms
import Wire

/// One job's course: its generations, its steps, and what has to happen between them.
///
/// ```
/// gathering ──enough workers──▶ preparing ──all stand still──▶ beginning ──all at the target──▶ running
///     ▲                             ▲  ▲                            │                              │
///     └──────too few workers────────┘  └──────a member is lost──────┴──────lost, or one joins──────┘
/// ```
/// While running, leases reach at most to the next *barrier*: a step after which something else is due (evaluation,
/// checkpoint, end). Aspects: `+Generations`, `+Steps`, `+Barriers`.
package struct JobRun: Sendable {
    enum Phase: Sendable, Equatable { case gathering, preparing, beginning, running }

    package let id: JobID
    package internal(set) var description: JobDescription
    /// nil for a job at rest whose sequence lengths were not read again after a restart.
    var job: Job?
    package internal(set) var state = JobState.queued
    package internal(set) var reason = ""
    package internal(set) var generation = Generation(0)
    var phase = Phase.gathering
    /// What the arithmetic of its workers gives; nil until its first generation (design §4.1, rule 9).
    package internal(set) var profile: UInt64?
    /// When the job first could have started with its minimum.
    var gatheredAt: Instant?
    /// It ran before this start of the coordinator, and has had no generation since.
    var returns = false
    /// Since when it has no generation.
    var idleSince: Instant
    /// Generations in a row that broke before a step counted, and when the next one may be opened.
    var fruitless = 0
    var opensAfter = Instant(nanoseconds: 0)
    /// Since when every connected worker is unfit for it.
    var hopelessSince: Instant?
    var isIdle: Bool { phase == .gathering }

    // MARK: Members of the current generation; rank = place.
    var members: [MemberRecord] = []
    var shardsPerMember: [Int] = []
    /// The next generation waits until every leased step is applied: it only adds workers.
    var generationOpenedAt = Instant(nanoseconds: 0)

    // MARK: Steps
    /// Digest of the state after step s at place s; place 0 is the initial state and not compared. Reaches beyond
    /// `committed` after a rewind: what is computed again must come out the same.
    var digests: [UInt64] = [0]
    /// Steps that count.
    package internal(set) var committed: Step = 0
    /// Steps that the current generation has applied; below `committed` while steps are computed again.
    var applied: Step = 0
    /// Steps that members may run.
    var leased: Step = 0
    var book = RecipeBook()
    /// Input tokens of committed steps.
    package internal(set) var tokens = 0
    /// Input tokens of the first s committed steps, at place s − 1.
    var history: [Int] = []
    /// The newest committed step, for the view.
    package internal(set) var newest: CommittedStep?

    // MARK: Barriers
    /// The step of the newest checkpoint, 0 = none yet: the initial state, which every worker can make.
    package internal(set) var saved: Step = 0
    var evaluatedAt: Step?
    var evaluation: EvaluationRun?
    var saving: SaveRun?
    var saveAttempts: UInt32 = 0
    var failedSaves = 0
    var lastSaveAt: Instant
    /// No checkpoint is tried before.
    var saveAgainAt = Instant(nanoseconds: 0)
    var wantsSave: SaveReason?
    var wantsPause = false
    /// The step at which a budget limit stops the job, once known.
    var exhausted: (step: Step, limit: String)?
    /// Non-finite results at one step.
    var nonFinite: (step: UInt64, count: Int) = (0, 0)
    /// Time and core time used.
    package internal(set) var meter = Meter()

    struct MemberRecord: Sendable {
        var session: SessionID
        var node: NodeID
        var threads: Int
        var standing: Standing?
        var isReady = false
        /// Steps it has reported in this generation.
        var step: Step = 0
    }

    struct EvaluationRun: Sendable {
        var step: Step
        /// By rank: what was asked.
        var orders: [EvaluationOrder]
        /// By rank; nil = not answered yet.
        var results: [EvaluationResult?]
    }

    struct SaveRun: Sendable {
        var step: Step
        var attempt: UInt32
        var reason: SaveReason
        /// By rank: whether its copy is taken.
        var copied: [Bool]
        var isCopied: Bool { !copied.contains(false) }
    }

    init(id: JobID, job: Job, submittedAt: Instant) {
        self.id = id
        self.job = job
        description = job.description
        lastSaveAt = submittedAt
        idleSince = submittedAt
    }

    /// A job known from the journal only.
    init(id: JobID, description: JobDescription, at now: Instant) {
        self.id = id
        self.description = description
        lastSaveAt = now
        idleSince = now
    }

    /// The step after which the job is done: its plan's end, or where a budget stops it.
    package var endStep: Step { min(job?.plan.plannedSteps ?? Int.max, exhausted?.step ?? Int.max) }

    /// Steps planned before any budget.
    package var plannedSteps: Step { job?.plan.plannedSteps ?? 0 }

    /// Input tokens of the first `step` committed steps.
    package func tokens(after step: Step) -> Int { step > 0 ? history[step - 1] : 0 }

    /// How many workers are in.
    package var workerCount: Int { members.count }

    /// Reads the meter; called before an event can change the members.
    mutating func tick(_ now: Instant) {
        meter.read(threads: phase == .gathering ? nil : members.reduce(0) { $0 + $1.threads }, now)
    }

    func noteSpent(_ output: inout CoordinatorOutput) {
        output.journal.append(.spent(
            id, wallMilliseconds: meter.wallMilliseconds, coreMilliseconds: meter.coreMilliseconds))
    }

    mutating func rest(_ state: JobState, reason: String, _ output: inout CoordinatorOutput) {
        if let saving { output.commands.append(.abandon(id, attempt: saving.attempt)) }
        if phase != .gathering { noteSpent(&output) }
        move(to: state, reason: reason, &output)
        phase = .gathering
        members = []
        evaluation = nil
        saving = nil
        gatheredAt = nil
        hopelessSince = nil
        wantsPause = false
        wantsSave = nil
    }

    mutating func move(to state: JobState, reason: String, _ output: inout CoordinatorOutput) {
        guard self.state != state else { return }
        self.state = state
        self.reason = reason
        output.journal.append(.state(id, state, reason: reason))
        output.notices.append(.state(id, state, reason: reason))
    }

    mutating func obey(_ order: JobOrder, _ now: Instant, _ output: inout CoordinatorOutput) {
        switch order {
        case .pause where !state.isAtRest:
            // Members on their way into a generation have progress that deserves a checkpoint first.
            if phase == .gathering { rest(.paused, reason: "paused by request", &output) } else { wantsPause = true }
        case .cancel where !state.isAtRest || state == .paused:
            rest(.cancelled, reason: "cancelled by request", &output)
        case .checkpoint where !state.isAtRest: wantsSave = .user
        case .resume where state == .paused || state == .failed || state == .budgetExhausted || state == .diverged:
            exhausted = nil
            failedSaves = 0
            nonFinite = (0, 0)
            lastSaveAt = now
            idleSince = now
            move(to: .queued, reason: "resumed", &output)
        case .pause, .cancel, .checkpoint, .resume: break
        }
    }

    /// When this job wants to be looked at again, without any message.
    func deadline(_ times: CoordinatorTimes, _ now: Instant) -> Instant? {
        if phase == .gathering, !state.isAtRest {
            return [
                gatheredAt.map { $0 + gatherWindow(times) }, hopelessSince.map { $0 + times.hopeWindow }, opensAfter,
            ].compactMap(\.self).filter { $0 > now }.min()
        }
        guard phase == .running else { return nil }
        let interval = description.saveMilliseconds
        return [
            generationOpenedAt + times.joinPause, saveAgainAt,
            interval > 0 ? lastSaveAt + .milliseconds(Int64(interval)) : nil,
        ].compactMap(\.self).filter { $0 > now }.min()
    }

    /// Looks at everything and does what is due, until nothing more is. Called after every event.
    mutating func advance(
        _ sessions: [SessionRecord], _ times: CoordinatorTimes, _ now: Instant, _ output: inout CoordinatorOutput
    ) {
        var before: Posture
        repeat {
            before = posture
            moveOn(sessions, times, now, &output)
        } while posture != before
    }

    /// What one move of `moveOn` can change so that another one becomes possible.
    private struct Posture: Equatable {
        var phase: Phase
        var state: JobState
        var generation: Generation
        var endStep: Step
        var leased: Step
    }

    private var posture: Posture {
        Posture(phase: phase, state: state, generation: generation, endStep: endStep, leased: leased)
    }

    private mutating func moveOn(
        _ sessions: [SessionRecord], _ times: CoordinatorTimes, _ now: Instant, _ output: inout CoordinatorOutput
    ) {
        guard !state.isAtRest, job != nil else { return }
        switch phase {
        case .gathering: gather(sessions, times, now, &output)
        case .preparing: if members.allSatisfy({ $0.standing != nil }) { begin(sessions, now, &output) }
        case .beginning: if members.allSatisfy(\.isReady) { run(now, &output) }
        case .running: break
        }
        if phase == .running { proceed(sessions, times, now, &output) }
    }
}
