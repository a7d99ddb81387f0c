internal import CKernels
import Terms

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

/// Elements of one block of the flat state.
private let stateBlock = Int(DK_STATE_BLOCK)

extension Compute {
    /// The sum of squares of `g[N]`, in fp64 per fixed 4,096-element block, blocks added in index order.
    package func sumOfSquares(_ g: UnsafePointer<Float>, count: Int) -> Double {
        let kernels = kernels
        return withBlockWords(count) { words in
            team.share(count, by: stateBlock) { block in
                words[block.lowerBound / stateBlock] =
                    kernels.pointee.sum_of_squares(g + block.lowerBound, block.count).bitPattern
            }
            return words.reduce(0) { $0 + Double(bitPattern: $1) }
        }
    }

    /// One AdamW update of `p`, `m`, `v`, each `[N]`, from the gradient sum `g[N]`; returns `stateDigest` of the
    /// result.
    ///
    /// Weight decay applies inside `decayRanges` (ascending, apart), nowhere else; nil = everywhere.
    package func adamW(
        p: UnsafeMutablePointer<Float>, m: UnsafeMutablePointer<Float>, v: UnsafeMutablePointer<Float>,
        g: UnsafePointer<Float>, count: Int, step: AdamWStep, decayRanges: [Range<Int>]? = nil
    ) -> UInt64 {
        let ranges = decayRanges ?? [0..<count]
        let kernels = kernels
        for (range, next) in zip(ranges, ranges.dropFirst() + [count..<count]) {
            precondition(
                0 <= range.lowerBound && range.upperBound <= next.lowerBound, "decay ranges ascend inside the vector")
        }
        return withUnsafePointer(to: step.folded) { constants in
            digest(count) { block in
                let segments = decaySegments(of: block, ranges)
                var word: UInt64 = 0
                for (part, decay) in segments {
                    let i = part.lowerBound
                    word = kernels.pointee.adamw(p + i, m + i, v + i, g + i, part.count, constants, decay ? 1 : 0)
                }
                let i = block.lowerBound
                return segments.count == 1 ? word : kernels.pointee.digest(p + i, m + i, v + i, block.count)
            }
        }
    }

    /// A 64-bit digest of the bits of p, m and v: per fixed 4,096-element block, combined in index order.
    package func stateDigest(
        p: UnsafePointer<Float>, m: UnsafePointer<Float>, v: UnsafePointer<Float>, count: Int
    ) -> UInt64 {
        let kernels = kernels
        return digest(count) { block in
            let i = block.lowerBound
            return kernels.pointee.digest(p + i, m + i, v + i, block.count)
        }
    }

    /// Folds the blocks' digests in index order, and the count at the end.
    private func digest(_ count: Int, _ word: (Range<Int>) -> UInt64) -> UInt64 {
        withBlockWords(count) { words in
            team.share(count, by: stateBlock) { block in words[block.lowerBound / stateBlock] = word(block) }
            return dk_digest_fold(words.reduce(0, dk_digest_fold), UInt64(count))
        }
    }

    /// One 64-bit word per block, in the team's scratch.
    private func withBlockWords<Result>(_ count: Int, _ body: (UnsafeMutableBufferPointer<UInt64>) -> Result) -> Result
    {
        let blocks = blocks(count, of: stateBlock)
        return team.scratch.floats(2 * blocks).withMemoryRebound(to: UInt64.self, capacity: blocks) {
            body(UnsafeMutableBufferPointer(start: $0, count: blocks))
        }
    }
}

/// A block cut where weight decay starts and ends: whether each piece decays. `ranges` ascend.
func decaySegments(of block: Range<Int>, _ ranges: [Range<Int>]) -> [(part: Range<Int>, decay: Bool)] {
    var segments: [(part: Range<Int>, decay: Bool)] = []
    var at = block.lowerBound
    // The first range that ends inside or behind the block.
    let first = ranges.indices.partitionPoint { ranges[$0].upperBound <= at }
    for range in ranges[first...] where range.lowerBound < block.upperBound {
        let decayed = range.clamped(to: block)
        if at < decayed.lowerBound { segments.append((at..<decayed.lowerBound, false)) }
        if !decayed.isEmpty { segments.append((decayed, true)) }
        at = decayed.upperBound
    }
    if at < block.upperBound { segments.append((at..<block.upperBound, false)) }
    return segments
}
