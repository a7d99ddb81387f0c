extension Interpreter {
    /// The value of an expression; `piped` is what a filter without an operand works on.
    func evaluate(_ expression: Expression, _ scope: Scope, piped: Value? = nil) throws(TemplateError) -> Value {
        try tick()
        line = expression.line
        switch expression.kind {
        case .string(let text): return .text(text)
        case .integer(let value): return .integer(value)
        case .float(let value): return .float(value)
        case .bool(let value): return .bool(value)
        case .none: return .none
        case .name(let symbol): return scope.lookUp(symbol) ?? .undefined("'\(names[symbol])' is undefined")
        default: return try nested { () throws(TemplateError) in try compound(expression.kind, scope, piped) }
        }
    }

    private func compound(
        _ kind: Expression.Kind, _ scope: Scope, _ piped: Value?
    ) throws(TemplateError) -> Value {
        switch kind {
        case .list(let elements): return try list(try values(elements, scope))
        case .tuple(let elements): return try bounded(.tuple(try values(elements, scope)))
        case .dict(let members): return try dict(members, scope)
        case .attribute(let owner, let name): return try attribute(name, of: try evaluate(owner, scope))
        case .item(let owner, let index):
            let owner = try evaluate(owner, scope)
            return try item(try evaluate(index, scope), of: owner)
        case .slice(let owner, let from, let to, let step): return try slice(owner, from, to, step, scope)
        case .call(let callee, let arguments):
            let callee = try evaluate(callee, scope)
            return try call(callee, try values(arguments, scope))
        case .filter(let operand, let name, let arguments):
            var input = piped ?? .undefined("nothing to filter")
            if let operand { input = try evaluate(operand, scope, piped: piped) }
            return try filter(name, input, try values(arguments, scope))
        case .test(let operand, let name, let arguments):
            let value = try evaluate(operand, scope)
            return .bool(try test(name, value, try values(arguments, scope)))
        default: return try operation(kind, scope)
        }
    }

    private func operation(_ kind: Expression.Kind, _ scope: Scope) throws(TemplateError) -> Value {
        switch kind {
        case .not(let operand): return .bool(!(try evaluate(operand, scope).isTrue))
        case .and(let left, let right):
            let value = try evaluate(left, scope)
            return value.isTrue ? try evaluate(right, scope) : value
        case .or(let left, let right):
            let value = try evaluate(left, scope)
            return value.isTrue ? value : try evaluate(right, scope)
        case .conditional(let condition, let then, let otherwise):
            if try evaluate(condition, scope).isTrue { return try evaluate(then, scope) }
            guard let otherwise else {
                return .undefined("the inline if-expression evaluated to false and no else section was defined")
            }
            return try evaluate(otherwise, scope)
        case .negate(let operand): return try negated(try evaluate(operand, scope))
        case .plus(let operand): return try positive(try evaluate(operand, scope))
        case .binary(let symbol, let left, let right):
            let left = try evaluate(left, scope)
            return try combine(symbol, left, try evaluate(right, scope))
        case .concat(let parts):
            var sum = MarkedText()
            for part in parts { sum.append(try evaluate(part, scope).written) }
            try charge(sum.count)
            return value(of: sum)
        case .compare(let first, let rest): return .bool(try compare(first, rest, scope))
        default: preconditionFailure("plain and compound expressions are evaluated elsewhere")
        }
    }

    private func values(_ expressions: [Expression], _ scope: Scope) throws(TemplateError) -> [Value] {
        var values: [Value] = []
        values.reserveCapacity(expressions.count)
        for expression in expressions { values.append(try evaluate(expression, scope)) }
        return values
    }

    private func values(_ arguments: Expression.Arguments, _ scope: Scope) throws(TemplateError) -> CallArguments {
        var named: [(name: String, value: Value)] = []
        let positional = try values(arguments.positional, scope)
        for (name, value) in arguments.named {
            guard !named.contains(where: { $0.name == name }) else {
                throw failure("the argument `\(name)` stands twice")
            }
            named.append((name, try evaluate(value, scope)))
        }
        return CallArguments(positional: positional, named: named)
    }

    private func dict(
        _ members: [(key: Expression, value: Expression)], _ scope: Scope
    ) throws(TemplateError) -> Value {
        var dict = ValueDict()
        for (key, value) in members {
            let key = try evaluate(key, scope)
            dict.insert(try hashable(key), try evaluate(value, scope))
        }
        return try bounded(.dict(dict))
    }

    /// A value that may be a dict's key.
    func hashable(_ key: Value) throws(TemplateError) -> Value {
        switch key {
        case .list, .dict, .open: throw failure("unhashable type: '\(key.typeName)'")
        default: return key
        }
    }

    private func compare(
        _ first: Expression, _ rest: [(Expression.Comparison, Expression)], _ scope: Scope
    ) throws(TemplateError) -> Bool {
        var left = try evaluate(first, scope)
        for (comparison, operand) in rest {
            let right = try evaluate(operand, scope)
            guard try holds(comparison, left, right) else { return false }
            left = right
        }
        return true
    }

    func holds(_ comparison: Expression.Comparison, _ left: Value, _ right: Value) throws(TemplateError) -> Bool {
        switch comparison {
        case .equal: return left.equals(right)
        case .notEqual: return !left.equals(right)
        case .less: return try isLess(left, right, "<")
        case .greater: return try isLess(right, left, ">")
        case .lessEqual: return try isLess(left, right, "<=") || left.equals(right)
        case .greaterEqual: return try isLess(right, left, ">=") || left.equals(right)
        case .isIn: return try contains(right, left)
        case .isNotIn: return !(try contains(right, left))
        }
    }

    private func isLess(_ left: Value, _ right: Value, _ sign: String) throws(TemplateError) -> Bool {
        try requireDefined(left)
        try requireDefined(right)
        guard let less = left.isLess(than: right) else {
            throw failure("'\(sign)' is not supported between \(left.typeName) and \(right.typeName)")
        }
        return less
    }

    func requireDefined(_ value: Value) throws(TemplateError) {
        if case .undefined(let what) = value { throw failure(what) }
    }

    /// Python's `item in container`.
    func contains(_ container: Value, _ item: Value) throws(TemplateError) -> Bool {
        switch container {
        case .text(let text):
            guard case .text(let needle) = item else {
                try requireDefined(item)
                throw failure("'in' on a text needs a text, not \(item.typeName)")
            }
            return text.find(needle) != nil
        case .open(let text, let log): return try openContains(text, log, item)
        case .dict(let dict): return dict.value(try hashable(item)) != nil
        default: return try elements(of: container).contains { $0.equals(item) }
        }
    }

    /// What a loop over the value meets.
    func elements(of value: Value) throws(TemplateError) -> [Value] {
        switch value {
        case .undefined: return []
        case .list(let list), .tuple(let list): return list.elements
        case .dict(let dict): return dict.entries.map(\.key)
        case .iterator(let iterator): return iterator.takeAll()
        case .text(let text):
            try charge(text.count * MemoryLayout<Value>.size)
            return text.characters.map(Value.text)
        default: throw failure("a \(value.typeName) can't be iterated")
        }
    }
}
