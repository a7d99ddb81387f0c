import Foundation
import Synchronization
import Terms
import Wire
import ZeroMQShell

/// A client's connection to a coordinator: asks, and listens to what follows. One thread only.
final class CoordinatorClient {
    private let address: String
    private let socket: ZeroMQSocket
    private let monitor: ZeroMQSocket
    private let poller = ZeroMQPoller()
    let trust: Trust?
    let node = NodeID(high: .random(in: 1 ..< .max), low: .random(in: 0 ..< .max))
    private var nextRequest: UInt64 = 1
    private var isWelcome = false
    private var welcomedTo = ""
    /// True while the hello of this connection has not left yet.
    private var owesHello = false
    /// True after the connection broke, until `reconnected` is asked.
    private var wasLost = false

    /// Seconds that the coordinator may take to answer a first call.
    private static let patience = 10.0

    /// - Parameter trust: the coordinator's key and the one to prove; nil for the open coordinator of a local run.
    init(_ address: String, trust: Trust?) throws {
        self.address = address
        self.trust = trust
        var options = ZeroMQSocket.Options(frameBytes: Int64(WireLimits.controlBytes), queue: 256, linger: 500)
        options.usesIPv6 = PeerAddress.isIPv6("tcp://\(address)")
        if let trust { options.curve = .client(trust.keys, server: trust.coordinator) }
        socket = try ZeroMQSocket(.dealer, options)
        monitor = try socket.monitor()
        try socket.connect("tcp://\(address)")
    }

    /// Asks one question and waits for its answer; an answer with `error` is thrown.
    ///
    /// - Parameter key: the request's own name, 32 hexadecimal digits; nil = one is drawn.
    func ask(_ body: JSONValue, key: String? = nil) throws -> JSONValue {
        // The request's own name: asked again after a break of the connection, it is answered and not done again.
        var body = body.object ?? JSONObject()
        body["request"] = .string(key ?? NodeID(high: .random(in: 1 ... .max), low: .random(in: 0 ... .max)).hex)
        let began = Date()
        var ids = [try send(.object(body))]
        var deadline = Date().addingTimeInterval(Self.patience)
        while Date() < deadline {
            for (answered, _, value) in try receive(milliseconds: 200) where ids.contains(answered) {
                if let problem = value["error"]?.string { throw Failure.input(problem) }
                return value
            }
            // A coordinator that is started again is worth a wait.
            if wasLost { deadline = max(deadline, Date().addingTimeInterval(Self.patience)) }
            if reconnected() {
                ids.append(try send(.object(body)))
                deadline = Date().addingTimeInterval(Self.patience)
            }
            if wasLost, Date().timeIntervalSince(began) > 6 * Self.patience { break }
        }
        throw Failure.failed("the coordinator at \(address) does not answer: is it running, and is the address right?")
    }

    /// Asks for what may take long: when a task is begun for it, its answer is fetched as soon as it is there.
    func wait(for request: JSONValue, key: String? = nil) throws -> JSONValue {
        let begun = try ask(request, key: key)
        guard let task = begun["task"]?.int else { return begun }
        while true {
            let now = try ask(.members(["op": .string("task"), "task": .int(task)]))
            if now["done"]?.bool == true, let answer = now["answer"] {
                if let problem = answer["error"]?.string { throw Failure.failed(problem) }
                return answer
            }
            usleep(100_000)
        }
    }

    /// Sends a request whose answers are taken with `receive`.
    @discardableResult
    func send(_ body: JSONValue) throws -> UInt64 {
        try waitForWelcome()
        let id = nextRequest
        nextRequest += 1
        let deadline = Date().addingTimeInterval(Self.patience)
        while try socket.send([Message.request(id: id, body: body.encoded()).encoded()]) != .sent {
            guard Date() < deadline else { throw Failure.failed("the coordinator at \(address) takes nothing in") }
            usleep(20_000)
        }
        return id
    }

    /// Where the coordinator moves files, and whose key it proves there.
    func dataAddress() throws -> PeerAddress {
        try waitForWelcome()
        guard let address = PeerAddress(welcomedTo)?.reached(through: self.address),
            address.key.map({ $0 == trust?.coordinator }) ?? true
        else {
            throw Failure.failed("the coordinator at \(self.address) names a data socket without its key")
        }
        return address
    }

    private func waitForWelcome() throws {
        let deadline = Date().addingTimeInterval(Self.patience)
        while !isWelcome {
            guard Date() < deadline else {
                throw Failure.failed(
                    "the coordinator at \(address) does not answer: is it running, is the address right, and has it kept its key?"
                )
            }
            _ = try receive(milliseconds: 100)
        }
    }

    /// Answers that have come, after at most that long.
    func receive(milliseconds: Int) throws -> [(id: UInt64, last: Bool, body: JSONValue)] {
        try poller.wait([.init(socket), .init(monitor)], milliseconds: milliseconds)
        while let event = try monitor.connectionEvent() {
            switch event.kind {
            case .established: owesHello = true
            case .lost:
                isWelcome = false
                owesHello = false
                wasLost = true
            case .refused:
                throw Failure.input(
                    "the coordinator at \(address) does not know this user's key, or the invitation is used up or too old: "
                        + "ask for a new one with `drover client invite` or `drover worker invite` on its machine")
            case .handshakeFailed, .other: break
            }
        }
        if owesHello { try greet() }
        var answers: [(id: UInt64, last: Bool, body: JSONValue)] = []
        while let frames = try socket.receive(limit: 1) {
            guard let frame = frames.first, let message = try? Message(decoding: frame.bytes) else { continue }
            switch message {
            case .welcome(let welcome):
                isWelcome = true
                welcomedTo = welcome.dataEndpoint
            case .refuse(let refusal): throw Failure.failed(refusal.text)
            case .reply(let id, let last, let body):
                answers.append((id, last, (try? JSONValue.parse(body)) ?? .null))
            default: break
            }
        }
        return answers
    }

    /// True once after the coordinator came back: whatever was followed must be asked for again.
    func reconnected() -> Bool {
        guard wasLost, isWelcome else { return false }
        wasLost = false
        return true
    }

    private func greet() throws {
        let hello = Hello(
            role: .client, node: node, boot: UInt64.random(in: 1 ... .max), name: "client/\(getpid())", threads: 0,
            dataEndpoint: "", profile: 0, lastEpoch: 0)
        owesHello = try socket.send([Message.hello(hello).encoded()]) != .sent
    }
}
