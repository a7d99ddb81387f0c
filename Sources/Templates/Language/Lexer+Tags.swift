extension Lexer {
    /// Tokens of one `{{ … }}` or `{% … %}` whose opening was just taken.
    mutating func tag(isBlock: Bool) throws(TemplateError) {
        add(isBlock ? .blockBegin : .variableBegin)
        awaited = []
        while true {
            if let end = awaited.isEmpty ? tagEnd(isBlock: isBlock) : nil {
                add(isBlock ? .blockEnd : .variableEnd)
                return leaveTag(end)
            }
            guard at < source.count else { throw failure("a tag is never closed") }
            let next = WhiteSpace.skip(source, from: at)
            if next > at { advance(to: next) } else { try inkToken() }
        }
    }

    private func tagEnd(isBlock: Bool) -> Int? {
        if isBlock { return closing("%}", at: at) }
        if has("}}", at: at) { return at + 2 }
        return has("-}}", at: at) ? WhiteSpace.skip(source, from: at + 3) : nil
    }

    private mutating func inkToken() throws(TemplateError) {
        let byte = source[at]
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): try number()
        case UInt8(ascii: "\""), UInt8(ascii: "'"): try string(quote: byte)
        default: if Self.continuesName(byte) { name() } else { try symbol() }
        }
    }

    private mutating func name() {
        var end = at
        while end < source.count, Self.continuesName(source[end]) { end += 1 }
        add(.name(String(decoding: source[at..<end], as: UTF8.self)))
        at = end
    }

    private static func continuesName(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "_"), 0x80...,
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: false
        }
    }

    private mutating func symbol() throws(TemplateError) {
        let pair = at + 1 < source.count ? Token.Symbol.pairs.first { has($0.text, at: at) } : nil
        guard let symbol = pair?.symbol ?? Token.Symbol.singles[Int(source[at])] else {
            let rest = String(decoding: source[at...].prefix(4), as: UTF8.self)
            throw failure("unexpected character `\(rest.prefix(1))`")
        }
        switch symbol {
        case .leftParenthesis: awaited.append(.rightParenthesis)
        case .leftBracket: awaited.append(.rightBracket)
        case .leftBrace: awaited.append(.rightBrace)
        case .rightParenthesis, .rightBracket, .rightBrace:
            guard awaited.popLast() == symbol else { throw failure("unexpected `\(symbol.rawValue)`") }
        default: break
        }
        add(.symbol(symbol))
        at += pair == nil ? 1 : 2
    }

    private mutating func number() throws(TemplateError) {
        var end = digits(from: at)
        let isAfterDot = at > 0 && source[at - 1] == UInt8(ascii: ".")
        var isFloat = false
        if !isAfterDot {
            if end + 1 < source.count, source[end] == UInt8(ascii: "."), digits(from: end + 1) > end + 1 {
                end = digits(from: end + 1)
                isFloat = true
            }
            if let exponent = exponent(from: end) { (end, isFloat) = (exponent, true) }
        }
        let text = String(decoding: source[at..<end].filter { $0 != UInt8(ascii: "_") }, as: UTF8.self)
        if isFloat, let value = Double(text) {
            add(.float(value))
        } else if let value = Int(text) {
            add(.integer(value))
        } else {
            throw failure("the number `\(text.prefix(40))` is too large")
        }
        at = end
    }

    /// The end of a run of digits, single underscores between them allowed.
    private func digits(from start: Int) -> Int {
        var end = start
        while end < source.count {
            let isDigit = (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(source[end])
            let isSeparator =
                source[end] == UInt8(ascii: "_") && end > start && end + 1 < source.count
                && (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(source[end + 1])
            guard isDigit || isSeparator else { break }
            end += 1
        }
        return end
    }

    private func exponent(from start: Int) -> Int? {
        guard start + 1 < source.count, source[start] | 0x20 == UInt8(ascii: "e") else { return nil }
        let isSigned = source[start + 1] == UInt8(ascii: "+") || source[start + 1] == UInt8(ascii: "-")
        let first = start + (isSigned ? 2 : 1)
        let end = digits(from: first)
        return end > first ? end : nil
    }

    private mutating func string(quote: UInt8) throws(TemplateError) {
        var text = ""
        var position = at + 1
        var plain = position
        func flush(_ end: Int) { text += String(decoding: source[plain..<end], as: UTF8.self) }
        while position < source.count, source[position] != quote {
            guard source[position] == UInt8(ascii: "\\") else {
                position += 1
                continue
            }
            flush(position)
            position = escape(at: position, into: &text)
            plain = position
        }
        guard position < source.count else { throw failure("a string is never closed") }
        flush(position)
        add(.string(text))
        advance(to: position + 1)
    }

    /// Decodes the escape sequence at `start` as Python's string literals do, and gives the position behind it.
    private func escape(at start: Int, into text: inout String) -> Int {
        guard start + 1 < source.count else { return source.count }
        let byte = source[start + 1]
        switch byte {
        case UInt8(ascii: "n"): text += "\n"
        case UInt8(ascii: "t"): text += "\t"
        case UInt8(ascii: "r"): text += "\r"
        case UInt8(ascii: "a"): text += "\u{07}"
        case UInt8(ascii: "b"): text += "\u{08}"
        case UInt8(ascii: "f"): text += "\u{0C}"
        case UInt8(ascii: "v"): text += "\u{0B}"
        case UInt8(ascii: "\\"), UInt8(ascii: "'"), UInt8(ascii: "\""): text.unicodeScalars.append(Unicode.Scalar(byte))
        case 0x0A: break
        case UInt8(ascii: "x"): return hexadecimal(start, digits: 2, into: &text)
        case UInt8(ascii: "u"): return hexadecimal(start, digits: 4, into: &text)
        case UInt8(ascii: "U"): return hexadecimal(start, digits: 8, into: &text)
        case UInt8(ascii: "0")...UInt8(ascii: "7"): return octal(start, into: &text)
        default:
            text += "\\"
            return start + 1
        }
        return start + 2
    }

    private func hexadecimal(_ start: Int, digits: Int, into text: inout String) -> Int {
        let end = start + 2 + digits
        guard end <= source.count,
            let value = UInt32(String(decoding: source[start + 2..<end], as: UTF8.self), radix: 16)
        else {
            text += "\\"
            return start + 1
        }
        text.unicodeScalars.append(Unicode.Scalar(value) ?? "\u{FFFD}")
        return end
    }

    private func octal(_ start: Int, into text: inout String) -> Int {
        var value: UInt32 = 0
        var position = start + 1
        while position < source.count, position < start + 4,
            (UInt8(ascii: "0")...UInt8(ascii: "7")).contains(source[position])
        {
            value = value * 8 + UInt32(source[position] - UInt8(ascii: "0"))
            position += 1
        }
        text.unicodeScalars.append(Unicode.Scalar(value) ?? "\u{FFFD}")
        return position
    }
}
