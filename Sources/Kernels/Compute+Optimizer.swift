internal import CKernels

/// The constants of one AdamW update.
package struct AdamWStep: Sendable, Equatable {
    /// Step size, ≥ 0.
    package var learningRate: Double
    /// Decay of the first moment, in [0, 1).
    package var beta1: Double
    /// Decay of the second moment, in [0, 1).
    package var beta2: Double
    /// Added to the denominator.
    package var epsilon: Double
    /// Decoupled weight decay, where it applies.
    package var weightDecay: Double
    /// `1 - beta1^s` at step s.
    package var biasCorrection1: Double
    /// `1 - beta2^s` at step s.
    package var biasCorrection2: Double
    /// What the gradient is multiplied by: 1/N times the clip factor.
    package var gradientScale: Double

    /// All constants of one update.
    package init(
        learningRate: Double, beta1: Double, beta2: Double, epsilon: Double, weightDecay: Double,
        biasCorrection1: Double, biasCorrection2: Double, gradientScale: Double
    ) {
        (self.learningRate, self.beta1, self.beta2, self.epsilon) = (learningRate, beta1, beta2, epsilon)
        (self.weightDecay, self.biasCorrection1) = (weightDecay, biasCorrection1)
        (self.biasCorrection2, self.gradientScale) = (biasCorrection2, gradientScale)
    }

    /// The constants as the kernel takes them: folded in fp64, rounded to fp32 once.
    var folded: dk_adamw {
        dk_adamw(
            scale: Float(gradientScale), keep: Float(1 - learningRate * weightDecay),
            beta1: Float(beta1), rest1: Float(1 - beta1), beta2: Float(beta2), rest2: Float(1 - beta2),
            rate: Float(learningRate / biasCorrection1), root: Float(1 / biasCorrection2.squareRoot()),
            epsilon: Float(epsilon))
    }
}

extension Compute {
    /// The sum of squares of `g[N]`, in fp64 per fixed 4,096-element block, blocks added in index order.
    package func sumOfSquares(_ g: UnsafePointer<Float>, count: Int) -> Double {
        dk_sum_of_squares_f32_reference(g, count)
    }

    /// One AdamW update of `p`, `m`, `v`, each `[N]`, from the gradient sum `g[N]`; returns `stateDigest` of the result.
    ///
    /// Weight decay applies inside `decayRanges` (ascending, apart), nowhere else; nil = everywhere.
    package func adamW(
        p: UnsafeMutablePointer<Float>, m: UnsafeMutablePointer<Float>, v: UnsafeMutablePointer<Float>,
        g: UnsafePointer<Float>, count: Int, step: AdamWStep, decayRanges: [Range<Int>]? = nil
    ) -> UInt64 {
        var constants = step.folded
        var start = 0
        for range in decayRanges ?? [0..<count] {
            precondition(start <= range.lowerBound && range.upperBound <= count, "decay ranges ascend inside the vector")
            update(p, m, v, g, start..<range.lowerBound, &constants, decay: false)
            update(p, m, v, g, range, &constants, decay: true)
            start = range.upperBound
        }
        update(p, m, v, g, start..<count, &constants, decay: false)
        return stateDigest(p: p, m: m, v: v, count: count)
    }

    /// A 64-bit digest of the bits of p, m and v: per fixed 4,096-element block, combined in index order.
    package func stateDigest(
        p: UnsafePointer<Float>, m: UnsafePointer<Float>, v: UnsafePointer<Float>, count: Int
    ) -> UInt64 {
        dk_state_digest_reference(p, m, v, count)
    }

    private func update(
        _ p: UnsafeMutablePointer<Float>, _ m: UnsafeMutablePointer<Float>, _ v: UnsafeMutablePointer<Float>,
        _ g: UnsafePointer<Float>, _ range: Range<Int>, _ constants: inout dk_adamw, decay: Bool
    ) {
        let at = range.lowerBound
        dk_adamw_f32_reference(p + at, m + at, v + at, g + at, range.count, &constants, decay ? 1 : 0)
    }
}
