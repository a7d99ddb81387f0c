/// Refuses names of filters and tests that Jinja does not know, where Jinja does: as soon as a template is read. What
/// stands in an `if` or a conditional expression, and in no loop, macro or block inside that, may be unknown as long as
/// it is not reached.
enum NameCheck {
    static func check(_ body: [Statement], isSoft: Bool = false) throws(TemplateError) {
        for statement in body {
            switch statement.kind {
            case .text, .exit, .skip: break
            case .output(let value), .set(_, let value): try check(value, isSoft)
            case .branch(let branches, let otherwise):
                for (condition, body) in branches {
                    try check(condition, true)
                    try check(body, isSoft: true)
                }
                try check(otherwise, isSoft: true)
            case .loop(let loop):
                try check(loop.sequence, isSoft)
                if let condition = loop.condition { try check(condition, false) }
                try check(loop.body)
                try check(loop.otherwise)
            case .capture(_, let filter, let body):
                if let filter { try check(filter, false) }
                try check(body)
            case .filter(let filter, let body):
                try check(filter, false)
                try check(body)
            case .macro(let definition):
                for parameter in definition.parameters {
                    if let fallback = parameter.fallback { try check(fallback, false) }
                }
                try check(definition.body)
            case .generation(let body): try check(body)
            }
        }
    }

    private static func check(_ expression: Expression, _ isSoft: Bool) throws(TemplateError) {
        switch expression.kind {
        case .filter(_, let name, _) where !isSoft && !filters.contains(name):
            throw .syntax(line: expression.line, problem: "there is no filter named `\(name)`")
        case .test(_, let name, _) where !isSoft && !tests.contains(name):
            throw .syntax(line: expression.line, problem: "there is no test named `\(name)`")
        default: break
        }
        let isSoft = if case .conditional = expression.kind { true } else { isSoft }
        for operand in expression.kind.operands { try check(operand, isSoft) }
    }

    /// Jinja's own filters; what this interpreter does not have of them is refused where it is reached.
    private static let filters = words(
        """
        abs attr batch capitalize center count d default dictsort e escape filesizeformat first float forceescape format
        groupby indent int items join last length list lower map max min pprint random reject rejectattr replace reverse
        round safe select selectattr slice sort string striptags sum title tojson trim truncate unique upper urlencode
        urlize wordcount wordwrap xmlattr
        """)

    /// Jinja's own tests.
    private static let tests = words(
        """
        != < <= == > >= boolean callable defined divisibleby eq equalto escaped even false filter float ge greaterthan gt
        in integer iterable le lessthan lower lt mapping ne none number odd sameas sequence string test true undefined
        upper
        """)

    private static func words(_ text: String) -> Set<String> {
        Set(text.split(whereSeparator: \.isWhitespace).map(String.init))
    }
}
