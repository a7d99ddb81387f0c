/// How many workers every job should have: a pure function of who asks and of how many workers there are.
///
/// First everybody's minimum, given whole or not at all; then growth to the maxima, one worker at a time to the project
/// that has the fewest. A job whose minimum does not fit now, but would with all workers, gets what is left and nobody
/// behind it anything: so no large job starves behind small ones.
struct PlacementPlan: Sendable {
    /// What one job asks for.
    struct Claim: Sendable {
        /// Its place among all jobs.
        var job: Int
        var minimum: Int
        var limit: Int
        /// Workers it has.
        var held: Int
        /// It stands idle below its minimum, but has progress in their memory that is in no checkpoint.
        var isWorthHolding: Bool
        /// Too few workers are known to be fit for it.
        var isHopeless: Bool
    }

    /// Workers by job, in the order in which they were given; jobs without any are left out.
    private(set) var targets: [(job: Int, count: Int)] = []
    private let workers: Int
    private var left: Int
    /// Workers by project.
    private var shares: [(project: String, count: Int)] = []
    /// Jobs that can grow, with the lane's project and room.
    private var growing: [(level: Int, project: String, target: Int, room: Int)] = []
    private var isReserved = false

    init(_ queue: JobQueue, workers: Int, claim: (Int) -> Claim) {
        self.workers = workers
        left = workers
        for (level, lanes) in queue.levels.enumerated() where left > 0 && !isReserved {
            settle(level, lanes, claim)
        }
        grow()
    }

    private mutating func settle(_ level: Int, _ lanes: ArraySlice<JobQueue.Lane>, _ claim: (Int) -> Claim) {
        // Whoever has its minimum keeps it against equals; by place, as far as there are holders.
        var isSettled = Array(repeating: false, count: 1 + (lanes.lazy.flatMap(\.holders).max() ?? -1))
        for lane in lanes {
            for job in lane.holders {
                let claim = claim(job)
                guard claim.held >= claim.minimum, claim.minimum <= left else { continue }
                give(claim.minimum, to: claim, level, lane.project)
                isSettled[job] = true
            }
        }
        var waiting = lanes.map {
            (
                project: $0.project,
                jobs: $0.jobs.lazy.filter { [isSettled] in $0 >= isSettled.count || !isSettled[$0] }.makeIterator()
            )
        }
        var first = waiting.indices.map { waiting[$0].jobs.next() }
        while left > 0, !isReserved {
            let next = waiting.indices.lazy.filter { first[$0] != nil }
                .min { share(waiting[$0].project) < share(waiting[$1].project) }
            guard let next, let job = first[next] else { return }
            first[next] = waiting[next].jobs.next()
            settle(claim(job), level, waiting[next].project)
        }
    }

    private mutating func settle(_ claim: Claim, _ level: Int, _ project: String) {
        if claim.minimum <= left, !claim.isHopeless { return give(claim.minimum, to: claim, level, project) }
        if claim.minimum <= workers, !claim.isHopeless {
            give(left, to: claim, level, project)
            isReserved = true
        } else if claim.isWorthHolding {
            give(min(left, claim.held), to: claim, level, project)
        }
    }

    private mutating func give(_ count: Int, to claim: Claim, _ level: Int, _ project: String) {
        guard count > 0 else { return }
        targets.append((claim.job, count))
        left -= count
        add(count, to: project)
        let room = claim.limit - count
        if count >= claim.minimum, room > 0 { growing.append((level, project, targets.count - 1, room)) }
    }

    /// What is left goes to the highest level that can take it, there to the project with the fewest workers, in it to
    /// the oldest job.
    private mutating func grow() {
        while left > 0, let level = growing.first?.level {
            var best = 0
            for place in growing.indices where growing[place].level == level {
                if share(growing[place].project) < share(growing[best].project) { best = place }
            }
            targets[growing[best].target].count += 1
            add(1, to: growing[best].project)
            left -= 1
            growing[best].room -= 1
            if growing[best].room == 0 { growing.remove(at: best) }
        }
    }

    private func share(_ project: String) -> Int { shares.first { $0.project == project }?.count ?? 0 }

    private mutating func add(_ count: Int, to project: String) {
        if let place = shares.firstIndex(where: { $0.project == project }) {
            shares[place].count += count
        } else {
            shares.append((project, count))
        }
    }
}
