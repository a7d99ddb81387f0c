import Budgeting
import Coordination
import Recipes
import Terms
import Testing

@Suite struct JobDescriptionTests {
    static let sample: JobDescription = {
        var job = Stage.description()
        job.name = "Laden \"1\""
        job.project = "shop"
        job.priority = 70
        job.schedule = .wsd
        job.peakRate = 1.0 / 3
        job.shuffleSeed = .max
        job.wholeSequences = 1 << 40
        job.saveSteps = 500
        job.saveMilliseconds = 1_200_000
        job.evaluationSteps = 200
        job.evaluationSequences = 33
        job.evaluationShards = 8
        job.evaluatesFirst = false
        job.stepLimit = 2000
        job.tokenLimit = 50_000_000
        job.wallMillisecondsLimit = 129_600_000
        job.coreMillisecondsLimit = 1_440_000_000
        job.saveTotalLimit = 5
        job.budget[.energy] = 43_200_000_000
        job.budget[.money] = 60_000_000
        job.budget.currency = "EUR"
        job.branch = .init(step: 12, tokens: 4096, digest: .max - 3)
        job.keepBest = 2
        job.savesByCost = true
        job.loggingSteps = 10
        job.tensors = [TrainedTensor(name: "a.weight", shape: [3, 4]), TrainedTensor(name: "b", shape: [])]
        job.files = [
            JobFile(
                kind: .model, name: "sub/model.safetensors", digest: Digest(bytes: Array(repeating: 7, count: 32))!,
                size: 12,
                path: "/models/x/model.safetensors", state: "1:2:12:3:4:5:6")
        ]
        job.training = .members(["list": .array([.double(0.5), .null]), "rank": .int(16)])
        return job
    }()

    private func text(_ change: (inout JSONObject) -> Void) throws -> [UInt8] {
        var object = try #require(try JSONValue.parse(Self.sample.encoded()).object)
        change(&object)
        return JSONValue.object(object).encoded()
    }

    @Test func `a description and its bytes are one`() throws {
        #expect(try JobDescription(decoding: Self.sample.encoded()) == Self.sample)
        #expect(try JobDescription(decoding: Stage.description().encoded()) == Stage.description())
        #expect(try JobDescription(decoding: Self.sample.encoded()).encoded() == Self.sample.encoded())
    }

    @Test func `every member must be there and of its kind`() throws {
        let keys = try #require(try JSONValue.parse(Self.sample.encoded()).object).keys
        let optional = [
            "shuffle_seed", "step_limit", "token_limit", "wall_ms_limit", "core_ms_limit", "energy_mj_limit",
            "money_limit", "memory_bytes", "eval_first",
            "currency", "branch", "training", "whole_sequences",
        ]

        for key in keys {
            if !optional.contains(key) {
                #expect(throws: DescriptionError.self, "without \(key)") {
                    try JobDescription(decoding: text { $0[key] = nil })
                }
            }
            if key != "training" {
                #expect(throws: DescriptionError.self, "\(key) = true") {
                    try JobDescription(decoding: text { $0[key] = .bool(true) })
                }
            }
        }
    }

    @Test(arguments: [
        ("global_batch", "0"), ("global_batch", "1000000"), ("micro_batch", "0"), ("virtual_shards", "1000000"),
        ("virtual_shards", "-1"), ("sequences", "0"), ("total_sequences", "0"), ("save_ms", "281474976710656"),
        ("eval_shards", "0"), ("workers_min", "0"), ("workers_max", "0"), ("step_limit", "-1"),
        ("token_limit", "\"12\""),
        ("shuffle_seed", "\"-1\""), ("shuffle_seed", "7"), ("warmup_ratio", "\"7ff8000000000000\""),
        ("warmup_ratio", "\"7ff0000000000000\""), ("beta1", "\"bff0000000000000\""),
        ("peak_rate", "\"7ff8000000000000\""),
        ("peak_rate", "\"xyz\""), ("schedule", "\"steep\""), ("format", "\"drover-job/2\""),
        ("tensors", "[{\"name\":\"a\",\"shape\":[-1]}]"),
        ("tensors", "[{\"name\":\"a\",\"shape\":[4294967296,4294967296]}]"),
        ("files", "[{}]"),
    ])
    func `what can't be run is refused`(pair: (key: String, value: String)) throws {
        let value = try JSONValue.parse(pair.value)

        #expect(throws: DescriptionError.self) { try JobDescription(decoding: text { $0[pair.key] = value }) }
    }

    @Test(arguments: ["../x", "a/../../x", "/etc/passwd", ""])
    func `a file that leaves its folder is refused`(name: String) throws {
        var job = Self.sample
        job.files[0].name = name

        #expect(throws: DescriptionError.self) { try JobDescription(decoding: job.encoded()) }
    }

    @Test func `any bytes give a description or an error`() {
        let bytes = Self.sample.encoded()
        for index in bytes.indices {
            for value: UInt8 in [0x00, 0x22, 0x2D, 0x30, 0x39, 0x5C, 0x7D, 0xFF] where bytes[index] != value {
                var changed = bytes
                changed[index] = value
                if let job = try? JobDescription(decoding: changed) {
                    // What decodes can be run: its plan has a first recipe.
                    #expect(job.virtualShards > 0 && job.globalBatch > 0)
                }
            }
        }
        for count in 0..<bytes.count {
            #expect(throws: DescriptionError.self) { try JobDescription(decoding: Array(bytes[..<count])) }
        }
    }
}
