/// The jobs that are not at rest, in the order in which workers go to them.
///
/// Higher priority first. Among equals a job that has workers keeps its minimum; then the project with the fewest
/// workers comes first (fair share), then the older job.
struct JobQueue: Sendable {
    /// Jobs of one priority and project, oldest first, by their place among all jobs.
    struct Lane: Sendable {
        let priority: Int
        let project: String
        var jobs: [Int]
        /// Those of them that have workers.
        var holders: [Int] = []
    }

    /// Descending by priority, then ascending by project.
    private(set) var lanes: [Lane] = []

    mutating func insert(_ job: Int, priority: Int, project: String) {
        let place = lanes.firstIndex { ($0.priority, project) <= (priority, $0.project) } ?? lanes.count
        if place == lanes.count || lanes[place].priority != priority || lanes[place].project != project {
            lanes.insert(Lane(priority: priority, project: project, jobs: []), at: place)
        }
        lanes[place].jobs.insert(job, at: lanes[place].jobs.partition(before: job))
    }

    mutating func remove(_ job: Int, priority: Int, project: String) {
        guard let place = lanes.firstIndex(where: { $0.priority == priority && $0.project == project }) else { return }
        let found = lanes[place].jobs.partition(before: job)
        guard found < lanes[place].jobs.count, lanes[place].jobs[found] == job else { return }
        lanes[place].jobs.remove(at: found)
        lanes[place].holders.removeAll { $0 == job }
        if lanes[place].jobs.isEmpty { lanes.remove(at: place) }
    }

    /// Notes whether a job in the queue has workers.
    mutating func note(_ job: Int, priority: Int, project: String, hasWorkers: Bool) {
        guard let place = lanes.firstIndex(where: { $0.priority == priority && $0.project == project }) else { return }
        let found = lanes[place].holders.partition(before: job)
        let isNoted = found < lanes[place].holders.count && lanes[place].holders[found] == job
        if hasWorkers, !isNoted { lanes[place].holders.insert(job, at: found) }
        if !hasWorkers, isNoted { lanes[place].holders.remove(at: found) }
    }

    /// Lanes of one priority after another, the highest first.
    var levels: [ArraySlice<Lane>] {
        lanes.split(whereNext: { $0.priority != $1.priority })
    }
}

extension Array where Element == Int {
    /// The place of the first number that is not below `number`; the array ascends.
    func partition(before number: Int) -> Int {
        var (lower, upper) = (0, count)
        while lower < upper {
            let middle = (lower + upper) / 2
            if self[middle] < number { lower = middle + 1 } else { upper = middle }
        }
        return lower
    }
}

extension Array {
    /// Runs of neighbours; a new one begins where `isOther` says so.
    fileprivate func split(whereNext isOther: (Element, Element) -> Bool) -> [ArraySlice<Element>] {
        var runs: [ArraySlice<Element>] = []
        var start = 0
        for place in indices where place > start && isOther(self[place - 1], self[place]) {
            runs.append(self[start..<place])
            start = place
        }
        if start < count { runs.append(self[start...]) }
        return runs
    }
}
