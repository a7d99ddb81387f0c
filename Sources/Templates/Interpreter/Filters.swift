extension Interpreter {
    /// Applies a filter by name.
    func filter(_ name: String, _ input: Value, _ arguments: CallArguments) throws(TemplateError) -> Value {
        if let value = try openFilter(name, input, arguments) { return value }
        switch name {
        case "length", "count": return try length(input, arguments)
        case "string": return .text(input.shown)
        // Nothing is escaped, so marking a text as safe changes nothing.
        case "safe": return .text(input.shown)
        case "tojson": return try json(input, arguments)
        case "default", "d": return try fallback(input, arguments)
        case "trim":
            let characters = try arguments.bound(["chars"], name, self)[0]
            var set: MarkedText?
            if let characters, case .text(let text) = characters { set = text }
            return try text(input.shown.stripped(set, left: true, right: true))
        case "lower": return try text(input.shown.mapped { $0.lowercased() })
        case "upper": return try text(input.shown.mapped { $0.uppercased() })
        case "capitalize": return try text(input.shown.capitalized)
        case "title": return try text(titled(input.shown))
        case "replace": return try replace(input.shown, arguments)
        case "indent": return try indented(input, arguments)
        case "int", "float", "abs", "round": return try number(name, input, arguments)
        default: return try sequenceFilter(name, input, arguments)
        }
    }

    private func length(_ input: Value, _ arguments: CallArguments) throws(TemplateError) -> Value {
        _ = try arguments.bound([], "length", self)
        switch input {
        case .text(let text): return .integer(text.codePoints)
        case .list(let list), .tuple(let list): return .integer(list.elements.count)
        case .dict(let dict): return .integer(dict.entries.count)
        case .undefined: return .integer(0)
        case .loop(let loop): return .integer(loop.elements.count)
        default: throw failure("a \(input.typeName) has no length")
        }
    }

    private func fallback(_ input: Value, _ arguments: CallArguments) throws(TemplateError) -> Value {
        let values = try arguments.bound(["default_value", "boolean"], "default", self)
        let replacement = values[0] ?? .text(MarkedText())
        if case .undefined = input { return replacement }
        return values[1]?.isTrue == true && !input.isTrue ? replacement : input
    }

    private func json(_ input: Value, _ arguments: CallArguments) throws(TemplateError) -> Value {
        let values = try arguments.bound(
            ["ensure_ascii", "indent", "separators", "sort_keys"], "tojson", self)
        var json = JSONText()
        json.escapesNonASCII = values[0]?.isTrue ?? false
        json.sortsKeys = values[3]?.isTrue ?? false
        switch values[1] {
        case nil, .some(.none): break
        case .some(.text(let text)): json.indent = text
        case .some(let width):
            let count = try integerArgument(width, "tojson's indent")
            guard count <= 100 else { throw failure("tojson's indent is at most 100") }
            json.indent = MarkedText(template: String(repeating: " ", count: max(0, count)))
        }
        if let value = values[2], value.isTrue {
            let parts = try elements(of: value)
            guard parts.count == 2 else { throw failure("tojson's separators are two texts") }
            json.separators = (
                try textArgument(parts[0], "tojson's separators"), try textArgument(parts[1], "tojson's separators")
            )
        }
        do { try json.write(input) } catch { throw failure(error.description) }
        return try text(json.out)
    }

    /// Jinja's `title`: words between white space and `-({[<`, each with a capital first and lower case behind.
    private func titled(_ text: MarkedText) -> MarkedText {
        var result = MarkedText()
        var startsWord = true
        for (scalar, range) in text.scalars {
            let isBreak = WhiteSpace.contains(scalar) || "-({[<".unicodeScalars.contains(scalar)
            let mapped = startsWord ? scalar.properties.uppercaseMapping : scalar.properties.lowercaseMapping
            result.append(utf8: mapped.utf8, isData: text.containsData(range))
            startsWord = isBreak
        }
        return result
    }

    private func replace(_ text: MarkedText, _ arguments: CallArguments) throws(TemplateError) -> Value {
        let values = try arguments.bound(["old", "new", "count"], "replace", self)
        guard let old = values[0], let new = values[1] else { throw failure("replace needs two texts") }
        var limit = -1
        if let value = values[2], case .none = value {
        } else if let value = values[2] {
            limit = try integerArgument(value, "replace")
        }
        return try replaced(text, old.shown, new.shown, limit)
    }

    private func indented(_ input: Value, _ arguments: CallArguments) throws(TemplateError) -> Value {
        let values = try arguments.bound(["width", "first", "blank"], "indent", self)
        var indentation = MarkedText(template: "    ")
        switch values[0] {
        case nil: break
        case .some(.text(let text)): indentation = text
        case .some(let width):
            let count = try integerArgument(width, "indent")
            guard count <= 1000 else { throw failure("indent is at most 1000") }
            indentation = MarkedText(template: String(repeating: " ", count: max(0, count)))
        }
        let (first, blank) = (values[1]?.isTrue ?? false, values[2]?.isTrue ?? false)
        let newline = MarkedText(template: "\n")
        let lines = (try textArgument(input, "indent") + newline).lines()
        try charge(lines.count * (indentation.count + 1))
        var result = first ? indentation : MarkedText()
        for (index, line) in lines.enumerated() {
            if index > 0 {
                result.append(newline)
                if blank || !line.isEmpty { result.append(indentation) }
            }
            result.append(line)
        }
        return try text(result)
    }

    // MARK: Numbers

    private func number(_ name: String, _ input: Value, _ arguments: CallArguments) throws(TemplateError) -> Value {
        try requireDefined(input)
        switch name {
        case "int":
            let values = try arguments.bound(["default", "base"], name, self)
            let base = try values[1].map { (value) throws(TemplateError) in try integerArgument(value, name) } ?? 10
            return Self.integer(input, base: base) ?? values[0] ?? .integer(0)
        case "float":
            let fallback = try arguments.bound(["default"], name, self)[0] ?? .float(0)
            if case .text(let text) = input { return Self.float(text).map(Value.float) ?? fallback }
            return input.floatValue.map(Value.float) ?? fallback
        case "abs":
            if case .float(let value) = input { return .float(value.magnitude) }
            guard let integer = input.integerValue, integer != .min else { throw failure("abs needs a number") }
            return .integer(abs(integer))
        default: return try rounded(input, arguments)
        }
    }

    private static func integer(_ input: Value, base: Int) -> Value? {
        switch input {
        case .text(let text):
            let digits = text.stripped(nil, left: true, right: true).text.filter { $0 != "_" }
            if (2...36).contains(base), let value = Int(digits, radix: base) { return .integer(value) }
            return float(text).flatMap { Int(exactly: $0.rounded(.towardZero)) }.map(Value.integer)
        case .float(let value): return Int(exactly: value.rounded(.towardZero)).map(Value.integer)
        case .bigInteger: return input
        default: return input.integerValue.map(Value.integer)
        }
    }

    private static func float(_ text: MarkedText) -> Double? {
        let trimmed = text.stripped(nil, left: true, right: true).text
        switch trimmed.lowercased() {
        case "inf", "+inf", "infinity", "+infinity": return .infinity
        case "-inf", "-infinity": return -.infinity
        case "nan", "+nan", "-nan": return .nan
        // Swift reads hexadecimal floats too, Python doesn't.
        default: return trimmed.contains(where: { "xXpP".contains($0) }) ? nil : Double(trimmed)
        }
    }

    private func rounded(_ input: Value, _ arguments: CallArguments) throws(TemplateError) -> Value {
        let values = try arguments.bound(["precision", "method"], "round", self)
        let precision = try values[0].map { (value) throws(TemplateError) in try integerArgument(value, "round") } ?? 0
        guard (0...15).contains(precision) else { throw failure("round's precision lies in 0...15") }
        let method = values[1]?.shown.text ?? "common"
        guard let number = input.floatValue else { throw failure("round needs a number") }
        let scale = (0..<precision).reduce(1.0) { scale, _ in scale * 10 }
        switch method {
        case "common":
            if case .float = input { return .float((number * scale).rounded(.toNearestOrEven) / scale) }
            return input.integerValue.map(Value.integer) ?? input
        case "ceil": return .float((number * scale).rounded(.up) / scale)
        case "floor": return .float((number * scale).rounded(.down) / scale)
        default: throw failure("round's method is common, ceil or floor")
        }
    }
}
