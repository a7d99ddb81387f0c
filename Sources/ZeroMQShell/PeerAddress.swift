/// Where a data socket is reached and whose key it must prove: `tcp://HOST:PORT` alone, or with `#` and the key.
///
/// Without a key the connection is plain; that is for loopback only.
package struct PeerAddress: Sendable, Equatable, CustomStringConvertible {
    /// `tcp://HOST:PORT`.
    package let endpoint: String
    package let key: CurvePublicKey?

    package init(endpoint: String, key: CurvePublicKey?) {
        self.endpoint = endpoint
        self.key = key
    }

    /// Reads the text form; nil when it has no endpoint, a broken key, or no key although it leads off this machine.
    package init?(_ text: String) {
        let parts = text.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false)
        guard let endpoint = parts.first.map(String.init), endpoint.hasPrefix("tcp://") else { return nil }
        self.endpoint = endpoint
        if parts.count == 2 {
            guard let key = try? CurvePublicKey(String(parts[1])) else { return nil }
            self.key = key
        } else {
            key = nil
            guard Self.isLoopback(endpoint) else { return nil }
        }
    }

    package var description: String { key.map { "\(endpoint)#\($0)" } ?? endpoint }

    /// True when only processes of this machine reach the endpoint `tcp://HOST:PORT`.
    package static func isLoopback(_ endpoint: String) -> Bool {
        let host = endpoint.dropFirst("tcp://".utf8.count)
        guard endpoint.hasPrefix("tcp://") else { return false }
        if host.hasPrefix("localhost:") || host.hasPrefix("[::1]:") { return true }
        let bytes = host.prefix { $0 != ":" }.split(separator: ".", omittingEmptySubsequences: false)
        return bytes.count == 4 && bytes[0] == "127" && bytes.allSatisfy { UInt8($0) != nil }
    }

    /// True for `tcp://[ADDRESS]:PORT`.
    package static func isIPv6(_ endpoint: String) -> Bool { endpoint.hasPrefix("tcp://[") }

    /// The endpoint with another port.
    package static func withPort(_ port: String, _ endpoint: String) -> String {
        guard let colon = endpoint.lastIndex(of: ":") else { return endpoint }
        return "\(endpoint[..<colon]):\(port)"
    }

    /// This address as somebody reaches it who reached its owner at `HOST:PORT`: a socket that listens on every address
    /// of its machine can't name the one that leads there.
    package func reached(through dialled: String) -> PeerAddress {
        let isAnywhere = endpoint.hasPrefix("tcp://0.0.0.0:") || endpoint.hasPrefix("tcp://[::]:")
        guard isAnywhere, let port = endpoint.lastIndex(of: ":"), let host = dialled.lastIndex(of: ":") else {
            return self
        }
        return PeerAddress(endpoint: "tcp://\(dialled[..<host])\(endpoint[port...])", key: key)
    }
}
