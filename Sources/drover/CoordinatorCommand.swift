import ArgumentParser
import Budgeting
import Coordination
import CoordinatorShell
import Foundation
import Logging
import StorageShell
import Synchronization
import Terms
import ZeroMQShell

/// `drover coordinator`: the one process that a cluster needs besides its workers.
struct CoordinatorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "coordinator", abstract: "Runs a cluster's coordinator until it is told to stop.",
        discussion: """
            Prints a join line for one worker first (`drover worker invite` makes more), then events. Every connection is
            encrypted and proves a key that the coordinator knows. Workers and clients of the same user on the same
            machine need no token. SIGTERM saves every running job first, for at most a minute; the workers stay, and go on
            as soon as the coordinator is started again. A second one ends it at once.
            """)

    @Option(help: "Where to listen, tcp://HOST:PORT.")
    var listen = "tcp://127.0.0.1:7780"

    @Option(help: "Folder of the journal, the logs and the checkpoints.")
    var state: String?

    @Option(help: "What energy and money are taken to be: a JSON file; default: ~/.config/drover/rates.json.")
    var rates: String?

    @Option(help: "Between two signs of life of a worker.")
    var heartbeat = "2s"

    @Option(help: "A worker silent for so long is named.")
    var suspectAfter = "6s"

    @Option(help: "A worker silent for so long counts as dead: the others go on without it.")
    var deadAfter = "15s"

    /// The three lengths; each below the next.
    private func times() throws -> CoordinatorTimes {
        func span(_ text: String, _ name: String) throws -> Span {
            switch Quantity.duration(text) {
            case .success(let milliseconds): return .milliseconds(milliseconds)
            case .failure(let fault): throw Failure.input("--\(name): \(fault.sentence)")
            }
        }
        var times = CoordinatorTimes()
        times.heartbeat = try span(heartbeat, "heartbeat")
        times.suspectAfter = try span(suspectAfter, "suspect-after")
        times.deadAfter = try span(deadAfter, "dead-after")
        guard times.heartbeat >= .milliseconds(100), times.heartbeat <= .seconds(60),
            times.heartbeat * 2 <= times.suspectAfter, times.suspectAfter <= times.deadAfter
        else {
            throw Failure.input(
                "--heartbeat is in 0.1s…1m, --suspect-after at least twice as long, --dead-after no shorter than that")
        }
        return times
    }

    func run() throws {
        guard listen.hasPrefix("tcp://"), listen.dropFirst(6).contains(":") else {
            throw Failure.input("--listen takes tcp://HOST:PORT, for instance tcp://10.0.0.1:7780, not `\(listen)`")
        }
        let folder = Self.folder(state)
        var log = Logger(label: "coordinator", factory: { StreamLogHandler.standardError(label: $0) })
        log.logLevel = .info
        var options = CoordinatorService.Options(listen: listen, state: folder) { "\(folder)/jobs/\($0)" }
        options.isClosed = true
        options.times = try times()
        options.rates = try Rates.read(rates)
        Signals.watch()
        let printer = EventPrinter()
        let service = try CoordinatorService(options, log: log) { _, event in printer.put(event) }
        let address = try Self.reachable(service.endpoint)
        guard let gate = service.gate else { preconditionFailure("a coordinator of a cluster has a gate") }
        try admitOwner(gate, endpoint: service.endpoint, address: address)
        try AtomicFile.write("\(folder)/address", Array("\(address)\n".utf8), mode: 0o600)
        try service.continueJobs()
        Output.line("drover worker join \(address) --token \(try gate.invite(.workerInvitation).text)")
        let watcher = Thread {
            while !Signals.stopRequested { usleep(100_000) }
            service.order(.retire(within: .seconds(60)))
            while Signals.requests < 2 { usleep(100_000) }
            service.order(.retire(within: .seconds(0)))
        }
        watcher.start()
        printer.start()
        try service.run()
        printer.finish()
    }

    /// The user who runs a coordinator may give it orders from this machine.
    private func admitOwner(_ gate: Gate, endpoint: String, address: String) throws {
        let user = TrustFolder.user
        try gate.enrolOwner(user.keys().publicKey)
        let port = endpoint.split(separator: ":").last ?? ""
        let hosts = ["127.0.0.1", "localhost", "[::1]"] + (Self.isAnywhere(endpoint) ? OwnAddress.all() : [])
        for name in Set([address] + hosts.map { "\($0):\(port)" }).sorted() { try user.note(name, gate.publicKey) }
    }

    /// Whether the coordinator listens on every address of its machine.
    private static func isAnywhere(_ endpoint: String) -> Bool {
        endpoint.hasPrefix("tcp://0.0.0.0:") || endpoint.hasPrefix("tcp://[::]:")
    }

    static func folder(_ state: String?) -> String { state ?? "\(TrustFolder.stateHome)/drover/coordinator" }

    /// `HOST:PORT` of the coordinator whose folder it is.
    static func address(state: String?) throws -> String {
        let path = "\(folder(state))/address"
        guard let data = FileManager.default.contents(atPath: path) else {
            throw Failure.input(
                "no coordinator of this user has run in \(folder(state)): give --coordinator HOST:PORT, or --state")
        }
        return String(decoding: data, as: UTF8.self).trimmingCharacters(in: .newlines)
    }

    /// `HOST:PORT` for a join line; when the coordinator listens on every address, this machine's name stands for them.
    private static func reachable(_ endpoint: String) throws -> String {
        let address = String(endpoint.dropFirst("tcp://".utf8.count))
        guard isAnywhere(endpoint) else { return address }
        return "\(ProcessInfo.processInfo.hostName):\(address.split(separator: ":").last ?? "")"
    }
}

/// Prints events on a thread of its own: a terminal that stands still must not hold up a cluster.
private final class EventPrinter: Sendable {
    private struct Waiting {
        var events: [JSONValue] = []
        var dropped = 0
        var isEnding = false
    }

    /// Events kept for an output that takes none.
    private static let most = 10_000
    private let waiting = Mutex(Waiting())
    private let arrived = DispatchSemaphore(value: 0)
    private let finished = DispatchSemaphore(value: 0)

    func put(_ event: JSONValue) {
        waiting.withLock { waiting in
            if waiting.events.count < Self.most { waiting.events.append(event) } else { waiting.dropped += 1 }
        }
        arrived.signal()
    }

    func start() {
        Thread { [self] in
            while printNext() { arrived.wait() }
            finished.signal()
        }.start()
    }

    /// Prints what waits; false once the end was asked for.
    private func printNext() -> Bool {
        let (events, dropped, isEnding) = waiting.withLock { waiting in
            defer { (waiting.events, waiting.dropped) = ([], 0) }
            return (waiting.events, waiting.dropped, waiting.isEnding)
        }
        for event in events { Output.json(event) }
        if dropped > 0 { Output.json(.members(["event": .string("dropped"), "events": .int(dropped)])) }
        return !isEnding
    }

    /// Prints the rest, for at most a second.
    func finish() {
        waiting.withLock { $0.isEnding = true }
        arrived.signal()
        _ = finished.wait(timeout: .now() + 1)
    }
}
