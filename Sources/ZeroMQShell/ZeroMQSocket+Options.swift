import CZeroMQ
import Glibc

/// Who a socket is under CURVE encryption.
package enum CurveRole: Sendable, Equatable {
    case none
    /// Accepts the keys that the authentication handler accepts for `domain` (not empty); without handler, nobody.
    case server(CurveKeyPair, domain: String)
    /// Talks to the owner of `server` and to nobody else.
    case client(CurveKeyPair, server: CurvePublicKey)
}

/// libzmq's own heartbeats. A message that takes longer than `interval + timeout` to arrive ends its connection.
package struct Heartbeat: Sendable, Equatable {
    /// Milliseconds between two of them.
    package var interval: Int32 = 5_000
    /// Milliseconds without an answer after which the connection ends.
    package var timeout: Int32 = 20_000
    /// Milliseconds after which the peer ends it, at most 60 000: more overflows on the wire.
    package var timeToLive: Int32 = 60_000
    package init() {}
}

extension ZeroMQSocket {
    /// Sets every option before the first bind or connect and reads back what can be read back.
    func apply(_ options: Options, to kind: Kind) throws(ZeroMQError) {
        try set(ZMQ_MAXMSGSIZE, options.frameBytes)
        try set(ZMQ_SNDHWM, options.queue)
        try set(ZMQ_RCVHWM, options.queue)
        try set(ZMQ_LINGER, options.linger)
        try set(ZMQ_HANDSHAKE_IVL, Int32(5_000))
        try set(ZMQ_RECONNECT_IVL, Int32(250))
        try set(ZMQ_RECONNECT_IVL_MAX, Int32(15_000))
        try set(ZMQ_TCP_KEEPALIVE, Int32(1))
        try set(ZMQ_TCP_KEEPALIVE_IDLE, Int32(15))
        try set(ZMQ_TCP_KEEPALIVE_INTVL, Int32(5))
        try set(ZMQ_TCP_KEEPALIVE_CNT, Int32(3))
        try set(ZMQ_BACKLOG, Int32(32))
        try set(ZMQ_IPV6, Int32(options.usesIPv6 ? 1 : 0))
        if let heartbeat = options.heartbeat {
            precondition(heartbeat.timeToLive <= 60_000, "a longer time to live overflows on the wire")
            try set(ZMQ_HEARTBEAT_IVL, heartbeat.interval)
            try set(ZMQ_HEARTBEAT_TIMEOUT, heartbeat.timeout)
            try set(ZMQ_HEARTBEAT_TTL, heartbeat.timeToLive)
        }
        // Visible errors instead of messages that vanish; nobody takes over another peer's identity; nothing is queued
        // for a peer that is not there. The first two can't be read back.
        if kind == .router {
            try write(ZMQ_ROUTER_MANDATORY, Int32(1))
            try write(ZMQ_ROUTER_HANDOVER, Int32(0))
        }
        if kind == .dealer { try set(ZMQ_IMMEDIATE, Int32(1)) }
        try apply(options.curve)
    }

    private func apply(_ curve: CurveRole) throws(ZeroMQError) {
        switch curve {
        case .none: return
        case .server(let keys, let domain):
            precondition(!domain.isEmpty, "with an empty domain libzmq asks nobody and lets everybody in")
            try set(ZMQ_CURVE_SERVER, Int32(1))
            try write(ZMQ_CURVE_SECRETKEY, keys.secretText)
            try write(ZMQ_ZAP_DOMAIN, domain)
            try set(Self.enforceDomain, Int32(1))
        case .client(let keys, let server):
            try write(ZMQ_CURVE_SERVERKEY, server.text)
            try write(ZMQ_CURVE_PUBLICKEY, keys.publicKey.text)
            try write(ZMQ_CURVE_SECRETKEY, keys.secretText)
        }
    }

    /// ZMQ_ZAP_ENFORCE_DOMAIN: without authentication handler nobody is let in, instead of everybody. The header names
    /// it in its draft part only, the library has it since 4.3.0.
    private static let enforceDomain: Int32 = 93

    /// Sets an option and reads it back.
    private func set<Value: FixedWidthInteger>(_ option: Int32, _ value: Value) throws(ZeroMQError) {
        try write(option, value)
        var found: Value = 0
        var count = MemoryLayout<Value>.size
        guard zmq_getsockopt(raw, option, &found, &count) == 0 else {
            throw ZeroMQError("read socket option \(option)")
        }
        guard found == value else {
            throw ZeroMQError("set socket option \(option) to \(value), libzmq says \(found)", code: EINVAL)
        }
    }

    private func write<Value: FixedWidthInteger>(_ option: Int32, _ value: Value) throws(ZeroMQError) {
        var value = value
        guard zmq_setsockopt(raw, option, &value, MemoryLayout<Value>.size) == 0 else {
            throw ZeroMQError("set socket option \(option)")
        }
    }

    private func write(_ option: Int32, _ value: String) throws(ZeroMQError) {
        guard zmq_setsockopt(raw, option, value, value.utf8.count) == 0 else {
            throw ZeroMQError("set socket option \(option)")
        }
    }
}
