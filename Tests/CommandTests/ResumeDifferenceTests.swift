import Coordination
import Hashing
import Recipes
import Terms
import Testing
import WorkerShell

@testable import drover

/// What a run may go on with, and what it is refused for (design §4.1, rule 15).
@Suite struct ResumeDifferenceTests {
    private static func file(_ kind: JobFile.Kind, _ name: String, _ content: String) -> JobFile {
        JobFile(
            kind: kind, name: name, digest: Digest.sha256(of: content), size: content.utf8.count, path: "/a/\(name)")
    }

    /// A job in which every optional member is there.
    private static let job: JobDescription = {
        let settings = TrainingSettings(
            adapter: nil, seed: 7, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0, maxGradientNorm: 1,
            recomputes: false, precision: "fp32")
        var job = JobDescription(
            name: "job", parameters: 4, sequences: 8, globalBatch: 4, microBatch: 1, virtualShards: 4, shuffleSeed: 7,
            totalSequences: 16, beta1: 0.9, beta2: 0.999, schedule: .constant, peakRate: 1e-3, warmupRatio: 0.5,
            saveSteps: 5, saveMilliseconds: 1000, evaluationSteps: 5, evaluationSequences: 2, evaluationShards: 2,
            files: [
                ResumeDifferenceTests.file(.model, "model.safetensors", "weights"),
                ResumeDifferenceTests.file(.data, "data.tokens", "tokens"),
            ],
            training: settings.json)
        job.wholeSequences = 80
        job.tensors = [TrainedTensor(name: "w", shape: [2, 2])]
        job.memoryBytes = 1000
        return job
    }()

    private func sentences(_ change: (inout JobDescription) -> Void) -> [String] {
        var fresh = Self.job
        change(&fresh)
        return ResumeDifference(from: Self.job, to: fresh).sentences
    }

    /// Members that may differ between two starts of a run: run keys, budget, what was derived, and its own past.
    private static let free: Set<String> = [
        "name", "project", "priority", "workers_min", "workers_max", "save_steps", "save_ms", "save_auto",
        "save_total_limit", "keep_best", "keep_every", "eval_steps", "eval_first", "eval_sequences", "eval_shards",
        "logging_steps", "memory_bytes", "user", "branch", "plan", "step_limit", "token_limit", "wall_ms_limit",
        "core_ms_limit", "energy_mj_limit", "money_limit", "currency", "warn_at",
    ]

    /// Other values that a member of that kind may have.
    private static func others(than value: JSONValue) -> [JSONValue] {
        if let number = value.int { return [.int(number + 1), .int(number - 1)] }
        if value.string != nil { return ["equivalent", "linear", "3fe0000000000000", "6"].map(JSONValue.string) }
        if value.array != nil { return [.array([])] }
        if value.object != nil { return [.members(["seed": .string("6")])] }
        return [.int(3), .string("EUR")]
    }

    @Test func `every member of a job that may not change is refused, also one that somebody adds to it`() throws {
        let written = try #require(try JSONValue.parse(Self.job.encoded()).object)
        let same = try JobDescription(decoding: Self.job.encoded())
        for (key, value) in written.members where key != "format" {
            let changed = Self.others(than: value).compactMap { other -> JobDescription? in
                var object = written
                object[key] = other
                guard let job = try? JobDescription(decoding: JSONValue.object(object).encoded()) else { return nil }
                return job == same ? nil : job
            }
            let found = changed.map { ResumeDifference(from: Self.job, to: $0).sentences }
            if Self.free.contains(key) {
                #expect(found.allSatisfy { $0 == [] }, "\(key) may change: \(found)")
            } else {
                #expect(
                    !found.isEmpty && found.allSatisfy { $0 != [] }, "\(key) decides the result: say so, or free it")
            }
        }
    }

    @Test func `differences are named as the job file names them, once`() {
        #expect(sentences { _ in } == [])
        #expect(sentences { $0.peakRate = 2e-3 } == ["learning_rate 0.001 → 0.002"])
        let seed = sentences {
            $0.shuffleSeed = 6
            var settings = TrainingSettings(json: $0.training)
            settings?.seed = 6
            $0.training = settings?.json ?? .null
        }
        #expect(seed == ["seed 7 → 6"])
        #expect(sentences { $0.shuffleSeed = nil } == ["shuffle true → false"])
    }

    @Test func `another model and other data are named with their digests, a moved one is the same`() {
        let found = sentences { job in
            job.files = [
                Self.file(.model, "model.safetensors", "weightz"), Self.file(.model, "more.safetensors", "more"),
                Self.file(.data, "data.tokens", "tokenz"),
            ]
        }
        #expect(found.count == 3)
        let before = Digest.sha256(of: "weights").hex.prefix(12)
        #expect(found.first?.hasPrefix("the base model's model.safetensors has changed since the run began") == true)
        #expect(found.first?.contains("(sha256 \(before)… → ") == true)
        #expect(found.contains { $0.hasPrefix("the data, or what makes tokens of it, has changed") })
        #expect(found.contains("the base model's more.safetensors was not there when the run began"))
        #expect(sentences { $0.files.removeFirst() } == ["the base model's model.safetensors is no longer there"])
        let moved = sentences {
            $0.files[0].path = "/b/model.safetensors"
            $0.files[0].state = "5 6 7"
        }
        #expect(moved == [])
    }

    @Test func `what an earlier release did not write down is no difference`() throws {
        var old = Self.job
        var training = try #require(old.training.object)
        training["gradient_wire"] = nil
        old.training = .object(training)
        #expect(old != Self.job && ResumeDifference(from: old, to: Self.job).sentences == [])
    }
}
