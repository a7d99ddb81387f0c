/// Messages that a peer's connection did not take yet, oldest first.
struct MessageBacklog {
    private var messages: [[UInt8]] = []
    /// The first one that is not out.
    private var next = 0
    private var bytes = 0

    /// Bytes that may wait for one peer: above any answer, below what matters to this process.
    static let mostBytes = 32 << 20

    var isEmpty: Bool { next == messages.count }
    var first: [UInt8]? { isEmpty ? nil : messages[next] }

    /// Takes a message in; false when too much waits already, and it is dropped.
    @discardableResult
    mutating func keep(_ message: [UInt8]) -> Bool {
        guard bytes + message.count <= Self.mostBytes else { return false }
        messages.append(message)
        bytes += message.count
        return true
    }

    mutating func removeFirst() {
        precondition(!isEmpty, "a backlog that is empty has no first message")
        bytes -= messages[next].count
        messages[next] = []
        next += 1
        guard isEmpty || next >= 1024 else { return }
        messages.removeSubrange(..<next)
        next = 0
    }
}
