package import Kernels

/// How a hidden row is normalised.
package enum Normalization: Sendable, Equatable {
    /// `x / sqrt(mean x² + ε) · w`.
    case rootMeanSquare
    /// `(x − mean) / sqrt(var + ε) · w + b`.
    case layer
}

/// How a token learns where it stands in its document.
package enum PositionEncoding: Sendable, Equatable {
    /// Queries and keys are rotated by position.
    case rotary(RotaryLayout)
    /// A trained row per position is added to the embedding.
    case learned
}

/// Whether each head of queries and keys is normalised, and on which side of the rotation.
package enum QueryKeyNormalization: Sendable, Equatable {
    case none, beforeRotary, afterRotary
}

/// How linear layers are laid out in the files.
package enum WeightLayout: Sendable, Equatable {
    /// One `[out, in]` matrix a projection.
    case separate
    /// As `separate`, gate and up in one `[2·inner, width]` matrix, gate first.
    case fusedGateUp
    /// Every matrix is `[in, out]`, and query, key and value are one `[width, 3·width]` matrix.
    case convolutional
}

/// Where a block normalises.
package enum BlockForm: Sendable, Equatable {
    /// `x += f(norm(x))`.
    case preNorm
    /// `x += norm'(f(norm(x)))`.
    case sandwich
}

/// The non-linear part of the MLP.
package enum Activation: Sendable, Equatable {
    /// `down(silu(gate(x)) · up(x))`.
    case gatedSilu
    /// `down(gelu(up(x)))`, the tanh form of GELU.
    case gelu
}

/// Which linear layers add a bias.
package struct BiasSet: OptionSet, Sendable, Equatable {
    /// One bit a group of layers.
    package let rawValue: UInt8
    /// A set from its bits.
    package init(rawValue: UInt8) { self.rawValue = rawValue }
    /// The query, key and value projections.
    package static let queryKeyValue = BiasSet(rawValue: 1)
    /// The projection of attention's result.
    package static let output = BiasSet(rawValue: 2)
    /// The projections of the MLP.
    package static let mlp = BiasSet(rawValue: 4)
    /// All projections of attention.
    package static let attention: BiasSet = [.queryKeyValue, .output]
    /// All projections of a block.
    package static let all: BiasSet = [.attention, .mlp]
    /// The language head.
    package static let head = BiasSet(rawValue: 8)
}

/// When a set of biases is there.
package enum BiasRule: Sendable, Equatable {
    case always(BiasSet)
    /// Present when the boolean under `key` is true; `standard` when the key is absent.
    case key(String, BiasSet, standard: Bool)
}

/// Which layers attend only to a window.
package enum WindowRule: Sendable, Equatable {
    /// None; a window in the configuration is refused.
    case none
    /// Every layer, `sliding_window` positions wide unless null.
    case everyLayer(standard: Int)
    /// As `everyLayer`, but only with `use_sliding_window`.
    case everyLayerIfUsed(standard: Int)
    /// With `use_sliding_window`: the layers named by `layer_types`, or those from `max_window_layers` on.
    case upperLayers(standard: Int, firstLayer: Int)
}
