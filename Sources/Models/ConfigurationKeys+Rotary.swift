internal import Kernels
internal import Terms

extension ConfigurationKeys {
    /// The rotation, nil for families with learned positions.
    ///
    /// `rope_scaling` of older files goes before `rope_parameters`; θ and the rotated fraction may stand in either or
    /// beside it.
    mutating func rotary(_ family: Family, _ headWidth: Int, positions: Int) throws(ModelError) -> Rotary? {
        guard case .rotary(let layout) = family.position else { return nil }
        let older = value("rope_scaling")
        let newer = value("rope_parameters")
        let settings = try RotarySettings(older?.object?.isEmpty == false ? older : newer ?? older)
        let outerTheta = try number("rope_theta", 1...1e12, family.defaults.theta)
        let outerFraction = try number("partial_rotary_factor", 0...1, family.rotaryFraction ?? 1)
        let theta = try settings.number("rope_theta") ?? outerTheta
        guard theta > 1, theta <= 1e12 else {
            throw .invalidValue(key: "rope_theta", found: "\(theta)", expected: "a number above 1")
        }
        let fraction = try settings.number("partial_rotary_factor") ?? outerFraction
        if family.rotaryFraction == nil, fraction != 1 {
            throw .invalidValue(
                key: "partial_rotary_factor", found: "\(fraction)",
                expected: "1: \(family.modelType) models rotate whole heads")
        }
        let width = Int(Double(headWidth) * fraction)
        guard width >= 2, width % 2 == 0 else {
            throw .invalidValue(
                key: "head_dim", found: "\(headWidth)", expected: "an even number of rotated dimensions")
        }
        let trained = Double(try integer("original_max_position_embeddings", 1...1 << 30, 0))
        let scaling = try settings.scaling(
            family, width: width, positions: Double(positions), trainedLength: trained == 0 ? nil : trained)
        return Rotary(layout: layout, width: width, theta: theta, scaling: scaling)
    }
}

/// The object under `rope_scaling` or `rope_parameters`.
private struct RotarySettings {
    private let object: JSONObject

    init(_ value: JSONValue?) throws(ModelError) {
        guard let value else {
            object = JSONObject()
            return
        }
        guard let object = value.object else {
            throw .invalidValue(key: "rope_scaling", found: value.text, expected: "an object or null")
        }
        if let key = object.keys.first(where: { !Self.known.contains($0) }) {
            throw .invalidValue(
                key: "rope_scaling.\(key)", found: object[key]?.text ?? "",
                expected: "no such key; it is not supported")
        }
        self.object = object
    }

    private static let known = [
        "alpha", "attention_factor", "beta_fast", "beta_slow", "factor", "high_freq_factor", "low_freq_factor",
        "mscale", "mscale_all_dim", "original_max_position_embeddings", "partial_rotary_factor", "rope_theta",
        "rope_type", "truncate", "type",
    ]

    func number(_ key: String) throws(ModelError) -> Double? {
        guard let value = object[key], !value.isNull else { return nil }
        guard let number = value.double, number.isFinite else {
            throw .invalidValue(key: "rope_scaling.\(key)", found: value.text, expected: "a number")
        }
        return number
    }

    /// A number that must be there and of a size that leaves frequencies finite.
    private func positive(_ key: String) throws(ModelError) -> Double {
        guard let number = try number(key), number >= 1e-3, number <= 1e6 else {
            throw .invalidValue(
                key: "rope_scaling.\(key)", found: object[key]?.text ?? "absent", expected: "a number in 0.001…1000000")
        }
        return number
    }

    func scaling(
        _ family: Family, width: Int, positions: Double, trainedLength: Double?
    ) throws(ModelError) -> RotaryScaling {
        let type = (object["rope_type"] ?? object["type"])?.string ?? "default"
        var trained = positions
        if let own = try number("original_max_position_embeddings") { trained = own }
        if let trainedLength { trained = trainedLength }
        switch type {
        case "default": return .none
        case "linear": return .linear(factor: try positive("factor"))
        case "dynamic":
            guard family.hasStaticAlpha, let alpha = try number("alpha"), alpha != 0 else { return .dynamic }
            guard width > 2 else {
                throw .invalidValue(key: "rope_scaling.alpha", found: "\(alpha)", expected: "heads wider than 2")
            }
            return .ntkAlpha(try positive("alpha"))
        case "llama3":
            let low = try positive("low_freq_factor")
            let high = try positive("high_freq_factor")
            guard high > low, trained > 0 else {
                throw .invalidValue(key: "rope_scaling.high_freq_factor", found: "\(high)", expected: "above \(low)")
            }
            return .llama3(factor: try positive("factor"), low: low, high: high, trainedLength: trained)
        case "yarn": return .yarn(try yarn(positions: positions, trained: trained))
        default:
            throw .invalidValue(
                key: "rope_scaling.rope_type", found: "\"\(type)\"",
                expected: "default, linear, dynamic, llama3 or yarn")
        }
    }

    private func yarn(positions: Double, trained: Double) throws(ModelError) -> RotaryScaling.Yarn {
        guard trained > 0 else {
            throw .invalidValue(
                key: "rope_scaling.original_max_position_embeddings", found: "\(trained)", expected: "above 0")
        }
        var factor = positions / trained
        if try number("factor") != nil { factor = try positive("factor") }
        func scale(_ weight: Double) -> Double {
            factor <= 1 ? 1 : 0.1 * weight * Elementary.logarithm(factor) + 1
        }
        var attention = try number("attention_factor")
        if attention == nil {
            let numerator = try number("mscale") ?? 0
            let denominator = try number("mscale_all_dim") ?? 0
            attention = numerator != 0 && denominator != 0 ? scale(numerator) / scale(denominator) : scale(1)
        }
        var yarn = RotaryScaling.Yarn(factor: factor, trainedLength: trained, attentionFactor: attention ?? 1)
        if let fast = try number("beta_fast"), fast > 0 { yarn.fast = fast }
        if let slow = try number("beta_slow"), slow > 0 { yarn.slow = slow }
        yarn.truncates = object["truncate"]?.bool ?? true
        return yarn
    }
}
