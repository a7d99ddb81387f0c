import CZeroMQ
import Glibc

/// One libzmq socket. It belongs to the thread that made it and never leaves it.
package final class ZeroMQSocket {
    package enum Kind: Sendable {
        case router, dealer, pair
        var number: Int32 {
            switch self {
            case .router: ZMQ_ROUTER
            case .dealer: ZMQ_DEALER
            case .pair: ZMQ_PAIR
            }
        }
    }

    /// What must be set before the first bind or connect.
    package struct Options: Sendable {
        /// Largest frame accepted from a peer, bytes; larger ones cost the peer its connection before they are allocated.
        package var frameBytes: Int64
        /// Messages queued for a peer, in each direction.
        package var queue: Int32
        /// Milliseconds that a closing socket goes on sending.
        package var linger: Int32 = 0

        package init(frameBytes: Int64, queue: Int32, linger: Int32 = 0) {
            self.frameBytes = frameBytes
            self.queue = queue
            self.linger = linger
        }
    }

    let raw: UnsafeMutableRawPointer
    private var isClosed = false

    package init(_ kind: Kind, _ options: Options) throws(ZeroMQError) {
        guard let raw = zmq_socket(ZeroMQContext.shared.raw, kind.number) else { throw ZeroMQError("open a socket") }
        self.raw = raw
        try set(ZMQ_MAXMSGSIZE, options.frameBytes)
        try set(ZMQ_SNDHWM, options.queue)
        try set(ZMQ_RCVHWM, options.queue)
        try set(ZMQ_LINGER, options.linger)
        try set(ZMQ_HANDSHAKE_IVL, Int32(5000))
        try set(ZMQ_RECONNECT_IVL, Int32(250))
        try set(ZMQ_RECONNECT_IVL_MAX, Int32(15_000))
        try set(ZMQ_TCP_KEEPALIVE, Int32(1))
        try set(ZMQ_TCP_KEEPALIVE_IDLE, Int32(15))
        try set(ZMQ_TCP_KEEPALIVE_INTVL, Int32(5))
        try set(ZMQ_TCP_KEEPALIVE_CNT, Int32(3))
        // Visible errors instead of messages that vanish; nothing is queued for a peer that is not there.
        if kind == .router { try set(ZMQ_ROUTER_MANDATORY, Int32(1)) }
        if kind == .dealer { try set(ZMQ_IMMEDIATE, Int32(1)) }
    }

    deinit { close() }

    package func close() {
        guard !isClosed else { return }
        isClosed = true
        zmq_close(raw)
    }

    private func set<Value: FixedWidthInteger>(_ option: Int32, _ value: Value) throws(ZeroMQError) {
        var value = value
        guard zmq_setsockopt(raw, option, &value, MemoryLayout<Value>.size) == 0 else {
            throw ZeroMQError("set socket option \(option)")
        }
    }

    /// Binds and returns the endpoint with its real port (port `*` or 0 = any free one).
    package func bind(_ endpoint: String) throws(ZeroMQError) -> String {
        guard zmq_bind(raw, endpoint) == 0 else { throw ZeroMQError("listen on \(endpoint)") }
        var buffer = [CChar](repeating: 0, count: 256)
        var size = buffer.count
        guard zmq_getsockopt(raw, ZMQ_LAST_ENDPOINT, &buffer, &size) == 0 else { throw ZeroMQError("read the endpoint") }
        return String(decoding: buffer.prefix(max(0, size - 1)).map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    package func connect(_ endpoint: String) throws(ZeroMQError) {
        guard zmq_connect(raw, endpoint) == 0 else { throw ZeroMQError("connect to \(endpoint)") }
    }

    /// One frame of a message that was received.
    package struct Frame: Sendable {
        package var bytes: [UInt8]
        /// The file descriptor of the connection it came in on, −1 = unknown.
        package var connection: Int32
    }

    /// The next whole message, or nil when none is waiting. More than `limit` frames are read and thrown away.
    package func receive(limit: Int = 4) throws(ZeroMQError) -> [Frame]? {
        var frames: [Frame] = []
        var excess = false
        while true {
            var message = zmq_msg_t()
            zmq_msg_init(&message)
            defer { zmq_msg_close(&message) }
            guard zmq_msg_recv(&message, raw, ZMQ_DONTWAIT) >= 0 else {
                if zmq_errno() == EAGAIN || zmq_errno() == EINTR { return nil }
                throw ZeroMQError("receive")
            }
            let size = zmq_msg_size(&message)
            let start = zmq_msg_data(&message)
            if frames.count < limit {
                frames.append(Frame(
                    bytes: Array(UnsafeRawBufferPointer(start: start, count: size)),
                    connection: zmq_msg_get(&message, ZMQ_SRCFD)))
            } else {
                excess = true
            }
            if zmq_msg_more(&message) == 0 { return excess ? [] : frames }
        }
    }

    /// What became of a message that was to be sent.
    package enum Sent: Sendable { case sent, wouldBlock, unreachable }

    /// Sends a whole message without waiting.
    package func send(_ frames: [[UInt8]]) throws(ZeroMQError) -> Sent {
        for (index, frame) in frames.enumerated() {
            let flags = ZMQ_DONTWAIT | (index < frames.count - 1 ? ZMQ_SNDMORE : 0)
            let sent = frame.withUnsafeBytes { zmq_send(raw, $0.baseAddress, $0.count, flags) }
            guard sent < 0 else { continue }
            switch zmq_errno() {
            case EAGAIN where index == 0: return .wouldBlock
            case EHOSTUNREACH: return .unreachable
            default: throw ZeroMQError("send")
            }
        }
        return .sent
    }

    /// Sends `header`, then `count` bytes at `payload` without copying them.
    ///
    /// `owner` is kept alive until libzmq has let go of the memory, on one of its own threads; the bytes must not
    /// change before.
    package func send(
        header: [UInt8], payload: UnsafeRawPointer, count: Int, owner: AnyObject, prefix: [[UInt8]] = []
    ) throws(ZeroMQError) -> Sent {
        for (index, frame) in (prefix + [header]).enumerated() {
            let sent = frame.withUnsafeBytes { zmq_send(raw, $0.baseAddress, $0.count, ZMQ_DONTWAIT | ZMQ_SNDMORE) }
            guard sent < 0 else { continue }
            switch zmq_errno() {
            case EAGAIN where index == 0: return .wouldBlock
            case EHOSTUNREACH: return .unreachable
            default: throw ZeroMQError("send")
            }
        }
        var message = zmq_msg_t()
        let hint = Unmanaged.passRetained(owner)
        guard zmq_msg_init_data(
            &message, UnsafeMutableRawPointer(mutating: payload), count,
            { _, hint in Unmanaged<AnyObject>.fromOpaque(hint!).release() }, hint.toOpaque()) == 0
        else {
            hint.release()
            throw ZeroMQError("send")
        }
        guard zmq_msg_send(&message, raw, ZMQ_DONTWAIT) >= 0 else {
            let error = ZeroMQError("send")
            zmq_msg_close(&message)
            throw error
        }
        return .sent
    }
}
