/// Reads tokens into statements: recursive descent for statements, binding powers for expressions.
struct Parser {
    private let tokens: [Token]
    private var at = 0
    /// Names met so far; a name's place is its symbol.
    private(set) var names: [String]
    private var symbols: [String: Symbol] = [:]
    private var depth = 0
    private var loops = 0

    /// Blocks and expressions nested deeper than this are refused, which bounds the stack.
    static let depthLimit = 60
    /// A chain like `a + b + c` is as high as it is long.
    static let heightLimit = 150

    /// - Parameter names: names that get the first symbols, in order.
    init(_ tokens: [Token], names: [String]) {
        self.tokens = tokens
        self.names = []
        for name in names { _ = symbol(name) }
    }

    mutating func template() throws(TemplateError) -> [Statement] {
        let (body, end) = try statements(until: [])
        precondition(end == nil, "only a named end stops before the template does")
        return body
    }

    // MARK: Tokens

    var current: Token { tokens[at] }
    var next: Token { tokens[min(at + 1, tokens.count - 1)] }

    mutating func advance() { at = min(at + 1, tokens.count - 1) }

    func failure(_ problem: String) -> TemplateError { .syntax(line: current.line, problem: problem) }

    func isName(_ word: String) -> Bool { current.kind == .name(word) }

    /// Takes the token when it is this one.
    mutating func take(_ kind: Token.Kind) -> Bool {
        guard current.kind == kind else { return false }
        advance()
        return true
    }
    mutating func take(_ symbol: Token.Symbol) -> Bool { take(.symbol(symbol)) }
    mutating func take(word: String) -> Bool { take(.name(word)) }

    mutating func expect(_ kind: Token.Kind) throws(TemplateError) {
        guard take(kind) else {
            throw failure("expected \(Token(kind: kind, line: 0).description), found \(current.description)")
        }
    }
    mutating func expect(_ symbol: Token.Symbol) throws(TemplateError) { try expect(.symbol(symbol)) }

    mutating func expectName() throws(TemplateError) -> String {
        guard case .name(let name) = current.kind else {
            throw failure("expected a name, found \(current.description)")
        }
        advance()
        return name
    }

    mutating func symbol(_ name: String) -> Symbol {
        if let known = symbols[name] { return known }
        names.append(name)
        symbols[name] = names.count - 1
        return names.count - 1
    }

    /// Counts one level of nesting while `body` reads it.
    mutating func nested<Result>(
        _ body: (inout Parser) throws(TemplateError) -> Result
    ) throws(TemplateError) -> Result {
        depth += 1
        defer { depth -= 1 }
        guard depth <= Self.depthLimit else { throw .tooDeep(limit: Self.depthLimit) }
        return try body(&self)
    }

    func checkHeight(_ expression: Expression) throws(TemplateError) {
        guard expression.height <= Self.heightLimit else { throw .tooDeep(limit: Self.heightLimit) }
    }

    // MARK: Statements

    /// Statements up to a tag that one of `ends` names (its `{%` and name taken), or to the end of the template.
    mutating func statements(until ends: [String]) throws(TemplateError) -> (body: [Statement], end: String?) {
        var body: [Statement] = []
        while true {
            let line = current.line
            switch current.kind {
            case .data(let text):
                advance()
                body.append(Statement(line: line, kind: .text(MarkedText(template: text))))
            case .variableBegin:
                advance()
                let value = try tupleExpression()
                try expect(.variableEnd)
                body.append(Statement(line: line, kind: .output(value)))
            case .blockBegin:
                advance()
                let name = try expectName()
                if ends.contains(name) { return (body, name) }
                let kind = try nested { (parser) throws(TemplateError) in try parser.statement(name, line: line) }
                try expect(.blockEnd)
                body.append(Statement(line: line, kind: kind))
            case .end:
                guard ends.isEmpty else {
                    throw failure("the template ends where `\(ends.joined(separator: "`, `"))` is awaited")
                }
                return (body, nil)
            default: throw failure("unexpected \(current.description)")
            }
        }
    }

    /// The rest of a tag's opening, and what stands up to the tag that ends it.
    mutating func block(until ends: [String]) throws(TemplateError) -> (body: [Statement], end: String) {
        _ = take(.colon)
        try expect(.blockEnd)
        let (body, end) = try statements(until: ends)
        guard let end else { throw failure("the block has no end") }
        return (body, end)
    }

    private mutating func statement(_ name: String, line: Int) throws(TemplateError) -> Statement.Kind {
        switch name {
        case "if": return try branch()
        case "for": return try loop()
        case "set": return try set()
        case "macro": return try macro()
        case "generation": return .generation(try block(until: ["endgeneration"]).body)
        case "filter":
            let filter = try filters(of: nil, startsInline: true)
            return .filter(filter, body: try block(until: ["endfilter"]).body)
        case "break", "continue":
            guard loops > 0 else { throw failure("`\(name)` outside a loop") }
            return name == "break" ? .exit : .skip
        case "extends", "block", "include", "import", "from", "call", "with", "autoescape", "do", "print", "trans":
            throw .unsupported(line: line, construct: "the tag `\(name)`")
        default: throw failure("unexpected tag `\(name)`")
        }
    }

    private mutating func branch() throws(TemplateError) -> Statement.Kind {
        var branches: [(condition: Expression, body: [Statement])] = []
        while true {
            let condition = try tupleExpression(allowsConditional: false)
            let (body, end) = try block(until: ["elif", "else", "endif"])
            branches.append((condition, body))
            switch end {
            case "elif": continue
            case "else": return .branch(branches, otherwise: try block(until: ["endif"]).body)
            default: return .branch(branches, otherwise: [])
            }
        }
    }

    private mutating func loop() throws(TemplateError) -> Statement.Kind {
        let target = try self.target(allowsAttribute: false)
        if case .name(let symbol) = target, names[symbol] == "loop" {
            throw failure("can't assign to `loop` in a loop")
        }
        guard take(word: "in") else { throw failure("expected `in`, found \(current.description)") }
        let sequence = try tupleExpression(allowsConditional: false)
        let condition = take(word: "if") ? try expression() : nil
        if isName("recursive") { throw .unsupported(line: current.line, construct: "a recursive loop") }
        loops += 1
        let (body, end) = try block(until: ["endfor", "else"])
        loops -= 1
        let otherwise = end == "else" ? try block(until: ["endfor"]).body : []
        return .loop(Loop(target: target, sequence: sequence, condition: condition, body: body, otherwise: otherwise))
    }

    private mutating func set() throws(TemplateError) -> Statement.Kind {
        let target = try self.target(allowsAttribute: true)
        if take(.assign) { return .set(target, try tupleExpression()) }
        let filter = current.kind == .symbol(.pipe) ? try filters(of: nil, startsInline: false) : nil
        return .capture(target, filter: filter, body: try block(until: ["endset"]).body)
    }

    private mutating func target(allowsAttribute: Bool) throws(TemplateError) -> Target {
        var targets: [Target] = []
        var isTuple = false
        while true {
            if take(.leftParenthesis) {
                targets.append(
                    try nested { (parser) throws(TemplateError) in
                        try parser.target(allowsAttribute: allowsAttribute)
                    })
                try expect(.rightParenthesis)
            } else {
                let line = current.line
                let name = try expectName()
                guard !["true", "false", "none", "True", "False", "None"].contains(name) else {
                    throw .syntax(line: line, problem: "can't assign to `\(name)`")
                }
                let symbol = symbol(name)
                targets.append(allowsAttribute && take(.dot) ? .attribute(of: symbol, try expectName()) : .name(symbol))
            }
            guard take(.comma) else { break }
            isTuple = true
            guard case .name(let word) = current.kind, word != "in" else { break }
        }
        return isTuple ? .tuple(targets) : targets[0]
    }

    private mutating func macro() throws(TemplateError) -> Statement.Kind {
        let name = try expectName()
        let symbol = symbol(name)
        var parameters: [(name: String, symbol: Symbol, fallback: Expression?)] = []
        try expect(.leftParenthesis)
        while !take(.rightParenthesis) {
            if !parameters.isEmpty { try expect(.comma) }
            let parameter = try expectName()
            let fallback = take(.assign) ? try expression() : nil
            if fallback == nil, parameters.last?.fallback != nil {
                throw failure("the parameter `\(parameter)` without a default follows one that has one")
            }
            parameters.append((parameter, self.symbol(parameter), fallback))
        }
        // A loop around a macro is none of the macro's.
        let outer = loops
        loops = 0
        defer { loops = outer }
        let body = try block(until: ["endmacro"]).body
        return .macro(MacroDefinition(name: name, symbol: symbol, parameters: parameters, body: body))
    }
}
