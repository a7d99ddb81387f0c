internal import Terms

/// A low-rank adapter (Hu et al. 2021, arXiv:2106.09685): `y = W·x + s·B·(A·x)` on chosen linear layers.
package struct AdapterSpecification: Sendable, Equatable {
    /// Which linear layers are adapted.
    package enum Targets: Sendable, Equatable {
        /// Every linear layer of every block; never the embedding or the head.
        case all
        /// Layers whose path is one of these or ends in a dot and one of these.
        case names([String])
    }

    /// r, ≥ 1.
    package var rank: Int
    /// α; the scale is α/r, or α/√r when stabilised (Kalajdzievski 2023, arXiv:2312.03732).
    package var alpha: Double
    /// Whether the scale is α/√r instead of α/r.
    package var isRankStabilised: Bool
    /// Which layers.
    package var targets: Targets
    /// Other ranks for layers whose path is or ends in the name; the first match counts.
    package var rankPattern: [(name: String, rank: Int)]
    /// Other α, likewise.
    package var alphaPattern: [(name: String, alpha: Double)]

    /// One rank and α for all layers unless patterns say otherwise.
    package init(
        rank: Int, alpha: Double, isRankStabilised: Bool = false, targets: Targets = .all,
        rankPattern: [(name: String, rank: Int)] = [], alphaPattern: [(name: String, alpha: Double)] = []
    ) {
        (self.rank, self.alpha, self.isRankStabilised) = (rank, alpha, isRankStabilised)
        (self.targets, self.rankPattern, self.alphaPattern) = (targets, rankPattern, alphaPattern)
    }

    /// Equal when all settings are, patterns in their order.
    package static func == (left: Self, right: Self) -> Bool {
        left.rank == right.rank && left.alpha == right.alpha && left.isRankStabilised == right.isRankStabilised
            && left.targets == right.targets && left.rankPattern.elementsEqual(right.rankPattern, by: ==)
            && left.alphaPattern.elementsEqual(right.alphaPattern, by: ==)
    }

    /// The adapted layers of `configuration`, layer by layer; refuses names that match none of them.
    package func modules(of configuration: DecoderConfiguration) throws(ModelError) -> [AdaptedModule] {
        let all = configuration.linearModules
        if case .names(let names) = targets {
            guard !names.isEmpty else { throw .invalidAdapter("no target layers are named") }
            for name in names where !all.contains(where: { Self.matches($0.path, name) }) {
                throw .unknownTarget(name, known: Self.lastNames(all))
            }
        }
        var adapted: [AdaptedModule] = []
        for module in all where isTarget(module.path) {
            let rank = rankPattern.first { Self.matches(module.path, $0.name) }?.rank ?? rank
            let alpha = alphaPattern.first { Self.matches(module.path, $0.name) }?.alpha ?? alpha
            guard rank >= 1, rank <= 65_536 else {
                throw .invalidAdapter("rank \(rank) of \(module.path) is outside 1…65536")
            }
            guard alpha.isFinite else { throw .invalidAdapter("alpha of \(module.path) is not finite") }
            let divisor = isRankStabilised ? Double(rank).squareRoot() : Double(rank)
            adapted.append(AdaptedModule(module, rank: rank, scale: Float(alpha / divisor)))
        }
        return adapted
    }

    private func isTarget(_ path: String) -> Bool {
        switch targets {
        case .all: true
        case .names(let names): names.contains { Self.matches(path, $0) }
        }
    }

    private static func matches(_ path: String, _ name: String) -> Bool { path == name || path.hasSuffix(".\(name)") }

    /// The last path components, each once, in the order of the blocks.
    private static func lastNames(_ modules: [LinearModule]) -> [String] {
        var names: [String] = []
        for module in modules {
            let name = String(module.path.split(separator: ".").last ?? "")
            if !names.contains(name) { names.append(name) }
        }
        return names
    }
}

/// One linear layer with an adapter on it.
package struct AdaptedModule: Sendable, Equatable {
    /// Module path, for instance `model.layers.0.self_attn.q_proj`.
    package let path: String
    /// The block it belongs to, from 0.
    package let layer: Int
    /// Its place in the block.
    package let slot: LinearSlot
    /// Width of its input.
    package let inputs: Int
    /// Width of its output.
    package let outputs: Int
    /// r.
    package let rank: Int
    /// s, the factor on B·A.
    package let scale: Float

    init(_ module: LinearModule, rank: Int, scale: Float) {
        (path, layer, slot) = (module.path, module.layer, module.slot)
        (inputs, outputs) = (module.inputs, module.outputs)
        (self.rank, self.scale) = (rank, scale)
    }

    /// PEFT name of A, `[r, in]`.
    package var nameA: String { "base_model.model.\(path).lora_A.weight" }
    /// PEFT name of B, `[out, r]`.
    package var nameB: String { "base_model.model.\(path).lora_B.weight" }

    /// Fresh A, element by element: uniform in ±1/√in, drawn from a stream named by the module path.
    ///
    /// This is PEFT's `kaiming_uniform(a = √5)`; B starts at zero, so that a fresh adapter changes nothing.
    package func drawA(seed: UInt64, into a: UnsafeMutablePointer<Float>) {
        let random = Philox(seed: seed, purpose: .adapterWeights, stream: Philox.stream(named: path))
        let bound = 1 / Double(inputs).squareRoot()
        for element in 0..<rank * inputs {
            a[element] = Float((2 * random.uniform(UInt64(element)) - 1) * bound)
        }
    }
}
