import Coordination
import Foundation
import JobSpecs
import Kernels
import ModelFiles
import Models
import Recipes
import Terms
import WorkerShell

/// What a job is made of, computed from its files.
struct JobSize {
    var parameters: Int
    var steps: Int
    var tokens: Int
    var checkpointBytes: Int
    var memoryBytes: Int
    var evaluations: Int
    var saves: Int
    /// Floating-point operations of the whole job.
    var flops: Double

    /// What a core is taken to do in a second where nothing was measured: half of an AVX2 core's peak.
    static let flopsPerCore = 3e10

    init(_ submission: Submission, _ description: JobDescription, _ plan: BatchPlan) {
        parameters = description.parameters
        steps = plan.plannedSteps
        tokens = plan.totalTokens
        checkpointBytes = 12 * parameters
        let configuration = submission.model.configuration
        let perToken = StepBench.flopsPerToken(
            configuration, rank: submission.settings.adapter?.rank, sequence: submission.spec.cutoffLen)
        flops = perToken * Double(tokens)
        let every = description.evaluationSteps
        let regular = 1 + (every > 0 ? (steps - 1) / every : 0)
        evaluations = description.evaluationSequences > 0 ? (description.evaluatesFirst ? 1 : 0) + regular : 0
        saves = 2 + (description.saveSteps > 0 ? (steps - 1) / description.saveSteps : 0)
        memoryBytes = Self.memory(submission, description)
    }

    /// Bytes that a worker of the job takes.
    static func memory(_ submission: Submission, _ description: JobDescription) -> Int {
        let (configuration, parameters) = (submission.model.configuration, description.parameters)
        let base = description.files.filter { $0.kind == .model && $0.name.hasSuffix(".safetensors") }.reduce(0) {
            $0 + $1.size
        }
        // Parameters and moments, one gradient a level of the tree and two more, the copy of a checkpoint.
        let levels = Int(log2(Double(max(1, description.virtualShards))).rounded(.up)) + 1
        let state = 4 * parameters * (3 + levels + 2 + 3)
        let rows = description.microBatch * submission.spec.cutoffLen
        let perRow = 8 * configuration.width + 4 * configuration.queryWidth + 3 * configuration.inner
        let layers = submission.settings.recomputes ? 2 : configuration.layers
        let activations = Int(min(4 * Double(rows) * Double(perRow * layers), 1e17))
        return 2 * base + state + activations + (64 << 20)
    }
}

/// Runs a job for some seconds in a folder of its own, and measures its steps.
enum StepProbe {
    struct Findings {
        var tokensPerSecond: Double
        var evaluationSeconds: Double
        var saveSeconds: Double
        /// From the start of a generation to its first step, evaluations apart.
        var startSeconds: Double
        /// The largest worker.
        var memoryBytes: Int
    }

    /// Seconds of steps that are enough, and the most that are taken.
    private static let enough = 6.0
    private static let most = 120.0

    static func run(
        job: String, overrides: [String], workers: Int, threads: Int, scratch: String, size: JobSize
    ) throws -> Findings {
        let folder = "\(scratch)/workers\(workers)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try FileManager.default.createSymbolicLink(atPath: "\(folder)/data", withDestinationPath: "\(scratch)/data")
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        process.arguments =
            ["train", job] + overrides + unlimited + [
                "output_dir=\(folder)", "--workers", "\(workers)", "--threads", "\(threads)", "--json",
            ]
        let output = Pipe()
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        defer {
            if process.isRunning { kill(process.processIdentifier, SIGKILL) }
            process.waitUntilExit()
        }
        return try listen(output.fileHandleForReading, process, size)
    }

    /// Limits and their warnings have no place in a probe.
    private static let unlimited =
        ["core_hours", "wall_clock", "tokens", "steps", "energy", "money"].map { "budget.\($0)=null" }
        + ["resume_from_checkpoint=never"]

    private static func listen(_ file: FileHandle, _ process: Process, _ size: JobSize) throws -> Findings {
        var buffer = Data()
        var began = Date()
        var evaluation: Double?
        var (first, last): ((at: Date, tokens: Int)?, (at: Date, tokens: Int)?) = (nil, nil)
        var (stall, memory, steps) = (0.0, 0, 0)
        var paused = 0.0
        var pauseBegan: Date?
        while true {
            let part = file.availableData
            if part.isEmpty { break }
            buffer.append(part)
            while let end = buffer.firstIndex(of: 0x0A) {
                let line = buffer[buffer.startIndex..<end]
                buffer.removeSubrange(buffer.startIndex...end)
                guard let event = try? JSONValue.parse(Array(line)) else { continue }
                switch event["event"]?.string {
                case "generation": began = Date()
                case "eval":
                    if let start = pauseBegan, first != nil { paused += Date().timeIntervalSince(start) }
                    if evaluation == nil { evaluation = Date().timeIntervalSince(began) }
                case "checkpoint": stall = max(stall, event["stall_s"]?.double ?? 0)
                case "step":
                    steps += 1
                    memory = max(memory, largestChild(process.processIdentifier))
                    // The first step pages memory in.
                    if steps == 2 || (steps == 1 && size.steps == 1) { first = (Date(), event["tokens"]?.int ?? 0) }
                    if steps > 2 { last = (Date(), event["tokens"]?.int ?? 0) }
                    pauseBegan = Date()
                default: break
                }
            }
            guard let first, let last else { continue }
            let span = last.at.timeIntervalSince(first.at)
            if (span >= enough && steps >= 5) || span >= most { break }
        }
        guard let first, let last, last.tokens > first.tokens else {
            throw Failure.failed("the job is too short to be probed: estimate it without --probe")
        }
        let seconds = max(1e-6, last.at.timeIntervalSince(first.at) - paused)
        return Findings(
            tokensPerSecond: Double(last.tokens - first.tokens) / seconds, evaluationSeconds: evaluation ?? 0,
            saveSeconds: stall,
            startSeconds: 0, memoryBytes: memory)
    }

    /// The largest resident set that any child process ever had, in bytes.
    private static func largestChild(_ pid: pid_t) -> Int {
        let path = "/proc/\(pid)/task/\(pid)/children"
        let children = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
        return children.split(separator: " ").map { child in
            let status = (try? String(contentsOfFile: "/proc/\(child)/status", encoding: .utf8)) ?? ""
            let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") } ?? ""
            return line.split(separator: " ").compactMap { Int($0) }.first.map { $0 << 10 } ?? 0
        }.max() ?? 0
    }
}
