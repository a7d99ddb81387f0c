import Kernels
import ModelFiles
import Models
import Terms
import Testing
import Training

/// Gradients and training curves agree with PyTorch and peft.
@Suite struct CurveTests {
    @Test(arguments: Fixture.families) func `every gradient is that of PyTorch`(family: String) throws {
        let fixture = try Fixture(family)
        let trainer = try fixture.trainer(.full)

        try expectGradients(trainer, fixture, prefix: "grad.")
    }

    @Test(arguments: Fixture.families) func `every gradient of an adapter is that of peft`(family: String) throws {
        let fixture = try Fixture(family)
        let trainer = try fixture.trainer(adapter: "adapter")

        try expectGradients(trainer, fixture, prefix: "lora.grad.")
    }

    @Test(arguments: Fixture.families) func `twenty steps of AdamW follow PyTorch`(family: String) throws {
        let fixture = try Fixture(family)
        let trainer = try fixture.trainer(.full)

        try expectCurve(trainer, fixture, expected: try #require(fixture.expected["full"]?.array))

        let logits = trainer.decoder.allLogits(try fixture.documents()[0])
        #expect(difference(logits, try fixture.values("trained.logits.0")) <= 1e-3)
    }

    @Test(arguments: Fixture.families) func `twenty steps of LoRA follow peft`(family: String) throws {
        let fixture = try Fixture(family)
        let trainer = try fixture.trainer(adapter: "adapter")

        try expectCurve(trainer, fixture, expected: try #require(fixture.expected["lora"]?["steps"]?.array))
    }

    @Test(arguments: Fixture.families) func `twenty steps of rank-stabilised LoRA follow peft`(family: String) throws {
        let fixture = try Fixture(family)
        let trainer = try fixture.trainer(adapter: "adapter-rslora")

        try expectCurve(trainer, fixture, expected: try #require(fixture.expected["rslora"]?["steps"]?.array))
    }

    /// The sum gradient of the ragged batch, within 1e-4 of each tensor's length.
    private func expectGradients(_ trainer: Trainer, _ fixture: Fixture, prefix: String) throws {
        let batch = try fixture.batch()
        var gradient = [Float](repeating: .nan, count: trainer.count)

        let shard = gradient.withUnsafeMutableBufferPointer {
            trainer.shardGradient([MicroBatch(documents: batch)], into: $0.baseAddress!)
        }

        #expect(shard.isFinite)
        #expect(shard.trainedTokens == fixture.expected["trained"]?.int)
        for entry in trainer.layout.entries {
            let distance = relativeDistance(gradient[entry.range], try fixture.values(prefix + entry.name))
            #expect(distance <= 1e-4, "\(entry.name)")
        }
        let names = fixture.tensors.header.entries.map(\.name).filter { $0.hasPrefix(prefix) }
        #expect(names.count == trainer.layout.entries.count)
    }

    /// Losses within 1e-5, gradient norms within 1e-4, relative; odd steps one micro-batch, even steps one a document.
    private func expectCurve(_ trainer: Trainer, _ fixture: Fixture, expected: [JSONValue]) throws {
        var step = 0
        for (documents, record) in zip(try fixture.steps(), expected) {
            step += 1
            let result = try trainer.run(documents, step: step, settings: fixture.settings())
            let loss = try #require(record["loss"]?.double)
            let norm = try #require(record["grad_norm"]?.double)
            #expect(result.trainedTokens == record["trained"]?.int)
            #expect(abs(result.loss - loss) <= 1e-5 * loss, "loss of step \(step)")
            #expect(abs(result.norm - norm) <= 1e-4 * norm, "norm of step \(step)")
        }
        #expect(step == 20)
    }
}

extension Fixture {
    /// A trainer that starts at the checkpoint.
    func trainer(_ method: TrainingMethod) throws -> Trainer {
        let weights = try model.loadWeights()
        return try Trainer(
            configuration: model.configuration, weights: weights.table, owner: weights, method: method,
            compute: Compute(team: Team(threads: 1)))
    }

    /// A trainer of the adapter in the folder `name`.
    func trainer(adapter name: String) throws -> Trainer {
        let adapter = try AdapterDirectory(path: path + "/" + name, model: model.configuration)
        let factors = try adapter.loadWeights()
        return try withExtendedLifetime(factors) {
            try trainer(.adapter(adapter.specification, seed: 0, initial: factors.table))
        }
    }

    func settings() throws -> UpdateParameters {
        func number(_ key: String) throws -> Double { try #require(expected["settings"]?[key]?.double) }
        return UpdateParameters(
            learningRate: try number("learning_rate"), beta1: try number("beta1"), beta2: try number("beta2"),
            epsilon: try number("epsilon"), weightDecay: try number("weight_decay"), biasCorrection1: 1,
            biasCorrection2: 1, maxGradientNorm: try number("max_grad_norm"))
    }
}

extension Trainer {
    /// One optimizer step on `documents`; `step` counts from 1.
    func run(
        _ documents: [Fixture.Document], step: Int, settings: UpdateParameters
    ) -> (loss: Double, norm: Double, trainedTokens: Int) {
        var update = settings
        var (power1, power2) = (1.0, 1.0)
        for _ in 0..<step { (power1, power2) = (power1 * update.beta1, power2 * update.beta2) }
        (update.biasCorrection1, update.biasCorrection2) = (1 - power1, 1 - power2)
        let batches =
            step % 2 == 1
            ? [MicroBatch(documents: documents)] : documents.map { MicroBatch(documents: [$0]) }
        var gradient = [Float](repeating: 0, count: count)
        return gradient.withUnsafeMutableBufferPointer { gradient in
            let shard = shardGradient(batches, into: gradient.baseAddress!)
            let report = apply(
                gradient: UnsafePointer(gradient.baseAddress!), trainedTokens: shard.trainedTokens, update: update)
            return (shard.lossSum / Double(shard.trainedTokens), report.gradientNorm, shard.trainedTokens)
        }
    }
}
