import Checkpoints
import Terms

/// A digest whose bytes are all `byte`.
func digest(_ byte: UInt8) -> Digest {
    guard let digest = Digest(bytes: [UInt8](repeating: byte, count: 32)) else {
        preconditionFailure("32 bytes make a digest")
    }
    return digest
}

/// A valid manifest of two tensors, three roles each.
func sampleManifest(step: Step = 12, kind: Manifest.Kind = .periodic) throws -> Manifest {
    let layout = try TensorLayout([("a.weight", [2, 3]), ("b", [])])
    let plan = SavePlan(layout: layout)
    let tensors = plan.tensors(digests: (0..<plan.pieces.count).map { digest(UInt8($0)) })
    var manifest = Manifest(
        run: "shop-assistant", job: JobID(7), step: step, coordinatorEpoch: 17, generation: Generation(3), kind: kind,
        parent: digest(0xAA), createdUnixMilliseconds: 1_790_000_000_000, exactness: .exact,
        progress: .init(tokens: 49_152_000, samples: 96_000, epoch: 1),
        model: .init(config: digest(1), base: digest(2), tokenizer: nil, jobFile: digest(3)),
        numerics: .members(["profile": .string("p"), "virtual_shards": .int(8)]),
        optimizer: .members(["beta1_e9": .int(900_000_000), "t": .int(step)]),
        schedule: .members(["kind": .string("wsd"), "plan_events": .array([.int(0), .null, .bool(true)])]),
        data: .init(digest: digest(4), epoch: 1, sample: 96_000), rng: .members(["seed": .string("7f3c")]),
        budget: .members(["spent": .members(["tokens": .int(49_152_000)])]), tensors: tensors,
        expectedTensors: digest(5), modelDigest: digest(6))
    manifest.sequence = 4
    manifest.lineage = .init(trunk: digest(9), branch: "main", restores: [.init(sequence: 1, step: 5)])
    manifest.evaluationLoss = 1.5
    return manifest
}
