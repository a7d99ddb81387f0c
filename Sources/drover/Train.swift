import ArgumentParser
import Coordination
import Foundation
import JobSpecs
import Terms
import WorkerShell

/// `drover train JOB.yaml`: one command starts a job.
struct Train: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Runs a fine-tuning job.",
        discussion: """
            Without --coordinator it starts one on this machine, with as many workers as the job's workers.min, and goes
            on from the newest checkpoint when output_dir holds an unfinished run of the same job. Ctrl-C once makes a
            checkpoint and pauses, twice stops at once.
            """)

    @Argument(help: "The job file.")
    var job: String

    @Argument(help: "Overrides, dotted for nested keys: learning_rate=2e-4 budget.tokens=50M")
    var overrides: [String] = []

    @OptionGroup var options: RunOptions

    @Option(
        help: ArgumentHelp(
            "auto: go on with an unfinished run in output_dir. never: start anew in an empty output_dir. PATH: begin with the "
                + "state of another run, RUN or RUN@STEP."))
    var resume: String?

    @Option(help: "Run it on this coordinator (HOST:PORT) instead of on this machine.")
    var coordinator: String?

    @Option(help: "A token from `drover client invite`, for --coordinator; needed once.")
    var token: String?

    @Flag(help: "With --coordinator: submit and leave.")
    var detach = false

    @Option(
        help: ArgumentHelp(
            "With --coordinator: the request's own name, 32 hexadecimal digits. Submitted again under it, the job is found instead "
                + "of started twice; without it each call has a name of its own."))
    var requestKey: String?

    @Flag(help: "Check everything, say what would run, start nothing.")
    var dryRun = false

    func validate() throws {
        if let requestKey, RequestKey(hex: requestKey) == nil {
            throw ValidationError("--request-key takes 32 hexadecimal digits, not `\(requestKey)`")
        }
        if requestKey != nil, coordinator == nil { throw ValidationError("--request-key needs --coordinator") }
    }

    func run() throws {
        let spec = try Self.read(job, overrides: overrides)
        if dryRun {
            return try LocalRun.rehearse(spec.readied(workers: options.workers).get(), json: options.json)
        }
        let choice: ResumeChoice =
            switch resume {
            case nil: spec.resumeFromCheckpoint
            case "auto": .auto
            case "never": .never
            case let path?: .path(path)
            }
        if let coordinator {
            try options.refuseOnCluster()
            if case .path = choice {
                throw Failure.input(
                    "to begin with the state of another run is for runs on this machine, without --coordinator")
            }
            let readied = try spec.readied(workers: options.workers).get()
            return try ClusterRun(readied, coordinator: coordinator, token: token, json: options.json, detach: detach)
                .submit(requestKey, isNew: choice == .never)
        }
        guard !detach else { throw Failure.input("--detach needs --coordinator") }
        guard token == nil else { throw Failure.input("--token is for --coordinator") }
        var origin: BranchOrigin?
        if case .path(let path) = choice { origin = try BranchOrigin(path) }
        try LocalRun(spec, options: options).train(resuming: choice != .never, branch: origin)
    }

    /// The job file with `key=value` put over it.
    static func read(_ job: String, overrides: [String]) throws -> JobSpec {
        guard let data = FileManager.default.contents(atPath: job) else {
            throw Failure.input("\(job): can't be read: give the path of a job file")
        }
        guard let text = String(validating: data, as: UTF8.self) else {
            throw Failure.input("\(job): is not UTF-8 text")
        }
        return try JobSpec.read(yaml: text, file: job, overrides: overrides).get()
    }
}

/// Options that `train` and `resume` share.
struct RunOptions: ParsableArguments {
    @Option(help: "Worker processes on this machine, in place of the job's workers.min and max.")
    var workers: Int?

    @Option(help: "Threads of each worker; default: the cores divided among the workers.")
    var threads: Int?

    @Flag(help: "One JSON object a line on standard output.")
    var json = false

    @Option(help: "What energy and money are taken to be: a JSON file; default: ~/.config/drover/rates.json.")
    var rates: String?

    @Option(help: "Where this machine's energy counters are.")
    var powercap = Powercap.standardPath

    @Option(help: "A run's plan.jsonl: its plan events are followed instead of planning from measured cost.")
    var plan: String?

    func validate() throws {
        if let workers, !(1...4096).contains(workers) { throw ValidationError("--workers must be in 1…4096") }
        try MachineOptions.check(threads: threads)
    }

    /// Refuses what a coordinator's workers, or the coordinator, have settings of their own for.
    ///
    /// - Parameter workers: why `--workers` can't be given either; nil = it can.
    func refuseOnCluster(workers why: String? = nil) throws {
        var faults: [String] = []
        if let why, workers != nil { faults.append("--workers is for runs on this machine: \(why)") }
        if threads != nil { faults.append("--threads is for runs on this machine: each worker is told its own") }
        if rates != nil {
            faults.append("--rates is for runs on this machine: a coordinator has a rate card of its own")
        }
        if plan != nil { faults.append("--plan is for runs on this machine, without --coordinator") }
        if powercap != Powercap.standardPath { faults.append("--powercap is for runs on this machine") }
        guard faults.isEmpty else { throw Failure.input(faults) }
    }
}
