package import Models
package import Terms

/// A PEFT adapter directory, opened and checked against the model it is to be applied to.
package struct AdapterDirectory: Sendable {
    package let path: String
    package let configuration: AdapterConfiguration
    /// What to train or apply: rank, scale and the paths of the adapted modules.
    package let specification: AdapterSpecification
    /// The adapted modules, layer by layer.
    package let modules: [AdaptedModule]
    /// The two factors of every module, in byte order of their PEFT names.
    package let layout: ParameterLayout
    private let file: SafetensorsFile

    static let configurationName = "adapter_config.json"
    static let weightsName = "adapter_model.safetensors"

    /// Opens the directory at `path`; every stored tensor must be a factor of a linear layer of `model`, of the right
    /// shape, and none may be missing.
    package init(path: String, model: DecoderConfiguration) throws(ModelFileError) {
        let configurationPath = joinPath(path, Self.configurationName)
        let json = try Disk.readJSON(
            configurationPath, format: .adapterConfiguration, advice: "give the path of a PEFT adapter directory")
        let configuration = try AdapterConfiguration.read(json: json, path: configurationPath)
        let file = try SafetensorsFile(
            path: joinPath(path, Self.weightsName), advice: "convert an adapter in another format to safetensors")
        let paths = try Self.adaptedPaths(file, configuration, model)
        let sites = model.adapterSites
        if let stray = paths.first(where: { path in
            sites.first { $0.path == path }.map { !configuration.targets($0, of: model) } ?? false
        }) {
            throw .unsupportedAdapter(
                path: configurationPath,
                problem: "the weights adapt \(stray), which target_modules does not name, so that peft leaves it out; "
                    + "name it there or remove its tensors")
        }
        let specification = configuration.specification(adapting: paths, of: model)
        do throws(ModelError) {
            modules = try specification.modules(of: model)
            layout = ParameterLayout(adapter: modules)
            try Self.check(file, layout)
        } catch { throw .model(path: path, error) }
        for entry in file.header.entries where !entry.type.widensExactly {
            throw .unsupportedType(path: file.path, tensor: entry.name, type: entry.type.rawValue)
        }
        self.path = path
        self.configuration = configuration
        self.specification = specification
        self.file = file
    }

    /// The factors in fp32 under their PEFT names.
    package func loadWeights() throws(ModelFileError) -> LoadedWeights {
        let entries = layout.entries
        return try LoadedWeights(entries.map { TensorDescription(name: $0.name, shape: $0.shape) }) {
            index, target throws(ModelFileError) in
            guard let stored = file[entries[index].name] else { preconditionFailure("Every factor was found.") }
            try file.read(stored, into: target)
        }
    }

    /// `model_sha256` of the stored factors.
    package func digest() throws(ModelFileError) -> Digest { try ModelDigest.of(file) }

    /// Writes an adapter that peft loads: configuration and factors, the weights first, so that a directory with a
    /// configuration is whole.
    ///
    /// - Parameters:
    ///   - configuration: its `targetModules` must be known; peft needs them to place the tensors.
    ///   - model: the base model.
    ///   - tensors: the factors under their PEFT names, for instance `Trainer.exportTensors()`.
    package static func write(
        to path: String, configuration: AdapterConfiguration, model: DecoderConfiguration,
        tensors: [(name: String, shape: [Int], pointer: UnsafePointer<Float>)], storage: WeightStorage = .fp32
    ) throws(ModelFileError) {
        precondition(configuration.targetModules != nil, "peft can't load an adapter whose targets are not named.")
        try Disk.createFolder(path)
        try Disk.remove(joinPath(path, configurationName))
        let sorted = tensors.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
        var next = 0
        try SafetensorsWriter.write(
            to: joinPath(path, weightsName),
            tensors: sorted.map { TensorDescription(name: $0.name, shape: $0.shape) }, storage: storage
        ) { _ throws(ModelFileError) in
            next += 1
            return sorted[next - 1].pointer
        }
        let isTransposed = model.family.weights == .convolutional
        try Disk.write(json: configuration.json(isTransposed: isTransposed), to: joinPath(path, configurationName))
    }

    /// Paths of the sites whose factors are stored, in byte order.
    private static func adaptedPaths(
        _ file: SafetensorsFile, _ configuration: AdapterConfiguration, _ model: DecoderConfiguration
    ) throws(ModelFileError) -> [String] {
        let prefix = "base_model.model."
        var stems: Set<String> = []
        for entry in file.header.entries {
            let suffix = [".lora_A.weight", ".lora_B.weight"].first { entry.name.hasSuffix($0) }
            guard let suffix, entry.name.hasPrefix(prefix), entry.name.count > prefix.count + suffix.count else {
                throw .unsupportedAdapter(
                    path: file.path,
                    problem: "the tensor `\(entry.name)` is no LoRA factor of a linear layer, "
                        + "only those are supported; merge the adapter with peft instead")
            }
            stems.insert(String(entry.name.dropFirst(prefix.count).dropLast(suffix.count)))
        }
        guard model.mixture != nil else { return sorted(stems) }
        return sorted(Set(stems.map { sitePath($0, stems, configuration, model) }))
    }

    /// The site whose factors have the stem `stem`. Of two stacks on the same experts peft wraps the downs around the
    /// gates and ups; one alone has no `base_layer`, and the configuration tells which it is.
    private static func sitePath(
        _ stem: String, _ stems: Set<String>, _ configuration: AdapterConfiguration, _ model: DecoderConfiguration
    ) -> String {
        let inner = ".base_layer"
        let experts = model.family.names.experts
        if stem.hasSuffix(experts + inner) { return "\(stem.dropLast(inner.count)).gate_up_proj" }
        guard stem.hasSuffix(experts) else { return stem }
        if stems.contains(stem + inner) { return "\(stem).down_proj" }
        let names = configuration.targetParameters + (configuration.targetModules ?? [])
        let isDown = names.contains { $0 == "down_proj" || $0.hasSuffix(".down_proj") }
        return "\(stem).\(isDown ? "down_proj" : "gate_up_proj")"
    }

    private static func sorted(_ names: Set<String>) -> [String] {
        names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    private static func check(_ file: SafetensorsFile, _ layout: ParameterLayout) throws(ModelError) {
        let missing = layout.entries.map(\.name).filter { file[$0] == nil }
        guard missing.isEmpty else { throw .missingTensors(missing) }
        let unexpected = file.header.entries.map(\.name).filter { layout[$0] == nil }
        guard unexpected.isEmpty else { throw .unexpectedTensors(unexpected) }
        for entry in layout.entries {
            guard let found = file[entry.name], found.shape != entry.shape else { continue }
            throw .shapeMismatch(name: entry.name, expected: entry.shape, found: found.shape)
        }
    }
}
