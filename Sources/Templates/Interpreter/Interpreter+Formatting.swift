extension Interpreter {
    /// `format % values`: `%s`, `%r`, `%d`, `%i` and `%%`, with names in parentheses when the right side is a dict.
    func formatted(_ format: MarkedText, _ right: Value) throws(TemplateError) -> Value {
        var values = [right][...]
        if case .tuple(let tuple) = right { values = tuple.elements[...] }
        var result = MarkedText()
        var at = 0
        var used = 0
        while let mark = format.find(MarkedText(template: "%"), from: at) {
            result.append(format, at..<mark)
            var position = mark + 1
            var value: Value?
            if position < format.count, format.utf8[position] == UInt8(ascii: "(") {
                guard let close = format.find(MarkedText(template: ")"), from: position) else {
                    throw failure("incomplete format key")
                }
                value = try item(.text(format.slice(position + 1..<close)), of: right)
                position = close + 1
                used = values.count
            }
            guard position < format.count else { throw failure("incomplete format") }
            if format.utf8[position] == UInt8(ascii: "%") {
                result.append(utf8: [UInt8(ascii: "%")], isData: format.containsData(position..<position + 1))
            } else {
                if value == nil {
                    guard used < values.count else { throw failure("not enough arguments for the format") }
                    value = values[values.startIndex + used]
                    used += 1
                }
                result.append(try conversion(format.utf8[position], value ?? .none))
            }
            at = position + 1
        }
        result.append(format, at..<format.count)
        guard used == values.count || !takesNoArguments(right) else {
            throw failure("not all arguments were used by the format")
        }
        return try text(result)
    }

    /// Python lets dicts, lists and what has items stand behind a format that asks for nothing.
    private func takesNoArguments(_ right: Value) -> Bool {
        switch right {
        case .dict, .list, .undefined: false
        default: true
        }
    }

    private func conversion(_ kind: UInt8, _ value: Value) throws(TemplateError) -> MarkedText {
        switch kind {
        case UInt8(ascii: "s"): return value.shown
        case UInt8(ascii: "r"):
            var text = MarkedText()
            value.writeRepr(into: &text)
            return text
        case UInt8(ascii: "d"), UInt8(ascii: "i"):
            if case .float(let float) = value, let integer = Int(exactly: float.rounded(.towardZero)) {
                return MarkedText(template: String(integer))
            }
            return MarkedText(template: String(try integerArgument(value, "%d")))
        default:
            throw .unsupported(line: line, construct: "the format `%\(String(decoding: [kind], as: UTF8.self))`")
        }
    }
}
