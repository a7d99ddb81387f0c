import Terms
import Wire
import ZeroMQShell

/// Answers that wait for the data socket, route by route: a peer that takes nothing holds up nobody but itself.
struct ChunkOutbox {
    /// The answer to one request: memory that goes out in chunks.
    struct Answer {
        /// The header of its first chunk; its count is that of the whole.
        var header: DataHeader
        var payload: UnsafeRawPointer
        /// Bytes of all chunks.
        var bytes: Int
        /// Bytes of what the header's offset and count count.
        var unit: Int
        /// Keeps the memory alive.
        var owner: AnyObject
        fileprivate var sent = 0

        init(header: DataHeader, payload: UnsafeRawPointer, bytes: Int, unit: Int, owner: AnyObject) {
            self.header = header
            self.payload = payload
            self.bytes = bytes
            self.unit = unit
            self.owner = owner
        }

        fileprivate var isOver: Bool { sent >= bytes }

        fileprivate var next: Chunk {
            let count = min(WireLimits.chunkBytes, bytes - sent)
            var header = header
            if bytes > count {
                header.offset += UInt64(sent / unit)
                header.count = UInt64(count / unit)
            }
            return Chunk(header: header.encoded(), payload: payload + sent, count: count, owner: owner)
        }
    }

    /// What goes into the socket as one message.
    struct Chunk {
        var header: [UInt8]
        var payload: UnsafeRawPointer
        var count: Int
        var owner: AnyObject
    }

    private struct Route {
        /// libzmq's name of the peer.
        var name: [UInt8]
        /// File descriptor of its connection.
        var descriptor: Int32
        var answers: [Answer]
    }

    /// Answers that one peer may have waiting: more than any asks for at once.
    static let mostAnswers = 64
    /// Chunks of one route before it is the next one's turn.
    private static let turn = 8
    private var routes: [Route] = []
    /// The route whose turn it is.
    private var first = 0

    var isEmpty: Bool { routes.isEmpty }

    /// Answers of one peer that are not out yet.
    func waiting(for name: [UInt8]) -> Int { routes.first { $0.name == name }?.answers.count ?? 0 }

    /// Takes an answer in. State for an older generation of the job is of no use to that peer any more, and of too many
    /// answers the oldest goes: who asked for it does not wait for it any more.
    mutating func add(_ answer: Answer, to name: [UInt8], on descriptor: Int32) {
        guard answer.bytes > 0 else { return }
        guard let place = routes.firstIndex(where: { $0.name == name }) else {
            return routes.append(Route(name: name, descriptor: descriptor, answers: [answer]))
        }
        let header = answer.header
        if header.kind == .state {
            routes[place].answers.removeAll {
                $0.header.kind == .state && $0.header.job == header.job && $0.header.generation < header.generation
            }
        }
        if routes[place].answers.count >= Self.mostAnswers { routes[place].answers.removeFirst() }
        routes[place].answers.append(answer)
    }

    /// Forgets what waits for a connection that is gone.
    mutating func drop(_ descriptor: Int32) { routes.removeAll { $0.descriptor == descriptor } }

    /// What a flush came to.
    enum Outcome: Equatable {
        /// Nothing waits any more.
        case empty
        /// There is more to send at once.
        case more
        /// Whoever is left takes nothing for the time being; `moved` says whether anything went out before.
        case blocked(moved: Bool)
    }

    /// Sends at most `limit` chunks, a few of each route in turn.
    mutating func flush(limit: Int, _ send: ([UInt8], Chunk) throws -> ZeroMQSocket.Sent) rethrows -> Outcome {
        var left = limit
        // The front is where the last flush ended.
        var order = routes.indices.map { (first + $0) % routes.count }
        first = 0
        var finished: [[UInt8]] = []
        while left > 0, !order.isEmpty {
            var open: [Int] = []
            for place in order {
                guard left > 0 else {
                    open.append(place)
                    continue
                }
                switch try flush(&routes[place], &left, send) {
                case .sent where routes[place].answers.isEmpty: finished.append(routes[place].name)
                case .sent: open.append(place)
                case .wouldBlock: break
                case .unreachable: finished.append(routes[place].name)
                }
            }
            order = open
        }
        let next = order.first.map { routes[$0].name }
        routes.removeAll { finished.contains($0.name) }
        first = next.flatMap { name in routes.firstIndex { $0.name == name } } ?? 0
        if routes.isEmpty { return .empty }
        return order.isEmpty ? .blocked(moved: left < limit) : .more
    }

    /// One route's turn; `.sent` when it took all that it was offered.
    private func flush(
        _ route: inout Route, _ left: inout Int, _ send: ([UInt8], Chunk) throws -> ZeroMQSocket.Sent
    ) rethrows -> ZeroMQSocket.Sent {
        for _ in 0..<min(Self.turn, left) {
            guard let answer = route.answers.first else { return .sent }
            let chunk = answer.next
            let sent = try send(route.name, chunk)
            guard sent == .sent else { return sent }
            left -= 1
            route.answers[0].sent += chunk.count
            if route.answers[0].isOver { route.answers.removeFirst() }
        }
        return .sent
    }
}
