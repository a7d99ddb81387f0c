import Kernels
import Models
import Terms
import Testing
import Training

@Suite struct TrainerTests {
    private let compute = Compute(team: Team(threads: 2))
    private let update = UpdateParameters(
        learningRate: 1e-2, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.1, biasCorrection1: 0.1,
        biasCorrection2: 0.01, maxGradientNorm: 1)

    /// A random two-layer model and its flat weights.
    private func model() throws -> (DecoderConfiguration, ParameterLayout, FloatBuffer) {
        let json = try JSONValue.parse(
            #"""
            {"model_type":"qwen3","vocab_size":31,"hidden_size":16,"intermediate_size":24,"num_hidden_layers":2,
            "num_attention_heads":4,"num_key_value_heads":2,"head_dim":8,"tie_word_embeddings":true}
            """#)
        let configuration = try DecoderConfiguration.read(json: json)
        let table = TensorTable(configuration)
        let layout = ParameterLayout(full: table)
        let buffer = FloatBuffer(count: layout.count)
        for (entry, tensor) in zip(layout.entries, table.tensors) {
            configuration.drawFresh(tensor, seed: 4, into: buffer.pointer + entry.offset, team: compute.team)
            for index in 0..<entry.count { buffer.pointer[entry.offset + index] *= 8 }
        }
        return (configuration, layout, buffer)
    }

    private func full() throws -> Trainer {
        let (configuration, layout, buffer) = try model()
        return try Trainer(
            configuration: configuration, weights: WeightTable(layout, in: buffer.pointer, owner: buffer),
            method: .full, compute: compute)
    }

    private func batches(_ count: Int, seed: UInt64 = 1) -> [MicroBatch] {
        (0..<count).map { index in
            let random = Philox(seed: seed, purpose: .probe, stream: UInt64(index))
            let ids = (0..<12).map { Int32(random.below(31, UInt64($0))) }
            return MicroBatch(documents: [(ids, ids), (Array(ids.prefix(5)), Array(ids.prefix(5)))])
        }
    }

    private func values(_ trainer: Trainer, _ vector: Trainer.StateVector = .parameters) -> [Float] {
        trainer.readState(vector, 0..<trainer.count) { Array($0) }
    }

    @Test func `a shard's gradient is zeroed first and summed in order`() throws {
        let trainer = try full()
        let (twice, one, two) = (
            FloatBuffer(count: trainer.count), FloatBuffer(count: trainer.count), FloatBuffer(count: trainer.count)
        )
        twice.pointer.update(repeating: 7, count: trainer.count)
        let parts = batches(2)

        let shard = trainer.shardGradient(parts, into: twice.pointer)
        let first = trainer.shardGradient([parts[0]], into: one.pointer)
        let second = trainer.shardGradient([parts[1]], into: two.pointer)

        #expect(shard.trainedTokens == 30 && shard.isFinite)
        #expect(shard.lossSum == first.lossSum + second.lossSum)
        for index in 0..<trainer.count {
            #expect(abs(twice.pointer[index] - one.pointer[index] - two.pointer[index]) < 1e-3)
        }
    }

    @Test func `an empty shard is exactly zero`() throws {
        let trainer = try full()
        let gradient = FloatBuffer(count: trainer.count)
        gradient.pointer.update(repeating: .nan, count: trainer.count)

        let shard = trainer.shardGradient([], into: gradient.pointer)

        #expect(shard == ShardGradient(lossSum: 0, trainedTokens: 0, isFinite: true))
        #expect((0..<trainer.count).allSatisfy { gradient.pointer[$0].bitPattern == 0 })
    }

    @Test func `an update follows the AdamW formula, decaying matrices only`() throws {
        let trainer = try full()
        let before = values(trainer)
        let gradient = FloatBuffer(count: trainer.count)
        _ = trainer.shardGradient(batches(1), into: gradient.pointer)

        let report = trainer.apply(gradient: gradient.pointer, trainedTokens: 15, update: update)

        let mean = (0..<trainer.count).map { Double(gradient.pointer[$0]) / 15 }
        let norm = mean.reduce(0) { $0 + $1 * $1 }.squareRoot()
        #expect(abs(report.gradientNorm - norm) < 1e-9 * norm)
        let clip = min(1, 1 / (norm + 1e-6))
        let after = values(trainer)
        for entry in trainer.layout.entries {
            for index in entry.range {
                let g = mean[index] * clip
                let decayed = Double(before[index]) * (entry.shape.count == 2 ? 1 - 1e-2 * 0.1 : 1)
                let step = 1e-2 / 0.1 * 0.1 * g / ((0.01 * g * g).squareRoot() / 0.01.squareRoot() + 1e-8)
                // A tiny gradient meets epsilon, where fp32 leaves less of the quotient.
                let tolerance = 2e-6 + abs(step) * (abs(g) < 1e-6 ? 1e-2 : 1e-5)
                #expect(abs(Double(after[index]) - (decayed - step)) < tolerance)
            }
        }
        #expect(report.digest == trainer.stateDigest() && report.isApplied)
    }

    @Test func `a batch without trained tokens changes nothing`() throws {
        let trainer = try full()
        let before = trainer.stateDigest()
        let gradient = FloatBuffer(count: trainer.count)

        let report = trainer.apply(gradient: gradient.pointer, trainedTokens: 0, update: update)

        #expect(report == UpdateReport(gradientNorm: 0, digest: before, isApplied: false))
    }

    @Test(arguments: [Float.nan, .infinity])
    func `a gradient that is not finite is reported and changes nothing`(value: Float) throws {
        let trainer = try full()
        let before = trainer.stateDigest()
        let gradient = FloatBuffer(count: trainer.count)
        gradient.pointer[trainer.count / 2] = value

        let report = trainer.apply(gradient: gradient.pointer, trainedTokens: 9, update: update)

        #expect(!report.isApplied && !report.gradientNorm.isFinite && report.digest == before)
    }

    @Test func `a poisoned parameter makes the shard report it`() throws {
        let trainer = try full()
        trainer.changeState(.parameters, 0..<trainer.count) { $0[$0.count - 1] = .nan }
        let gradient = FloatBuffer(count: trainer.count)

        #expect(!trainer.shardGradient(batches(1), into: gradient.pointer).isFinite)
    }

    @Test func `training lowers the loss, and the same steps give the same bits`() throws {
        func run() throws -> (Trainer, LossSum, LossSum) {
            let trainer = try full()
            let gradient = FloatBuffer(count: trainer.count)
            let data = batches(3)
            let before = trainer.evaluate(data)
            for step in 1...20 {
                let shard = trainer.shardGradient(data, into: gradient.pointer)
                var parameters = update
                var (power1, power2) = (1.0, 1.0)
                for _ in 0..<step { (power1, power2) = (power1 * update.beta1, power2 * update.beta2) }
                parameters.biasCorrection1 = 1 - power1
                parameters.biasCorrection2 = 1 - power2
                _ = trainer.apply(
                    gradient: gradient.pointer, trainedTokens: shard.trainedTokens, update: parameters)
            }
            return (trainer, before, trainer.evaluate(data))
        }

        let (one, before, after) = try run()
        let (two, _, _) = try run()

        #expect(before.trainedTokens == 45 && after.lossSum < 0.7 * before.lossSum)
        #expect(one.stateDigest() == two.stateDigest())
    }

    @Test func `packed weights follow the training, step by step`() throws {
        // The native path with fp32 operands computes what the other path does, up to the order of sums.
        let (configuration, layout, buffer) = try model()
        func trainer(_ compute: Compute, _ method: TrainingMethod) throws -> Trainer {
            try Trainer(
                configuration: configuration, weights: WeightTable(layout, in: buffer.pointer, owner: buffer),
                method: method, compute: compute)
        }
        func losses(_ trainer: Trainer) -> [Double] {
            let gradient = FloatBuffer(count: trainer.count)
            var parameters = update
            parameters.learningRate = 1e-3
            return (1...6).map { step in
                let shard = trainer.shardGradient(batches(2), into: gradient.pointer)
                _ = trainer.apply(gradient: gradient.pointer, trainedTokens: shard.trainedTokens, update: parameters)
                if step == 4 { trainer.changeState(.parameters, 0..<trainer.count) { $0[0] += 1 } }
                return shard.lossSum
            }
        }
        for method in [TrainingMethod.full, .adapter(AdapterSpecification(rank: 4, alpha: 8), seed: 1, initial: nil)] {
            let native = compute.using(.bf16, native: NativeProducts(.fp32, threads: compute.team.threads))
            let (fast, plain) = (losses(try trainer(native, method)), losses(try trainer(compute, method)))
            #expect(plain[5] != plain[4] && plain[5] != plain[0])
            for (left, right) in zip(fast, plain) { #expect(abs(left - right) < 1e-3 * right) }
        }
    }

    @Test func `a hundred steps in bf16 end within one percent of fp32's loss`() throws {
        func run(_ arithmetic: Arithmetic, threads: Int = 2) throws -> (loss: Double, digest: UInt64) {
            let (configuration, layout, buffer) = try model()
            for entry in layout.entries where entry.shape.count == 1 {
                (buffer.pointer + entry.offset).update(repeating: 1, count: entry.count)
            }
            let trainer = try Trainer(
                configuration: configuration, weights: WeightTable(layout, in: buffer.pointer, owner: buffer),
                method: .full, compute: Compute(team: Team(threads: threads)).using(arithmetic))
            let gradient = FloatBuffer(count: trainer.count)
            let data = batches(8)
            var parameters = update
            parameters.learningRate = 1e-4
            var (power1, power2) = (1.0, 1.0)
            for _ in 1...100 {
                let shard = trainer.shardGradient(data, into: gradient.pointer)
                (power1, power2) = (power1 * update.beta1, power2 * update.beta2)
                (parameters.biasCorrection1, parameters.biasCorrection2) = (1 - power1, 1 - power2)
                _ = trainer.apply(gradient: gradient.pointer, trainedTokens: shard.trainedTokens, update: parameters)
            }
            let end = trainer.evaluate(data)
            return (end.lossSum / Double(end.trainedTokens), trainer.stateDigest())
        }

        let (exact, rounded) = (try run(.fp32), try run(.bf16))

        #expect(abs(rounded.loss - exact.loss) < 0.01 * exact.loss)
        #expect(rounded.digest != exact.digest)
        #expect(rounded.digest == (try run(.bf16, threads: 1)).digest)
    }

    @Test func `a state copied vector by vector goes on to the same bits`() throws {
        let (first, second) = (try full(), try full())
        let gradient = FloatBuffer(count: first.count)
        _ = first.shardGradient(batches(1), into: gradient.pointer)
        _ = first.apply(gradient: gradient.pointer, trainedTokens: 15, update: update)

        for vector in Trainer.StateVector.allCases {
            for start in stride(from: 0, to: first.count, by: 1000) {
                let range = start..<min(start + 1000, first.count)
                let piece = first.readState(vector, range) { Array($0) }
                second.changeState(vector, range) { _ = $0.update(fromContentsOf: piece) }
            }
        }

        #expect(first.stateDigest() == second.stateDigest())
        let left = first.shardGradient(batches(1, seed: 2), into: gradient.pointer)
        let right = second.shardGradient(batches(1, seed: 2), into: gradient.pointer)
        #expect(left == right)
    }

    @Test func `an adapter trains its factors and leaves the frozen weights alone`() throws {
        let (configuration, layout, buffer) = try model()
        let frozen = (0..<buffer.count).map { buffer.pointer[$0].bitPattern }
        let trainer = try Trainer(
            configuration: configuration, weights: WeightTable(layout, in: buffer.pointer, owner: buffer),
            method: .adapter(AdapterSpecification(rank: 4, alpha: 8), seed: 11, initial: nil), compute: compute)
        let gradient = FloatBuffer(count: trainer.count)
        let data = batches(3)
        let before = trainer.evaluate(data)

        for _ in 0..<10 {
            let shard = trainer.shardGradient(data, into: gradient.pointer)
            _ = trainer.apply(gradient: gradient.pointer, trainedTokens: shard.trainedTokens, update: update)
        }

        #expect(trainer.evaluate(data).lossSum < before.lossSum)
        #expect((0..<buffer.count).allSatisfy { buffer.pointer[$0].bitPattern == frozen[$0] })
        let exported = trainer.exportTensors()
        #expect(exported.count == 28)
        #expect(exported[0].name == "base_model.model.model.layers.0.mlp.down_proj.lora_A.weight")
        #expect(exported[0].shape == [4, 24])
    }

    @Test func `an adapter starts from given factors`() throws {
        let (configuration, layout, buffer) = try model()
        let weights = WeightTable(layout, in: buffer.pointer, owner: buffer)
        let specification = AdapterSpecification(rank: 4, alpha: 8, targets: .names(["q_proj", "down_proj"]))
        func trainer(_ seed: UInt64, _ initial: WeightTable?) throws -> Trainer {
            try Trainer(
                configuration: configuration, weights: weights,
                method: .adapter(specification, seed: seed, initial: initial), compute: compute)
        }

        let one = try trainer(1, nil)
        let copy = try trainer(2, WeightTable(one.exportTensors()))
        let other = try trainer(2, nil)

        #expect(one.stateDigest() == copy.stateDigest())
        #expect(one.stateDigest() != other.stateDigest())
        #expect(throws: ModelError.self) { try trainer(1, WeightTable([])) }
    }
}
