package import Models
package import Terms

/// What adapter_config.json says about a LoRA adapter (layout of peft 0.21).
package struct AdapterConfiguration: Sendable, Equatable {
    package var rank: Int
    package var alpha: Double
    package var isRankStabilised: Bool
    /// Dropout on the input of A while training, in [0, 1).
    package var dropout: Double
    /// Names of modules as in the file; nil = the file holds a pattern, and the tensors tell which modules are adapted.
    package var targetModules: [String]?
    /// Names of single parameters as in the file: how peft adapts experts.
    package var targetParameters: [String]
    package var rankPattern: [(name: String, rank: Int)]
    package var alphaPattern: [(name: String, alpha: Double)]
    /// Where the base model was found when the adapter was trained.
    package var baseModel: String?

    /// A configuration to train or write with.
    package init(
        rank: Int, alpha: Double, isRankStabilised: Bool = false, dropout: Double = 0, targetModules: [String]?,
        targetParameters: [String] = [], rankPattern: [(name: String, rank: Int)] = [],
        alphaPattern: [(name: String, alpha: Double)] = [],
        baseModel: String? = nil
    ) {
        (self.rank, self.alpha, self.isRankStabilised) = (rank, alpha, isRankStabilised)
        (self.dropout, self.targetModules, self.baseModel) = (dropout, targetModules, baseModel)
        (self.rankPattern, self.alphaPattern) = (rankPattern, alphaPattern)
        self.targetParameters = targetParameters
    }

    package static func == (left: Self, right: Self) -> Bool {
        left.rank == right.rank && left.alpha == right.alpha && left.isRankStabilised == right.isRankStabilised
            && left.dropout == right.dropout && left.targetModules == right.targetModules
            && left.targetParameters == right.targetParameters && left.baseModel == right.baseModel
            && left.rankPattern.elementsEqual(right.rankPattern, by: ==)
            && left.alphaPattern.elementsEqual(right.alphaPattern, by: ==)
    }

    /// The configuration that describes an adapter trained by `specification` on `configuration`.
    package init(
        _ specification: AdapterSpecification, for configuration: DecoderConfiguration, dropout: Double = 0,
        baseModel: String? = nil
    ) {
        var (targets, parameters): ([String], [String]) = ([], [])
        var (ranks, alphas) = (specification.rankPattern, specification.alphaPattern)
        switch specification.targets {
        case _ where configuration.mixture != nil:
            guard let names = try? specification.peftNames(in: configuration) else {
                preconditionFailure("the specification was checked against the model")
            }
            (targets, parameters) = (names.modules, names.parameters)
            if names.doublesExperts, !ranks.contains(where: { $0.name == Self.stack }) {
                ranks.append((Self.stack, 2 * specification.rank))
            }
            if names.doublesExperts, !alphas.contains(where: { $0.name == Self.stack }) {
                alphas.append((Self.stack, 2 * specification.alpha))
            }
        case .names(let names), .sites(let names): targets = names
        case .all:
            targets = configuration.linearModules(layer: 0).map { String($0.path.split(separator: ".").last ?? "") }
        }
        targets = Set(targets).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        self.init(
            rank: specification.rank, alpha: specification.alpha, isRankStabilised: specification.isRankStabilised,
            dropout: dropout, targetModules: targets, targetParameters: parameters, rankPattern: ranks,
            alphaPattern: alphas, baseModel: baseModel)
    }

    /// The stack of experts' gates and ups, as patterns name it.
    private static let stack = "gate_up_proj"

    /// Whether peft would adapt `site` of `model`: one of the names is its path, or its end after a dot.
    func targets(_ site: LinearModule, of model: DecoderConfiguration) -> Bool {
        guard let targetModules else { return true }
        func matches(_ path: String, _ names: [String]) -> Bool {
            names.contains { path == $0 || path.hasSuffix(".\($0)") }
        }
        if matches(site.path, targetModules) || matches("\(site.path).weight", targetParameters) { return true }
        if matches(site.path, targetParameters) { return true }
        guard model.mixture != nil, !targetModules.isEmpty else { return false }
        // Names of experts' layers that peft has not yet turned into names of parameters.
        let asWritten = AdapterSpecification(rank: 1, alpha: 1, targets: .names(targetModules))
        return ((try? asWritten.modules(of: model)) ?? []).contains { $0.path == site.path }
    }

    /// What to train or apply, on the sites of `model` whose paths are `paths`.
    package func specification(adapting paths: [String], of model: DecoderConfiguration) -> AdapterSpecification {
        var (ranks, alphas) = (rankPattern, alphaPattern)
        // peft doubles the rank of gates and ups that the file names one by one, or leaves to a pattern.
        let named = targetModules.map { names in names.contains { $0 == "gate_proj" || $0.hasSuffix(".gate_proj") } }
        if model.mixture != nil, named ?? targetParameters.isEmpty {
            if !ranks.contains(where: { $0.name == Self.stack }) { ranks.append((Self.stack, 2 * rank)) }
            if !alphas.contains(where: { $0.name == Self.stack }) { alphas.append((Self.stack, 2 * alpha)) }
        }
        return AdapterSpecification(
            rank: rank, alpha: alpha, isRankStabilised: isRankStabilised,
            targets: model.mixture == nil ? .names(paths) : .sites(paths), rankPattern: ranks, alphaPattern: alphas)
    }

    /// adapter_config.json; `isTransposed` tells that the base model stores its weights `[in, out]` (GPT-2).
    package func json(isTransposed: Bool) -> JSONValue {
        let targets = targetModules ?? []
        return .members([
            "alpha_pattern": .object(JSONObject(alphaPattern.map { ($0.name, Self.number($0.alpha)) })),
            "base_model_name_or_path": baseModel.map(JSONValue.string) ?? .null,
            "bias": .string("none"),
            "exclude_modules": .null,
            "fan_in_fan_out": .bool(isTransposed),
            "inference_mode": .bool(true),
            "init_lora_weights": .bool(true),
            "layers_pattern": .null,
            "layers_to_transform": .null,
            "lora_alpha": Self.number(alpha),
            "lora_dropout": .double(dropout),
            "modules_to_save": .null,
            "peft_type": .string("LORA"),
            "peft_version": .string("0.21.2"),
            "r": .int(rank),
            "rank_pattern": .object(JSONObject(rankPattern.map { ($0.name, .int($0.rank)) })),
            "revision": .null,
            "target_modules": .array(targets.map(JSONValue.string)),
            "target_parameters": targetParameters.isEmpty ? .null : .array(targetParameters.map(JSONValue.string)),
            "task_type": .string("CAUSAL_LM"),
            "use_dora": .bool(false),
            "use_rslora": .bool(isRankStabilised),
        ])
    }

    /// An integer where the value is one, as peft writes it.
    private static func number(_ value: Double) -> JSONValue {
        Int(exactly: value).map(JSONValue.int) ?? .double(value)
    }
}
