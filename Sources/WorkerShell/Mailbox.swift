import Synchronization

/// Values that other threads leave for the thread that owns a poller.
final class Mailbox<Value: Sendable>: Sendable {
    private let values = Mutex<[Value]>([])
    private let wake: @Sendable () -> Void

    init(wake: @escaping @Sendable () -> Void) { self.wake = wake }

    func post(_ value: Value) {
        values.withLock { $0.append(value) }
        wake()
    }

    /// Everything left so far, in order.
    func drain() -> [Value] {
        values.withLock { values in
            defer { values = [] }
            return values
        }
    }
}
