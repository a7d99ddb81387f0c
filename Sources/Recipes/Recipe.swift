package import Terms

/// Everything that decides what one optimizer step does: state(s) = F(state(s−1), recipe(s)).
///
/// Nothing per machine enters it, so any set of workers that follows it arrives at the same bits. Reals that
/// influence training travel as bit patterns (design §4.1, rule 1).
package struct Recipe: Sendable, Equatable {
    /// The step this recipe leads to, from 1.
    package var step: Step
    /// Per virtual shard, in shard order: its micro-batches, each a list of sequence indices.
    package var shards: [[[UInt32]]]
    /// Labels that count in the loss, over the whole batch; 0 = the step changes nothing but the counter.
    package var trainedTokens: Int
    /// Input tokens of the batch, without padding.
    package var inputTokens: Int
    /// Sequences consumed by the job before this step.
    package var firstSequence: Int
    /// Learning rate, after the schedule.
    package var learningRate: Double
    /// 1 − β₁ᵗ and 1 − β₂ᵗ with t = `step`.
    package var biasCorrection1: Double
    package var biasCorrection2: Double

    package init(
        step: Step, shards: [[[UInt32]]], trainedTokens: Int, inputTokens: Int, firstSequence: Int,
        learningRate: Double, biasCorrection1: Double, biasCorrection2: Double
    ) {
        self.step = step
        self.shards = shards
        self.trainedTokens = trainedTokens
        self.inputTokens = inputTokens
        self.firstSequence = firstSequence
        self.learningRate = learningRate
        self.biasCorrection1 = biasCorrection1
        self.biasCorrection2 = biasCorrection2
    }

    /// How many sequences the step trains on.
    package var sequenceCount: Int { shards.reduce(0) { $0 + $1.reduce(0) { $0 + $1.count } } }
}

extension Recipe {
    /// The exact bytes that are journalled, sent and hashed.
    package func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: 64 + 4 * sequenceCount)
        writer.integer(UInt16(1))
        writer.integer(UInt64(step))
        writer.integer(UInt64(trainedTokens))
        writer.integer(UInt64(inputTokens))
        writer.integer(UInt64(firstSequence))
        writer.double(learningRate)
        writer.double(biasCorrection1)
        writer.double(biasCorrection2)
        writer.list(shards) { writer, microBatches in
            writer.list(microBatches) { writer, sequences in
                writer.list(sequences) { $0.integer($1) }
            }
        }
        return writer.bytes
    }

    /// Most sequences, shards or micro-batches that one recipe may name.
    package static let listLimit = 1 << 20

    package init(decoding bytes: [UInt8]) throws(ByteError) {
        var reader = ByteReader(bytes)
        guard try reader.integer(UInt16.self) == 1 else { throw .invalid("recipe version") }
        func count(_ reader: inout ByteReader) throws(ByteError) -> Int {
            guard let value = Int(exactly: try reader.integer(UInt64.self)) else { throw .invalid("count") }
            return value
        }
        step = try count(&reader)
        trainedTokens = try count(&reader)
        inputTokens = try count(&reader)
        firstSequence = try count(&reader)
        learningRate = try reader.double()
        biasCorrection1 = try reader.double()
        biasCorrection2 = try reader.double()
        shards = try reader.list(limit: Self.listLimit) { (reader) throws(ByteError) in
            try reader.list(limit: Self.listLimit) { (reader) throws(ByteError) in
                try reader.list(limit: Self.listLimit) { (reader) throws(ByteError) in try reader.integer(UInt32.self) }
            }
        }
        try reader.finish()
    }
}
