import Kernels
import Models
import Testing

@Suite struct TensorTableTests {
    private func found(_ table: TensorTable) -> [(name: String, shape: [Int])] {
        table.tensors.map { ($0.name, $0.shape) }
    }

    @Test func `tensors stand in byte order, so that block 10 comes before block 2`() throws {
        let table = TensorTable(try TinyModel.configuration("qwen3", #""num_hidden_layers":11"#))
        let names = table.tensors.map(\.name)
        #expect(names == names.sorted { Array($0.utf8).lexicographicallyPrecedes(Array($1.utf8)) })
        let ten = try #require(names.firstIndex(of: "model.layers.10.mlp.up_proj.weight"))
        let two = try #require(names.firstIndex(of: "model.layers.2.mlp.up_proj.weight"))
        #expect(ten < two)
        #expect(table["model.layers.3.self_attn.q_norm.weight"]?.shape == [8])
        #expect(table["model.layers.11.mlp.up_proj.weight"] == nil)
    }

    @Test func `a tied head has no tensor, and its copy in a file is passed over`() throws {
        let tied = TensorTable(try TinyModel.configuration("llama", #""tie_word_embeddings":true"#))
        let untied = TensorTable(try TinyModel.configuration("llama"))
        #expect(tied["lm_head.weight"] == nil && untied["lm_head.weight"]?.shape == [29, 24])
        let places = try tied.places(among: found(untied))
        #expect(places.count == tied.tensors.count)
        #expect(zip(places, tied.tensors).allSatisfy { untied.tensors[$0].name == $1.name })
    }

    @Test func `GPT-2 files without a prefix and with stored masks are understood`() throws {
        let table = TensorTable(try TinyModel.configuration("gpt2"))
        #expect(table["transformer.h.1.attn.c_attn.weight"]?.shape == [24, 72])
        #expect(table["transformer.wpe.weight"]?.shape == [64, 24])
        #expect(table["transformer.h.0.mlp.c_proj.weight"]?.role == .residualProjection)
        var bare = found(table).map { (name: String($0.name.dropFirst("transformer.".count)), shape: $0.shape) }
        bare += [("h.0.attn.bias", [1, 1, 64, 64]), ("h.0.attn.masked_bias", [])]
        #expect(try table.places(among: bare) == Array(0..<table.tensors.count))
    }

    @Test func `missing, unexpected and misshapen tensors are refused by name`() throws {
        let table = TensorTable(try TinyModel.configuration("llama"))
        #expect(throws: ModelError.missingTensors(["lm_head.weight"])) {
            try table.places(among: found(table).filter { $0.name != "lm_head.weight" })
        }
        #expect(throws: ModelError.unexpectedTensors(["model.layers.2.mlp.up_proj.weight", "score.weight"])) {
            try table.places(
                among: found(table) + [("score.weight", [2, 24]), ("model.layers.2.mlp.up_proj.weight", [20, 24])])
        }
        let shape = ModelError.shapeMismatch(name: "model.norm.weight", expected: [24], found: [25])
        #expect(throws: shape) {
            try table.places(among: found(table).map { ($0.name, $0.name == "model.norm.weight" ? [25] : $0.shape) })
        }
    }

    @Test func `a decoder refuses weights that are not there`() throws {
        let model = try TinyModel("llama")
        let compute = Compute(team: Team(threads: 1))
        #expect(throws: ModelError.self) {
            try Decoder(
                configuration: model.configuration, weights: WeightTable([]), trainable: .nothing, compute: compute)
        }
    }

    @Test func `the flat vector is in byte order without gaps, and decays matrices only`() {
        let layout = ParameterLayout([("b.weight", [2, 3]), ("a.weight", [4, 2]), ("a.bias", [4]), ("c.bias", [5])])
        #expect(layout.entries.map(\.name) == ["a.bias", "a.weight", "b.weight", "c.bias"])
        #expect(layout.entries.map(\.offset) == [0, 4, 12, 18] && layout.count == 23)
        #expect(layout.decayRanges == [4..<18])
        #expect(layout["b.weight"]?.range == 12..<18 && layout["b"] == nil)
    }
}
