internal import Kernels
package import Terms

extension DecoderConfiguration {
    /// A configuration from config.json, in the dialect of older checkpoints or of transformers 5.
    ///
    /// Absent keys take their family's default. A key that the family does not know is refused, unless it is one that
    /// can't change the arithmetic, or is null, false or empty. Dropout keys are accepted and have no effect: base
    /// weights are trained without dropout.
    package static func read(json: JSONValue) throws(ModelError) -> DecoderConfiguration {
        guard let object = json.object else { throw .notAnObject }
        let modelType = object["model_type"]?.string ?? ""
        guard let family = Family.named(modelType) else {
            if Family.mixtures.contains(modelType) { throw .mixtureOfExperts(modelType) }
            throw .unsupportedModelType(modelType, supported: Family.table.map(\.modelType))
        }
        var keys = ConfigurationKeys(object, family)
        try checkArchitecture(object["architectures"])
        let configuration = try read(&keys, family, json)
        let unknown = keys.unknown
        guard unknown.isEmpty else { throw .unknownKeys(unknown, modelType: modelType) }
        return configuration
    }

    private static func read(
        _ keys: inout ConfigurationKeys, _ family: Family, _ json: JSONValue
    ) throws(ModelError) -> DecoderConfiguration {
        let defaults = family.defaults
        let width = try keys.integer("hidden_size", 1...1 << 20, defaults.width)
        let layers = try keys.integer("num_hidden_layers", 1...4096, defaults.layers)
        let heads = try keys.integer("num_attention_heads", 1...65_536, defaults.heads)
        let headWidth = try keys.integer("head_dim", 1...65_536, defaults.headWidth ?? width / heads)
        guard headWidth >= 1 else {
            throw .invalidValue(
                key: "num_attention_heads", found: "\(heads)", expected: "at most hidden_size \(width)")
        }
        // Null means one key head per query head, where absent means the family's default.
        guard heads * headWidth <= 1 << 20 else {
            throw .invalidValue(key: "head_dim", found: "\(headWidth)", expected: "at most \((1 << 20) / heads)")
        }
        let standardHeads = keys.isNull("num_key_value_heads") ? heads : defaults.keyValueHeads ?? heads
        let keyValueHeads = try keys.integer("num_key_value_heads", 1...65_536, standardHeads)
        guard heads % keyValueHeads == 0 else {
            throw .invalidValue(
                key: "num_key_value_heads", found: "\(keyValueHeads)",
                expected: "a divisor of \(heads) attention heads")
        }
        if family.weights == .convolutional, headWidth * heads != width || keyValueHeads != heads {
            throw .invalidValue(
                key: "hidden_size", found: "\(width)", expected: "a multiple of \(heads) attention heads")
        }
        let positions = try keys.integer("max_position_embeddings", 1...1 << 30, defaults.positions)
        let vocabulary = try keys.integer("vocab_size", 1...1 << 24, defaults.vocabulary)
        try checkActivation(&keys, family.activation)
        try keys.checkFixed()
        return DecoderConfiguration(
            family: family, vocabulary: vocabulary, width: width,
            inner: try keys.integer("intermediate_size", 1...1 << 22, defaults.inner ?? 4 * width),
            layers: layers, heads: heads, keyValueHeads: keyValueHeads, headWidth: headWidth,
            epsilon: try keys.number("rms_norm_eps", 0...1, defaults.epsilon),
            biases: try biases(&keys, family), rotary: try keys.rotary(family, headWidth, positions: positions),
            positions: positions, windows: try keys.windows(family.window, layers),
            attentionScales: try attentionScales(&keys, family, layers, headWidth),
            mixture: try keys.mixture(family, layers: layers),
            tiesHead: try keys.boolean("tie_word_embeddings", defaults.tiedHead),
            frozenRow: try frozenRow(&keys, family, vocabulary),
            initializerRange: try initializerRange(&keys),
            beginToken: json["bos_token_id"]?.int, endTokens: endTokens(json["eos_token_id"]), original: json
        )
    }

    /// A missing or empty list of architectures is as good as a causal language model.
    private static func checkArchitecture(_ value: JSONValue?) throws(ModelError) {
        guard let name = value?.array?.first?.string else { return }
        if name.hasSuffix("ForCausalLM") || name.hasSuffix("LMHeadModel") { return }
        throw .unsupportedArchitecture(name)
    }

    private static func checkActivation(
        _ keys: inout ConfigurationKeys, _ activation: Activation
    ) throws(ModelError) {
        let accepted = activation == .gelu ? ["gelu_new", "gelu_pytorch_tanh"] : ["silu", "swish"]
        let name = try keys.text("hidden_act", accepted[0])
        guard accepted.contains(name) else {
            throw .invalidValue(
                key: keys.spelling("hidden_act"), found: "\"\(name)\"", expected: accepted.joined(separator: " or "))
        }
    }

    private static func biases(_ keys: inout ConfigurationKeys, _ family: Family) throws(ModelError) -> BiasSet {
        var set: BiasSet = []
        for rule in family.biases {
            switch rule {
            case .always(let biases): set.formUnion(biases)
            case .key(let key, let biases, let standard):
                if try keys.boolean(key, standard) { set.formUnion(biases) }
            }
        }
        return set
    }

    /// `headWidth^(−1/2)`, but for GPT-2's two switches.
    private static func attentionScales(
        _ keys: inout ConfigurationKeys, _ family: Family, _ layers: Int, _ headWidth: Int
    ) throws(ModelError) -> [Float] {
        let common = 1 / Double(headWidth).squareRoot()
        guard family.position == .learned else { return Array(repeating: Float(common), count: layers) }
        let scale = try keys.boolean("scale_attn_weights", true) ? common : 1
        let byLayer = try keys.boolean("scale_attn_by_inverse_layer_idx", false)
        return (0..<layers).map { Float(byLayer ? scale / Double($0 + 1) : scale) }
    }

    /// `pad_token_id` as a row; negative ids count from the end, as an embedding's padding index does.
    private static func frozenRow(
        _ keys: inout ConfigurationKeys, _ family: Family, _ vocabulary: Int
    ) throws(ModelError) -> Int? {
        let range = -vocabulary...vocabulary - 1
        let standard = family.defaults.padding.flatMap { range.contains($0) ? $0 : nil }
        guard family.freezesPadding else { return nil }
        guard let id = try keys.optionalInteger("pad_token_id", range, standard) else { return nil }
        return id < 0 ? id + vocabulary : id
    }

    private static func initializerRange(_ keys: inout ConfigurationKeys) throws(ModelError) -> Double {
        let range = try keys.number("initializer_range", 0...1000, 0.02)
        return range == 0 ? 0.02 : range
    }

    private static func endTokens(_ value: JSONValue?) -> [Int] {
        if let one = value?.int { return [one] }
        return value?.array?.compactMap(\.int) ?? []
    }
}
