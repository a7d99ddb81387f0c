/// How a family mixes experts (switches M1 to M4): in sparse layers a router sends each token to a few of many MLPs.
package struct MixtureRule: Sendable, Equatable {
    /// M1: how experts are chosen from the router's probabilities.
    package var choice = ExpertChoice.likeliest
    /// M2: what the chosen probabilities are divided by.
    package var normalization: ExpertNormalization
    /// M3: an MLP beside the experts that sees every token.
    package var shared = SharedExpert.none
    /// M4: which layers are sparse; the others have an ordinary MLP.
    package var layers: SparseLayers
    /// The key of an expert's inner width; nil = `intermediate_size`.
    package var widthKey: String?
    /// Whether training may add the load-balancing loss; its keys are neutral otherwise.
    package var balances = true
    /// Values of absent keys: experts of a layer, experts of a token, an expert's inner width.
    package var standard: (experts: Int, perToken: Int, inner: Int)

    /// Equal when every switch is.
    package static func == (left: Self, right: Self) -> Bool {
        left.choice == right.choice && left.normalization == right.normalization && left.shared == right.shared
            && left.layers == right.layers && left.widthKey == right.widthKey && left.balances == right.balances
            && left.standard == right.standard
    }
}

/// M1: which experts a token goes to; equal scores are settled by the lower index.
package enum ExpertChoice: Sendable, Equatable {
    /// Those of the highest probability.
    case likeliest
    /// Those of the highest probability plus the frozen bias `names.selectionBias`, which only takes part in choosing.
    case likeliestWithBias
}

/// M2: how the probabilities of the chosen experts become weights.
package enum ExpertNormalization: Sendable, Equatable {
    /// They are divided by their sum.
    case always
    /// They are divided by their sum if the boolean under the key is true.
    case ifSet(String, standard: Bool)
    /// They are divided by their sum, or by the number under the key where the sum is less.
    case atLeast(String, standard: Double)
}

/// M3: an expert that every token goes to with weight 1, under `names.sharedExpert`.
package enum SharedExpert: Sendable, Equatable {
    case none
    /// As wide as one expert.
    case one
    /// As wide as the number of experts under the key together.
    case counted(String, standard: Int)
}

/// M4: which layers are sparse.
package enum SparseLayers: Sendable, Equatable {
    case every
    /// Each `decoder_sparse_step`-th, but none of `mlp_only_layers`.
    case stepped
    /// Each `moe_layer_interval`-th from `moe_layer_start_index` to `moe_layer_end_index`, −1 = the last.
    case interval
}

/// The mixtures of experts of one model.
package struct Mixture: Sendable, Equatable {
    /// E, experts of a sparse layer.
    package var experts: Int
    /// k of each layer: experts that a token goes to.
    package var perToken: [Int]
    /// Inner width of an expert.
    package var inner: Int
    /// Inner width of the shared expert, 0 without one.
    package var sharedInner: Int
    /// Per layer whether it is sparse.
    package var isSparse: [Bool]
    /// The least divisor of the chosen probabilities; nil = they are not divided.
    package var leastSum: Float?
    /// Factor of the load-balancing loss in training; 0 = none.
    package var balance: Double
    /// The largest k.
    package var mostPerToken: Int { perToken.max() ?? 1 }
}
