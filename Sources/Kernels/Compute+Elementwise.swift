internal import CKernels

/// Elements of one block: 64 KiB of each operand.
private let block = 16384

extension Compute {
    /// `y = silu(gate)·up`, elementwise; y may be gate or up.
    package func swiglu(
        _ y: UnsafeMutablePointer<Float>, gate: UnsafePointer<Float>, up: UnsafePointer<Float>, count: Int
    ) {
        let kernels = kernels
        team.share(count, by: block) { part in
            let i = part.lowerBound
            kernels.pointee.swiglu(y + i, gate + i, up + i, part.count)
        }
    }

    /// Gradient of `swiglu`; dgate and dup may be the memory of gate and up.
    package func swigluBackward(
        dgate: UnsafeMutablePointer<Float>, dup: UnsafeMutablePointer<Float>, _ dy: UnsafePointer<Float>,
        gate: UnsafePointer<Float>, up: UnsafePointer<Float>, count: Int
    ) {
        let kernels = kernels
        team.share(count, by: block) { part in
            let i = part.lowerBound
            kernels.pointee.swiglu_backward(dgate + i, dup + i, dy + i, gate + i, up + i, part.count)
        }
    }

    /// GELU in its tanh form (`gelu_new`), elementwise; y may be x.
    package func gelu(_ y: UnsafeMutablePointer<Float>, _ x: UnsafePointer<Float>, count: Int) {
        let kernels = kernels
        team.share(count, by: block) { part in
            kernels.pointee.gelu(y + part.lowerBound, x + part.lowerBound, part.count)
        }
    }

    /// Gradient of `gelu`; dx may be dy or x.
    package func geluBackward(
        _ dx: UnsafeMutablePointer<Float>, _ dy: UnsafePointer<Float>, _ x: UnsafePointer<Float>, count: Int
    ) {
        let kernels = kernels
        team.share(count, by: block) { part in
            let i = part.lowerBound
            kernels.pointee.gelu_backward(dx + i, dy + i, x + i, part.count)
        }
    }

    /// `y += x`.
    package func add(_ y: UnsafeMutablePointer<Float>, _ x: UnsafePointer<Float>, count: Int) {
        let kernels = kernels
        team.share(count, by: block) { part in
            kernels.pointee.add(y + part.lowerBound, x + part.lowerBound, part.count)
        }
    }

    /// `y *= factor`.
    package func scale(_ y: UnsafeMutablePointer<Float>, by factor: Float, count: Int) {
        let kernels = kernels
        team.share(count, by: block) { part in kernels.pointee.scale(y + part.lowerBound, factor, part.count) }
    }

    /// bf16 to fp32, exact but for subnormals, which may become zero.
    package func widenBF16(_ y: UnsafeMutablePointer<Float>, _ x: UnsafePointer<UInt16>, count: Int) {
        let kernels = kernels
        team.share(count, by: block) { part in
            kernels.pointee.widen_bf16(y + part.lowerBound, x + part.lowerBound, part.count)
        }
    }

    /// IEEE half precision to fp32, exact.
    package func widenF16(_ y: UnsafeMutablePointer<Float>, _ x: UnsafePointer<UInt16>, count: Int) {
        let kernels = kernels
        team.share(count, by: block) { part in
            kernels.pointee.widen_f16(y + part.lowerBound, x + part.lowerBound, part.count)
        }
    }

    /// fp32 to bf16, to nearest, ties to even; a NaN stays one.
    package func narrowToBF16(_ y: UnsafeMutablePointer<UInt16>, _ x: UnsafePointer<Float>, count: Int) {
        let kernels = kernels
        team.share(count, by: block) { part in
            kernels.pointee.narrow_bf16(y + part.lowerBound, x + part.lowerBound, part.count)
        }
    }

    /// `x` rounded to bf16 in place: to nearest, ties to even; a NaN stays one.
    package func roundToBF16(_ x: UnsafeMutablePointer<Float>, count: Int) {
        let kernels = kernels
        team.share(count, by: block) { part in
            kernels.pointee.round_bf16(x + part.lowerBound, x + part.lowerBound, part.count)
        }
    }
}
