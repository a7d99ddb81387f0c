import Foundation
import Terms
import Testing

/// A folder of its own with a small job over a tiny random model, and the built `drover` to run it.
final class Scene {
    let folder: URL
    private let job: String

    /// The tiny Qwen3-shaped model of the parity fixtures.
    static let model = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("ParityTests/Fixtures/qwen3-gqa").path

    /// The executable, beside the test runner's own.
    static let drover: String = {
        let own = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        let beside = URL(fileURLWithPath: own).deletingLastPathComponent().appendingPathComponent("drover").path
        if FileManager.default.isExecutableFile(atPath: beside) { return beside }
        // Some runners load the tests from another place: the bundle lies where the products lie.
        return Bundle.allBundles.map { $0.bundleURL.deletingLastPathComponent().appendingPathComponent("drover").path }
            .first { FileManager.default.isExecutableFile(atPath: $0) } ?? beside
    }()

    init(epochs: Int = 6, extra: String = "") throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("drover-e2e-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        try Self.rows(60).write(to: folder.appendingPathComponent("data.jsonl"), atomically: true, encoding: .utf8)
        job = """
            name: tiny
            model_name_or_path: \(Self.model)
            finetuning_type: lora
            lora_rank: 4
            lora_alpha: 8
            dataset:
              - path: data.jsonl
                type: tokens
            val_size: 0.1
            cutoff_len: 32
            global_batch_size: 8
            num_train_epochs: \(epochs)
            learning_rate: 1e-3
            workers: {min: 2}
            output_dir: run
            eval_steps: 10
            save_steps: 7
            \(extra)
            """
        try job.write(to: folder.appendingPathComponent("job.yaml"), atomically: true, encoding: .utf8)
    }

    deinit { try? FileManager.default.removeItem(at: folder) }

    /// Rows of token ids from a fixed sequence, two thirds of them trained.
    static func rows(_ count: Int) -> String {
        let random = Philox(seed: 11, purpose: .probe)
        var draw: UInt64 = 0
        func next(_ bound: UInt64) -> Int {
            draw += 1
            return Int(random.below(bound, draw))
        }
        return (0..<count).map { _ in
            let ids = (0..<5 + next(20)).map { _ in next(64) }
            let labels = ids.map { next(3) > 0 ? $0 : -100 }
            return "{\"input_ids\":\(ids),\"labels\":\(labels)}"
        }.joined(separator: "\n") + "\n"
    }

    struct Outcome {
        var code: Int32
        var lines: [JSONValue]
        var errors: String
        /// The last line.
        var end: JSONValue { lines.last ?? .null }
        var digest: String? { end["model_sha256"]?.string }
    }

    /// A started `drover`; what it prints goes to files, so that it never waits for a reader.
    final class Running {
        let process = Process()
        private let output: URL
        private let errors: URL

        /// - Parameter user: whose keys it uses; each user has a folder of keys inside the scene's.
        init(_ arguments: [String], in folder: URL, user: String = "owner") throws {
            let name = UUID().uuidString
            output = folder.appendingPathComponent("\(name).out")
            errors = folder.appendingPathComponent("\(name).err")
            for file in [output, errors] { try Data().write(to: file) }
            process.executableURL = URL(fileURLWithPath: Scene.drover)
            process.environment = ProcessInfo.processInfo.environment.merging(
                ["XDG_STATE_HOME": folder.appendingPathComponent("home-\(user)").path]) { $1 }
            process.arguments = arguments
            process.currentDirectoryURL = folder
            process.standardOutput = try FileHandle(forWritingTo: output)
            process.standardError = try FileHandle(forWritingTo: errors)
            try process.run()
        }

        /// Waits for the end, at most two minutes.
        func outcome() -> Outcome {
            let pid = process.processIdentifier
            let watchdog = DispatchWorkItem { kill(pid, SIGKILL) }
            DispatchQueue.global().asyncAfter(deadline: .now() + 120, execute: watchdog)
            process.waitUntilExit()
            watchdog.cancel()
            let data = (try? Data(contentsOf: output)) ?? Data()
            return Outcome(
                code: process.terminationStatus,
                lines: data.split(separator: 0x0A).compactMap { try? JSONValue.parse(Array($0)) },
                errors: (try? String(contentsOf: errors, encoding: .utf8)) ?? "")
        }

        /// The first line of standard output, without its end; waits for it, at most 20 seconds.
        func firstLine() throws -> String {
            for _ in 0..<400 {
                let text = try String(contentsOf: output, encoding: .utf8)
                if let end = text.firstIndex(of: "\n") { return String(text[..<end]) }
                usleep(50_000)
            }
            throw CocoaError(.fileReadUnknown, userInfo: ["errors": outcome().errors])
        }

        /// What it has said on standard error so far.
        var said: String { (try? String(contentsOf: errors, encoding: .utf8)) ?? "" }

        /// Child processes that run now.
        var children: [pid_t] {
            let path = "/proc/\(process.processIdentifier)/task/\(process.processIdentifier)/children"
            let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
            return text.split(separator: " ").compactMap { pid_t($0) }
        }
    }

    func start(_ arguments: String..., user: String = "owner") throws -> Running {
        try Running(arguments, in: folder, user: user)
    }

    func start(_ arguments: [String], user: String) throws -> Running { try Running(arguments, in: folder, user: user) }

    func run(_ arguments: String...) throws -> Outcome { try Running(arguments, in: folder).outcome() }

    func run(_ command: String, _ arguments: [String]) throws -> Outcome {
        try Running([command] + arguments, in: folder).outcome()
    }

    func write(_ text: String, to name: String) throws {
        try text.write(to: folder.appendingPathComponent(name), atomically: true, encoding: .utf8)
    }

    /// Copies the model into the scene, as `model`, for tests that spoil it; returns its weight file.
    func ownWeights() throws -> URL {
        let model = folder.appendingPathComponent("model")
        try FileManager.default.createDirectory(at: model, withIntermediateDirectories: true)
        for name in ["config.json", "model.safetensors"] {
            try FileManager.default.copyItem(atPath: "\(Self.model)/\(name)", toPath: model.path + "/" + name)
        }
        return model.appendingPathComponent("model.safetensors")
    }

    /// The job file with one key set otherwise.
    func job(setting key: String, to value: String) -> String {
        job.split(separator: "\n", omittingEmptySubsequences: false).map {
            $0.hasPrefix("\(key):") ? "\(key): \(value)" : String($0)
        }.joined(separator: "\n")
    }

    /// True while a process runs; one that has ended but was not collected yet does not.
    static func isAlive(_ pid: pid_t) -> Bool {
        guard let text = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8) else { return false }
        return text.split(separator: ")").last?.split(separator: " ").first != "Z"
    }

    /// Waits until the run has logged so many steps.
    func waitForLog(lines: Int) throws {
        for _ in 0..<600 {
            if ((try? loggedSteps().count) ?? 0) >= lines { return }
            usleep(50_000)
        }
        throw CocoaError(.fileNoSuchFile)
    }

    /// Flips a bit in the first object of the checkpoint of a step.
    func damageCheckpoint(of step: Int, run name: String = "run") throws {
        let shown = try run("checkpoint", "show", name, "--step", "\(step)", "--json").end
        guard let object = shown["tensors"]?.array?.first?["chunks"]?.array?.first?.array?.first?.string else {
            throw CocoaError(.fileNoSuchFile)
        }
        let path = folder.appendingPathComponent("\(name)/checkpoints/objects/\(object.prefix(2))/\(object)")
        var bytes = try Data(contentsOf: path)
        bytes[bytes.count / 2] ^= 1
        chmod(path.path, 0o644)
        try bytes.write(to: path)
    }

    /// `current_steps` of the log, in order.
    func loggedSteps() throws -> [Int] {
        let data = try Data(contentsOf: folder.appendingPathComponent("run/trainer_log.jsonl"))
        return data.split(separator: 0x0A).compactMap { (try? JSONValue.parse(Array($0)))?["current_steps"]?.int }
    }
}
