internal import CKernels

extension Compute {
    /// `y[t] = table[ids[t]]`: y `[T,D]`, table `[V,D]`.
    package func gather(
        _ y: UnsafeMutablePointer<Float>, table: UnsafePointer<Float>, ids: UnsafePointer<Int32>, rows: Int, width: Int
    ) {
        let kernels = kernels
        team.share(rows, by: 64) { run in
            kernels.pointee.gather(y + run.lowerBound * width, table, ids + run.lowerBound, run.count, width)
        }
    }

    /// `y[t] = table[ids[t]]` in fp32, from a table of either kind.
    package func gather(
        _ y: UnsafeMutablePointer<Float>, table: Matrix, ids: UnsafePointer<Int32>, rows: Int, width: Int
    ) {
        switch table.memory {
        case .fp32(let table): gather(y, table: table, ids: ids, rows: rows, width: width)
        case .bf16(let table):
            let kernels = kernels
            team.share(rows, by: 64) { run in
                for row in run { kernels.pointee.widen_bf16(y + row * width, table + Int(ids[row]) * width, width) }
            }
        }
    }

    /// `dtable[ids[t]] += dy[t]`, in token order; divided by columns, so that no two threads add to one row's element.
    package func scatterAdd(
        _ dtable: UnsafeMutablePointer<Float>, _ dy: UnsafePointer<Float>, ids: UnsafePointer<Int32>, rows: Int,
        width: Int
    ) {
        let kernels = kernels
        team.share(width, by: 128) { columns in
            let d = columns.lowerBound
            kernels.pointee.scatter_add(dtable + d, dy + d, ids, rows, width, columns.count)
        }
    }
}
