internal import CKernels

extension Compute {
    /// `y[T,O] (+)= x[T,I] · w[O,I]ᵀ + bias[O]`; weights in Hugging Face's `nn.Linear` layout.
    package func linear(
        _ y: UnsafeMutablePointer<Float>, _ x: UnsafePointer<Float>, _ w: Matrix,
        bias: UnsafePointer<Float>?, rows: Int, inputs: Int, outputs: Int, accumulate: Bool
    ) {
        let gemm = dk_gemm(
            c: y, a: x, b: w, bias: bias, ldc: outputs, lda: inputs, ldb: inputs, k: inputs, columns: outputs,
            bTransposed: true, accumulate: accumulate)
        multiply(gemm, rows: rows, copies: w.copies)
    }

    /// `dx[T,I] (+)= dy[T,O] · w[O,I]`.
    package func linearInputGradient(
        _ dx: UnsafeMutablePointer<Float>, _ dy: UnsafePointer<Float>, _ w: Matrix,
        rows: Int, inputs: Int, outputs: Int, accumulate: Bool
    ) {
        linearTransposed(
            dx, dy, w, bias: nil, rows: rows, inputs: outputs, outputs: inputs, accumulate: accumulate)
    }

    /// `dw[O,I] += dy[T,O]ᵀ · x[T,I]`.
    package func linearWeightGradient(
        _ dw: UnsafeMutablePointer<Float>, _ dy: UnsafePointer<Float>, _ x: UnsafePointer<Float>,
        rows: Int, inputs: Int, outputs: Int
    ) {
        let gemm = dk_gemm(
            c: dw, a: dy, b: Matrix(.fp32(x)), ldc: inputs, lda: outputs, ldb: inputs, k: rows, columns: inputs,
            aTransposed: true, accumulate: true)
        multiply(gemm, rows: outputs)
    }

    /// `y[T,O] (+)= x[T,I] · w[I,O] + bias[O]`; weights in GPT-2's `Conv1D` layout.
    package func linearTransposed(
        _ y: UnsafeMutablePointer<Float>, _ x: UnsafePointer<Float>, _ w: Matrix,
        bias: UnsafePointer<Float>?, rows: Int, inputs: Int, outputs: Int, accumulate: Bool
    ) {
        let gemm = dk_gemm(
            c: y, a: x, b: w, bias: bias, ldc: outputs, lda: inputs, ldb: outputs, k: inputs, columns: outputs,
            accumulate: accumulate)
        multiply(gemm, rows: rows, copies: w.copies)
    }

    /// `dx[T,I] (+)= dy[T,O] · w[I,O]ᵀ`.
    package func linearTransposedInputGradient(
        _ dx: UnsafeMutablePointer<Float>, _ dy: UnsafePointer<Float>, _ w: Matrix,
        rows: Int, inputs: Int, outputs: Int, accumulate: Bool
    ) {
        linear(dx, dy, w, bias: nil, rows: rows, inputs: outputs, outputs: inputs, accumulate: accumulate)
    }

    /// `dw[I,O] += x[T,I]ᵀ · dy[T,O]`.
    package func linearTransposedWeightGradient(
        _ dw: UnsafeMutablePointer<Float>, _ dy: UnsafePointer<Float>, _ x: UnsafePointer<Float>,
        rows: Int, inputs: Int, outputs: Int
    ) {
        linearWeightGradient(dw, x, dy, rows: rows, inputs: outputs, outputs: inputs)
    }

    /// `db[O] +=` column sums of `dy[T,O]`, in runs of 64 rows added in order.
    package func biasGradient(_ db: UnsafeMutablePointer<Float>, _ dy: UnsafePointer<Float>, rows: Int, outputs: Int) {
        columnSums(db, dy, step: outputs, rows: rows, columns: outputs)
    }

    /// `sums[columns] +=` column sums of x, whose `rows` lie `step` floats apart, in runs of 64 rows added in order.
    func columnSums(
        _ sums: UnsafeMutablePointer<Float>, _ x: UnsafePointer<Float>, step: Int, rows: Int, columns: Int
    ) {
        let kernels = kernels
        team.share(columns, by: Int(DK_COLUMNS)) { part in
            kernels.pointee.column_sums(sums + part.lowerBound, x + part.lowerBound, step, rows, part.count)
        }
    }
}

/// The same with fp32 weights.
extension Compute {
    /// `y[T,O] (+)= x[T,I] · w[O,I]ᵀ + bias[O]`.
    package func linear(
        _ y: UnsafeMutablePointer<Float>, _ x: UnsafePointer<Float>, _ w: UnsafePointer<Float>,
        bias: UnsafePointer<Float>?, rows: Int, inputs: Int, outputs: Int, accumulate: Bool
    ) {
        linear(
            y, x, Matrix(.fp32(w)), bias: bias, rows: rows, inputs: inputs, outputs: outputs, accumulate: accumulate)
    }

    /// `dx[T,I] (+)= dy[T,O] · w[O,I]`.
    package func linearInputGradient(
        _ dx: UnsafeMutablePointer<Float>, _ dy: UnsafePointer<Float>, _ w: UnsafePointer<Float>,
        rows: Int, inputs: Int, outputs: Int, accumulate: Bool
    ) {
        linearInputGradient(
            dx, dy, Matrix(.fp32(w)), rows: rows, inputs: inputs, outputs: outputs, accumulate: accumulate)
    }

    /// `y[T,O] (+)= x[T,I] · w[I,O] + bias[O]`.
    package func linearTransposed(
        _ y: UnsafeMutablePointer<Float>, _ x: UnsafePointer<Float>, _ w: UnsafePointer<Float>,
        bias: UnsafePointer<Float>?, rows: Int, inputs: Int, outputs: Int, accumulate: Bool
    ) {
        linearTransposed(
            y, x, Matrix(.fp32(w)), bias: bias, rows: rows, inputs: inputs, outputs: outputs, accumulate: accumulate)
    }

    /// `dx[T,I] (+)= dy[T,O] · w[I,O]ᵀ`.
    package func linearTransposedInputGradient(
        _ dx: UnsafeMutablePointer<Float>, _ dy: UnsafePointer<Float>, _ w: UnsafePointer<Float>,
        rows: Int, inputs: Int, outputs: Int, accumulate: Bool
    ) {
        linearTransposedInputGradient(
            dx, dy, Matrix(.fp32(w)), rows: rows, inputs: inputs, outputs: outputs, accumulate: accumulate)
    }
}
