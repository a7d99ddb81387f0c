internal import CKernels

/// Products one side of B of which is as long as a vocabulary: the head, and its input's gradient. They have few rows
/// and large B, so that rows alone would leave most threads idle, and B is cut as well. Cuts depend on the shape alone.
extension NativeProducts {
    /// Columns, or k, from which on B is cut.
    private static let longSide = 16384
    /// Columns of a part: a part of B, a block of A and one of C fit in a core's own cache together.
    private static let partColumns = 512
    /// k of a part.
    private static let partSum = 1024

    /// One part of a product, with the shape that runs it.
    struct Part {
        let gemm: dk_gemm
        let shape: ProductShape
        let blocks: RowBlocks
    }

    /// Whether `runLong` is for this product.
    func isLong(_ gemm: dk_gemm) -> Bool {
        gemm.columns > Self.longSide || gemm.k > Self.longSide && gemm.b_transposed == 0
    }

    /// `run` for products that are long.
    func runLong(_ gemm: dk_gemm, rows: Int, room: Int, copies: PackedCopies?, _ compute: Compute) -> Bool {
        let isWide = gemm.columns > Self.longSide
        guard let parts = isWide ? columnParts(gemm, by: Self.partColumns, rows: rows) : sumParts(gemm, rows: rows),
            let packed = packed(parts, copies, compute)
        else { return false }
        if isWide {
            runColumns(gemm, parts, packed, rows: rows, compute)
            return true
        }
        for (index, part) in parts.enumerated() {
            let b: UnsafeRawPointer
            switch packed {
            case .whole(let starts): b = starts[index]
            case .whenDue(let bytes):
                let memory = transient.floats(blocks(bytes, of: 4))
                pack(part.gemm, part.shape, valid: part.gemm.k, memory, compute)
                b = UnsafeRawPointer(memory)
            }
            run(part.gemm, part.blocks, b, rows: rows, room: room, compute)
        }
        return true
    }

    /// Packed B of a product in parts.
    enum PackedParts {
        /// Where that of each part begins.
        case whole([UnsafeRawPointer])
        /// Each part is packed when its turn comes, and has so many bytes at most.
        case whenDue(bytes: Int)
    }

    /// nil where the library refuses one.
    func parts(
        _ gemm: dk_gemm, _ total: Int, by size: Int, rows: Int, cut: (inout dk_gemm, Range<Int>) -> Void
    ) -> [Part]? {
        var parts: [Part] = []
        for start in stride(from: 0, to: total, by: size) {
            var part = gemm
            cut(&part, start..<min(total, start + size))
            let shape = shape(k: part.k, columns: part.columns)
            guard let blocks = rowBlocks(part, shape, rows: rows), isPackable(part, shape) else { return nil }
            parts.append(Part(gemm: part, shape: shape, blocks: blocks))
        }
        return parts
    }

    func columnParts(_ gemm: dk_gemm, by width: Int, rows: Int) -> [Part]? {
        parts(gemm, gemm.columns, by: width, rows: rows) { part, columns in
            let shift = columns.lowerBound * (gemm.b_transposed != 0 ? gemm.ldb : 1)
            part.c += columns.lowerBound
            (part.b, part.b_bf16) = (part.b.map { $0 + shift }, part.b_bf16.map { $0 + shift })
            part.bias = part.bias.map { $0 + columns.lowerBound }
            part.columns = columns.count
        }
    }

    /// Parts that add up in order.
    private func sumParts(_ gemm: dk_gemm, rows: Int) -> [Part]? {
        parts(gemm, gemm.k, by: Self.partSum, rows: rows) { part, run in
            let shift = run.lowerBound * gemm.ldb
            part.a += run.lowerBound
            (part.b, part.b_bf16) = (part.b.map { $0 + shift }, part.b_bf16.map { $0 + shift })
            part.k = run.count
            if run.lowerBound > 0 { (part.accumulate, part.bias) = (1, nil) }
        }
    }

    /// The copy that is kept, packed now if it is not yet; where none is, parts are packed when they are due.
    private func packed(_ parts: [Part], _ copies: PackedCopies?, _ compute: Compute) -> PackedParts? {
        var starts: [Int] = []
        var (bytes, largest) = (0, 0)
        for part in parts {
            guard let own = part.shape.packedBytes else { return nil }
            starts.append(bytes)
            bytes += padded(own, to: 64)
            largest = max(largest, own)
        }
        let isTurned = parts[0].gemm.b_transposed != 0
        let copy = copies?.copy(transposed: isTurned, floats: blocks(bytes, of: 4))
        if copy == nil, parts.allSatisfy({ pairsHeight($0.shape) != nil }) { return .whenDue(bytes: largest) }
        let memory = copy?.memory ?? transient.floats(blocks(bytes, of: 4))
        let target = UnsafeMutableRawPointer(memory)
        if copy?.isCurrent != true {
            for (part, start) in zip(parts, starts) {
                pack(part.gemm, part.shape, valid: part.gemm.k, target + start, compute)
            }
        }
        return .whole(starts.map { UnsafeRawPointer(target + $0) })
    }

    /// A becomes operands once; then each part is one task, which keeps its B in the core's own cache from one block of
    /// rows to the next.
    func runColumns(_ gemm: dk_gemm, _ parts: [Part], _ packed: PackedParts, rows: Int, _ compute: Compute) {
        let run = ProductShape.shortest
        let height = parts.reduce(0) { max($0, $1.blocks.height * $1.blocks.count) }
        let operands = UnsafeMutableRawPointer(stagedRows.floats(height * gemm.k))
        share(height / run, compute.team) { _, task in
            let first = min(rows, task * run)
            stageRows(
                gemm, first..<min(rows, first + run), run, operands + task * run * gemm.k * width, compute)
        }
        share(parts.count, compute.team) { slot, task in
            let part = parts[task]
            switch packed {
            case .whole(let starts):
                let scratch = BlockScratch(part.blocks, packed: 0)
                runPart(part, operands, starts[task], scratch, rows: rows, slot)
            case .whenDue(let bytes):
                guard let height = pairsHeight(part.shape) else {
                    preconditionFailure("only pairs are packed when due")
                }
                let scratch = BlockScratch(part.blocks, packed: bytes)
                for block in 0..<blocks(part.gemm.columns, of: Int(DK_PAIR_COLUMNS)) {
                    packPairs(part.gemm, valid: part.gemm.k, height: height, block, scratch.packed, compute)
                }
                runPart(part, operands, scratch.packed, scratch, rows: rows, slot)
            }
        }
    }

    /// One part of `runColumns`, on one thread.
    private func runPart(
        _ part: Part, _ operands: UnsafeMutableRawPointer, _ packed: UnsafeRawPointer, _ scratch: BlockScratch,
        rows: Int, _ slot: Int
    ) {
        let (gemm, blocks, tile) = (part.gemm, part.blocks, scratch.tile)
        for block in 0..<blocks.count {
            let row = block * blocks.height
            let product = blocks[block]
            let c = gemm.c + row * gemm.ldc
            let valid = min(product.rows, rows - row)
            if gemm.accumulate != 0 {
                for i in 0..<valid { (tile + i * gemm.columns).update(from: c + i * gemm.ldc, count: gemm.columns) }
            }
            product.run(slot, operands + row * gemm.k * width, packed, gemm.bias, tile, scratch.own)
            for i in 0..<valid { (c + i * gemm.ldc).update(from: tile + i * gemm.columns, count: gemm.columns) }
        }
    }
}
