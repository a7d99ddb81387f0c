/// Canonical decompositions, compositions and combining classes, expanded once from the packed table.
///
/// Unicode Standard Annex 15. Hangul syllables are arithmetic (Unicode core specification §3.12) and not stored.
struct CanonicalData: Sendable {
    /// Code point → canonical combining class, only where it is not 0.
    private let classes: [UInt32: UInt8]
    /// Code point → full canonical decomposition, in canonical order.
    private let decompositions: [UInt32: [UInt32]]
    /// `first << 32 | second` → primary composite.
    private let compositions: [UInt64: UInt32]
    /// Code points that NFC can change, or that can change what stands before them.
    let sensitivePoints: Set<UInt32>

    static let shared = CanonicalData()

    private init() {
        classes = Self.readClasses()
        var direct: [UInt32: [UInt32]] = [:]
        var compositions: [UInt64: UInt32] = [:]
        var sensitive = Set(classes.keys)
        var next: UInt32 = 0
        for fields in Self.records(UnicodeCanonicalTable.decompositions) {
            let point = next + fields.values[0]
            direct[point] = Array(fields.values.dropFirst())
            if fields.marked {
                sensitive.insert(point)
            } else {
                compositions[UInt64(fields.values[1]) << 32 | UInt64(fields.values[2])] = point
                sensitive.insert(fields.values[2])
            }
            next = point + 1
        }
        // Vowels and trailing consonants compose with the Hangul syllable before them.
        sensitive.formUnion(Hangul.vowels)
        sensitive.formUnion(Hangul.trailings)
        decompositions = direct.mapValues { $0.flatMap { Self.expand($0, direct) } }
        self.compositions = compositions
        sensitivePoints = sensitive
    }

    /// The combining class of a scalar, 0...254.
    func combiningClass(_ scalar: UInt32) -> UInt8 { classes[scalar] ?? 0 }

    /// The scalars of a full canonical decomposition, nil when a scalar stands for itself.
    func decomposition(_ scalar: UInt32) -> [UInt32]? {
        if Hangul.syllables.contains(scalar) { return Hangul.decompose(scalar) }
        return decompositions[scalar]
    }

    /// The primary composite of two scalars, nil when they stay apart.
    func composition(_ first: UInt32, _ second: UInt32) -> UInt32? {
        Hangul.compose(first, second) ?? compositions[UInt64(first) << 32 | UInt64(second)]
    }

    private static func expand(_ scalar: UInt32, _ direct: [UInt32: [UInt32]]) -> [UInt32] {
        guard let parts = direct[scalar] else { return [scalar] }
        return parts.flatMap { expand($0, direct) }
    }

    private static func readClasses() -> [UInt32: UInt8] {
        var classes: [UInt32: UInt8] = [:]
        var next: UInt32 = 0
        for fields in records(UnicodeCanonicalTable.combiningClasses) {
            let first = next + fields.values[0]
            next = first + fields.values[1]
            for point in first..<next { classes[point] = UInt8(fields.values[2]) }
        }
        return classes
    }

    /// The records of a packed table: hexadecimal numbers apart by spaces, an optional `!`, ended by `;`.
    private static func records(_ packed: StaticString) -> [(values: [UInt32], marked: Bool)] {
        var records: [(values: [UInt32], marked: Bool)] = []
        var record: (values: [UInt32], marked: Bool) = ([0], false)
        for byte in UnsafeBufferPointer(start: packed.utf8Start, count: packed.utf8CodeUnitCount) {
            switch byte {
            case UInt8(ascii: " "): record.values.append(0)
            case UInt8(ascii: "!"): record.marked = true
            case UInt8(ascii: ";"):
                records.append(record)
                record = ([0], false)
            default:
                let digit = byte < 0x40 ? byte - 0x30 : byte - 0x41 + 10
                record.values[record.values.count - 1] = record.values[record.values.count - 1] << 4 | UInt32(digit)
            }
        }
        return records
    }
}

/// The arithmetic of Hangul syllables. Unicode core specification §3.12.
enum Hangul {
    static let syllables: ClosedRange<UInt32> = 0xAC00...0xD7A3
    static let vowels: ClosedRange<UInt32> = 0x1161...0x1175
    static let trailings: ClosedRange<UInt32> = 0x11A8...0x11C2

    private static let leading: UInt32 = 0x1100
    private static let leadingCount: UInt32 = 19
    private static let vowelCount: UInt32 = 21
    /// One less than the first trailing consonant: 0 means none.
    private static let trailingBase: UInt32 = 0x11A7
    private static let trailingCount: UInt32 = 28

    static func decompose(_ syllable: UInt32) -> [UInt32] {
        let index = syllable - syllables.lowerBound
        let lead = leading + index / (vowelCount * trailingCount)
        let vowel = vowels.lowerBound + index % (vowelCount * trailingCount) / trailingCount
        let trail = index % trailingCount
        return trail == 0 ? [lead, vowel] : [lead, vowel, trailingBase + trail]
    }

    static func compose(_ first: UInt32, _ second: UInt32) -> UInt32? {
        if vowels.contains(second), first >= leading, first < leading + leadingCount {
            return syllables.lowerBound
                + ((first - leading) * vowelCount + second - vowels.lowerBound) * trailingCount
        }
        if trailings.contains(second), syllables.contains(first),
            (first - syllables.lowerBound) % trailingCount == 0
        {
            return first + second - trailingBase
        }
        return nil
    }
}
