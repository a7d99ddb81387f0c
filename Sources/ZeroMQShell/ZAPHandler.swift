/// A connection asks to be let in (ZeroMQ RFC 27, authentication protocol 1.0).
package struct ZAPRequest: Sendable, Equatable {
    /// Echoed in the answer.
    package let id: [UInt8]
    /// The domain of the socket that it came to.
    package let domain: String
    /// The peer's network address.
    package let address: String
    package let mechanism: Mechanism

    package enum Mechanism: Sendable, Equatable {
        /// The peer has proved that it owns this key.
        case curve(CurvePublicKey)
        /// Anything else, by name.
        case other(String)
    }

    /// Reads a request's frames; nil when they are not of the protocol's form.
    package init?(frames: [[UInt8]]) {
        guard frames.count >= 6, frames.count <= 9, frames[0].elementsEqual("1.0".utf8), frames[1].count <= 255,
            let domain = String(validating: frames[2], as: UTF8.self),
            let address = String(validating: frames[3], as: UTF8.self),
            let name = String(validating: frames[5], as: UTF8.self)
        else { return nil }
        id = frames[1]
        self.domain = domain
        self.address = address
        if name == "CURVE" {
            guard frames.count == 7, let key = try? CurvePublicKey(bytes: frames[6]) else { return nil }
            mechanism = .curve(key)
        } else {
            mechanism = .other(name)
        }
    }
}

/// What to answer a connection.
package enum ZAPDecision: Sendable, Equatable {
    /// Let in; every message it sends carries this text as `userID`. At most 255 bytes, not empty.
    case accept(userID: String)
    /// Kept out for good: an unknown or revoked key.
    case refuse(String)
    /// Kept out for now, for instance because the answer is not known yet; the peer may try again at once.
    case later(String)
}

/// Answers the library's question for every new encrypted connection of this process: may this key come in?
///
/// Bind it before any server socket: without it nobody is let in.
package final class ZAPHandler {
    /// For the poller: readable when a connection asks.
    package let socket: ZeroMQSocket
    private static let endpoint = "inproc://zeromq.zap.01"

    /// The process's one handler; fails when there is another.
    package init() throws(ZeroMQError) {
        socket = try ZeroMQSocket(.reply, ZeroMQSocket.Options(frameBytes: 4 << 10, queue: 1_000))
        _ = try socket.bind(Self.endpoint)
    }

    /// Answers at most `limit` waiting questions and returns how many; `decide` must not wait for anything.
    @discardableResult
    package func answer(limit: Int = 64, _ decide: (ZAPRequest) -> ZAPDecision) throws(ZeroMQError) -> Int {
        var answered = 0
        while answered < limit, let message = try socket.receive(limit: 9) {
            let frames = message.map(\.bytes)
            let reply: [[UInt8]]
            if let request = ZAPRequest(frames: frames) {
                reply = Self.reply(request.id, decide(request))
            } else {
                reply = Self.reply(frames.count > 1 ? frames[1] : [], .refuse("malformed request"))
            }
            _ = try socket.send(reply)
            answered += 1
        }
        return answered
    }

    /// Version, request id, status, its text, user id, metadata.
    static func reply(_ id: [UInt8], _ decision: ZAPDecision) -> [[UInt8]] {
        func frames(_ status: String, _ text: String, _ user: String) -> [[UInt8]] {
            [Array("1.0".utf8), id, Array(status.utf8), Array(text.utf8.prefix(255)), Array(user.utf8), []]
        }
        switch decision {
        case .accept(let user):
            precondition((1...255).contains(user.utf8.count), "a peer that is let in has a name")
            return frames("200", "OK", user)
        case .refuse(let text): return frames("400", text, "")
        case .later(let text): return frames("300", text, "")
        }
    }
}
