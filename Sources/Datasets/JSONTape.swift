/// One row's JSON text as a list of nodes that point into it: read in place, in memory that is used again.
///
/// It takes what `JSONValue.parse` takes, with the limits of a row, or less: what is unusual (broken, very deep, with
/// very many members) is refused, and is the other's to read and to find fault with.
struct JSONTape: ~Copyable {
    enum Kind: UInt8 { case null, bool, number, string, array, object }

    /// A value; an object's are key, value, key, value….
    struct Node {
        var kind: Kind
        /// A text without its quotes and escapes, or a number's literal: valid UTF-8. Valid until the next row.
        var start: UnsafePointer<UInt8>
        var count: Int
        /// The node behind this one and all in it.
        var next: Int

        var bytes: UnsafeBufferPointer<UInt8> { UnsafeBufferPointer(start: start, count: count) }
    }

    private(set) var nodes: UnsafeMutablePointer<Node>
    private var count = 0
    private var capacity = 256
    /// Texts that had escapes.
    private var arena: UnsafeMutablePointer<UInt8>
    private var arenaCapacity = 4096
    private var arenaCount = 0
    private var bytes = UnsafePointer<UInt8>(bitPattern: 1)!
    private var end = 0
    private var at = 0

    /// Longer rows are not read here, nor deeper ones, nor objects of more members.
    static let rowLimit = 4 << 20
    private static let depthLimit = 60
    private static let memberLimit = 32

    init() {
        nodes = .allocate(capacity: capacity)
        arena = .allocate(capacity: arenaCapacity)
    }

    deinit {
        nodes.deallocate()
        arena.deallocate()
    }

    /// Reads a row; the first node is its value.
    ///
    /// - Returns: false when the row is not for this reader.
    mutating func read(_ row: UnsafeBufferPointer<UInt8>) -> Bool {
        guard let base = row.baseAddress, row.count <= Self.rowLimit else { return false }
        (bytes, end, at, count, arenaCount) = (base, row.count, 0, 0, 0)
        if arenaCapacity < 2 * row.count + 16 {
            arena.deallocate()
            arenaCapacity = 4 * row.count + 16
            arena = .allocate(capacity: arenaCapacity)
        }
        skipSpace()
        guard value(depth: 0) else { return false }
        skipSpace()
        return at == end
    }

    /// The node of an object's member; nil when there is none.
    func member(_ key: StaticString, of object: Int) -> Int? {
        var at = object + 1
        while at < nodes[object].next {
            if nodes[at].isText(key) { return at + 1 }
            at = nodes[at + 1].next
        }
        return nil
    }

    /// Two texts with a line feed between them.
    mutating func joined(_ first: UnsafeBufferPointer<UInt8>, _ second: UnsafeBufferPointer<UInt8>)
        -> UnsafeBufferPointer<UInt8>
    {
        // Both stand in the row, so that they fit beside what had escapes.
        let start = arena + arenaCount
        start.update(from: first.baseAddress!, count: first.count)
        start[first.count] = 0x0A
        (start + first.count + 1).update(from: second.baseAddress!, count: second.count)
        arenaCount += first.count + 1 + second.count
        return UnsafeBufferPointer(start: start, count: first.count + 1 + second.count)
    }

    private mutating func add(_ kind: Kind, _ start: UnsafePointer<UInt8>, _ length: Int) {
        if count == capacity {
            let larger = UnsafeMutablePointer<Node>.allocate(capacity: 2 * capacity)
            larger.update(from: nodes, count: count)
            nodes.deallocate()
            (nodes, capacity) = (larger, 2 * capacity)
        }
        (nodes + count).initialize(to: Node(kind: kind, start: start, count: length, next: count + 1))
        count += 1
    }

    @inline(__always)
    private mutating func skipSpace() {
        while at < end, bytes[at] == 0x20 || bytes[at] == 0x0A || bytes[at] == 0x0D || bytes[at] == 0x09 { at += 1 }
    }

    @inline(__always)
    private mutating func take(_ byte: UInt8) -> Bool {
        guard at < end, bytes[at] == byte else { return false }
        at += 1
        return true
    }

    private mutating func value(depth: Int) -> Bool {
        guard at < end, depth < Self.depthLimit else { return false }
        switch bytes[at] {
        case UInt8(ascii: "\""): return string()
        case UInt8(ascii: "{"): return object(depth: depth)
        case UInt8(ascii: "["): return array(depth: depth)
        case UInt8(ascii: "t"): return literal("true", .bool)
        case UInt8(ascii: "f"): return literal("false", .bool)
        case UInt8(ascii: "n"): return literal("null", .null)
        default: return number()
        }
    }

    private mutating func object(depth: Int) -> Bool {
        let own = count
        add(.object, bytes + at, 0)
        at += 1
        skipSpace()
        if take(UInt8(ascii: "}")) { return true }
        var members = 0
        while true {
            skipSpace()
            let key = count
            guard at < end, bytes[at] == UInt8(ascii: "\""), string() else { return false }
            members += 1
            guard members <= Self.memberLimit, !hasKey(like: key, from: own + 1) else { return false }
            skipSpace()
            guard take(UInt8(ascii: ":")) else { return false }
            skipSpace()
            guard value(depth: depth + 1) else { return false }
            skipSpace()
            if take(UInt8(ascii: ",")) { continue }
            guard take(UInt8(ascii: "}")) else { return false }
            nodes[own].next = count
            return true
        }
    }

    private func hasKey(like key: Int, from first: Int) -> Bool {
        var at = first
        while at < key {
            if nodes[at].count == nodes[key].count, nodes[at].bytes.elementsEqual(nodes[key].bytes) { return true }
            at = nodes[at + 1].next
        }
        return false
    }

    private mutating func array(depth: Int) -> Bool {
        let own = count
        add(.array, bytes + at, 0)
        at += 1
        skipSpace()
        if take(UInt8(ascii: "]")) { return true }
        while true {
            skipSpace()
            guard value(depth: depth + 1) else { return false }
            skipSpace()
            if take(UInt8(ascii: ",")) { continue }
            guard take(UInt8(ascii: "]")) else { return false }
            nodes[own].next = count
            return true
        }
    }

    private mutating func literal(_ word: StaticString, _ kind: Kind) -> Bool {
        let length = word.utf8CodeUnitCount
        guard at + length <= end else { return false }
        for index in 0..<length where bytes[at + index] != word.utf8Start[index] { return false }
        add(kind, bytes + at, length)
        at += length
        return true
    }

    private mutating func digits() -> Int {
        let start = at
        while at < end, bytes[at] &- 0x30 < 10 { at += 1 }
        return at - start
    }

    private mutating func number() -> Bool {
        let start = at
        _ = take(UInt8(ascii: "-"))
        let startsWithZero = at < end && bytes[at] == 0x30
        let whole = digits()
        guard whole > 0, !(startsWithZero && whole > 1) else { return false }
        if take(UInt8(ascii: ".")), digits() == 0 { return false }
        if at < end, bytes[at] | 0x20 == UInt8(ascii: "e") {
            at += 1
            if !take(UInt8(ascii: "+")) { _ = take(UInt8(ascii: "-")) }
            if digits() == 0 { return false }
        }
        add(.number, bytes + start, at - start)
        return true
    }

    // MARK: Texts

    private mutating func string() -> Bool {
        at += 1
        let start = at
        var seen: UInt8 = 0
        skipPlain(&seen)
        guard at < end else { return false }
        if bytes[at] == UInt8(ascii: "\"") {
            add(.string, bytes + start, at - start)
            at += 1
        } else {
            guard escapedString(from: start, &seen) else { return false }
        }
        return seen < 0x80 || UTF8Check.isValid(nodes[count - 1].bytes)
    }

    /// Moves to the next byte that is a quote, a backslash or a control character, or to the end; eight at a time.
    @inline(__always)
    private mutating func skipPlain(_ seen: inout UInt8) {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let highs: UInt64 = ones << 7
        var place = at
        var all: UInt64 = 0
        while place + 8 <= end {
            let word = UInt64(
                littleEndian: UnsafeRawPointer(bytes + place).loadUnaligned(as: UInt64.self))
            let quote = word ^ ones &* 0x22
            let backslash = word ^ ones &* 0x5C
            // The lowest bit that is set is true; those above it may not be.
            let stops =
                ((quote &- ones) & ~quote | (backslash &- ones) & ~backslash | (word &- ones &* 0x20) & ~word) & highs
            guard stops == 0 else {
                let more = stops.trailingZeroBitCount / 8
                if more > 0 { all |= word << UInt64(64 - 8 * more) }
                at = place + more
                if all & highs != 0 { seen |= 0x80 }
                return
            }
            all |= word
            place += 8
        }
        if all & highs != 0 { seen |= 0x80 }
        while place < end {
            let byte = bytes[place]
            if byte == 0x22 || byte == 0x5C || byte < 0x20 { break }
            seen |= byte
            place += 1
        }
        at = place
    }

    private mutating func escapedString(from start: Int, _ seen: inout UInt8) -> Bool {
        let text = arena + arenaCount
        var length = 0
        var plain = start
        while at < end {
            (text + length).update(from: bytes + plain, count: at - plain)
            length += at - plain
            let byte = bytes[at]
            at += 1
            if byte == UInt8(ascii: "\"") {
                add(.string, text, length)
                arenaCount += length
                return true
            }
            guard byte == UInt8(ascii: "\\"), escape(text, &length) else { return false }
            plain = at
            skipPlain(&seen)
        }
        return false
    }

    private mutating func escape(_ text: UnsafeMutablePointer<UInt8>, _ length: inout Int) -> Bool {
        guard at < end else { return false }
        let byte = bytes[at]
        at += 1
        var plain = byte
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): break
        case UInt8(ascii: "b"): plain = 0x08
        case UInt8(ascii: "f"): plain = 0x0C
        case UInt8(ascii: "n"): plain = 0x0A
        case UInt8(ascii: "r"): plain = 0x0D
        case UInt8(ascii: "t"): plain = 0x09
        case UInt8(ascii: "u"):
            guard let scalar = unicodeEscape() else { return false }
            length += Self.write(scalar.value, to: text + length)
            return true
        default: return false
        }
        text[length] = plain
        length += 1
        return true
    }

    /// Writes a scalar as UTF-8; tells how many bytes that are.
    @inline(__always)
    private static func write(_ scalar: UInt32, to text: UnsafeMutablePointer<UInt8>) -> Int {
        func tail(_ shift: UInt32) -> UInt8 { UInt8(0x80 | scalar >> shift & 0x3F) }
        if scalar < 0x80 {
            text[0] = UInt8(scalar)
            return 1
        }
        if scalar < 0x800 {
            (text[0], text[1]) = (UInt8(0xC0 | scalar >> 6), tail(0))
            return 2
        }
        if scalar < 0x10000 {
            (text[0], text[1], text[2]) = (UInt8(0xE0 | scalar >> 12), tail(6), tail(0))
            return 3
        }
        (text[0], text[1], text[2], text[3]) = (UInt8(0xF0 | scalar >> 18), tail(12), tail(6), tail(0))
        return 4
    }

    private mutating func unicodeEscape() -> Unicode.Scalar? {
        guard let high = hex4() else { return nil }
        if let scalar = Unicode.Scalar(high) { return scalar }
        guard (0xD800..<0xDC00).contains(high), at + 1 < end, bytes[at] == UInt8(ascii: "\\"),
            bytes[at + 1] == UInt8(ascii: "u")
        else { return "\u{FFFD}" }
        let mark = at
        at += 2
        guard let low = hex4() else { return nil }
        guard (0xDC00..<0xE000).contains(low) else {
            at = mark
            return "\u{FFFD}"
        }
        return Unicode.Scalar(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))
    }

    private mutating func hex4() -> UInt32? {
        guard at + 4 <= end else { return nil }
        var value: UInt32 = 0
        for _ in 0..<4 {
            let byte = bytes[at]
            let digit: UInt8
            switch byte {
            case 0x30...0x39: digit = byte - 0x30
            case 0x41...0x46: digit = byte - 0x41 + 10
            case 0x61...0x66: digit = byte - 0x61 + 10
            default: return nil
            }
            value = value << 4 | UInt32(digit)
            at += 1
        }
        return value
    }
}

extension JSONTape.Node {
    /// Whether this is the text `text`.
    func isText(_ text: StaticString) -> Bool {
        guard kind == .string, count == text.utf8CodeUnitCount else { return false }
        for index in 0..<count where start[index] != text.utf8Start[index] { return false }
        return true
    }

    /// The value of a literal without fraction or exponent that fits; nil for anything else.
    var integer: Int32? {
        guard kind == .number, count <= 11 else { return nil }
        let isNegative = start[0] == UInt8(ascii: "-")
        var value = 0
        for index in (isNegative ? 1 : 0)..<count {
            let digit = start[index] &- 0x30
            guard digit < 10 else { return nil }
            value = value * 10 + Int(digit)
        }
        return Int32(exactly: isNegative ? -value : value)
    }
}
