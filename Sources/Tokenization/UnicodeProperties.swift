/// A set of Unicode general categories, one bit each, in the order of the generated table.
struct CategorySet: OptionSet {
    let rawValue: UInt32

    static let uppercase = CategorySet(rawValue: 1 << 0)
    static let lowercase = CategorySet(rawValue: 1 << 1)
    static let titlecase = CategorySet(rawValue: 1 << 2)
    static let modifierLetters = CategorySet(rawValue: 1 << 3)
    static let otherLetters = CategorySet(rawValue: 1 << 4)
    /// `\p{L}`
    static let letters = CategorySet(rawValue: 0b1_1111)
    /// `\p{M}`: Mn, Mc, Me.
    static let marks = CategorySet(rawValue: 0b111 << 5)
    static let decimalDigits = CategorySet(rawValue: 1 << 8)
    static let letterNumbers = CategorySet(rawValue: 1 << 9)
    /// `\p{N}`: Nd, Nl, No.
    static let numbers = CategorySet(rawValue: 0b111 << 8)
    static let connectors = CategorySet(rawValue: 1 << 11)
    /// `\p{P}`: Pc, Pd, Ps, Pe, Pi, Pf, Po.
    static let punctuation = CategorySet(rawValue: 0b111_1111 << 11)
    /// `\p{S}`: Sm, Sc, Sk, So.
    static let symbols = CategorySet(rawValue: 0b1111 << 18)
}

/// What the scanners ask about a code point: one byte each for all of Unicode, made once from the packed tables.
///
/// Bits 0–4: general category as the bit number in `CategorySet`. Bit 5: white space. Bit 6: the code point can change
/// or be changed by NFC (combining class not 0, or NFC quick check not Yes).
struct UnicodeProperties: @unchecked Sendable {
    /// 0x110000 entries, never freed and never written after `init`.
    let table: UnsafePointer<UInt8>

    static let categoryMask: UInt8 = 0x1F
    static let whiteSpace: UInt8 = 0x20
    static let normalizationSensitive: UInt8 = 0x40

    static let shared = UnicodeProperties()

    private static let codePoints = 0x110000
    /// White_Space of Unicode 16.0, which is also `\s` of the engines that the vocabularies were made with.
    private static let whiteSpaceRanges: [ClosedRange<Int>] = [
        0x09...0x0D, 0x20...0x20, 0x85...0x85, 0xA0...0xA0, 0x1680...0x1680, 0x2000...0x200A, 0x2028...0x2029,
        0x202F...0x202F, 0x205F...0x205F, 0x3000...0x3000,
    ]

    private init() {
        let table = UnsafeMutablePointer<UInt8>.allocate(capacity: Self.codePoints)
        table.initialize(repeating: 0, count: Self.codePoints)
        Self.fillCategories(table)
        for range in Self.whiteSpaceRanges { for point in range { table[point] |= Self.whiteSpace } }
        for point in CanonicalData.shared.sensitivePoints { table[Int(point)] |= Self.normalizationSensitive }
        self.table = UnsafePointer(table)
    }

    /// Expands `letter [decimal length]` runs; the table is ours, so a run past the end is a bug.
    private static func fillCategories(_ table: UnsafeMutablePointer<UInt8>) {
        let runs = UnicodeCategoryTable.runs
        var packed = UnsafeBufferPointer(start: runs.utf8Start, count: runs.utf8CodeUnitCount)[...]
        var point = 0
        while let letter = packed.popFirst() {
            var length = 0
            while let digit = packed.first, (0x30...0x39).contains(digit) {
                length = length * 10 + Int(digit - 0x30)
                packed.removeFirst()
            }
            length = max(length, 1)
            precondition(point + length <= codePoints, "the category table describes more code points than Unicode has")
            let bit = letter >= UInt8(ascii: "a") ? letter - UInt8(ascii: "a") + 26 : letter - UInt8(ascii: "A")
            for offset in 0..<length { table[point + offset] = bit }
            point += length
        }
        precondition(point == codePoints, "the category table describes fewer code points than Unicode has")
    }

    /// The property byte of a scalar.
    func of(_ scalar: UInt32) -> UInt8 { table[Int(scalar)] }

    /// The category of a scalar, as a set of one.
    func category(of scalar: UInt32) -> CategorySet {
        CategorySet(rawValue: 1 << UInt32(of(scalar) & Self.categoryMask))
    }
}
