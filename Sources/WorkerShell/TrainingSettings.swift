package import Kernels
package import Models
package import Terms

/// The part of a job that only workers read: what is trained and how. Resolved: nothing in it is `auto`.
package struct TrainingSettings: Sendable, Equatable {
    /// nil = full fine-tuning.
    package var adapter: AdapterSpecification?
    /// Starts from the adapter in the job's `adapter` files instead of a fresh one.
    package var startsFromAdapter = false
    /// Part of the adapter's inputs that training drops, in [0, 1).
    package var dropout = 0.0
    package var seed: UInt64
    package var beta1: Double
    package var beta2: Double
    package var epsilon: Double
    package var weightDecay: Double
    /// 0 = no clipping.
    package var maxGradientNorm: Double
    /// Activations are computed again in the backward pass instead of being kept.
    package var recomputes: Bool
    /// `fp32` or `bf16`.
    package var precision: String
    /// How gradients travel between workers, and what they are rounded to therefore.
    package var gradientWire = GradientWire.Format.fp32

    package init(
        adapter: AdapterSpecification?, seed: UInt64, beta1: Double, beta2: Double, epsilon: Double,
        weightDecay: Double, maxGradientNorm: Double, recomputes: Bool, precision: String
    ) {
        self.adapter = adapter
        self.seed = seed
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        self.weightDecay = weightDecay
        self.maxGradientNorm = maxGradientNorm
        self.recomputes = recomputes
        self.precision = precision
    }

    /// As a member of a `JobDescription`; reals as bit patterns.
    package var json: JSONValue {
        func bits(_ value: Double) -> JSONValue { .string(String(value.bitPattern, radix: 16)) }
        var members: [(String, JSONValue)] = [
            ("seed", .string(String(seed))), ("beta1", bits(beta1)), ("beta2", bits(beta2)), ("epsilon", bits(epsilon)),
            ("weight_decay", bits(weightDecay)), ("max_grad_norm", bits(maxGradientNorm)),
            ("recomputes", .bool(recomputes)), ("precision", .string(precision)),
            ("starts_from_adapter", .bool(startsFromAdapter)), ("lora_dropout", bits(dropout)),
            ("gradient_wire", .string(gradientWire.rawValue)),
        ]
        if let adapter {
            let targets: JSONValue =
                switch adapter.targets {
                case .all: .string("all")
                case .names(let names): .array(names.map(JSONValue.string))
                case .sites(let paths): .members(["sites": .array(paths.map(JSONValue.string))])
                }
            members.append(
                (
                    "lora",
                    .members([
                        "r": .int(adapter.rank), "alpha": bits(adapter.alpha),
                        "rslora": .bool(adapter.isRankStabilised),
                        "targets": targets,
                        "rank_pattern": .array(adapter.rankPattern.map { .array([.string($0.name), .int($0.rank)]) }),
                        "alpha_pattern": .array(
                            adapter.alphaPattern.map { .array([.string($0.name), bits($0.alpha)]) }),
                    ])
                ))
        }
        return .object(JSONObject(members.map { (key: $0.0, value: $0.1) }))
    }

    /// nil when `json` is not what `json` gives.
    package init?(json: JSONValue) {
        func real(_ value: JSONValue?) -> Double? {
            value?.string.flatMap { UInt64($0, radix: 16) }.map(Double.init(bitPattern:))
        }
        guard let seed = json["seed"]?.string.flatMap({ UInt64($0) }), let beta1 = real(json["beta1"]),
            let beta2 = real(json["beta2"]), let epsilon = real(json["epsilon"]),
            let decay = real(json["weight_decay"]), let norm = real(json["max_grad_norm"]),
            let recomputes = json["recomputes"]?.bool, let precision = json["precision"]?.string,
            let starts = json["starts_from_adapter"]?.bool, let dropout = real(json["lora_dropout"]),
            let wire = GradientWire.Format(rawValue: json["gradient_wire"]?.string ?? "fp32"),
            (0..<1).contains(dropout)
        else { return nil }
        var adapter: AdapterSpecification?
        if let lora = json["lora"] {
            guard let rank = lora["r"]?.int, let alpha = real(lora["alpha"]), let stabilised = lora["rslora"]?.bool
            else { return nil }
            let names = lora["targets"]?.array?.compactMap(\.string)
            let sites = lora["targets"]?["sites"]?.array?.compactMap(\.string)
            let targets: AdapterSpecification.Targets? = sites.map { .sites($0) } ?? names.map { .names($0) }
            adapter = AdapterSpecification(
                rank: rank, alpha: alpha, isRankStabilised: stabilised, targets: targets ?? .all,
                rankPattern: (lora["rank_pattern"]?.array ?? []).compactMap { pair in
                    guard let name = pair.array?.first?.string, let rank = pair.array?.last?.int else { return nil }
                    return (name, rank)
                },
                alphaPattern: (lora["alpha_pattern"]?.array ?? []).compactMap { pair in
                    guard let name = pair.array?.first?.string, let alpha = real(pair.array?.last) else { return nil }
                    return (name, alpha)
                })
        }
        self.init(
            adapter: adapter, seed: seed, beta1: beta1, beta2: beta2, epsilon: epsilon, weightDecay: decay,
            maxGradientNorm: norm, recomputes: recomputes, precision: precision)
        startsFromAdapter = starts
        self.dropout = dropout
        gradientWire = wire
    }
}
