import Budgeting
import Coordination
import CoordinatorShell
import Foundation
import JobSpecs
import Kernels
import Logging
import ModelFiles
import Models
import StorageShell
import Synchronization
import Terms
import WorkerShell

/// A job on this machine from its job file to its exports: coordinator here, workers beside it.
final class LocalRun {
    private var spec: JobSpec
    private let options: RunOptions
    private let folder: String
    private let view: LiveView
    private var point = ResumePoint.trunk
    private let stream = Stream()
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
        let steps = description.plannedSteps
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
    ///   - units: whose limits were named, nil = those that differ from what the run was started with.
    func train(
        resuming: Bool, from point: ResumePoint = .trunk, branch: BranchOrigin? = nil,
        limiting units: [BudgetUnit]? = nil
    ) throws {
        self.point = point
        let output = OutputFolder(folder)
        guard output.hasJournal, let previous = try output.earlierSpec() else {
            spec = try spec.readied(workers: options.workers).get()
            return try begin(branch)
        }
        // What `auto` meant when the run began, it means for its life.
        spec = spec.settled(as: previous)
        guard resuming else {
            throw Failure.input(
                "output_dir \(folder) holds a run already: choose another one, or leave out --resume never to go on with it"
            )
        }
        try OutputFolder.refuseOther(spec, than: previous, in: folder)
        spec = try spec.readied(workers: options.workers).get()
        let changed = BudgetUnit.allCases.filter { spec.budget[$0] != previous.budget[$0] }
        try goOn(limiting: units ?? changed, branch)
    }

    /// A new run; everything is checked before anything of it is made.
    ///
    /// - Parameter opened: the coordinator of a run that was begun and never submitted.
    private func begin(_ branch: BranchOrigin?, in opened: LocalCluster? = nil) throws {
        try OutputFolder(folder).refuseResults(for: spec, hasBranch: branch != nil)
        try checkPrices()
        let script = try options.plan.map(PlanLog.read) ?? []
        Signals.watch()
        var (description, yaml, _) = try prepare(isResuming: false, after: branch?.step ?? 0)
        if let plan = options.plan { try PlanLog.refuse(script, of: plan, for: description) }
        description.script = script
        if let branch { description.branch = try branch.plant(in: folder, description) }
        let cluster = try opened ?? open()
        guard cluster.service.job(RunDoor.job) == nil else {
            throw Failure.input(
                "output_dir \(folder) holds a run already, without its resolved.yaml or begun just now by another process: "
                    + "choose another one")
        }
        try keep(yaml)
        cluster.service.order(.submit(description) { _ in })
        try run(cluster, description)
    }

    /// An earlier run: nothing of it is touched before this process holds its journal.
    private func goOn(limiting units: [BudgetUnit], _ branch: BranchOrigin?) throws {
        let cluster = try open()
        let job = RunDoor.job
        guard let known = cluster.service.job(job) else { return try begin(branch, in: cluster) }
        if let plan = options.plan, try PlanLog.read(plan) != known.description.script {
            throw Failure.input("--plan is for a new run: this one keeps the plan log it began with")
        }
        if known.state == .done {
            // With its last checkpoint sound there is nothing to do, and nothing that a full disk could prevent.
            let found = try cluster.service.reopen(job)
            if cluster.service.isAtRest(job) {
                view.resuming(from: found.step, rejected: found.rejected)
                return try finish(cluster.service.end(job), known.description)
            }
        }
        try Rates.refuse(try rateCard(), after: known.ledger, in: folder)
        try checkPrices()
        Signals.watch()
        let (description, yaml, record) = try prepare(isResuming: true)
        try refuseOther(description, than: known.description)
        try record?.write(folder: "\(folder)/data")
        let found = try cluster.service.reopen(job, amended: description, limiting: units, from: point)
        try keep(yaml)
        view.resuming(from: found.step, rejected: found.rejected)
        guard !cluster.service.isAtRest(job) else { return try finish(cluster.service.end(job), description) }
        try run(cluster, description)
    }

    /// Refuses to go on with another model, other data or another key that decides the result than the journal names:
    /// resolved.yaml and data.json are files that anybody may have edited.
    private func refuseOther(_ description: JobDescription, than known: JobDescription) throws {
        let difference = ResumeDifference(from: known, to: description)
        guard !difference.sentences.isEmpty else { return }
        func tokens(_ description: JobDescription) -> String? {
            description.files.first { $0.kind == .data }?.path
        }
        // Nobody asks for what was tokenised to find this out.
        if let path = tokens(description), let own = tokens(known),
            URL(fileURLWithPath: path).lastPathComponent != URL(fileURLWithPath: own).lastPathComponent
        {
            DataRecord.removeTokens(path)
        }
        throw Failure.input(
            ["\(folder) holds a run that began otherwise, and going on would change its result:"]
                + difference.sentences.map { "  \($0)" } + [
                    "put back what has changed to go on; or begin a new run in another output_dir, or a branch of this one "
                        + "with `drover resume \(folder) --from STEP --as NAME key=value`"
                ])
    }

    /// Opens the run's journal, which this process then holds alone, and its coordinator.
    private func open() throws -> LocalCluster {
        var log = Logger(label: "coordinator", factory: { StreamLogHandler.standardError(label: $0) })
        log.logLevel = .warning
        return try LocalCluster(run: folder, rates: try rateCard(), powercap: options.powercap, log: log) {
            [stream] _, event in stream.put(event)
        }
    }

    /// Keeps the resolved job file with the run, and the rate card that was named for it, durable before step 1.
    private func keep(_ yaml: String) throws {
        if let rates = options.rates {
            try AtomicFile.write(Rates.path(in: folder), try Disk.read(rates, limit: Rates.limit))
        }
        try AtomicFile.write("\(folder)/resolved.yaml", Array(yaml.utf8))
    }

    /// Reads and checks everything, tokenises the data; returns the job, its resolved job file, and what was read.
    ///
    /// - Parameter after: the step of the checkpoint that a new run begins with, 0 = none.
    private func prepare(
        isResuming: Bool, after step: Step = 0
    ) throws -> (description: JobDescription, yaml: String, record: DataRecord?) {
        var submission = try Submission(spec)
        try checkFolder()
        try checkDisk(submission.layout.count, steps: 1..<1)
        let description = try submission.describe(folder: "\(folder)/data", isResuming: isResuming) { [view] in
            view.preparing($0)
        }
        // How many steps there are, of which save_every keeps some, is known with the data; how many of those a run that
        // goes on has behind it, only later.
        if spec.saveEvery > 0, !isResuming {
            try checkDisk(description.parameters, steps: step + 1..<max(step, certainSteps(description)) + 1)
        }
        view.prepared(description, submission)
        if submission.spec.precision == .bf16, !Compute.hasNativeBF16 {
            view.say("precision: bf16 is rounded in software on this machine: right, but no faster than fp32")
        }
        return (
            description, submission.spec.resolvedYAML(workingDirectory: FileManager.default.currentDirectoryPath),
            submission.record
        )
    }

    private func checkFolder() throws {
        do { try POSIXFileSystem().makeFolders(folder) } catch {
            throw Failure.input("output_dir \(folder) can't be made: \(error)")
        }
        guard access(folder, W_OK) == 0 else {
            throw Failure.input("output_dir \(folder) is not writable: change its permissions or choose another one")
        }
    }

    /// Refuses a job whose kept checkpoints would not fit on the disk. Those that a run has made already need no room.
    ///
    /// - Parameter steps: of which `save_every` keeps some; empty = not known.
    private func checkDisk(_ parameters: Int, steps: Range<Step>) throws {
        let free = try POSIXFileSystem().space(folder).available
        let needed = DiskNeed.more(spec, parameters: parameters, steps: steps, beyond: "\(folder)/checkpoints")
        guard needed < free else {
            throw Failure.input(
                "\(folder): the checkpoints that the job keeps and the next one take \(Output.bytes(needed)) more, "
                    + "\(Output.bytes(free)) are free: free some, for instance with `drover checkpoint prune`, lower "
                    + "save_total_limit or save_best, or raise save_every")
        }
    }

    /// The steps that the job will make; 0 where a limit in another unit ends it at one that nobody knows.
    private func certainSteps(_ description: JobDescription) -> Int {
        guard BudgetUnit.allCases.allSatisfy({ $0 == .steps || description.budget[$0] == nil }) else { return 0 }
        let planned = description.plannedSteps
        return min(planned, description.stepLimit ?? planned)
    }

    /// The rate card that is named, or that was when the run was started; nil = the user's own.
    private var ratesPath: String? {
        let kept = Rates.path(in: folder)
        return options.rates ?? (Disk.hasFile(kept) ? kept : nil)
    }

    /// Refuses a limit that the rate card has no price for.
    private func checkPrices() throws {
        guard let fault = try rateCard().fault(with: spec.budget) else { return }
        throw Failure.input("\(fault): it is \(ratesPath ?? Rates.standardPath), or what --rates names")
    }

    /// What energy and money are taken to be here; every worker of this machine reads its counters, if one can.
    private func rateCard() throws -> RateCard {
        var rates = try Rates.read(ratesPath)
        rates.isEnergyMeasured = Powercap(options.powercap) != nil
        return rates
    }

    // MARK: Running

    private func run(_ cluster: LocalCluster, _ description: JobDescription) throws {
        let count = options.workers ?? spec.workers.lowerBound
        let threads = options.threads ?? max(1, ProcessInfo.processInfo.activeProcessorCount / count)
        try cluster.start()
        try cluster.startWorkers(count, threads: threads, state: "\(folder)/state")
        let end = try follow(cluster)
        cluster.stop()
        guard let end else { throw Failure.failed(cluster.problem ?? "stopped") }
        if let changedFile {
            view.end(end, run: folder)
            throw Failure.failed(
                "\(changedFile) changed while the job was running, so it was stopped at a checkpoint: put the old file "
                    + "back and `drover resume \(folder)`, or start a new run in another output_dir")
        }
        try finish(end, description)
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
                cluster.service.order(.job(.pause, RunDoor.job))
            }
            if changedFile == nil, let file = watch.changed() {
                changedFile = file
                view.say("\(file) changed: the job stops")
                cluster.service.order(.job(.pause, RunDoor.job))
            }
            if cluster.problem != nil { return nil }
            guard try cluster.keepWorkersAlive() else {
                throw Failure.failed("every worker process died right after its start: see the messages above")
            }
        }
    }

    /// Exports, prints the end, leaves with the job's exit code.
    private func finish(_ end: JSONValue, _ description: JobDescription) throws {
        let state = end["state"]?.string.flatMap(JobState.init(rawValue:)) ?? .failed
        for report in try RunExport.write(end: end, of: spec, run: folder, view) { view.exported(report) }
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
