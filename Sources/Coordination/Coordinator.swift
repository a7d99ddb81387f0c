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
    /// Connections that said hello, by session.
    package internal(set) var sessions: [SessionRecord] = []
    /// Every job ever submitted, by number.
    package internal(set) var jobs: [JobRun] = []
    /// What the jobs of a project may spend together, ascending by name.
    package internal(set) var projects: [(name: String, limits: Budget)] = []
    /// When the shell was asked to come back at the latest.
    private var deadline: Instant?

    package init(
        epoch: UInt64, dataEndpoint: String, times: CoordinatorTimes = CoordinatorTimes(), rates: RateCard = RateCard(),
        clockOffset: Int64 = 0
    ) {
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
        for index in jobs.indices { jobs[index].tick(now) }
        switch event {
        case .received(let message, let session): receive(message, from: session, now, &output)
        case .connectionClosed(let session): remove(session, reason: "connection closed", now, &output)
        case .submitted(let job): submit(job, now, &output)
        case .ordered(let order, let job): obey(order, job, now, &output)
        case .limited(let job, let budget): update(job) { $0.limit(to: budget, now, &output) }
        case .projectLimited(let name, let budget):
            limit(project: name, to: budget)
            output.journal.append(.projectLimited(name, budget))
        case .published(let job, let step, let attempt):
            update(job) { $0.published(step: step, attempt: attempt, now, &output) }
        case .publishFailed(let job, let step, let attempt, let problem):
            update(job) { $0.publishFailed(step: step, attempt: attempt, problem: problem, now, &output) }
        case .deadline: break
        }
        expireSilent(now, &output)
        // Workers that a resting job frees may be what another one waits for.
        repeat {
            place(now, &output)
            for index in jobs.indices {
                share(index)
                jobs[index].advance(sessions, times, now, &output)
            }
            dismissForeign(now, &output)
        } while releaseRested(&output)
        deadline = nextDeadline(now)
        output.deadline = deadline
        return output
    }

    /// When this process itself was not running at its deadline, the silence of the workers proves nothing: what they
    /// said meanwhile waits in the sockets, and they get two heartbeats more to say it.
    private mutating func forgiveOwnSleep(_ now: Instant) {
        guard let deadline, now - deadline > times.heartbeat else { return }
        let slept = now - deadline + times.heartbeat * 2
        for index in sessions.indices { sessions[index].lastHeard = min(now, sessions[index].lastHeard + slept) }
    }

    private mutating func receive(
        _ message: Message, from session: SessionID, _ now: Instant, _ output: inout CoordinatorOutput
    ) {
        if case .hello(let hello) = message { return admit(hello, session, now, &output) }
        guard let index = sessions.firstIndex(where: { $0.id == session }) else {
            // It was given up, or never began: with a hello it can begin anew.
            let refusal = Refusal(code: .unknown, text: "this session has ended: say hello again")
            if message != .goodbye { output.sends.append((session, .refuse(refusal))) }
            return
        }
        sessions[index].lastHeard = now
        switch message {
        case .heartbeat(let beat): output.sends.append((session, .heartbeatReply(beat)))
        case .goodbye: remove(session, reason: "left", now, &output)
        case .assigned(let result): loaded(result, index, now, &output)
        case .prepared(let standing):
            update(standing.job) { $0.prepared(standing, from: session, now, &output) }
        case .ready(let position): ready(position, index, now, &output)
        case .report(let report):
            measure(report, index)
            update(report.position.job) { $0.reported(report, from: session, now, &output) }
        case .evaluated(let result): update(result.order.job) { $0.evaluated(result, from: session, now, &output) }
        case .snapshotTaken(let order): update(order.job) { $0.snapshotTaken(order, from: session, now, &output) }
        case .trouble(let trouble): self.trouble(trouble, index, now, &output)
        case .hello, .welcome, .refuse, .heartbeatReply, .shutdown, .assign, .release, .prepare, .begin, .lease,
            .evaluate, .save, .request, .reply:
            // Only the coordinator says these, or the shell answers them; from a worker they change nothing.
            break
        }
    }

    mutating func update(_ job: JobID, _ change: (inout JobRun) -> Void) {
        guard let index = jobs.firstIndex(where: { $0.id == job }) else { return }
        change(&jobs[index])
    }

    /// The job of that number.
    package func job(_ id: JobID) -> JobRun? { jobs.first { $0.id == id } }

    /// The next instant at which something is due. What was due up to `now` is done, or waits for an event.
    private func nextDeadline(_ now: Instant) -> Instant? {
        var next: Instant?
        func consider(_ instant: Instant?) {
            guard let instant, instant > now else { return }
            next = next.map { min($0, instant) } ?? instant
        }
        for session in sessions where session.role == .worker { consider(session.lastHeard + times.deadAfter) }
        for job in jobs { consider(job.deadline(times, now)) }
        return next
    }
}
