import Collectives
import Synchronization

/// Finished sums of the step in progress, kept through a change of generation so that only what is missing is computed.
final class HeldNodes: Sendable {
    private let state = Mutex<(tag: UInt64, sums: [NodeSum])>((0, []))

    /// Sums of the recipe `tag` inside `node`, handed over to the caller.
    func take(tag: UInt64, within node: ShardRange) -> [NodeSum] {
        state.withLock { state in
            guard state.tag == tag else { return [] }
            let found = state.sums.filter { node.contains($0.shards) }
            state.sums.removeAll { node.contains($0.shards) }
            return found
        }
    }

    /// Keeps sums of the recipe `tag`; sums of any other recipe are let go.
    func keep(_ sums: [NodeSum], tag: UInt64) {
        state.withLock { state in
            if state.tag != tag { state = (tag, []) }
            state.sums += sums
        }
    }

    /// What is held: nodes in order, and the recipe they belong to.
    var inventory: (nodes: [ShardRange], tag: UInt64) {
        state.withLock { ($0.sums.map(\.shards).sorted(), $0.tag) }
    }

    /// Lets everything go but the sums of the recipe `tag`.
    func clear(except tag: UInt64?) {
        state.withLock { state in if state.tag != tag { state = (0, []) } }
    }
}
