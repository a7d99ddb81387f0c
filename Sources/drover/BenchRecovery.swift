import ArgumentParser
import Budgeting
import Coordination
import CoordinatorShell
import Foundation
import JobSpecs
import Logging
import StorageShell
import Synchronization
import Terms

/// `drover bench recovery`: kills workers of a running job and times how long the others need to go on.
struct BenchRecovery: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "recovery", abstract: "Kills workers of a running job and times the recovery.",
        discussion: """
            Runs the job on worker processes of this machine and ends one of them with SIGKILL, again and again; each comes
            back as a new process. `kill_seconds` is the time from the kill to the survivors' next committed step,
            `join_seconds` the longest gap between two committed steps while the new process joins, `heal_seconds` how long that
            generation took to bring everybody to one state, the new process's from the others, `steps_lost` how many committed
            steps had to be made again. The job's own folder is not touched; its length does not matter, it ends with the last kill.
            """)

    @Argument(help: "The job file.")
    var job = "configs/quickstart.yaml"

    @Option(help: "Worker processes.")
    var workers = 3

    @Option(help: "Kills.")
    var kills = 5

    @Flag(help: "One JSON object on standard output.")
    var json = false

    func validate() throws {
        guard (2...16).contains(workers), (1...1000).contains(kills) else {
            throw ValidationError("--workers must be in 2…16, --kills in 1…1000")
        }
    }

    func run() throws {
        let folder = NSTemporaryDirectory() + "drover-recovery-\(getpid())"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let endless = ["num_train_epochs=100000", "max_steps=null", "max_tokens=null", "streaming=auto"]
        let spec = try Train.read(job, overrides: ["output_dir=\(folder)"] + endless)
            .absolute(in: FileManager.default.currentDirectoryPath).withWorkers(workers).get()
        var submission = try Submission(spec)
        let description = try submission.describe(folder: "\(folder)/data") { _ in }
        let watch = StepWatch()
        var log = Logger(label: "coordinator", factory: { StreamLogHandler.standardError(label: $0) })
        log.logLevel = .error
        let cluster = try LocalCluster(run: folder, rates: RateCard(), log: log) { _, event in watch.note(event) }
        cluster.service.order(.submit(description) { _ in })
        try cluster.start()
        defer { cluster.stop() }
        let threads = max(1, ProcessInfo.processInfo.activeProcessorCount / workers)
        try cluster.startWorkers(workers, threads: threads, state: "\(folder)/state")
        var (recoveries, joins, paces, heals): ([Double], [Double], [Double], [Double]) = ([], [], [], [])
        for kill in 0..<kills {
            try watch.wait(cluster, steps: 4, workers: workers, generation: 0)
            paces.append(watch.pace)
            let (moment, generation) = (StepWatch.now(), watch.generation)
            cluster.killWorker(kill % workers)
            // The first generation after it is without the dead one; a later one has its successor.
            try watch.wait(cluster, steps: 1, workers: workers - 1, generation: generation + 1)
            let recovered = watch.firstStep(after: moment)
            recoveries.append(recovered - moment)
            try watch.wait(cluster, steps: 2, workers: workers, generation: generation + 1)
            joins.append(watch.longestGap(after: recovered))
            heals.append(watch.readyAfter)
        }
        report(
            recoveries, joins, heals, pace: Measuring.median(paces), lost: watch.repeated,
            bytes: 12 * description.parameters)
    }

    private func report(
        _ recoveries: [Double], _ joins: [Double], _ heals: [Double], pace: Double, lost: Int, bytes: Int
    ) {
        let summary = JSONValue.members([
            "workers": .int(workers), "kills": .int(kills), "step_seconds": .double(pace),
            "kill_seconds": .double(Measuring.median(recoveries)), "kill_seconds_max": .double(recoveries.max() ?? 0),
            "join_seconds": .double(Measuring.median(joins)), "join_seconds_max": .double(joins.max() ?? 0),
            "heal_seconds": .double(Measuring.median(heals)), "heal_seconds_max": .double(heals.max() ?? 0),
            "steps_lost": .int(lost), "state_bytes": .int(bytes),
        ])
        if json { Output.json(summary) } else { Output.line(summary.prettyText) }
    }
}

/// When steps were committed, and how many workers took part.
private final class StepWatch: Sendable {
    private struct Seen {
        var steps: [Double] = []
        var workers = 0
        var generation = 0
        /// How long the newest generation took to begin.
        var readyAfter = 0.0
        /// Steps since the last generation began.
        var stepsOfGeneration = 0
        /// The newest step that counts, and how many counted twice.
        var newest = 0
        var repeated = 0
    }

    private let seen = Mutex(Seen())

    static func now() -> Double { Double(DispatchTime.now().uptimeNanoseconds) / 1e9 }

    func note(_ event: JSONValue) {
        let now = Self.now()
        seen.withLock { seen in
            switch event["event"]?.string {
            case "step":
                seen.steps.append(now)
                let step = event["current_steps"]?.int ?? 0
                if step <= seen.newest { seen.repeated += 1 }
                seen.newest = max(seen.newest, step)
                seen.stepsOfGeneration += 1
            case "generation":
                seen.workers = event["workers"]?.array?.count ?? 0
                seen.generation = event["generation"]?.int ?? 0
                seen.stepsOfGeneration = 0
            case "generation_ready": seen.readyAfter = event["seconds"]?.double ?? 0
            default: break
            }
        }
    }

    var readyAfter: Double { seen.withLock { $0.readyAfter } }
    var repeated: Int { seen.withLock { $0.repeated } }
    var generation: Int { seen.withLock { $0.generation } }

    /// Waits, at most two minutes, until a generation of at least that number and so many workers has made so many
    /// steps.
    func wait(_ cluster: LocalCluster, steps: Int, workers: Int, generation: Int) throws {
        let end = Date().addingTimeInterval(120)
        while Date() < end {
            let isDone = seen.withLock { seen in
                seen.generation >= generation && seen.workers >= workers && seen.stepsOfGeneration >= steps
            }
            if isDone { return }
            guard try cluster.keepWorkersAlive(), cluster.problem == nil else { break }
            usleep(2_000)
        }
        throw Failure.failed(cluster.problem ?? "the job makes no steps")
    }

    /// Seconds between the last two steps.
    var pace: Double {
        seen.withLock { $0.steps.count > 1 ? $0.steps[$0.steps.count - 1] - $0.steps[$0.steps.count - 2] : 0 }
    }

    func firstStep(after moment: Double) -> Double { seen.withLock { $0.steps.first { $0 > moment } ?? .infinity } }

    func longestGap(after moment: Double) -> Double {
        seen.withLock { seen in
            let later = seen.steps.filter { $0 >= moment }
            return zip(later.dropFirst(), later).map { $0 - $1 }.max() ?? 0
        }
    }
}
