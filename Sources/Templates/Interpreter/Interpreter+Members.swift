extension Interpreter {
    /// `value.name`: Python's attributes first, then a dict's members, as Jinja looks them up.
    func attribute(_ name: String, of value: Value) throws(TemplateError) -> Value {
        try requireDefined(value)
        if let member = member(name, of: value) { return member }
        if case .dict(let dict) = value, let item = dict.value(name), !name.hasPrefix("__") { return item }
        return .undefined("'\(value.typeName) object' has no attribute '\(name)'")
    }

    /// `value[index]`: a container's elements first, then Python's attributes.
    func item(_ index: Value, of value: Value) throws(TemplateError) -> Value {
        try requireDefined(value)
        if case .open = value { throw failure("the text is open") }
        if case .open = index { throw failure("the text is open") }
        switch value {
        case .dict(let dict): if let item = dict.value(index) { return item }
        case .list(let list), .tuple(let list):
            if let place = index.integerValue {
                let count = list.elements.count
                if place >= -count, place < count { return list.elements[place < 0 ? place + count : place] }
            }
        case .text(let text):
            if let place = index.integerValue, let character = text.character(at: place) { return .text(character) }
        default: break
        }
        if case .text(let name) = index, let member = member(name.text, of: value) { return member }
        return .undefined("'\(value.typeName) object' has no element \(index.shown.text)")
    }

    /// A Python attribute; nil when the type has none of that name or a template may not use it.
    private func member(_ name: String, of value: Value) -> Value? {
        switch value {
        case .namespace(let namespace): return namespace[name]
        case .loop(let state): return member(name, of: state, value)
        case .text, .open: return StringMethod(rawValue: name) == nil ? nil : .method(BoundMethod(value, name))
        // Those that change a value are not to be had in the sandbox that transformers renders in.
        case .dict:
            return ["get", "items", "keys", "values", "copy"].contains(name) ? .method(BoundMethod(value, name)) : nil
        case .list: return ["index", "count", "copy"].contains(name) ? .method(BoundMethod(value, name)) : nil
        case .tuple: return ["index", "count"].contains(name) ? .method(BoundMethod(value, name)) : nil
        default: return nil
        }
    }

    private func member(_ name: String, of loop: LoopState, _ value: Value) -> Value? {
        let count = loop.elements.count
        switch name {
        case "index": return .integer(loop.index + 1)
        case "index0": return .integer(loop.index)
        case "revindex": return .integer(count - loop.index)
        case "revindex0": return .integer(count - loop.index - 1)
        case "first": return .bool(loop.index == 0)
        case "last": return .bool(loop.index == count - 1)
        case "length": return .integer(count)
        case "depth": return .integer(1)
        case "depth0": return .integer(0)
        case "previtem": return loop.index > 0 ? loop.elements[loop.index - 1] : .undefined("there is no previous item")
        case "nextitem":
            return loop.index + 1 < count ? loop.elements[loop.index + 1] : .undefined("there is no next item")
        case "cycle", "changed": return .method(BoundMethod(value, name))
        default: return nil
        }
    }

    func slice(
        _ owner: Expression, _ from: Expression?, _ to: Expression?, _ step: Expression?, _ scope: Scope
    ) throws(TemplateError) -> Value {
        let value = try evaluate(owner, scope)
        try requireDefined(value)
        let from = try bound(from, scope)
        let to = try bound(to, scope)
        let step = try bound(step, scope) ?? 1
        guard step != 0 else { throw failure("a slice's step can't be zero") }
        switch value {
        case .text(let source): return try text(source.sliced(from: from, to: to, step: step))
        case .list(let list): return try self.list(Self.slice(list.elements, from, to, step))
        case .tuple(let list): return try bounded(.tuple(Self.slice(list.elements, from, to, step)))
        default: throw failure("a \(value.typeName) has no slices")
        }
    }

    private func bound(_ expression: Expression?, _ scope: Scope) throws(TemplateError) -> Int? {
        guard let expression else { return nil }
        let value = try evaluate(expression, scope)
        if case .none = value { return nil }
        try requireDefined(value)
        guard let index = value.integerValue else {
            throw failure("a slice's bounds are integers, not \(value.typeName)")
        }
        return index
    }

    private static func slice(_ elements: [Value], _ from: Int?, _ to: Int?, _ step: Int) -> [Value] {
        SliceBounds(from: from, to: to, step: step, count: elements.count).indices.map { elements[$0] }
    }
}
