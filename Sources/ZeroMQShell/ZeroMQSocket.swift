import CZeroMQ
import Glibc

/// One libzmq socket. It belongs to the thread that made it and never leaves it.
package final class ZeroMQSocket {
    package enum Kind: Sendable {
        case router, dealer, pair
        /// Answers one request at a time; for the authentication protocol.
        case reply
        var number: Int32 {
            switch self {
            case .router: ZMQ_ROUTER
            case .dealer: ZMQ_DEALER
            case .pair: ZMQ_PAIR
            case .reply: ZMQ_REP
            }
        }
    }

    /// What must be set before the first bind or connect.
    package struct Options: Sendable {
        /// Largest frame accepted from a peer, bytes; a larger one costs the connection before it is allocated.
        package var frameBytes: Int64
        /// Messages queued for a peer, in each direction.
        package var queue: Int32
        /// Milliseconds that a closing socket goes on sending.
        package var linger: Int32 = 0
        /// Who this socket is under encryption; `.none` is for loopback and inside the process.
        package var curve = CurveRole.none
        /// The library's own heartbeats; only for connections that never carry large messages.
        package var heartbeat: Heartbeat?
        /// True when endpoints are IPv6 addresses.
        package var usesIPv6 = false

        package init(frameBytes: Int64, queue: Int32, linger: Int32 = 0) {
            self.frameBytes = frameBytes
            self.queue = queue
            self.linger = linger
        }
    }

    let raw: UnsafeMutableRawPointer
    private var isClosed = false
    /// True while libzmq reports this socket's connections to a monitoring socket.
    var isMonitored = false
    /// On a monitoring socket: the one whose connections it tells of.
    weak var observed: ZeroMQSocket?

    package init(_ kind: Kind, _ options: Options) throws(ZeroMQError) {
        guard let raw = zmq_socket(ZeroMQContext.shared.raw, kind.number) else { throw ZeroMQError("open a socket") }
        self.raw = raw
        try apply(options, to: kind)
    }

    deinit { close() }

    package func close() {
        guard !isClosed else { return }
        isClosed = true
        stopMonitor()
        observed?.stopMonitor()
        zmq_close(raw)
    }

    /// Ends the reports, before either end of them closes: libzmq waits for their reader, on the thread that moves all
    /// bytes of the process, and would wait for ever for one that is gone.
    private func stopMonitor() {
        guard isMonitored else { return }
        isMonitored = false
        zmq_socket_monitor(raw, nil, 0)
    }

    /// Binds and returns the endpoint with its real port (port `*` or 0 = any free one).
    package func bind(_ endpoint: String) throws(ZeroMQError) -> String {
        guard zmq_bind(raw, endpoint) == 0 else { throw ZeroMQError("listen on \(endpoint)") }
        var buffer = [CChar](repeating: 0, count: 256)
        var size = buffer.count
        guard zmq_getsockopt(raw, ZMQ_LAST_ENDPOINT, &buffer, &size) == 0 else {
            throw ZeroMQError("read the endpoint")
        }
        return String(decoding: buffer.prefix(max(0, size - 1)).map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    package func connect(_ endpoint: String) throws(ZeroMQError) {
        guard zmq_connect(raw, endpoint) == 0 else { throw ZeroMQError("connect to \(endpoint)") }
    }

    /// One frame of a message that was received, copied out of libzmq.
    package struct Frame: Sendable {
        package var bytes: [UInt8]
        /// The file descriptor of the connection it came in on, −1 = unknown.
        package var connection: Int32
        /// What the authentication handler called the peer; nil without encryption.
        package var userID: String?
    }

    /// The next whole message, or nil when none is waiting. A message of more than `limit` frames is read, thrown away
    /// and told as one without frames.
    package func receive(limit: Int = 4) throws(ZeroMQError) -> [Frame]? {
        try receiveInPlace(limit: limit)?.map { frame in
            Frame(bytes: frame.bytes, connection: frame.connection, userID: frame.userID)
        }
    }

    /// As `receive`, the bytes staying in libzmq's memory.
    package func receiveInPlace(limit: Int = 4) throws(ZeroMQError) -> [ZeroMQFrame]? {
        var frames: [ZeroMQFrame] = []
        var isExcess = false
        while true {
            let frame = ZeroMQFrame()
            while zmq_msg_recv(frame.message, raw, ZMQ_DONTWAIT) < 0 {
                switch zmq_errno() {
                // A signal between two frames must not lose the first.
                case EINTR: continue
                // libzmq hands over messages whole: there can be nothing only before the first frame.
                case EAGAIN where frames.isEmpty && !isExcess: return nil
                default: throw ZeroMQError("receive")
                }
            }
            if frames.count < limit { frames.append(frame) } else { isExcess = true }
            if zmq_msg_more(frame.message) == 0 { return isExcess ? [] : frames }
        }
    }

    /// What became of a message that was to be sent.
    package enum Sent: Sendable { case sent, wouldBlock, unreachable }

    /// Sends a whole message of at least one frame without waiting.
    package func send(_ frames: [[UInt8]]) throws(ZeroMQError) -> Sent {
        for (index, frame) in frames.enumerated() {
            if let refusal = try give(frame, more: index < frames.count - 1, isFirst: index == 0) { return refusal }
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
            if let refusal = try give(frame, more: true, isFirst: index == 0) { return refusal }
        }
        var message = zmq_msg_t()
        let hint = Unmanaged.passRetained(owner)
        guard
            zmq_msg_init_data(
                &message, UnsafeMutableRawPointer(mutating: payload), count,
                { _, hint in Unmanaged<AnyObject>.fromOpaque(hint!).release() }, hint.toOpaque()) == 0
        else {
            hint.release()
            throw ZeroMQError("send")
        }
        while zmq_msg_send(&message, raw, ZMQ_DONTWAIT) < 0 {
            if zmq_errno() == EINTR { continue }
            let error = ZeroMQError("send")
            zmq_msg_close(&message)
            throw error
        }
        return .sent
    }

    /// Sends one frame; nil when it was taken.
    private func give(_ frame: [UInt8], more: Bool, isFirst: Bool) throws(ZeroMQError) -> Sent? {
        let flags = ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0)
        while frame.withUnsafeBytes({ zmq_send(raw, $0.baseAddress, $0.count, flags) }) < 0 {
            switch zmq_errno() {
            // A signal between two frames must not leave half a message behind.
            case EINTR: continue
            case EAGAIN where isFirst: return .wouldBlock
            case EHOSTUNREACH: return .unreachable
            default: throw ZeroMQError("send")
            }
        }
        return nil
    }
}
