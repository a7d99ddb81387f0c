package import Terms

/// Which sequences each step trains on, and how a batch is cut into shards: a pure function of a few numbers.
///
/// Batch s holds the global positions (s−1)·B ..< min(s·B, end); position i is element i mod S of the permutation of
/// epoch i ÷ S. Batches run across the end of an epoch, the last one may be short (design §4, §4.1 rules 1 and 14).
package struct BatchOrder: Sendable, Equatable {
    /// S, > 0.
    package let sequences: Int
    /// B, sequences a step.
    package let globalBatch: Int
    /// V.
    package let virtualShards: Int
    /// nil = file order.
    package let shuffleSeed: UInt64?
    /// Positions the job visits in all.
    package let totalSequences: Int

    /// An order of these numbers.
    package init(sequences: Int, globalBatch: Int, virtualShards: Int, shuffleSeed: UInt64?, totalSequences: Int) {
        self.sequences = sequences
        self.globalBatch = globalBatch
        self.virtualShards = virtualShards
        self.shuffleSeed = shuffleSeed
        self.totalSequences = totalSequences
    }

    /// The sequence indices of `step` in batch order.
    package func sequences(of step: Step) -> [UInt32] {
        let lower = (step - 1) * globalBatch
        let upper = min(step * globalBatch, totalSequences)
        guard lower < upper else { return [] }
        var order: (epoch: Int, permutation: Permutation)?
        return (lower..<upper).map { position in
            let (epoch, place) = position.quotientAndRemainder(dividingBy: sequences)
            guard let shuffleSeed else { return UInt32(place) }
            if order?.epoch != epoch {
                order = (epoch, Permutation(count: sequences, seed: shuffleSeed, epoch: epoch))
            }
            return UInt32(order!.permutation[place])
        }
    }

    /// Cuts a batch into V shards, as equal as possible.
    package func shards(of batch: [UInt32]) -> [ArraySlice<UInt32>] {
        (0..<virtualShards).map { shard in
            batch[batch.count * shard / virtualShards..<batch.count * (shard + 1) / virtualShards]
        }
    }

    /// The sequence indices of each shard of `step`.
    package func shards(of step: Step) -> [ArraySlice<UInt32>] { shards(of: sequences(of: step)) }
}
