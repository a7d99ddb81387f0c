package import Checkpoints
package import Terms

/// Moving training state between memory and objects.
extension CheckpointStore {
    /// Stores a share of a plan's pieces (default: all) and returns their digests in order; content durable on return.
    package func save(
        _ plan: SavePlan, share: Range<Int>? = nil, from state: FlatState
    ) throws(StorageError) -> [Digest] {
        try requireWritable()
        precondition(state.elements == plan.layout.elements, "the plan was made for a state of another size")
        let pieces = plan.pieces[share ?? 0..<plan.pieces.count]
        let first = pieces.startIndex
        return try objects.putAll(pieces.count) { index, use in
            let piece = pieces[first + index]
            use(UnsafeRawBufferPointer(state.bytes(piece.role, offset: piece.offset, elements: piece.elements)))
        }
    }

    /// Fills the flat vectors of a live model; every object is hashed before this returns.
    ///
    /// After an error the vectors hold anything: throw them away or restore again.
    package func restore(_ plan: RestorePlan, into state: FlatState) throws(StorageError) {
        try ParallelLoop.run(plan.pieces.count, threads: objects.threads) { (index) throws(StorageError) in
            let piece = plan.pieces[index]
            try objects.read(
                piece.digest, into: state.bytes(piece.role, offset: piece.offset, elements: piece.elements),
                fromDisk: true)
        }
    }

    /// Reads the pieces one after another, each hashed before `use` sees it; `use` returns false to stop.
    package func stream(
        _ plan: RestorePlan, _ use: (RestorePlan.Piece, UnsafeRawBufferPointer) throws(StorageError) -> Bool
    ) throws(StorageError) {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: RepositoryLayout.chunkLimit, alignment: 4096)
        defer { buffer.deallocate() }
        for piece in plan.pieces {
            let bytes = UnsafeMutableRawBufferPointer(rebasing: buffer[0..<piece.bytes])
            try objects.read(piece.digest, into: bytes, fromDisk: true)
            guard try use(piece, UnsafeRawBufferPointer(bytes)) else { return }
        }
    }
}
