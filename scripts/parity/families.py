"""The tiny architectures of the parity fixtures: one entry a folder under Tests/ParityTests/Fixtures."""

from transformers import (
    Ernie4_5_MoeConfig, Ernie4_5Config, Glm4Config, GlmConfig, GPT2Config, HunYuanDenseV1Config, HunYuanMoEV1Config,
    LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config, Qwen3MoeConfig,
)

VOCABULARY = 67
SEPARATE = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
FUSED_GLU = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_up_proj", "down_proj"]


def decoder(config_class, heads=4, key_value_heads=2, head_dim=8, rope=None, tied=False, padding=None, **rest):
    """A two-layer configuration; `rope` replaces the plain rotary embedding of base 10 000.

    `padding` names a token whose embedding row look-ups do not train.
    """
    return config_class(
        vocab_size=VOCABULARY, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=heads,
        num_key_value_heads=key_value_heads, head_dim=head_dim, max_position_embeddings=256,
        rope_parameters=rope or {"rope_type": "default", "rope_theta": 10000.0}, tie_word_embeddings=tied,
        bos_token_id=1, eos_token_id=2, pad_token_id=padding, **rest)


def llama3_rope():
    return {"rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 32}


# name -> (configuration, names of the linear layers an adapter targets, or what peft takes for all of them)
FAMILIES = {
    "qwen3-tied": lambda: (decoder(Qwen3Config, key_value_heads=4, tied=True), SEPARATE),
    "qwen3-untied": lambda: (decoder(Qwen3Config, key_value_heads=4), SEPARATE),
    "qwen3-gqa": lambda: (
        decoder(Qwen3Config, key_value_heads=1, rope={"rope_type": "default", "rope_theta": 1000000.0}), SEPARATE),
    "llama": lambda: (decoder(LlamaConfig), SEPARATE),
    "llama-llama3": lambda: (decoder(LlamaConfig, rope=llama3_rope(), tied=True), SEPARATE),
    "llama-linear": lambda: (
        decoder(LlamaConfig, rope={"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}), SEPARATE),
    "llama-bias": lambda: (decoder(LlamaConfig, head_dim=4, attention_bias=True, mlp_bias=True), SEPARATE),
    "qwen2": lambda: (decoder(Qwen2Config, head_dim=4, tied=True), SEPARATE),
    "mistral": lambda: (decoder(MistralConfig, sliding_window=5), SEPARATE),
    "ernie4_5": lambda: (
        decoder(Ernie4_5Config, tied=True, padding=3, rope={"rope_type": "default", "rope_theta": 500000.0}), SEPARATE),
    "ernie4_5-bias": lambda: (
        decoder(Ernie4_5Config, use_bias=True, rope={"rope_type": "default", "rope_theta": 500000.0}), SEPARATE),
    "hunyuan_v1_dense": lambda: (decoder(HunYuanDenseV1Config, tied=True), SEPARATE),
    "hunyuan_v1_dense-alpha": lambda: (
        decoder(HunYuanDenseV1Config, padding=3,
                rope={"rope_type": "dynamic", "rope_theta": 10000.0, "alpha": 1000.0, "factor": 1.0}), SEPARATE),
    "glm": lambda: (
        decoder(GlmConfig, attention_bias=True, rms_norm_eps=1.5625e-07,
                rope={"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5}), FUSED_GLU),
    "glm4": lambda: (
        decoder(Glm4Config, attention_bias=True, rms_norm_eps=1e-05,
                rope={"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5}), FUSED_GLU),
    "qwen3_moe": lambda: (
        decoder(Qwen3MoeConfig, num_experts=5, num_experts_per_tok=2, moe_intermediate_size=12, norm_topk_prob=True,
                output_router_logits=True, router_aux_loss_coef=0.02), "all-linear"),
    "qwen3_moe-dense": lambda: (
        decoder(Qwen3MoeConfig, num_experts=4, num_experts_per_tok=3, moe_intermediate_size=10, mlp_only_layers=[0],
                tied=True), "all-linear"),
    "ernie4_5_moe": lambda: (
        decoder(Ernie4_5_MoeConfig, moe_num_experts=5, moe_k=2, moe_intermediate_size=10, moe_num_shared_experts=2,
                moe_layer_start_index=1, tied=True, output_router_logits=True, router_aux_loss_coef=0.02,
                rope={"rope_type": "default", "rope_theta": 500000.0}), "all-linear"),
    "ernie4_5_moe-bias": lambda: (
        decoder(Ernie4_5_MoeConfig, moe_num_experts=4, moe_k=1, moe_intermediate_size=12, moe_num_shared_experts=0,
                moe_layer_start_index=0, moe_layer_end_index=0, use_bias=True,
                rope={"rope_type": "default", "rope_theta": 500000.0}), ["q_proj", "down_proj"]),
    "hunyuan_v1_moe": lambda: (
        decoder(HunYuanMoEV1Config, num_experts=4, moe_topk=2,
                rope={"rope_type": "dynamic", "rope_theta": 10000.0, "alpha": 1000.0, "factor": 1.0}), "all-linear"),
    "gpt2": lambda: (
        GPT2Config(vocab_size=VOCABULARY, n_positions=96, n_embd=16, n_layer=2, n_head=4, n_inner=40,
                   attn_pdrop=0.0, resid_pdrop=0.0, embd_pdrop=0.0, bos_token_id=1, eos_token_id=2),
        ["c_attn", "c_proj", "c_fc"]),
}

# Folders that also get config.old.json: the dialect nearly every checkpoint on disk is written in.
OLD_DIALECT = ["qwen3-gqa", "llama-llama3", "glm4", "hunyuan_v1_dense-alpha", "qwen3_moe", "hunyuan_v1_moe"]


def old_dialect(config):
    """`config` (a dictionary) with rope_theta, rope_scaling and torch_dtype in place of what transformers 5 writes."""
    old = {key: value for key, value in config.items() if key not in ("rope_parameters", "dtype", "layer_types")}
    rope = dict(config["rope_parameters"])
    old["rope_theta"] = rope.pop("rope_theta")
    if "partial_rotary_factor" in rope:
        old["partial_rotary_factor"] = rope.pop("partial_rotary_factor")
    old["rope_scaling"] = rope if rope["rope_type"] != "default" else None
    old["torch_dtype"] = "float32"
    if old["model_type"] == "qwen3_moe":
        old["num_experts"] = old.pop("num_local_experts")
    if old["model_type"] == "hunyuan_v1_moe":
        old["moe_topk"] = [old["moe_topk"]] * old["num_hidden_layers"]
    return old
