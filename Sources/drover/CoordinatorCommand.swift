import ArgumentParser
import Coordination
import CoordinatorShell
import Foundation
import Logging
import Terms

/// `drover coordinator`: the one process that a cluster needs besides its workers.
struct CoordinatorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "coordinator", abstract: "Runs a cluster's coordinator until it is told to stop.")

    @Option(help: "Where to listen, tcp://HOST:PORT; loopback only in this release.")
    var listen: String

    @Option(help: "Folder of the journal, the logs and the checkpoints.")
    var state: String?

    func run() throws {
        guard listen.hasPrefix("tcp://127.") || listen.hasPrefix("tcp://localhost:") else {
            throw Failure.input(
                "--listen \(listen): this release has no encryption between machines yet, so it listens on loopback only, "
                    + "for instance tcp://127.0.0.1:7780")
        }
        let folder = state ?? "\(NSHomeDirectory())/.local/state/drover/coordinator"
        var log = Logger(label: "coordinator", factory: { StreamLogHandler.standardError(label: $0) })
        log.logLevel = .info
        let options = CoordinatorService.Options(listen: listen, state: folder) { "\(folder)/jobs/\($0)" }
        Signals.watch()
        let service = try CoordinatorService(options, log: log) { _, event in Output.json(event) }
        try service.continueJobs()
        Output.line("drover worker join \(service.endpoint.replacingOccurrences(of: "tcp://", with: ""))")
        let watcher = Thread {
            while !Signals.stopRequested { usleep(100_000) }
            service.order(.end)
        }
        watcher.start()
        try service.run()
    }
}
