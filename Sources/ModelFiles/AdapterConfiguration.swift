package import Models
package import Terms

/// What adapter_config.json says about a LoRA adapter (layout of peft 0.21).
package struct AdapterConfiguration: Sendable, Equatable {
    package var rank: Int
    package var alpha: Double
    package var isRankStabilised: Bool
    /// Dropout on the input of A while training, 0…1.
    package var dropout: Double
    /// Names of modules as in the file; nil = the file holds a pattern, and the tensors tell which modules are adapted.
    package var targetModules: [String]?
    package var rankPattern: [(name: String, rank: Int)]
    package var alphaPattern: [(name: String, alpha: Double)]
    /// Where the base model was found when the adapter was trained.
    package var baseModel: String?

    /// A configuration to train or write with.
    package init(
        rank: Int, alpha: Double, isRankStabilised: Bool = false, dropout: Double = 0, targetModules: [String]?,
        rankPattern: [(name: String, rank: Int)] = [], alphaPattern: [(name: String, alpha: Double)] = [],
        baseModel: String? = nil
    ) {
        (self.rank, self.alpha, self.isRankStabilised) = (rank, alpha, isRankStabilised)
        (self.dropout, self.targetModules, self.baseModel) = (dropout, targetModules, baseModel)
        (self.rankPattern, self.alphaPattern) = (rankPattern, alphaPattern)
    }

    package static func == (left: Self, right: Self) -> Bool {
        left.rank == right.rank && left.alpha == right.alpha && left.isRankStabilised == right.isRankStabilised
            && left.dropout == right.dropout && left.targetModules == right.targetModules
            && left.baseModel == right.baseModel && left.rankPattern.elementsEqual(right.rankPattern, by: ==)
            && left.alphaPattern.elementsEqual(right.alphaPattern, by: ==)
    }

    /// The configuration that describes an adapter trained by `specification` on `configuration`.
    package init(
        _ specification: AdapterSpecification, for configuration: DecoderConfiguration, dropout: Double = 0,
        baseModel: String? = nil
    ) {
        var targets: [String]
        switch specification.targets {
        case .names(let names): targets = names
        case .all:
            targets = configuration.linearModules(layer: 0).map { String($0.path.split(separator: ".").last ?? "") }
        }
        targets = Set(targets).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        self.init(
            rank: specification.rank, alpha: specification.alpha, isRankStabilised: specification.isRankStabilised,
            dropout: dropout, targetModules: targets, rankPattern: specification.rankPattern,
            alphaPattern: specification.alphaPattern, baseModel: baseModel)
    }

    /// Whether peft would adapt the module at `path`: one of `targetModules` is the path or its end after a dot.
    func targets(_ path: String) -> Bool {
        guard let targetModules else { return true }
        return targetModules.contains { path == $0 || path.hasSuffix(".\($0)") }
    }

    /// What to train or apply, on the modules whose paths are `paths`.
    package func specification(adapting paths: [String]) -> AdapterSpecification {
        AdapterSpecification(
            rank: rank, alpha: alpha, isRankStabilised: isRankStabilised, targets: .names(paths),
            rankPattern: rankPattern, alphaPattern: alphaPattern)
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
