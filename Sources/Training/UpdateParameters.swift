/// The numbers of one optimizer step, as the recipe holds them; nothing per machine is among them.
package struct UpdateParameters: Sendable, Equatable {
    /// Step size, ≥ 0.
    package var learningRate: Double
    /// Decay of the first moment, in [0, 1).
    package var beta1: Double
    /// Decay of the second moment, in [0, 1).
    package var beta2: Double
    /// Added to the denominator.
    package var epsilon: Double
    /// Decoupled weight decay of matrices; norms and biases are exempt.
    package var weightDecay: Double
    /// `1 − beta1^s` at step s.
    package var biasCorrection1: Double
    /// `1 − beta2^s` at step s.
    package var biasCorrection2: Double
    /// c, the norm gradients are clipped to; 0 = no clipping.
    package var maxGradientNorm: Double

    /// All numbers of one step.
    package init(
        learningRate: Double, beta1: Double, beta2: Double, epsilon: Double, weightDecay: Double,
        biasCorrection1: Double, biasCorrection2: Double, maxGradientNorm: Double
    ) {
        (self.learningRate, self.beta1, self.beta2, self.epsilon) = (learningRate, beta1, beta2, epsilon)
        (self.weightDecay, self.maxGradientNorm) = (weightDecay, maxGradientNorm)
        (self.biasCorrection1, self.biasCorrection2) = (biasCorrection1, biasCorrection2)
    }
}

/// What became of one shard: a sum, because the division by N belongs to the whole batch.
package struct ShardGradient: Sendable, Equatable {
    /// Sum of −log p over the trained tokens.
    package var lossSum: Double
    package var trainedTokens: Int
    /// False when the loss or any element of the gradient is infinite or not a number.
    package var isFinite: Bool
    /// False when it was given up: nothing here is of use then.
    package var isWhole = true

    package init(lossSum: Double, trainedTokens: Int, isFinite: Bool) {
        (self.lossSum, self.trainedTokens, self.isFinite) = (lossSum, trainedTokens, isFinite)
    }
}

/// What one optimizer step did.
package struct UpdateReport: Sendable, Equatable {
    /// Norm of the mean gradient before clipping.
    package var gradientNorm: Double
    /// Digest of parameters and moments after the step.
    package var digest: UInt64
    /// False when nothing changed: no trained tokens, or a norm that is not finite.
    package var isApplied: Bool

    package init(gradientNorm: Double, digest: UInt64, isApplied: Bool) {
        (self.gradientNorm, self.digest, self.isApplied) = (gradientNorm, digest, isApplied)
    }
}

/// Summed loss over trained targets.
package struct LossSum: Sendable, Equatable {
    package var lossSum: Double
    package var trainedTokens: Int

    package init(lossSum: Double, trainedTokens: Int) {
        (self.lossSum, self.trainedTokens) = (lossSum, trainedTokens)
    }
}
