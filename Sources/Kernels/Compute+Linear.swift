internal import CKernels
internal import COpenBLAS

extension Compute {
    /// `y[T,O] (+)= x[T,I] · w[O,I]ᵀ + bias[O]`; weights in Hugging Face's `nn.Linear` layout.
    package func linear(
        _ y: UnsafeMutablePointer<Float>, _ x: UnsafePointer<Float>, _ w: UnsafePointer<Float>,
        bias: UnsafePointer<Float>?, rows: Int, inputs: Int, outputs: Int, accumulate: Bool
    ) {
        sgemm(y, x, w, transposeA: false, transposeB: true, rows, outputs, inputs, accumulate)
        addBias(y, bias, rows: rows, outputs: outputs)
    }

    /// `dx[T,I] (+)= dy[T,O] · w[O,I]`.
    package func linearInputGradient(
        _ dx: UnsafeMutablePointer<Float>, _ dy: UnsafePointer<Float>, _ w: UnsafePointer<Float>,
        rows: Int, inputs: Int, outputs: Int, accumulate: Bool
    ) {
        sgemm(dx, dy, w, transposeA: false, transposeB: false, rows, inputs, outputs, accumulate)
    }

    /// `dw[O,I] += dy[T,O]ᵀ · x[T,I]`.
    package func linearWeightGradient(
        _ dw: UnsafeMutablePointer<Float>, _ dy: UnsafePointer<Float>, _ x: UnsafePointer<Float>,
        rows: Int, inputs: Int, outputs: Int
    ) {
        sgemm(dw, dy, x, transposeA: true, transposeB: false, outputs, inputs, rows, true)
    }

    /// `y[T,O] (+)= x[T,I] · w[I,O] + bias[O]`; weights in GPT-2's `Conv1D` layout.
    package func linearTransposed(
        _ y: UnsafeMutablePointer<Float>, _ x: UnsafePointer<Float>, _ w: UnsafePointer<Float>,
        bias: UnsafePointer<Float>?, rows: Int, inputs: Int, outputs: Int, accumulate: Bool
    ) {
        sgemm(y, x, w, transposeA: false, transposeB: false, rows, outputs, inputs, accumulate)
        addBias(y, bias, rows: rows, outputs: outputs)
    }

    /// `dx[T,I] (+)= dy[T,O] · w[I,O]ᵀ`.
    package func linearTransposedInputGradient(
        _ dx: UnsafeMutablePointer<Float>, _ dy: UnsafePointer<Float>, _ w: UnsafePointer<Float>,
        rows: Int, inputs: Int, outputs: Int, accumulate: Bool
    ) {
        sgemm(dx, dy, w, transposeA: false, transposeB: true, rows, inputs, outputs, accumulate)
    }

    /// `dw[I,O] += x[T,I]ᵀ · dy[T,O]`.
    package func linearTransposedWeightGradient(
        _ dw: UnsafeMutablePointer<Float>, _ dy: UnsafePointer<Float>, _ x: UnsafePointer<Float>,
        rows: Int, inputs: Int, outputs: Int
    ) {
        sgemm(dw, x, dy, transposeA: true, transposeB: false, inputs, outputs, rows, true)
    }

    /// `db[O] +=` column sums of `dy[T,O]`.
    package func biasGradient(_ db: UnsafeMutablePointer<Float>, _ dy: UnsafePointer<Float>, rows: Int, outputs: Int) {
        dk_bias_gradient_f32_reference(db, dy, rows, outputs)
    }

    private func addBias(_ y: UnsafeMutablePointer<Float>, _ bias: UnsafePointer<Float>?, rows: Int, outputs: Int) {
        guard let bias else { return }
        for row in 0..<rows {
            for column in 0..<outputs { y[row * outputs + column] += bias[column] }
        }
    }

    private func sgemm(
        _ c: UnsafeMutablePointer<Float>, _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>,
        transposeA: Bool, transposeB: Bool, _ m: Int, _ n: Int, _ k: Int, _ accumulate: Bool
    ) {
        cblas_sgemm(
            CblasRowMajor, transposeA ? CblasTrans : CblasNoTrans, transposeB ? CblasTrans : CblasNoTrans,
            blasint(m), blasint(n), blasint(k), 1, a, blasint(transposeA ? m : k), b, blasint(transposeB ? k : n),
            accumulate ? 1 : 0, c, blasint(n))
    }
}
