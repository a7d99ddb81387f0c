import Foundation
import Terms
import Testing

/// Bad input gets clear sentences and exit code 2 before any worker starts.
@Suite(.serialized) struct BadInputTests {
    /// Runs the job; it must be refused with these words, and leave no run behind.
    private func expectRefusal(_ scene: Scene, _ words: String..., overrides: [String] = []) throws {
        let outcome = try Scene.Running(["train", "job.yaml"] + overrides + ["--json"], in: scene.folder).outcome()
        #expect(outcome.code == 2, "\(outcome.errors)")
        for word in words { #expect(outcome.errors.contains(word), "\(word): \(outcome.errors)") }
        #expect(!FileManager.default.fileExists(atPath: scene.folder.appendingPathComponent("run/state").path))
    }

    @Test func `a job file with three faults prints three faults`() throws {
        let scene = try Scene()
        var text = scene.job(setting: "global_batch_size", to: "0")
        text = text.replacing("learning_rate: 1e-3", with: "learning_rate: fast").replacing("shuffle", with: "shuffle")
        try scene.write(text + "\nlora_rnk: 8\n", to: "job.yaml")
        try expectRefusal(scene, "global_batch_size", "learning_rate", "lora_rnk", "did you mean 'lora_rank'")
        let outcome = try scene.run("train", "job.yaml")
        #expect(outcome.errors.split(separator: "\n").filter { $0.contains("job.yaml:") }.count == 3)
    }

    @Test func `truncated weights are named`() throws {
        let scene = try Scene()
        let model = scene.folder.appendingPathComponent("model")
        try FileManager.default.copyItem(atPath: Scene.model, toPath: model.path)
        let weights = model.appendingPathComponent("model.safetensors")
        let bytes = try Data(contentsOf: weights)
        try bytes.dropLast(100).write(to: weights)
        try expectRefusal(scene, "model.safetensors", overrides: ["model_name_or_path=\(model.path)"])
    }

    @Test func `a model directory without weights is named`() throws {
        let scene = try Scene()
        let model = scene.folder.appendingPathComponent("model")
        try FileManager.default.copyItem(atPath: Scene.model, toPath: model.path)
        try FileManager.default.removeItem(at: model.appendingPathComponent("model.safetensors"))
        try expectRefusal(scene, "model.safetensors", overrides: ["model_name_or_path=\(model.path)"])
    }

    @Test func `an unknown behaviour in config json is refused by name`() throws {
        let scene = try Scene()
        let model = scene.folder.appendingPathComponent("model")
        try FileManager.default.copyItem(atPath: Scene.model, toPath: model.path)
        let path = model.appendingPathComponent("config.json")
        let text = try String(contentsOf: path, encoding: .utf8)
        try text.replacing("\"model_type\"", with: "\"attn_logit_softcapping\": 30.0, \"model_type\"")
            .write(to: path, atomically: true, encoding: .utf8)
        try expectRefusal(scene, "attn_logit_softcapping", overrides: ["model_name_or_path=\(model.path)"])
    }

    @Test func `every malformed row is told with file and line`() throws {
        let scene = try Scene()
        try scene.write("{\"input_ids\":[1,2,3]}\n{\"input_ids\":[1,2\n{\"input_ids\":[1,999]}\n", to: "data.jsonl")
        try expectRefusal(scene, "data.jsonl:2", "data.jsonl:3")
    }

    @Test func `an empty data set is refused`() throws {
        let scene = try Scene()
        try scene.write("", to: "data.jsonl")
        try expectRefusal(scene, "data.jsonl")
    }

    @Test func `sequences longer than the model allows are refused`() throws {
        let scene = try Scene()
        let ids = Array(repeating: 5, count: 300)
        try scene.write("{\"input_ids\":\(ids)}\n{\"input_ids\":[1,2,3]}\n{\"input_ids\":[1,2,3]}\n", to: "data.jsonl")
        try expectRefusal(scene, "300 tokens", "256 positions", "cutoff_len", overrides: ["cutoff_len=1000"])
    }

    @Test func `a budget of zero is refused`() throws {
        try expectRefusal(try Scene(), "budget.steps", overrides: ["budget.steps=0"])
    }

    @Test func `a limit on what nothing says the price of is refused`() throws {
        let scene = try Scene()
        try scene.write("{\"watts_per_core\": 9, \"kwh\": 0.3, \"currency\": \"EUR\"}", to: "rates.json")
        try expectRefusal(scene, "budget.energy needs watts_per_core", overrides: ["budget.energy=1Wh"])
        try expectRefusal(scene, "budget.money needs prices", overrides: ["budget.money=2 EUR"])
        try expectRefusal(
            scene, "in CHF, the rate card in EUR", overrides: ["budget.money=2 CHF", "--rates", "rates.json"])
    }

    @Test func `an output folder that can't be made is refused`() throws {
        let scene = try Scene()
        try scene.write("a file", to: "occupied")
        try expectRefusal(scene, "occupied", overrides: ["output_dir=occupied/run"])
    }

    @Test func `a run of another job in output_dir is not touched`() throws {
        let scene = try Scene(epochs: 2)
        let first = try scene.run("train", "job.yaml", "--json")
        let second = try scene.run("train", "job.yaml", "learning_rate=5e-3", "--json")

        #expect(first.code == 0)
        #expect(second.code == 2)
        #expect(second.errors.contains("learning_rate"))
    }

    @Test func `what a coordinator would ignore is refused before it is asked`() throws {
        let scene = try Scene(epochs: 1)
        let nobody = ["--coordinator", "127.0.0.1:1"]
        for words in [
            ["train", "job.yaml", "--resume", "elsewhere@3"], ["train", "job.yaml", "--threads", "2"],
            ["train", "job.yaml", "--rates", "r.json"], ["resume", "1", "--workers", "2"],
            ["resume", "1", "--rates", "r.json"],
        ] {
            let outcome = try scene.run(words[0], Array(words.dropFirst()) + nobody)
            #expect(outcome.code == 2 && outcome.errors.contains("on this machine"), "\(words): \(outcome.errors)")
        }
        for words in [["train", "job.yaml"], ["resume", "run"]] {
            let outcome = try scene.run(words[0], Array(words.dropFirst()) + ["--token", "t"])
            #expect(outcome.code == 2 && outcome.errors.contains("--coordinator"), "\(outcome.errors)")
        }
    }

    @Test func `numbers that nothing can be done with are refused`() throws {
        let scene = try Scene(epochs: 1)
        for words in [
            ["estimate", "job.yaml", "--threads", "0"], ["estimate", "job.yaml", "--workers", "0"],
            ["checkpoint", "prune", "run", "--keep", "1"], ["checkpoint", "prune", "run", "--every", "0"],
            ["data", "stats", "--model", Scene.model, "--data", "data.jsonl", "--cutoff-len", "0"],
            ["data", "preview", "--model", Scene.model, "--data", "data.jsonl", "--threads", "0"],
            ["train", "job.yaml", "num_train_epochs=1e300"], ["bench", "attention", "--seq", "\(Int.max)"],
            ["train", "job.yaml", "num_train_epochs=null", "max_steps=\(Int.max)"],
            ["bench", "step", "--model", Scene.model, "--micro-batch", "\(Int.max)"],
            ["train", "job.yaml", "num_train_epochs=null", "max_tokens=\(Int.max)"],
            ["data", "stats", "--model", Scene.model, "--data", "data.jsonl", "--cutoff-len", "\(Int.max)"],
            ["bench", "coordinator", "--turns", "\(Int.max)"],
            ["bench", "lora", "--model", Scene.model, "--rank", "0"],
            ["coordinator", "--listen", "tcp://127.0.0.1:*", "--dead-after", "200000000d", "--state", "head"],
        ] {
            let outcome = try scene.run(words[0], Array(words.dropFirst()))
            #expect(outcome.code == 2, "\(words): \(outcome.code) \(outcome.errors)")
        }
    }

    @Test func `a coordinator refuses a port in use`() throws {
        let scene = try Scene()
        let socket = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(socket) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(socket, $0, size) == 0 && listen(socket, 1) == 0 && getsockname(socket, $0, &size) == 0
            }
        }
        #expect(isBound)
        let port = UInt16(bigEndian: address.sin_port)
        let outcome = try scene.run("coordinator", "--listen", "tcp://127.0.0.1:\(port)", "--state", "state")
        #expect(outcome.code == 2)
        #expect(outcome.errors.contains("in use"))
    }
}
