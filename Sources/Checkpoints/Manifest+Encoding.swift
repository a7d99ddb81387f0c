package import Terms

extension Manifest {
    /// The file: canonical JSON in UTF-8, keys in byte order, no white space.
    package var canonicalBytes: [UInt8] { json.encoded(sorted: true) }

    /// The manifest as a JSON value.
    package var json: JSONValue {
        let objects = objects
        return .members([
            "format": .string(Self.format),
            "run": .string(run),
            "job": .int(Int(job.number)),
            "step": .int(step),
            "coordinator_epoch": .int(coordinatorEpoch),
            "generation": .int(Int(generation.number)),
            "sequence": .int(sequence),
            "kind": .string(kind.rawValue),
            "parent": Self.json(parent),
            "lineage": Self.json(lineage),
            "created_unix_ms": .int(createdUnixMilliseconds),
            "exactness": .string(exactness.rawValue),
            "progress": .members([
                "tokens": .int(progress.tokens), "samples": .int(progress.samples), "epoch": .int(progress.epoch),
            ]),
            "model": .members([
                "config_sha256": Self.json(model.config), "base_sha256": Self.json(model.base),
                "tokenizer_sha256": Self.json(model.tokenizer), "job_file_sha256": Self.json(model.jobFile),
            ]),
            "numerics": numerics,
            "optimizer": optimizer,
            "schedule": schedule,
            "data": .members([
                "sha256": Self.json(data.digest),
                "cursor": .members(["epoch": .int(data.epoch), "sample": .int(data.sample)]),
            ]),
            "rng": rng,
            "accumulation": .int(0),
            "budget": budget,
            "extras": extras,
            "eval_loss_bits": evaluationLossBits.map { .string(Self.hex($0)) } ?? .null,
            "tensors": .array(tensors.map(Self.json)),
            "objects": .members([
                "count": .int(objects.count), "bytes": .int(objects.reduce(0) { $0 + $1.length }),
            ]),
            "expected_tensors_sha256": Self.json(expectedTensors),
            "model_sha256": Self.json(modelDigest),
        ])
    }

    private static func json(_ digest: Digest?) -> JSONValue { digest.map { .string($0.hex) } ?? .null }

    private static func json(_ lineage: Lineage) -> JSONValue {
        .members([
            "trunk": json(lineage.trunk), "branch": .string(lineage.branch),
            "restores": .array(lineage.restores.map { .array([.int($0.sequence), .int($0.step)]) }),
        ])
    }

    private static func json(_ tensor: Tensor) -> JSONValue {
        .members([
            "name": .string(tensor.name), "role": .string(tensor.role.rawValue), "dtype": .string("f32"),
            "shape": .array(tensor.shape.map(JSONValue.int)), "bytes": .int(tensor.bytes),
            "chunks": .array(tensor.chunks.map { .array([.string($0.digest.hex), .int($0.length)]) }),
        ])
    }

    /// 16 lower-case hexadecimal digits.
    static func hex(_ bits: UInt64) -> String {
        let text = String(bits, radix: 16)
        return String(repeating: "0", count: 16 - text.count) + text
    }
}
