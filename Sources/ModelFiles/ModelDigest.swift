import Hashing
package import Terms

/// `model_sha256`: SHA-256 over, for each trained tensor in byte order of its PEFT or HF name, the name, a zero byte
/// and the fp32 values in little-endian order.
package enum ModelDigest {
    /// The digest of tensors in memory; `values` is asked once per tensor, in byte order of the names, and what it
    /// returns must hold `count` values and stay valid until the next call.
    package static func of(
        _ tensors: [TensorDescription],
        values: (TensorDescription) throws(ModelFileError) -> UnsafePointer<Float>
    ) throws(ModelFileError) -> Digest {
        var hasher = SHA256Hasher()
        for tensor in tensors.sorted(by: { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }) {
            hasher.update(utf8: tensor.name)
            hasher.update([0] as [UInt8])
            hasher.update(UnsafeRawBufferPointer(start: try values(tensor), count: tensor.count * 4))
        }
        return hasher.finish()
    }

    /// The digest recomputed from a written file; values stored narrower are widened to fp32 first.
    package static func of(_ file: SafetensorsFile) throws(ModelFileError) -> Digest {
        let names = file.header.entries.map { TensorDescription(name: $0.name, shape: $0.shape) }
        let largest = file.header.entries.map(\.count).max() ?? 0
        let scratch = UnsafeMutablePointer<Float>.allocate(capacity: max(largest, 1))
        defer { scratch.deallocate() }
        return try of(names) { tensor throws(ModelFileError) in
            guard let entry = file[tensor.name] else { preconditionFailure("The name comes from this file.") }
            try file.read(entry, into: scratch)
            return UnsafePointer(scratch)
        }
    }
}
