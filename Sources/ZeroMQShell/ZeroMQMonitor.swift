import CZeroMQ
import Glibc
import Synchronization

/// What happens to a socket's connections, as libzmq's monitor tells it.
package struct ConnectionEvent: Sendable, Equatable {
    package enum Kind: Sendable {
        /// The handshake is over: messages can be sent. (A connection of TCP alone takes none yet.)
        case established
        case lost, refused, handshakeFailed, other
    }
    package var kind: Kind
    /// File descriptor of the connection, or an error number for failures.
    package var value: Int32
    package var endpoint: String
}

extension ZeroMQSocket {
    /// Monitors that this process has made: the name of one must never be another's, also while that one still closes.
    private static let monitors = Atomic(0)

    /// Starts to monitor this socket, once, before it binds or connects; the result is read on the same thread.
    package func monitor() throws(ZeroMQError) -> ZeroMQSocket {
        let endpoint = "inproc://monitor.\(Self.monitors.wrappingAdd(1, ordering: .relaxed).newValue)"
        let events =
            ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL
            | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL
            | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH
        precondition(!isMonitored, "a socket has one monitor")
        guard zmq_socket_monitor(raw, endpoint, events) == 0 else { throw ZeroMQError("monitor a socket") }
        isMonitored = true
        let reader = try ZeroMQSocket(.pair, Options(frameBytes: -1, queue: 0))
        try reader.connect(endpoint)
        reader.observed = self
        return reader
    }

    /// The next event of a monitoring socket, nil when none is waiting.
    package func connectionEvent() throws(ZeroMQError) -> ConnectionEvent? {
        guard let frames = try receive() else { return nil }
        guard frames.count == 2, frames[0].bytes.count == 6 else { return nil }
        let bytes = frames[0].bytes
        let number = Int32(bytes[0]) | Int32(bytes[1]) << 8
        let value = bytes[2..<6].reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        let kind: ConnectionEvent.Kind =
            switch number {
            case ZMQ_EVENT_HANDSHAKE_SUCCEEDED: .established
            case ZMQ_EVENT_DISCONNECTED: .lost
            case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH: .refused
            case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL, ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL: .handshakeFailed
            default: .other
            }
        return ConnectionEvent(
            kind: kind, value: Int32(bitPattern: value), endpoint: String(decoding: frames[1].bytes, as: UTF8.self))
    }
}
