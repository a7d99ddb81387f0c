/// Evaluated arguments of a call, filter or test.
struct CallArguments {
    var positional: [Value] = []
    var named: [(name: String, value: Value)] = []

    /// Arguments by parameter, nil where the call gives none.
    ///
    /// - Throws: an error of `interpreter` for arguments that no parameter takes.
    func bound(_ parameters: [String], _ what: String, _ interpreter: Interpreter) throws(TemplateError) -> [Value?] {
        guard positional.count <= parameters.count else {
            throw interpreter.failure("\(what) takes at most \(parameters.count) arguments, not \(positional.count)")
        }
        var values: [Value?] = positional + [Value?](repeating: nil, count: parameters.count - positional.count)
        for (name, value) in named {
            guard let place = parameters.firstIndex(of: name), values[place] == nil else {
                throw interpreter.failure("\(what) can't take the argument `\(name)`")
            }
            values[place] = value
        }
        return values
    }
}

extension Interpreter {
    /// A text argument.
    func textArgument(_ value: Value, _ what: String) throws(TemplateError) -> MarkedText {
        guard case .text(let text) = value else {
            try requireDefined(value)
            throw failure("\(what) needs a text, not \(value.typeName)")
        }
        return text
    }

    /// An integer argument.
    func integerArgument(_ value: Value, _ what: String) throws(TemplateError) -> Int {
        guard let integer = value.integerValue else {
            try requireDefined(value)
            throw failure("\(what) needs an integer, not \(value.typeName)")
        }
        return integer
    }
}
