import ArgumentParser
import CSystem
import Foundation
import Logging
import Synchronization
import Terms
import WorkerShell
import ZeroMQShell

/// `drover worker …`: the machines that train.
struct Worker: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Trains for a coordinator.",
        subcommands: [Join.self, Invitation.ForWorker.self, List.self, Drain.self, Revoke.self])

    struct Join: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Joins a coordinator and trains until it is told to stop; SIGTERM leaves in order.")

        @Argument(help: "The coordinator's HOST:PORT.")
        var coordinator: String

        @Option(help: "The token of a join line; needed once, then the worker is known by its own key.")
        var token: String?

        @Option(help: "Threads to compute with; default: all cores.")
        var threads: Int?

        @Option(
            help: "Memory that a job may take here, such as 8g; jobs that are estimated to need more go elsewhere.")
        var memory: MemorySize?

        @Option(help: "Folder of this worker's identity and cache; used by one process at a time.")
        var state: String?

        @Option(help: "Where this machine's energy counters are.")
        var powercap = Powercap.standardPath

        @Option(name: .customLong("child-of"), help: .hidden)
        var parent: Int32?

        @Option(name: .customLong("flip-bit-after"), help: .hidden)
        var flipsBitAfter: Int?

        @Option(help: .hidden)
        var store: String?

        @Flag(name: .customLong("from-afar"), help: .hidden)
        var isAfar = false

        func run() throws {
            if let parent {
                _ = csys_die_with_parent()
                // It may have died before the line above.
                guard getppid() == parent else { return }
            }
            let threads = self.threads ?? ProcessInfo.processInfo.activeProcessorCount
            guard threads >= 1, threads <= 1024 else { throw Failure.input(["--threads must be in 1…1024"]) }
            guard coordinator.contains(":") else { throw Failure.input(["`\(coordinator)` is no HOST:PORT"]) }
            let folder = state ?? Self.defaultState
            let identity = try WorkerIdentity(folder: folder)
            var options = WorkerProcess.Options(
                coordinator: coordinator, threads: threads, state: folder, node: identity.node,
                name: "\(ProcessInfo.processInfo.hostName)/\(getpid())")
            options.memory = memory?.bytes ?? 0
            options.flipsBitAfter = flipsBitAfter
            // Its own coordinator's child asks for no key: both stay on loopback.
            if parent == nil || !PeerAddress.isLoopback("tcp://\(coordinator)") { options.trust = try trust(folder) }
            options.store = store
            options.powercap = powercap
            options.readsPaths = !isAfar
            options.listenHost =
                try OwnAddress.towards(coordinator)
            var log = Logger(label: "worker", factory: { StreamLogHandler.standardError(label: $0) })
            log.logLevel = parent == nil ? .info : .error
            Signals.watch()
            let worker = try WorkerProcess(options, log: log)
            let reason = try worker.run(shouldStop: { Signals.stopRequested })
            withExtendedLifetime(identity) {}
            guard !worker.isRefused else { throw Failure.failed(reason) }
            log.info("left: \(reason)")
        }

        /// The keys to join with: those of an earlier enrolment, or of a new one by token. On the coordinator's own
        /// machine its own user needs none: he asks for one himself.
        private func trust(_ folder: String) throws -> (own: CurveKeyPair, coordinator: CurvePublicKey) {
            let own = TrustFolder(folder: folder)
            let user = TrustFolder.user.coordinator(coordinator)
            if token != nil || own.coordinator(coordinator) == nil
                || (user != nil && user != own.coordinator(coordinator))
            {
                guard let token = try token ?? ownToken() else {
                    throw Failure.input(
                        "this worker is not known to a coordinator at \(coordinator): get a join line with `drover worker "
                            + "invite` on its machine and give its token once as --token")
                }
                try own.enrol(at: coordinator, token: token, as: "worker", name: ProcessInfo.processInfo.hostName)
            }
            guard let trust = try own.trust(coordinator) else { throw Failure.failed("\(folder) can't be written") }
            return (trust.keys, trust.coordinator)
        }

        private func ownToken() throws -> String? {
            guard let trust = try TrustFolder.user.trust(coordinator) else { return nil }
            let answer = try CoordinatorClient(coordinator, trust: trust).ask(
                .members(["op": .string("invite"), "role": .string("worker")]))
            return answer["token"]?.string
        }

        private static var defaultState: String { "\(TrustFolder.stateHome)/drover/worker" }
    }
}

/// A worker's name for life, in its state folder, which one process uses at a time.
final class WorkerIdentity {
    let node: NodeID
    private let lock: Int32

    init(folder: String) throws {
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        lock = open("\(folder)/lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard lock >= 0, flock(lock, LOCK_EX | LOCK_NB) == 0 else {
            throw Failure.input(["\(folder) is in use by another worker: give each its own --state"])
        }
        let path = "\(folder)/node"
        if let text = try? String(contentsOfFile: path, encoding: .utf8), text.utf8.count == 32,
            let high = UInt64(text.prefix(16), radix: 16), let low = UInt64(text.suffix(16), radix: 16)
        {
            node = NodeID(high: high, low: low)
        } else {
            node = NodeID(high: .random(in: 1 ..< .max), low: .random(in: 0 ..< .max))
            try Data(node.hex.utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
        }
    }

    deinit { close(lock) }
}
