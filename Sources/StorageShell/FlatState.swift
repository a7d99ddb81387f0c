package import Checkpoints
import Hashing
package import Terms

/// Training state in memory, owned by the caller: flat fp32 vectors of P elements for parameters and both moments.
///
/// Little-endian machines only, as everything that stores or sends tensors here. A save reads it from several threads,
/// so it must not change meanwhile: saving the live state while the next step runs is how checkpoints go wrong.
package struct FlatState: @unchecked Sendable {
    /// Elements of each vector, P.
    package let elements: Int
    private let vectors: [UnsafeMutablePointer<Float>?]

    /// Vectors of `elements` elements each; the moments may be absent.
    package init(
        elements: Int, parameters: UnsafeMutablePointer<Float>, firstMoment: UnsafeMutablePointer<Float>? = nil,
        secondMoment: UnsafeMutablePointer<Float>? = nil
    ) {
        self.elements = elements
        vectors = [parameters, firstMoment, secondMoment]
    }

    /// Roles that have a vector here.
    package var roles: [TensorRole] { TensorRole.allCases.filter { vectors[$0.rank] != nil } }

    /// The bytes of a run of elements.
    package func bytes(_ role: TensorRole, offset: Int, elements count: Int) -> UnsafeMutableRawBufferPointer {
        precondition(offset >= 0 && count >= 0 && offset <= elements - count, "a run of elements lies in the vector")
        guard let vector = vectors[role.rank] else { preconditionFailure("this state has no \(role.rawValue)") }
        return UnsafeMutableRawBufferPointer(start: vector + offset, count: 4 * count)
    }

    /// `model_sha256`: for each tensor in byte order of the names its name, a zero byte, its fp32 values.
    package func modelDigest(_ layout: TensorLayout) -> Digest {
        var hasher = SHA256Hasher()
        for tensor in layout.tensors {
            hasher.update(utf8: tensor.name + "\0")
            hasher.update(UnsafeRawBufferPointer(bytes(.parameter, offset: tensor.offset, elements: tensor.elements)))
        }
        return hasher.finish()
    }
}
