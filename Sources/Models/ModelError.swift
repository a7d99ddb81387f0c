/// Why a configuration, a set of weights or an adapter can't be used.
package enum ModelError: Error, Equatable, CustomStringConvertible {
    /// The configuration is not a JSON object.
    case notAnObject
    /// `model_type` is absent or none of `supported`.
    case unsupportedModelType(String, supported: [String])
    /// `model_type` names a mixture of experts, which this version does not run.
    case mixtureOfExperts(String)
    /// `architectures` names a model that is no causal language model.
    case unsupportedArchitecture(String)
    /// Keys that this family does not know, in the order written; any of them might change the arithmetic.
    case unknownKeys([String], modelType: String)
    /// A value of the wrong type or outside its range.
    case invalidValue(key: String, found: String, expected: String)
    /// Tensors that the model needs and the files lack, in byte order.
    case missingTensors([String])
    /// Tensors in the files that the model has no place for, in byte order.
    case unexpectedTensors([String])
    /// A tensor of another shape than the configuration says.
    case shapeMismatch(name: String, expected: [Int], found: [Int])
    /// An adapter target that names no linear layer of this model.
    case unknownTarget(String, known: [String])
    /// An adapter setting outside its range or not supported.
    case invalidAdapter(String)

    /// What, where, and what to do about it.
    package var description: String {
        switch self {
        case .notAnObject: "config.json: the document must be a JSON object"
        case .unsupportedModelType(let found, let supported):
            "config.json: model_type \"\(found)\" is not supported; this version runs "
                + supported.joined(separator: ", ")
        case .mixtureOfExperts(let found):
            "config.json: model_type \"\(found)\" is a mixture of experts of a kind that this version does not run; "
                + "it runs ernie4_5_moe, hunyuan_v1_moe and qwen3_moe"
        case .unsupportedArchitecture(let found):
            "config.json: architecture \"\(found)\" is no causal language model; use a checkpoint with a language head"
        case .unknownKeys(let keys, let modelType):
            "config.json: \(modelType) models have no key \(Self.quoted(keys)); it may change the arithmetic, so "
                + "that it is not ignored; remove it from config.json if it does not"
        case .invalidValue(let key, let found, let expected):
            "config.json: \(key) is \(found); expected \(expected)"
        case .missingTensors(let names):
            "the checkpoint lacks \(names.count) tensor(s): \(Self.quoted(names)); config.json and weights must match"
        case .unexpectedTensors(let names):
            "the checkpoint has \(names.count) tensor(s) that this model has no place for: \(Self.quoted(names)); "
                + "config.json and weights must match"
        case .shapeMismatch(let name, let expected, let found):
            "tensor \(name) has shape \(found); config.json says \(expected)"
        case .unknownTarget(let name, let known):
            "adapter target \"\(name)\" is no linear layer of this model; known are \(known.joined(separator: ", "))"
        case .invalidAdapter(let reason): "adapter: \(reason)"
        }
    }

    /// Up to eight names in quotes, and how many more.
    private static func quoted(_ names: [String]) -> String {
        let shown = names.prefix(8).map { "\"\($0)\"" }.joined(separator: ", ")
        return names.count > 8 ? "\(shown) and \(names.count - 8) more" : shown
    }
}
