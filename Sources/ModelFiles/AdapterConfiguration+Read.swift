internal import Models
package import Terms

extension AdapterConfiguration {
    /// Keys that change nothing about how a stored adapter is applied: provenance, initialisation, selection of modules
    /// (the stored tensors tell which those are).
    private static let neutralKeys: Set<String> = [
        "auto_mapping", "base_model_name_or_path", "corda_config", "ensure_weight_tying", "eva_config",
        "exclude_modules", "fan_in_fan_out", "inference_mode", "layers_pattern", "layers_to_transform", "loftq_config",
        "lora_ga_config", "megatron_core", "peft_version", "qalora_group_size", "revision", "runtime_config",
        "task_type",
    ]
    /// Initialisations that leave the base weights as they are; others store an adapter relative to changed ones.
    private static let initialisations: Set<String> = ["gaussian", "eva", "orthogonal"]

    /// The adapter configuration in `json`, which was read from `path`.
    ///
    /// Required: `peft_type` LORA, `r`, `lora_alpha`, `target_modules`. A setting that would change the arithmetic in a
    /// way this program does not have (DoRA, biases, saved modules, an unknown key …) is refused, never ignored.
    package static func read(json: JSONValue, path: String) throws(ModelFileError) -> AdapterConfiguration {
        guard let object = json.object else {
            throw .malformed(path: path, format: .adapterConfiguration, problem: "it is not a JSON object")
        }
        var reader = Reader(object: object, path: path)
        return try reader.configuration()
    }

    /// The rules of the file; remembers which keys it understood.
    private struct Reader {
        let object: JSONObject
        let path: String
        var understood: Set<String> = AdapterConfiguration.neutralKeys

        mutating func configuration() throws(ModelFileError) -> AdapterConfiguration {
            guard let kind = value("peft_type")?.string else { throw fault("`peft_type` is missing") }
            guard kind.uppercased() == "LORA" else {
                throw unsupported("peft_type \(printable(kind)) is not supported; only LORA adapters are")
            }
            guard let rank = value("r")?.int, (1...65_536).contains(rank) else {
                throw fault("`r` is not a whole number from 1 to 65536")
            }
            guard let alpha = value("lora_alpha")?.double, alpha.isFinite else {
                throw fault("`lora_alpha` is not a number")
            }
            let configuration = AdapterConfiguration(
                rank: rank, alpha: alpha, isRankStabilised: try flag("use_rslora"), dropout: try dropout(),
                targetModules: try targetModules(), targetParameters: try names("target_parameters"),
                rankPattern: try rankPattern(), alphaPattern: try alphaPattern(),
                baseModel: object["base_model_name_or_path"]?.string)
            try checkBias()
            try checkInitialisation()
            try checkOthers()
            return configuration
        }

        private mutating func value(_ key: String) -> JSONValue? {
            understood.insert(key)
            return object[key]
        }

        private mutating func flag(_ key: String) throws(ModelFileError) -> Bool {
            guard let value = value(key), !value.isNull else { return false }
            guard let flag = value.bool else { throw fault("`\(key)` is not true or false") }
            return flag
        }

        private mutating func dropout() throws(ModelFileError) -> Double {
            guard let value = value("lora_dropout"), !value.isNull else { return 0 }
            guard let dropout = value.double, (0..<1).contains(dropout) else {
                throw fault("`lora_dropout` is not a number from 0 to 1, which is excluded")
            }
            return dropout
        }

        /// A list of names; a string (a pattern, or `all-linear`) is left to the stored tensors.
        private mutating func targetModules() throws(ModelFileError) -> [String]? {
            let value = value("target_modules")
            if value?.string != nil { return nil }
            let list = try names("target_modules")
            guard !list.isEmpty || object["target_parameters"]?.array?.isEmpty == false else {
                throw fault("`target_modules` is missing or empty")
            }
            return list
        }

        private mutating func names(_ key: String) throws(ModelFileError) -> [String] {
            guard let value = value(key), !value.isNull else { return [] }
            guard let list = value.array else { throw fault("`\(key)` is not a list of names") }
            return try list.map { element throws(ModelFileError) in
                guard let name = element.string else { throw fault("`\(key)` is not a list of names") }
                return name
            }
        }

        private mutating func rankPattern() throws(ModelFileError) -> [(name: String, rank: Int)] {
            try pattern("rank_pattern").map { member throws(ModelFileError) in
                guard let rank = member.value.int, (1...65_536).contains(rank) else {
                    throw fault("`rank_pattern` holds a rank that is not a whole number from 1 to 65536")
                }
                return (member.name, rank)
            }
        }

        private mutating func alphaPattern() throws(ModelFileError) -> [(name: String, alpha: Double)] {
            try pattern("alpha_pattern").map { member throws(ModelFileError) in
                guard let alpha = member.value.double, alpha.isFinite else {
                    throw fault("`alpha_pattern` holds a value that is not a number")
                }
                return (member.name, alpha)
            }
        }

        /// Members whose keys are patterns that this program takes; `.*\.name`, which peft writes itself, becomes
        /// `name`.
        private mutating func pattern(_ key: String) throws(ModelFileError) -> [(name: String, value: JSONValue)] {
            guard let value = value(key), !value.isNull else { return [] }
            guard var members = value.object?.members else { throw fault("`\(key)` is not an object") }
            for index in members.indices {
                let name = members[index].key
                if name.hasPrefix(#".*\."#), !name.dropFirst(4).contains("\\") { members[index].key.removeFirst(4) }
                guard NamePattern(members[index].key) != nil else {
                    throw unsupported(
                        "\(key) holds the pattern `\(printable(name))`; only module names and simple expressions are "
                            + "supported")
                }
            }
            return members.map { ($0.key, $0.value) }
        }

        private mutating func checkBias() throws(ModelFileError) {
            guard let bias = value("bias")?.string, bias != "none" else { return }
            throw unsupported("it also trains biases (bias: \(printable(bias))); only `none` is supported")
        }

        private mutating func checkInitialisation() throws(ModelFileError) {
            guard let name = value("init_lora_weights")?.string,
                !AdapterConfiguration.initialisations.contains(name)
            else { return }
            throw unsupported(
                "init_lora_weights \(printable(name)) stores the adapter relative to changed base weights; "
                    + "convert it to a plain LoRA adapter with peft first")
        }

        /// Whatever is left must be off: null, false, zero or empty.
        private func checkOthers() throws(ModelFileError) {
            for (key, value) in object.members where !understood.contains(key) {
                let isOff =
                    switch value {
                    case .null: true
                    case .bool(let flag): !flag
                    case .number(let number): number.doubleValue == 0
                    case .string(let text): text.isEmpty
                    case .array(let elements): elements.isEmpty
                    case .object(let object): object.isEmpty
                    }
                if !isOff {
                    throw unsupported(
                        "the setting `\(printable(key))` is not supported and might change the result; "
                            + "merge the adapter with peft, or remove the key if it has no effect")
                }
            }
        }

        private func fault(_ problem: String) -> ModelFileError {
            .malformed(path: path, format: .adapterConfiguration, problem: problem)
        }

        private func unsupported(_ problem: String) -> ModelFileError {
            .unsupportedAdapter(path: path, problem: problem)
        }
    }
}
