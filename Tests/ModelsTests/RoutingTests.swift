import Testing

@testable import Models

@Suite struct RoutingTests {
    private func mixture(_ experts: Int, perToken: Int, leastSum: Float?) -> Mixture {
        Mixture(
            experts: experts, perToken: [perToken], inner: 8, sharedInner: 0, isSparse: [true], leastSum: leastSum,
            balance: 0)
    }

    private func routing(_ probabilities: [Float], bias: [Float]? = nil, _ mixture: Mixture) -> Routing {
        let count = probabilities.count / mixture.experts
        return probabilities.withUnsafeBufferPointer { probabilities in
            guard let bias else {
                return Routing(
                    probabilities.baseAddress!, bias: nil, count: count, perToken: mixture.perToken[0], mixture)
            }
            return bias.withUnsafeBufferPointer {
                Routing(
                    probabilities.baseAddress!, bias: $0.baseAddress, count: count, perToken: mixture.perToken[0],
                    mixture)
            }
        }
    }

    @Test func `rows lie expert by expert in token order, weights are probabilities`() {
        let routing = routing([0.1, 0.6, 0.3, 0.5, 0.2, 0.3], mixture(3, perToken: 2, leastSum: nil))

        #expect(routing.tokens == [1, 0, 0, 1])
        #expect(routing.starts == [0, 1, 2, 4])
        #expect(routing.weights == [0.5, 0.6, 0.3, 0.3])
    }

    @Test func `equal scores go to the lower index`() {
        #expect(routing([0.25, 0.25, 0.25, 0.25], mixture(4, perToken: 2, leastSum: nil)).starts == [0, 1, 2, 2, 2])
        let nan = routing([.nan, .nan, .nan], mixture(3, perToken: 2, leastSum: nil))
        #expect(nan.starts == [0, 1, 2, 2])
    }

    @Test func `weights add up to one, or are divided by the least sum`() {
        let sums = routing([0.1, 0.6, 0.3], mixture(3, perToken: 2, leastSum: 0)).weights
        #expect(abs(sums[0] - 2.0 / 3) < 1e-6 && abs(sums[1] - 1.0 / 3) < 1e-6)
        #expect(routing([0.25, 0.5, 0.25], mixture(3, perToken: 1, leastSum: 1)).weights == [0.5])
    }

    @Test func `a bias takes part in choosing and not in weighing`() {
        let routing = routing([0.1, 0.6, 0.3], bias: [0.9, 0, 0], mixture(3, perToken: 1, leastSum: nil))
        #expect(routing.starts == [0, 1, 1, 1])
        #expect(routing.weights == [0.1])
    }

    @Test func `the load-balancing loss is that of the paper, and its slope is constant`() {
        let balance = LoadBalance(mixture(2, perToken: 1, leastSum: nil))
        let probabilities: [Float] = [0.75, 0.25, 0.5, 0.5]
        balance.add(probabilities, count: 2)
        balance.add([0.25, 0.75], count: 1)

        // f = (2/3, 1/3), P = (1.5/3, 1.5/3).
        #expect(abs(balance.loss - 2 * (2.0 / 3 * 0.5 + 1.0 / 3 * 0.5)) < 1e-12)
        #expect(balance.slopes(9) == [4, 2])
    }

    @Test func `names mean to an adapter of a mixture what they mean to peft`() throws {
        let tiny = try TinyModel.configuration(
            "ernie4_5_moe", #""moe_num_experts":4,"moe_k":2,"moe_intermediate_size":8"#)
        func paths(_ names: [String]) throws -> [String] {
            try AdapterSpecification(rank: 2, alpha: 4, targets: .names(names)).modules(of: tiny).map {
                "\($0.path.dropFirst("model.layers.".count)) \($0.rank) \($0.scale)"
            }
        }

        #expect(try paths(["gate_proj", "up_proj"]) == ["1.mlp.experts.gate_up_proj 4 2.0"])
        #expect(
            try paths(["gate_up_proj", "down_proj"]) == [
                "1.mlp.experts.gate_up_proj 2 2.0", "1.mlp.experts.down_proj 2 2.0",
            ])
        #expect(try paths(["gate"]) == ["1.mlp.gate 2 2.0"])
        #expect(try paths(["shared_experts.down_proj.weight"]) == ["1.mlp.shared_experts.down_proj 2 2.0"])
        #expect(
            try AdapterSpecification(rank: 2, alpha: 4).modules(of: tiny).map(\.stem) == [
                "model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.k_proj", "model.layers.0.self_attn.v_proj",
                "model.layers.0.self_attn.o_proj", "model.layers.1.self_attn.q_proj", "model.layers.1.self_attn.k_proj",
                "model.layers.1.self_attn.v_proj", "model.layers.1.self_attn.o_proj", "model.layers.1.mlp.gate",
                "model.layers.1.mlp.experts.base_layer", "model.layers.1.mlp.experts",
            ])
        #expect(throws: ModelError.self) { try paths(["gate_proj"]) }
        #expect(throws: ModelError.self) { try paths(["q_proj", "w1"]) }
    }

    @Test func `settings of mixtures that would change the arithmetic are refused by name`() throws {
        func problem(_ type: String, _ changes: String) throws -> String {
            do {
                _ = try TinyModel.configuration(type, changes)
                return "read"
            } catch let error as ModelError { return "\(error)" }
        }
        #expect(try problem("hunyuan_v1_moe", #""num_experts":4,"norm_topk_prob":false"#).contains("norm_topk_prob"))
        #expect(try problem("hunyuan_v1_moe", #""num_experts":4,"moe_layer_num_skipped":1"#).contains("skipped"))
        #expect(try problem("hunyuan_v1_moe", #""num_experts":4,"num_shared_expert":[1,2]"#).contains("num_shared"))
        #expect(try problem("qwen3_moe", #""num_experts":4,"num_experts_per_tok":5"#).contains("at most 4"))
        #expect(try problem("qwen3_moe", #""num_experts":4,"num_experts_per_tok":2,"n_group":2"#).contains("n_group"))
        #expect(try problem("ernie4_5_moe", #""moe_gate":"sinkhorn""#).contains("moe_gate"))
        #expect(try problem("qwen3_moe", #""num_experts":0"#) == "read")
    }
}
