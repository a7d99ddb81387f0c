import Synchronization

/// Says whether a mapped file still holds the bytes that were verified; `State` is what tells of a change to the file,
/// and whoever maps it knows which changes count.
package final class FileWatch<State: Equatable & Sendable>: Sendable {
    private let mapping: FileMapping
    /// When the bytes were last known to be right, and how many had been missing until then.
    private let right: Mutex<(state: State, losses: UInt32)>

    /// A watch from `state` on, in which the file was before its bytes were verified.
    package init(_ mapping: FileMapping, from state: State) {
        self.mapping = mapping
        right = Mutex((state, 0))
    }

    /// False when somebody has written to the file since the last call, and as long as it holds other bytes than those
    /// that `verify` wants: what was read meanwhile may be anything. A call of the system; only where that tells of a
    /// change is `verify` asked.
    ///
    /// - Parameters:
    ///   - descriptor: the open file.
    ///   - mayChange: the file's own owner writes to it, and only whoever shortens it is noticed.
    ///   - state: what the system says of the file now; nil = nothing, or that bytes are missing.
    package func isIntact(
        _ descriptor: Int32, mayChange: Bool = false, state: () -> State?, verify: () -> Bool
    ) -> Bool {
        let lost = mapping.losses
        guard let now = state() else { return false }
        let last = right.withLock { $0 }
        if mayChange || now == last.state, lost == last.losses { return true }
        mapping.restore(descriptor)
        if verify(), state() == now, mapping.losses == lost { right.withLock { $0 = (now, lost) } }
        return false
    }
}
