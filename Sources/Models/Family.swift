internal import Kernels
package import Terms

/// One row of the family table: what sets a kind of model apart from the common decoder.
///
/// A family is data. A new one is a row in `Family.table` and no other code, as long as the switches suffice.
package struct Family: Sendable, Equatable {
    /// The value of `model_type` in config.json.
    package let modelType: String
    /// Of blocks and the last row.
    package var normalization = Normalization.rootMeanSquare
    /// How tokens learn their place.
    package var position = PositionEncoding.rotary(.half)
    /// Of each head, with `names.queryNorm` and `names.keyNorm`.
    package var queryKeyNormalization = QueryKeyNormalization.none
    /// Which linear layers add biases, and when.
    package var biases: [BiasRule] = []
    /// How linear layers lie in the files.
    package var weights = WeightLayout.separate
    /// Where blocks normalise.
    package var block = BlockForm.preNorm
    /// What the MLP does between its layers.
    package var activation = Activation.gatedSilu
    /// How experts are mixed; nil = no layer is sparse.
    package var mixture: MixtureRule?
    /// Which layers see only a window.
    package var window = WindowRule.none
    /// Part of each head that is rotated when the configuration does not say; nil = the whole head, always.
    package var rotaryFraction: Double?
    /// `dynamic` rotary scaling with a fixed `alpha` stretches the base once and for all.
    package var hasStaticAlpha = false
    /// `pad_token_id` names an embedding row that its lookups don't train.
    package var freezesPadding = true
    /// Values of absent keys.
    package var defaults = Defaults()
    /// Of tensors.
    package var names = TensorNames()
    /// Other spellings of common keys.
    package var aliases: [KeyAlias] = []
    /// Keys of this family's files that don't change the arithmetic.
    package var neutralKeys: [String] = []
    /// Keys that would change it unless they say one of these (or, list by list, nothing else).
    package var fixedKeys: [FixedKey] = []
    /// Tensors whose names hold one of these are parts that no causal language model of the family uses.
    package var unusedTensors: [String] = []

    /// A key whose other values are not supported.
    package struct FixedKey: Sendable, Equatable {
        /// The key in the files.
        package let key: String
        /// What it may be.
        package let values: [JSONValue]
    }

    /// Another spelling of a common configuration key.
    package struct KeyAlias: Sendable, Equatable {
        /// The key used in the code.
        package let common: String
        /// The key in the family's files.
        package let own: String
    }

    /// Values that hold when config.json does not give them.
    package struct Defaults: Sendable, Equatable {
        /// `vocab_size`.
        package var vocabulary = 32_000
        /// `hidden_size`.
        package var width = 4096
        /// nil = four times the width.
        package var inner: Int? = 11_008
        /// `num_hidden_layers`.
        package var layers = 32
        /// `num_attention_heads`.
        package var heads = 32
        /// nil = as many as heads.
        package var keyValueHeads: Int?
        /// nil = width / heads.
        package var headWidth: Int?
        /// `rms_norm_eps`.
        package var epsilon = 1e-6
        /// `max_position_embeddings`.
        package var positions = 2048
        /// `tie_word_embeddings`.
        package var tiedHead = false
        /// `rope_theta`.
        package var theta = 10_000.0
        /// `pad_token_id`.
        package var padding: Int?
    }

    /// The row whose `model_type` is `name`.
    package static func named(_ name: String) -> Family? { table.first { $0.modelType == name } }
}

/// How a family names its tensors, without the trailing `.weight` or `.bias`.
package struct TensorNames: Sendable, Equatable {
    /// Prefix of everything but the head; some files leave it out.
    package var base = "model."
    /// Token embedding.
    package var embedding = "embed_tokens"
    /// The trained positions, if the family has them.
    package var positions: String?
    /// Before the number of a block; a dot and the names below follow it.
    package var layers = "layers."
    /// Before attention.
    package var attentionNorm = "input_layernorm"
    /// After attention, in sandwich blocks.
    package var attentionOutputNorm: String?
    /// Before the MLP.
    package var mlpNorm = "post_attention_layernorm"
    /// After the MLP, in sandwich blocks.
    package var mlpOutputNorm: String?
    /// Query projection.
    package var query = "self_attn.q_proj"
    /// Key projection.
    package var key = "self_attn.k_proj"
    /// Value projection.
    package var value = "self_attn.v_proj"
    /// In place of query, key and value; only without rotation and head norms.
    package var fusedAttention: String?
    /// Projection of attention's result.
    package var output = "self_attn.o_proj"
    /// Norm of query heads.
    package var queryNorm: String?
    /// Norm of key heads.
    package var keyNorm: String?
    /// Gate projection.
    package var gate = "mlp.gate_proj"
    /// Up projection.
    package var up = "mlp.up_proj"
    /// In place of gate and up.
    package var fusedGateUp: String?
    /// Down projection.
    package var down = "mlp.down_proj"
    /// Of sparse layers: chooses the experts.
    package var router = "mlp.gate"
    /// Before the number of an expert, whose layers are named as those of a dense MLP after `mlp.`.
    package var experts = "mlp.experts"
    /// In place of `mlp` in the names of a dense MLP's layers: the expert that sees every token.
    package var sharedExpert = "mlp.shared_experts"
    /// Added to the router's probabilities in choosing; no `.weight` follows.
    package var selectionBias: String?
    /// Before the head.
    package var finalNorm = "norm"
    /// Head, when it is not the embedding.
    package var head = "lm_head"
}
