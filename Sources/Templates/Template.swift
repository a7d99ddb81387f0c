package import Terms

/// A chat template in Jinja's language, read once and rendered many times.
///
/// The language is the subset that chat templates use, with the settings of Hugging Face transformers: `trim_blocks`,
/// `lstrip_blocks`, immutable sandbox, loop controls, `{% generation %}`, `tojson` without HTML escapes. Rendering is a
/// pure function of its arguments. Differences from Jinja: no inheritance, includes, imports, `call` or `with`;
/// `safe` marks nothing, because nothing is escaped.
package struct Template: Sendable {
    private let body: [Statement]
    private let names: [String]
    /// Whether the text holds a `{% generation %}` block.
    package let hasGenerations: Bool

    static let loopSymbol: Symbol = 0

    /// Reads a template's text.
    package init(_ source: String) throws(TemplateError) {
        var parser = Parser(try Lexer.tokens(of: source), names: ["loop"])
        body = try parser.template()
        try NameCheck.check(body)
        names = parser.names
        hasGenerations = Self.containsGeneration(body)
    }

    /// Renders with variables; later ones of a name win.
    func render(
        _ variables: [(name: String, value: Value)], date: CalendarDate = .epoch, limits: RenderLimits = RenderLimits(),
        openTexts: OpenTextLog? = nil
    ) throws(TemplateError) -> Rendering {
        let interpreter = Interpreter(names: names, limits: limits, date: date, openTexts: openTexts)
        let globals = Scope(parent: nil)
        for function in GlobalFunction.allCases { set(function.rawValue, .function(function), in: globals) }
        for variable in variables { set(variable.name, variable.value, in: globals) }
        // Globals can be hidden by the template, but not changed for what comes after.
        return try interpreter.run(body, Scope(parent: globals))
    }

    /// Renders with JSON variables; all of them count as data, unless `areTrusted`.
    package func renderJSON(
        _ variables: JSONObject, areTrusted: Bool = false, date: CalendarDate = .epoch,
        limits: RenderLimits = RenderLimits()
    ) throws(TemplateError) -> Rendering {
        try render(variables.members.map { ($0.key, Value($0.value, isData: !areTrusted)) }, date: date, limits: limits)
    }

    private func set(_ name: String, _ value: Value, in scope: Scope) {
        // A name that the template never uses has no symbol and needs no place.
        guard let symbol = names.firstIndex(of: name) else { return }
        scope.set(symbol, value)
    }

    private static func containsGeneration(_ body: [Statement]) -> Bool {
        body.contains { statement in
            switch statement.kind {
            case .generation: true
            case .branch(let branches, let otherwise):
                branches.contains { containsGeneration($0.body) } || containsGeneration(otherwise)
            case .loop(let loop): containsGeneration(loop.body) || containsGeneration(loop.otherwise)
            case .capture(_, _, let body), .filter(_, let body): containsGeneration(body)
            case .macro(let definition): containsGeneration(definition.body)
            default: false
            }
        }
    }
}
