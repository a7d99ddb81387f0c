import Coordination
import Terms
import Wire

/// What the checks remember from one look to the next. All instants are virtual.
struct Inspection {
    /// Since when the cluster is calm; nil while faults strike.
    var calmSince: Instant?
    /// By worker: when the coordinator last had it among its sessions, or it was started.
    var welcomeAt: [Instant] = []
    /// By worker: when the coordinator last heard it.
    var heardAt: [Instant] = []
    /// Since when the coordinator's process runs without a pause.
    var headSince = Instant(nanoseconds: 0)
    /// Newest failed checkpoints, by job; forgotten with the coordinator's life.
    private(set) var failedSaves: [(job: JobID, at: Instant)] = []
    /// Jobs that a session could not load; forgotten with the coordinator's life.
    private(set) var failedLoads: [(session: SessionID, job: JobID, at: Instant)] = []

    mutating func saveFailed(_ job: JobID, _ now: Instant) {
        failedSaves.removeAll { $0.job == job }
        failedSaves.append((job, now))
    }

    /// The worker is gone; it may be another one when it comes back.
    mutating func forgetLoads(_ isGone: (SessionID) -> Bool) { failedLoads.removeAll { isGone($0.session) } }

    /// An operator had the job begin anew.
    mutating func forgetLoads(of job: JobID) { failedLoads.removeAll { $0.job == job } }

    mutating func loadFailed(_ session: SessionID, _ job: JobID, _ now: Instant) {
        failedLoads.removeAll { $0.session == session && $0.job == job }
        failedLoads.append((session, job, now))
    }

    /// A new life of the coordinator remembers no failures.
    mutating func headStarts(_ now: Instant) {
        headSince = now
        failedSaves = []
        failedLoads = []
    }
}

extension SimulatedCluster {
    /// Between two looks at everything.
    private static let pause = Span.seconds(2)
    /// What a calm cluster needs at most for a step, a checkpoint, a worker that comes back.
    private static let stepPatience = Span.seconds(300)
    private static let savePatience = Span.seconds(200)
    private static let welcomePatience = Span.seconds(90)

    func startInspecting() { schedule(.inspects, after: Self.pause) }

    /// Looks at what no single event shows.
    func inspect() {
        schedule(.inspects, after: Self.pause)
        inspectSessions()
        inspectQueues()
        guard let calm = inspection.calmSince, head.core != nil else { return }
        inspectProgress(calm)
    }

    /// L3 and L5: sessions end with their workers, and workers get sessions.
    private func inspectSessions() {
        guard let core = head.core, head.stalledUntil <= now else { return }
        for session in core.sessions {
            let connection = connections[head.connectionOfSession[Int(session.id.number) - 1]]
            let worker = workers[connection.worker]
            inspection.welcomeAt[worker.index] = now
            let isThere = worker.isAlive && worker.boot == connection.boot && !connection.isCut
            let silence = now - max(inspection.heardAt[worker.index], inspection.headSince)
            if !isThere, silence > times.deadAfter * 2 + .seconds(10) {
                fail(
                    .l3, "the coordinator still counts on w\(worker.index), which is gone for \(Int(silence.seconds)) s"
                )
            }
        }
        guard let calm = inspection.calmSince else { return }
        for worker in workers where worker.isAlive && worker.stalledUntil <= now {
            let since = max(inspection.welcomeAt[worker.index], max(calm, inspection.headSince))
            if now - since > Self.welcomePatience {
                fail(.l5, "w\(worker.index) is not taken in for \(Int((now - since).seconds)) s")
            }
        }
    }

    /// L6: nothing piles up.
    private func inspectQueues() {
        for worker in workers where worker.isAlive {
            let (reports, recipes) = worker.session?.queueLengths ?? (0, 0)
            if reports > WorkerSession.reportsKept { fail(.l6, "w\(worker.index) keeps \(reports) reports") }
            if recipes > 2 * JobRun.leaseMost { fail(.l6, "w\(worker.index) keeps \(recipes) recipes") }
            if worker.tasks.count > 64 || worker.waitingRequests.count > 64 {
                fail(.l6, "w\(worker.index)'s queues grow")
            }
        }
        guard let core = head.core else { return }
        if core.sessions.count > 4 * workers.count {
            fail(.l6, "\(core.sessions.count) sessions of \(workers.count) workers")
        }
        if head.collections.count > 4 * head.records.count + 4 {
            fail(.l6, "\(head.collections.count) checkpoints are collected")
        }
    }

    /// L1 and L2: what runs gets on.
    private func inspectProgress(_ calm: Instant) {
        for record in head.records where record.state == .running {
            let since = max(record.movedAt, max(calm, inspection.headSince))
            if now - since > Self.stepPatience {
                let situation = head.core?.job(record.id)?.situation ?? ""
                fail(.l1, "job \(record.id) runs without a step for \(Int((now - since).seconds)) s: \(situation)")
            }
        }
        for collection in head.collections where now - max(collection.begunAt, calm) > Self.savePatience {
            fail(.l2, "the checkpoint of step \(collection.step) of job \(collection.job) neither ends nor fails")
        }
    }

    /// L7: a checkpoint that failed is not tried again at once.
    func checkSavePause(_ job: JobID) {
        guard let failed = inspection.failedSaves.first(where: { $0.job == job }), now - failed.at < .milliseconds(1900)
        else { return }
        fail(.l7, "a checkpoint of job \(job) is tried again at once")
    }

    /// L7: a worker that could not load a job is not asked again at once.
    func checkLoadPause(_ job: JobID, _ session: SessionID) {
        let failed = inspection.failedLoads.first { $0.session == session && $0.job == job }
        guard let failed, now - failed.at < times.retryWindow - .seconds(1) else { return }
        fail(.l7, "a worker that could not load job \(job) is asked again at once")
    }
}

extension Message {
    /// Its kind, for people.
    var name: String { String("\(self)".prefix { $0 != "(" }) }
}

// MARK: Snapshots
extension SimulatedCluster {
    /// The core of a start that begins with a snapshot of some earlier moment; `whole` is that of one that read the
    /// whole journal. Invariant: both know the same. Every third start; the others are the whole journal's.
    func startedFromSnapshot(_ whole: Coordinator) -> Coordinator? {
        guard (head.journal.count + head.life) % 3 == 0 else { return whole }
        let place = Int(
            Philox.mix(UInt64(head.journal.count) << 16 | UInt64(head.life)) % UInt64(head.journal.count + 1))
        do {
            var (early, late) = (newCore(), newCore())
            for entry in head.journal.prefix(place) { try early.restore(entry, at: clock(Self.headEnd)) }
            try late.restore(snapshot: early.snapshot(), at: clock(Self.headEnd))
            for entry in head.journal.dropFirst(place) { try late.restore(entry, at: clock(Self.headEnd)) }
            if late.snapshot() == whole.snapshot() { return late }
            fail(
                .i9, "a start from a snapshot after entry \(place) knows another state than one from the whole journal")
        } catch { fail(.i9, "a snapshot after entry \(place) can't be taken in: \(error)") }
        return nil
    }

    /// Invariant: what would be kept of the live core is what the journal gives.
    func compareSnapshots() {
        guard let core = head.core, core.snapshot() != head.mirror.snapshot() else { return }
        fail(.i9, "a snapshot of the core is not what its journal gives")
    }
}
