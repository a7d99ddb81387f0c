import Models
import Testing

@Suite struct AdapterSpecificationTests {
    @Test func `all means every linear layer of every block and nothing else`() throws {
        let qwen = try AdapterSpecification(rank: 4, alpha: 8).modules(of: TinyModel.configuration("qwen3"))
        #expect(qwen.count == 14)
        let layout = ParameterLayout(adapter: qwen)
        #expect(layout.entries.count == 28)
        #expect(layout["base_model.model.model.layers.1.self_attn.o_proj.lora_A.weight"]?.shape == [4, 32])
        #expect(layout["base_model.model.model.layers.1.self_attn.o_proj.lora_B.weight"]?.shape == [24, 4])
        let gpt2 = try AdapterSpecification(rank: 4, alpha: 8).modules(of: TinyModel.configuration("gpt2"))
        #expect(gpt2.map(\.path).prefix(2) == ["transformer.h.0.attn.c_attn", "transformer.h.0.attn.c_proj"])
        #expect(ParameterLayout(adapter: gpt2)[gpt2[0].nameB]?.shape == [72, 4])
        let glm = try AdapterSpecification(rank: 4, alpha: 8).modules(of: TinyModel.configuration("glm"))
        #expect(glm.contains { $0.path == "model.layers.0.mlp.gate_up_proj" && $0.outputs == 40 })
    }

    @Test func `names match whole paths or their ends, never parts of a name`() throws {
        let configuration = try TinyModel.configuration("qwen3")
        func paths(_ names: [String]) throws -> [String] {
            try AdapterSpecification(rank: 1, alpha: 1, targets: .names(names)).modules(of: configuration).map(\.path)
        }
        #expect(try paths(["q_proj"]).count == 2)
        #expect(try paths(["model.layers.1.mlp.up_proj"]) == ["model.layers.1.mlp.up_proj"])
        #expect(try paths(["self_attn.k_proj", "down_proj"]).count == 4)
        for name in ["proj", "lm_head", "embed_tokens", "c_attn"] {
            #expect(throws: ModelError.self) { try paths([name]) }
        }
        #expect(throws: ModelError.self) { try paths([]) }
        #expect(throws: ModelError.self) { try paths(["q_proj", "nowhere"]) }
    }

    @Test func `rank and scale follow the patterns and the stabilised rule`() throws {
        let configuration = try TinyModel.configuration("llama")
        let plain = try AdapterSpecification(
            rank: 4, alpha: 16, targets: .names(["q_proj", "v_proj"]), rankPattern: [("layers.1.self_attn.v_proj", 2)],
            alphaPattern: [("v_proj", 6)]
        ).modules(of: configuration)
        #expect(plain.map(\.rank) == [4, 4, 4, 2])
        #expect(plain.map(\.scale) == [4, 1.5, 4, 3])
        let stabilised = try AdapterSpecification(
            rank: 4, alpha: 16, isRankStabilised: true, targets: .names(["q_proj"])
        ).modules(of: configuration)
        #expect(stabilised.map(\.scale) == [8, 8])
        #expect(throws: ModelError.self) { try AdapterSpecification(rank: 0, alpha: 1).modules(of: configuration) }
        #expect(throws: ModelError.self) { try AdapterSpecification(rank: 1, alpha: .nan).modules(of: configuration) }
    }

    @Test func `patterns are names or expressions as peft takes them`() throws {
        let path = "model.layers.10.self_attn.q_proj"
        for text in [
            "q_proj", "self_attn.q_proj", path, #"^model\.layers\.10\..*"#, #"layers\.(1|10)\.self_attn\.q_proj"#,
            #".*\.q_proj"#, #"(q|v)_proj"#, #"layers\.\d+\.self_attn\.q_proj"#, #"layers.1[0-9].self_attn.[qk]_proj$"#,
        ] {
            #expect(NamePattern(text)?.matches(path) == true, "\(text)")
        }
        for text in ["proj", "0.self_attn.q_proj_", #"^layers\..*"#, #"layers\.1\..*"#, "k_proj"] {
            #expect(NamePattern(text)?.matches(path) == false, "\(text)")
        }
        for text in ["", "(a+)+", "(a|b)*", "(?i)q", "[", "a*a*a*a*a*", "q\nproj"] {
            #expect(NamePattern(text) == nil, "\(text)")
        }
    }

    @Test func `a layer's A depends on its name and the seed alone and fills its bounds`() throws {
        let configuration = try TinyModel.configuration("llama")
        func draw(_ targets: AdapterSpecification.Targets, _ path: String, seed: UInt64) throws -> [Float] {
            let modules = try AdapterSpecification(rank: 64, alpha: 1, targets: targets).modules(of: configuration)
            let module = try #require(modules.first { $0.path == path })
            return [Float](unsafeUninitializedCapacity: 64 * module.inputs) { buffer, count in
                if let address = buffer.baseAddress { module.drawA(seed: seed, into: address) }
                count = buffer.count
            }
        }
        let path = "model.layers.1.mlp.up_proj"

        let alone = try draw(.names(["up_proj"]), path, seed: 1)
        let among = try draw(.all, path, seed: 1)

        #expect(alone == among)
        #expect(try draw(.all, path, seed: 2) != alone)
        #expect(try draw(.all, "model.layers.0.mlp.up_proj", seed: 1) != alone)
        let bound = 1 / Float(24).squareRoot()
        #expect(alone.allSatisfy { abs($0) <= bound })
        #expect((alone.max() ?? 0) > 0.95 * bound && (alone.min() ?? 0) < -0.95 * bound)
        #expect(abs(alone.reduce(0, +) / Float(alone.count)) < 0.05 * bound)
    }
}
