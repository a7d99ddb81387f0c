import Coordination
import Terms
import Wire
import ZeroMQShell

/// The connections over which a worker sends chunks: one DEALER a peer, and one to the coordinator.
///
/// Whatever a socket does not take at once waits here and goes out when it can; nothing is copied. Reactor thread only.
final class DataLinks {
    /// A chunk to send; its payload is alive as long as `owner`.
    struct Item {
        var header: DataHeader
        var payload: UnsafeRawPointer
        var count: Int
        var owner: AnyObject
    }

    private final class Link {
        let endpoint: String
        let socket: ZeroMQSocket
        let monitor: ZeroMQSocket
        var waiting: [Item] = []
        /// First item of `waiting` that is not sent.
        var next = 0
        init(endpoint: String, socket: ZeroMQSocket, monitor: ZeroMQSocket) {
            self.endpoint = endpoint
            self.socket = socket
            self.monitor = monitor
        }
    }

    /// Messages queued in libzmq for one peer: enough to keep the connection busy.
    private static let queue: Int32 = 16
    private var links: [(node: NodeID, link: Link)] = []
    private var made = 0
    /// This worker's key, nil where no peer asks for one.
    private let keys: CurveKeyPair?

    init(keys: CurveKeyPair?) { self.keys = keys }

    static var options: ZeroMQSocket.Options {
        ZeroMQSocket.Options(frameBytes: Int64(WireLimits.chunkBytes + 1024), queue: queue)
    }

    /// Keeps links to exactly these nodes, each at a `PeerAddress`; an unchanged one stays open. No link is made to an
    /// address off this machine that names no key.
    func keep(_ peers: [(node: NodeID, endpoint: String)]) throws(ZeroMQError) {
        links.removeAll { old in !peers.contains { $0.node == old.node && $0.endpoint == old.link.endpoint } }
        for peer in peers where !links.contains(where: { $0.node == peer.node }) {
            guard let address = PeerAddress(peer.endpoint) else { continue }
            var options = Self.options
            options.usesIPv6 = PeerAddress.isIPv6(address.endpoint)
            if let key = address.key, let keys { options.curve = .client(keys, server: key) }
            let socket = try ZeroMQSocket(.dealer, options)
            made += 1
            let monitor = try socket.monitor(named: "link\(made)")
            try socket.connect(address.endpoint)
            links.append((peer.node, Link(endpoint: peer.endpoint, socket: socket, monitor: monitor)))
        }
    }

    /// Forgets what waits: it belongs to an older generation.
    func clear() {
        for entry in links {
            entry.link.waiting = []
            entry.link.next = 0
        }
    }

    func send(_ item: Item, to node: NodeID) {
        links.first { $0.node == node }?.link.waiting.append(item)
    }

    /// Sends what the sockets take.
    func flush() throws(ZeroMQError) {
        for (_, link) in links {
            while link.next < link.waiting.count {
                let item = link.waiting[link.next]
                let sent = try link.socket.send(
                    header: item.header.encoded(), payload: item.payload, count: item.count, owner: item.owner)
                guard sent == .sent else { break }
                link.next += 1
            }
            if link.next == link.waiting.count {
                link.waiting.removeAll(keepingCapacity: true)
                link.next = 0
            } else if link.next > 256 {
                link.waiting.removeSubrange(..<link.next)
                link.next = 0
            }
        }
    }

    /// True when everything has been handed to the sockets.
    var isIdle: Bool { links.allSatisfy { $0.link.waiting.isEmpty } }

    /// What to wait for.
    var interests: [ZeroMQPoller.Interest] {
        links.flatMap { entry -> [ZeroMQPoller.Interest] in
            let isSending = !entry.link.waiting.isEmpty
            // Peers answer on this worker's own socket: a link to one is looked at only while something waits to go out.
            guard isSending || entry.node == .coordinator else { return [.init(entry.link.monitor)] }
            return [.init(entry.link.socket, sending: isSending), .init(entry.link.monitor)]
        }
    }

    /// Nodes whose connection broke or stands since the last call, in order. What is sent between the two may be lost.
    func changes() throws(ZeroMQError) -> [(node: NodeID, isLost: Bool)] {
        var changes: [(node: NodeID, isLost: Bool)] = []
        for (node, link) in links {
            while let event = try link.monitor.connectionEvent() {
                if event.kind == .lost || event.kind == .established { changes.append((node, event.kind == .lost)) }
            }
        }
        return changes
    }

    /// Messages that came back over a link: only the coordinator's data socket answers on one.
    func received() throws(ZeroMQError) -> [[ZeroMQFrame]] {
        var messages: [[ZeroMQFrame]] = []
        for (node, link) in links where node == .coordinator {
            while messages.count < 64, let frames = try link.socket.receiveInPlace(limit: 2) { messages.append(frames) }
        }
        return messages
    }
}
