package import Terms

extension Manifest {
    /// Every object the manifest names, ascending by digest, each once.
    package var objects: [Chunk] {
        var seen: Set<Chunk> = []
        var list: [Chunk] = []
        for tensor in tensors {
            for chunk in tensor.chunks where seen.insert(chunk).inserted { list.append(chunk) }
        }
        return list.sorted { ($0.digest, $0.length) < ($1.digest, $1.length) }
    }

    /// Bytes of all objects, each counted once.
    package var storedBytes: Int { objects.reduce(0) { $0 + $1.length } }

    /// Bytes of all tensors, shared objects counted as often as they are named.
    package var stateBytes: Int { tensors.reduce(0) { $0 + $1.bytes } }

    /// The evaluation loss at this step, nil when none was measured here.
    package var evaluationLoss: Double? {
        get { evaluationLossBits.map(Double.init(bitPattern:)) }
        set { evaluationLossBits = newValue?.bitPattern }
    }

    /// The bytes whose SHA-256 is `expectedTensors`.
    package var tensorListBytes: [UInt8] {
        var bytes: [UInt8] = []
        for tensor in tensors { Self.list(tensor.name, tensor.role, tensor.shape, into: &bytes) }
        return bytes
    }

    /// The tensor list of a live model, to be hashed into `expectedTensors`.
    package static func tensorListBytes(_ layout: TensorLayout, roles: [TensorRole]) -> [UInt8] {
        var bytes: [UInt8] = []
        for tensor in layout.tensors {
            for role in roles.sorted() { list(tensor.name, role, tensor.shape, into: &bytes) }
        }
        return bytes
    }

    /// One line a tensor: name, role, type and axes, separated by zero bytes.
    private static func list(_ name: String, _ role: TensorRole, _ shape: [Int], into bytes: inout [UInt8]) {
        let axes = shape.map { String($0) }.joined(separator: ",")
        bytes += Array("\(name)\0\(role.rawValue)\0f32\0\(axes)\n".utf8)
    }

    /// The file name of this manifest, `digest` being the SHA-256 of its canonical bytes.
    package func name(digest: Digest) -> ManifestName {
        ManifestName(step: step, epoch: coordinatorEpoch, digest: digest)
    }
}
