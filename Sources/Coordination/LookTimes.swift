import Terms

/// When each job is to be looked at next though nothing happens to it; nobody walks through all jobs to find out that
/// it is too early.
struct LookTimes: Sendable {
    /// Nanoseconds, `.max` = not without a reason: a tree of minima. The root is at 1, the children of a node at its
    /// double and the one behind; the second half holds the jobs, by place.
    private var tree: [Int64] = [.max, .max]
    /// Places that the tree has room for, a power of two.
    private var room: Int { tree.count / 2 }

    /// Notes when the job at `index` is to be looked at; nil = only when something happens to it.
    mutating func set(_ index: Int, _ instant: Instant?) {
        while room <= index { grow() }
        var node = room + index
        tree[node] = instant?.nanoseconds ?? .max
        while node > 1 {
            node /= 2
            let least = min(tree[2 * node], tree[2 * node + 1])
            if tree[node] == least { return }
            tree[node] = least
        }
    }

    /// Twice the room: all there was becomes the left half.
    private mutating func grow() {
        var wider = [Int64](repeating: .max, count: 4 * room)
        wider[1] = tree[1]
        var level = 1
        while level <= room {
            for node in level..<2 * level { wider[node + level] = tree[node] }
            level *= 2
        }
        tree = wider
    }

    /// Places of the jobs whose time has come, ascending.
    func due(_ now: Instant) -> [Int] {
        guard tree[1] <= now.nanoseconds else { return [] }
        return (0..<room).filter { tree[room + $0] <= now.nanoseconds }
    }

    /// The first time that lies ahead, `.max` when there is none.
    func next(after now: Instant) -> Int64 {
        if tree[1] > now.nanoseconds { return tree[1] }
        return tree[room...].reduce(.max) { $1 > now.nanoseconds ? min($0, $1) : $0 }
    }
}
