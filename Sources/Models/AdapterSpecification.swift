internal import Terms

/// A low-rank adapter (Hu et al. 2021, arXiv:2106.09685): `y = W·x + s·B·(A·x)` on chosen linear layers.
package struct AdapterSpecification: Sendable, Equatable {
    /// Which linear layers are adapted.
    package enum Targets: Sendable, Equatable {
        /// Every linear layer of every block; never the embedding or the head. In a mixture of experts what peft takes
        /// for `all-linear`: attention, routers and experts, no dense or shared MLP.
        case all
        /// Layers whose path is one of these or ends in a dot and one of these.
        case names([String])
        /// The `adapterSites` of exactly these paths.
        case sites([String])
    }

    /// r, ≥ 1.
    package var rank: Int
    /// α; the scale is α/r, or α/√r when stabilised (Kalajdzievski 2023, arXiv:2312.03732).
    package var alpha: Double
    /// Whether the scale is α/√r instead of α/r.
    package var isRankStabilised: Bool
    /// Which layers.
    package var targets: Targets
    /// Other ranks for layers that a `NamePattern` of the name matches; the first match counts.
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
    ///
    /// In a mixture of experts the names mean what they mean to peft: `gate_proj` with `up_proj` is the stack of all
    /// experts' gates and ups at twice the rank and α, `down_proj` that of all downs, `gate` the router.
    package func modules(of configuration: DecoderConfiguration) throws(ModelError) -> [AdaptedModule] {
        try choice(configuration).adapted
    }

    /// How peft names what is adapted in a mixture of experts, and the patterns that it needs there.
    package func peftNames(
        in configuration: DecoderConfiguration
    ) throws(ModelError) -> (modules: [String], parameters: [String], doublesExperts: Bool) {
        let chosen = try choice(configuration)
        var (modules, parameters): (Set<String>, Set<String>) = ([], [])
        let names = if case .names(let names) = targets { names } else { [String]() }
        for site in configuration.adapterSites where chosen.choice.contains(site) {
            // A name that picks layers one by one stays as it is.
            let own = names.first { AdapterChoice.matches(site.path, $0) && $0.contains(".") }
            if AdapterChoice.isModule(site) {
                modules.insert(own ?? AdapterChoice.targetName(site))
            } else {
                let own = names.first { AdapterChoice.matches(AdapterChoice.parameter(site), $0) && $0.contains(".") }
                parameters.insert(own ?? AdapterChoice.targetName(site))
            }
        }
        func sorted(_ names: Set<String>) -> [String] { names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) } }
        return (sorted(modules), sorted(parameters), chosen.choice.doubles)
    }

    private func choice(
        _ configuration: DecoderConfiguration
    ) throws(ModelError) -> (choice: AdapterChoice, adapted: [AdaptedModule]) {
        let sites = configuration.adapterSites
        let chosen = try AdapterChoice(targets, sites, isMixture: configuration.mixture != nil)
        var adapted: [AdaptedModule] = []
        let ranks = try Self.compiled(rankPattern.map { (name: $0.name, value: $0.rank) })
        let alphas = try Self.compiled(alphaPattern.map { (name: $0.name, value: $0.alpha) })
        for site in sites where chosen.contains(site) {
            let name = AdapterChoice.patternName(site, isMixture: configuration.mixture != nil)
            let factor = chosen.doubles && site.slot == .stackedGateUp ? 2 : 1
            let rank = ranks.first { $0.pattern.matches(name) }?.value ?? rank * factor
            let alpha = alphas.first { $0.pattern.matches(name) }?.value ?? alpha * Double(factor)
            guard rank >= 1, rank <= 65_536 else {
                throw .invalidAdapter("rank \(rank) of \(site.path) is outside 1…65536")
            }
            guard alpha.isFinite else { throw .invalidAdapter("alpha of \(site.path) is not finite") }
            let divisor = isRankStabilised ? Double(rank).squareRoot() : Double(rank)
            let hasOuter =
                site.slot == .stackedGateUp
                && sites.contains { $0.slot == .stackedDown && $0.layer == site.layer && chosen.contains($0) }
            adapted.append(AdaptedModule(site, rank: rank, scale: Float(alpha / divisor), hasOuter: hasOuter))
        }
        return (chosen, adapted)
    }

    private static func compiled<Value>(
        _ list: [(name: String, value: Value)]
    ) throws(ModelError) -> [(pattern: NamePattern, value: Value)] {
        try list.map { item throws(ModelError) in
            guard let pattern = NamePattern(item.name) else {
                throw .invalidAdapter("the pattern \"\(item.name)\" is no module name or simple expression")
            }
            return (pattern, item.value)
        }
    }
}

/// One linear layer with an adapter on it, or one stack of experts' layers.
package struct AdaptedModule: Sendable, Equatable {
    /// Module path, for instance `model.layers.0.self_attn.q_proj`; of a stack that of the fused parameter.
    package let path: String
    /// The block it belongs to, from 0.
    package let layer: Int
    /// Its place in the block.
    package let slot: LinearSlot
    /// Width of its input.
    package let inputs: Int
    /// Width of its output.
    package let outputs: Int
    /// How many experts' layers it stands for, each with factors of its own; 1 outside stacks.
    package let stack: Int
    /// r.
    package let rank: Int
    /// s, the factor on B·A.
    package let scale: Float
    /// Path in the factors' names: of a stack that of the experts, with `.base_layer` where another one wraps it.
    package let stem: String

    init(_ site: LinearModule, rank: Int, scale: Float, hasOuter: Bool) {
        (path, layer, slot, stack) = (site.path, site.layer, site.slot, site.stack)
        (inputs, outputs) = (site.inputs, site.outputs)
        (self.rank, self.scale) = (rank, scale)
        let isStack = site.slot == .stackedGateUp || site.slot == .stackedDown
        let experts = site.path.split(separator: ".").dropLast().joined(separator: ".")
        stem = isStack ? experts + (hasOuter ? ".base_layer" : "") : site.path
    }

    /// PEFT name of A, `[r, in]`; of a stack `[E·r, in]`, expert after expert.
    package var nameA: String { "base_model.model.\(stem).lora_A.weight" }
    /// PEFT name of B, `[out, r]`; of a stack `[out, r·E]`, the experts side by side in each of the r.
    package var nameB: String { "base_model.model.\(stem).lora_B.weight" }

    /// Fresh A, element by element: uniform in ±1/√in, drawn from a stream named by the module path.
    ///
    /// This is PEFT's `kaiming_uniform(a = √5)`; B starts at zero, so that a fresh adapter changes nothing.
    package func drawA(seed: UInt64, into a: UnsafeMutablePointer<Float>) {
        let random = Philox(seed: seed, purpose: .adapterWeights, stream: Philox.stream(named: path))
        let bound = 1 / Double(inputs).squareRoot()
        for element in 0..<stack * rank * inputs {
            a[element] = Float((2 * random.uniform(UInt64(element)) - 1) * bound)
        }
    }
}
