import ArgumentParser
import Foundation
import Terms

/// `drover top`: a coordinator's jobs and workers, again and again.
struct Top: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Shows a coordinator's jobs and workers, refreshed until Ctrl-C.")

    @Option(help: "Seconds between two looks.")
    var interval = 2.0

    @Flag(help: "Look once.")
    var once = false

    @OptionGroup var client: ClientOptions

    func validate() throws {
        guard interval >= 0.1, interval <= 3600 else { throw ValidationError("--interval must be in 0.1…3600") }
    }

    func run() throws {
        Signals.watch()
        let coordinator = try client.connect()
        while !Signals.stopRequested {
            let jobs = try coordinator.ask(.members(["op": .string("jobs")]))
            let workers = try coordinator.ask(.members(["op": .string("workers")]))
            show(jobs, workers)
            if once { return }
            let end = Date().addingTimeInterval(interval)
            while Date() < end, !Signals.stopRequested { usleep(50_000) }
        }
    }

    private func show(_ jobs: JSONValue, _ workers: JSONValue) {
        if client.json { return Output.json(.members(["jobs": jobs, "workers": workers])) }
        // Home, then clear below: a terminal keeps what stood above.
        if Output.isTerminal, !once { Output.text("\u{1B}[H\u{1B}[J") }
        Output.line(Jobs.table(jobs) + "\n\n" + Worker.List.table(workers))
    }
}
