internal import CKernels

extension Compute {
    /// RMSNorm: `y[T,D] = x·r·w`, `r[t] = 1/sqrt(mean x² + epsilon)` kept in `rstd[T]`.
    package func rmsNorm(
        _ y: UnsafeMutablePointer<Float>, rstd: UnsafeMutablePointer<Float>, _ x: UnsafePointer<Float>,
        weight: UnsafePointer<Float>, rows: Int, width: Int, epsilon: Float
    ) {
        dk_rmsnorm_f32_reference(y, rstd, x, weight, rows, width, epsilon)
    }

    /// Gradient of `rmsNorm`: `dx[T,D]` is overwritten or added to (`accumulate`), `dw[D]` is always added to.
    package func rmsNormBackward(
        _ dx: UnsafeMutablePointer<Float>, dw: UnsafeMutablePointer<Float>?, _ dy: UnsafePointer<Float>,
        _ x: UnsafePointer<Float>, weight: UnsafePointer<Float>, rstd: UnsafePointer<Float>,
        rows: Int, width: Int, accumulate: Bool
    ) {
        dk_rmsnorm_f32_backward_reference(dx, dw, dy, x, weight, rstd, rows, width, accumulate ? 1 : 0)
    }

    /// LayerNorm: `y[T,D] = (x - mean)·r·w + bias`; `mean[T]` and `r` in `rstd[T]` are kept for the backward pass.
    package func layerNorm(
        _ y: UnsafeMutablePointer<Float>, mean: UnsafeMutablePointer<Float>, rstd: UnsafeMutablePointer<Float>,
        _ x: UnsafePointer<Float>, weight: UnsafePointer<Float>, bias: UnsafePointer<Float>,
        rows: Int, width: Int, epsilon: Float
    ) {
        dk_layernorm_f32_reference(y, mean, rstd, x, weight, bias, rows, width, epsilon)
    }

    /// Gradient of `layerNorm`: `dx[T,D]` is overwritten or added to (`accumulate`), `dw[D]` and `db[D]` are always added to.
    package func layerNormBackward(
        _ dx: UnsafeMutablePointer<Float>, dw: UnsafeMutablePointer<Float>?, db: UnsafeMutablePointer<Float>?,
        _ dy: UnsafePointer<Float>, _ x: UnsafePointer<Float>, weight: UnsafePointer<Float>,
        mean: UnsafePointer<Float>, rstd: UnsafePointer<Float>, rows: Int, width: Int, accumulate: Bool
    ) {
        dk_layernorm_f32_backward_reference(dx, dw, db, dy, x, weight, mean, rstd, rows, width, accumulate ? 1 : 0)
    }
}
