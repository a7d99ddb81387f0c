extension Interpreter {
    /// Calls a value.
    func call(_ callee: Value, _ arguments: CallArguments) throws(TemplateError) -> Value {
        switch callee {
        case .macro(let macro): return try call(macro, arguments)
        case .function(let function): return try call(function, arguments)
        case .method(let method): return try call(method, arguments)
        case .undefined(let what): throw failure(what)
        default: throw failure("a \(callee.typeName) can't be called")
        }
    }

    private func call(_ macro: Macro, _ arguments: CallArguments) throws(TemplateError) -> Value {
        let definition = macro.definition
        let values = try arguments.bound(definition.parameters.map(\.name), "the macro `\(definition.name)`", self)
        let scope = Scope(parent: macro.scope)
        for (parameter, value) in zip(definition.parameters, values) {
            if let value {
                scope.set(parameter.symbol, value)
            } else if let fallback = parameter.fallback {
                scope.set(parameter.symbol, try evaluate(fallback, scope))
            } else {
                scope.set(parameter.symbol, .undefined("parameter '\(parameter.name)' was not provided"))
            }
        }
        let written = try captured { () throws(TemplateError) in
            try nested { () throws(TemplateError) in _ = try execute(definition.body, scope) }
        }
        return value(of: written)
    }

    private func call(_ function: GlobalFunction, _ arguments: CallArguments) throws(TemplateError) -> Value {
        switch function {
        case .range: return try range(arguments)
        case .namespace:
            let namespace = try makeNamespace()
            for (name, value) in try members(arguments, "namespace") {
                guard !name.hasPrefix("_") else { throw failure("a namespace has no members that start with `_`") }
                namespace[name] = value
            }
            return .namespace(namespace)
        case .dict:
            let members = try members(arguments, "dict")
            return try bounded(.dict(ValueDict(members.map { (.template($0.name), $0.value) })))
        case .raiseException:
            let message = try arguments.bound(["message"], "raise_exception", self)[0]
            throw .raised(message?.shown.text ?? "")
        case .strftimeNow:
            let format = try arguments.bound(["format"], "strftime_now", self)[0]
            guard let format else { throw failure("strftime_now needs a format") }
            return try text(try strftime(try textArgument(format, "strftime_now")))
        }
    }

    private func strftime(_ format: MarkedText) throws(TemplateError) -> MarkedText {
        guard let text = date.formatted(format.text) else {
            throw .unsupported(line: line, construct: "the date format `\(format.text.prefix(40))`")
        }
        return MarkedText(utf8: Array(text.utf8), isData: format.hasData)
    }

    /// Members given as a dict or as named arguments.
    private func members(
        _ arguments: CallArguments, _ what: String
    ) throws(TemplateError) -> [(name: String, value: Value)] {
        var members: [(name: String, value: Value)] = []
        guard arguments.positional.count <= 1 else { throw failure("\(what) takes one dict and named arguments") }
        if let first = arguments.positional.first {
            guard case .dict(let dict) = first else { throw failure("\(what) needs a dict, not \(first.typeName)") }
            for entry in dict.entries { members.append((try textArgument(entry.key, what).text, entry.value)) }
        }
        return members + arguments.named
    }

    private func range(_ arguments: CallArguments) throws(TemplateError) -> Value {
        guard arguments.named.isEmpty, (1...3).contains(arguments.positional.count) else {
            throw failure("range takes one to three integers")
        }
        var bounds: [Int] = []
        for value in arguments.positional { bounds.append(try integerArgument(value, "range")) }
        let (from, to) = bounds.count == 1 ? (0, bounds[0]) : (bounds[0], bounds[1])
        let step = bounds.count == 3 ? bounds[2] : 1
        guard step != 0 else { throw failure("range's step can't be zero") }
        // The sandbox of Jinja has the same limit.
        let (distance, overflow) =
            step > 0
            ? to.subtractingReportingOverflow(from) : from.subtractingReportingOverflow(to)
        guard !overflow, distance <= 0 || UInt(distance - 1) / step.magnitude < 100_000 else {
            throw failure("range is too long; the limit is 100000")
        }
        return try list(stride(from: from, to: to, by: step).map(Value.integer))
    }

    private func call(_ method: BoundMethod, _ arguments: CallArguments) throws(TemplateError) -> Value {
        switch method.receiver {
        case .open(let text, let log): return try call(method.name, ofOpen: text, log, arguments)
        case .text(let text):
            guard let name = StringMethod(rawValue: method.name) else { throw failure("a str has no `\(method.name)`") }
            return try call(name, of: text, arguments)
        case .dict(let dict): return try call(method.name, of: dict, arguments)
        case .list(let list), .tuple(let list): return try call(method.name, of: list, arguments)
        case .loop(let loop): return try call(method.name, of: loop, arguments)
        default: throw failure("a \(method.receiver.typeName) has no methods")
        }
    }

    private func call(_ name: String, of dict: ValueDict, _ arguments: CallArguments) throws(TemplateError) -> Value {
        if name == "get" {
            let values = try arguments.bound(["key", "default"], "get", self)
            guard arguments.named.isEmpty, let key = values[0] else { throw failure("get needs a key") }
            return dict.value(try hashable(key)) ?? values[1] ?? .none
        }
        _ = try arguments.bound([], name, self)
        switch name {
        case "items": return try list(dict.entries.map { .tuple([$0.key, $0.value]) })
        case "keys": return try list(dict.entries.map(\.key))
        case "values": return try list(dict.entries.map(\.value))
        default: return .dict(dict)
        }
    }

    private func call(_ name: String, of list: ValueList, _ arguments: CallArguments) throws(TemplateError) -> Value {
        if name == "copy" {
            _ = try arguments.bound([], name, self)
            return .list(list)
        }
        guard let item = try arguments.bound(["value"], name, self)[0] else { throw failure("\(name) needs a value") }
        if name == "count" { return .integer(list.elements.filter { $0.equals(item) }.count) }
        guard let place = list.elements.firstIndex(where: { $0.equals(item) }) else {
            throw failure("the value is not in the list")
        }
        return .integer(place)
    }

    private func call(_ name: String, of loop: LoopState, _ arguments: CallArguments) throws(TemplateError) -> Value {
        guard arguments.named.isEmpty else { throw failure("loop.\(name) takes no named arguments") }
        if name == "cycle" {
            guard !arguments.positional.isEmpty else { throw failure("loop.cycle needs values") }
            return arguments.positional[loop.index % arguments.positional.count]
        }
        let isSame = loop.last.map { last in
            last.count == arguments.positional.count && zip(last, arguments.positional).allSatisfy { $0.equals($1) }
        }
        loop.last = arguments.positional
        return .bool(isSame != true)
    }
}
