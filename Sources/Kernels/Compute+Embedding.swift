internal import CKernels

extension Compute {
    /// `y[t] = table[ids[t]]`: y `[T,D]`, table `[V,D]`.
    package func gather(
        _ y: UnsafeMutablePointer<Float>, table: UnsafePointer<Float>, ids: UnsafePointer<Int32>, rows: Int, width: Int
    ) {
        dk_gather_f32_reference(y, table, ids, rows, width)
    }

    /// `dtable[ids[t]] += dy[t]`, in token order.
    package func scatterAdd(
        _ dtable: UnsafeMutablePointer<Float>, _ dy: UnsafePointer<Float>, ids: UnsafePointer<Int32>, rows: Int, width: Int
    ) {
        dk_scatter_add_f32_reference(dtable, dy, ids, rows, width)
    }
}
