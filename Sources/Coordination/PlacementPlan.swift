/// How many workers every job should have: a pure function of who asks and of how many workers there are.
///
/// First everybody's minimum, given whole or not at all; then growth to the maxima, one worker at a time to the project
/// that has the fewest. A job whose minimum does not fit now, but would with all workers, gets what is left and nobody
/// behind it anything: so no large job starves behind small ones.
struct PlacementPlan: Sendable {
    /// What one job that may have to wait asks for.
    struct Claim: Sendable {
        var minimum: Int
        var limit: Int
        /// Workers it has.
        var held: Int
        /// It stands idle below its minimum, but has progress in their memory that is in no checkpoint.
        var isWorthHolding: Bool
        /// Too few workers are known to be fit for it.
        var isHopeless: Bool
    }

    /// What one job gets.
    struct Target: Sendable {
        /// Its place among all jobs.
        var job: Int
        var count: Int
        /// What it has, needs and can have.
        var held: Int
        var minimum: Int
        var limit: Int
        var priority: Int
        /// Its project's number in the queue.
        var account: Int
    }

    /// Workers by job, in the order in which they were given; jobs without any are left out.
    private(set) var targets: [Target] = []
    /// Some job that has workers gets none.
    private(set) var leavesOut = false
    private let workers: Int
    private var left: Int
    /// Workers by project.
    private var shares: [Int]
    private var isReserved = false

    /// - Parameter claim: what the job at a place asks for; asked only about jobs that may have to wait.
    init(_ queue: JobQueue, workers: Int, claim: (Int) -> Claim) {
        self.workers = workers
        left = workers
        shares = Array(repeating: 0, count: queue.accountCount)
        targets.reserveCapacity(queue.holders + 4)
        var start = 0
        while start < queue.lanes.count, left > 0, !isReserved {
            var end = start + 1
            while end < queue.lanes.count, queue.lanes[end].priority == queue.lanes[start].priority { end += 1 }
            settle(start..<end, of: queue, claim)
            start = end
        }
        grow()
        leavesOut = targets.count { $0.held > 0 } < queue.holders
    }

    /// Jobs of a lane that wait, oldest first: all but those that have their minimum already.
    private struct Line {
        let lane: Int
        var next = 0
        /// Places of targets: what the lane's jobs got because they have it.
        var settled: Range<Int>
    }

    /// Serves the lanes of one priority.
    private mutating func settle(_ lanes: Range<Int>, of queue: JobQueue, _ claim: (Int) -> Claim) {
        // Whoever has its minimum keeps it against equals.
        var lines: [Line] = []
        for lane in lanes {
            let first = targets.count
            let (priority, account) = (queue.lanes[lane].priority, queue.lanes[lane].account)
            for holding in queue.lanes[lane].holdings {
                guard holding.held >= holding.minimum, holding.minimum <= left else { continue }
                give(
                    Target(
                        job: holding.job, count: holding.minimum, held: holding.held, minimum: holding.minimum,
                        limit: holding.limit, priority: priority, account: account))
            }
            lines.append(Line(lane: lane, settled: first..<targets.count))
        }
        guard left > 0 else { return }
        var first = lines.indices.map { advance(&lines[$0], queue) }
        while left > 0, !isReserved {
            var next: Int?
            for place in lines.indices where first[place] != nil {
                if next.map({ share(lines[place], queue) < share(lines[$0], queue) }) ?? true { next = place }
            }
            guard let next, let job = first[next] else { return }
            first[next] = advance(&lines[next], queue)
            settle(job, claim(job), queue.lanes[lines[next].lane])
        }
    }

    private func share(_ line: Line, _ queue: JobQueue) -> Int { shares[queue.lanes[line.lane].account] }

    /// The next job of a line.
    private func advance(_ line: inout Line, _ queue: JobQueue) -> Int? {
        while line.next < queue.lanes[line.lane].jobs.count {
            let job = queue.lanes[line.lane].jobs[line.next]
            line.next += 1
            guard let settled = line.settled.first, targets[settled].job == job else { return job }
            line.settled.removeFirst()
        }
        return nil
    }

    private mutating func settle(_ job: Int, _ claim: Claim, _ lane: JobQueue.Lane) {
        var target = Target(
            job: job, count: claim.minimum, held: claim.held, minimum: claim.minimum, limit: claim.limit,
            priority: lane.priority, account: lane.account)
        if claim.minimum <= left, !claim.isHopeless { return give(target) }
        if claim.minimum <= workers, !claim.isHopeless {
            target.count = left
            give(target)
            isReserved = true
        } else if claim.isWorthHolding {
            target.count = min(left, claim.held)
            give(target)
        }
    }

    private mutating func give(_ target: Target) {
        guard target.count > 0 else { return }
        targets.append(target)
        left -= target.count
        shares[target.account] += target.count
    }

    /// What is left goes to the highest level that can take it, there to the project with the fewest workers, in it to
    /// the oldest job.
    private mutating func grow() {
        guard left > 0 else { return }
        var growing = targets.indices.filter { place in
            targets[place].count >= targets[place].minimum && targets[place].count < targets[place].limit
        }
        while left > 0, let first = growing.first {
            var (best, bestPlace) = (first, 0)
            for (place, candidate) in growing.enumerated() {
                guard targets[candidate].priority == targets[first].priority else { break }
                if shares[targets[candidate].account] < shares[targets[best].account] {
                    (best, bestPlace) = (candidate, place)
                }
            }
            targets[best].count += 1
            shares[targets[best].account] += 1
            left -= 1
            if targets[best].count == targets[best].limit { growing.remove(at: bestPlace) }
        }
    }
}
