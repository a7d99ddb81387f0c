/// Remembers the ids of short words: a direct-mapped table, so that hostile text can make it useless but never slow.
final class WordCache {
    /// A word of 1...16 bytes and its 1...7 ids.
    private struct Slot {
        var low: UInt64 = 0
        var high: UInt64 = 0
        /// Length of the word in bytes, 0 = free slot.
        var length: UInt8 = 0
        var count: UInt8 = 0
        var ids: (Int32, Int32, Int32, Int32, Int32, Int32, Int32) = (0, 0, 0, 0, 0, 0, 0)
    }

    /// The key of a word, made once for look-up and insertion.
    struct Key {
        fileprivate let low: UInt64
        fileprivate let high: UInt64
        fileprivate let length: UInt8
        fileprivate let slot: Int
    }

    private static let bits: UInt64 = 15
    private static let idLimit = 7
    /// Bytes of a slot before its ids.
    private static let idsOffset = 20
    private let slots: UnsafeMutablePointer<Slot>

    init() {
        precondition(MemoryLayout<Slot>.offset(of: \.ids) == Self.idsOffset, "a slot's ids stand elsewhere")
        slots = .allocate(capacity: 1 << Self.bits)
        slots.initialize(repeating: Slot(), count: 1 << Self.bits)
    }

    deinit { slots.deallocate() }

    /// The key of a word, nil when it is too long to remember.
    @inline(__always)
    static func key(_ word: UnsafePointer<UInt8>, count: Int) -> Key? {
        guard count <= 16, count > 0 else { return nil }
        let raw = UnsafeRawPointer(word)
        let low: UInt64
        let high: UInt64
        // Two loads that overlap cover every length of a class; the length tells the classes apart.
        if count >= 8 {
            low = raw.loadUnaligned(as: UInt64.self)
            high = raw.loadUnaligned(fromByteOffset: count - 8, as: UInt64.self)
        } else if count >= 4 {
            low = UInt64(raw.loadUnaligned(as: UInt32.self))
            high = UInt64(raw.loadUnaligned(fromByteOffset: count - 4, as: UInt32.self))
        } else {
            low = UInt64(word[0]) | UInt64(word[count / 2]) << 8
            high = UInt64(word[count - 1])
        }
        let mixed = (low ^ (high << 29 | high >> 35) ^ UInt64(count)) &* 0x9E37_79B9_7F4A_7C15
        // The best bits of a product are the high ones.
        return Key(low: low, high: high, length: UInt8(count), slot: Int(mixed >> (64 - bits)))
    }

    /// Appends the remembered ids of a word.
    ///
    /// - Returns: false when the word is not remembered.
    @inline(__always)
    func append(_ key: Key, to ids: TokenBuffer) -> Bool {
        let slot = slots + key.slot
        guard slot.pointee.low == key.low, slot.pointee.high == key.high, slot.pointee.length == key.length else {
            return false
        }
        ids.append(UnsafeRawPointer(slot) + Self.idsOffset, upToSeven: Int(slot.pointee.count))
        return true
    }

    /// Remembers the ids of a word in place of whatever had its slot.
    func insert(_ key: Key, _ ids: Slice<UnsafeBufferPointer<Int32>>) {
        guard ids.count <= Self.idLimit else { return }
        var slot = Slot(low: key.low, high: key.high, length: key.length, count: UInt8(ids.count))
        withUnsafeMutableBytes(of: &slot.ids) { raw in
            for (offset, id) in ids.enumerated() {
                raw.storeBytes(of: id, toByteOffset: offset * MemoryLayout<Int32>.size, as: Int32.self)
            }
        }
        slots[key.slot] = slot
    }
}
