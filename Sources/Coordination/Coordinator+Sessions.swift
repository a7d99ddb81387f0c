package import Terms
package import Wire

/// One connection that said hello.
package struct SessionRecord: Sendable {
    /// How far a worker is with the job it was given.
    package enum Load: Sendable, Equatable {
        case free
        case loading
        case loaded
    }

    /// A job that the worker could not serve.
    struct Unfitness: Sendable {
        var job: JobID
        var problem: String
        /// It may be tried again then.
        var until: Instant
    }

    package let id: SessionID
    package let node: NodeID
    /// The start of its process.
    let boot: UInt64
    package let name: String
    package let role: Hello.Role
    package let threads: Int
    /// Bytes of memory that it may use; 0 = it does not say.
    package let memory: Int
    package let profile: UInt64
    package let dataEndpoint: String
    package var lastHeard: Instant
    /// How often the state in its memory has changed by itself.
    var corruptions = 0
    /// Silent for longer than a worker that is well.
    package internal(set) var isSuspected = false
    /// Number of its newest message.
    package internal(set) var heard: UInt32 = 0
    package var job: JobID?
    package var load = Load.free
    /// Its job lets it go at the next step boundary.
    package internal(set) var isWithdrawn = false
    /// It leaves as soon as no job needs it.
    package internal(set) var isDraining = false
    var unfit: [Unfitness] = []
    /// Shards a second, smoothed over its reports; nil until measured.
    package var rate: Double?
    /// What its machine's own counters say that it draws; nil = nobody reads them.
    var milliwatts: Int64?
}

extension Coordinator {
    /// Most threads that a worker is believed to have.
    private static let threadLimit: UInt32 = 4096

    mutating func admit(
        _ hello: Hello, _ number: UInt32, _ session: SessionID, _ now: Instant, _ output: inout CoordinatorOutput
    ) {
        func refuse(_ code: Refusal.Code, _ text: String) {
            output.sends.append((session, .refuse(Refusal(code: code, text: text))))
            output.notices.append(.refused(name: hello.name, reason: text))
        }
        // The same hello again.
        if number > 0, let known = heard(from: session), number <= known { return }
        guard hello.oldestVersion <= WireVersion.newest, hello.newestVersion >= WireVersion.oldest else {
            return refuse(
                .version,
                "this coordinator speaks protocol \(WireVersion.oldest)…\(WireVersion.newest), the worker "
                    + "\(hello.oldestVersion)…\(hello.newestVersion): install the same release on both")
        }
        guard hello.lastEpoch <= epoch || bug == .oldBackupServes else {
            return refuse(
                .stale,
                "the worker has seen a newer coordinator (epoch \(hello.lastEpoch)) than this one (epoch \(epoch)): "
                    + "its state directory is an old copy; restore the newest one")
        }
        // A process that comes back takes the place of its own older connection.
        var unfit: [SessionRecord.Unfitness] = []
        let older = sessions.indices.filter { place in
            sessions[place].id == session
                || (sessions[place].node == hello.node && sessions[place].role == .worker && hello.role == .worker)
        }
        for old in older.map({ sessions[$0] }) {
            if old.node == hello.node, old.boot == hello.boot { unfit = old.unfit }
            remove(old.id, reason: "connected anew", now, &output)
            if old.id != session { output.commands.append(.close(old.id)) }
        }
        var record = SessionRecord(
            id: session, node: hello.node, boot: hello.boot, name: hello.name, role: hello.role,
            threads: Int(min(hello.threads, Self.threadLimit)), memory: Int(min(hello.memory, 1 << 60)),
            profile: hello.profile, dataEndpoint: hello.dataEndpoint, lastHeard: now)
        record.heard = number
        record.unfit = unfit
        sessions.insert(record)
        if hello.role == .worker { watch(now) }
        placementIsDue = true
        var welcome = Welcome(
            version: min(hello.newestVersion, WireVersion.newest), session: session.number, epoch: epoch,
            heartbeatMilliseconds: UInt32(times.heartbeat.nanoseconds / 1_000_000), dataEndpoint: dataEndpoint)
        welcome.greeting = hello.greeting
        output.sends.append((session, .welcome(welcome)))
        if hello.role == .worker {
            output.notices.append(.joined(hello.node, name: hello.name, threads: Int(hello.threads)))
        }
    }

    /// Whether a message is the next one of its session. An older one came twice; behind a gap one was lost, and nobody
    /// knows what it said: the session ends, and the worker begins another.
    mutating func isNext(
        _ number: UInt32, _ index: Int, _ now: Instant, _ output: inout CoordinatorOutput
    ) -> Bool {
        let heard = sessions[index].heard
        guard number > heard || bug == .doubledMessageHeard else { return number == 0 }
        sessions.hear(at: index, number: number)
        guard heard > 0, number > heard + 1, bug != .lostMessageIgnored else { return true }
        let session = sessions[index].id
        remove(session, reason: "a message was lost", now, &output)
        output.sends.append((session, .refuse(Refusal(code: .unknown, text: "a message was lost: say hello again"))))
        return false
    }

    mutating func remove(
        _ session: SessionID, reason: String, _ now: Instant, _ output: inout CoordinatorOutput
    ) {
        guard let index = sessions.place(of: session) else { return }
        let record = sessions.remove(at: index)
        guard record.role == .worker else { return }
        output.notices.append(.left(record.node, name: record.name, reason: reason))
        placementIsDue = true
        guard let job = record.job else { return }
        update(job) { run in
            if !record.isWithdrawn { run.workers -= 1 }
            run.lost(session, now, &output)
        }
        if let job = place(ofJob: job) { noteHolder(job) }
    }

    mutating func loaded(
        _ result: AssignmentResult, _ index: Int, _ now: Instant, _ output: inout CoordinatorOutput
    ) {
        guard sessions[index].job == result.job, let job = place(ofJob: result.job) else { return }
        let parameters = jobs[job].description.parameters
        if !result.problem.isEmpty {
            giveUp(index, result.problem, now, &output)
        } else if result.parameters != UInt64(parameters) {
            giveUp(
                index,
                "counts \(result.parameters) trained parameters where the job says \(parameters)",
                now, &output)
        } else if sessions[index].load == .loading {
            sessions[index].load = .loaded
            update(result.job) { _ in }
        }
    }

    /// A worker wants to leave, or is wanted away: it works until the next step boundary, so that nothing is lost.
    mutating func drain(_ index: Int, _ output: inout CoordinatorOutput) {
        guard sessions[index].role == .worker, !sessions[index].isDraining else { return }
        sessions[index].isDraining = true
        placementIsDue = true
        if sessions[index].job == nil {
            output.sends.append((sessions[index].id, .shutdown))
        } else {
            letGo(index, &output)
        }
    }

    mutating func drain(_ node: NodeID, _ output: inout CoordinatorOutput) {
        for index in sessions.indices where sessions[index].node == node { drain(index, &output) }
    }

    /// A member can't go on with its job. What is wrong with the worker alone costs the job that worker, not its life.
    mutating func trouble(_ trouble: Trouble, _ index: Int, _ now: Instant, _ output: inout CoordinatorOutput) {
        let session = sessions[index].id
        switch trouble.kind {
        case .nonFinite, .stalled: update(trouble.job) { $0.trouble(trouble, from: session, now, &output) }
        case .memory:
            guard sessions[index].job == trouble.job, generation(of: trouble.job) == trouble.generation else { return }
            sessions[index].corruptions += 1
            // Once may be a cosmic ray: it takes the state from the others. A second time it is the machine.
            if sessions[index].corruptions > 1 { return giveUp(index, trouble.text, now, &output) }
            update(trouble.job) { $0.trouble(trouble, from: session, now, &output) }
        case .local: if sessions[index].job == trouble.job { giveUp(index, trouble.text, now, &output) }
        case .digest:
            guard sessions[index].job == trouble.job, generation(of: trouble.job) == trouble.generation else { return }
            giveUp(index, trouble.text, now, &output)
        }
    }

    private func generation(of job: JobID) -> Generation? { place(ofJob: job).map { jobs[$0].generation } }

    /// A member says that it stands at the target.
    mutating func ready(_ position: Position, _ index: Int, _ now: Instant, _ output: inout CoordinatorOutput) {
        let session = sessions[index].id
        var isWrong = false
        update(position.job) { isWrong = !$0.ready(position, from: session) }
        if isWrong { giveUp(index, "has another state at step \(position.step) than the job", now, &output) }
    }

    /// Smooths a worker's speed: weight ¼ on the newest step.
    mutating func measure(_ report: StepReport, _ index: Int) {
        guard report.shardsComputed > 0, report.computeMicroseconds > 0 else { return }
        let rate = Double(report.shardsComputed) * 1e6 / Double(report.computeMicroseconds)
        sessions[index].rate = sessions[index].rate.map { $0 * 0.75 + rate * 0.25 } ?? rate
    }
}
