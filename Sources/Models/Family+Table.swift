internal import Kernels

extension Family {
    /// Every supported family, in alphabetical order of `model_type`.
    ///
    /// Defaults are those of the reference implementation's configuration classes (transformers 5.23).
    package static let table: [Family] = [
        openPangu, ernie, ernieMixture, glm, glm4, gpt2, hunyuan, hunyuanMixture, llama, mistral, qwen2, qwen3,
        qwen3Mixture,
    ]

    /// Baidu ERNIE 4.5, dense: Llama with interleaved rotation.
    private static let ernie = Family(
        modelType: "ernie4_5", position: .rotary(.interleaved),
        biases: [.key("use_bias", .all, standard: false)],
        defaults: Defaults(
            vocabulary: 103_424, width: 1024, inner: 3072, layers: 18, heads: 16, keyValueHeads: 2, headWidth: 128,
            epsilon: 1e-5, positions: 131_072, tiedHead: true, theta: 500_000, padding: 0
        ),
        neutralKeys: ["compression_ratio", "fuse_rms_norm", "use_rmsnorm", "weight_share_add_bias"]
    )

    /// Zhipu GLM-4-9B: half of each head is rotated, gate and up are one matrix.
    private static let glm = Family(
        modelType: "glm", position: .rotary(.interleaved),
        biases: [.key("attention_bias", .queryKeyValue, standard: true)],
        weights: .fusedGateUp, rotaryFraction: 0.5, defaults: glmDefaults,
        names: TensorNames(fusedGateUp: "mlp.gate_up_proj")
    )

    /// Zhipu GLM-4-0414: GLM with a second norm on each branch.
    private static let glm4 = Family(
        modelType: "glm4", position: .rotary(.interleaved),
        biases: [.key("attention_bias", .queryKeyValue, standard: true)],
        weights: .fusedGateUp, block: .sandwich, rotaryFraction: 0.5, defaults: glmDefaults,
        names: TensorNames(
            attentionOutputNorm: "post_self_attn_layernorm", mlpOutputNorm: "post_mlp_layernorm",
            fusedGateUp: "mlp.gate_up_proj"
        )
    )

    private static let glmDefaults = Defaults(
        vocabulary: 151_552, width: 4096, inner: 13_696, layers: 40, heads: 32, keyValueHeads: 2, headWidth: 128,
        epsilon: 1.5625e-7, positions: 131_072, padding: 151_329
    )

    /// OpenAI GPT-2.
    private static let gpt2 = Family(
        modelType: "gpt2", normalization: .layer, position: .learned, biases: [.always(.all)],
        weights: .convolutional, activation: .gelu, freezesPadding: false,
        defaults: Defaults(
            vocabulary: 50_257, width: 768, inner: nil, layers: 12, heads: 12, epsilon: 1e-5, positions: 1024,
            tiedHead: true
        ),
        names: TensorNames(
            base: "transformer.", embedding: "wte", positions: "wpe", layers: "h.", attentionNorm: "ln_1",
            mlpNorm: "ln_2", fusedAttention: "attn.c_attn", output: "attn.c_proj", up: "mlp.c_fc",
            down: "mlp.c_proj", finalNorm: "ln_f"
        ),
        aliases: [
            KeyAlias(common: "hidden_size", own: "n_embd"), KeyAlias(common: "num_hidden_layers", own: "n_layer"),
            KeyAlias(common: "num_attention_heads", own: "n_head"),
            KeyAlias(common: "max_position_embeddings", own: "n_positions"),
            KeyAlias(common: "intermediate_size", own: "n_inner"),
            KeyAlias(common: "rms_norm_eps", own: "layer_norm_epsilon"),
            KeyAlias(common: "hidden_act", own: "activation_function"),
        ],
        neutralKeys: [
            "attn_pdrop", "embd_pdrop", "resid_pdrop", "n_ctx", "reorder_and_upcast_attn", "summary_activation",
            "summary_first_dropout", "summary_proj_to_labels", "summary_type", "summary_use_proj",
        ]
    )

    /// Tencent Hunyuan dense: queries and keys are normalised after the rotation.
    private static let hunyuan = Family(
        modelType: "hunyuan_v1_dense", queryKeyNormalization: .afterRotary,
        biases: [.key("attention_bias", .attention, standard: false)], hasStaticAlpha: true,
        defaults: Defaults(vocabulary: 290_943, epsilon: 1e-5, padding: 0),
        names: TensorNames(queryNorm: "self_attn.query_layernorm", keyNorm: "self_attn.key_layernorm"),
        neutralKeys: hunyuanKeys
    )

    /// Meta Llama, and what is laid out like it: SmolLM2, Aquila, openPangu with `attention_bias`.
    private static let llama = Family(
        modelType: "llama",
        biases: [
            .key("attention_bias", .attention, standard: false), .key("mlp_bias", .mlp, standard: false),
        ]
    )

    /// Huawei openPangu-Embedded: Llama with biases on all four projections of attention, under a type of its own.
    private static let openPangu = Family(
        modelType: "PanguEmbedded", biases: [.key("attention_bias", .attention, standard: true)],
        defaults: Defaults(
            vocabulary: 153_376, inner: 12_800, layers: 34, keyValueHeads: 8, epsilon: 1e-5, positions: 32_768,
            theta: 16_000_000, padding: 0
        ),
        aliases: [KeyAlias(common: "attention_bias", own: "bias")]
    )

    /// Mistral 7B: Llama with a window on every layer.
    private static let mistral = Family(
        modelType: "mistral", window: .everyLayer(standard: 4096),
        defaults: Defaults(inner: 14_336, keyValueHeads: 8, positions: 131_072)
    )

    /// Alibaba Qwen2 and Qwen2.5: biases on query, key and value.
    private static let qwen2 = Family(
        modelType: "qwen2", biases: [.always(.queryKeyValue)],
        window: .upperLayers(standard: 4096, firstLayer: 28),
        defaults: Defaults(vocabulary: 151_936, inner: 22_016, keyValueHeads: 32, positions: 32_768)
    )

    /// Alibaba Qwen3, dense: queries and keys are normalised before the rotation.
    private static let qwen3 = Family(
        modelType: "qwen3", queryKeyNormalization: .beforeRotary,
        biases: [.key("attention_bias", .attention, standard: false)],
        window: .upperLayers(standard: 4096, firstLayer: 28),
        defaults: Defaults(
            vocabulary: 151_936, inner: 22_016, keyValueHeads: 32, headWidth: 128, positions: 32_768
        ),
        names: TensorNames(queryNorm: "self_attn.q_norm", keyNorm: "self_attn.k_norm")
    )

    /// Other mixtures of experts that are known by name, so that the refusal can say what they are.
    package static let mixtures = [
        "deepseek_v2", "deepseek_v3", "glm4_moe", "glm4_moe_lite", "gpt_oss", "mixtral", "qwen2_moe", "qwen3_5_moe",
        "qwen3_next",
    ]
}
