package import Terms

/// Which object goes where in the flat state of a live model; made only when the checkpoint fits that model exactly.
package struct RestorePlan: Sendable, Equatable {
    /// One object and its place.
    package struct Piece: Sendable, Equatable {
        package let role: TensorRole
        /// First element in the flat vector of `role`.
        package let offset: Int
        package let elements: Int
        package let digest: Digest
        package var bytes: Int { 4 * elements }
    }

    /// Ascending by (tensor, role, offset); together they tile the flat vector of every role.
    package let pieces: [Piece]

    /// Bytes to read.
    package var totalBytes: Int { pieces.reduce(0) { $0 + $1.bytes } }

    /// A plan for `roles` of `layout`; refuses a checkpoint with other tensors, shapes or too few roles.
    ///
    /// `manifest` has passed `validate()`. Roles that the checkpoint has beyond `roles` are left out.
    package init(
        manifest: Manifest, layout: TensorLayout, roles: [TensorRole] = TensorRole.allCases
    ) throws(CheckpointError) {
        let stored = manifest.tensors.filter { roles.contains($0.role) }
        var next = 0
        var pieces: [Piece] = []
        for tensor in layout.tensors {
            for role in roles.sorted() {
                guard next < stored.count else {
                    throw .mismatch(tensor: tensor.name, problem: "the checkpoint has no `\(role.rawValue)` of it")
                }
                let found = stored[next]
                guard found.name == tensor.name, found.role == role else {
                    throw .mismatch(
                        tensor: tensor.name,
                        problem: "the checkpoint has `\(found.role.rawValue)` of `\(found.name)` where "
                            + "`\(role.rawValue)` of it should stand")
                }
                guard found.shape == tensor.shape else {
                    throw .mismatch(
                        tensor: tensor.name, problem: "shape \(found.shape) in the checkpoint, \(tensor.shape) here")
                }
                var offset = tensor.offset
                for chunk in found.chunks {
                    pieces.append(
                        Piece(
                            role: role, offset: offset, elements: chunk.length / 4, digest: chunk.digest))
                    offset += chunk.length / 4
                }
                next += 1
            }
        }
        guard next == stored.count else {
            throw .mismatch(tensor: stored[next].name, problem: "the model here has no such tensor")
        }
        self.pieces = pieces
    }

    /// The layout that a manifest was saved from.
    package static func layout(of manifest: Manifest) throws(CheckpointError) -> TensorLayout {
        try TensorLayout(manifest.tensors.filter { $0.role == .parameter }.map { ($0.name, $0.shape) })
    }
}
