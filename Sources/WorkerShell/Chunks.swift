import Wire

/// How a range of the flat vector is cut into wire-sized chunks.
enum Chunks {
    /// fp32 elements of a full chunk.
    static let elements = WireLimits.chunkBytes / 4

    /// The chunks of `range`, each starting a whole number of chunks after its lower bound.
    static func cut(_ range: Range<Int>) -> [Range<Int>] {
        stride(from: range.lowerBound, to: range.upperBound, by: elements).map {
            $0..<min($0 + elements, range.upperBound)
        }
    }

    /// The number of the chunk of `range` that `offset` and `count` name, nil when they name none.
    static func place(offset: UInt64, count: UInt64, in range: Range<Int>) -> Int? {
        guard let lower = Int(exactly: offset), let count = Int(exactly: count), range.contains(lower) else {
            return nil
        }
        let (place, rest) = (lower - range.lowerBound).quotientAndRemainder(dividingBy: elements)
        guard rest == 0, count == min(elements, range.upperBound - lower) else { return nil }
        return place
    }
}

/// Which chunks of a range have arrived.
struct ChunkTally {
    let range: Range<Int>
    private var arrived: [Bool]
    private(set) var missing: Int

    init(_ range: Range<Int>) {
        self.range = range
        missing = Chunks.cut(range).count
        arrived = Array(repeating: false, count: missing)
    }

    var isComplete: Bool { missing == 0 }

    /// Notes a chunk; false when it names none of the range or came before.
    mutating func note(offset: UInt64, count: UInt64) -> Bool {
        guard let place = Chunks.place(offset: offset, count: count, in: range), !arrived[place] else { return false }
        arrived[place] = true
        missing -= 1
        return true
    }
}
