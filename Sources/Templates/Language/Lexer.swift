/// Cuts a template's text into tokens, as Jinja 3.1 does with `trim_blocks` and `lstrip_blocks` on.
///
/// White space around tags: `-` strips all of it on that side; otherwise a block or comment tag that stands first on
/// its line loses the blanks before it, and one line feed right behind it; `+` keeps them. One line feed at the very
/// end of the template is dropped.
/// Source: Jinja documentation, "Template Designer Documentation", section White Space Control.
struct Lexer {
    let source: [UInt8]
    var at = 0
    var line = 1
    var tokens: [Token] = []
    /// Closing brackets that are awaited inside the current tag.
    var awaited: [Token.Symbol] = []
    /// Whether the text from `at` on starts a line.
    private var startsLine = true

    private init(_ text: String) { source = Self.normalized(text) }

    /// All tokens of a template, `.end` last.
    static func tokens(of text: String) throws(TemplateError) -> [Token] {
        var lexer = Lexer(text)
        try lexer.template()
        lexer.add(.end)
        return lexer.tokens
    }

    /// Every line end as one line feed, and none at the end of the last line.
    private static func normalized(_ text: String) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count)
        var previous: UInt8 = 0
        for byte in text.utf8 {
            if byte == 0x0D { bytes.append(0x0A) } else if byte != 0x0A || previous != 0x0D { bytes.append(byte) }
            previous = byte
        }
        if bytes.last == 0x0A { bytes.removeLast() }
        return bytes
    }

    mutating func add(_ kind: Token.Kind) { tokens.append(Token(kind: kind, line: line)) }

    func failure(_ problem: String) -> TemplateError { .syntax(line: line, problem: problem) }

    /// Whether `text` stands at byte `position`.
    func has(_ text: StaticString, at position: Int) -> Bool {
        let count = text.utf8CodeUnitCount
        guard position + count <= source.count else { return false }
        return (0..<count).allSatisfy { source[position + $0] == text.utf8Start[$0] }
    }

    /// Moves on, counting lines.
    mutating func advance(to position: Int) {
        for index in at..<position where source[index] == 0x0A { line += 1 }
        at = position
    }

    private mutating func template() throws(TemplateError) {
        while at < source.count {
            guard let open = nextTag(from: at) else {
                addText(at..<source.count, sign: nil, isVariable: true)
                return
            }
            let kind = source[open + 1]
            let sign = open + 2 < source.count ? source[open + 2] : 0
            let isSigned = sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+")
            addText(at..<open, sign: isSigned ? sign : nil, isVariable: kind == UInt8(ascii: "{"))
            advance(to: open + (isSigned ? 3 : 2))
            switch kind {
            case UInt8(ascii: "#"): try comment()
            case UInt8(ascii: "{"): try tag(isBlock: false)
            default: if let body = rawBody() { try raw(from: body) } else { try tag(isBlock: true) }
            }
        }
    }

    private func nextTag(from start: Int) -> Int? {
        var position = start
        while position + 1 < source.count {
            if source[position] == UInt8(ascii: "{") {
                let next = source[position + 1]
                if [UInt8(ascii: "{"), UInt8(ascii: "%"), UInt8(ascii: "#")].contains(next) { return position }
            }
            position += 1
        }
        return nil
    }

    /// Text before a tag with the sign `-`, `+` or none.
    private mutating func addText(_ range: Range<Int>, sign: UInt8?, isVariable: Bool) {
        var end = range.upperBound
        if sign == UInt8(ascii: "-") {
            end = WhiteSpace.trimEnd(source, range)
        } else if sign == nil, !isVariable {
            let lineStart = source[range].lastIndex(of: 0x0A).map { $0 + 1 } ?? range.lowerBound
            if lineStart > range.lowerBound || startsLine, WhiteSpace.trimEnd(source, lineStart..<end) == lineStart {
                end = lineStart
            }
        }
        if range.lowerBound < end { add(.data(String(decoding: source[range.lowerBound..<end], as: UTF8.self))) }
        advance(to: range.upperBound)
        startsLine = false
    }

    private mutating func comment() throws(TemplateError) {
        var position = at
        while position < source.count {
            if let end = closing("#}", at: position) { return leaveTag(end) }
            position += 1
        }
        throw failure("a comment `{#` is never closed")
    }

    /// The end of a block or comment tag whose closing mark stands at `position`, trimmed white space included.
    func closing(_ mark: StaticString, at position: Int) -> Int? {
        if has(mark, at: position) {
            let end = position + 2
            return end < source.count && source[end] == 0x0A ? end + 1 : end
        }
        guard position + 1 < source.count, has(mark, at: position + 1) else { return nil }
        switch source[position] {
        case UInt8(ascii: "+"): return position + 3
        case UInt8(ascii: "-"): return WhiteSpace.skip(source, from: position + 3)
        default: return nil
        }
    }

    mutating func leaveTag(_ end: Int) {
        startsLine = source[end - 1] == 0x0A
        advance(to: end)
    }

    /// Where the body of `{% raw %}` starts when the tag behind `at` is one.
    private func rawBody() -> Int? {
        let word = WhiteSpace.skip(source, from: at)
        guard has("raw", at: word) else { return nil }
        let end = WhiteSpace.skip(source, from: word + 3)
        if has("%}", at: end) { return end + 2 }
        return has("-%}", at: end) ? WhiteSpace.skip(source, from: end + 3) : nil
    }

    private mutating func raw(from body: Int) throws(TemplateError) {
        advance(to: body)
        startsLine = source[body - 1] == 0x0A
        var position = body
        while position < source.count {
            defer { position += 1 }
            guard has("{%", at: position) else { continue }
            var word = position + 2
            let sign = word < source.count ? source[word] : 0
            let isSigned = sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+")
            word = WhiteSpace.skip(source, from: isSigned ? word + 1 : word)
            guard has("endraw", at: word) else { continue }
            let mark = WhiteSpace.skip(source, from: word + 6)
            guard let end = closing("%}", at: mark) else { continue }
            addText(body..<position, sign: isSigned ? sign : nil, isVariable: false)
            return leaveTag(end)
        }
        throw failure("`{% raw %}` is never closed")
    }
}

/// White space as Python's `str.isspace` and `\s` see it.
enum WhiteSpace {
    static func contains(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x09...0x0D, 0x1C...0x20, 0x85, 0xA0, 0x1680, 0x2000...0x200A, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000: true
        default: false
        }
    }

    /// The bytes of the white-space character at `position`; nil when another one stands there.
    static func width(_ bytes: [UInt8], at position: Int) -> Int? {
        let first = bytes[position]
        if first < 0x80 { return (0x09...0x0D).contains(first) || (0x1C...0x20).contains(first) ? 1 : nil }
        let width = UTF8Width.of(first)
        guard position + width <= bytes.count else { return nil }
        let scalar = String(decoding: bytes[position..<position + width], as: UTF8.self).unicodeScalars.first
        return scalar.map(contains) == true ? width : nil
    }

    /// The first position from `start` on without white space.
    static func skip(_ bytes: [UInt8], from start: Int) -> Int {
        var position = start
        while position < bytes.count, let width = width(bytes, at: position) { position += width }
        return position
    }

    /// The end of `range` without its trailing white space.
    static func trimEnd(_ bytes: [UInt8], _ range: Range<Int>) -> Int {
        var end = range.upperBound
        while end > range.lowerBound {
            var start = end - 1
            while start > range.lowerBound, bytes[start] & 0xC0 == 0x80 { start -= 1 }
            guard let width = width(bytes, at: start), start + width == end else { break }
            end = start
        }
        return end
    }
}

/// Lengths of UTF-8 sequences.
enum UTF8Width {
    /// Bytes of the character that starts with `first`.
    static func of(_ first: UInt8) -> Int {
        switch first {
        case 0..<0x80: 1
        case 0x80..<0xE0: 2
        case 0xE0..<0xF0: 3
        default: 4
        }
    }
}
