/// A view of valid UTF-8 with the property table beside it: what every scanner reads.
///
/// Positions are byte offsets 0...end and stand on scalar boundaries.
struct UTF8Text {
    let bytes: UnsafePointer<UInt8>
    /// One past the last byte.
    let end: Int
    private let properties: UnsafePointer<UInt8>

    init(_ bytes: UnsafePointer<UInt8>, count: Int) {
        self.bytes = bytes
        end = count
        properties = UnicodeProperties.shared.table
    }

    private init(bytes: UnsafePointer<UInt8>, end: Int, properties: UnsafePointer<UInt8>) {
        self.bytes = bytes
        self.end = end
        self.properties = properties
    }

    /// The same bytes, ended at `end`.
    @inline(__always)
    func prefix(upTo end: Int) -> UTF8Text { UTF8Text(bytes: bytes, end: end, properties: properties) }

    /// The bytes of a range as a text of their own.
    func slice(_ range: Range<Int>) -> UTF8Text {
        UTF8Text(bytes: bytes + range.lowerBound, end: range.count, properties: properties)
    }

    /// The scalar that starts at `at`, which is below `end`.
    @inline(__always)
    func scalar(at: Int) -> UInt32 {
        let first = UInt32(bytes[at])
        if first < 0x80 { return first }
        let second = UInt32(bytes[at + 1] & 0x3F)
        if first < 0xE0 { return (first & 0x1F) << 6 | second }
        let third = UInt32(bytes[at + 2] & 0x3F)
        if first < 0xF0 { return (first & 0x0F) << 12 | second << 6 | third }
        return (first & 0x07) << 18 | second << 12 | third << 6 | UInt32(bytes[at + 3] & 0x3F)
    }

    /// How many bytes the scalar with this first byte has.
    @inline(__always)
    func width(at: Int) -> Int {
        let first = bytes[at]
        return first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4
    }

    /// The property byte of the scalar at `at`, and its width in bytes.
    @inline(__always)
    func property(at: Int, width: inout Int) -> UInt8 {
        width = self.width(at: at)
        return properties[Int(scalar(at: at))]
    }

    /// Whether the scalar at `at` has a category of the set; `width` is its width in bytes.
    @inline(__always)
    func has(_ set: CategorySet, at: Int, width: inout Int) -> Bool {
        set.rawValue >> UInt32(property(at: at, width: &width) & UnicodeProperties.categoryMask) & 1 != 0
    }

    /// The end of the longest run of scalars of the set that starts at `at`.
    @inline(__always)
    func runEnd(_ set: CategorySet, from at: Int) -> Int {
        var at = at
        var width = 0
        while at < end, has(set, at: at, width: &width) { at += width }
        return at
    }

    /// The start of the scalar that ends at `at`, which is above 0.
    func scalarStart(before at: Int) -> Int {
        var at = at - 1
        while at > 0, bytes[at] & 0xC0 == 0x80 { at -= 1 }
        return at
    }

    /// The start of the white-space run that ends at `at`; `at` itself when there is none.
    func whiteSpaceStart(before at: Int) -> Int {
        var at = at
        var width = 0
        while at > 0 {
            let start = scalarStart(before: at)
            guard property(at: start, width: &width) & UnicodeProperties.whiteSpace != 0 else { break }
            at = start
        }
        return at
    }

    /// The end of the white-space run that starts at `at`; `at` itself when there is none.
    @inline(__always)
    func whiteSpaceEnd(from at: Int) -> Int {
        var at = at
        var width = 0
        while at < end, property(at: at, width: &width) & UnicodeProperties.whiteSpace != 0 { at += width }
        return at
    }
}
