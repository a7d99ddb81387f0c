package import Terms

/// Which pieces of the flat state become objects, in the order a manifest lists them, and who saves which.
///
/// A piece never crosses a tensor or a role and has at most 4 MiB, so that the same values always give the same
/// objects, whoever saves them.
package struct SavePlan: Sendable, Equatable {
    /// A run of elements in one role's flat vector.
    package struct Piece: Sendable, Equatable {
        package let role: TensorRole
        /// Position in `layout.tensors`.
        package let tensor: Int
        /// First element in the flat vector of `role`.
        package let offset: Int
        /// Elements, 1…1 048 576.
        package let elements: Int
        package var bytes: Int { 4 * elements }
    }

    package let layout: TensorLayout
    /// Saved roles, ascending, the parameters first.
    package let roles: [TensorRole]
    /// Ascending by (tensor, role, offset).
    package let pieces: [Piece]

    /// Bytes of the whole state.
    package var totalBytes: Int { 4 * layout.elements * roles.count }

    /// A plan for `roles`, which include the parameters.
    package init(layout: TensorLayout, roles: [TensorRole] = TensorRole.allCases) {
        let roles = roles.sorted()
        precondition(
            roles.first == .parameter && Set(roles).count == roles.count, "each role once, parameters included")
        let limit = RepositoryLayout.chunkLimit / 4
        var pieces: [Piece] = []
        for (index, tensor) in layout.tensors.enumerated() {
            for role in roles {
                for start in stride(from: 0, to: tensor.elements, by: limit) {
                    pieces.append(
                        Piece(
                            role: role, tensor: index, offset: tensor.offset + start,
                            elements: min(limit, tensor.elements - start)))
                }
            }
        }
        self.layout = layout
        self.roles = roles
        self.pieces = pieces
    }

    /// The pieces (indices into `pieces`) that worker `worker` of `workers` saves.
    ///
    /// Shares are contiguous, tile all pieces, and differ by at most about one piece in bytes; a share may be empty.
    package func share(worker: Int, of workers: Int) -> Range<Int> {
        precondition(workers > 0 && (0..<workers).contains(worker), "a share needs a worker of the group")
        return boundary(worker, workers)..<boundary(worker + 1, workers)
    }

    /// The first piece that starts at or after the fraction `worker / workers` of all bytes.
    private func boundary(_ worker: Int, _ workers: Int) -> Int {
        if worker == workers { return pieces.count }
        // Full width: the product may pass 64 bits for a hostile layout.
        let start = totalBytes.multipliedFullWidth(by: worker)
        let target = workers.dividingFullWidth(start).quotient
        var low = 0
        var sum = 0
        while low < pieces.count, sum < target {
            sum += pieces[low].bytes
            low += 1
        }
        return low
    }

    /// The pieces (indices into `pieces`) whose first element lies in a range of the flat vector, of whatever role.
    package func pieces(startingIn range: Range<Int>) -> [Int] {
        pieces.indices.filter { range.contains(pieces[$0].offset) }
    }

    /// The piece of `role` that holds the element `offset`; nil when there is none.
    package func piece(_ role: TensorRole, holding offset: Int) -> Int? {
        let place = pieces.indices.partitionPoint { index in
            let piece = pieces[index]
            let tensor = layout.tensors[piece.tensor]
            if offset >= tensor.offset + tensor.elements { return true }
            if offset < tensor.offset { return false }
            return piece.role == role ? offset >= piece.offset + piece.elements : piece.role < role
        }
        guard place < pieces.count, pieces[place].role == role, pieces[place].offset <= offset,
            offset < pieces[place].offset + pieces[place].elements
        else { return nil }
        return place
    }

    /// The manifest's tensor list; `digests[i]` names the object of `pieces[i]`.
    package func tensors(digests: [Digest]) -> [Manifest.Tensor] {
        precondition(digests.count == pieces.count, "one digest a piece")
        var tensors: [Manifest.Tensor] = []
        var next = 0
        for (index, tensor) in layout.tensors.enumerated() {
            for role in roles {
                var chunks: [Manifest.Chunk] = []
                while next < pieces.count, pieces[next].tensor == index, pieces[next].role == role {
                    chunks.append(Manifest.Chunk(digest: digests[next], length: pieces[next].bytes))
                    next += 1
                }
                tensors.append(
                    Manifest.Tensor(
                        name: tensor.name, role: role, shape: tensor.shape, bytes: 4 * tensor.elements, chunks: chunks))
            }
        }
        return tensors
    }
}
