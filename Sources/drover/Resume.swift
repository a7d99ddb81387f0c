import ArgumentParser
import Budgeting
import Coordination
import Foundation
import JobSpecs
import Terms

/// `drover resume RUN_DIR`: goes on with a run on this machine, with any number of workers, to the same bits.
struct Resume: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Goes on with a paused, stopped or crashed run.",
        discussion: """
            Any number of workers gives the same result. Run keys (workers, budget, saving, output) may be changed with
            key=value; keys that decide the result may not. A run whose budget ran out goes on from the state before its
            anneal (--from trunk) or from the annealed one (--from annealed), once more was granted. --from STEP --as NAME
            begins a new run with the state of that step; then any key may change.
            """)

    @Argument(help: ArgumentHelp("The run's folder (its job's output_dir).", valueName: "run-dir"))
    var folder: String

    @Argument(help: "Changed run keys: budget.tokens=50M save_steps=100")
    var overrides: [String] = []

    @OptionGroup var options: RunOptions

    @Option(help: "trunk, annealed, or the step of a checkpoint to branch from.")
    var from: String?

    @Option(
        name: .customLong("as"), help: "With --from STEP: the new run's name; its folder stands beside the old one's.")
    var name: String?

    @Option(help: "The run is a job number of this coordinator (HOST:PORT).")
    var coordinator: String?

    @Option(help: "A token from `drover client invite`, for --coordinator; needed once.")
    var token: String?

    func run() throws {
        var point = ResumePoint.trunk
        if let from {
            guard let named = ResumePoint(rawValue: from) else { return try branch(from) }
            point = named
        }
        guard options.plan == nil else {
            throw Failure.input("--plan is for a new run: this one keeps the plan log it began with")
        }
        guard name == nil else { throw Failure.input("--as names a branch: give its step too, --from STEP") }
        if let coordinator { return try resume(on: coordinator, point) }
        guard token == nil else { throw Failure.input("--token is for --coordinator") }
        let path = "\(folder)/resolved.yaml"
        guard let data = FileManager.default.contents(atPath: path) else {
            throw Failure.input("\(folder): holds no resolved.yaml: give the output_dir of a run")
        }
        let kept = try JobSpec.read(yaml: String(decoding: data, as: UTF8.self), file: path).get()
        let absolute = URL(fileURLWithPath: folder).standardizedFileURL.path
        var spec = try kept.withOverrides(overrides + ["output_dir=\(absolute)"]).get()
        let changed = spec.differences(from: kept, tag: .result)
        guard changed.isEmpty else {
            throw Failure.input(
                changed.map {
                    "\($0.key.entry.name) decides the result and can't change on resume (\($0.old) → \($0.new)); --from STEP --as NAME "
                        + "begins a new run with it"
                })
        }
        if let workers = options.workers { spec = try spec.withWorkers(workers).get() }
        let named = JobSpec.keys(namedBy: overrides).map(\.name)
        try LocalRun(spec, options: options).train(
            resuming: true, from: point, limiting: BudgetUnit.allCases.filter { named.contains("budget.\($0.key)") })
    }

    /// Begins a new run with the state of one of this run's checkpoints.
    private func branch(_ step: String) throws {
        guard let number = Step(step), number > 0 else {
            throw Failure.input("--from takes trunk, annealed or the step of a checkpoint, not `\(step)`")
        }
        guard coordinator == nil else {
            throw Failure.input("--from STEP is for runs on this machine, without --coordinator")
        }
        guard let name else { throw Failure.input("--from \(number) begins a new run: name it with --as NAME") }
        let run = try RunFolder(folder)
        let path = URL(fileURLWithPath: folder).standardizedFileURL
        var changes = [
            "name=\(name)", "output_dir=\(path.deletingLastPathComponent().appendingPathComponent(name).path)",
        ]
        changes += overrides
        var spec = try run.spec.withOverrides(changes).get()
        if let workers = options.workers { spec = try spec.withWorkers(workers).get() }
        try LocalRun(spec, options: options).train(resuming: false, branch: try BranchOrigin("\(folder)@\(number)"))
    }

    /// Sets a paused job of a cluster going again and follows it.
    private func resume(on coordinator: String, _ point: ResumePoint) throws {
        guard let job = Int(folder) else {
            throw Failure.input("with --coordinator give a job's number, not `\(folder)`")
        }
        try options.refuseOnCluster(workers: "change the workers of a job before it is submitted")
        guard overrides.isEmpty else {
            throw Failure.input("run keys of a cluster's job can't be changed in this release")
        }
        let client = try CoordinatorClient.connect(coordinator, token: token)
        _ = try client.ask(
            .members([
                "op": .string("resume"), "job": .int(job), "from": .string(point.rawValue),
            ]))
        try ClusterRun(job, client: client, coordinator: coordinator, json: options.json).follow(job)
    }
}
