import Terms
import Wire

extension Coordinator {
    /// Gives workers to jobs by a `PlacementPlan`. Whoever has more than the plan says lets go of workers that others
    /// wait for, at its next step boundary and before anybody is stopped. What is left over loads ahead of time.
    mutating func place(_ now: Instant, _ output: inout CoordinatorOutput) {
        let isAnyUnfit = sessions.unfit > 0
        let unfit = isAnyUnfit ? unfitWorkers(now) : [:]
        let plan = PlacementPlan(queue, workers: sessions.staying) { claim($0, isAnyUnfit ? unfit : nil, now) }
        var missing = 0
        var short: [Int] = []
        for target in plan.targets where target.held < target.count {
            missing += target.count - target.held
            short.append(target.job)
            keep(target.job, target.count - target.held)
        }
        withdraw(missing - sessions.freePlaces.count - sessions.returning, for: short, plan, now, &output)
        var free = sessions.freePlaces
        let isAnyMeasured = free.contains { sessions[$0].memory > 0 }
        for target in plan.targets where !free.isEmpty {
            // Whoever has all that it gets asks for nobody.
            guard target.held < target.count || target.count > target.limit || isAnyMeasured else { continue }
            assign(&free, to: target.job, atMost: target.count - jobs[target.job].workers, now, &output)
        }
        if !free.isEmpty { assignRest(&free, plan, now, &output) }
        if isAnyUnfit || !hopeless.isEmpty { failHopeless(now, &output) }
        notePlacementTime(now, isAnyUnfit)
        placementIsDue = hasFoundUnfit
        hasFoundUnfit = false
    }

    /// How many of the workers that stay are unfit for a job; jobs that nobody is unfit for are left out.
    private func unfitWorkers(_ now: Instant) -> [JobID: Int] {
        var counts: [JobID: Int] = [:]
        for index in sessions.indices where sessions[index].role == .worker && !sessions[index].isDraining {
            for unfit in sessions[index].unfit where now < unfit.until { counts[unfit.job, default: 0] += 1 }
        }
        return counts
    }

    /// What a job asks for; `unfit` as in `unfitWorkers`, nil = everybody is fit for everything.
    private func claim(_ index: Int, _ unfit: [JobID: Int]?, _ now: Instant) -> PlacementPlan.Claim {
        // Read in place: a copy of a whole job for each one in line is most of what placing would cost.
        let minimum = jobs[index].description.memberMinimum
        return PlacementPlan.Claim(
            minimum: minimum, limit: jobs[index].description.memberLimit, held: jobs[index].workers,
            isWorthHolding: now.nanoseconds < worthUntil(index),
            isHopeless: unfit.map { sessions.staying - ($0[jobs[index].id] ?? 0) < minimum } ?? false)
    }

    /// Progress that is in no checkpoint yet is worth a wait: until when, in nanoseconds; `.min` = it is not.
    private func worthUntil(_ index: Int) -> Int64 {
        guard jobs[index].workers > 0, jobs[index].isIdle, jobs[index].committed != jobs[index].saved else {
            return .min
        }
        return (jobs[index].idleSince + times.holdWindow).nanoseconds
    }

    /// Workers on their way out of a job stay, when it wants them again.
    private mutating func keep(_ job: Int, _ count: Int) {
        var count = count
        for index in sessions.places(of: jobs[job].id)
        where count > 0 && sessions[index].isWithdrawn && !sessions[index].isDraining {
            sessions[index].isWithdrawn = false
            jobs[job].workers += 1
            count -= 1
            stir(job)
        }
        noteHolder(job)
    }

    /// Has jobs let go of `count` workers beyond what the plan gives them, the last in line first: such as the jobs
    /// that are `short` of workers can use.
    private mutating func withdraw(
        _ count: Int, for short: [Int], _ plan: PlacementPlan, _ now: Instant, _ output: inout CoordinatorOutput
    ) {
        var count = count
        let planned = plan.targets.reversed().filter { $0.held > $0.count }.map { (job: $0.job, count: $0.count) }
        var others: [Int] = []
        if count > 0, plan.leavesOut {
            let chosen = Set(plan.targets.map(\.job))
            others = queue.lanes.flatMap { $0.holdings.map(\.job) }.sorted().reversed().filter { !chosen.contains($0) }
        }
        for (job, target) in others.map({ (job: $0, count: 0) }) + planned {
            let most = max(0, jobs[job].workers - jobs[job].description.memberLimit)
            var surplus = max(most, min(count, jobs[job].workers - target))
            for session in sessions.places(of: jobs[job].id).reversed()
            where surplus > 0 && sessions[session].job == jobs[job].id {
                let isOfUse =
                    surplus <= most
                    || short.contains { place in
                        !sessions[session].isUnfit(for: jobs[place].id, now)
                            && sessions[session].lacks(for: jobs[place].description) == 0
                    }
                guard !sessions[session].isWithdrawn, isOfUse else { continue }
                letGo(session, &output)
                surplus -= 1
                count -= 1
            }
        }
    }

    /// A worker leaves its job: at once when it is in no generation, else at the next step boundary.
    mutating func letGo(_ session: Int, _ output: inout CoordinatorOutput) {
        guard !sessions[session].isWithdrawn, let job = place(ofJob: sessions[session].job) else { return }
        sessions[session].isWithdrawn = true
        jobs[job].workers -= 1
        noteHolder(job)
        releaseWithdrawn(job, &output)
        stir(job)
    }

    private mutating func assign(
        _ free: inout [Int], to job: Int, atMost count: Int, _ now: Instant, _ output: inout CoordinatorOutput
    ) {
        var count = count
        noteTooSmall(free, for: job, now, &output)
        while count > 0, let place = free.firstIndex(where: { !sessions[$0].isUnfit(for: jobs[job].id, now) }) {
            assign(free.remove(at: place), to: job, &output)
            count -= 1
        }
    }

    /// Notes which of the free workers have too little memory for a job: they are as unfit as those that tried and
    /// failed.
    private mutating func noteTooSmall(
        _ free: [Int], for job: Int, _ now: Instant, _ output: inout CoordinatorOutput
    ) {
        guard free.contains(where: { sessions[$0].memory > 0 }) else { return }
        let description = jobs[job].description
        for index in free where sessions[index].lacks(for: description) > 0 {
            let id = jobs[job].id
            guard !sessions[index].isUnfit(for: id, now) else { continue }
            let problem =
                "the job takes about \(description.memoryBytes >> 20) MiB of memory, the worker "
                + "\(sessions[index].name) was joined with --memory of \(sessions[index].memory >> 20) MiB: join one with "
                + "more, or make micro_batch_size or cutoff_len smaller"
            if !sessions[index].unfit.contains(where: { $0.job == id && $0.problem == problem }) {
                output.notices.append(.trouble(id, node: sessions[index].node, text: problem))
            }
            sessions[index].unfit.removeAll { $0.job == id }
            sessions[index].unfit.append(.init(job: id, problem: problem, until: now + times.retryWindow))
            // What it means for the job is seen at the next look.
            hasFoundUnfit = true
        }
    }

    /// Workers that the plan has no use for, because they are unfit or a job is too large, load for whoever has room.
    private mutating func assignRest(
        _ free: inout [Int], _ plan: PlacementPlan, _ now: Instant, _ output: inout CoordinatorOutput
    ) {
        let planned = plan.targets.map(\.job)
        let chosen = Set(planned)
        var others: [Int] = []
        for lane in queue.lanes where others.count < 64 {
            others += lane.jobs.prefix(64).filter { !chosen.contains($0) }
        }
        for job in planned + others where !free.isEmpty {
            assign(&free, to: job, atMost: jobs[job].description.memberLimit - jobs[job].workers, now, &output)
        }
    }

    private mutating func assign(_ session: Int, to index: Int, _ output: inout CoordinatorOutput) {
        sessions[session].job = jobs[index].id
        sessions[session].load = .loading
        jobs[index].workers += 1
        noteHolder(index)
        stir(index)
        let assignment = Assignment(job: jobs[index].id, description: jobs[index].descriptionBytes())
        output.sends.append((sessions[session].id, .assign(assignment)))
    }

    /// Takes a worker off its job, because of what it said, for a while; the job goes on with the others.
    mutating func giveUp(_ index: Int, _ problem: String, _ now: Instant, _ output: inout CoordinatorOutput) {
        guard let job = sessions[index].job else { return }
        output.notices.append(.trouble(job, node: sessions[index].node, text: problem))
        sessions[index].unfit.removeAll { $0.job == job }
        sessions[index].unfit.append(
            .init(job: job, problem: problem, until: bug == .unfitWorkersAtOnce ? now : now + times.retryWindow))
        free(index, &output)
        let session = sessions[index].id
        update(job) { $0.lost(session, now, &output) }
    }

    /// A worker has no job any more.
    private mutating func free(_ session: Int, _ output: inout CoordinatorOutput) {
        guard let id = sessions[session].job else { return }
        if !sessions[session].isWithdrawn, let job = place(ofJob: id) {
            jobs[job].workers -= 1
            noteHolder(job)
        }
        output.sends.append((sessions[session].id, .release(id)))
        sessions[session].job = nil
        sessions[session].load = .free
        sessions[session].isWithdrawn = false
        if sessions[session].isDraining { output.sends.append((sessions[session].id, .shutdown)) }
        placementIsDue = true
    }

    /// Frees the workers that a job lets go and that are in no generation of it (any more).
    mutating func releaseWithdrawn(_ job: Int, _ output: inout CoordinatorOutput) {
        for index in sessions.places(of: jobs[job].id) where sessions[index].isWithdrawn {
            if jobs[job].phase == .gathering || !jobs[job].isMember(sessions[index].id) { free(index, &output) }
        }
    }

    /// Frees the workers of a job that came to rest.
    mutating func releaseRested(_ job: Int, _ output: inout CoordinatorOutput) {
        guard jobs[job].state.isAtRest else { return }
        let id = jobs[job].id
        if sessions.unfit > 0 {
            for index in sessions.indices where !sessions[index].unfit.isEmpty {
                sessions[index].unfit.removeAll { $0.job == id }
            }
        }
        for index in sessions.places(of: id) { free(index, &output) }
    }

    // MARK: Hopeless jobs

    /// A job that every connected worker is unfit for fails with the first one's words, instead of waiting for ever;
    /// not at once, because better ones may be on their way back.
    private mutating func failHopeless(_ now: Instant, _ output: inout CoordinatorOutput) {
        let workers = sessions.filter { $0.role == .worker }
        let named = workers.first?.unfit.map(\.job) ?? []
        for id in Set(named + hopeless).sorted() {
            guard let job = place(ofJob: id) else { continue }
            let problem = workers.first?.problem(with: id, now)
            guard let problem, !jobs[job].state.isAtRest, workers.allSatisfy({ $0.isUnfit(for: id, now) }) else {
                jobs[job].hopelessSince = nil
                hopeless.removeAll { $0 == id }
                continue
            }
            let since = jobs[job].hopelessSince ?? now
            jobs[job].hopelessSince = since
            if !hopeless.contains(id) { hopeless.append(id) }
            guard now >= since + times.hopeWindow else { continue }
            update(id) { $0.rest(.failed, reason: problem, &output) }
            hopeless.removeAll { $0 == id }
        }
    }

    /// Takes workers whose arithmetic gives other bits off a job that has begun without them.
    mutating func dismissForeign(_ job: Int, _ now: Instant, _ output: inout CoordinatorOutput) {
        guard let profile = jobs[job].profile, jobs[job].description.isExact else { return }
        let (id, mask) = (jobs[job].id, jobs[job].profileMask)
        for index in sessions.places(of: id) where sessions[index].job == id && sessions[index].load == .loaded {
            guard sessions[index].profile & mask != profile else { continue }
            giveUp(
                index,
                "its processor or libraries give other bits than the job has so far (numerics profile "
                    + "\(String(sessions[index].profile, radix: 16)), the job's is \(String(profile, radix: 16))): use machines of "
                    + "one kind, or a job with exactness: equivalent", now, &output)
        }
    }

    /// Notes when time alone changes who may have which worker.
    private mutating func notePlacementTime(_ now: Instant, _ isAnyUnfit: Bool) {
        placesAt = nil
        func consider(_ instant: Instant) {
            if instant > now { placesAt = min(placesAt ?? instant, instant) }
        }
        if isAnyUnfit { for session in sessions { for unfit in session.unfit { consider(unfit.until) } } }
        for id in hopeless {
            if let since = place(ofJob: id).flatMap({ jobs[$0].hopelessSince }) { consider(since + times.hopeWindow) }
        }
        for lane in queue.lanes {
            for holding in lane.holdings { consider(Instant(nanoseconds: holding.worthUntil)) }
        }
    }
}

// MARK: The queue
extension Coordinator {
    /// Puts a job into the queue, or takes it out, as its state says.
    mutating func enlist(_ index: Int) {
        let waits = !jobs[index].state.isAtRest && jobs[index].job != nil
        guard waits != jobs[index].isQueued else { return noteHolder(index) }
        if bug == .newJobOverlooked, waits, jobs[index].committed == 0, !queue.lanes.allSatisfy(\.jobs.isEmpty) {
            return
        }
        jobs[index].isQueued = waits
        let (priority, project) = (jobs[index].description.priority, jobs[index].description.project)
        if waits {
            queue.insert(index, priority: priority, project: project)
            noteHolder(index)
        } else {
            queue.remove(index, priority: priority, project: project)
            jobs[index].holding = nil
        }
        placementIsDue = true
    }

    /// Notes in the queue how a job stands; every change of a job in it ends here.
    mutating func noteHolder(_ index: Int) {
        guard jobs[index].isQueued else { return }
        var holding: JobQueue.Holding?
        if jobs[index].workers > 0 {
            holding = JobQueue.Holding(
                job: index, held: jobs[index].workers, minimum: jobs[index].description.memberMinimum,
                limit: jobs[index].description.memberLimit, worthUntil: worthUntil(index))
        }
        guard holding != jobs[index].holding else { return }
        jobs[index].holding = holding
        queue.note(
            holding, of: index, priority: jobs[index].description.priority, project: jobs[index].description.project)
    }
}

extension SessionRecord {
    /// A worker that a job can have.
    var isFree: Bool { role == .worker && job == nil && !isDraining }

    /// Why the worker can't serve a job for the time being, nil = nothing is known against it.
    func problem(with job: JobID, _ now: Instant) -> String? {
        unfit.first { $0.job == job && now < $0.until }?.problem
    }

    func isUnfit(for job: JobID, _ now: Instant) -> Bool { problem(with: job, now) != nil }

    /// Bytes of memory by which the worker is too small for a job.
    func lacks(for job: JobDescription) -> Int { memory > 0 ? max(0, job.memoryBytes - memory) : 0 }
}
