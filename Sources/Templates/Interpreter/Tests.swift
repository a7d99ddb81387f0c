extension Interpreter {
    /// Whether `value is name(arguments)`.
    func test(_ name: String, _ value: Value, _ arguments: CallArguments) throws(TemplateError) -> Bool {
        if let result = try comparison(name, value, arguments) { return result }
        _ = try arguments.bound([], "the test `\(name)`", self)
        switch (name, value) {
        case ("undefined", .undefined): return true
        case ("undefined", _): return false
        case ("defined", .undefined): return false
        case ("defined", _): return true
        case ("none", .none), ("string", .text), ("string", .open), ("mapping", .dict), ("boolean", .bool): return true
        case ("none", _), ("string", _), ("mapping", _), ("boolean", _): return false
        case ("true", .bool(let flag)): return flag
        case ("false", .bool(let flag)): return !flag
        case ("true", _), ("false", _): return false
        case ("integer", .integer), ("integer", .bigInteger), ("float", .float): return true
        case ("integer", _), ("float", _): return false
        case ("number", _): return value.floatValue != nil
        // Jinja's undefined has a call that fails, which is a call.
        case ("callable", .macro), ("callable", .function), ("callable", .method), ("callable", .undefined): return true
        case ("callable", _): return false
        case ("iterable", _): return isIterable(value)
        case ("sequence", _): return isSequence(value)
        case ("even", _), ("odd", _):
            return try combine(.modulo, value, .integer(2)).equals(.integer(name == "even" ? 0 : 1))
        case ("lower", _): return isCased(value.shown, upper: false)
        case ("upper", _): return isCased(value.shown, upper: true)
        default: throw .unsupported(line: line, construct: "the test `\(name)`")
        }
    }

    /// Tests that compare with an argument; nil for other tests.
    private func comparison(_ name: String, _ value: Value, _ arguments: CallArguments) throws(TemplateError) -> Bool? {
        let comparison: Expression.Comparison
        switch name {
        case "eq", "equalto", "==": comparison = .equal
        case "ne", "!=": comparison = .notEqual
        case "lt", "lessthan", "<": comparison = .less
        case "le", "<=": comparison = .lessEqual
        case "gt", "greaterthan", ">": comparison = .greater
        case "ge", ">=": comparison = .greaterEqual
        case "in": comparison = .isIn
        case "sameas":
            return isSame(value, try other(name, arguments))
        case "divisibleby":
            return try combine(.modulo, value, try other(name, arguments)).equals(.integer(0))
        default: return nil
        }
        return try holds(comparison, value, try other(name, arguments))
    }

    private func other(_ name: String, _ arguments: CallArguments) throws(TemplateError) -> Value {
        guard let other = try arguments.bound(["other"], "the test `\(name)`", self)[0] else {
            throw failure("the test `\(name)` needs an argument")
        }
        return other
    }

    /// Python's `is`, as far as it can be relied on: constants and small integers of one type.
    private func isSame(_ left: Value, _ right: Value) -> Bool {
        switch (left, right) {
        case (.none, .none): true
        case (.bool(let a), .bool(let b)): a == b
        case (.integer(let a), .integer(let b)): a == b
        case (.namespace(let a), .namespace(let b)): a === b
        default: false
        }
    }

    private func isIterable(_ value: Value) -> Bool {
        switch value {
        case .undefined, .text, .open, .list, .tuple, .dict, .iterator, .loop: true
        default: false
        }
    }

    private func isSequence(_ value: Value) -> Bool {
        switch value {
        case .undefined, .text, .open, .list, .tuple, .dict: true
        default: false
        }
    }

    private func isCased(_ text: MarkedText, upper: Bool) -> Bool {
        let cased = text.scalars.map(\.scalar).filter { $0.properties.isUppercase || $0.properties.isLowercase }
        return !cased.isEmpty && cased.allSatisfy { $0.properties.isUppercase == upper }
    }
}
