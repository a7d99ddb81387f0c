internal import CKernels

extension Compute {
    /// Rotary position embedding in place on `x[T,H,hd]`, the first `rotary` dimensions of each head.
    ///
    /// `cos` and `sin` are `[positions, rotary/2]`; `inverse` turns by the negative angle, which is the gradient.
    /// `stride` is the distance in floats from one token to the next; nil = dense.
    package func rope(
        _ x: UnsafeMutablePointer<Float>, positions: UnsafePointer<Int32>, cos: UnsafePointer<Float>,
        sin: UnsafePointer<Float>, rows: Int, heads: Int, headWidth: Int, rotary: Int, layout: RotaryLayout,
        inverse: Bool,
        stride: Int? = nil
    ) {
        precondition(
            rotary % 2 == 0 && rotary <= headWidth, "rotary width \(rotary) does not fit a head of \(headWidth)")
        let kernels = kernels
        let step = stride ?? heads * headWidth
        team.share(rows, by: 64) { run in
            let t = run.lowerBound
            kernels.pointee.rope(
                x + t * step, positions + t, cos, sin, run.count, step, heads, headWidth, rotary,
                layout == .interleaved ? 1 : 0, inverse ? 1 : 0)
        }
    }
}
