/// Where one tensor of a safetensors file lies.
package struct TensorEntry: Sendable, Equatable {
    /// As written in the file: 1…256 bytes of `A–Z a–z 0–9 _ . - /`.
    package let name: String
    package let type: ElementType
    /// Row-major sizes, at most 8, product × element size checked not to overflow.
    package let shape: [Int]
    /// Bytes from the start of the data section.
    package let range: Range<Int>

    /// Number of elements, the product of `shape` (1 for a scalar).
    package var count: Int { range.count / type.byteCount }
}

/// How much a safetensors header may ask of its reader.
package enum SafetensorsLimits {
    /// Header length, bytes.
    package static let headerBytes = 16 << 20
    package static let tensors = 65_536
    /// Length of a tensor name, bytes.
    package static let nameBytes = 256
    package static let rank = 8
    /// Keys and values of `__metadata__` together, bytes.
    package static let metadataBytes = 64 << 10
}

/// The checked contents of a safetensors header.
///
/// Total over any bytes: whatever is not a list of named, typed, non-overlapping ranges that tile the data section
/// exactly is refused with one sentence, at the first fault. Format: safetensors README, section "Format".
package struct SafetensorsHeader: Sendable {
    /// In the order of their bytes in the file.
    package let entries: [TensorEntry]
    /// The strings under `__metadata__`, in the order written.
    package let metadata: [(key: String, value: String)]
    /// Name → index into `entries`; only ever asked by key.
    private let positions: [String: Int]

    /// Reads the JSON header `json` of a file whose data section has `dataCount` bytes; `path` is for messages only.
    package init(json: UnsafeRawBufferPointer, dataCount: Int, path: String) throws(ModelFileError) {
        var reader = SafetensorsHeaderReader(bytes: json, path: path)
        try reader.read()
        var entries = reader.entries
        // Writers put them in order; then there is nothing to sort.
        let isInOrder = zip(entries, entries.dropFirst()).allSatisfy { !Self.stands($1.range, before: $0.range) }
        if !isInOrder { entries.sort { Self.stands($0.range, before: $1.range) } }
        try Self.checkTiling(entries, dataCount: dataCount, path: path)
        var positions: [String: Int] = Dictionary(minimumCapacity: entries.count)
        for (index, entry) in entries.enumerated() { positions[entry.name] = index }
        self.entries = entries
        self.metadata = reader.metadata
        self.positions = positions
    }

    /// The entry called `name`, nil when there is none.
    package subscript(name: String) -> TensorEntry? { positions[name].map { entries[$0] } }

    static func fault(_ problem: String, path: String) -> ModelFileError {
        .malformed(path: path, format: .safetensors, problem: problem)
    }

    private static func stands(_ left: Range<Int>, before right: Range<Int>) -> Bool {
        (left.lowerBound, left.upperBound) < (right.lowerBound, right.upperBound)
    }

    /// `entries` sorted by range must tile `0..<dataCount`: no overlap, no hole, no rest.
    private static func checkTiling(
        _ entries: [TensorEntry], dataCount: Int, path: String
    ) throws(ModelFileError) {
        var end = 0
        for entry in entries {
            guard entry.range.lowerBound == end else {
                throw fault(
                    entry.range.lowerBound < end
                        ? "tensor `\(entry.name)` overlaps the one before it"
                        : "the bytes \(end)..<\(entry.range.lowerBound) of its data belong to no tensor", path: path)
            }
            end = entry.range.upperBound
        }
        guard end == dataCount else {
            throw fault(
                end > dataCount
                    ? "it is cut short, \(end - dataCount) bytes of tensor data are missing"
                    : "\(dataCount - end) bytes follow the last tensor", path: path)
        }
    }
}
