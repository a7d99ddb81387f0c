/// The methods of Python's `str` that templates can call.
enum StringMethod: String {
    case capitalize, count, endswith, find, index, isalnum, isalpha, isdigit, islower, isspace, isupper, join, lower
    case lstrip, partition, removeprefix, removesuffix, replace, rfind, rpartition, rsplit, rstrip, split, splitlines
    case startswith, strip, title, upper, zfill
}

extension Interpreter {
    func call(_ method: StringMethod, of text: MarkedText, _ arguments: CallArguments) throws(TemplateError) -> Value {
        switch method {
        case .strip, .lstrip, .rstrip:
            let characters = try optionalText(try arguments.bound(["chars"], method.rawValue, self)[0], method)
            return try self.text(text.stripped(characters, left: method != .rstrip, right: method != .lstrip))
        case .split, .rsplit: return try split(method, text, arguments)
        case .splitlines:
            let keeps = try arguments.bound(["keepends"], method.rawValue, self)[0]?.isTrue ?? false
            return try list(text.lines(keepingEnds: keeps).map(Value.text))
        case .startswith, .endswith: return .bool(try hasEnd(method, text, arguments))
        case .find, .rfind, .index, .count: return try search(method, text, arguments)
        case .replace: return try replace(text, arguments)
        case .join:
            guard let parts = try arguments.bound(["iterable"], "join", self)[0] else {
                throw failure("join needs a list")
            }
            var texts: [MarkedText] = []
            for part in try elements(of: parts) { texts.append(try textArgument(part, "join")) }
            return try self.text(MarkedText.joined(texts, by: text))
        case .removeprefix, .removesuffix, .partition, .rpartition: return try cut(method, text, arguments)
        case .zfill:
            let width = try integerArgument(try one(arguments, method), "zfill")
            return try zeroFilled(text, width)
        default:
            _ = try arguments.bound([], method.rawValue, self)
            return try plain(method, text)
        }
    }

    private func plain(_ method: StringMethod, _ text: MarkedText) throws(TemplateError) -> Value {
        switch method {
        case .upper: return try self.text(text.mapped { $0.uppercased() })
        case .lower: return try self.text(text.mapped { $0.lowercased() })
        case .capitalize: return try self.text(text.capitalized)
        case .title: return try self.text(text.titled)
        case .isspace: return all(text, WhiteSpace.contains)
        case .isalpha: return all(text) { Self.isLetter($0) }
        case .isdigit: return all(text) { Self.isDigit($0) }
        case .isalnum: return all(text) { Self.isLetter($0) || $0.properties.numericType != nil }
        case .isupper, .islower:
            let wanted = method == .isupper
            let cased = text.scalars.map(\.scalar).filter { $0.properties.isUppercase || $0.properties.isLowercase }
            return .bool(!cased.isEmpty && cased.allSatisfy { $0.properties.isUppercase == wanted })
        default: preconditionFailure("methods with arguments are called elsewhere")
        }
    }

    private func all(_ text: MarkedText, _ test: (Unicode.Scalar) -> Bool) -> Value {
        .bool(!text.isEmpty && text.scalars.allSatisfy { test($0.scalar) })
    }

    private static func isLetter(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: true
        default: false
        }
    }

    private static func isDigit(_ scalar: Unicode.Scalar) -> Bool {
        scalar.properties.numericType == .decimal || scalar.properties.numericType == .digit
    }

    private func one(_ arguments: CallArguments, _ method: StringMethod) throws(TemplateError) -> Value {
        guard let value = try arguments.bound(["value"], method.rawValue, self)[0] else {
            throw failure("\(method.rawValue) needs an argument")
        }
        return value
    }

    private func optionalText(_ value: Value?, _ method: StringMethod) throws(TemplateError) -> MarkedText? {
        guard let value else { return nil }
        if case .none = value { return nil }
        return try textArgument(value, method.rawValue)
    }

    private func split(
        _ method: StringMethod, _ text: MarkedText, _ arguments: CallArguments
    ) throws(TemplateError) -> Value {
        let values = try arguments.bound(["sep", "maxsplit"], method.rawValue, self)
        let separator = try optionalText(values[0], method)
        var limit = -1
        if let value = values[1] { limit = try integerArgument(value, method.rawValue) }
        guard separator?.isEmpty != true else { throw failure("empty separator") }
        guard let separator else {
            guard method == .split || limit < 0 else {
                throw .unsupported(line: line, construct: "rsplit at white space with a limit")
            }
            return try list(text.splitAtSpace(limit: limit).map(Value.text))
        }
        try charge(text.count)
        let parts =
            method == .split
            ? text.split(at: separator, limit: limit) : text.splitFromEnd(at: separator, limit: limit)
        return try list(parts.map(Value.text))
    }

    private func hasEnd(
        _ method: StringMethod, _ text: MarkedText, _ arguments: CallArguments
    ) throws(TemplateError) -> Bool {
        let value = try one(arguments, method)
        var ends = [value]
        if case .tuple(let tuple) = value { ends = tuple.elements }
        for end in ends {
            let end = try textArgument(end, method.rawValue)
            if method == .startswith ? text.hasPrefix(end) : text.hasSuffix(end) { return true }
        }
        return false
    }

    private func search(
        _ method: StringMethod, _ text: MarkedText, _ arguments: CallArguments
    ) throws(TemplateError) -> Value {
        let needle = try textArgument(try one(arguments, method), method.rawValue)
        if method == .count { return .integer(text.occurrences(of: needle)) }
        guard let place = method == .rfind ? text.findLast(needle) : text.find(needle) else {
            if method == .index { throw failure("substring not found") }
            return .integer(-1)
        }
        return .integer(text.slice(0..<place).codePoints)
    }

    private func replace(_ text: MarkedText, _ arguments: CallArguments) throws(TemplateError) -> Value {
        let values = try arguments.bound(["old", "new", "count"], "replace", self)
        guard let old = values[0], let new = values[1] else { throw failure("replace needs two texts") }
        let limit = try values[2].map { (value) throws(TemplateError) in try integerArgument(value, "replace") }
        return try replaced(text, try textArgument(old, "replace"), try textArgument(new, "replace"), limit ?? -1)
    }

    /// Charges before it builds, because a replacement can multiply a text's length.
    func replaced(
        _ text: MarkedText, _ old: MarkedText, _ new: MarkedText, _ limit: Int
    ) throws(TemplateError) -> Value {
        let found = text.occurrences(of: old)
        let count = limit < 0 ? found : min(limit, found)
        let (added, overflow) = count.multipliedReportingOverflow(by: new.count)
        try charge(overflow ? .max : text.count + added)
        return .text(text.replacing(old, with: new, limit: limit))
    }

    private func cut(
        _ method: StringMethod, _ text: MarkedText, _ arguments: CallArguments
    ) throws(TemplateError) -> Value {
        let mark = try textArgument(try one(arguments, method), method.rawValue)
        switch method {
        case .removeprefix: return try self.text(text.hasPrefix(mark) ? text.slice(mark.count..<text.count) : text)
        case .removesuffix:
            return try self.text(text.hasSuffix(mark) ? text.slice(0..<text.count - mark.count) : text)
        default: break
        }
        guard !mark.isEmpty else { throw failure("empty separator") }
        try charge(text.count)
        let place = method == .partition ? text.find(mark) : text.findLast(mark)
        guard let place else {
            let parts = method == .partition ? [text, MarkedText(), MarkedText()] : [MarkedText(), MarkedText(), text]
            return .tuple(parts.map(Value.text))
        }
        let end = place + mark.count
        return .tuple([text.slice(0..<place), text.slice(place..<end), text.slice(end..<text.count)].map(Value.text))
    }

    private func zeroFilled(_ text: MarkedText, _ width: Int) throws(TemplateError) -> Value {
        let missing = width - text.codePoints
        guard missing > 0 else { return .text(text) }
        try charge(missing + text.count)
        let sign = text.utf8.first.map { $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "+") } == true ? 1 : 0
        return .text(
            text.slice(0..<sign) + MarkedText(template: String(repeating: "0", count: missing))
                + text.slice(sign..<text.count))
    }
}
