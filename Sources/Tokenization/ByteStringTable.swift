/// Byte strings numbered in the order of insertion, with look-up by content: open addressing over one arena.
///
/// Keys are compared byte by byte. A `[String: …]` would not do: Swift calls strings equal that differ in
/// normalisation, and vocabularies hold both.
struct ByteStringTable: Sendable {
    private var arena: [UInt8] = []
    /// Ends in the arena; string i is `ends[i-1]..<ends[i]`.
    private var ends: [Int] = []
    /// Index + 1, 0 = free; the count is a power of two and at least twice `count`.
    private var slots: [UInt32] = Array(repeating: 0, count: 16)

    /// How many strings there are.
    var count: Int { ends.count }

    /// The bytes of string `index`, 0..<count.
    subscript(index: Int) -> ArraySlice<UInt8> { arena[(index == 0 ? 0 : ends[index - 1])..<ends[index]] }

    /// The number of `bytes`, nil when it was not inserted.
    func index(of bytes: some RandomAccessCollection<UInt8>) -> Int? {
        let slot = slots[slot(of: bytes)]
        return slot == 0 ? nil : Int(slot) - 1
    }

    /// Inserts bytes that may be there already.
    mutating func insert(_ bytes: some RandomAccessCollection<UInt8>) -> (index: Int, isNew: Bool) {
        let position = slot(of: bytes)
        if slots[position] != 0 { return (Int(slots[position]) - 1, false) }
        arena.append(contentsOf: bytes)
        ends.append(arena.count)
        slots[position] = UInt32(ends.count)
        if ends.count * 2 > slots.count { grow() }
        return (ends.count - 1, true)
    }

    private mutating func grow() {
        slots = Array(repeating: 0, count: slots.count * 2)
        for index in 0..<count { slots[slot(of: self[index])] = UInt32(index + 1) }
    }

    /// Where `bytes` stand, or the free slot where they would go.
    private func slot(of bytes: some RandomAccessCollection<UInt8>) -> Int {
        let mask = slots.count - 1
        var position = Int(truncatingIfNeeded: Self.hash(bytes)) & mask
        while slots[position] != 0, !self[Int(slots[position]) - 1].elementsEqual(bytes) {
            position = (position + 1) & mask
        }
        return position
    }

    /// FNV-1a with a final mix, so that low bits depend on all bytes.
    private static func hash(_ bytes: some Sequence<UInt8>) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        return hash ^ hash >> 29
    }
}
