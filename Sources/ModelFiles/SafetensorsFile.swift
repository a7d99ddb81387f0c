import Terms

/// A safetensors file opened by mapping: the header is checked at once, tensor bytes are read when touched.
package final class SafetensorsFile: Sendable {
    package let path: String
    package let header: SafetensorsHeader
    let mapping: MappedFile
    /// First byte of the data section.
    private let dataStart: Int
    /// Name → index into `header.entries`; only ever asked by key.
    private let positions: [String: Int]

    /// Opens and checks the file at `path`.
    package init(path: String, advice: String = "check the path") throws(ModelFileError) {
        let mapping = try MappedFile(path: path, advice: advice)
        let bytes = mapping.bytes
        func fault(_ problem: String) -> ModelFileError {
            .malformed(path: path, format: .safetensors, problem: problem)
        }
        guard bytes.count >= 8 else { throw fault("it has \(bytes.count) bytes, not even a header length") }
        let length = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
        guard length <= UInt64(SafetensorsLimits.headerBytes) else {
            throw fault("its header claims \(length) bytes, more than \(SafetensorsLimits.headerBytes >> 20) MiB")
        }
        guard length <= UInt64(bytes.count - 8) else {
            throw fault("its header claims \(length) bytes, the file has \(bytes.count - 8) left")
        }
        dataStart = 8 + Int(length)
        header = try SafetensorsHeader(
            json: UnsafeRawBufferPointer(rebasing: bytes[8..<dataStart]), dataCount: bytes.count - dataStart,
            path: path)
        positions = Dictionary(uniqueKeysWithValues: header.entries.enumerated().map { ($1.name, $0) })
        self.path = path
        self.mapping = mapping
    }

    /// The entry called `name`, nil when there is none.
    package subscript(name: String) -> TensorEntry? { positions[name].map { header.entries[$0] } }

    /// The stored bytes of an entry of this file, at any alignment; valid as long as this object lives.
    package func bytes(of entry: TensorEntry) -> UnsafeRawBufferPointer {
        let range = dataStart + entry.range.lowerBound..<dataStart + entry.range.upperBound
        return UnsafeRawBufferPointer(rebasing: mapping.bytes[range])
    }

    /// Writes the values of `entry`, widened to fp32, to `target`, which has room for `entry.count` floats.
    package func read(_ entry: TensorEntry, into target: UnsafeMutablePointer<Float>) throws(ModelFileError) {
        guard entry.type.widensExactly else {
            throw .unsupportedType(path: path, tensor: entry.name, type: entry.type.rawValue)
        }
        Widening.widen(bytes(of: entry), as: entry.type, into: target)
        try mapping.requireWhole()
    }

    /// Forgets the pages of `entry`: they are read from disk again when touched again.
    package func release(_ entry: TensorEntry) {
        mapping.release(dataStart + entry.range.lowerBound..<dataStart + entry.range.upperBound)
    }

    /// The values of `entry` as an array of fp32.
    package func floats(of entry: TensorEntry) throws(ModelFileError) -> [Float] {
        guard entry.type.widensExactly else {
            throw .unsupportedType(path: path, tensor: entry.name, type: entry.type.rawValue)
        }
        let values = [Float](unsafeUninitializedCapacity: entry.count) { target, count in
            if let base = target.baseAddress { Widening.widen(bytes(of: entry), as: entry.type, into: base) }
            count = entry.count
        }
        try mapping.requireWhole()
        return values
    }
}
