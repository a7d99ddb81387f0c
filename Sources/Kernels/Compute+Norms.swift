internal import CKernels

private let rowRun = Int(DK_ROW_RUN)

extension Compute {
    /// RMSNorm: `y[T,D] = x·r·w`, `r[t] = 1/sqrt(mean x² + epsilon)` kept in `rstd[T]`.
    package func rmsNorm(
        _ y: UnsafeMutablePointer<Float>, rstd: UnsafeMutablePointer<Float>, _ x: UnsafePointer<Float>,
        weight: UnsafePointer<Float>, rows: Int, width: Int, epsilon: Float
    ) {
        let kernels = kernels
        team.share(rows, by: rowRun) { run in
            let t = run.lowerBound
            kernels.pointee.rmsnorm(y + t * width, rstd + t, x + t * width, weight, run.count, width, epsilon)
        }
    }

    /// Gradient of `rmsNorm`: `dx[T,D]` is overwritten or added to (`accumulate`), `dw[D]` is always added to; dx may
    /// be dy.
    package func rmsNormBackward(
        _ dx: UnsafeMutablePointer<Float>, dw: UnsafeMutablePointer<Float>?, _ dy: UnsafePointer<Float>,
        _ x: UnsafePointer<Float>, weight: UnsafePointer<Float>, rstd: UnsafePointer<Float>,
        rows: Int, width: Int, accumulate: Bool
    ) {
        let kernels = kernels
        let partial = dw.map { _ in team.scratch.floats(blocks(rows, of: rowRun) * width) }
        team.share(rows, by: rowRun) { run in
            let t = run.lowerBound
            kernels.pointee.rmsnorm_backward(
                dx + t * width, partial.map { $0 + t / rowRun * width }, dy + t * width, x + t * width, weight,
                rstd + t,
                run.count, width, accumulate ? 1 : 0)
        }
        if let dw, let partial { columnSums(dw, partial, step: width, rows: blocks(rows, of: rowRun), columns: width) }
    }

    /// LayerNorm: `y[T,D] = (x - mean)·r·w + bias`; `mean[T]` and `r` in `rstd[T]` are kept for the backward pass.
    package func layerNorm(
        _ y: UnsafeMutablePointer<Float>, mean: UnsafeMutablePointer<Float>, rstd: UnsafeMutablePointer<Float>,
        _ x: UnsafePointer<Float>, weight: UnsafePointer<Float>, bias: UnsafePointer<Float>,
        rows: Int, width: Int, epsilon: Float
    ) {
        let kernels = kernels
        team.share(rows, by: rowRun) { run in
            let t = run.lowerBound
            kernels.pointee.layernorm(
                y + t * width, mean + t, rstd + t, x + t * width, weight, bias, run.count, width, epsilon)
        }
    }

    /// Gradient of `layerNorm`: `dx[T,D]` is overwritten or added to (`accumulate`), `dw[D]` and `db[D]` are always
    /// added to; dx may be dy.
    package func layerNormBackward(
        _ dx: UnsafeMutablePointer<Float>, dw: UnsafeMutablePointer<Float>?, db: UnsafeMutablePointer<Float>?,
        _ dy: UnsafePointer<Float>, _ x: UnsafePointer<Float>, weight: UnsafePointer<Float>,
        mean: UnsafePointer<Float>, rstd: UnsafePointer<Float>, rows: Int, width: Int, accumulate: Bool
    ) {
        let kernels = kernels
        let partials = dw != nil || db != nil ? team.scratch.floats(blocks(rows, of: rowRun) * 2 * width) : nil
        let dwPartial = dw != nil ? partials : nil
        let dbPartial = db != nil ? partials.map { $0 + width } : nil
        team.share(rows, by: rowRun) { run in
            let t = run.lowerBound
            let partial = t / rowRun * 2 * width
            kernels.pointee.layernorm_backward(
                dx + t * width, dwPartial.map { $0 + partial }, dbPartial.map { $0 + partial }, dy + t * width,
                x + t * width, weight, mean + t, rstd + t, run.count, width, accumulate ? 1 : 0)
        }
        for (sums, partial) in [(dw, dwPartial), (db, dbPartial)] {
            guard let sums, let partial else { continue }
            columnSums(sums, partial, step: 2 * width, rows: blocks(rows, of: rowRun), columns: width)
        }
    }
}
