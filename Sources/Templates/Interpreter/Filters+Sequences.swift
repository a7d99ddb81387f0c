extension Interpreter {
    /// Filters that work on lists, dicts and what else can be walked.
    func sequenceFilter(_ name: String, _ input: Value, _ arguments: CallArguments) throws(TemplateError) -> Value {
        switch name {
        case "list":
            _ = try arguments.bound([], name, self)
            return try list(try elements(of: input))
        case "items":
            _ = try arguments.bound([], name, self)
            if case .undefined = input { return .iterator(ValueIterator([])) }
            guard case .dict(let dict) = input else { throw failure("items needs a dict, not \(input.typeName)") }
            return .iterator(ValueIterator(dict.entries.map { .tuple([$0.key, $0.value]) }))
        case "join": return try join(input, arguments)
        case "first", "last": return try end(name, input, arguments)
        case "reverse": return try reversed(input, arguments)
        case "dictsort": return try sortedMembers(input, arguments)
        case "sort": return try sorted(input, arguments)
        case "unique": return try unique(input, arguments)
        case "min", "max": return try extreme(name, input, arguments)
        case "sum": return try sum(input, arguments)
        case "map": return try map(input, arguments)
        case "select", "reject", "selectattr", "rejectattr": return try selected(name, input, arguments)
        default: throw .unsupported(line: line, construct: "the filter `\(name)`")
        }
    }

    private func join(_ input: Value, _ arguments: CallArguments) throws(TemplateError) -> Value {
        let values = try arguments.bound(["d", "attribute"], "join", self)
        let path = try values[1].map { (value) throws(TemplateError) in try attributePath(value) } ?? []
        let separator = values[0]?.shown ?? MarkedText()
        var parts: [MarkedText] = []
        for element in try elements(of: input) { parts.append(try follow(path, from: element).shown) }
        try charge(separator.count * parts.count)
        return try text(MarkedText.joined(parts, by: separator))
    }

    private func end(_ name: String, _ input: Value, _ arguments: CallArguments) throws(TemplateError) -> Value {
        _ = try arguments.bound([], name, self)
        if name == "first", case .iterator(let iterator) = input {
            return iterator.takeFirst() ?? .undefined("no first item, the sequence was empty")
        }
        if name == "last", case .iterator = input { throw failure("a generator can't be reversed") }
        let elements = try elements(of: input)
        return (name == "first" ? elements.first : elements.last)
            ?? .undefined("no \(name) item, the sequence was empty")
    }

    private func reversed(_ input: Value, _ arguments: CallArguments) throws(TemplateError) -> Value {
        _ = try arguments.bound([], "reverse", self)
        if case .text(let text) = input { return try self.text(text.sliced(from: nil, to: nil, step: -1)) }
        return .iterator(ValueIterator(try elements(of: input).reversed()))
    }

    // MARK: Order

    /// What a value is sorted by: texts in lower case unless the case counts.
    private func sortKey(_ value: Value, _ caseSensitive: Bool) -> Value {
        guard !caseSensitive, case .text(let text) = value else { return value }
        return .text(text.mapped { $0.lowercased() })
    }

    /// Positions of `keys` in rising (or falling) order, equal ones as they stand.
    private func order(_ keys: [Value], isReversed: Bool) throws(TemplateError) -> [Int] {
        var incomparable: (Value, Value)?
        let order = keys.indices.sorted { left, right in
            let (a, b) = isReversed ? (keys[right], keys[left]) : (keys[left], keys[right])
            guard let isLess = a.isLess(than: b), let isMore = b.isLess(than: a) else {
                incomparable = (a, b)
                return left < right
            }
            return isLess || (!isMore && left < right)
        }
        if let (a, b) = incomparable { throw failure("'<' is not supported between \(a.typeName) and \(b.typeName)") }
        return order
    }

    private func sortedMembers(_ input: Value, _ arguments: CallArguments) throws(TemplateError) -> Value {
        let values = try arguments.bound(["case_sensitive", "by", "reverse"], "dictsort", self)
        guard case .dict(let dict) = input else { throw failure("dictsort needs a dict, not \(input.typeName)") }
        let by = values[1]?.shown.text ?? "key"
        guard by == "key" || by == "value" else { throw failure("dictsort sorts by key or value") }
        let keys = dict.entries.map { sortKey(by == "key" ? $0.key : $0.value, values[0]?.isTrue ?? false) }
        let order = try order(keys, isReversed: values[2]?.isTrue ?? false)
        return try list(order.map { .tuple([dict.entries[$0].key, dict.entries[$0].value]) })
    }

    private func sorted(_ input: Value, _ arguments: CallArguments) throws(TemplateError) -> Value {
        let values = try arguments.bound(["reverse", "case_sensitive", "attribute"], "sort", self)
        let elements = try elements(of: input)
        var paths: [[Value]] = [[]]
        if let attribute = values[2] {
            paths = []
            if case .text(let names) = attribute {
                for name in names.split(at: MarkedText(template: ",")) { paths.append(try attributePath(.text(name))) }
            } else {
                paths.append(try attributePath(attribute))
            }
        }
        var keys: [Value] = []
        for element in elements {
            var parts: [Value] = []
            for path in paths { parts.append(sortKey(try follow(path, from: element), values[1]?.isTrue ?? false)) }
            // Lists even of one: equal keys that have no order (none, a missing attribute) leave the elements as they
            // stand.
            keys.append(.list(parts))
        }
        return try list(try order(keys, isReversed: values[0]?.isTrue ?? false).map { elements[$0] })
    }

    private func unique(_ input: Value, _ arguments: CallArguments) throws(TemplateError) -> Value {
        let values = try arguments.bound(["case_sensitive", "attribute"], "unique", self)
        let path = try values[1].map { (value) throws(TemplateError) in try attributePath(value) } ?? []
        var seen: [Value] = []
        var kept: [Value] = []
        for element in try elements(of: input) {
            let key = try hashable(sortKey(try follow(path, from: element), values[0]?.isTrue ?? false))
            for _ in 0...seen.count / 64 { try tick() }
            if seen.contains(where: { $0.equals(key) }) { continue }
            seen.append(key)
            kept.append(element)
        }
        return .iterator(ValueIterator(kept))
    }

    private func extreme(_ name: String, _ input: Value, _ arguments: CallArguments) throws(TemplateError) -> Value {
        let values = try arguments.bound(["case_sensitive", "attribute"], name, self)
        let path = try values[1].map { (value) throws(TemplateError) in try attributePath(value) } ?? []
        let elements = try elements(of: input)
        var keys: [Value] = []
        for element in elements { keys.append(sortKey(try follow(path, from: element), values[0]?.isTrue ?? false)) }
        // Of equal ones the first counts, for both.
        guard let place = try order(keys, isReversed: name == "max").first else {
            return .undefined("no aggregated item, the sequence was empty")
        }
        return elements[place]
    }

    private func sum(_ input: Value, _ arguments: CallArguments) throws(TemplateError) -> Value {
        let values = try arguments.bound(["attribute", "start"], "sum", self)
        var path: [Value] = []
        if let attribute = values[0], case .none = attribute {
        } else if let attribute = values[0] {
            path = try attributePath(attribute)
        }
        var total = values[1] ?? .integer(0)
        for element in try elements(of: input) { total = try combine(.plus, total, try follow(path, from: element)) }
        return total
    }

    // MARK: Choice

    /// The parts of `a.b.0`: names, and integers where they are digits.
    private func attributePath(_ value: Value) throws(TemplateError) -> [Value] {
        switch value {
        case .none: return []
        case .text(let text):
            return text.split(at: MarkedText(template: ".")).map { part in
                let isNumber = !part.isEmpty && part.utf8.allSatisfy { (0x30...0x39).contains($0) }
                return (isNumber ? Int(part.text) : nil).map(Value.integer) ?? .text(part)
            }
        default: return [.integer(try integerArgument(value, "an attribute"))]
        }
    }

    private func follow(_ path: [Value], from start: Value) throws(TemplateError) -> Value {
        var value = start
        for part in path { value = try item(part, of: value) }
        return value
    }

    private func map(_ input: Value, _ arguments: CallArguments) throws(TemplateError) -> Value {
        var results: [Value] = []
        guard input.isTrue else { return .iterator(ValueIterator([])) }
        if arguments.positional.isEmpty, let attribute = arguments.named.first(where: { $0.name == "attribute" }) {
            let values = try arguments.bound(["attribute", "default"], "map", self)
            let path = try attributePath(attribute.value)
            for element in try elements(of: input) {
                try tick()
                var value = element
                for part in path {
                    value = try item(part, of: value)
                    if case .undefined = value, let fallback = values[1] { value = fallback }
                }
                results.append(value)
            }
        } else {
            guard let first = arguments.positional.first else { throw failure("map needs a filter's name") }
            let name = try textArgument(first, "map").text
            let rest = CallArguments(positional: Array(arguments.positional.dropFirst()), named: arguments.named)
            for element in try elements(of: input) {
                try tick()
                results.append(try nested { () throws(TemplateError) in try filter(name, element, rest) })
            }
        }
        return try bounded(.iterator(ValueIterator(results)))
    }

    private func selected(_ name: String, _ input: Value, _ arguments: CallArguments) throws(TemplateError) -> Value {
        guard input.isTrue else { return .iterator(ValueIterator([])) }
        var rest = arguments.positional[...]
        var path: [Value] = []
        if name.hasSuffix("attr") {
            guard let attribute = rest.popFirst() else { throw failure("\(name) needs an attribute's name") }
            path = try attributePath(attribute)
        }
        let testName = try rest.popFirst().map { (value) throws(TemplateError) in try textArgument(value, name).text }
        let testArguments = CallArguments(positional: Array(rest), named: arguments.named)
        let wanted = name.hasPrefix("select")
        var kept: [Value] = []
        for element in try elements(of: input) {
            try tick()
            let value = try follow(path, from: element)
            let holds = try testName.map { (test) throws(TemplateError) in try self.test(test, value, testArguments) }
            if (holds ?? value.isTrue) == wanted { kept.append(element) }
        }
        return .iterator(ValueIterator(kept))
    }
}
