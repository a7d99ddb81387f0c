internal import CKernels

/// How B becomes what the library wants of it.
extension NativeProducts {
    /// Whether B can be packed; which layout it gets depends on the shape and on what it is made of.
    func isPackable(_ gemm: dk_gemm, _ shape: ProductShape) -> Bool {
        pairsHeight(shape) != nil || shape.packing(transposed: gemm.b_transposed != 0) != nil
    }

    /// The height of blocks of pairs if we pack B ourselves.
    func pairsHeight(_ shape: ProductShape) -> Int? { operands == .bf16 ? shape.pairsHeight : nil }

    /// B in the layout of `shape`: the copy that is kept, else packed now. Rows of B from `valid` on are zeros.
    func packed(
        _ gemm: dk_gemm, _ shape: ProductShape, valid: Int, _ copies: PackedCopies?, _ compute: Compute
    ) -> UnsafeRawPointer? {
        guard let bytes = shape.packedBytes, isPackable(gemm, shape) else { return nil }
        let floats = blocks(bytes, of: 4)
        let copy = copies?.copy(transposed: gemm.b_transposed != 0, floats: floats)
        let memory = copy?.memory ?? transient.floats(floats)
        if copy?.isCurrent != true { pack(gemm, shape, valid: valid, memory, compute) }
        return UnsafeRawPointer(memory)
    }

    /// Packs B, which is packable, into `target`.
    func pack(
        _ gemm: dk_gemm, _ shape: ProductShape, valid: Int, _ target: UnsafeMutableRawPointer, _ compute: Compute
    ) {
        if let height = pairsHeight(shape) {
            return share(blocks(gemm.columns, of: Int(DK_PAIR_COLUMNS)), compute.team) { _, block in
                packPairs(gemm, valid: valid, height: height, block, target, compute)
            }
        }
        guard let packing = shape.packing(transposed: gemm.b_transposed != 0) else {
            preconditionFailure("only what is packable is packed")
        }
        share(packing.slices, compute.team) { slot, slice in
            let columns = packing.columns(of: slice)
            let dense = dk_scratch(columns.count * gemm.k * width)
            stageSlice(gemm, columns, valid: valid, dense, compute)
            packing.run(slot, slice, dense, target)
        }
    }

    /// One block of columns of B in pairs, in blocks of `height` rows.
    func packPairs(
        _ gemm: dk_gemm, valid: Int, height: Int, _ block: Int, _ target: UnsafeMutableRawPointer, _ compute: Compute
    ) {
        let isTurned = gemm.b_transposed != 0
        let column = block * Int(DK_PAIR_COLUMNS)
        let count = min(Int(DK_PAIR_COLUMNS), gemm.columns - column)
        let start = isTurned ? column * gemm.ldb : column
        let y = target.assumingMemoryBound(to: UInt16.self) + column * height
        if let b = gemm.b {
            compute.packPairs(
                y, b + start, step: gemm.ldb, k: valid, columns: count, padded: height, isTurned: isTurned)
        } else if let halves = gemm.b_bf16 {
            compute.packPairs(
                y, halves + start, step: gemm.ldb, k: valid, columns: count, padded: height, isTurned: isTurned)
        }
    }

    /// Some columns of B, side by side as B is stored.
    private func stageSlice(
        _ gemm: dk_gemm, _ columns: Range<Int>, valid: Int, _ target: UnsafeMutableRawPointer, _ compute: Compute
    ) {
        if gemm.b_transposed != 0 {
            return stageB(target, gemm, columns.lowerBound * gemm.k, columns.count * gemm.k, compute)
        }
        let bytes = columns.count * width
        for row in 0..<valid {
            stageB(target + row * bytes, gemm, row * gemm.ldb + columns.lowerBound, columns.count, compute)
        }
        let rest = (gemm.k - valid) * bytes
        if rest > 0 { (target + valid * bytes).initializeMemory(as: UInt8.self, repeating: 0, count: rest) }
    }

    /// `count` elements of B from `start` on, as operands.
    private func stageB(
        _ target: UnsafeMutableRawPointer, _ gemm: dk_gemm, _ start: Int, _ count: Int, _ compute: Compute
    ) {
        if let b = gemm.b { return stage(target, b + start, count, compute) }
        guard let halves = gemm.b_bf16 else { preconditionFailure("a product has a second operand") }
        switch operands {
        case .bf16: target.copyMemory(from: halves + start, byteCount: count * 2)
        case .fp32:
            compute.kernels.pointee.widen_bf16(target.assumingMemoryBound(to: Float.self), halves + start, count)
        }
    }
}
