import ArgumentParser
import Foundation
import Simulation
import Terms

/// `drover bench coordinator`: the coordinator's core with very many workers and jobs.
struct BenchCoordinator: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "coordinator", abstract: "Times placement and restart with very many workers and jobs.",
        discussion: """
            One thread; workers that answer at once and compute nothing; a journal in memory. `ceiling_events_per_second`
            is what the same core does when nothing has to be decided.
            """)

    @Option(help: "Workers that join.")
    var workers = 1000

    @Option(help: "Jobs that are submitted first.")
    var jobs = 10_000

    @Option(help: "Workers that change their job afterwards.")
    var turns = 5000

    @Flag(help: "One JSON object.")
    var json = false

    func run() throws {
        guard (1...100_000).contains(workers), (1...1_000_000).contains(jobs), (0...10_000_000).contains(turns) else {
            throw Failure.input("--workers takes 1 to 100000, --jobs 1 to 1000000, --turns 0 to 10000000")
        }
        var stage = ScaleStage()
        let submitting = Self.seconds { stage.submit(jobs: jobs) }
        let joining = Self.seconds { stage.join(workers: 0..<workers) }
        let joined = stage.placements
        let running = stage.runningCount
        let turning = Self.seconds { stage.turnOver(turns) }
        let turned = stage.placements - joined
        var quiet = stage
        let beats = 100_000
        let idle = Self.seconds { quiet.beat(beats, workers: workers) }
        var next: ScaleStage?
        let restarting = try Self.seconds { next = try stage.restarted(workers: workers) }
        let result: [(String, JSONValue)] = [
            ("workers", .int(workers)), ("jobs", .int(jobs)), ("running", .int(running)),
            ("submissions_per_second", .int(Int(Double(jobs) / submitting))),
            ("joins_per_second", .int(Int(Double(workers) / joining))),
            ("placements", .int(joined + turned)),
            ("placements_per_second", .int(Int(Double(joined + turned) / (joining + turning)))),
            ("events", .int(stage.events)), ("journal_entries", .int(stage.journal.count)),
            ("restart_seconds", .double(restarting)), ("running_after_restart", .int(next?.runningCount ?? 0)),
            ("ceiling_events_per_second", .int(Int(Double(beats) / idle))),
        ]
        if json { return Output.json(.object(JSONObject(result.map { (key: $0.0, value: $0.1) }))) }
        for (name, value) in result {
            Output.line(
                "\(name.replacingOccurrences(of: "_", with: " ")): \(String(decoding: value.encoded(), as: UTF8.self))")
        }
    }

    private static func seconds(_ work: () throws -> Void) rethrows -> Double {
        let start = Date()
        try work()
        return max(Date().timeIntervalSince(start), 1e-9)
    }
}
