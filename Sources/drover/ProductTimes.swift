import Kernels

/// Seconds that the three products of a linear layer take, each at its best.
struct ProductTimes {
    /// `[T, in] · [in, out]`.
    let forward: Double
    /// `[T, out] · [out, in]`.
    let inputGradient: Double
    /// `[out, T] · [T, in]`.
    let weightGradient: Double

    /// - Parameter budget: seconds for each of the three.
    init(rows: Int, inputs: Int, outputs: Int, budget: Double = 0.5, _ compute: Compute) {
        let (x, dy) = (Measuring.filled(rows * inputs), Measuring.filled(rows * outputs, seed: 3))
        let w = Measuring.filled(inputs * outputs, seed: 2)
        let (weights, gradient) = (Matrix(.fp32(w.pointer)).keepingCopies(), FloatBuffer(count: inputs * outputs))
        forward = Measuring.best(budget: budget) {
            compute.linear(
                dy.pointer, x.pointer, weights, bias: nil, rows: rows, inputs: inputs, outputs: outputs,
                accumulate: false)
        }
        inputGradient = Measuring.best(budget: budget) {
            compute.linearInputGradient(
                x.pointer, dy.pointer, weights, rows: rows, inputs: inputs, outputs: outputs, accumulate: false)
        }
        weightGradient = Measuring.best(budget: budget) {
            compute.linearWeightGradient(
                gradient.pointer, dy.pointer, x.pointer, rows: rows, inputs: inputs, outputs: outputs)
        }
    }
}
