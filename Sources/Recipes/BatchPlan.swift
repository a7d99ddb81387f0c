package import Terms

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Lengths of the training sequences, in the order of the token cache.
package struct SequenceIndex: Sendable, Equatable {
    /// Input tokens of each sequence.
    package var tokens: [Int32]
    /// Labels of each sequence that count in the loss.
    package var trained: [Int32]

    package init(tokens: [Int32], trained: [Int32]) {
        precondition(tokens.count == trained.count, "each sequence has both counts")
        self.tokens = tokens
        self.trained = trained
    }

    package var count: Int { tokens.count }
}

/// The fixed sequence of batches of a job: which sequences step s trains on, how they are cut, and what they hold.
package struct BatchPlan: Sendable {
    package let index: SequenceIndex
    /// B, sequences a step.
    package let globalBatch: Int
    /// Sequences a micro-batch.
    package let microBatch: Int
    /// V.
    package let virtualShards: Int
    /// nil = file order.
    package let shuffleSeed: UInt64?
    /// Positions the job visits in all.
    package let totalSequences: Int
    package let beta1: Double
    package let beta2: Double

    /// - Parameter totalSequences: epochs × S, or max_steps × B; > 0.
    package init(
        index: SequenceIndex, globalBatch: Int, microBatch: Int, virtualShards: Int, shuffleSeed: UInt64?,
        totalSequences: Int, beta1: Double, beta2: Double
    ) {
        precondition(globalBatch > 0 && microBatch > 0 && virtualShards > 0, "batch sizes are positive")
        self.index = index
        self.globalBatch = globalBatch
        self.microBatch = microBatch
        self.virtualShards = virtualShards
        self.shuffleSeed = shuffleSeed
        self.totalSequences = totalSequences
        self.beta1 = beta1
        self.beta2 = beta2
    }

    /// Steps until every position was visited.
    package var plannedSteps: Int { (totalSequences + globalBatch - 1) / globalBatch }

    /// Which sequences that are.
    package var order: BatchOrder {
        BatchOrder(
            sequences: index.count, globalBatch: globalBatch, virtualShards: virtualShards, shuffleSeed: shuffleSeed,
            totalSequences: totalSequences)
    }

    /// The sequence indices of `step` in batch order.
    package func sequences(of step: Step) -> [UInt32] { order.sequences(of: step) }

    /// Input tokens of `step`.
    package func inputTokens(of step: Step) -> Int {
        sequences(of: step).reduce(0) { $0 + Int(index.tokens[Int($1)]) }
    }

    /// Input tokens of all planned steps.
    package var totalTokens: Int {
        let (epochs, rest) = totalSequences.quotientAndRemainder(dividingBy: max(1, index.count))
        let whole = index.tokens.reduce(0) { $0 + Int($1) } * epochs
        guard rest > 0 else { return whole }
        guard let shuffleSeed else { return whole + index.tokens.prefix(rest).reduce(0) { $0 + Int($1) } }
        let permutation = Permutation(count: index.count, seed: shuffleSeed, epoch: epochs)
        return whole + (0..<rest).reduce(0) { $0 + Int(index.tokens[permutation[$1]]) }
    }

    /// The recipe of `step` under `schedule`.
    package func recipe(of step: Step, schedule: LearningRateSchedule) -> Recipe {
        let batch = sequences(of: step)
        return Recipe(
            step: step, shards: cut(batch),
            trainedTokens: batch.reduce(0) { $0 + Int(index.trained[Int($1)]) },
            inputTokens: batch.reduce(0) { $0 + Int(index.tokens[Int($1)]) },
            firstSequence: (step - 1) * globalBatch,
            learningRate: schedule.rate(at: step),
            biasCorrection1: 1 - pow(beta1, Double(step)),
            biasCorrection2: 1 - pow(beta2, Double(step))
        )
    }

    /// Cuts a batch into shards, and each shard into micro-batches, in order.
    private func cut(_ batch: [UInt32]) -> [[[UInt32]]] {
        order.shards(of: batch).map { slice in
            stride(from: slice.startIndex, to: slice.endIndex, by: microBatch).map { lower in
                Array(slice[lower..<min(lower + microBatch, slice.endIndex)])
            }
        }
    }
}
