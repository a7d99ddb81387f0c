import Terms

/// A tensor about to be written or expected to be read: its full name and row-major sizes.
package struct TensorDescription: Sendable, Equatable {
    package let name: String
    package let shape: [Int]

    package init(name: String, shape: [Int]) {
        self.name = name
        self.shape = shape
    }

    /// Number of elements, the product of `shape`.
    package var count: Int { shape.reduce(1, *) }
}

/// How weights are stored in files we write.
package enum WeightStorage: String, Sendable {
    case fp32
    case bf16

    /// The number format in the file.
    package var elementType: ElementType { self == .fp32 ? .f32 : .bf16 }
    /// PyTorch's name, as it stands in config.json.
    package var torchName: String { self == .fp32 ? "float32" : "bfloat16" }
}

/// Writes safetensors files that are a function of their contents alone: tensors in byte order of their names, data
/// aligned to 64 bytes by spaces after the header.
package enum SafetensorsWriter {
    /// Writes the file durably and atomically.
    ///
    /// - Parameters:
    ///   - tensors: any order; names must differ and be legal tensor names.
    ///   - storage: fp32 as is, or bf16 rounded to nearest even.
    ///   - metadata: `{"format": "pt"}` unless told otherwise.
    ///   - values: called once per tensor in the order of the file; what it returns must hold `count` values and stay
    ///     valid until the next call.
    package static func write(
        to path: String, tensors: [TensorDescription], storage: WeightStorage = .fp32,
        metadata: [(key: String, value: String)] = [("format", "pt")],
        values: (TensorDescription) throws(ModelFileError) -> UnsafePointer<Float>
    ) throws(ModelFileError) {
        let sorted = tensors.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
        let file = try AtomicFile(path: path)
        try write(header(of: sorted, type: storage.elementType, metadata: metadata), to: file)
        for tensor in sorted {
            let values = UnsafeBufferPointer(start: try values(tensor), count: tensor.count)
            switch storage {
            case .fp32: try file.write(UnsafeRawBufferPointer(values))
            case .bf16: try writeNarrowed(values, to: file)
            }
        }
        try file.publish()
    }

    /// The length word and the JSON header, padded so that the data starts at a multiple of 64 bytes.
    static func header(
        of tensors: [TensorDescription], type: ElementType, metadata: [(key: String, value: String)]
    ) -> [UInt8] {
        var members: [(key: String, value: JSONValue)] = []
        if !metadata.isEmpty {
            members.append(("__metadata__", .object(JSONObject(metadata.map { ($0.key, .string($0.value)) }))))
        }
        var offset = 0
        var previous: String?
        for tensor in tensors {
            precondition(tensor.name != previous, "Two tensors of one file must not share a name.")
            previous = tensor.name
            let end = offset + tensor.count * type.byteCount
            members.append(
                (
                    tensor.name,
                    .members([
                        "dtype": .string(type.rawValue), "shape": .array(tensor.shape.map(JSONValue.int)),
                        "data_offsets": .array([.int(offset), .int(end)]),
                    ])
                ))
            offset = end
        }
        var json = JSONValue.object(JSONObject(members)).encoded()
        json += [UInt8](repeating: 0x20, count: (64 - (json.count + 8) % 64) % 64)
        return withUnsafeBytes(of: UInt64(json.count).littleEndian) { Array($0) } + json
    }

    private static func write(_ bytes: [UInt8], to file: AtomicFile) throws(ModelFileError) {
        var failure: ModelFileError?
        bytes.withUnsafeBytes { buffer in
            do throws(ModelFileError) { try file.write(buffer) } catch { failure = error }
        }
        if let failure { throw failure }
    }

    private static func writeNarrowed(
        _ values: UnsafeBufferPointer<Float>, to file: AtomicFile
    ) throws(ModelFileError) {
        let piece = UnsafeMutableBufferPointer<UInt16>.allocate(capacity: 1 << 19)
        defer { piece.deallocate() }
        for start in stride(from: 0, to: values.count, by: piece.count) {
            let count = min(piece.count, values.count - start)
            for index in 0..<count { piece[index] = Widening.bf16(values[start + index]).littleEndian }
            try file.write(UnsafeRawBufferPointer(UnsafeMutableBufferPointer(rebasing: piece[..<count])))
        }
    }
}
