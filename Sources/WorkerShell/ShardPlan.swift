import Collectives
import Coordination
import Dispatch
import Synchronization
import Terms

/// A member's shards of one step: the engine takes them from the front, what others may have goes from the end, and the
/// last one can be lent.
final class ShardPlan: Sendable {
    let generation: Generation
    let step: Step
    let tag: UInt64
    let tree: ShardTree
    private let state: Mutex<State>

    private struct State {
        /// Targets that are not begun, in order.
        var waiting: [ShardRange]
        /// The shard in progress, since when, and the end of its target; `limit` is 0 between targets.
        var front = 0
        var since: UInt64 = 0
        var limit = 0
        /// Parts of the target in progress may be given away.
        var isOpen = true
        /// Who is to compute the shard in progress too, until it is told.
        var borrower: WorkerSession.Plea?
        var hasLent = false

        var isLast: Bool { waiting.isEmpty && front + 1 == limit }
    }

    init(_ generation: Generation, _ step: Step, _ tag: UInt64, _ tree: ShardTree, _ targets: [ShardRange]) {
        (self.generation, self.step, self.tag, self.tree) = (generation, step, tag, tree)
        state = Mutex(State(waiting: targets))
    }

    func isOf(_ generation: Generation, _ step: Step, _ tag: UInt64) -> Bool {
        (generation, step, tag) == (self.generation, self.step, self.tag)
    }

    /// The next target.
    func begin() -> ShardRange? {
        state.withLock { state in
            guard !state.waiting.isEmpty else {
                state.limit = 0
                return nil
            }
            let target = state.waiting.removeFirst()
            (state.front, state.limit, state.isOpen) = (target.lower, target.upper, true)
            state.since = DispatchTime.now().uptimeNanoseconds
            return target
        }
    }

    /// The target in progress stays whole.
    func keepTarget() { state.withLock { $0.isOpen = false } }

    /// True when the shard of the target in progress is still this member's; it is in progress then.
    func claim(_ shard: Int) -> Bool {
        state.withLock { state in
            guard shard < state.limit else { return false }
            state.front = shard
            state.since = DispatchTime.now().uptimeNanoseconds
            return true
        }
    }

    var backlog: (waiting: Int, running: Span?) {
        state.withLock { state in
            let rest = state.isOpen && state.limit > 0 ? state.limit - state.front - 1 : 0
            let spent = Span(nanoseconds: Int64(DispatchTime.now().uptimeNanoseconds - state.since))
            return (state.waiting.reduce(rest) { $0 + $1.count }, state.isLast ? spent : nil)
        }
    }

    func give(most: Int) -> ShardRange? {
        state.withLock { state in
            if let last = state.waiting.last {
                let node = tree.lastNode(of: last, most: most)
                if let node { state.waiting[state.waiting.count - 1].upper = node.lower }
                if state.waiting.last?.isEmpty == true { state.waiting.removeLast() }
                return node
            }
            guard state.isOpen, state.front + 1 < state.limit,
                let node = tree.lastNode(of: ShardRange(state.front + 1, state.limit), most: most)
            else { return nil }
            state.limit = node.lower
            return node
        }
    }

    /// True when the shard in progress is the last one, and is lent now.
    func lend(_ plea: WorkerSession.Plea) -> Bool {
        state.withLock { state in
            guard state.isLast, !state.hasLent else { return false }
            state.hasLent = true
            state.borrower = plea
            return true
        }
    }

    /// Who is to be told that the shard in progress is lent; once.
    func takeBorrower() -> WorkerSession.Plea? {
        state.withLock { state in
            defer { state.borrower = nil }
            return state.borrower
        }
    }
}
