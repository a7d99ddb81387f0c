import Terms

extension Manifest {
    /// Checks every rule that a single manifest can break on its own; the first broken one is thrown.
    package func validate() throws(CheckpointError) {
        try Self.require(RepositoryLayout.isRunName(run), "run", "must be 1 to 64 letters, digits, `_` or `-`")
        try Self.require((0...ManifestName.stepLimit).contains(step), "step", "is out of range")
        try Self.require(
            (0...ManifestName.epochLimit).contains(coordinatorEpoch), "coordinator_epoch", "is out of range")
        try Self.require(sequence >= 0, "sequence", "is negative")
        try Self.require(createdUnixMilliseconds >= 0, "created_unix_ms", "is negative")
        try Self.require(
            progress.tokens >= 0 && progress.samples >= 0 && progress.epoch >= 0, "progress", "is negative")
        try Self.require(data.epoch >= 0 && data.sample >= 0, "data.cursor", "is negative")
        try validateLineage()
        for (field, value) in [
            ("numerics", numerics), ("optimizer", optimizer), ("schedule", schedule), ("rng", rng),
            ("budget", budget), ("extras", extras),
        ] {
            try Self.require(value.object != nil, field, "must be an object")
            try Self.validateOpaque(value, field: field, depth: 0)
        }
        try validateTensors()
    }

    private func validateLineage() throws(CheckpointError) {
        try Self.require(
            TextRules.isWord(lineage.branch), "lineage.branch", "must be 1 to 64 letters, digits, `_` or `-`")
        try Self.require(lineage.restores.count <= Limits.restores, "lineage.restores", "has too many elements")
        var last = -1
        for restore in lineage.restores {
            try Self.require(
                restore.sequence > last && restore.sequence < sequence && restore.step >= 0,
                "lineage.restores", "must ascend and stand before this manifest's sequence")
            last = restore.sequence
        }
    }

    private func validateTensors() throws(CheckpointError) {
        var previous: Tensor?
        var chunks = 0
        for (index, tensor) in tensors.enumerated() {
            let field = "tensors[\(index)]"
            if let problem = TensorLayout.problem(ofName: tensor.name) {
                throw .manifest(field: field + ".name", problem: problem)
            }
            if let previous, previous.name == tensor.name {
                try Self.require(previous.role < tensor.role, field, "roles of `\(tensor.name)` must ascend")
                try Self.require(previous.shape == tensor.shape, field, "roles of `\(tensor.name)` differ in shape")
            } else {
                try Self.require(
                    previous.map { $0.name.utf8.lexicographicallyPrecedes(tensor.name.utf8) } ?? true, field,
                    "names must ascend by their bytes")
                try Self.require(tensor.role == .parameter, field, "`\(tensor.name)` has moments but no parameter")
            }
            try Self.validateSizes(tensor, field: field)
            chunks += tensor.chunks.count
            previous = tensor
        }
        try Self.require(chunks <= Limits.chunks, "tensors", "more than \(Limits.chunks) chunks")
    }

    private static func validateSizes(_ tensor: Tensor, field: String) throws(CheckpointError) {
        guard let elements = TensorLayout.elements(of: tensor.shape) else {
            throw .manifest(field: field + ".shape", problem: "\(tensor.shape) is no usable shape")
        }
        try require(
            tensor.bytes == 4 * elements, field + ".bytes", "\(tensor.bytes) is not 4 × the product of the shape")
        var sum = 0
        for chunk in tensor.chunks {
            try require(
                (1...RepositoryLayout.chunkLimit).contains(chunk.length) && chunk.length % 4 == 0, field + ".chunks",
                "a chunk has whole fp32 values, at most \(RepositoryLayout.chunkLimit) bytes")
            sum += chunk.length
        }
        try require(sum == tensor.bytes, field + ".chunks", "hold \(sum) bytes, the tensor has \(tensor.bytes)")
    }

    /// A caller's own JSON holds no floats: two programs may print the same float differently.
    private static func validateOpaque(_ value: JSONValue, field: String, depth: Int) throws(CheckpointError) {
        try require(depth <= 16, field, "is nested deeper than 16 levels")
        switch value {
        case .null, .bool, .string: return
        case .number(let number):
            guard let integer = Int(number.text), String(integer) == number.text else {
                throw .manifest(
                    field: field, problem: "`\(number.text.prefix(40))`: write a bit pattern or a scaled integer")
            }
        case .array(let elements):
            for element in elements { try validateOpaque(element, field: field + "[]", depth: depth + 1) }
        case .object(let object):
            for (key, member) in object.members {
                try validateOpaque(member, field: field + "." + key, depth: depth + 1)
            }
        }
    }

    private static func require(_ holds: Bool, _ field: String, _ problem: @autoclosure () -> String)
        throws(CheckpointError)
    {
        guard holds else { throw .manifest(field: field, problem: problem()) }
    }
}
