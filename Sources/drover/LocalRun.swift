import Coordination
import CoordinatorShell
import Foundation
import JobSpecs
import Kernels
import Logging
import Models
import StorageShell
import Synchronization
import Terms

/// A job on this machine from its job file to its exports: coordinator here, workers beside it.
final class LocalRun {
    private var spec: JobSpec
    private let options: RunOptions
    private let folder: String
    private let view: LiveView
    private var point = ResumePoint.trunk
    private let stream = Stream()
    /// The machine's energy counters; nil where they can't be read.
    private var powercap: Powercap?
    private var energyReadAt = Date()
    /// The data file that somebody wrote to while the job was running.
    private var changedFile: String?

    /// What the coordinator's thread hands to the main one.
    private final class Stream: Sendable {
        private let events = Mutex<[JSONValue]>([])
        private let arrived = DispatchSemaphore(value: 0)

        func put(_ event: JSONValue) {
            events.withLock { $0.append(event) }
            arrived.signal()
        }

        /// What has come, after at most a fifth of a second.
        func take() -> [JSONValue] {
            _ = arrived.wait(timeout: .now() + .milliseconds(200))
            return events.withLock { events in
                defer { events = [] }
                return events
            }
        }
    }

    init(_ spec: JobSpec, options: RunOptions) {
        self.spec = spec.absolute(in: FileManager.default.currentDirectoryPath)
        self.options = options
        folder = self.spec.outputDir
        view = LiveView(name: spec.name, isJSON: options.json)
    }

    /// Checks everything and says what would run.
    static func rehearse(_ spec: JobSpec, json: Bool) throws {
        let spec = spec.absolute(in: FileManager.default.currentDirectoryPath)
        var submission = try Submission(spec)
        let scratch = NSTemporaryDirectory() + "drover-dry-run-\(getpid())"
        defer { try? FileManager.default.removeItem(atPath: scratch) }
        let description = try submission.describe(folder: scratch) { _ in }
        let steps = (description.totalSequences + description.globalBatch - 1) / description.globalBatch
        let summary = JSONValue.members([
            "name": .string(spec.name), "trainable_parameters": .int(description.parameters),
            "sequences": .int(description.sequences), "steps": .int(steps),
            "virtual_shards": .int(description.virtualShards), "micro_batch_size": .int(description.microBatch),
            "precision": .string(submission.spec.precision.rawValue),
            "checkpoint_bytes": .int(12 * description.parameters), "data": submission.data?.json ?? .null,
        ])
        if json { Output.json(summary) } else { Output.line(summary.prettyText) }
    }

    /// Starts the job, or goes on with an unfinished run of it in `output_dir`.
    ///
    /// - Parameters:
    ///   - point: from where a run goes on whose budget ran out.
    ///   - branch: where a new run gets its first state from.
    func train(resuming: Bool, from point: ResumePoint = .trunk, branch: BranchOrigin? = nil) throws {
        self.point = point
        let previous = try previousRun()
        if let previous {
            // What `auto` meant when the run began, it means for its life.
            if spec.precision == .auto { spec = spec.withPrecision(previous.precision) }
            guard resuming else {
                throw Failure.input(
                    "output_dir \(folder) holds a run already: choose another one, or leave out --resume never to go on with it"
                )
            }
            try refuseOther(than: previous)
        }
        Signals.watch()
        var description = try prepare(isResuming: previous != nil)
        if previous == nil {
            description.script = try options.plan.map(PlanLog.read) ?? []
            if let branch { description.branch = try branch.plant(in: folder, description) }
        }
        try runJob(description, isNew: previous == nil)
    }

    /// The spec that an earlier run was started with, nil when there was none.
    private func previousRun() throws -> JobSpec? {
        let path = "\(folder)/resolved.yaml"
        guard FileManager.default.fileExists(atPath: "\(folder)/state/journal.sqlite"),
            let data = FileManager.default.contents(atPath: path)
        else { return nil }
        let spec = try JobSpec.read(yaml: String(decoding: data, as: UTF8.self), file: path).get()
        // Releases that kept `auto` meant fp32.
        return spec.precision == .auto ? spec.withPrecision(.fp32) : spec
    }

    /// A run may go on with other run keys, never with other result keys (design §4.1, rule 15).
    private func refuseOther(than previous: JobSpec) throws {
        let differences = spec.differences(from: previous, tag: .result)
        guard differences.isEmpty else {
            let list = differences.map { "  \($0.key.entry.name): \($0.old) → \($0.new)" }.joined(separator: "\n")
            throw Failure.input(
                "output_dir \(folder) holds a run of another job; these keys decide the result and differ:\n\(list)\n"
                    + "choose another output_dir, or set them back to go on")
        }
    }

    /// Reads and checks everything, tokenises the data, writes `resolved.yaml`.
    private func prepare(isResuming: Bool) throws -> JobDescription {
        var submission = try Submission(spec)
        try checkFolder()
        try checkDisk(submission.layout.count)
        let description = try submission.describe(folder: "\(folder)/data", isResuming: isResuming) { [view] in
            view.tokenising($0)
        }
        view.prepared(description, submission)
        if submission.spec.precision == .bf16, !Compute.hasNativeBF16 {
            view.say("precision: bf16 is rounded in software on this machine: right, but no faster than fp32")
        }
        let yaml = submission.spec.resolvedYAML(workingDirectory: FileManager.default.currentDirectoryPath)
        try AtomicFile.write("\(folder)/resolved.yaml", Array(yaml.utf8))
        return description
    }

    private func checkFolder() throws {
        do { try POSIXFileSystem().makeFolders(folder) } catch {
            throw Failure.input("output_dir \(folder) can't be made: \(error)")
        }
        guard access(folder, W_OK) == 0 else {
            throw Failure.input("output_dir \(folder) is not writable: change its permissions or choose another one")
        }
    }

    /// Refuses a job whose kept checkpoints would not fit on the disk: three vectors of fp32 each, one more while saving.
    private func checkDisk(_ parameters: Int) throws {
        let space = try POSIXFileSystem().space(folder)
        let needed = 12 * parameters * (max(2, spec.saveTotalLimit) + 1 + spec.saveBest)
        guard needed < space.available else {
            throw Failure.input(
                "\(folder): \(Output.bytes(needed)) are needed for \(max(2, spec.saveTotalLimit)) checkpoints and one in the "
                    + "making, \(Output.bytes(space.available)) are free: free some, or lower save_total_limit")
        }
    }

    // MARK: Running

    private func runJob(_ description: JobDescription, isNew: Bool) throws {
        var log = Logger(label: "coordinator", factory: { StreamLogHandler.standardError(label: $0) })
        log.logLevel = .warning
        let cluster = try LocalCluster(run: folder, rates: try Rates.read(options.rates), log: log) {
            [stream] _, event in stream.put(event)
        }
        if isNew {
            cluster.service.order(.submit(description) { _ in })
        } else {
            let found = try cluster.service.reopen(JobID(1), amended: description, from: point)
            view.resuming(from: found.step, rejected: found.rejected)
            if cluster.service.isAtRest(JobID(1)) {
                return try finish(cluster.service.end(JobID(1)), cluster, description)
            }
        }
        let count = options.workers ?? spec.workers.lowerBound
        let threads = options.threads ?? max(1, ProcessInfo.processInfo.activeProcessorCount / count)
        try cluster.start()
        powercap = Powercap(options.powercap)
        try cluster.startWorkers(count, threads: threads, state: "\(folder)/state")
        let end = try follow(cluster).map(withEnergy)
        cluster.stop()
        guard let end else { throw Failure.failed(cluster.problem ?? "stopped") }
        if let changedFile {
            view.end(end, run: folder)
            throw Failure.failed(
                "\(changedFile) changed while the job was running, so it was stopped at a checkpoint: put the old file "
                    + "back and `drover resume \(folder)`, or start a new run in another output_dir")
        }
        try finish(end, cluster, description)
    }

    /// The end line with what the processors say they have used meanwhile, where they say it.
    private func withEnergy(_ end: JSONValue) -> JSONValue {
        powercap?.read()
        guard let powercap, var object = end.object else { return end }
        object["energy_wh"] = .double(powercap.wattHours)
        object["energy_method"] = .string("measured")
        return .object(object)
    }

    /// Shows events until the job rests; the second Ctrl-C stops at once. nil = the coordinator failed.
    private func follow(_ cluster: LocalCluster) throws -> JSONValue? {
        var requests = 0
        var watch = DataWatch(folder: "\(folder)/data")
        while true {
            for event in stream.take() {
                if event["event"]?.string == "end" { return event }
                view.show(event)
            }
            if Signals.requests > requests {
                requests = Signals.requests
                if requests > 1 { _exit(130) }
                view.say("pausing: a checkpoint is made; Ctrl-C again stops at once")
                cluster.service.order(.job(.pause, JobID(1)))
            }
            if changedFile == nil, let file = watch.changed() {
                changedFile = file
                view.say("\(file) changed: the job stops")
                cluster.service.order(.job(.pause, JobID(1)))
            }
            if Date().timeIntervalSince(energyReadAt) > Powercap.interval {
                energyReadAt = Date()
                powercap?.read()
            }
            if cluster.problem != nil { return nil }
            guard try cluster.keepWorkersAlive() else {
                throw Failure.failed("every worker process died right after its start: see the messages above")
            }
        }
    }

    /// Exports, prints the end, leaves with the job's exit code.
    private func finish(_ end: JSONValue, _ cluster: LocalCluster, _ description: JobDescription) throws {
        let state = end["state"]?.string.flatMap(JobState.init(rawValue:)) ?? .failed
        // What the budget could buy is worth as much as a whole run's result.
        if state == .done || (state == .budgetExhausted && (end["steps"]?.int ?? 0) > 0) {
            for format in spec.exports {
                let target = "\(folder)/\(RunExport.folder(format))"
                try RunExport.write(run: folder, format: format, to: target, replaces: true)
                view.exported(target)
            }
        }
        view.end(end, run: folder)
        if state == .done { showAnswers(description) }
        guard state.exitCode == 0 else { throw Failure.ended(code: state.exitCode) }
    }

    /// For people: what the model answers to held-out questions now, and what it answered before.
    private func showAnswers(_ description: JobDescription) {
        guard !options.json, spec.stage == .sft, description.evaluationSequences > 0,
            let cache = description.files.first(where: { $0.kind == .data })?.path,
            let format = spec.exports.first, format == .peft || spec.finetuningType == .full || format == .merged
        else { return }
        do {
            let pairs = try SampleAnswers.pairs(
                cache: cache, base: spec.modelPath, trained: "\(folder)/\(RunExport.folder(format))",
                isAdapter: format == .peft)
            view.answers(pairs)
        } catch {
            // The job is done and its result is safe; a model without tokenizer has nothing to say.
            view.say("no sample answers: \(Failure.sentence(error))")
        }
    }
}
