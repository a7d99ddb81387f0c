package import Budgeting
package import Terms
import Wire

/// One cluster's control plane as a plain value.
///
/// It never reads a clock, a socket, a file or a random source: all it knows arrives as a `CoordinatorEvent`, all it
/// wants done leaves in a `CoordinatorOutput`. The same events at the same instants give the same outputs.
///
/// Files: this one (state, dispatch, liveness) · `+Sessions` (who is connected) · `+Jobs` (submitting, orders)
/// · `+Placement` (who works for whom) · `JobRun` and its aspects (one job's generations, steps, barriers).
package struct Coordinator: Sendable {
    /// +1 at every start of the coordinator; durable before the first message.
    package let epoch: UInt64
    package let times: CoordinatorTimes
    /// What energy and money are taken to be.
    package let rates: RateCard
    /// Milliseconds since 1970 at the zero of the boot clock; only recorded in ledgers.
    let clockOffset: Int64
    /// Where workers reach the coordinator's data socket.
    package let dataEndpoint: String
    /// Connections that said hello, ascending by session.
    package internal(set) var sessions = SessionTable()
    /// Every job ever submitted, by number.
    package internal(set) var jobs: [JobRun] = []
    /// What the jobs of a project may spend together, ascending by name.
    package internal(set) var projects: [ProjectRecord] = []
    /// Answers to the newest requests, oldest first.
    var answers: [RequestAnswer] = []
    /// The instant of the event in hand.
    private var instant = Instant(nanoseconds: 0)
    // MARK: What to look at: an event costs what it touches, however many jobs and workers there are.
    var queue = JobQueue()
    /// Places of jobs that something happened to, ascending.
    private var stirred: [Int] = []
    /// By place: when time alone moves the job on, in nanoseconds.
    private var looks = LookTimes()
    /// Nobody falls silent before.
    private var expiry = Instant(nanoseconds: .max)
    /// Workers or jobs came, went or changed: who has whom must be decided anew; and when time alone changes it.
    var placementIsDue = false
    /// Placement found workers unfit that nobody knew of: it looks once more.
    var hasFoundUnfit = false
    var placesAt: Instant?
    /// Jobs that every worker is unfit for.
    var hopeless: [JobID] = []
    /// When the shell was asked to come back at the latest.
    private var deadline: Instant?
    /// What a simulation has planted here; nothing anywhere else.
    let bug: PlantedBug?

    package init(
        epoch: UInt64, dataEndpoint: String, times: CoordinatorTimes = CoordinatorTimes(), rates: RateCard = RateCard(),
        clockOffset: Int64 = 0, bug: PlantedBug? = nil
    ) {
        self.bug = bug
        self.epoch = epoch
        self.dataEndpoint = dataEndpoint
        self.times = times
        self.rates = rates
        self.clockOffset = clockOffset
    }

    /// Feeds one event. `now` must not go backwards.
    package mutating func handle(_ event: CoordinatorEvent, at now: Instant) -> CoordinatorOutput {
        var output = CoordinatorOutput()
        forgiveOwnSleep(now)
        instant = now
        switch event {
        case .received(let message, let session, let number): receive(message, number, from: session, now, &output)
        case .connectionClosed(let session): remove(session, reason: "connection closed", now, &output)
        case .submitted(let job, let request): submit(job, request, now, &output)
        case .ordered(let order, let job, let request): obey(order, job, request, now, &output)
        case .limited(let job, let budget): update(job) { $0.limit(to: budget, now, &output) }
        case .projectLimited(let name, let budget):
            change(project: name, to: budget)
            output.journal.append(.projectLimited(name, budget))
            for index in jobs.indices where jobs[index].description.project == name { stir(index) }
        case .published(let job, let step, let attempt):
            update(job) { $0.published(step: step, attempt: attempt, now, &output) }
        case .publishFailed(let job, let step, let attempt, let problem):
            update(job) { $0.publishFailed(step: step, attempt: attempt, problem: problem, now, &output) }
        case .failed(let job, let reason): update(job) { $0.fail(reason, &output) }
        case .halted(let job, let reason): update(job) { $0.halt(reason, &output) }
        case .drain(let node): drain(node, &output)
        case .deadline: break
        }
        if now >= expiry { expireSilent(now, &output) }
        if let placesAt, now >= placesAt { placementIsDue = true }
        for index in looks.due(now) { stir(index) }
        settle(now, &output)
        deadline = nextDeadline(now)
        output.deadline = deadline
        return output
    }

    /// Lets jobs and placement answer each other until nothing moves any more: workers that one job frees may be what
    /// another one waits for.
    private mutating func settle(_ now: Instant, _ output: inout CoordinatorOutput) {
        while placementIsDue || !stirred.isEmpty {
            if placementIsDue {
                placementIsDue = false
                place(now, &output)
            }
            let places = stirred
            stirred = []
            for index in places {
                jobs[index].tick(now)
                share(index)
                warnOfProject(index, &output)
                let crew = sessions.crew(of: jobs[index].id)
                jobs[index].advance(crew, times, now, &output)
                dismissForeign(index, now, &output)
                enlist(index)
                if jobs[index].workers > 0 || jobs[index].state.isAtRest { releaseRested(index, &output) }
                if sessions.withdrawn > 0 { releaseWithdrawn(index, &output) }
                looks.set(index, jobs[index].deadline(times, now))
            }
        }
    }

    /// When this process itself was not running at its deadline, the silence of the workers proves nothing: what they
    /// said meanwhile waits in the sockets, and they get two heartbeats more to say it. Nor was it time that a job used,
    /// beyond what its leases allow: a machine was suspended, perhaps for a night.
    private mutating func forgiveOwnSleep(_ now: Instant) {
        guard let deadline, now - deadline > times.heartbeat else { return }
        let slept = now - deadline
        for index in jobs.indices { jobs[index].sleep(slept) }
        let forgiven = slept + times.heartbeat * 2
        for index in sessions.indices { sessions[index].lastHeard = min(now, sessions[index].lastHeard + forgiven) }
    }

    private mutating func receive(
        _ message: Message, _ number: UInt32, from session: SessionID, _ now: Instant, _ output: inout CoordinatorOutput
    ) {
        if case .hello(let hello) = message { return admit(hello, number, session, now, &output) }
        guard let index = sessions.place(of: session) else {
            // It was given up, or never began: with a hello it can begin anew.
            let refusal = Refusal(code: .unknown, text: "this session has ended: say hello again")
            if message != .goodbye { output.sends.append((session, .refuse(refusal))) }
            return
        }
        guard isNext(number, index, now, &output) else { return }
        sessions.hear(at: index, now)
        if sessions[index].isSuspected {
            sessions[index].isSuspected = false
            watch(now)
        }
        if bug == .sendersClockBelieved, case .heartbeat(let beat) = message {
            sessions[index].lastHeard = Instant(nanoseconds: Int64(clamping: beat.sentAt))
        }
        switch message {
        case .heartbeat(let beat): output.sends.append((session, .heartbeatReply(beat)))
        case .goodbye: remove(session, reason: "left", now, &output)
        case .drain: drain(index, &output)
        case .assigned(let result): loaded(result, index, now, &output)
        case .prepared(let standing):
            update(standing.job) { $0.prepared(standing, from: session, now, &output) }
        case .ready(let position): ready(position, index, now, &output)
        case .report(let report):
            measure(report, index)
            update(report.position.job) { $0.reported(report, from: session, now, &output) }
        case .power(let reading): draw(reading, index)
        case .evaluated(let result): update(result.order.job) { $0.evaluated(result, from: session, now, &output) }
        case .snapshotTaken(let order): update(order.job) { $0.snapshotTaken(order, from: session, now, &output) }
        case .trouble(let trouble): self.trouble(trouble, index, now, &output)
        case .hello, .welcome, .refuse, .heartbeatReply, .shutdown, .assign, .release, .prepare, .begin, .lease,
            .evaluate, .save, .request, .reply:
            // Only the coordinator says these, or the shell answers them; from a worker they change nothing.
            break
        }
    }

    /// A worker's machine says what the worker draws.
    private mutating func draw(_ reading: PowerReading, _ index: Int) {
        guard reading.milliwatts <= PowerReading.most else { return }
        let milliwatts = Int64(reading.milliwatts)
        sessions[index].milliwatts = milliwatts
        guard let job = sessions[index].job else { return }
        let session = sessions[index].id
        update(job) { $0.noteDraw(milliwatts, of: session) }
    }

    mutating func update(_ job: JobID, _ change: (inout JobRun) -> Void) {
        guard let index = place(ofJob: job) else { return }
        jobs[index].tick(instant)
        share(index)
        change(&jobs[index])
        stir(index)
        enlist(index)
    }

    /// A job is to be looked at.
    mutating func stir(_ index: Int) { stirred.set(index, isIn: true) }

    /// The job of that number.
    package func job(_ id: JobID) -> JobRun? { place(ofJob: id).map { jobs[$0] } }

    /// Jobs are numbered from 1 without gaps.
    func place(ofJob id: JobID?) -> Int? {
        guard let id, id.number > 0, id.number <= jobs.count else { return nil }
        return Int(id.number) - 1
    }

    /// Number of the newest message of a session, nil = there is no such session.
    package func heard(from id: SessionID) -> UInt32? { sessions.place(of: id).map { sessions[$0].heard } }

    /// The next instant at which something is due. What was due up to `now` is done, or waits for an event.
    private func nextDeadline(_ now: Instant) -> Instant? {
        var next = min(expiry.nanoseconds, looks.next(after: now))
        if let placesAt, placesAt > now { next = min(next, placesAt.nanoseconds) }
        return next == .max ? nil : Instant(nanoseconds: max(next, now.nanoseconds + 1))
    }

    /// Names the workers that are silent, gives up those that are so for too long, and notes when the next one can be.
    private mutating func expireSilent(_ now: Instant, _ output: inout CoordinatorOutput) {
        let silent = sessions.filter { $0.role == .worker && now - $0.lastHeard >= times.deadAfter }
        for record in silent where bug != .silentWorkersStay {
            remove(record.id, reason: "silent for \(Int(times.deadAfter.seconds)) s", now, &output)
            output.commands.append(.close(record.id))
        }
        expiry = Instant(nanoseconds: .max)
        for index in sessions.indices where sessions[index].role == .worker {
            let silence = now - sessions[index].lastHeard
            if silence >= times.suspectAfter, !sessions[index].isSuspected {
                sessions[index].isSuspected = true
                output.notices.append(.suspected(sessions[index].node, name: sessions[index].name, silence: silence))
            }
            let patience = sessions[index].isSuspected ? times.deadAfter : min(times.suspectAfter, times.deadAfter)
            let limit = sessions[index].lastHeard + patience
            if limit > now { expiry = min(expiry, limit) }
        }
    }

    /// A session of a worker that was just heard counts among those that can fall silent.
    mutating func watch(_ now: Instant) { expiry = min(expiry, now + min(times.suspectAfter, times.deadAfter)) }
}
