extension Interpreter {
    /// How a run of statements ended.
    enum Flow { case normal, exit, skip }

    func execute(_ body: [Statement], _ scope: Scope) throws(TemplateError) -> Flow {
        for statement in body {
            let flow = try execute(statement, scope)
            if flow != .normal { return flow }
        }
        return .normal
    }

    private func execute(_ statement: Statement, _ scope: Scope) throws(TemplateError) -> Flow {
        try tick()
        line = statement.line
        switch statement.kind {
        case .text(let text): try write(text)
        case .output(let value): try write(try evaluate(value, scope).written)
        case .set(let target, let value): try assign(target, try evaluate(value, scope), scope)
        case .branch(let branches, let otherwise): return try branch(branches, otherwise, scope)
        case .loop(let loop): return try nested { () throws(TemplateError) in try run(loop, scope) }
        case .capture(let target, let filter, let body): try capture(target, filter, body, scope)
        case .filter(let filter, let body):
            let text = try capturedBlock(body, scope)
            try write(try evaluate(filter, scope, piped: value(of: text)).written)
        case .macro(let definition):
            remember(macroIn: scope)
            scope.set(definition.symbol, .macro(Macro(definition, scope: scope)))
        case .generation(let body):
            try generating { () throws(TemplateError) in
                try nested { () throws(TemplateError) in _ = try execute(body, Scope(parent: scope)) }
            }
        case .exit: return .exit
        case .skip: return .skip
        }
        return .normal
    }

    private func branch(
        _ branches: [(condition: Expression, body: [Statement])], _ otherwise: [Statement], _ scope: Scope
    ) throws(TemplateError) -> Flow {
        try nested { () throws(TemplateError) in
            for branch in branches where try evaluate(branch.condition, scope).isTrue {
                return try execute(branch.body, scope)
            }
            return try execute(otherwise, scope)
        }
    }

    private func capturedBlock(_ body: [Statement], _ scope: Scope) throws(TemplateError) -> MarkedText {
        try captured { () throws(TemplateError) in
            try nested { () throws(TemplateError) in _ = try execute(body, Scope(parent: scope)) }
        }
    }

    private func capture(
        _ target: Target, _ filter: Expression?, _ body: [Statement], _ scope: Scope
    ) throws(TemplateError) {
        let text = value(of: try capturedBlock(body, scope))
        guard let filter else { return try assign(target, text, scope) }
        try assign(target, try evaluate(filter, scope, piped: text), scope)
    }

    func assign(_ target: Target, _ value: Value, _ scope: Scope) throws(TemplateError) {
        switch target {
        case .name(let symbol): scope.set(symbol, value)
        case .attribute(let symbol, let name):
            guard case .namespace(let namespace) = scope.lookUp(symbol) else {
                throw failure("`\(names[symbol])` is no namespace, so its members can't be set")
            }
            guard !name.hasPrefix("_") else { throw failure("a namespace has no members that start with `_`") }
            namespace[name] = value
        case .tuple(let targets):
            let parts = try elements(of: value)
            guard parts.count == targets.count else {
                throw failure("\(parts.count) values can't be unpacked into \(targets.count) names")
            }
            for (target, part) in zip(targets, parts) { try assign(target, part, scope) }
        }
    }

    /// Each turn has a scope of its own, so what is set in one is gone in the next. What stands behind `else` is for loops
    /// of which no turn came to the end of the body: none was there, or each was left by `break` or `continue`.
    private func run(_ loop: Loop, _ scope: Scope) throws(TemplateError) -> Flow {
        var elements = try elements(of: try evaluate(loop.sequence, scope))
        if let condition = loop.condition { elements = try kept(elements, loop.target, condition, scope) }
        var isUntouched = true
        let state = LoopState(elements)
        for (index, element) in elements.enumerated() {
            try tick()
            state.index = index
            let turn = Scope(parent: scope)
            turn.set(Template.loopSymbol, .loop(state))
            try assign(loop.target, element, turn)
            let flow = try execute(loop.body, turn)
            if flow == .normal { isUntouched = false }
            if flow == .exit { break }
        }
        return isUntouched ? try execute(loop.otherwise, Scope(parent: scope)) : .normal
    }

    private func kept(
        _ elements: [Value], _ target: Target, _ condition: Expression, _ scope: Scope
    ) throws(TemplateError) -> [Value] {
        var kept: [Value] = []
        for element in elements {
            let test = Scope(parent: scope)
            try assign(target, element, test)
            if try evaluate(condition, test).isTrue { kept.append(element) }
        }
        return kept
    }
}
