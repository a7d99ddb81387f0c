internal import CKernels

/// Rows of one task.
private let run = 16

extension Compute {
    /// `y[T, D] *= factors[T]`, row by row.
    package func scaleRows(
        _ y: UnsafeMutablePointer<Float>, by factors: UnsafePointer<Float>, rows: Int, width: Int
    ) {
        let kernels = kernels
        team.share(rows, by: run) { part in
            let row = part.lowerBound
            kernels.pointee.scale_rows(y + row * width, factors + row, part.count, width)
        }
    }

    /// `out[T]` = the inner products of the rows of x and y, both `[T, D]`.
    package func dotRows(
        _ out: UnsafeMutablePointer<Float>, _ x: UnsafePointer<Float>, _ y: UnsafePointer<Float>, rows: Int, width: Int
    ) {
        let kernels = kernels
        team.share(rows, by: run) { part in
            let row = part.lowerBound
            kernels.pointee.dot_rows(out + row, x + row * width, y + row * width, part.count, width)
        }
    }

    /// `y[columns, rows]` = the transpose of `x[rows, columns]`; rows of each lie `step` elements apart.
    package func turn(
        _ y: UnsafeMutablePointer<Float>, step: Int, _ x: UnsafePointer<Float>, step xStep: Int, rows: Int, columns: Int
    ) { kernels.pointee.turn(y, step, x, xStep, rows, columns) }

    /// The same, rounded to bf16.
    package func narrowTurned(
        _ y: UnsafeMutablePointer<UInt16>, step: Int, _ x: UnsafePointer<Float>, step xStep: Int, rows: Int,
        columns: Int
    ) { kernels.pointee.narrow_turned(y, step, x, xStep, rows, columns) }

    /// One block of `x[k, columns]`, or of `x[columns, k]` if turned, in pairs as `pairs.h` says: at most
    /// `DK_PAIR_COLUMNS` columns, `padded` ≥ k a multiple of 8.
    package func packPairs(
        _ y: UnsafeMutablePointer<UInt16>, _ x: UnsafePointer<Float>, step: Int, k: Int, columns: Int, padded: Int,
        isTurned: Bool
    ) {
        let pack = isTurned ? kernels.pointee.pack_pairs_turned : kernels.pointee.pack_pairs
        pack(y, x, step, k, columns, padded)
    }

    /// The same in bf16.
    package func packPairs(
        _ y: UnsafeMutablePointer<UInt16>, _ x: UnsafePointer<UInt16>, step: Int, k: Int, columns: Int, padded: Int,
        isTurned: Bool
    ) {
        let pack = isTurned ? kernels.pointee.pack_pairs_bf16_turned : kernels.pointee.pack_pairs_bf16
        pack(y, x, step, k, columns, padded)
    }

    /// `y[i] = x[i · step]`.
    package func take(_ y: UnsafeMutablePointer<Float>, _ x: UnsafePointer<Float>, step: Int, count: Int) {
        team.share(count, by: 1 << 14) { part in
            for i in part { y[i] = x[i &* step] }
        }
    }

    /// `y[i · step] = x[i]`.
    package func put(_ y: UnsafeMutablePointer<Float>, _ x: UnsafePointer<Float>, step: Int, count: Int) {
        team.share(count, by: 1 << 14) { part in
            for i in part { y[i &* step] = x[i] }
        }
    }
}
