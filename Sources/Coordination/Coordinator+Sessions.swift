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
    package let name: String
    package let role: Hello.Role
    package let threads: Int
    package let profile: UInt64
    package let dataEndpoint: String
    package var lastHeard: Instant
    package var job: JobID?
    package var load = Load.free
    var unfit: [Unfitness] = []
    /// Shards a second, smoothed over its reports; nil until measured.
    package var rate: Double?
}

extension Coordinator {
    /// Most threads that a worker is believed to have.
    private static let threadLimit: UInt32 = 4096

    mutating func admit(_ hello: Hello, _ session: SessionID, _ now: Instant, _ output: inout CoordinatorOutput) {
        func refuse(_ code: Refusal.Code, _ text: String) {
            output.sends.append((session, .refuse(Refusal(code: code, text: text))))
            output.notices.append(.refused(name: hello.name, reason: text))
        }
        guard hello.oldestVersion <= WireVersion.newest, hello.newestVersion >= WireVersion.oldest else {
            return refuse(
                .version,
                "this coordinator speaks protocol \(WireVersion.oldest)…\(WireVersion.newest), the worker "
                    + "\(hello.oldestVersion)…\(hello.newestVersion): install the same release on both")
        }
        guard hello.lastEpoch <= epoch else {
            return refuse(
                .stale,
                "the worker has seen a newer coordinator (epoch \(hello.lastEpoch)) than this one (epoch \(epoch)): "
                    + "its state directory is an old copy; restore the newest one")
        }
        // A process that comes back takes the place of its own older connection.
        for old in sessions where old.id == session || (old.node == hello.node && old.role == .worker && hello.role == .worker) {
            remove(old.id, reason: "connected anew", now, &output)
            if old.id != session { output.commands.append(.close(old.id)) }
        }
        let record = SessionRecord(
            id: session, node: hello.node, name: hello.name, role: hello.role,
            threads: Int(min(hello.threads, Self.threadLimit)),
            profile: hello.profile, dataEndpoint: hello.dataEndpoint, lastHeard: now)
        let place = sessions.firstIndex { $0.id > session } ?? sessions.count
        sessions.insert(record, at: place)
        let version = min(hello.newestVersion, WireVersion.newest)
        output.sends.append((
            session,
            .welcome(Welcome(
                version: version, session: session.number, epoch: epoch,
                heartbeatMilliseconds: UInt32(times.heartbeat.nanoseconds / 1_000_000), dataEndpoint: dataEndpoint))
        ))
        if hello.role == .worker {
            output.notices.append(.joined(hello.node, name: hello.name, threads: Int(hello.threads)))
        }
    }

    mutating func remove(
        _ session: SessionID, reason: String, _ now: Instant, _ output: inout CoordinatorOutput
    ) {
        guard let index = sessions.firstIndex(where: { $0.id == session }) else { return }
        let record = sessions.remove(at: index)
        guard record.role == .worker else { return }
        output.notices.append(.left(record.node, name: record.name, reason: reason))
        if let job = record.job { update(job) { $0.lost(session, now, &output) } }
    }

    mutating func expireSilent(_ now: Instant, _ output: inout CoordinatorOutput) {
        let silent = sessions.filter { $0.role == .worker && now - $0.lastHeard >= times.deadAfter }
        for record in silent {
            remove(record.id, reason: "silent for \(Int(times.deadAfter.seconds)) s", now, &output)
            output.commands.append(.close(record.id))
        }
    }

    mutating func loaded(
        _ result: AssignmentResult, _ index: Int, _ now: Instant, _ output: inout CoordinatorOutput
    ) {
        guard sessions[index].job == result.job, let job = job(result.job) else { return }
        if !result.problem.isEmpty {
            giveUp(index, result.problem, now, &output)
        } else if result.parameters != UInt64(job.description.parameters) {
            giveUp(
                index, "counts \(result.parameters) trained parameters where the job says \(job.description.parameters)",
                now, &output)
        } else if sessions[index].load == .loading {
            sessions[index].load = .loaded
        }
    }

    /// A member can't go on with its job. What is wrong with the worker alone costs the job that worker, not its life.
    mutating func trouble(_ trouble: Trouble, _ index: Int, _ now: Instant, _ output: inout CoordinatorOutput) {
        let session = sessions[index].id
        switch trouble.kind {
        case .nonFinite, .stalled: update(trouble.job) { $0.trouble(trouble, from: session, now, &output) }
        case .local: if sessions[index].job == trouble.job { giveUp(index, trouble.text, now, &output) }
        case .digest:
            guard sessions[index].job == trouble.job, job(trouble.job)?.generation == trouble.generation else { return }
            giveUp(index, trouble.text, now, &output)
        }
    }

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
