import Testing
import ZeroMQShell

/// Sockets of one test and a deadline for all its waiting.
final class ZeroMQFixture {
    private let poller = ZeroMQPoller()
    private let clock = ContinuousClock()
    private let end: ContinuousClock.Instant

    init(seconds: Int = 60) { end = clock.now + .seconds(seconds) }

    static var options: ZeroMQSocket.Options { ZeroMQSocket.Options(frameBytes: 1 << 20, queue: 16) }

    /// Polls until `take` gives something; fails the test after the deadline.
    func wait<Value>(
        _ sockets: [ZeroMQSocket], _ take: () throws -> Value?, sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> Value {
        while clock.now < end {
            if let value = try take() { return value }
            try poller.wait(sockets.map { .init($0) }, milliseconds: 50)
        }
        return try #require(try take(), "nothing came within the test's time", sourceLocation: sourceLocation)
    }

    /// The next message of a socket.
    func message(_ socket: ZeroMQSocket, limit: Int = 4) throws -> [ZeroMQSocket.Frame] {
        try wait([socket]) { try socket.receive(limit: limit) }
    }

    /// Sends as soon as the socket takes it.
    func send(_ socket: ZeroMQSocket, _ frames: [[UInt8]]) throws {
        _ = try wait([]) { try socket.send(frames) == .sent ? true : nil }
    }
}
