import Terms
import Wire

extension Coordinator {
    /// Gives workers to jobs: higher priority first, then the older job; first everybody's minimum, then growth.
    ///
    /// A minimum is given whole or not at all, so that two jobs never wait for each other's workers; for it a job also
    /// takes workers of others that stand idle below their own minimum. What is left over loads ahead of time.
    mutating func place(_ now: Instant, _ output: inout CoordinatorOutput) {
        let order = jobs.indices.filter { !jobs[$0].state.isAtRest && jobs[$0].job != nil }.sorted {
            (-jobs[$0].description.priority, jobs[$0].id) < (-jobs[$1].description.priority, jobs[$1].id)
        }
        for index in order {
            let missing = jobs[index].description.memberMinimum - workers(of: index)
            guard missing > 0 else { continue }
            let candidates = candidates(for: index, in: order, now)
            guard candidates.count >= missing else { continue }
            for session in candidates.prefix(missing) { assign(session, to: index, &output) }
        }
        for isShort in [false, true] {
            for index in order where (workers(of: index) < jobs[index].description.memberMinimum) == isShort {
                let room = jobs[index].description.memberLimit - workers(of: index)
                guard room > 0 else { continue }
                for session in free(for: index, now).prefix(room) { assign(session, to: index, &output) }
            }
        }
        for index in order { failWithoutHope(index, now, &output) }
    }

    /// How many workers have the job, or load it.
    private func workers(of index: Int) -> Int {
        let id = jobs[index].id
        return sessions.count { $0.job == id }
    }

    /// Free workers that are not known to be unfit for the job.
    private func free(for index: Int, _ now: Instant) -> [Int] {
        sessions.indices.filter {
            sessions[$0].role == .worker && sessions[$0].job == nil && !sessions[$0].isUnfit(for: jobs[index].id, now)
        }
    }

    /// Workers that the job may have at once: free ones, then those of idle jobs, the last in order first.
    private func candidates(for index: Int, in order: [Int], _ now: Instant) -> [Int] {
        var found = free(for: index, now)
        for other in order.reversed() where other != index && gives(other, to: index, in: order, now) {
            found += sessions.indices.filter {
                sessions[$0].job == jobs[other].id && !sessions[$0].isUnfit(for: jobs[index].id, now)
            }
        }
        return found
    }

    /// Whether a job that stands idle lets another have its workers. Progress that is in no checkpoint yet is worth a wait,
    /// except to a job that comes first.
    private func gives(_ other: Int, to index: Int, in order: [Int], _ now: Instant) -> Bool {
        guard jobs[other].isIdle, workers(of: other) < jobs[other].description.memberMinimum else { return false }
        let isBehind = (order.firstIndex(of: other) ?? 0) > (order.firstIndex(of: index) ?? 0)
        return isBehind || jobs[other].committed == jobs[other].saved || now - jobs[other].idleSince >= times.holdWindow
    }

    private mutating func assign(_ session: Int, to index: Int, _ output: inout CoordinatorOutput) {
        if let old = sessions[session].job { output.sends.append((sessions[session].id, .release(old))) }
        sessions[session].job = jobs[index].id
        sessions[session].load = .loading
        let assignment = Assignment(job: jobs[index].id, description: jobs[index].description.encoded())
        output.sends.append((sessions[session].id, .assign(assignment)))
    }

    /// Takes a worker off its job, because of what it said, for a while; the job goes on with the others.
    mutating func giveUp(_ index: Int, _ problem: String, _ now: Instant, _ output: inout CoordinatorOutput) {
        guard let job = sessions[index].job else { return }
        output.notices.append(.trouble(job, node: sessions[index].node, text: problem))
        sessions[index].unfit.removeAll { $0.job == job }
        sessions[index].unfit.append(.init(job: job, problem: problem, until: now + times.retryWindow))
        sessions[index].job = nil
        sessions[index].load = .free
        output.sends.append((sessions[index].id, .release(job)))
        let session = sessions[index].id
        update(job) { $0.lost(session, now, &output) }
    }

    /// A job that every connected worker is unfit for fails with the first one's words, instead of waiting for ever;
    /// not at once, because better ones may be on their way back.
    private mutating func failWithoutHope(_ index: Int, _ now: Instant, _ output: inout CoordinatorOutput) {
        let workers = sessions.filter { $0.role == .worker }
        let id = jobs[index].id
        guard let problem = workers.first?.problem(with: id, now),
            workers.allSatisfy({ $0.isUnfit(for: id, now) })
        else {
            jobs[index].hopelessSince = nil
            return
        }
        let since = jobs[index].hopelessSince ?? now
        jobs[index].hopelessSince = since
        guard now >= since + times.hopeWindow else { return }
        jobs[index].rest(.failed, reason: problem, &output)
    }

    /// Takes workers whose arithmetic gives other bits off the jobs that have begun without them.
    mutating func dismissForeign(_ now: Instant, _ output: inout CoordinatorOutput) {
        for index in sessions.indices where sessions[index].load == .loaded {
            guard let id = sessions[index].job, let run = job(id), let profile = run.profile, !run.fits(sessions[index])
            else { continue }
            giveUp(
                index,
                "its processor or libraries give other bits than the job has so far (numerics profile "
                    + "\(String(sessions[index].profile, radix: 16)), the job's is \(String(profile, radix: 16))): use machines of "
                    + "one kind, or a job with exactness: equivalent", now, &output)
        }
    }

    private func isWorking(_ job: JobID) -> Bool {
        guard let index = jobs.firstIndex(where: { $0.id == job }) else { return false }
        return !jobs[index].state.isAtRest
    }

    /// Frees the workers of jobs that came to rest; true when there were any.
    mutating func releaseRested(_ output: inout CoordinatorOutput) -> Bool {
        var isAnyFree = false
        for index in sessions.indices {
            let unfit = sessions[index].unfit
            if !unfit.isEmpty { sessions[index].unfit = unfit.filter { isWorking($0.job) } }
            guard let job = sessions[index].job, !isWorking(job) else { continue }
            output.sends.append((sessions[index].id, .release(job)))
            sessions[index].job = nil
            sessions[index].load = .free
            isAnyFree = true
        }
        return isAnyFree
    }
}

extension SessionRecord {
    /// Why the worker can't serve a job for the time being, nil = nothing is known against it.
    func problem(with job: JobID, _ now: Instant) -> String? {
        unfit.first { $0.job == job && now < $0.until }?.problem
    }

    func isUnfit(for job: JobID, _ now: Instant) -> Bool { problem(with: job, now) != nil }
}
