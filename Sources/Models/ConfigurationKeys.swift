internal import Terms

/// Typed look-up in config.json that remembers which keys were asked for, so that the rest can be refused.
struct ConfigurationKeys {
    let object: JSONObject
    let family: Family
    private var asked: [String] = []

    init(_ object: JSONObject, _ family: Family) {
        self.object = object
        self.family = family
    }

    /// The spellings of `key`: the family's own first, the common one last.
    private func spellings(_ key: String) -> [String] {
        family.aliases.filter { $0.common == key }.map(\.own) + [key]
    }

    /// The spelling of `key` in this file, else the family's own.
    func spelling(_ key: String) -> String {
        let all = spellings(key)
        return all.first { object[$0] != nil } ?? all[0]
    }

    /// True when the key is there with the value null.
    func isNull(_ key: String) -> Bool { object[spelling(key)]?.isNull ?? false }

    /// The value under `key`, in the family's spelling or the common one; null counts as absent.
    mutating func value(_ key: String) -> JSONValue? {
        let all = spellings(key)
        asked += all
        let found = all.compactMap { object[$0] }.first
        return found == .null ? nil : found
    }

    mutating func integer(
        _ key: String, _ range: ClosedRange<Int>, _ standard: @autoclosure () -> Int
    ) throws(ModelError) -> Int {
        try optionalInteger(key, range, nil) ?? standard()
    }

    mutating func optionalInteger(
        _ key: String, _ range: ClosedRange<Int>, _ standard: Int?
    ) throws(ModelError) -> Int? {
        guard let value = value(key) else { return isNull(key) ? nil : standard }
        guard let number = value.int, range.contains(number) else {
            throw .invalidValue(
                key: spelling(key), found: value.text,
                expected: "an integer in \(range.lowerBound)…\(range.upperBound)")
        }
        return number
    }

    mutating func number(
        _ key: String, _ range: ClosedRange<Double>, _ standard: Double
    ) throws(ModelError) -> Double {
        guard let value = value(key) else { return standard }
        guard let number = value.double, range.contains(number) else {
            throw .invalidValue(
                key: spelling(key), found: value.text,
                expected: "a number in \(range.lowerBound)…\(range.upperBound)")
        }
        return number
    }

    mutating func boolean(_ key: String, _ standard: Bool) throws(ModelError) -> Bool {
        guard let value = value(key) else { return standard }
        guard let flag = value.bool else {
            throw .invalidValue(key: spelling(key), found: value.text, expected: "true or false")
        }
        return flag
    }

    mutating func text(_ key: String, _ standard: String) throws(ModelError) -> String {
        guard let value = value(key) else { return standard }
        guard let text = value.string else {
            throw .invalidValue(key: spelling(key), found: value.text, expected: "a string")
        }
        return text
    }

    /// Per layer the window, by the family's rule.
    mutating func windows(_ rule: WindowRule, _ layers: Int) throws(ModelError) -> [Int?] {
        let types = try layerTypes(layers)
        let sizes = 1...1 << 30
        switch rule {
        case .none:
            try refuseSliding(types, because: "attend to all positions")
            return Array(repeating: nil, count: layers)
        case .everyLayerIfUsed(let standard):
            let slides = try boolean("use_sliding_window", false)
            let size = try optionalInteger("sliding_window", sizes, standard)
            return Array(repeating: slides ? size : nil, count: layers)
        case .everyLayer(let standard):
            let window = try optionalInteger("sliding_window", sizes, standard)
            guard let types else { return Array(repeating: window, count: layers) }
            let sliding = Array(repeating: window != nil, count: layers)
            guard types == sliding else {
                throw .invalidValue(key: "layer_types", found: "mixed", expected: "one type for all layers")
            }
            return Array(repeating: window, count: layers)
        case .upperLayers(let standard, let first):
            let slides = try boolean("use_sliding_window", false)
            let size = try optionalInteger("sliding_window", 0...1 << 30, standard)
            let firstLayer = try integer("max_window_layers", 0...1 << 20, first)
            guard slides, let size else {
                try refuseSliding(types, because: "have no window without use_sliding_window")
                return Array(repeating: nil, count: layers)
            }
            guard size >= 1 else {
                throw .invalidValue(key: "sliding_window", found: "\(size)", expected: "at least 1")
            }
            return (0..<layers).map { (types?[$0] ?? ($0 >= firstLayer)) ? size : nil }
        }
    }

    /// Per layer whether `layer_types` calls for a window; nil when the key is absent.
    private mutating func layerTypes(_ layers: Int) throws(ModelError) -> [Bool]? {
        guard let value = value("layer_types") else { return nil }
        let sliding = value.array?.map { type -> Bool? in
            switch type.string {
            case "full_attention": false
            case "sliding_attention": true
            default: nil
            }
        }
        guard let sliding, sliding.count == layers, !sliding.contains(nil) else {
            throw .invalidValue(
                key: "layer_types", found: value.text,
                expected: "full_attention or sliding_attention for each of \(layers) layers")
        }
        return sliding.map { $0 ?? false }
    }

    private func refuseSliding(_ types: [Bool]?, because reason: String) throws(ModelError) {
        guard types?.contains(true) ?? false else { return }
        throw .invalidValue(
            key: "layer_types", found: "sliding_attention",
            expected: "full_attention: \(family.modelType) layers \(reason)")
    }

    /// Keys nobody asked for that might change the arithmetic, in the order written.
    var unknown: [String] {
        object.members.compactMap { key, value in
            if asked.contains(key) || Self.neutral.contains(key) || family.neutralKeys.contains(key) { return nil }
            if key.hasPrefix("_") || Self.isOff(value) { return nil }
            if Self.neutralAtOne.contains(key), value.int == 1 { return nil }
            return key
        }
    }

    /// Null, false, and empty lists and objects switch nothing on.
    private static func isOff(_ value: JSONValue) -> Bool {
        switch value {
        case .null, .bool(false): true
        case .array(let elements): elements.isEmpty
        case .object(let object): object.isEmpty
        default: false
        }
    }

    /// Keys that only change the arithmetic when they are not 1.
    private static let neutralAtOne = ["num_experts", "num_beams", "num_beam_groups", "n_shared_experts"]

    /// Keys of configuration files that describe files, tokens, generation or other heads.
    private static let neutral = [
        "architectures", "attention_dropout", "attn_implementation", "auto_map", "bad_words_ids",
        "begin_suppress_tokens", "bos_token_id", "chunk_size_feed_forward", "decoder_start_token_id",
        "diversity_penalty", "do_sample", "dtype", "early_stopping", "encoder_no_repeat_ngram_size", "eos_token_id",
        "exponential_decay_length_penalty", "finetuning_task", "forced_bos_token_id", "forced_eos_token_id",
        "hidden_dropout", "id2label", "is_decoder", "label2id", "length_penalty", "max_length", "max_window_layers",
        "min_length", "model_max_length", "model_type", "name_or_path", "no_repeat_ngram_size", "num_beam_groups",
        "num_beams", "num_labels", "num_return_sequences", "output_attentions", "output_hidden_states", "pad_token_id",
        "prefix", "pretraining_tp", "problem_type", "remove_invalid_values", "repetition_penalty", "return_dict",
        "return_dict_in_generate", "sep_token_id", "suppress_tokens", "task_specific_params", "temperature",
        "tf_legacy_loss", "tokenizer_class", "tokenizer_model_max_length", "top_k", "top_p", "torch_dtype",
        "torchscript", "transformers_version", "transformers.js_config", "typical_p", "unsloth_fixed",
        "unsloth_version", "use_bfloat16", "use_cache",
    ]
}
