internal import Kernels

/// A norm's memory: RMS norm without a bias, layer norm with one.
struct Norm {
    let width: Int
    let epsilon: Float
    let weight: UnsafePointer<Float>
    let bias: UnsafePointer<Float>?
    /// Where the gradients begin in the flat gradient; nil = frozen.
    var weightGradient: Int?
    var biasGradient: Int?

    /// What the backward pass needs of the forward pass, `[rows]` each.
    struct Statistics {
        /// nil for RMS norm.
        let mean: UnsafeMutablePointer<Float>?
        let inverseDeviation: UnsafeMutablePointer<Float>
    }

    var isTrained: Bool { weightGradient != nil }

    /// `y[rows, width]` from `x`; fills the statistics.
    func forward(
        _ y: UnsafeMutablePointer<Float>, _ x: UnsafePointer<Float>, rows: Int, _ statistics: Statistics,
        _ compute: Compute
    ) {
        if let bias, let mean = statistics.mean {
            compute.layerNorm(
                y, mean: mean, rstd: statistics.inverseDeviation, x, weight: weight, bias: bias, rows: rows,
                width: width, epsilon: epsilon)
        } else {
            compute.rmsNorm(
                y, rstd: statistics.inverseDeviation, x, weight: weight, rows: rows, width: width, epsilon: epsilon)
        }
    }

    /// Writes or adds `dx`; adds the gradients of what is trained to `gradient`.
    func backward(
        _ dx: UnsafeMutablePointer<Float>, accumulate: Bool, _ dy: UnsafePointer<Float>, _ x: UnsafePointer<Float>,
        rows: Int, _ statistics: Statistics, gradient: UnsafeMutablePointer<Float>, _ compute: Compute
    ) {
        let dw = weightGradient.map { gradient + $0 }
        if bias != nil, let mean = statistics.mean {
            compute.layerNormBackward(
                dx, dw: dw, db: biasGradient.map { gradient + $0 }, dy, x, weight: weight, mean: mean,
                rstd: statistics.inverseDeviation, rows: rows, width: width, accumulate: accumulate)
        } else {
            compute.rmsNormBackward(
                dx, dw: dw, dy, x, weight: weight, rstd: statistics.inverseDeviation, rows: rows, width: width,
                accumulate: accumulate)
        }
    }
}
