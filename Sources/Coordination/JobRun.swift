package import Budgeting
package import Recipes
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
/// checkpoint, end). Aspects: `+Generations`, `+Steps`, `+Barriers`, `+Plan`, `+Ledger`.
package struct JobRun: Sendable {
    enum Phase: Sendable, Equatable { case gathering, preparing, beginning, running }

    package let id: JobID
    package internal(set) var description: JobDescription { didSet { encodedDescription = nil } }
    private var encodedDescription: [UInt8]?
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

    /// Workers that have the job, or load it; not those that it lets go.
    package internal(set) var workers = 0
    /// It waits for workers, or has some.
    var isQueued = false
    /// What the queue knows about its workers.
    var holding: JobQueue.Holding?
    /// What a simulation has planted here.
    var bug: PlantedBug?

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
    var evaluationOrderedAt = Instant(nanoseconds: 0)
    var saving: SaveRun?
    var saveAttempts: UInt32 = 0
    var failedSaves = 0
    /// A checkpoint began or ended since the newest step counted.
    var savedBesideStep = false
    var lastSaveAt: Instant
    /// Since when members want to leave; nil = none does.
    var leavingSince: Instant?
    /// When the newest checkpoint was ordered that was read back whole, or the job was set going.
    var lastReadBackAt: Instant
    /// No checkpoint is tried before.
    var saveAgainAt = Instant(nanoseconds: 0)
    var wantsSave: SaveReason?
    var wantsPause = false
    /// Why the newest checkpoint was made; nil = it comes from an earlier life.
    var savedFor: SaveReason?
    /// The step of the newest trunk checkpoint.
    package internal(set) var trunk: Step?
    /// How often members were lost, for the interval of checkpoints.
    var failures = 0

    // MARK: Budget
    /// Plan events in the order made; rules where the job ends.
    package internal(set) var plan: [PlanEvent] = []
    /// nil until the job is readied for the first time.
    package internal(set) var ledger: Ledger?
    var nextLease: UInt64 = 1
    /// What the project leaves the job; nil = it has no limits.
    var share: ProjectShare?
    /// Recipes were journalled up to this step: plans may change beyond it only.
    var issued: Step = 0
    var pace = Pace()
    /// A warning level was reached, and no plan was made for it yet.
    var isWarned = false
    /// It was set going again, and its plan was not held against the limits yet: they may have changed meanwhile.
    var wasResumed = false
    /// The limits in force are others than when the newest plan event was made, and the plan was not held against them.
    var hasOtherLimits = false
    /// A plan was made from measured cost already: a first one is, as soon as cost is known, and what a measured limit
    /// ended.
    var plansFromCost: Bool {
        plan.count { $0.cause == .start } > 1
            || plan.contains { event in BudgetUnit.allCases.contains { !$0.isExact && $0.key == event.limit } }
    }
    let rates: RateCard
    /// Milliseconds since 1970 at the last event, for the ledger's lines only.
    var clock: Int64 = 0
    private let clockOffset: Int64
    /// Whose results at one step were infinite or not numbers: others compute those shards.
    var nonFinite: (step: Step, nodes: [NodeID]) = (0, [])
    /// Generations in a row that were opened only to share out the shards anew, and when the next may be.
    var rebalancings = 0
    var rebalancesAfter = Instant(nanoseconds: 0)
    /// Time and core time used.
    package internal(set) var meter = Meter()
    /// Core time that members spent on shards computed by another as well and that is in no ledger yet, microseconds.
    var repeatedMicroseconds: Int64 = 0

    struct MemberRecord: Sendable {
        var session: SessionID
        var node: NodeID
        var threads: Int
        var standing: Standing?
        var isReady = false
        /// What it draws by its machine's own counters; nil = nobody reads them.
        var milliwatts: Int64?
        /// What the meter showed when that was read last, or when it became a member.
        var drawnSince: Span
        /// Steps it has reported in this generation.
        var step: Step = 0
        /// When it reported the newest of them, or became a member.
        var reportedAt: Instant
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
        /// Every object is read back from the disk; false = a sample.
        var isReadBack: Bool
        /// By rank: whether its copy is taken.
        var copied: [Bool]
        var isCopied: Bool { !copied.contains(false) }
        /// From the order, or the end of the update before it, until the copy was taken: of the slowest member.
        var halt = Span.zero
        /// For how long the update behind it waited, at the member that waited longest.
        var wait = Span.zero
    }

    /// A job whose sequence lengths `job` may bring along; `clockOffset` turns instants into milliseconds since 1970.
    init(id: JobID, description: JobDescription, job: Job? = nil, rates: RateCard, clockOffset: Int64, at now: Instant)
    {
        self.id = id
        self.description = description
        self.job = job
        self.rates = rates
        self.clockOffset = clockOffset
        (lastSaveAt, lastReadBackAt) = (now, now)
        idleSince = now
        clock = now.nanoseconds / 1_000_000 + clockOffset
        guard let past = description.branch else { return }
        committed = past.step
        saved = past.step
        issued = past.step
        tokens = past.tokens
        history = Array(repeating: past.tokens, count: past.step)
        digests = Array(repeating: 0, count: past.step) + [past.digest]
    }

    /// The description as workers get it: made once, for many of them.
    mutating func descriptionBytes() -> [UInt8] {
        let bytes = encodedDescription ?? description.encoded()
        encodedDescription = bytes
        return bytes
    }

    /// Whether that digest is the one on record for the state after a step.
    package func knows(_ digest: UInt64, at step: Step) -> Bool {
        digests.indices.contains(step) && digests[step] == digest
    }

    /// The step after which the job is done: its own length's, or where a budget stops it.
    package var endStep: Step { min(job?.plan.plannedSteps ?? Int.max, plan.last?.end ?? Int.max) }

    /// Steps planned before any budget.
    package var plannedSteps: Step { job?.plan.plannedSteps ?? 0 }

    /// Input tokens of the first `step` committed steps.
    package func tokens(after step: Step) -> Int { step > 0 ? history[step - 1] : 0 }

    func isMember(_ session: SessionID) -> Bool { members.contains { $0.session == session } }

    /// How many workers are in.
    package var workerCount: Int { members.count }

    /// Reads the meter; called before an event can change the members.
    mutating func tick(_ now: Instant) {
        clock = max(clock, now.nanoseconds / 1_000_000 + clockOffset)
        meter.read(threads: phase == .gathering ? nil : members.reduce(0) { $0 + $1.threads }, milliwatts: draw, now)
    }

    /// The coordinator was not running for so long: of that time a job has used no more than its leased steps take.
    mutating func sleep(_ span: Span) {
        guard phase != .gathering else { return }
        var used = Self.leaseMilliseconds
        if phase == .running, leased > committed {
            guard let step = stepCost(.wallClock, withPauses: true) else { return }
            used += Double(leased - committed) * step
        }
        let idle = Double(span.nanoseconds / 1_000_000) - used
        if idle > 0 { meter.skip(.milliseconds(Int64(idle))) }
    }

    mutating func rest(_ state: JobState, reason: String, _ output: inout CoordinatorOutput) {
        if let saving { output.commands.append(.abandon(id, attempt: saving.attempt)) }
        if phase != .gathering { postOverhead(&output) }
        closeLeases(&output)
        // Others of the project may have what was set aside; a paused job has not ended.
        if state != .paused { setAside(.zero, &output) }
        move(to: state, reason: reason, &output)
        phase = .gathering
        members = []
        evaluation = nil
        saving = nil
        gatheredAt = nil
        hopelessSince = nil
        wantsPause = false
        wantsSave = nil
        encodedDescription = nil
    }

    /// Ends here, for a reason outside of it; it can be resumed once that is mended.
    mutating func fail(_ reason: String, _ output: inout CoordinatorOutput) {
        if !state.isAtRest { rest(.failed, reason: reason, &output) }
    }

    /// Rests without a checkpoint: there is no room for one.
    mutating func halt(_ reason: String, _ output: inout CoordinatorOutput) {
        if !state.isAtRest { rest(.paused, reason: reason, &output) }
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
        case .secure where !state.isAtRest: wantsSave = wantsSave ?? .pause
        case .resize(let range) where range.lowerBound >= 1 && range.upperBound <= description.virtualShards:
            description.workersMin = range.lowerBound
            description.workersMax = range.upperBound
            output.journal.append(.amended(id, description: description.encoded()))
        case .resume where state == .budgetExhausted: goOn(from: .trunk, now, &output)
        case .resumeAnnealed where state == .budgetExhausted: goOn(from: .annealed, now, &output)
        case .resume where bug == .doneJobResumes && state == .done: requeue(now, &output)
        case .resume where state == .paused || state == .failed || state == .diverged,
            .resumeAnnealed where state == .paused || state == .failed || state == .diverged:
            requeue(now, &output)
        case .pause, .cancel, .checkpoint, .secure, .resume, .resumeAnnealed, .resize: break
        }
    }

    /// Sets a job at rest going again, from where it stands.
    mutating func requeue(_ now: Instant, _ output: inout CoordinatorOutput) {
        failedSaves = 0
        nonFinite = (0, [])
        (lastSaveAt, lastReadBackAt) = (now, now)
        idleSince = now
        wasResumed = true
        move(to: .queued, reason: "resumed", &output)
    }

    /// When this job wants to be looked at again, without any message.
    func deadline(_ times: CoordinatorTimes, _ now: Instant) -> Instant? {
        var next: Instant?
        func consider(_ instant: Instant) {
            if instant > now { next = min(next ?? instant, instant) }
        }
        if phase == .gathering, !state.isAtRest {
            consider(opensAfter)
            if let gatheredAt { consider(gatheredAt + gatherWindow(times)) }
            if let hopelessSince { consider(hopelessSince + times.hopeWindow) }
        } else if phase == .running {
            consider(generationOpenedAt + times.joinPause)
            consider(saveAgainAt)
            if let saveInterval { consider(lastSaveAt + saveInterval) }
        }
        if let giveUpAt = giveUpInstant(now) { consider(giveUpAt) }
        return next
    }

    /// Looks at everything and does what is due, until nothing more is. Called after every event, with the workers that
    /// have the job.
    mutating func advance(
        _ crew: Crew, _ times: CoordinatorTimes, _ now: Instant, _ output: inout CoordinatorOutput
    ) {
        var before: Posture
        repeat {
            before = posture
            moveOn(crew, times, now, &output)
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
        _ crew: Crew, _ times: CoordinatorTimes, _ now: Instant, _ output: inout CoordinatorOutput
    ) {
        guard !state.isAtRest, job != nil else { return }
        planStart(now, &output)
        if phase == .gathering, isHeld(crew, &output) { return }
        switch phase {
        case .gathering: gather(crew, times, now, &output)
        case .preparing: if members.allSatisfy({ $0.standing != nil }) { begin(crew, now, &output) }
        case .beginning: if members.allSatisfy(\.isReady) { run(now, &output) }
        case .running: break
        }
        if phase == .running, !givesUpStep(now, &output) { proceed(crew, times, now, &output) }
    }
}
