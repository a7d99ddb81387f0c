import Kernels
import Models
import Terms

/// The weights of a model directory: one safetensors file, or several with an index.
package struct WeightFiles: Sendable {
    /// Names of the files inside the directory, the index included, in byte order.
    package let names: [String]
    private let files: [SafetensorsFile]
    /// Every tensor of every file: files in byte order of their names, tensors in the order of their bytes.
    package let tensors: [StoredTensor]

    /// One tensor and the file it lies in.
    package struct StoredTensor: Sendable {
        package let entry: TensorEntry
        let file: SafetensorsFile

        /// Writes the values, widened to fp32, to `target`, which has room for `entry.count` floats.
        package func read(into target: UnsafeMutablePointer<Float>) throws(ModelFileError) {
            try file.read(entry, into: target)
        }

        /// Writes the values, rounded to bf16, to `target`, which has room for `entry.count` of them.
        func read(into target: UnsafeMutablePointer<UInt16>) throws(ModelFileError) {
            guard entry.type.widensExactly else {
                throw .unsupportedType(path: file.path, tensor: entry.name, type: entry.type.rawValue)
            }
            Widening.narrow(bytes, as: entry.type, into: target)
            try file.mapping.requireWhole()
        }

        /// The bytes as stored, valid as long as this value or its `WeightFiles` lives.
        var bytes: UnsafeRawBufferPointer { file.bytes(of: entry) }

        /// The elements where they lie in the file, when they are stored as they are to be kept, at an address for
        /// them; nil = they have to be copied.
        func inPlace(as storage: WeightStorage) -> Matrix.Memory? {
            guard entry.type == storage.elementType, let base = bytes.baseAddress,
                Int(bitPattern: base) % entry.type.byteCount == 0, 1.littleEndian == 1
            else { return nil }
            switch storage {
            case .fp32: return .fp32(base.assumingMemoryBound(to: Float.self))
            case .bf16: return .bf16(base.assumingMemoryBound(to: UInt16.self))
            }
        }
    }

    /// Name of the file that holds all weights, when they are not sharded.
    package static let single = "model.safetensors"
    /// Name of the file that lists the shards.
    package static let index = "model.safetensors.index.json"
    /// Most shards a model may have.
    static let shardLimit = 4096

    /// Opens the weights in `directory`; a single file goes before an index, as in transformers.
    package init(directory: String) throws(ModelFileError) {
        let singlePath = joinPath(directory, Self.single)
        if Disk.hasFile(singlePath) {
            files = [try SafetensorsFile(path: singlePath)]
            names = [Self.single]
        } else {
            let shards = try Self.shards(directory: directory)
            var opened: [SafetensorsFile] = []
            for (shard, tensors) in shards {
                let file = try SafetensorsFile(
                    path: joinPath(directory, shard), advice: "\(Self.index) names it; finish the download")
                for name in tensors where file[name] == nil {
                    throw .malformed(
                        path: joinPath(directory, Self.index), format: .safetensorsIndex,
                        problem: "it places the tensor `\(printable(name))` in \(shard), which does not hold it")
                }
                opened.append(file)
            }
            files = opened
            names = (shards.map(\.name) + [Self.index]).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        }
        tensors = files.flatMap { file in file.header.entries.map { StoredTensor(entry: $0, file: file) } }
        try checkNames(directory: directory)
    }

    /// Shard files with the tensors the index places in them, both in byte order.
    private static func shards(
        directory: String
    ) throws(ModelFileError) -> [(name: String, tensors: [String])] {
        let path = joinPath(directory, index)
        let json = try Disk.readJSON(
            path, format: .safetensorsIndex, limit: SafetensorsLimits.headerBytes,
            advice: "a model directory needs \(single) or \(index); weights in other formats must be converted first")
        func fault(_ problem: String) -> ModelFileError {
            .malformed(path: path, format: .safetensorsIndex, problem: problem)
        }
        guard let map = json["weight_map"]?.object else { throw fault("it has no object `weight_map`") }
        guard map.members.count <= SafetensorsLimits.tensors else {
            throw fault("it lists more than \(SafetensorsLimits.tensors) tensors")
        }
        var pairs: [(file: String, tensor: String)] = []
        for (tensor, value) in map.members {
            guard let file = value.string, isShardName(file) else {
                throw fault("tensor `\(printable(tensor))` is not placed in a .safetensors file of this folder")
            }
            pairs.append((file, tensor))
        }
        pairs.sort {
            $0.file == $1.file
                ? $0.tensor.utf8.lexicographicallyPrecedes($1.tensor.utf8)
                : $0.file.utf8.lexicographicallyPrecedes($1.file.utf8)
        }
        var shards: [(name: String, tensors: [String])] = []
        for pair in pairs {
            if shards.last?.name != pair.file { shards.append((pair.file, [])) }
            shards[shards.count - 1].tensors.append(pair.tensor)
        }
        guard shards.count <= shardLimit else { throw fault("it names more than \(shardLimit) files") }
        return shards
    }

    /// A bare file name that can't lead out of the folder.
    private static func isShardName(_ name: String) -> Bool {
        name.hasSuffix(".safetensors") && name.utf8.count <= 255 && name.utf8.first != UInt8(ascii: ".")
            && name.utf8.allSatisfy { byte in
                switch byte {
                case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F: true
                default: false
                }
            }
    }

    /// Two shards must not hold tensors of the same name.
    private func checkNames(directory: String) throws(ModelFileError) {
        var seen: Set<String> = []
        for tensor in tensors where !seen.insert(tensor.entry.name).inserted {
            throw .malformed(
                path: tensor.file.path, format: .safetensors,
                problem: "tensor `\(tensor.entry.name)` also stands in another file of \(directory)")
        }
    }
}
