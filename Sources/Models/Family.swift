internal import Kernels

/// One row of the family table: what sets a kind of model apart from the common decoder.
///
/// A family is data. A new one is a row in `Family.table` and no other code, as long as the switches suffice.
package struct Family: Sendable, Equatable {
    /// The value of `model_type` in config.json.
    package let modelType: String
    package var normalization = Normalization.rootMeanSquare
    package var position = PositionEncoding.rotary(.half)
    package var queryKeyNormalization = QueryKeyNormalization.none
    package var biases: [BiasRule] = []
    package var weights = WeightLayout.separate
    package var block = BlockForm.preNorm
    package var activation = Activation.gatedSilu
    package var window = WindowRule.none
    /// Part of each head that is rotated when the configuration does not say; nil = the whole head, always.
    package var rotaryFraction: Double?
    /// `dynamic` rotary scaling with a fixed `alpha` stretches the base once and for all.
    package var hasStaticAlpha = false
    /// `pad_token_id` names an embedding row that its lookups don't train.
    package var freezesPadding = true
    package var defaults = Defaults()
    package var names = TensorNames()
    /// Other spellings of common keys.
    package var aliases: [KeyAlias] = []
    /// Keys of this family's files that don't change the arithmetic.
    package var neutralKeys: [String] = []

    /// Another spelling of a common configuration key.
    package struct KeyAlias: Sendable, Equatable {
        /// The key used in the code.
        package let common: String
        /// The key in the family's files.
        package let own: String
    }

    /// Values that hold when config.json does not give them.
    package struct Defaults: Sendable, Equatable {
        package var vocabulary = 32_000
        package var width = 4096
        /// nil = four times the width.
        package var inner: Int? = 11_008
        package var layers = 32
        package var heads = 32
        /// nil = as many as heads.
        package var keyValueHeads: Int?
        /// nil = width / heads.
        package var headWidth: Int?
        package var epsilon = 1e-6
        package var positions = 2048
        package var tiedHead = false
        package var theta = 10_000.0
        package var padding: Int?
    }

    /// The row whose `model_type` is `name`.
    package static func named(_ name: String) -> Family? { table.first { $0.modelType == name } }
}

/// How a family names its tensors, without the trailing `.weight` or `.bias`.
package struct TensorNames: Sendable, Equatable {
    /// Prefix of everything but the head; some files leave it out.
    package var base = "model."
    package var embedding = "embed_tokens"
    /// The trained positions, if the family has them.
    package var positions: String?
    package var layers = "layers."
    package var attentionNorm = "input_layernorm"
    package var attentionOutputNorm: String?
    package var mlpNorm = "post_attention_layernorm"
    package var mlpOutputNorm: String?
    package var query = "self_attn.q_proj"
    package var key = "self_attn.k_proj"
    package var value = "self_attn.v_proj"
    package var fusedAttention: String?
    package var output = "self_attn.o_proj"
    package var queryNorm: String?
    package var keyNorm: String?
    package var gate = "mlp.gate_proj"
    package var up = "mlp.up_proj"
    package var fusedGateUp: String?
    package var down = "mlp.down_proj"
    package var finalNorm = "norm"
    package var head = "lm_head"
}
