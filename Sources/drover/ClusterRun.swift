import Coordination
import CoordinatorShell
import Foundation
import JobSpecs
import StorageShell
import Terms
import WorkerShell

/// A job on somebody else's coordinator: submitted from here, followed here, its results written here too.
struct ClusterRun {
    /// The job, when its output_dir is on this machine; nil for one that somebody submitted elsewhere.
    let spec: JobSpec?
    let client: CoordinatorClient
    let view: LiveView
    let isDetached: Bool
    let address: String

    init(_ spec: JobSpec, coordinator: String, token: String?, json: Bool, detach: Bool) throws {
        self.spec = spec.absolute(in: FileManager.default.currentDirectoryPath)
        client = try CoordinatorClient.connect(coordinator, token: token)
        view = LiveView(name: spec.name, isJSON: json)
        isDetached = detach
        address = coordinator
    }

    /// A job that was submitted earlier, from here or from elsewhere.
    init(_ job: Int, client: CoordinatorClient, coordinator: String, json: Bool) throws {
        self.client = client
        view = LiveView(name: "job \(job)", isJSON: json)
        isDetached = false
        address = coordinator
        let text = try client.ask(.members(["op": .string("resolved"), "job": .int(job)]))["resolved"]?.string
        spec = try text.flatMap(Self.home)
    }

    /// The job of a resolved.yaml that stands in its own output_dir here.
    private static func home(_ resolved: String) throws -> JobSpec? {
        let spec = try JobSpec.read(yaml: resolved, file: "resolved.yaml").get()
        let kept = FileManager.default.contents(atPath: "\(spec.outputDir)/resolved.yaml")
        return kept == Data(resolved.utf8) ? spec : nil
    }

    /// Submits the job; follows it unless detached.
    ///
    /// - Parameters:
    ///   - key: the request's own name, nil = one is drawn.
    ///   - isNew: whether output_dir must hold nothing of an earlier start.
    ///   - branch: the coordinator's job, and the step of its checkpoint, that this one begins with.
    func submit(_ key: String? = nil, isNew: Bool = false, branch: (job: Int, step: Step)? = nil) throws {
        Signals.watch()
        guard let wanted = spec else { throw Failure.failed("a job that runs already is not submitted") }
        let folder = wanted.outputDir
        let spec = try OutputFolder(folder).refuseForCluster(wanted, isRepeated: key != nil, isNew: isNew)
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        var submission = try Submission(spec)
        var description = try submission.describe(folder: "\(folder)/data") { [view] in view.preparing($0) }
        // Workers elsewhere fetch what they need of it.
        description.files += try description.files.filter { $0.kind == .data }.compactMap {
            try BlockTable.file(of: $0)
        }
        view.prepared(description, submission)
        let yaml = submission.spec.resolvedYAML(workingDirectory: FileManager.default.currentDirectoryPath)
        try AtomicFile.write("\(folder)/resolved.yaml", Array(yaml.utf8))
        try FileTransfer(client).bring(description.files) { [view] in view.moving("sending", $0, $1, $2) }
        var request = JSONObject([
            (key: "op", value: .string("submit")), (key: "resolved", value: .string(yaml)),
            (key: "description", value: .string(String(decoding: description.encoded(), as: UTF8.self))),
        ])
        if let branch { request["branch"] = .members(["job": .int(branch.job), "step": .int(branch.step)]) }
        let answer = try client.wait(for: .object(request), key: key)
        guard let job = answer["job"]?.int else { throw Failure.failed("the coordinator took no job") }
        if isDetached {
            Output.json(answer)
            return
        }
        try follow(job)
    }

    /// Follows a job of the coordinator until it rests.
    func follow(_ job: Int) throws {
        Signals.watch()
        let follower = JobFollower(client: client, job: job)
        var watch = spec.map { DataWatch(folder: "\($0.outputDir)/data") }
        var changedFile: String?
        let end = try follower.run(goesOn: true, show: view.show) {
            if changedFile == nil, let file = watch?.changed() {
                changedFile = file
                view.say("\(file) changed: the job stops")
                try client.send(.members(["op": .string("pause"), "job": .int(job)]))
            }
            // Ctrl-C lets go of the job; it goes on without this terminal.
            return Signals.stopRequested
        }
        guard let end else {
            view.say("detached: the job goes on; follow it with: drover logs \(job) -f --coordinator \(address)")
            throw Failure.ended(code: 130)
        }
        let state = end["state"]?.string.flatMap(JobState.init(rawValue:)) ?? .failed
        if let spec { try bringHome(job, state, end, to: spec) }
        if let changedFile {
            view.end(end, run: "\(job) --coordinator \(address)")
            throw Failure.failed(
                "\(changedFile) changed while the job was running, so it was stopped at a checkpoint: put the old file "
                    + "back and `drover resume \(job) --coordinator \(address)`, or submit a new job")
        }
        view.end(end, run: "\(job) --coordinator \(address)")
        if spec == nil, state.hasResult(steps: end["steps"]?.int ?? 0) {
            view.say(
                "the job's output_dir is not on this machine; what was trained comes with: drover export \(job) "
                    + "--coordinator \(address) --format FORMAT -o DIR")
        }
        guard state.exitCode == 0 else { throw Failure.ended(code: state.exitCode) }
    }

    /// Copies the last checkpoint here and writes the exports from it; the run's folder is then as a local run's.
    private func bringHome(_ job: Int, _ state: JobState, _ end: JSONValue, to spec: JobSpec) throws {
        let folder = spec.outputDir
        var log: [UInt8] = []
        _ = try JobFollower(client: client, job: job).run(
            goesOn: false,
            show: { event in
                guard event["event"]?.string == "step", let members = event.object?.members.dropFirst() else { return }
                log += JSONValue.object(JSONObject(Array(members))).encoded() + [0x0A]
            }
        ) { false }
        try AtomicFile.write("\(folder)/trainer_log.jsonl", log)
        guard state.hasResult(steps: end["steps"]?.int ?? 0) else { return }
        try FileTransfer(client).fetchCheckpoint(of: job, step: end["steps"]?.int, into: "\(folder)/checkpoints") {
            [view] in view.moving("fetching", $0, $1, $2)
        }
        for report in try RunExport.write(end: end, of: spec, run: folder, view) { view.exported(report) }
    }
}
