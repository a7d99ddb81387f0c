internal import CKernels

/// How B becomes what the library wants of it.
extension NativeProducts {
    /// Whether B can be packed; which layout it gets depends on the shape and on what it is made of.
    func isPackable(_ gemm: dk_gemm, _ shape: ProductShape) -> Bool {
        pairsHeight(gemm, shape) != nil || shape.packing(transposed: gemm.b_transposed != 0) != nil
    }

    /// The height of blocks of pairs if we pack B ourselves: all but transposed bf16, which only weights are that never
    /// change, so that it is packed once.
    private func pairsHeight(_ gemm: dk_gemm, _ shape: ProductShape) -> Int? {
        operands == .bf16 && (gemm.b != nil || gemm.b_transposed == 0) ? shape.pairsHeight : nil
    }

    /// Memory for packed B, and whether it holds B already.
    func packedMemory(
        _ bytes: Int, transposed: Bool, _ copies: PackedCopies?
    ) -> (pointer: UnsafeMutablePointer<Float>, isCurrent: Bool) {
        let floats = blocks(bytes, of: 4)
        if let copy = copies?.copy(transposed: transposed, floats: floats) { return (copy.memory, copy.isCurrent) }
        return (transient.floats(floats), false)
    }

    /// B in the layout of `shape`: the copy that is kept if it is still that of the weights, else packed now. Rows of B
    /// from `valid` on are zeros.
    func packed(
        _ gemm: dk_gemm, _ shape: ProductShape, valid: Int, _ copies: PackedCopies?, _ compute: Compute
    ) -> UnsafeRawPointer? {
        guard let bytes = shape.packedBytes, isPackable(gemm, shape) else { return nil }
        let memory = packedMemory(bytes, transposed: gemm.b_transposed != 0, copies)
        if !memory.isCurrent { pack(gemm, shape, valid: valid, memory.pointer, compute) }
        return UnsafeRawPointer(memory.pointer)
    }

    /// Packs B, which is packable, into `target`.
    func pack(
        _ gemm: dk_gemm, _ shape: ProductShape, valid: Int, _ target: UnsafeMutableRawPointer, _ compute: Compute
    ) {
        if let height = pairsHeight(gemm, shape) {
            return packPairs(gemm, valid: valid, height: height, target.assumingMemoryBound(to: UInt16.self), compute)
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

    /// B in pairs, in blocks of `height` rows, in one pass.
    private func packPairs(
        _ gemm: dk_gemm, valid: Int, height: Int, _ target: UnsafeMutablePointer<UInt16>, _ compute: Compute
    ) {
        let isTurned = gemm.b_transposed != 0
        let width = Int(DK_PAIR_COLUMNS)
        share(blocks(gemm.columns, of: width), compute.team) { _, block in
            let column = block * width
            let count = min(width, gemm.columns - column)
            let y = target + column * height
            if let b = gemm.b {
                compute.packPairs(
                    y, isTurned ? b + column * gemm.ldb : b + column, step: gemm.ldb, k: valid, columns: count,
                    padded: height, isTurned: isTurned)
            } else if let halves = gemm.b_bf16 {
                compute.packPairs(y, halves + column, step: gemm.ldb, k: valid, columns: count, padded: height)
            }
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
