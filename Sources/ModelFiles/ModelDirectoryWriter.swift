import Glibc
package import Models

/// Writes model directories that other tools load: fresh models, full fine-tunes, merged adapters.
package enum ModelDirectoryWriter {
    /// Writes config.json, model.safetensors and what belongs to them to the folder `path`, which is made when missing.
    ///
    /// Every file appears whole or not at all; config.json comes last, so that an interrupted directory does not open.
    /// - Parameters:
    ///   - configuration: written as it was read, with the stored type set to `storage`.
    ///   - companions: folder whose tokenizer files, chat template and generation_config.json are copied; nil = none.
    ///   - values: called once per tensor of the model, in byte order of names; what it returns must stay valid until
    ///     the next call.
    package static func write(
        to path: String, configuration: DecoderConfiguration, companions: String? = nil, storage: WeightStorage = .fp32,
        values: (TensorSpecification) throws(ModelFileError) -> UnsafePointer<Float>
    ) throws(ModelFileError) {
        if Disk.hasFile(joinPath(path, WeightFiles.index)) {
            throw .occupied(path: path, file: WeightFiles.index)
        }
        try Disk.createFolder(path)
        try Disk.remove(joinPath(path, "config.json"))
        if let companions { try copyCompanions(from: companions, to: path) }
        let table = TensorTable(configuration)
        let tensors = table.tensors.map { TensorDescription(name: $0.name, shape: $0.shape) }
        var next = 0
        try SafetensorsWriter.write(to: joinPath(path, WeightFiles.single), tensors: tensors, storage: storage) {
            _ throws(ModelFileError) in
            next += 1
            return try values(table.tensors[next - 1])
        }
        try Disk.write(json: configuration.json(storedAs: storage.torchName), to: joinPath(path, "config.json"))
    }

    private static func copyCompanions(from source: String, to path: String) throws(ModelFileError) {
        for name in TokenizerFiles(directory: source).names + [ModelDirectory.generationName] {
            let file = joinPath(source, name)
            guard Disk.hasFile(file), !Disk.isSame(file, joinPath(path, name)) else { continue }
            try Disk.copy(file, to: joinPath(path, name))
        }
    }
}
