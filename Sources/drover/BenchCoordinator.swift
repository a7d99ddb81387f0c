import ArgumentParser
import Coordination
import CoordinatorShell
import Foundation
import Simulation
import StorageShell
import Terms

/// `drover bench coordinator`: the coordinator's core with very many workers and jobs.
struct BenchCoordinator: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "coordinator", abstract: "Times placement and restart with very many workers and jobs.",
        discussion: """
            One thread; workers that answer at once and compute nothing; a journal in memory. `ceiling_events_per_second`
            is what the same core does when nothing has to be decided. --steps adds a journal on the disk: the seconds of a
            start on it, and of a walk through all of it.
            """)

    @Option(help: "Workers that join.")
    var workers = 1000

    @Option(help: "Jobs that are submitted first.")
    var jobs = 10_000

    @Option(help: "Workers that change their job afterwards.")
    var turns = 5000

    @Option(help: "Steps of one long run whose journal a start reads; 0 = none.")
    var steps = 0

    @Flag(help: "One JSON object.")
    var json = false

    func run() throws {
        guard (1...100_000).contains(workers), (1...1_000_000).contains(jobs), (0...10_000_000).contains(turns),
            (0...10_000_000).contains(steps)
        else {
            throw Failure.input("--workers takes 1 to 100000, --jobs 1 to 1000000, --turns and --steps 0 to 10000000")
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
        var result: [(String, JSONValue)] = [
            ("workers", .int(workers)), ("jobs", .int(jobs)), ("running", .int(running)),
            ("submissions_per_second", .int(Int(Double(jobs) / submitting))),
            ("joins_per_second", .int(Int(Double(workers) / joining))),
            ("placements", .int(joined + turned)),
            ("placements_per_second", .int(Int(Double(joined + turned) / (joining + turning)))),
            ("events", .int(stage.events)), ("journal_entries", .int(stage.journal.count)),
            ("restart_seconds", .double(restarting)), ("running_after_restart", .int(next?.runningCount ?? 0)),
            ("ceiling_events_per_second", .int(Int(Double(beats) / idle))),
        ]
        if steps > 0 { result += try longRun() }
        if json { return Output.json(.object(JSONObject(result.map { (key: $0.0, value: $0.1) }))) }
        for (name, value) in result {
            Output.line(
                "\(name.replacingOccurrences(of: "_", with: " ")): \(String(decoding: value.encoded(), as: UTF8.self))")
        }
    }

    /// A start on the journal of one long run, as it is made, and with every entry read again.
    private func longRun() throws -> [(String, JSONValue)] {
        let folder = NSTemporaryDirectory() + "drover-bench-\(getpid())"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        var made: Coordinator?
        do {
            var facts = CoreJournal(try SQLiteJournal(folder: folder))
            var (entries, run) = ([Coordination.JournalEntry](), LongRun(steps: steps))
            // Many events in one transaction: their number is what is measured, not the disk's patience.
            try run.run { new, core in
                entries += new
                guard entries.count >= 512 || core.jobs.first?.state == .done else { return }
                try facts.append(entries, of: core)
                entries = []
            }
            made = run.core
        }
        let size = try FileManager.default.attributesOfItem(atPath: folder + "/journal.sqlite")[.size] as? Int
        var read = 0
        var core = Coordinator(epoch: 2, dataEndpoint: "")
        let starting = try Self.seconds {
            var facts = CoreJournal(try SQLiteJournal(folder: folder))
            read = try facts.restore(&core, at: Instant(nanoseconds: 1))
        }
        guard core.snapshot() == made?.snapshot() else { throw Failure.failed("the start knows another run") }
        let asking = try Self.seconds { _ = try RestingRun(folder).budget(JobID(1)) }
        let walking = try Self.seconds { _ = try JournalAudit(folder) }
        return [
            ("long_run_steps", .int(steps)), ("long_run_journal_bytes", .int(size ?? 0)),
            ("long_run_entries_read", .int(read)), ("long_run_start_seconds", .double(starting)),
            ("long_run_budget_seconds", .double(asking)), ("long_run_whole_walk_seconds", .double(walking)),
        ]
    }

    private static func seconds(_ work: () throws -> Void) rethrows -> Double {
        let start = Date()
        try work()
        return max(Date().timeIntervalSince(start), 1e-9)
    }
}
