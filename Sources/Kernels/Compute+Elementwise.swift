internal import CKernels

extension Compute {
    /// `y = silu(gate)·up`, elementwise.
    package func swiglu(
        _ y: UnsafeMutablePointer<Float>, gate: UnsafePointer<Float>, up: UnsafePointer<Float>, count: Int
    ) {
        dk_swiglu_f32_reference(y, gate, up, count)
    }

    /// Gradient of `swiglu`; dgate and dup may be the memory of gate and up.
    package func swigluBackward(
        dgate: UnsafeMutablePointer<Float>, dup: UnsafeMutablePointer<Float>, _ dy: UnsafePointer<Float>,
        gate: UnsafePointer<Float>, up: UnsafePointer<Float>, count: Int
    ) {
        dk_swiglu_f32_backward_reference(dgate, dup, dy, gate, up, count)
    }

    /// GELU in its tanh form (`gelu_new`), elementwise; y may be x.
    package func gelu(_ y: UnsafeMutablePointer<Float>, _ x: UnsafePointer<Float>, count: Int) {
        dk_gelu_f32_reference(y, x, count)
    }

    /// Gradient of `gelu`; dx may be dy or x.
    package func geluBackward(
        _ dx: UnsafeMutablePointer<Float>, _ dy: UnsafePointer<Float>, _ x: UnsafePointer<Float>, count: Int
    ) {
        dk_gelu_f32_backward_reference(dx, dy, x, count)
    }

    /// `y += x`.
    package func add(_ y: UnsafeMutablePointer<Float>, _ x: UnsafePointer<Float>, count: Int) {
        for i in 0..<count { y[i] += x[i] }
    }

    /// `y *= factor`.
    package func scale(_ y: UnsafeMutablePointer<Float>, by factor: Float, count: Int) {
        for i in 0..<count { y[i] *= factor }
    }

    /// bf16 to fp32, exact.
    package func widenBF16(_ y: UnsafeMutablePointer<Float>, _ x: UnsafePointer<UInt16>, count: Int) {
        dk_widen_bf16_reference(y, x, count)
    }

    /// IEEE half precision to fp32, exact.
    package func widenF16(_ y: UnsafeMutablePointer<Float>, _ x: UnsafePointer<UInt16>, count: Int) {
        dk_widen_f16_reference(y, x, count)
    }

    /// fp32 to bf16, to nearest, ties to even; a NaN stays one.
    package func narrowToBF16(_ y: UnsafeMutablePointer<UInt16>, _ x: UnsafePointer<Float>, count: Int) {
        dk_narrow_bf16_reference(y, x, count)
    }
}
