import Coordination
import Terms
import Wire
import ZeroMQShell

/// The connections over which a worker sends chunks: one DEALER a peer, and one to the coordinator.
///
/// Whatever a socket does not take at once waits here and goes out when it can, without a copy. To peers on the same
/// machine that have opened this worker's shelf, payloads go by way of that (`Shelf`). Reactor thread only.
final class DataLinks {
    /// A chunk to send; its payload is alive as long as `owner`.
    struct Item {
        var header: DataHeader
        var payload: UnsafeRawPointer
        var count: Int
        var owner: AnyObject
    }

    /// An item on its way to one or several peers.
    private final class Parcel {
        let item: Item
        let nodes: [NodeID]
        /// Where it lies on the shelf, and for which readers.
        var place: ShelfPlace?
        var readers: UInt32 = 0

        init(_ item: Item, _ nodes: [NodeID]) { (self.item, self.nodes) = (item, nodes) }
    }

    private final class Link {
        let endpoint: String
        let socket: ZeroMQSocket
        let monitor: ZeroMQSocket
        var waiting: [Parcel] = []
        /// First one of `waiting` that is not sent.
        var next = 0
        /// Which reader of the shelf the peer is; nil = it is on another machine.
        var reader: Int?
        /// The shelf is full: somebody says when it no longer is.
        var lacksRoom = false
        /// Short messages that overtake chunks, so that two full shelves never wait for each other.
        var urgent: [(header: DataHeader, payload: [UInt8])] = []
        init(endpoint: String, socket: ZeroMQSocket, monitor: ZeroMQSocket) {
            self.endpoint = endpoint
            self.socket = socket
            self.monitor = monitor
        }
    }

    /// Messages queued in libzmq for one peer: enough to keep the connection busy.
    private static let queue: Int32 = 16
    private var links: [(node: NodeID, link: Link)] = []
    /// Who this worker is, as it calls itself in an offer.
    private let node: NodeID
    /// This worker's key, nil where no peer asks for one.
    private let keys: CurveKeyPair?
    /// Peers at such endpoints are offered the shelf.
    private let isNear: (String) -> Bool
    /// Made for the first of them.
    private lazy var shelf = Shelf.make(nonce: .random(in: 1...UInt64.max))

    /// - Parameter isNear: whether the peer at an endpoint may be on this machine.
    init(node: NodeID, keys: CurveKeyPair?, isNear: @escaping (String) -> Bool) {
        (self.node, self.keys, self.isNear) = (node, keys, isNear)
    }

    static var options: ZeroMQSocket.Options {
        ZeroMQSocket.Options(frameBytes: Int64(WireLimits.chunkBytes + 1024), queue: queue)
    }

    private subscript(node: NodeID) -> Link? { links.first { $0.node == node }?.link }

    /// Keeps links to exactly these nodes, each at a `PeerAddress`; an unchanged one stays open. No link is made to an
    /// address off this machine that names no key.
    func keep(_ peers: [(node: NodeID, endpoint: String)]) throws(ZeroMQError) {
        for old in links where !peers.contains(where: { $0.node == old.node && $0.endpoint == old.link.endpoint }) {
            leaveShelf(old.link)
            links.removeAll { $0.node == old.node }
        }
        for peer in peers where self[peer.node] == nil {
            guard let address = PeerAddress(peer.endpoint) else { continue }
            var options = Self.options
            options.usesIPv6 = PeerAddress.isIPv6(address.endpoint)
            if let key = address.key, let keys { options.curve = .client(keys, server: key) }
            let socket = try ZeroMQSocket(.dealer, options)
            let monitor = try socket.monitor()
            try socket.connect(address.endpoint)
            links.append((peer.node, Link(endpoint: peer.endpoint, socket: socket, monitor: monitor)))
        }
    }

    /// Forgets what waits: it belongs to an older generation.
    func clear() {
        for (_, link) in links {
            if let reader = link.reader {
                for parcel in link.waiting[link.next...] where parcel.readers & (1 << reader) != 0 {
                    if let place = parcel.place { shelf?.forget(reader, at: place) }
                }
            }
            link.waiting = []
            link.next = 0
            link.lacksRoom = false
        }
    }

    /// Queues an item for peers; those without a link are left out.
    func send(_ item: Item, to nodes: [NodeID]) {
        let parcel = Parcel(item, nodes)
        for node in nodes { self[node]?.waiting.append(parcel) }
    }

    /// Sends what the sockets take.
    func flush() throws(ZeroMQError) {
        for (_, link) in links {
            while let message = link.urgent.first,
                try link.socket.send([message.header.encoded(), message.payload]) == .sent
            { link.urgent.removeFirst() }
        }
        // One of each in turn: nobody's chunks fill the shelf while the others wait.
        var isMoving = true
        while isMoving {
            isMoving = false
            for (_, link) in links where link.next < link.waiting.count {
                guard try flushFirst(link) else { continue }
                link.next += 1
                isMoving = true
            }
        }
        for (_, link) in links {
            if link.next == link.waiting.count {
                link.waiting.removeAll(keepingCapacity: true)
                link.next = 0
            } else if link.next > 256 {
                link.waiting.removeSubrange(..<link.next)
                link.next = 0
            }
        }
    }

    /// Payloads below this go as bytes.
    private static let smallestShelved = 4096

    /// Sends the first waiting parcel; false when it has to wait.
    private func flushFirst(_ link: Link) throws(ZeroMQError) -> Bool {
        let parcel = link.waiting[link.next]
        let item = parcel.item
        if let place = try shelve(parcel, link) {
            return try link.socket.send([item.header.encoded(), place.encoded(), []]) == .sent
        }
        guard !link.lacksRoom else { return false }
        return try link.socket.send(
            header: item.header.encoded(), payload: item.payload, count: item.count, owner: item.owner) == .sent
    }

    /// The place on the shelf from which the link's peer reads the parcel; nil = it goes as bytes, or lacks room.
    private func shelve(_ parcel: Parcel, _ link: Link) throws(ZeroMQError) -> ShelfPlace? {
        link.lacksRoom = false
        guard let shelf, let reader = link.reader, parcel.item.count >= Self.smallestShelved else { return nil }
        if parcel.place == nil {
            guard shelf.isOpen(to: reader) else {
                if shelf.isLetGo(by: reader) { offerShelf(link) }
                return nil
            }
            // What goes to several takes a place when it is the next one for all of them: else it would hold one that
            // somebody needs for what comes before it.
            guard parcel.nodes.allSatisfy({ isNext(parcel, to: $0) }) else {
                link.lacksRoom = true
                return nil
            }
            parcel.readers = parcel.nodes.reduce(0) { readers, node in
                guard let reader = self[node]?.reader, shelf.isOpen(to: reader) else { return readers }
                return readers | 1 << reader
            }
            parcel.place = shelf.put(parcel.item.payload, parcel.item.count, for: parcel.readers)
            // Places that this link's later parcels hold are not left before this one is sent: then it goes as bytes.
            link.lacksRoom =
                parcel.place == nil
                && !link.waiting[(link.next + 1)...].contains { $0.place != nil && $0.readers & (1 << reader) != 0 }
        }
        return parcel.readers & (1 << reader) != 0 ? parcel.place : nil
    }

    /// False while something else has to go to a reader of the shelf before the parcel.
    private func isNext(_ parcel: Parcel, to node: NodeID) -> Bool {
        guard parcel.nodes.count > 1, let link = self[node], let reader = link.reader,
            shelf?.isOpen(to: reader) == true, link.next < link.waiting.count, link.waiting[link.next] !== parcel
        else { return true }
        return !link.waiting[link.next...].contains { $0 === parcel }
    }

    /// True when everything has been handed to the sockets.
    var isIdle: Bool { links.allSatisfy { $0.link.waiting.isEmpty && $0.link.urgent.isEmpty } }

    /// What to wait for.
    var interests: [ZeroMQPoller.Interest] {
        links.flatMap { entry -> [ZeroMQPoller.Interest] in
            let isSending = !entry.link.urgent.isEmpty || !entry.link.waiting.isEmpty && !entry.link.lacksRoom
            // Peers answer on this worker's own socket: a link to one is looked at only while something waits to go
            // out.
            guard isSending || entry.node == .coordinator else { return [.init(entry.link.monitor)] }
            return [.init(entry.link.socket, sending: isSending), .init(entry.link.monitor)]
        }
    }

    /// Nodes whose connection broke or stands since the last call, in order. What is sent between the two may be lost.
    func changes() throws(ZeroMQError) -> [(node: NodeID, isLost: Bool)] {
        var changes: [(node: NodeID, isLost: Bool)] = []
        for (node, link) in links {
            while let event = try link.monitor.connectionEvent() {
                guard event.kind == .lost || event.kind == .established else { continue }
                changes.append((node, event.kind == .lost))
                leaveShelf(link)
                if event.kind == .lost { link.urgent = [] }
                if event.kind == .established, node != .coordinator, isNear(link.endpoint) { offerShelf(link) }
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

    // MARK: The shelf

    /// Tells peers that there is room on their shelves again.
    func tellRoom(_ nodes: [NodeID]) {
        for node in nodes { self[node]?.urgent.append((shelfHeader(.room), [0])) }
    }

    /// A peer has made room on this worker's shelf.
    func hasRoom() { for (_, link) in links { link.lacksRoom = false } }

    private func shelfHeader(_ kind: DataHeader.Kind) -> DataHeader {
        DataHeader(
            kind: kind, job: JobID(0), generation: Generation(0), step: 0, offset: 0, count: 0, sender: node)
    }

    /// Offers the shelf to a link's peer, which begins to read anew; beyond `ShelfOffer.readers` peers get bytes.
    private func offerShelf(_ link: Link) {
        leaveShelf(link)
        let taken = links.compactMap(\.link.reader)
        guard let shelf, let reader = (0..<Int(ShelfOffer.readers)).first(where: { !taken.contains($0) }) else {
            return
        }
        link.reader = reader
        link.urgent.append((shelfHeader(.shelf), shelf.offer(to: reader).encoded()))
    }

    /// What lies on the shelf for the peer of a broken connection is never read.
    private func leaveShelf(_ link: Link) {
        guard let reader = link.reader else { return }
        shelf?.forget(reader)
        for parcel in link.waiting { parcel.readers &= ~(1 << UInt32(reader)) }
        link.reader = nil
        link.lacksRoom = false
    }
}
