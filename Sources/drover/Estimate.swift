import ArgumentParser
import Budgeting
import Coordination
import CoordinatorShell
import Foundation
import JobSpecs
import ModelFiles
import Recipes
import StorageShell
import Terms
import WorkerShell

/// `drover estimate JOB.yaml`: what a job will take, before it takes it.
struct Estimate: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Says what a job will take, and whether its budget is enough.",
        discussion: """
            Parameters, steps, tokens, checkpoints and memory are computed. Times, and what follows from them, are modelled
            from the model's arithmetic, or with --probe measured on real steps of the job on this machine. Energy and
            money are modelled either way, from core time and the rate card; with --json each row says which is which.
            """)

    @Argument(help: "The job file.")
    var job: String
    @Argument(help: "Overrides, as in drover train.")
    var overrides: [String] = []
    @Option(help: "Worker processes on this machine, one or several numbers: 1,2,4; default: the job's workers.min.")
    var workers: String?
    @Option(help: "Threads of each worker; default: the cores divided among the workers.")
    var threads: Int?
    @Flag(help: "Run real steps for some seconds and measure them.")
    var probe = false
    @Option(help: "What energy and money are taken to be: a JSON file; default: ~/.config/drover/rates.json.")
    var rates: String?
    @Flag(help: "JSON on standard output.")
    var json = false

    func validate() throws {
        try MachineOptions.check(threads: threads)
    }

    /// What is known about one number of workers.
    struct Row {
        var workers: Int
        var memoryBytes: Int
        var wallSeconds: Double
        var coreHours: Double
        var energyWattHours: Double?
        var money: Double?
        /// Its times and its memory were measured on real steps.
        var isProbed: Bool

        /// Whether each figure was measured or modelled, by its key; null where there is none.
        var methods: JSONValue {
            let times = JSONValue.string(isProbed ? "measured" : "modelled")
            let modelled = JSONValue.string("modelled")
            return .members([
                "memory_bytes": times, "wall_clock_s": times, "core_hours": times,
                "energy_wh": energyWattHours == nil ? .null : modelled, "money": money == nil ? .null : modelled,
            ])
        }

        /// Nothing of it is modelled.
        var isMeasured: Bool { isProbed && energyWattHours == nil && money == nil }
    }

    func run() throws {
        let spec = try Train.read(job, overrides: overrides).absolute(in: FileManager.default.currentDirectoryPath)
        let counts = try workerCounts(spec)
        var card = try Rates.read(rates)
        // Where workers will measure, a budget of energy needs no model; what it will take is not known here.
        card.isEnergyMeasured = Powercap() != nil
        let scratch = NSTemporaryDirectory() + "drover-estimate-\(getpid())"
        defer { try? FileManager.default.removeItem(atPath: scratch) }
        var submission = try Submission(spec)
        let description = try submission.describe(folder: "\(scratch)/data") { _ in }
        let plan = description.plan(over: try CoordinatorService.sequenceIndex(description))
        let size = JobSize(submission, description, plan)
        var (rows, faults): ([Row], [String]) = ([], [])
        for count in counts {
            switch spec.readied(workers: workers == nil ? nil : count) {
            case .failure(let issues): faults += issues.issues.map { "\(Self.text(count)): \($0.sentence)" }
            case .success(let ready):
                var submission = try Submission(ready)
                // The tokens are there by now.
                let shaped = try submission.describe(folder: "\(scratch)/data") { _ in }
                let threads = threads ?? max(1, ProcessInfo.processInfo.activeProcessorCount / count)
                rows.append(try row(count, threads, JobSize(submission, shaped, plan), card, scratch))
            }
        }
        let disk = try Self.disk(spec, size)
        faults += self.faults(spec, size, rows, card)
        if disk.needed >= disk.free {
            faults.append(
                "the checkpoints take \(Output.bytes(disk.needed)) on the disk of output_dir, "
                    + "\(Output.bytes(disk.free)) are free")
        }
        report(size, disk.needed, rows, faults, card)
    }

    private static func text(_ workers: Int) -> String { "\(workers) worker\(workers == 1 ? "" : "s")" }

    /// What the checkpoints that the job keeps take on the disk of output_dir beyond those there, and what is free.
    private static func disk(_ spec: JobSpec, _ size: JobSize) throws -> (needed: Int, free: Int) {
        var folder = spec.outputDir
        while folder != "/", !Disk.hasFolder(folder) { folder = (folder as NSString).deletingLastPathComponent }
        let needed = DiskNeed.more(
            spec, parameters: size.parameters, steps: 1..<size.steps + 1,
            beyond: joinPath(spec.outputDir, "checkpoints"))
        return (needed, try POSIXFileSystem().space(folder).available)
    }

    private func workerCounts(_ spec: JobSpec) throws -> [Int] {
        guard let workers else { return [spec.workers.lowerBound] }
        let counts = workers.split(separator: ",").map { Int($0) ?? 0 }
        guard !counts.isEmpty, counts.allSatisfy({ (1...4096).contains($0) }) else {
            throw Failure.input("--workers takes numbers in 1…4096, for instance 1,2,4")
        }
        return counts
    }

    private func row(_ count: Int, _ threads: Int, _ size: JobSize, _ card: RateCard, _ scratch: String) throws -> Row {
        var memory = size.memoryBytes
        var seconds: Double
        if probe {
            let found = try StepProbe.run(
                job: job, overrides: overrides, workers: count, threads: threads, scratch: scratch, size: size)
            seconds =
                found.startSeconds + Double(size.tokens) / found.tokensPerSecond
                + Double(size.evaluations) * found.evaluationSeconds + Double(size.saves) * found.saveSeconds
            memory = max(found.memoryBytes, 1)
        } else {
            let cores = Double(min(count * threads, ProcessInfo.processInfo.activeProcessorCount))
            seconds = size.flops / (cores * JobSize.flopsPerCore)
        }
        let coreMilliseconds = Int64(seconds * 1000 * Double(count * threads))
        return Row(
            workers: count, memoryBytes: memory, wallSeconds: seconds, coreHours: Double(coreMilliseconds) / 3.6e6,
            energyWattHours: card.milliwattsPerCore > 0 ? Double(card.energy(coreTime: coreMilliseconds)) / 3.6e6 : nil,
            money: card.currency == nil
                ? nil : Double(card.costs(coreTime: coreMilliseconds, wallClock: 0).money) / 1e6, isProbed: probe)
    }

    /// Why the job will not fit its budget or this machine, a sentence each.
    private func faults(_ spec: JobSpec, _ size: JobSize, _ rows: [Row], _ card: RateCard) -> [String] {
        let budget = spec.budget
        var faults: [String] = []
        func check(_ unit: BudgetUnit, _ needed: Double, _ label: String) {
            guard let limit = budget[unit].map({ Quantity.displayed($0, of: unit) }), needed > limit else { return }
            let currency = budget.currency ?? card.currency
            let (allowed, taken) = Amount.texts(limit, needed, of: unit, currency: currency)
            faults.append("budget.\(unit.key) is \(allowed), the job takes \(taken)\(label)")
        }
        check(.steps, Double(size.steps), "")
        check(.tokens, Double(size.tokens), "")
        for row in rows {
            let label = " with " + Self.text(row.workers)
            check(.wallClock, row.wallSeconds, label)
            check(.coreTime, row.coreHours, label)
            if let energy = row.energyWattHours { check(.energy, energy / 1000, label) }
            if let money = row.money { check(.money, money, label) }
            let memory = row.memoryBytes * row.workers
            if memory > Int(ProcessInfo.processInfo.physicalMemory) {
                faults.append(
                    "\(Self.text(row.workers)) take\(row.workers == 1 ? "s" : "") \(Output.bytes(memory)) of memory, this machine has "
                        + Output.bytes(Int(ProcessInfo.processInfo.physicalMemory)))
            }
        }
        if let fault = card.fault(with: budget) { faults.append(fault) }
        return faults
    }

    /// Between which shares of a figure the truth is taken to lie.
    private var spread: (low: Double, high: Double) { probe ? (0.87, 1.15) : (0.3, 3.0) }

    private func range(_ value: Double?) -> JSONValue {
        value.map { .array([.double($0 * spread.low), .double($0 * spread.high)]) } ?? .null
    }

    func json(_ row: Row) -> JSONValue {
        let memory = Double(row.memoryBytes)
        return .members([
            "workers": .int(row.workers), "memory_bytes": .int(row.memoryBytes),
            "memory_bytes_range": .array([
                .int(Int(memory * memorySpread.low)), .int(Int(memory * memorySpread.high)),
            ]),
            "wall_clock_s": .double(row.wallSeconds), "wall_clock_s_range": range(row.wallSeconds),
            "core_hours": .double(row.coreHours), "core_hours_range": range(row.coreHours),
            "energy_wh": row.energyWattHours.map(JSONValue.double) ?? .null,
            "energy_wh_range": range(row.energyWattHours), "money": row.money.map(JSONValue.double) ?? .null,
            "money_range": range(row.money), "measured": .bool(row.isMeasured), "methods": row.methods,
        ])
    }

    /// As `spread`, for memory: what is counted leaves out the allocator's slack, and takes the largest micro-batch.
    private var memorySpread: (low: Double, high: Double) { probe ? (1.0, 1.15) : (0.4, 2.0) }

    /// A line of the table: each figure with the range that it is taken to lie in.
    func cells(_ row: Row, _ currency: String?) -> [String] {
        func cell(_ value: Double?, _ unit: BudgetUnit) -> String {
            guard let value else { return "–" }
            func text(_ share: Double, _ digits: Int) -> String {
                Amount.text(value * share, of: unit, currency: currency, digits: digits)
            }
            return "\(text(1, 3)) (\(text(spread.low, 2)) – \(text(spread.high, 2)))"
        }
        func bytes(_ share: Double) -> String { Output.bytes(Int(Double(row.memoryBytes) * share)) }
        return [
            "\(row.workers)", "\(bytes(1)) (\(bytes(memorySpread.low)) – \(bytes(memorySpread.high)))",
            cell(row.wallSeconds, .wallClock), cell(row.coreHours, .coreTime),
            cell(row.energyWattHours.map { $0 / 1000 }, .energy), cell(row.money, .money),
        ]
    }

    private func report(_ size: JobSize, _ disk: Int, _ rows: [Row], _ faults: [String], _ card: RateCard) {
        if json {
            return Output.json(
                .members([
                    "fits": .bool(faults.isEmpty), "reasons": .array(faults.map(JSONValue.string)),
                    "trainable_parameters": .int(size.parameters), "steps": .int(size.steps),
                    "tokens": .int(size.tokens),
                    "checkpoint_bytes": .int(size.checkpointBytes), "disk_bytes": .int(disk),
                    "currency": card.currency.map(JSONValue.string) ?? .null,
                    "computed": .array(
                        ["trainable_parameters", "steps", "tokens", "checkpoint_bytes", "disk_bytes"].map(
                            JSONValue.string)),
                    "per_workers": .array(rows.map(json)),
                ]))
        }
        let label = probe ? "measured" : "modelled, within a factor of 3"
        Output.line(
            "\(LiveView.count(Double(size.parameters))) trained parameters · \(size.steps) steps · \(size.tokens) tokens"
        )
        Output.line(
            "a checkpoint takes \(Output.bytes(size.checkpointBytes)) on disk, those that are kept \(Output.bytes(disk))"
        )
        Output.line(
            Output.table(
                ["WORKERS", "MEMORY EACH", "WALL CLOCK", "CORE-HOURS", "ENERGY", "MONEY"],
                rows.map { cells($0, card.currency) }))
        Output.line("times are \(label); energy and money are modelled from core time; in brackets the range of each")
        for fault in faults { Output.line("does not fit: \(fault)") }
        if faults.isEmpty { Output.line("fits") }
    }
}
