import Kernels
import Models
import Terms
import Testing

@Suite struct DecoderConfigurationTests {
    private func read(_ text: String) throws -> DecoderConfiguration {
        try DecoderConfiguration.read(json: try JSONValue.parse(text))
    }

    private func error(_ text: String) throws -> ModelError? {
        let json = try JSONValue.parse(text)
        do throws(ModelError) { _ = try DecoderConfiguration.read(json: json) } catch { return error }
        return nil
    }

    @Test func `a Qwen3 checkpoint in the older dialect is read`() throws {
        let configuration = try read(
            #"""
            {"architectures":["Qwen3ForCausalLM"],"attention_bias":false,"attention_dropout":0.0,"bos_token_id":151643,
            "eos_token_id":151645,"head_dim":128,"hidden_act":"silu","hidden_size":1024,"initializer_range":0.02,
            "intermediate_size":3072,"max_position_embeddings":40960,"max_window_layers":28,"model_type":"qwen3",
            "num_attention_heads":16,"num_hidden_layers":28,"num_key_value_heads":8,"rms_norm_eps":1e-06,
            "rope_scaling":null,"rope_theta":1000000,"sliding_window":null,"tie_word_embeddings":true,
            "torch_dtype":"bfloat16","transformers_version":"4.51.0","use_cache":true,"use_sliding_window":false,
            "vocab_size":151936}
            """#)

        #expect(configuration.width == 1024 && configuration.queryWidth == 2048 && configuration.keyValueWidth == 1024)
        #expect(configuration.rotary == Rotary(layout: .half, width: 128, theta: 1e6, scaling: .none))
        #expect(configuration.tiesHead && configuration.windows.allSatisfy { $0 == nil })
        #expect(configuration.biases == [] && configuration.endTokens == [151645] && configuration.beginToken == 151643)
        #expect(TensorTable(configuration).count == 596_049_920)
    }

    @Test func `the newer dialect says the same`() throws {
        let old = try read(
            #"""
            {"model_type":"llama","num_attention_heads":32,"rope_theta":500000.0,"torch_dtype":"float16","rope_scaling":
            {"factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,"original_max_position_embeddings":8192,
            "rope_type":"llama3"}}
            """#)
        let new = try read(
            #"""
            {"model_type":"llama","num_attention_heads":32,"dtype":"float16","rope_parameters":{"rope_theta":500000.0,
            "factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,"original_max_position_embeddings":8192,
            "rope_type":"llama3"}}
            """#)

        #expect(old.rotary == new.rotary)
        #expect(
            old.rotary?.scaling == .llama3(factor: 8, low: 1, high: 4, trainedLength: 8192) && old.rotary?.theta == 5e5)
    }

    @Test func `absent keys take the default of their own family`() throws {
        let ernie = try read(#"{"model_type":"ernie4_5"}"#)
        #expect(ernie.tiesHead && ernie.rotary?.theta == 500_000 && ernie.epsilon == 1e-5 && ernie.frozenRow == 0)
        #expect(ernie.rotary?.layout == .interleaved && ernie.headWidth == 128 && ernie.keyValueHeads == 2)
        let llama = try read(#"{"model_type":"llama"}"#)
        #expect(!llama.tiesHead && llama.rotary?.theta == 10_000 && llama.keyValueHeads == 32 && llama.frozenRow == nil)
        let glm = try read(#"{"model_type":"glm"}"#)
        #expect(glm.rotary?.width == 64 && glm.biases == .queryKeyValue && glm.epsilon == 1.5625e-7)
        let gpt2 = try read(#"{"model_type":"gpt2","attn_pdrop":0.1,"n_ctx":1024}"#)
        #expect(gpt2.inner == 3072 && gpt2.tiesHead && gpt2.rotary == nil && gpt2.longestDocument == 1024)
        #expect(gpt2.biases == .all && TensorTable(gpt2).count == 124_439_808)
        let mistral = try read(#"{"model_type":"mistral"}"#)
        #expect(mistral.windows.allSatisfy { $0 == 4096 })
        #expect(try read(#"{"model_type":"mistral","sliding_window":null}"#).windows.allSatisfy { $0 == nil })
        #expect(try read(#"{"model_type":"mistral","num_key_value_heads":null}"#).keyValueHeads == 32)
    }

    @Test func `windows are on upper layers or on those that are named`() throws {
        let shape = #""model_type":"qwen2","num_hidden_layers":3,"sliding_window":7"#
        #expect(
            try read("{\(shape),\"use_sliding_window\":true,\"max_window_layers\":2}").windows == [nil, nil, 7])
        let types = #""layer_types":["sliding_attention","full_attention","sliding_attention"]"#
        #expect(try read("{\(shape),\"use_sliding_window\":true,\(types)}").windows == [7, nil, 7])
        #expect(try read("{\(shape)}").windows == [nil, nil, nil])
        #expect(try error("{\(shape),\(types)}") != nil)
        let linear = #""layer_types":["linear_attention","full_attention","full_attention"]"#
        #expect(try error("{\(shape),\(linear)}") != nil)
    }

    @Test(arguments: [
        (#""attn_logit_softcapping":50.0"#, "attn_logit_softcapping"),
        (#""residual_multiplier":0.2"#, "residual_multiplier"),
        (#""num_experts":8"#, "num_experts"), (#""quantization_config":{"bits":4}"#, "quantization_config"),
        (#""sliding_window":4096"#, "sliding_window"), (#""is_encoder_decoder":true"#, "is_encoder_decoder"),
    ])
    func `a key that may change the arithmetic is refused by name`(member: String, key: String) throws {
        #expect(try error("{\"model_type\":\"llama\",\(member)}") == .unknownKeys([key], modelType: "llama"))
    }

    @Test(arguments: [
        #""attn_logit_softcapping":null"#, #""use_sliding_window":false"#, #""_name_or_path":"x""#,
        #""pruned_heads":{}"#, #""pretraining_tp":1"#, #""num_experts":1"#, #""auto_map":{"AutoConfig":"x.y"}"#,
        #""task_specific_params":{"a":1}"#,
    ])
    func `a key that changes nothing is passed over`(member: String) throws {
        #expect(try error("{\"model_type\":\"llama\",\(member)}") == nil)
    }

    @Test func `what can't be run is refused with its reason`() throws {
        #expect(try error(#"{"model_type":"mixtral"}"#) == .mixtureOfExperts("mixtral"))
        #expect(try error("[]") == .notAnObject)
        guard case .unsupportedModelType("bert", let supported) = try error(#"{"model_type":"bert"}"#) else {
            Issue.record("bert must be refused by name")
            return
        }
        #expect(supported == supported.sorted() && supported.contains("qwen3"))
        let classifier = #"{"model_type":"llama","architectures":["LlamaForSequenceClassification"]}"#
        #expect(try error(classifier) == .unsupportedArchitecture("LlamaForSequenceClassification"))
        #expect(try error(#"{"model_type":"ernie4_5","architectures":["Ernie4_5_ForCausalLM"]}"#) == nil)
    }

    @Test(arguments: [
        #""hidden_size":0"#, #""hidden_size":-4"#, #""hidden_size":"64""#, #""hidden_size":1.5"#,
        #""hidden_size":1e30"#,
        #""num_attention_heads":3,"num_key_value_heads":2"#, #""hidden_act":"relu""#, #""hidden_act":7"#,
        #""tie_word_embeddings":1"#, #""rope_theta":0.5"#, #""rope_theta":1"#, #""rope_scaling":"yarn""#,
        #""rope_scaling":{"type":"longrope"}"#, #""rope_scaling":{"type":"linear"}"#,
        #""rope_scaling":{"type":"linear","factor":0}"#, #""rope_scaling":{"type":"linear","factor":1e-300}"#,
        #""num_attention_heads":65536,"head_dim":65536,"num_key_value_heads":1"#,
        #""rope_scaling":{"rope_type":"default","mrope_section":[1]}"#,
        #""rope_scaling":{"type":"llama3","factor":8,"low_freq_factor":4,"high_freq_factor":4}"#,
        #""partial_rotary_factor":0.5"#, #""head_dim":7"#, #""rms_norm_eps":-1"#, #""rms_norm_eps":"small""#,
        #""pad_token_id":99999999"#, #""num_hidden_layers":100000"#, #""layer_types":["full_attention"]"#,
    ])
    func `a value outside its range is refused`(member: String) throws {
        guard case .invalidValue = try error("{\"model_type\":\"llama\",\(member)}") else {
            Issue.record("\(member) must be refused")
            return
        }
    }

    @Test func `GPT-2 answers to its own and to common names, and honours its two scales`() throws {
        let own = try read(#"{"model_type":"gpt2","n_embd":32,"n_head":4,"n_layer":2,"n_positions":16}"#)
        let common = try read(
            #"""
            {"model_type":"gpt2","hidden_size":32,"num_attention_heads":4,"num_hidden_layers":2,
            "max_position_embeddings":16}
            """#)
        #expect(own.width == common.width && own.layers == common.layers && own.positions == common.positions)
        let scaled = try read(
            #"""
            {"model_type":"gpt2","n_embd":64,"n_head":4,"n_layer":2,"scale_attn_by_inverse_layer_idx":true}
            """#)
        #expect(scaled.attentionScales == [0.25, 0.125])
        let unscaled = try read(#"{"model_type":"gpt2","n_layer":1,"scale_attn_weights":false}"#)
        #expect(unscaled.attentionScales == [1])
        #expect(try error(#"{"model_type":"gpt2","activation_function":"gelu"}"#) != nil)
        #expect(try error(#"{"model_type":"gpt2","n_embd":30,"n_head":4}"#) != nil)
    }

    @Test func `a negative padding token counts from the end`() throws {
        #expect(try read(#"{"model_type":"llama","vocab_size":10,"pad_token_id":-1}"#).frozenRow == 9)
        #expect(try read(#"{"model_type":"glm","vocab_size":10}"#).frozenRow == nil)
    }

    @Test func `the configuration written back names the type the weights are stored in`() throws {
        let old = try read(#"{"model_type":"llama","torch_dtype":"bfloat16","vocab_size":10}"#)
        #expect(
            old.json(storedAs: "float32").text == #"{"model_type":"llama","torch_dtype":"float32","vocab_size":10}"#)
        let new = try read(#"{"dtype":"bfloat16","model_type":"llama"}"#)
        #expect(new.json(storedAs: "float32").text == #"{"dtype":"float32","model_type":"llama"}"#)
    }

    @Test func `dynamic rotation refuses nothing but longer documents`() throws {
        let configuration = try read(
            #"""
            {"model_type":"llama","max_position_embeddings":64,"rope_scaling":{"type":"dynamic","factor":2.0}}
            """#)
        #expect(configuration.rotary?.scaling == .dynamic && configuration.longestDocument == 64)
    }

    @Test(arguments: ["llama", "qwen2", "gpt2", "glm", "hunyuan_v1_dense"])
    func `no value under any key stops the process`(modelType: String) throws {
        let keys = [
            "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
            "num_key_value_heads", "head_dim", "rms_norm_eps", "max_position_embeddings", "rope_theta",
            "partial_rotary_factor", "tie_word_embeddings", "sliding_window", "use_sliding_window", "max_window_layers",
            "layer_types", "pad_token_id", "eos_token_id", "initializer_range", "hidden_act", "attention_bias",
            "rope_scaling", "rope_parameters", "original_max_position_embeddings", "architectures", "n_embd", "n_head",
        ]
        let types = ["default", "linear", "dynamic", "llama3", "yarn"]
        let settings = types.map { type in
            #"{"rope_type":"\#(type)","factor":1e6,"low_freq_factor":0.001,"high_freq_factor":1e6,"alpha":1e6,"#
                + #""original_max_position_embeddings":1e300,"beta_fast":1e-300,"mscale":1e300,"mscale_all_dim":1e-300}"#
        }
        let values =
            [
                "null", "true", "-1", "0", "1", "2", "7", "1e308", "-1e308", "1e-308", "4294967296", "1048576", "0.5",
                #""x""#, "[]", "{}", "[null]", #"["sliding_attention"]"#,
            ] + settings
        for key in keys {
            for value in values {
                let json = try JSONValue.parse(
                    "{\"model_type\":\"\(modelType)\",\"num_hidden_layers\":2,\"\(key)\":\(value)}")
                guard let configuration = try? DecoderConfiguration.read(json: json) else { continue }
                #expect(configuration.rotary?.inverseFrequencies.isEmpty != true)
                if configuration.layers <= 2 { #expect(TensorTable(configuration).count > 0) }
            }
        }
    }
}
