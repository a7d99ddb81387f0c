internal import CKernels
internal import COneDNN
internal import Glibc

/// Products of so few rows that they are one block, as generation has them: threads share out the columns instead, on
/// the same packed B. Widths depend on the shape alone.
extension NativeProducts {
    /// The width of a piece: a multiple of the block that B is packed in, at least 192, and at most 32 pieces.
    private static func pieceWidth(_ columns: Int) -> Int {
        max(192, padded(blocks(columns, of: 32), to: Int(DK_PAIR_COLUMNS)))
    }

    /// In how many pieces of columns up to 16 rows of a product are cut; 1 = they are not.
    package func pieces(inputs: Int, outputs: Int) -> Int {
        canCut(shape(k: inputs, columns: outputs)) ? blocks(outputs, of: Self.pieceWidth(outputs)) : 1
    }

    /// The pieces of a product; nil where it is not cut.
    func pieces(_ gemm: dk_gemm, _ shape: ProductShape, rows: Int) -> [Part]? {
        guard rows <= ProductShape.shortest, canCut(shape) else { return nil }
        return columnParts(gemm, by: Self.pieceWidth(gemm.columns), rows: rows)
    }

    /// False where there are too few columns, B is not packed in blocks of columns, or pieces have been seen to give
    /// other bits.
    private func canCut(_ shape: ProductShape) -> Bool {
        if let known = shape.canBeCut { return known }
        let (columns, width) = (shape.key.columns, Self.pieceWidth(shape.key.columns))
        var answer = columns >= 2 * width && shape.pairsHeight != nil
        if answer {
            let pieces = stride(from: 0, to: columns, by: width).map {
                self.shape(k: shape.key.k, columns: min(width, columns - $0))
            }
            answer =
                pieces.allSatisfy { $0.pairsHeight == shape.pairsHeight }
                && (!shape.isTried || giveTheSameBits(shape, pieces, width))
        }
        shape.canBeCut = answer
        return answer
    }

    /// Where each piece begins in packed B.
    func starts(_ parts: [Part], _ shape: ProductShape, _ packed: UnsafeRawPointer) -> [UnsafeRawPointer] {
        let height = shape.pairsHeight ?? 0
        var column = 0
        return parts.map { part in
            defer { column += part.gemm.columns }
            return packed + column * height * width
        }
    }

    /// Whether pieces have the bits of a shortest block.
    private func giveTheSameBits(_ shape: ProductShape, _ pieces: [ProductShape], _ pieceWidth: Int) -> Bool {
        let (rows, k, columns) = (ProductShape.shortest, shape.key.k, shape.key.columns)
        guard let bytes = shape.packedBytes, let height = shape.pairsHeight else { return false }
        let a = FloatBuffer(count: blocks(rows * k * width, of: 4))
        let b = FloatBuffer(count: blocks(bytes, of: 4))
        let (old, whole, part) = (
            FloatBuffer(count: rows * columns), FloatBuffer(count: rows * columns),
            FloatBuffer(count: rows * pieceWidth)
        )
        let bias = FloatBuffer(count: columns)
        odn_fill(a.pointer, rows * k, 1, 1)
        odn_fill(b.pointer, bytes / 2, 1, 2)
        odn_fill(old.pointer, old.count, 0, 3)
        odn_fill(bias.pointer, columns, 0, 4)
        return [(false, false), (true, false), (true, true)].allSatisfy { adds, biased in
            guard let product = shape.product(rows: rows, adds: adds, biased: biased) else { return false }
            whole.pointer.update(from: old.pointer, count: old.count)
            product.run(0, a.pointer, b.pointer, bias.pointer, whole.pointer, dk_scratch(product.scratchBytes))
            return pieces.indices.allSatisfy { index in
                let column = index * pieceWidth
                guard let product = pieces[index].product(rows: rows, adds: adds, biased: biased) else { return false }
                let bytes = product.columns * 4
                for row in 0..<rows {
                    memcpy(part.pointer + row * product.columns, old.pointer + row * columns + column, bytes)
                }
                let start = UnsafeRawPointer(b.pointer) + column * height * width
                product.run(
                    0, a.pointer, start, bias.pointer + column, part.pointer, dk_scratch(product.scratchBytes))
                return (0..<rows).allSatisfy { row in
                    memcmp(
                        part.pointer + row * product.columns, whole.pointer + row * columns + column, bytes) == 0
                }
            }
        }
    }
}
