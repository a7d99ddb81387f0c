package import Terms

/// A decoder's shape and switches: everything that decides its arithmetic and its tensors.
///
/// The common skeleton is `h = E[ids]`; per layer `h += attention(norm(h))`, `h += mlp(norm(h))`; then
/// `logits = head(norm(h))`. What differs between families are enumerated switches, no code of their own.
package struct DecoderConfiguration: Sendable, Equatable {
    /// The row of the family table this was read with.
    package let family: Family
    /// V, rows of the embedding.
    package var vocabulary: Int
    /// D, width of the residual stream.
    package var width: Int
    /// I, width inside the MLP.
    package var inner: Int
    /// Blocks.
    package var layers: Int
    /// Hq, query heads.
    package var heads: Int
    /// Hkv, key and value heads; divides `heads`.
    package var keyValueHeads: Int
    /// hd, width of one head.
    package var headWidth: Int
    /// ε of every norm.
    package var epsilon: Double
    /// Linear layers that add a bias.
    package var biases: BiasSet
    /// nil = learned positions.
    package var rotary: Rotary?
    /// Longest document the model was made for.
    package var positions: Int
    /// Per layer the last positions a query sees, itself included; nil = all before it.
    package var windows: [Int?]
    /// Per layer the factor on query · key.
    package var attentionScales: [Float]
    /// The mixtures of experts; nil when no layer is sparse.
    package var mixture: Mixture?
    /// Whether the head is the embedding.
    package var tiesHead: Bool
    /// Embedding row that look-ups don't train.
    package var frozenRow: Int?
    /// Standard deviation of fresh weights.
    package var initializerRange: Double
    /// First token of a text, if the configuration names one.
    package var beginToken: Int?
    /// Tokens that end a text.
    package var endTokens: [Int]
    /// config.json as read.
    package let original: JSONValue

    /// Whether layer `layer` is a mixture of experts.
    package func isSparse(_ layer: Int) -> Bool { mixture?.isSparse[layer] ?? false }

    /// Inner width of the MLP that every token of layer `layer` goes through: dense or shared; 0 = there is none.
    package func sharedInner(_ layer: Int) -> Int { isSparse(layer) ? mixture?.sharedInner ?? 0 : inner }

    /// Width of all query heads together.
    package var queryWidth: Int { heads * headWidth }
    /// Width of all key (or value) heads together.
    package var keyValueWidth: Int { keyValueHeads * headWidth }

    /// The longest document the arithmetic allows, nil = any length (beyond `positions` quality may suffer).
    package var longestDocument: Int? {
        guard let rotary else { return positions }
        return rotary.scaling == .dynamic ? positions : nil
    }

    /// config.json to write beside exported weights: as read, the stored type set to `dtype` (for instance "float32").
    ///
    /// Readers cast to the type named there, so that a stale one would round the exported weights.
    package func json(storedAs dtype: String) -> JSONValue {
        guard var object = original.object else { return original }
        let key = object["torch_dtype"] == nil && object["dtype"] != nil ? "dtype" : "torch_dtype"
        for known in ["dtype", "torch_dtype"] where object[known] != nil { object[known] = .string(dtype) }
        object[key] = .string(dtype)
        return .object(object)
    }
}
