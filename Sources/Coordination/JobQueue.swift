import Terms

/// The jobs that are not at rest, in the order in which workers go to them.
///
/// Higher priority first. Among equals a job that has workers keeps its minimum; then the project with the fewest
/// workers comes first (fair share), then the older job.
struct JobQueue: Sendable {
    /// What placing asks of a job that has workers: kept here, so that nobody looks into all of those jobs for it.
    struct Holding: Sendable, Equatable {
        /// Its place among all jobs.
        var job: Int
        /// Workers it has.
        var held: Int
        var minimum: Int
        var limit: Int
        /// Until then, in nanoseconds, its progress, which is in no checkpoint, is worth a wait; `.min` = it is not.
        var worthUntil: Int64
    }

    /// Jobs of one priority and project, oldest first, by their place among all jobs.
    struct Lane: Sendable {
        let priority: Int
        let project: String
        /// The project's number in this queue.
        let account: Int
        var jobs: [Int]
        /// Those of them that have workers.
        var holdings: [Holding] = []
    }

    /// Descending by priority, then ascending by project.
    private(set) var lanes: [Lane] = []
    /// Jobs that have workers.
    private(set) var holders = 0
    /// Every project that there ever was, by number.
    private var accounts: [String: Int] = [:]
    var accountCount: Int { accounts.count }

    mutating func insert(_ job: Int, priority: Int, project: String) {
        let place = place(priority, project)
        if !isLane(place, priority, project) {
            let account = accounts[project] ?? accounts.count
            accounts[project] = account
            lanes.insert(Lane(priority: priority, project: project, account: account, jobs: []), at: place)
        }
        lanes[place].jobs.insert(job, at: lanes[place].jobs.partition(before: job))
    }

    mutating func remove(_ job: Int, priority: Int, project: String) {
        let place = place(priority, project)
        guard isLane(place, priority, project) else { return }
        let found = lanes[place].jobs.partition(before: job)
        guard found < lanes[place].jobs.count, lanes[place].jobs[found] == job else { return }
        note(nil, of: job, priority: priority, project: project)
        lanes[place].jobs.remove(at: found)
        if lanes[place].jobs.isEmpty { lanes.remove(at: place) }
    }

    /// Notes what a job in the queue has; nil = no workers.
    mutating func note(_ holding: Holding?, of job: Int, priority: Int, project: String) {
        let place = place(priority, project)
        guard isLane(place, priority, project) else { return }
        let found = lanes[place].holdings.indices.partitionPoint { lanes[place].holdings[$0].job < job }
        let isNoted = found < lanes[place].holdings.count && lanes[place].holdings[found].job == job
        switch (holding, isNoted) {
        case (let holding?, true): lanes[place].holdings[found] = holding
        case (let holding?, false): lanes[place].holdings.insert(holding, at: found)
        case (nil, true): lanes[place].holdings.remove(at: found)
        case (nil, false): break
        }
        holders += (holding == nil ? 0 : 1) - (isNoted ? 1 : 0)
    }

    /// Where the lane is, or would be.
    private func place(_ priority: Int, _ project: String) -> Int {
        lanes.indices.partitionPoint {
            lanes[$0].priority == priority ? lanes[$0].project < project : lanes[$0].priority > priority
        }
    }

    private func isLane(_ place: Int, _ priority: Int, _ project: String) -> Bool {
        place < lanes.count && lanes[place].priority == priority && lanes[place].project == project
    }
}
