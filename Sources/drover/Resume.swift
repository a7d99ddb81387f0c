import ArgumentParser
import Budgeting
import Coordination
import Foundation
import JobSpecs
import StorageShell
import Terms

/// `drover resume RUN_DIR`: goes on with a run on this machine, with any number of workers, to the same bits.
struct Resume: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Goes on with a paused, stopped or crashed run.",
        discussion: """
            Any number of workers gives the same result. Run keys (workers, budget, saving, export) may be changed with
            key=value; keys that decide the result may not, and the run stays in its folder. A run whose budget ran out
            goes on from the state before its anneal (--from trunk) or from the annealed one (--from annealed), once
            more was granted. --from STEP --as NAME begins a new run with the state of that step; then any key may
            change. With --coordinator the run is a job's number, and its run keys change while it is paused.
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
        try Self.refuseMove(of: kept, by: overrides, from: absolute)
        var spec = try changed(kept, ["output_dir=\(absolute)"])
        if let workers = options.workers { spec = try spec.withWorkers(workers).get() }
        try LocalRun(spec, options: options).train(resuming: true, from: point, limiting: namedUnits)
    }

    /// The job with the changed keys, none of which may decide the result.
    private func changed(_ kept: JobSpec, _ more: [String] = []) throws -> JobSpec {
        let spec = try kept.withOverrides(overrides + more).get()
        let changed = spec.differences(from: kept, tag: .result)
        guard changed.isEmpty else {
            throw Failure.input(
                changed.map {
                    "\($0.key.entry.name) decides the result and can't change on resume (\($0.old) → \($0.new)); --from STEP --as NAME "
                        + "begins a new run with it"
                })
        }
        return spec
    }

    /// Refuses to go on in another folder: the run's journal and checkpoints are in its own.
    static func refuseMove(of kept: JobSpec, by overrides: [String], from home: String) throws {
        guard JobSpec.keys(namedBy: overrides).contains(.outputDir) else { return }
        let wanted = try kept.withOverrides(overrides).get().absolute(in: FileManager.default.currentDirectoryPath)
        let other = URL(fileURLWithPath: wanted.outputDir).standardizedFileURL.path
        guard other != home else { return }
        throw Failure.input(
            "output_dir can't change on resume (\(home) → \(other)): a run goes on in its own folder; "
                + "--from STEP --as NAME output_dir=\(other) begins a new run there with its state")
    }

    /// Refuses a branch's name that is no name of a folder beside the run's.
    static func refuseName(_ name: String) throws {
        guard !name.isEmpty, !name.contains("/"), name != ".", name != ".." else {
            throw Failure.input(
                "--as takes the new run's name, not `\(name)`: its folder stands beside the old one's; "
                    + "output_dir=PATH puts it elsewhere")
        }
    }

    /// Budget limits that the command line names.
    private var namedUnits: [BudgetUnit] {
        let named = JobSpec.keys(namedBy: overrides).map(\.name)
        return BudgetUnit.allCases.filter { named.contains("budget.\($0.key)") }
    }

    /// A cluster's job with changed run keys, for its coordinator; `keep` notes them in its own output_dir here, once the
    /// coordinator has taken them.
    private func amendment(
        _ client: CoordinatorClient, _ job: Int
    ) throws -> (request: [(String, JSONValue)], keep: () throws -> Void) {
        let answer = try client.ask(.members(["op": .string("resolved"), "job": .int(job)]))
        guard let resolved = answer["resolved"]?.string, let text = answer["description"]?.string else {
            throw Failure.input("the coordinator knows no job \(job)")
        }
        let kept = try JobSpec.read(yaml: resolved, file: "resolved.yaml").get()
        let spec = try changed(kept)
        let fixed = spec.differences(from: kept, tag: .run).map(\.key.entry.name).filter {
            ["output_dir", "max_eval_samples"].contains($0)
        }
        guard fixed.isEmpty else {
            throw Failure.input(fixed.map { "\($0) of a cluster's job is settled when it is submitted" })
        }
        var description = try JobDescription(decoding: Array(text.utf8))
        description.setRunKeys(spec)
        let yaml = spec.resolvedYAML(workingDirectory: FileManager.default.currentDirectoryPath)
        let home = "\(spec.outputDir)/resolved.yaml"
        let isOwn = FileManager.default.contents(atPath: home) == Data(resolved.utf8)
        let request: [(String, JSONValue)] = [
            ("description", .string(String(decoding: description.encoded(), as: UTF8.self))),
            ("resolved", .string(yaml)), ("limits", .array(namedUnits.map { .string($0.key) })),
        ]
        return (request, { if isOwn { try AtomicFile.write(home, Array(yaml.utf8)) } })
    }

    /// Begins a new run with the state of one of this run's checkpoints.
    private func branch(_ step: String) throws {
        guard let number = Step(step), number > 0 else {
            throw Failure.input("--from takes trunk, annealed or the step of a checkpoint, not `\(step)`")
        }
        guard let name else { throw Failure.input("--from \(number) begins a new run: name it with --as NAME") }
        try Self.refuseName(name)
        if let coordinator { return try branch(number, name, on: coordinator) }
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

    /// Begins a new job of a cluster with the state of one of its jobs' checkpoints; the data is that job's.
    private func branch(_ step: Step, _ name: String, on coordinator: String) throws {
        guard let job = Int(folder) else {
            throw Failure.input("with --coordinator give a job's number, not `\(folder)`")
        }
        try options.refuseOnCluster(workers: "say workers.max=N")
        let client = try CoordinatorClient.connect(coordinator, token: token)
        let answer = try client.ask(.members(["op": .string("resolved"), "job": .int(job)]))
        guard let resolved = answer["resolved"]?.string else {
            throw Failure.input("the coordinator knows no job \(job)")
        }
        let kept = try JobSpec.read(yaml: resolved, file: "resolved.yaml").get()
        let home = URL(fileURLWithPath: kept.outputDir).standardizedFileURL.deletingLastPathComponent()
        let spec = try kept.withOverrides(
            ["name=\(name)", "output_dir=\(home.appendingPathComponent(name).path)"] + overrides
        ).get()
        try ClusterRun(spec, coordinator: coordinator, token: nil, json: options.json, detach: false)
            .submit(branch: (job, step))
    }

    /// Sets a paused job of a cluster going again and follows it.
    private func resume(on coordinator: String, _ point: ResumePoint) throws {
        guard let job = Int(folder) else {
            throw Failure.input("with --coordinator give a job's number, not `\(folder)`")
        }
        try options.refuseOnCluster(workers: "say workers.max=N")
        let client = try CoordinatorClient.connect(coordinator, token: token)
        var request: [(String, JSONValue)] = [
            ("op", .string("resume")), ("job", .int(job)), ("from", .string(point.rawValue)),
        ]
        let amendment = overrides.isEmpty ? nil : try amendment(client, job)
        request += amendment?.request ?? []
        _ = try client.ask(.object(JSONObject(request.map { (key: $0.0, value: $0.1) })))
        try amendment?.keep()
        try ClusterRun(job, client: client, coordinator: coordinator, json: options.json).follow(job)
    }
}
