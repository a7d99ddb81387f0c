internal import Kernels
internal import Terms

extension Family {
    /// Baidu ERNIE 4.5 with experts: a frozen bias takes part in choosing them, shared ones see every token.
    static let ernieMixture = Family(
        modelType: "ernie4_5_moe", position: .rotary(.interleaved),
        biases: [.key("use_bias", [.all, .head], standard: false)],
        mixture: MixtureRule(
            choice: .likeliestWithBias, normalization: .atLeast("moe_norm_min", standard: 1e-12),
            shared: .counted("moe_num_shared_experts", standard: 2), layers: .interval,
            widthKey: "moe_intermediate_size", standard: (experts: 64, perToken: 6, inner: 1536)),
        defaults: Defaults(
            vocabulary: 103_424, width: 2560, inner: 12_288, layers: 28, heads: 20, keyValueHeads: 4, epsilon: 1e-5,
            positions: 131_072, tiedHead: true, theta: 500_000, padding: 0
        ),
        names: TensorNames(selectionBias: "mlp.moe_statics.e_score_correction_bias"),
        aliases: [
            KeyAlias(common: "num_local_experts", own: "moe_num_experts"),
            KeyAlias(common: "num_local_experts", own: "num_experts"),
            KeyAlias(common: "num_experts_per_tok", own: "moe_k"),
        ],
        neutralKeys: [
            "compression_ratio", "fuse_rms_norm", "moe_capacity", "moe_use_aux_free", "num_nextn_predict_layers",
            "use_rmsnorm", "weight_share_add_bias",
        ],
        fixedKeys: [FixedKey(key: "moe_gate", values: [.string("topk"), .string("top2_fused")])],
        // Heads that predict further tokens.
        unusedTensors: ["mtp_"]
    )

    /// Tencent Hunyuan A13B: every layer is sparse, with one shared expert.
    static let hunyuanMixture = Family(
        modelType: "hunyuan_v1_moe", queryKeyNormalization: .afterRotary,
        biases: [.key("attention_bias", .attention, standard: false)],
        mixture: MixtureRule(
            normalization: .always, shared: .one, layers: .every, balances: false,
            standard: (experts: 1, perToken: 1, inner: 11_008)),
        hasStaticAlpha: true, defaults: Defaults(vocabulary: 290_943, epsilon: 1e-5, padding: 0),
        names: TensorNames(
            queryNorm: "self_attn.query_layernorm", keyNorm: "self_attn.key_layernorm", router: "mlp.gate.wg",
            sharedExpert: "mlp.shared_mlp"),
        aliases: [
            KeyAlias(common: "num_local_experts", own: "num_experts"),
            KeyAlias(common: "num_experts_per_tok", own: "moe_topk"),
        ],
        neutralKeys: hunyuanKeys + ["capacity_factor", "moe_drop_tokens", "moe_random_routing_dropped_token"],
        fixedKeys: [
            FixedKey(key: "moe_layer_num_skipped", values: [.int(0)]),
            FixedKey(key: "norm_topk_prob", values: [.bool(true)]),
            FixedKey(key: "num_shared_expert", values: [.int(1)]),
            FixedKey(key: "use_mixed_mlp_moe", values: [.bool(true)]),
        ]
    )

    /// Alibaba Qwen3 with experts.
    static let qwen3Mixture = Family(
        modelType: "qwen3_moe", queryKeyNormalization: .beforeRotary,
        biases: [.key("attention_bias", .attention, standard: false)],
        mixture: MixtureRule(
            normalization: .ifSet("norm_topk_prob", standard: false), layers: .stepped,
            widthKey: "moe_intermediate_size", standard: (experts: 128, perToken: 8, inner: 768)),
        window: .everyLayerIfUsed(standard: 4096),
        defaults: Defaults(
            vocabulary: 151_936, width: 2048, inner: 6144, layers: 24, heads: 32, keyValueHeads: 4, positions: 32_768
        ),
        names: TensorNames(queryNorm: "self_attn.q_norm", keyNorm: "self_attn.k_norm"),
        aliases: [KeyAlias(common: "num_local_experts", own: "num_experts")]
    )

    /// Keys of Hunyuan's files that only describe other models of the series.
    static let hunyuanKeys = [
        "anyres_pooling_size", "attention_head_dim", "class_num", "cla_share_factor", "dense_list",
        "enable_lm_head_fp32", "eod_token_id", "im_end_id", "im_newline_id", "im_start_id", "image_token_id",
        "mask_init_id", "max_image_size", "max_seq_len", "norm_type", "num_media_embeds", "org_vocab_size",
        "pad_id", "pool_type", "text_end_id", "text_start_id", "use_qk_norm", "use_rotary_pos_emb",
        "video_end_id", "video_start_id", "vit_input_resolution", "vit_mapping_type", "vit_norm_type",
        "vit_patch", "vit_remove_prenorm", "vit_token", "vit_type", "vit_used_rms_norm",
    ]
}
