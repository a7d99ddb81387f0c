import Foundation
import ModelFiles
import Models
import Terms
import Testing
import Training

/// What is written reads back to the same function; `scripts/parity/check-exports` has peft confirm it.
@Suite struct ExportTests {
    let folder = NSTemporaryDirectory() + "drover-parity-" + UUID().uuidString

    @Test(arguments: Fixture.families) func `an adapter merged into the weights gives peft's merged logits`(
        family: String
    ) throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let fixture = try Fixture(family)
        let adapter = try AdapterDirectory(path: fixture.path + "/adapter", model: fixture.model.configuration)
        let factors = try adapter.loadWeights()

        try AdapterMerge.write(fixture.model, modules: adapter.modules, factors: factors.table, to: folder)

        let reader = try Reader(try ModelDirectory(path: folder))
        let beside = try Reader(fixture.model, adapter: adapter)
        for (index, document) in try fixture.documents().enumerated() {
            let expected = try fixture.values("lora.logits.\(index)")
            #expect(difference(reader.logits(document), expected) <= 1e-4)
            #expect(difference(beside.logits(document), expected) <= 1e-4)
        }
    }

    @Test(arguments: Fixture.families) func `a rank-stabilised adapter gives peft's logits`(family: String) throws {
        let fixture = try Fixture(family)
        let adapter = try AdapterDirectory(path: fixture.path + "/adapter-rslora", model: fixture.model.configuration)

        let logits = try Reader(fixture.model, adapter: adapter).logits(try fixture.documents()[0])

        #expect(difference(logits, try fixture.values("rslora.logits.0")) <= 1e-4)
    }

    @Test(arguments: Fixture.families) func `trained weights and adapters read back to the same logits`(
        family: String
    ) throws {
        let root = ProcessInfo.processInfo.environment["DROVER_PARITY_EXPORT"]
        defer { if root == nil { try? FileManager.default.removeItem(atPath: folder) } }
        let fixture = try Fixture(family)
        let target = (root ?? folder) + "/" + family
        let document = try fixture.documents()[0]

        let full = try train(fixture, .full)
        let tensors = full.exportTensors()
        try ModelDirectoryWriter.write(
            to: target + "/full", configuration: fixture.model.configuration, companions: fixture.path
        ) { tensor in tensors.first { $0.name == tensor.name }!.pointer }
        let adapted = try train(fixture, nil)
        let adapter = try AdapterDirectory(path: fixture.path + "/adapter", model: fixture.model.configuration)
        try AdapterDirectory.write(
            to: target + "/adapter", configuration: adapter.configuration, model: fixture.model.configuration,
            tensors: adapted.exportTensors())

        let fullAgain = try ModelDirectory(path: target + "/full")
        let adapterAgain = try AdapterDirectory(path: target + "/adapter", model: fixture.model.configuration)
        let fullLogits = try Reader(fullAgain).logits(document)
        let adapterLogits = try Reader(fixture.model, adapter: adapterAgain).logits(document)
        #expect(fullLogits == full.decoder.allLogits(document))
        #expect(adapterLogits == adapted.decoder.allLogits(document))
        #expect(try fullAgain.digest() == digest(full))
        #expect(try adapterAgain.digest() == digest(adapted))
        guard root != nil else { return }
        try writeLogits(fullLogits, document, to: target + "/full.safetensors")
        try writeLogits(adapterLogits, document, to: target + "/adapter.safetensors")
        try Disk.write(Array(document.tokens.map(String.init).joined(separator: ",").utf8), to: target + "/ids")
    }

    /// Three steps from the checkpoint: everything, or (nil) the fixture's adapter.
    private func train(_ fixture: Fixture, _ method: TrainingMethod?) throws -> Trainer {
        let trainer = try method.map(fixture.trainer) ?? fixture.trainer(adapter: "adapter")
        for (index, documents) in try fixture.steps().prefix(3).enumerated() {
            _ = trainer.run(documents, step: index + 1, settings: try fixture.settings())
        }
        return trainer
    }

    private func digest(_ trainer: Trainer) throws -> Digest {
        let tensors = trainer.exportTensors()
        return try ModelDigest.of(tensors.map { TensorDescription(name: $0.name, shape: $0.shape) }) { tensor in
            tensors.first { $0.name == tensor.name }!.pointer
        }
    }

    private func writeLogits(_ logits: [Float], _ document: MicroBatch, to path: String) throws {
        let rows = document.tokens.count
        let tensor = TensorDescription(name: "logits", shape: [rows, logits.count / rows])
        try logits.withUnsafeBufferPointer { logits throws(ModelFileError) in
            try SafetensorsWriter.write(to: path, tensors: [tensor]) { _ in logits.baseAddress! }
        }
    }
}
