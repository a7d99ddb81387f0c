import Models
import Terms
import Testing

@testable import ModelFiles

@Suite struct AdapterDirectoryTests {
    let folder = TemporaryFolder()
    let model: DecoderConfiguration

    init() throws { model = try TinyModel.configuration(TinyModel.qwen3) }

    static let fourKeys = #"{"peft_type":"LORA","r":2,"lora_alpha":6,"target_modules":["q_proj","down_proj"]}"#

    /// Writes an adapter on q_proj and down_proj of both layers, with the given configuration text.
    func write(
        _ json: String = fourKeys, change: ([TensorDescription]) -> [TensorDescription] = { $0 }
    ) throws {
        let modules = try AdapterSpecification(rank: 2, alpha: 6, targets: .names(["q_proj", "down_proj"]))
            .modules(of: model)
        let tensors = ParameterLayout(adapter: modules).entries.map {
            TensorDescription(name: $0.name, shape: $0.shape)
        }
        folder.write(json, to: "adapter_config.json")
        try TinyModel.write(change(tensors), to: folder.file("adapter_model.safetensors"))
    }

    func refusal() -> String? {
        do throws(ModelFileError) {
            _ = try AdapterDirectory(path: folder.path, model: model)
            return nil
        } catch { return error.description }
    }

    @Test func `four keys and the tensors suffice`() throws {
        try write()

        let adapter = try AdapterDirectory(path: folder.path, model: model)
        let weights = try adapter.loadWeights()

        #expect(
            adapter.modules.map(\.path) == [
                "model.layers.0.self_attn.q_proj", "model.layers.0.mlp.down_proj",
                "model.layers.1.self_attn.q_proj", "model.layers.1.mlp.down_proj",
            ])
        #expect(adapter.modules.allSatisfy { $0.scale == 3 && $0.rank == 2 })
        let name = "base_model.model.model.layers.1.mlp.down_proj.lora_A.weight"
        #expect(weights.table[name]?.shape == [2, 12])
        #expect(weights.table.floats(name) == TinyModel.values(name, 24))
    }

    @Test func `what was written opens again with the same meaning and digest`() throws {
        let specification = AdapterSpecification(rank: 3, alpha: 4.5, isRankStabilised: true)
        let modules = try specification.modules(of: model)
        let values = [Float](repeating: 0.5, count: 64)
        let layout = ParameterLayout(adapter: modules)
        let configuration = AdapterConfiguration(specification, for: model, dropout: 0.25, baseModel: "models/x")

        try values.withUnsafeBufferPointer { values throws(ModelFileError) in
            let tensors = layout.entries.map { ($0.name, $0.shape, values.baseAddress!) }
            try AdapterDirectory.write(
                to: folder.path, configuration: configuration, model: model, tensors: tensors.reversed())
        }
        let adapter = try AdapterDirectory(path: folder.path, model: model)

        #expect(adapter.configuration == configuration)
        #expect(adapter.modules == modules)
        #expect(adapter.layout == layout)
        let file = try SafetensorsFile(path: folder.file("adapter_model.safetensors"))
        #expect(try adapter.digest() == ModelDigest.of(file))
        #expect(
            configuration.targetModules == [
                "down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj",
            ])
    }

    @Test func `GPT-2 adapters say that weights are stored transposed`() throws {
        let gpt2 = try TinyModel.configuration(TinyModel.gpt2)
        let configuration = AdapterConfiguration(AdapterSpecification(rank: 2, alpha: 2), for: gpt2)

        try AdapterDirectory.write(to: folder.path, configuration: configuration, model: gpt2, tensors: [])

        let json = try Disk.readJSON(folder.file("adapter_config.json"))
        #expect(json["fan_in_fan_out"]?.bool == true)
        #expect(json["lora_alpha"] == .int(2))
        #expect(json["target_modules"] == .array(["c_attn", "c_fc", "c_proj"].map(JSONValue.string)))
    }

    @Test func `a pattern of targets is settled by the stored tensors`() throws {
        try write(#"{"peft_type":"LORA","r":2,"lora_alpha":6,"target_modules":".*(q|down)_proj"}"#)

        #expect(try AdapterDirectory(path: folder.path, model: model).modules.count == 4)
    }

    @Test func `a rank pattern with plain names is followed`() throws {
        let json = Self.fourKeys.dropLast() + #","rank_pattern":{"down_proj":4},"alpha_pattern":{"q_proj":1}}"#
        try write(String(json)) {
            $0.map { tensor in
                guard tensor.name.contains("down_proj") else { return tensor }
                return TensorDescription(name: tensor.name, shape: tensor.shape.map { $0 == 2 ? 4 : $0 })
            }
        }

        let modules = try AdapterDirectory(path: folder.path, model: model).modules

        #expect(modules.map(\.rank) == [2, 4, 2, 4])
        #expect(modules.map(\.scale) == [0.5, 1.5, 0.5, 1.5])
    }

    static let refused: [(key: String, part: String)] = [
        (#""use_dora":true"#, "`use_dora` is not supported"),
        (#""bias":"all""#, "bias: all"),
        (#""modules_to_save":["lm_head"]"#, "`modules_to_save`"),
        (#""lora_bias":true"#, "`lora_bias`"),
        (#""trainable_token_indices":[1]"#, "`trainable_token_indices`"),
        (#""something_new":{"x":1}"#, "`something_new`"),
        (#""init_lora_weights":"pissa""#, "changed base weights"),
        (#""rank_pattern":{"(a+)+q_proj":4}"#, "only module names and simple expressions"),
        (#""alpha_pattern":{"q_proj":"x"}"#, "not a number"),
        (#""lora_dropout":2"#, "from 0 to 1"),
        (#""use_rslora":1"#, "not true or false"),
        (#""r":0"#, "from 1 to 65536"),
        (#""r":"2""#, "from 1 to 65536"),
        (#""lora_alpha":null"#, "`lora_alpha`"),
        (#""target_modules":[]"#, "`target_modules`"),
        (#""target_modules":[1]"#, "`target_modules`"),
        (#""peft_type":"IA3""#, "only LORA"),
        (#""peft_type":null"#, "`peft_type` is missing"),
    ]

    @Test(arguments: refused) func `a setting that changes the result is refused`(key: String, part: String) throws {
        try write(Self.fourKeys.dropLast() + ",\(key)}")

        #expect(refusal()?.contains(part) == true, "\(refusal() ?? "accepted")")
    }

    static let harmless = [
        #""peft_version":"0.21.2""#, #""task_type":"CAUSAL_LM""#, #""use_dora":false"#, #""modules_to_save":null"#,
        #""init_lora_weights":true"#, #""init_lora_weights":"gaussian""#, #""loftq_config":{}"#, #""future":[]"#,
        #""layers_to_transform":[0,1]"#, #""fan_in_fan_out":true"#, #""bias":"none""#,
        #""megatron_core":"megatron.core""#,
    ]

    @Test(arguments: harmless) func `a setting without effect is accepted`(key: String) throws {
        try write(Self.fourKeys.dropLast() + ",\(key)}")

        #expect(refusal() == nil)
    }

    @Test func `tensors that are missing, foreign or misshapen are named`() throws {
        try write { $0.filter { $0.name != "base_model.model.model.layers.0.mlp.down_proj.lora_B.weight" } }
        #expect(refusal()?.contains("layers.0.mlp.down_proj.lora_B.weight") == true)

        try write { $0 + [TensorDescription(name: "base_model.model.lm_head.weight", shape: [1])] }
        #expect(refusal()?.contains("`base_model.model.lm_head.weight` is no LoRA factor") == true)

        try write {
            $0.map { TensorDescription(name: $0.name.replacing("layers.1", with: "layers.7"), shape: $0.shape) }
        }
        #expect(refusal()?.contains("model.layers.7.mlp.down_proj") == true)

        try write(Self.fourKeys.replacing("\"r\":2", with: "\"r\":3"))
        #expect(refusal()?.contains("has shape [2, 12]") == true)
    }

    @Test func `tensors that target_modules does not name are refused, because peft would leave them out`() throws {
        try write(Self.fourKeys.replacing(#","down_proj""#, with: ""))

        #expect(refusal()?.contains("adapt model.layers.0.mlp.down_proj, which target_modules does not name") == true)
    }

    @Test func `an adapter without weights or configuration is named`() throws {
        #expect(refusal()?.contains("adapter_config.json does not exist") == true)
        folder.write(Self.fourKeys, to: "adapter_config.json")
        #expect(refusal()?.contains("adapter_model.safetensors does not exist") == true)
    }
}
