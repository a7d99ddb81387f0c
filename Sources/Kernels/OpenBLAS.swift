internal import COpenBLAS

/// The system's OpenBLAS: the yardstick that `bench` holds beside our own matrix products. No training arithmetic uses
/// it.
package enum OpenBLAS {
    /// Its version, build options and the core it chose, in its own words.
    package static var description: String {
        "\(String(cString: openblas_get_config())) on \(String(cString: openblas_get_corename()))"
    }

    /// `y[T,O] = x[T,I] · w[O,I]ᵀ` on `threads` of the library's own threads.
    package static func linear(
        _ y: UnsafeMutablePointer<Float>, _ x: UnsafePointer<Float>, _ w: UnsafePointer<Float>,
        rows: Int, inputs: Int, outputs: Int, threads: Int
    ) {
        openblas_set_num_threads(Int32(threads))
        cblas_sgemm(
            CblasRowMajor, CblasNoTrans, CblasTrans, blasint(rows), blasint(outputs), blasint(inputs), 1, x,
            blasint(inputs), w, blasint(inputs), 0, y, blasint(outputs))
    }
}
