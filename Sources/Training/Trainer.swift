package import Kernels
package import Models

/// What is trained, and where it starts.
package enum TrainingMethod {
    /// Every tensor, from a copy of the given weights.
    case full
    /// Every tensor, from the given weights, which lie in this vector as the full layout says: it becomes the state's
    /// own, so that there is never a second copy.
    case fullInPlace(FloatBuffer)
    /// An adapter: from `initial` (PEFT names), or fresh, drawn by module name from `seed`.
    case adapter(AdapterSpecification, seed: UInt64, initial: WeightTable?)
}

/// The training state of one worker (parameters, moments, model) and the two halves of a step.
///
/// The state is three flat fp32 vectors of P elements laid out by `layout`. A step is: gradients of shards, summed
/// elsewhere by the fixed tree, then `apply`. Everything is a function of state and arguments, so that every worker
/// that applies the same step to the same state holds the same bits. One caller at a time, on any thread.
package final class Trainer: @unchecked Sendable {
    /// Shape and switches of the model.
    package let configuration: DecoderConfiguration
    /// Where each trained tensor lies in the vectors.
    package let layout: ParameterLayout
    /// The model on the present parameters.
    package let decoder: Decoder
    /// P, elements of each vector.
    package var count: Int { layout.count }
    private let compute: Compute
    private let parameters: FloatBuffer
    private let firstMoment: FloatBuffer
    private let secondMoment: FloatBuffer
    private let decayRanges: [Range<Int>]
    /// Whoever owns the frozen weights.
    private let owner: AnyObject?

    /// One of the three vectors.
    package enum StateVector: Sendable, CaseIterable {
        case parameters, firstMoment, secondMoment
    }

    /// The state at step 0: moments are zero.
    ///
    /// Full training copies the weights, which may then go; with an adapter the frozen ones stay in use, and `owner` is
    /// kept alive for them. `recomputes` trades a second forward pass for most of the activations' memory; the result
    /// is the same.
    package init(
        configuration: DecoderConfiguration, weights: WeightTable, owner: AnyObject? = nil, method: TrainingMethod,
        compute: Compute, recomputes: Bool = false, dropout: AdapterDropout? = nil
    ) throws(ModelError) {
        self.configuration = configuration
        self.compute = compute
        switch method {
        case .full, .fullInPlace:
            layout = ParameterLayout(full: TensorTable(configuration))
            try weights.check(layout)
            if case .fullInPlace(let own) = method {
                precondition(own.count == layout.count, "the vector must have the layout's \(layout.count) elements")
                parameters = own
            } else {
                parameters = FloatBuffer(count: layout.count)
                Self.copy(weights, layout, into: parameters)
            }
            self.owner = nil
            decoder = try Decoder(
                configuration: configuration, weights: WeightTable(layout, in: parameters.pointer, owner: parameters),
                trainable: .everything, compute: compute, recomputes: recomputes)
        case .adapter(let specification, let seed, let initial):
            let modules = try specification.modules(of: configuration)
            layout = ParameterLayout(adapter: modules)
            parameters = FloatBuffer(count: layout.count)
            if let initial {
                try initial.check(layout)
                Self.copy(initial, layout, into: parameters)
            } else {
                for module in modules {
                    guard let entry = layout[module.nameA] else { continue }
                    module.drawA(seed: seed, into: parameters.pointer + entry.offset)
                }
            }
            self.owner = owner
            decoder = try Decoder(
                configuration: configuration, weights: weights,
                adapter: Adapter(modules: modules, parameters: parameters.pointer, owner: parameters),
                trainable: .adapter, compute: compute, recomputes: recomputes, dropout: dropout)
        }
        firstMoment = FloatBuffer(count: layout.count)
        secondMoment = FloatBuffer(count: layout.count)
        decayRanges = layout.decayRanges
    }

    /// The gradient sum of one shard: `gradient[P]` is zeroed, then the micro-batches are added in order.
    /// `step` is the optimizer step they belong to, which dropout depends on. `goesOn` is asked between layers; once it
    /// says false, what is there is of no use.
    package func shardGradient(
        _ microBatches: [MicroBatch], step: Int = 0, into gradient: UnsafeMutablePointer<Float>,
        goesOn: () -> Bool = { true }
    ) -> ShardGradient {
        gradient.update(repeating: 0, count: count)
        var shard = ShardGradient(lossSum: 0, trainedTokens: 0, isFinite: true)
        for batch in microBatches {
            guard
                let loss = decoder.lossAndGradient(batch, step: step, gradient: gradient, goesOn: goesOn)
            else {
                shard.isWhole = false
                return shard
            }
            shard.lossSum += loss
            shard.trainedTokens += batch.trainedTokens
        }
        shard.isFinite =
            shard.lossSum.isFinite
            && (shard.trainedTokens == 0 || compute.sumOfSquares(gradient, count: count).isFinite)
        return shard
    }

    /// One optimizer step from the gradient sum of the whole batch over its N = `trainedTokens` trained tokens.
    ///
    /// The norm of g/N is taken from fp64 sums of squares per fixed block; then g is scaled by
    /// `min(1, c/(norm + 1e-6))/N` and AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101, algorithm 2) runs over all
    /// elements. Weight decay applies to tensors of rank ≥ 2, as the Hugging Face trainer does. With N = 0 or a norm
    /// that is not finite nothing changes.
    package func apply(
        gradient: UnsafePointer<Float>, trainedTokens: Int, update: UpdateParameters
    ) -> UpdateReport {
        precondition(trainedTokens >= 0, "a batch has no negative number of tokens")
        guard trainedTokens > 0 else { return UpdateReport(gradientNorm: 0, digest: stateDigest(), isApplied: false) }
        let tokens = Double(trainedTokens)
        let norm = compute.sumOfSquares(gradient, count: count).squareRoot() / tokens
        guard norm.isFinite else { return UpdateReport(gradientNorm: norm, digest: stateDigest(), isApplied: false) }
        let clip = update.maxGradientNorm > 0 ? min(1, update.maxGradientNorm / (norm + 1e-6)) : 1
        let step = AdamWStep(
            learningRate: update.learningRate, beta1: update.beta1, beta2: update.beta2, epsilon: update.epsilon,
            weightDecay: update.weightDecay, biasCorrection1: update.biasCorrection1,
            biasCorrection2: update.biasCorrection2, gradientScale: clip / tokens)
        let digest = compute.adamW(
            p: parameters.pointer, m: firstMoment.pointer, v: secondMoment.pointer, g: gradient, count: count,
            step: step, decayRanges: update.weightDecay == 0 ? [] : decayRanges)
        return UpdateReport(gradientNorm: norm, digest: digest, isApplied: true)
    }

    /// Summed loss of the present parameters over `microBatches`, in order; changes nothing.
    package func evaluate(_ microBatches: [MicroBatch]) -> LossSum {
        var sum = LossSum(lossSum: 0, trainedTokens: 0)
        for batch in microBatches {
            sum.lossSum += decoder.loss(batch)
            sum.trainedTokens += batch.trainedTokens
        }
        return sum
    }

    /// A 64-bit digest of parameters and moments; equal on every worker at the same step.
    package func stateDigest() -> UInt64 {
        compute.stateDigest(p: parameters.pointer, m: firstMoment.pointer, v: secondMoment.pointer, count: count)
    }

    /// The trained tensors in byte order of their names; valid while the trainer lives, current until the next step.
    package func exportTensors() -> [(name: String, shape: [Int], pointer: UnsafePointer<Float>)] {
        layout.entries.map { ($0.name, $0.shape, UnsafePointer(parameters.pointer + $0.offset)) }
    }

    /// Part of a vector, to be read: for checkpoints and for others' healing. Any thread may read between two updates.
    package func readState<Result>(
        _ vector: StateVector, _ range: Range<Int>, _ body: (UnsafeBufferPointer<Float>) throws -> Result
    ) rethrows -> Result {
        try body(UnsafeBufferPointer(part(of: vector, range)))
    }

    /// Part of a vector, to be written: the way to restore a state.
    package func changeState<Result>(
        _ vector: StateVector, _ range: Range<Int>, _ body: (UnsafeMutableBufferPointer<Float>) throws -> Result
    ) rethrows -> Result {
        try body(part(of: vector, range))
    }

    private func part(of vector: StateVector, _ range: Range<Int>) -> UnsafeMutableBufferPointer<Float> {
        precondition(range.lowerBound >= 0 && range.upperBound <= count, "range \(range) is not in 0..<\(count)")
        let buffer =
            switch vector {
            case .parameters: parameters
            case .firstMoment: firstMoment
            case .secondMoment: secondMoment
            }
        return UnsafeMutableBufferPointer(start: buffer.pointer + range.lowerBound, count: range.count)
    }

    private static func copy(_ weights: WeightTable, _ layout: ParameterLayout, into buffer: FloatBuffer) {
        for entry in layout.entries {
            guard let tensor = weights[entry.name] else { preconditionFailure("tensor \(entry.name) was checked") }
            (buffer.pointer + entry.offset).update(from: tensor.pointer, count: entry.count)
        }
    }
}
