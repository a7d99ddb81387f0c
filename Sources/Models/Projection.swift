internal import Kernels

/// A linear layer's memory: frozen or trained weight, bias, and the adapter on it, if any.
struct Projection {
    let inputs: Int
    let outputs: Int
    /// Whether the weight is `[in, out]`.
    let isTransposed: Bool
    let weight: Matrix
    let bias: UnsafePointer<Float>?
    /// Where the weight's gradient begins in the flat gradient; nil = frozen.
    var weightGradient: Int?
    var biasGradient: Int?
    var lowRank: LowRank?
    /// Whether its products are fp32 in every arithmetic.
    var isExact = false

    /// The two factors of an adapter: A `[r, in]`, B `[out, r]`.
    struct LowRank {
        let rank: Int
        let scale: Float
        let a: UnsafePointer<Float>
        let b: UnsafePointer<Float>
        /// Where the gradients begin in the flat gradient; nil = frozen.
        var gradientA: Int?
        var gradientB: Int?
        /// In a stack of experts: floats from one of B's elements to the next, for the experts lie side by side.
        var stride = 1
        /// On A's input, in training; nil = none.
        var dropout: DropoutMask?
    }

    /// Room for the adapter's inner rows, `[T, r]` each, and for one expert's B and its gradient, `[out, r]` each.
    struct Scratch {
        let down: UnsafeMutablePointer<Float>
        let downGradient: UnsafeMutablePointer<Float>
        let factor: UnsafeMutablePointer<Float>
        let factorGradient: UnsafeMutablePointer<Float>
        /// `[T, in]` what A reads after dropout; empty without one.
        let dropped: UnsafeMutablePointer<Float>
        /// In training with dropout.
        var noise: Noise?
    }

    var isTrained: Bool { weightGradient != nil || biasGradient != nil || lowRank?.gradientA != nil }

    /// The rows of the output from `first` on, `count` of them, as a projection of its own with the same A.
    func slice(_ first: Int, _ count: Int) -> Projection {
        precondition(!isTransposed, "only [out, in] weights can be cut by output rows")
        var slice = Projection(
            inputs: inputs, outputs: count, isTransposed: false, weight: weight.advanced(by: first * inputs),
            bias: bias.map { $0 + first }, weightGradient: weightGradient.map { $0 + first * inputs },
            biasGradient: biasGradient.map { $0 + first })
        slice.lowRank = lowRank.map {
            LowRank(
                rank: $0.rank, scale: $0.scale, a: $0.a, b: $0.b + first * $0.rank * $0.stride,
                gradientA: $0.gradientA,
                gradientB: $0.gradientB.map { offset in
                    offset + first * (lowRank?.rank ?? 0) * (lowRank?.stride ?? 1)
                },
                stride: $0.stride, dropout: $0.dropout)
        }
        return slice
    }

    /// `y[T,out] (+)= x[T,in]·Wᵀ + bias + s·(x·Aᵀ)·Bᵀ`.
    func forward(
        _ y: UnsafeMutablePointer<Float>, _ x: UnsafePointer<Float>, rows: Int, accumulate: Bool = false,
        _ scratch: Scratch, _ compute: Compute
    ) {
        let compute = isExact ? compute.using(.fp32) : compute
        if isTransposed {
            compute.linearTransposed(
                y, x, weight, bias: bias, rows: rows, inputs: inputs, outputs: outputs, accumulate: accumulate)
        } else {
            compute.linear(
                y, x, weight, bias: bias, rows: rows, inputs: inputs, outputs: outputs, accumulate: accumulate)
        }
        guard let lowRank else { return }
        scaledDown(lowRank, x, rows: rows, scratch, compute)
        compute.linear(
            y, scratch.down, factorB(lowRank, scratch, compute), bias: nil, rows: rows, inputs: lowRank.rank,
            outputs: outputs, accumulate: true)
    }

    /// B `[out, r]` without gaps: where it lies, or out of a stack into the scratch.
    private func factorB(_ lowRank: LowRank, _ scratch: Scratch, _ compute: Compute) -> UnsafePointer<Float> {
        guard lowRank.stride > 1 else { return lowRank.b }
        compute.take(scratch.factor, lowRank.b, step: lowRank.stride, count: outputs * lowRank.rank)
        return UnsafePointer(scratch.factor)
    }

    /// Adds the gradients of what is trained to `gradient`; writes or adds `dx[T,in]` unless nil.
    func backward(
        dx: UnsafeMutablePointer<Float>?, accumulate: Bool = false, _ dy: UnsafePointer<Float>,
        _ x: UnsafePointer<Float>, rows: Int, gradient: UnsafeMutablePointer<Float>, _ scratch: Scratch,
        _ compute: Compute
    ) {
        let compute = isExact ? compute.using(.fp32) : compute
        if let weightGradient {
            let dw = gradient + weightGradient
            if isTransposed {
                compute.linearTransposedWeightGradient(dw, dy, x, rows: rows, inputs: inputs, outputs: outputs)
            } else {
                compute.linearWeightGradient(dw, dy, x, rows: rows, inputs: inputs, outputs: outputs)
            }
        }
        if let biasGradient { compute.biasGradient(gradient + biasGradient, dy, rows: rows, outputs: outputs) }
        if let dx {
            if isTransposed {
                compute.linearTransposedInputGradient(
                    dx, dy, weight, rows: rows, inputs: inputs, outputs: outputs, accumulate: accumulate)
            } else {
                compute.linearInputGradient(
                    dx, dy, weight, rows: rows, inputs: inputs, outputs: outputs, accumulate: accumulate)
            }
        }
        if let lowRank { backward(lowRank, dx: dx, dy, x, rows: rows, gradient: gradient, scratch, compute) }
    }

    /// The adapter's part. Its inner rows are computed again, which costs r/out of the layer and saves keeping them.
    private func backward(
        _ lowRank: LowRank, dx: UnsafeMutablePointer<Float>?, _ dy: UnsafePointer<Float>, _ x: UnsafePointer<Float>,
        rows: Int, gradient: UnsafeMutablePointer<Float>, _ scratch: Scratch, _ compute: Compute
    ) {
        let rank = lowRank.rank
        if let gradientB = lowRank.gradientB {
            scaledDown(lowRank, x, rows: rows, scratch, compute)
            let dB = gradient + gradientB
            if lowRank.stride > 1 {
                let (count, part) = (outputs * rank, scratch.factorGradient)
                compute.take(part, dB, step: lowRank.stride, count: count)
                compute.linearWeightGradient(part, dy, scratch.down, rows: rows, inputs: rank, outputs: outputs)
                compute.put(dB, part, step: lowRank.stride, count: count)
            } else {
                compute.linearWeightGradient(dB, dy, scratch.down, rows: rows, inputs: rank, outputs: outputs)
            }
        }
        guard dx != nil || lowRank.gradientA != nil else { return }
        compute.linearInputGradient(
            scratch.downGradient, dy, factorB(lowRank, scratch, compute), rows: rows, inputs: rank, outputs: outputs,
            accumulate: false)
        compute.scale(scratch.downGradient, by: lowRank.scale, count: rows * rank)
        if let gradientA = lowRank.gradientA {
            let read = dropped(lowRank, x, rows: rows, scratch, compute)
            compute.linearWeightGradient(
                gradient + gradientA, scratch.downGradient, read, rows: rows, inputs: inputs, outputs: rank)
        }
        guard let dx else { return }
        guard let mask = lowRank.dropout, let noise = scratch.noise else {
            compute.linearInputGradient(
                dx, scratch.downGradient, lowRank.a, rows: rows, inputs: inputs, outputs: rank, accumulate: true)
            return
        }
        compute.linearInputGradient(
            scratch.dropped, scratch.downGradient, lowRank.a, rows: rows, inputs: inputs, outputs: rank,
            accumulate: false)
        mask.apply(dx, scratch.dropped, rows: rows, width: inputs, adds: true, noise, compute)
    }

    /// What A reads: x, or x after dropout in the scratch.
    private func dropped(
        _ lowRank: LowRank, _ x: UnsafePointer<Float>, rows: Int, _ scratch: Scratch, _ compute: Compute
    ) -> UnsafePointer<Float> {
        guard let mask = lowRank.dropout, let noise = scratch.noise else { return x }
        mask.apply(scratch.dropped, x, rows: rows, width: inputs, adds: false, noise, compute)
        return UnsafePointer(scratch.dropped)
    }

    /// `s·x·Aᵀ` into the scratch, x after dropout where there is one.
    private func scaledDown(
        _ lowRank: LowRank, _ x: UnsafePointer<Float>, rows: Int, _ scratch: Scratch, _ compute: Compute
    ) {
        let read = dropped(lowRank, x, rows: rows, scratch, compute)
        compute.linear(
            scratch.down, read, lowRank.a, bias: nil, rows: rows, inputs: inputs, outputs: lowRank.rank,
            accumulate: false)
        compute.scale(scratch.down, by: lowRank.scale, count: rows * lowRank.rank)
    }
}
