import Terms

extension Manifest {
    /// Bounds on what a manifest may ask of its reader.
    package enum Limits {
        /// Bytes of the file, 64 MiB.
        package static let bytes = 64 << 20
        package static let chunks = 4_000_000
        package static let restores = 4_096
    }

    /// Reads a manifest; total and bounded: any bytes give a valid manifest or an error, and only canonical bytes are
    /// accepted, so that `canonicalBytes` of the result equals `bytes`.
    package static func parse(_ bytes: [UInt8]) throws(CheckpointError) -> Manifest {
        guard bytes.count <= Limits.bytes else {
            throw .manifest(field: "", problem: "\(bytes.count) bytes, at most \(Limits.bytes) are allowed")
        }
        let value: JSONValue
        do throws(JSONError) {
            value = try JSONValue.parse(bytes, limits: JSONLimits(depth: 24, refusesDuplicateKeys: true))
        } catch {
            throw .manifest(field: "", problem: error.description)
        }
        let manifest = try read(try FieldReader(value, path: ""))
        try manifest.validate()
        guard manifest.canonicalBytes == bytes else {
            throw .manifest(field: "", problem: "not in canonical form, or with fields this version does not know")
        }
        return manifest
    }

    private static func read(_ root: FieldReader) throws(CheckpointError) -> Manifest {
        let format = try root.string("format")
        guard format == Self.format else {
            throw .manifest(field: "format", problem: "`\(format.prefix(40))` is not read by this version")
        }
        guard try root.integer("accumulation") == 0 else {
            throw .manifest(field: "accumulation", problem: "a checkpoint stands between two steps, so it must be 0")
        }
        let progress = try root.nested("progress")
        let model = try root.nested("model")
        let data = try root.nested("data")
        let cursor = try data.nested("cursor")
        var manifest = Manifest(
            run: try root.string("run"),
            job: JobID(UInt32(try root.integer("job", in: 0...Int(UInt32.max)))),
            step: try root.integer("step"),
            coordinatorEpoch: try root.integer("coordinator_epoch"),
            generation: Generation(UInt32(try root.integer("generation", in: 0...Int(UInt32.max)))),
            kind: try root.word("kind"),
            createdUnixMilliseconds: try root.integer("created_unix_ms"),
            exactness: try root.word("exactness"),
            progress: Progress(
                tokens: try progress.integer("tokens"), samples: try progress.integer("samples"),
                epoch: try progress.integer("epoch")),
            model: Model(
                config: try model.digest("config_sha256"), base: try model.optionalDigest("base_sha256"),
                tokenizer: try model.optionalDigest("tokenizer_sha256"),
                jobFile: try model.optionalDigest("job_file_sha256")),
            numerics: try root.value("numerics"), optimizer: try root.value("optimizer"),
            schedule: try root.value("schedule"),
            data: DataPosition(
                digest: try data.digest("sha256"), epoch: try cursor.integer("epoch"),
                sample: try cursor.integer("sample")),
            rng: try root.value("rng"), budget: try root.value("budget"),
            tensors: try tensors(root),
            expectedTensors: try root.digest("expected_tensors_sha256"),
            modelDigest: try root.optionalDigest("model_sha256"))
        manifest.sequence = try root.integer("sequence")
        manifest.parent = try root.optionalDigest("parent")
        manifest.lineage = try lineage(try root.nested("lineage"))
        manifest.extras = try root.value("extras")
        manifest.evaluationLossBits = try bits(root, "eval_loss_bits")
        return manifest
    }

    private static func lineage(_ reader: FieldReader) throws(CheckpointError) -> Lineage {
        var restores: [Restore] = []
        for pair in try reader.array("restores", limit: Limits.restores) {
            let field = reader.field("restores")
            guard let pair = pair.array, pair.count == 2 else {
                throw .manifest(field: field, problem: "must hold pairs [sequence, step]")
            }
            restores.append(
                Restore(
                    sequence: try FieldReader.integer(pair[0], in: 0...Int.max, field: field),
                    step: try FieldReader.integer(pair[1], in: 0...Int.max, field: field)))
        }
        return Lineage(
            trunk: try reader.optionalDigest("trunk"), branch: try reader.string("branch"), restores: restores)
    }

    private static func tensors(_ root: FieldReader) throws(CheckpointError) -> [Tensor] {
        var tensors: [Tensor] = []
        var chunkCount = 0
        for (index, value) in try root.array("tensors", limit: 3 * TensorLayout.Limits.tensors).enumerated() {
            let reader = try FieldReader(value, path: "tensors[\(index)]")
            guard try reader.string("dtype") == "f32" else {
                throw .manifest(field: reader.field("dtype"), problem: "must be `f32`")
            }
            var shape: [Int] = []
            for axis in try reader.array("shape", limit: TensorLayout.Limits.axes) {
                shape.append(try FieldReader.integer(axis, in: 0...Int.max, field: reader.field("shape")))
            }
            let chunks = try chunks(reader, limit: Limits.chunks - chunkCount)
            chunkCount += chunks.count
            tensors.append(
                Tensor(
                    name: try reader.string("name"), role: try reader.word("role"), shape: shape,
                    bytes: try reader.integer("bytes"), chunks: chunks))
        }
        return tensors
    }

    private static func chunks(_ reader: FieldReader, limit: Int) throws(CheckpointError) -> [Chunk] {
        var chunks: [Chunk] = []
        for pair in try reader.array("chunks", limit: limit) {
            let field = reader.field("chunks")
            guard let pair = pair.array, pair.count == 2 else {
                throw .manifest(field: field, problem: "must hold pairs [sha256, length]")
            }
            chunks.append(
                Chunk(
                    digest: try FieldReader.digest(pair[0], field: field),
                    length: try FieldReader.integer(pair[1], in: 0...Int.max, field: field)))
        }
        return chunks
    }

    private static func bits(_ reader: FieldReader, _ key: String) throws(CheckpointError) -> UInt64? {
        let value = try reader.value(key)
        if value.isNull { return nil }
        guard let text = value.string, text.utf8.count == 16, let bits = UInt64(text, radix: 16), hex(bits) == text
        else {
            throw .manifest(field: reader.field(key), problem: "must be 16 lower-case hexadecimal digits or null")
        }
        return bits
    }
}
