/// What is wrong with a JSON text, and where.
package struct JSONError: Error, Equatable, CustomStringConvertible {
    /// Byte offset from the start of the text, 0-based.
    package var offset: Int
    /// One sentence without the position.
    package var problem: String

    /// An error at a byte offset.
    package init(offset: Int, problem: String) {
        self.offset = offset
        self.problem = problem
    }

    package var description: String { "\(problem) at byte \(offset)" }
}

/// How much a JSON text may ask of its reader.
package struct JSONLimits: Sendable {
    /// Nested arrays and objects.
    package var depth = 64
    /// Values of any kind in the whole text.
    package var values = 8_000_000
    /// Whether a repeated key is an error (otherwise the last one counts).
    package var refusesDuplicateKeys = false

    package init(depth: Int = 64, values: Int = 8_000_000, refusesDuplicateKeys: Bool = false) {
        self.depth = depth
        self.values = values
        self.refusesDuplicateKeys = refusesDuplicateKeys
    }
}

extension JSONValue {
    /// Reads one JSON text (RFC 8259, UTF-8), total: any bytes give a value or a `JSONError`.
    ///
    /// A lone surrogate escape becomes U+FFFD, as Rust's and Python's UTF-8 writers do.
    package static func parse(_ bytes: UnsafeRawBufferPointer, limits: JSONLimits = JSONLimits()) throws(JSONError)
        -> JSONValue
    {
        var parser = JSONParser(bytes: bytes, limits: limits)
        return try parser.document()
    }

    package static func parse(_ bytes: [UInt8], limits: JSONLimits = JSONLimits()) throws(JSONError) -> JSONValue {
        let result: Result<JSONValue, JSONError> = bytes.withUnsafeBytes { raw in
            do throws(JSONError) { return .success(try parse(raw, limits: limits)) } catch { return .failure(error) }
        }
        return try result.get()
    }

    package static func parse(_ text: String, limits: JSONLimits = JSONLimits()) throws(JSONError) -> JSONValue {
        try parse(Array(text.utf8), limits: limits)
    }
}

/// A recursive-descent reader over bytes; depth is bounded by `JSONLimits.depth`.
private struct JSONParser {
    let bytes: UnsafeRawBufferPointer
    let limits: JSONLimits
    var at = 0
    var values = 0

    init(bytes: UnsafeRawBufferPointer, limits: JSONLimits) {
        self.bytes = bytes
        self.limits = limits
    }

    mutating func document() throws(JSONError) -> JSONValue {
        skipSpace()
        let value = try value(depth: 0)
        skipSpace()
        guard at == bytes.count else { throw error("unexpected text after the JSON value") }
        return value
    }

    private func error(_ problem: String, at offset: Int? = nil) -> JSONError {
        JSONError(offset: offset ?? at, problem: problem)
    }

    private mutating func skipSpace() {
        while at < bytes.count {
            switch bytes[at] {
            case 0x20, 0x09, 0x0A, 0x0D: at += 1
            default: return
            }
        }
    }

    private mutating func value(depth: Int) throws(JSONError) -> JSONValue {
        guard at < bytes.count else { throw error("the JSON text ends where a value should stand") }
        guard depth <= limits.depth else { throw error("nested deeper than \(limits.depth) levels") }
        values += 1
        guard values <= limits.values else { throw error("more than \(limits.values) values") }
        switch bytes[at] {
        case UInt8(ascii: "{"): return try object(depth: depth)
        case UInt8(ascii: "["): return try array(depth: depth)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try literal("true", .bool(true))
        case UInt8(ascii: "f"): return try literal("false", .bool(false))
        case UInt8(ascii: "n"): return try literal("null", .null)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
        default: throw error("a JSON value can't start here")
        }
    }

    private mutating func literal(_ word: StaticString, _ value: JSONValue) throws(JSONError) -> JSONValue {
        let count = word.utf8CodeUnitCount
        guard at + count <= bytes.count,
            (0..<count).allSatisfy({ bytes[at + $0] == word.utf8Start[$0] })
        else { throw error("expected `\(word)`") }
        at += count
        return value
    }

    private mutating func object(depth: Int) throws(JSONError) -> JSONValue {
        at += 1
        var members: [(key: String, value: JSONValue)] = []
        var seen: Set<ByteText> = []
        skipSpace()
        if take(UInt8(ascii: "}")) { return .object(JSONObject()) }
        while true {
            skipSpace()
            guard at < bytes.count, bytes[at] == UInt8(ascii: "\"") else { throw error("expected a quoted key") }
            let keyOffset = at
            let key = try string()
            if limits.refusesDuplicateKeys, !seen.insert(ByteText(key)).inserted {
                throw error("the key `\(key.prefix(80))` stands twice", at: keyOffset)
            }
            skipSpace()
            guard take(UInt8(ascii: ":")) else { throw error("expected `:` after a key") }
            skipSpace()
            members.append((key, try value(depth: depth + 1)))
            skipSpace()
            if take(UInt8(ascii: ",")) { continue }
            guard take(UInt8(ascii: "}")) else { throw error("expected `,` or `}` in an object") }
            return .object(JSONObject(members))
        }
    }

    private mutating func array(depth: Int) throws(JSONError) -> JSONValue {
        at += 1
        var elements: [JSONValue] = []
        skipSpace()
        if take(UInt8(ascii: "]")) { return .array([]) }
        while true {
            skipSpace()
            elements.append(try value(depth: depth + 1))
            skipSpace()
            if take(UInt8(ascii: ",")) { continue }
            guard take(UInt8(ascii: "]")) else { throw error("expected `,` or `]` in an array") }
            return .array(elements)
        }
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard at < bytes.count, bytes[at] == byte else { return false }
        at += 1
        return true
    }

    private mutating func digits() -> Int {
        let start = at
        while at < bytes.count, (0x30...0x39).contains(bytes[at]) { at += 1 }
        return at - start
    }

    private mutating func number() throws(JSONError) -> JSONValue {
        let start = at
        _ = take(UInt8(ascii: "-"))
        let leadingZero = at < bytes.count && bytes[at] == 0x30
        let whole = digits()
        guard whole > 0, !(leadingZero && whole > 1) else { throw error("malformed number", at: start) }
        if take(UInt8(ascii: ".")), digits() == 0 { throw error("malformed number", at: start) }
        if at < bytes.count, bytes[at] | 0x20 == UInt8(ascii: "e") {
            at += 1
            if !take(UInt8(ascii: "+")) { _ = take(UInt8(ascii: "-")) }
            if digits() == 0 { throw error("malformed number", at: start) }
        }
        return .number(JSONNumber(text: String(decoding: bytes[start..<at], as: UTF8.self)))
    }

    private mutating func string() throws(JSONError) -> String {
        let start = at
        at += 1
        let first = at
        while at < bytes.count, bytes[at] != UInt8(ascii: "\""), bytes[at] != UInt8(ascii: "\\"), bytes[at] >= 0x20 {
            at += 1
        }
        guard at < bytes.count else { throw error("a string does not end", at: start) }
        if bytes[at] == UInt8(ascii: "\"") {
            let text = try utf8(bytes[first..<at], at: first)
            at += 1
            return text
        }
        return try escapedString(from: first, start: start)
    }

    private mutating func escapedString(from first: Int, start: Int) throws(JSONError) -> String {
        var buffer = Array(bytes[first..<at])
        while true {
            guard at < bytes.count else { throw error("a string does not end", at: start) }
            let byte = bytes[at]
            at += 1
            switch byte {
            case UInt8(ascii: "\""): return try utf8(buffer, at: first)
            case UInt8(ascii: "\\"): try escape(into: &buffer)
            case 0..<0x20: throw error("a control character stands bare in a string", at: at - 1)
            default: buffer.append(byte)
            }
        }
    }

    private mutating func escape(into buffer: inout [UInt8]) throws(JSONError) {
        guard at < bytes.count else { throw error("a string does not end") }
        let byte = bytes[at]
        at += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): buffer.append(byte)
        case UInt8(ascii: "b"): buffer.append(0x08)
        case UInt8(ascii: "f"): buffer.append(0x0C)
        case UInt8(ascii: "n"): buffer.append(0x0A)
        case UInt8(ascii: "r"): buffer.append(0x0D)
        case UInt8(ascii: "t"): buffer.append(0x09)
        case UInt8(ascii: "u"): buffer.append(contentsOf: Array(String(Character(try unicodeEscape())).utf8))
        default: throw error("unknown escape in a string", at: at - 1)
        }
    }

    private mutating func unicodeEscape() throws(JSONError) -> Unicode.Scalar {
        let high = try hex4()
        if let scalar = Unicode.Scalar(high) { return scalar }
        guard (0xD800..<0xDC00).contains(high), at + 1 < bytes.count,
            bytes[at] == UInt8(ascii: "\\"), bytes[at + 1] == UInt8(ascii: "u")
        else { return "\u{FFFD}" }
        let mark = at
        at += 2
        let low = try hex4()
        guard (0xDC00..<0xE000).contains(low) else {
            at = mark
            return "\u{FFFD}"
        }
        return Unicode.Scalar(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)) ?? "\u{FFFD}"
    }

    private mutating func hex4() throws(JSONError) -> UInt32 {
        guard at + 4 <= bytes.count else { throw error("a \\u escape needs four hex digits") }
        var value: UInt32 = 0
        for _ in 0..<4 {
            let byte = bytes[at]
            let digit: UInt32
            switch byte {
            case 0x30...0x39: digit = UInt32(byte - 0x30)
            case 0x41...0x46: digit = UInt32(byte - 0x41 + 10)
            case 0x61...0x66: digit = UInt32(byte - 0x61 + 10)
            default: throw error("a \\u escape needs four hex digits")
            }
            value = value << 4 | digit
            at += 1
        }
        return value
    }

    private func utf8(_ slice: some Collection<UInt8>, at offset: Int) throws(JSONError) -> String {
        guard let text = String(validating: slice, as: UTF8.self) else {
            throw error("a string is not valid UTF-8", at: offset)
        }
        return text
    }
}
