import Terms

/// When each job is to be looked at next though nothing happens to it; nobody walks through all jobs to find out that it
/// is too early.
struct LookTimes: Sendable {
    /// Nanoseconds by the job's place; `.max` = not without a reason.
    private var times: [Int64] = []
    /// The least of them.
    private var earliest = Int64.max

    /// Notes when the job at `index` is to be looked at; nil = only when something happens to it.
    mutating func set(_ index: Int, _ instant: Instant?) {
        while times.count <= index { times.append(.max) }
        let (old, new) = (times[index], instant?.nanoseconds ?? .max)
        times[index] = new
        if new <= earliest { earliest = new } else if old == earliest { earliest = times.min() ?? .max }
    }

    /// Places of the jobs whose time has come, ascending.
    func due(_ now: Instant) -> [Int] {
        earliest <= now.nanoseconds ? times.indices.filter { times[$0] <= now.nanoseconds } : []
    }

    /// The first time that lies ahead, `.max` when there is none.
    func next(after now: Instant) -> Int64 {
        if earliest > now.nanoseconds { return earliest }
        return times.reduce(.max) { $1 > now.nanoseconds ? min($0, $1) : $0 }
    }
}
