package import Kernels
package import Models
package import Terms

/// A Hugging Face model directory, opened and checked: configuration and every tensor fit before any work starts.
package struct ModelDirectory: Sendable {
    package let path: String
    package let configuration: DecoderConfiguration
    package let tokenizer: TokenizerFiles
    /// Tokens that end a generated text: those of generation_config.json, else those of config.json.
    package let endTokens: [Int]
    /// Names of config.json, generation_config.json (if any), weight and tokenizer files inside `path`, in byte order.
    package let fileNames: [String]
    /// What the model needs, in byte order of names.
    package let table: TensorTable
    /// Where each tensor of `table` is stored, in the same order.
    private let stored: [WeightFiles.StoredTensor]

    /// Opens the directory at `path`; reads configuration and headers, no tensor but a stored copy of a tied head.
    package init(path: String) throws(ModelFileError) {
        guard Disk.hasFolder(path) else {
            throw .missingFile(path: path, advice: "give the path of a model directory in Hugging Face layout")
        }
        let configuration = try Self.readConfiguration(joinPath(path, "config.json"), model: path)
        let weights = try WeightFiles(directory: path)
        let table = TensorTable(configuration)
        do throws(ModelError) {
            let places = try table.places(among: weights.tensors.map { ($0.entry.name, $0.entry.shape) })
            stored = places.map { weights.tensors[$0] }
        } catch { throw .model(path: path, error) }
        for tensor in stored where !tensor.entry.type.widensExactly {
            throw .unsupportedType(path: tensor.file.path, tensor: tensor.entry.name, type: tensor.entry.type.rawValue)
        }
        self.path = path
        self.configuration = configuration
        self.table = table
        tokenizer = TokenizerFiles(directory: path)
        let generation = try Self.generation(directory: path)
        endTokens = Self.tokens(generation?["eos_token_id"]) ?? configuration.endTokens
        let others = ["config.json"] + (generation == nil ? [] : [Self.generationName])
        fileNames = (others + weights.names + tokenizer.names).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        try checkTiedHead(weights)
    }

    /// Name of the file with settings of generation.
    static let generationName = "generation_config.json"

    /// The configuration in the file config.json at `path`; `model` is named in messages.
    package static func readConfiguration(
        _ path: String, model: String? = nil
    ) throws(ModelFileError) -> DecoderConfiguration {
        let json = try Disk.readJSON(path, advice: "a model directory needs a config.json")
        do throws(ModelError) { return try DecoderConfiguration.read(json: json) } catch {
            throw .model(path: model ?? path, error)
        }
    }

    /// The weights of the whole model in fp32, under their canonical names.
    package func loadWeights() throws(ModelFileError) -> LoadedWeights {
        try LoadedWeights(table.tensors.map { TensorDescription(name: $0.name, shape: $0.shape) }) {
            index, target throws(ModelFileError) in
            try read(index, into: target)
        }
    }

    /// The weights of the whole model as frozen ones are kept in `arithmetic`: with bf16 the matrices that products
    /// read and the embedding are bf16, rounded to nearest even where the files hold more, and the rest fp32.
    ///
    /// - Parameter digests: of weight files, by name, that may be read where they lie: their tensors are not copied
    ///   where they are stored as they are kept. Whoever asks for that asks `changedFile` before results are used.
    package func loadWeights(
        for arithmetic: Arithmetic, inPlace digests: [(name: String, digest: Digest)] = []
    ) throws(ModelFileError) -> LoadedWeights {
        let tensors = LoadedWeights.storage(of: table, for: arithmetic)
        var places: [Int: Matrix.Memory] = [:]
        var guards: [(path: String, mapping: FileGuard)] = []
        for (index, tensor) in stored.enumerated() {
            let path = tensor.file.path
            guard let digest = digests.first(where: { joinPath(self.path, $0.name) == path })?.digest,
                let place = tensor.inPlace(as: tensors[index].storage)
            else { continue }
            places[index] = place
            if !guards.contains(where: { $0.path == path }) {
                guards.append((path, FileGuard(tensor.file.mapping, digest: digest)))
            }
        }
        return try LoadedWeights(tensors, at: places, guards.map(\.mapping)) { index, place throws(ModelFileError) in
            switch place {
            case .fp32(let target): try read(index, into: target)
            case .bf16(let target):
                try stored[index].read(into: target)
                stored[index].file.release(stored[index].entry)
            }
        }
    }

    /// Writes every tensor in fp32 to the memory that `place` names for it, which has room for its `count` elements.
    package func loadWeights(
        into place: (TensorSpecification) -> UnsafeMutablePointer<Float>
    ) throws(ModelFileError) {
        for (index, tensor) in table.tensors.enumerated() { try read(index, into: place(tensor)) }
    }

    /// Writes the values of tensor `index` of `table` to `target`; the file's pages need not stay in memory.
    func read(_ index: Int, into target: UnsafeMutablePointer<Float>) throws(ModelFileError) {
        try stored[index].read(into: target)
        stored[index].file.release(stored[index].entry)
    }

    /// `model_sha256` of all tensors: what a full fine-tune that changed nothing would have.
    package func digest() throws(ModelFileError) -> Digest {
        let scratch = UnsafeMutablePointer<Float>.allocate(capacity: table.tensors.map(\.count).max() ?? 1)
        defer { scratch.deallocate() }
        var index = 0
        return try ModelDigest.of(table.tensors.map { TensorDescription(name: $0.name, shape: $0.shape) }) {
            _ throws(ModelFileError) in
            try read(index, into: scratch)
            index += 1
            return UnsafePointer(scratch)
        }
    }

    /// A stored copy of a tied head must be the embedding.
    private func checkTiedHead(_ weights: WeightFiles) throws(ModelFileError) {
        let names = configuration.family.names
        let (head, embedding) = ("\(names.head).weight", "\(names.base)\(names.embedding).weight")
        guard configuration.tiesHead, let copy = weights.tensors.first(where: { $0.entry.name == head }),
            let place = table.tensors.firstIndex(where: { $0.name == embedding })
        else { return }
        let original = stored[place]
        guard copy.entry.type == original.entry.type, copy.entry.shape == original.entry.shape,
            Disk.isEqual(copy.bytes, original.bytes)
        else { throw .headsDiffer(path: copy.file.path, tensor: head, source: embedding) }
    }

    private static func generation(directory: String) throws(ModelFileError) -> JSONValue? {
        let path = joinPath(directory, generationName)
        return Disk.hasFile(path) ? try Disk.readJSON(path) : nil
    }

    /// One token or a list of them, nil when there is none.
    private static func tokens(_ value: JSONValue?) -> [Int]? {
        if let one = value?.int { return [one] }
        guard let list = value?.array?.compactMap(\.int), !list.isEmpty else { return nil }
        return list
    }
}
