extension Parser {
    /// Binding powers, weakest first; `not` stands between `and` and the comparisons.
    private enum Power: Int, Comparable {
        case or = 1
        case and, not, comparison, sum, concat, product, power

        static func < (left: Power, right: Power) -> Bool { left.rawValue < right.rawValue }
    }

    /// One or more expressions with commas between them: a tuple as soon as there is a comma.
    mutating func tupleExpression(
        allowsConditional: Bool = true, isParenthesised: Bool = false
    ) throws(TemplateError) -> Expression {
        let line = current.line
        var elements: [Expression] = []
        var isTuple = false
        while !endsTuple {
            elements.append(allowsConditional ? try expression() : try operation(.or))
            guard take(.comma) else { break }
            isTuple = true
        }
        if !isTuple, let only = elements.first { return only }
        guard isTuple || isParenthesised else { throw failure("expected an expression, found \(current.description)") }
        return Expression(.tuple(elements), line: line)
    }

    private var endsTuple: Bool {
        switch current.kind {
        case .variableEnd, .blockEnd, .symbol(.rightParenthesis): true
        default: false
        }
    }

    /// An expression with its conditional forms, `a if b else c`.
    mutating func expression() throws(TemplateError) -> Expression {
        try nested { (parser) throws(TemplateError) in
            let line = parser.current.line
            var value = try parser.operation(.or)
            while parser.take(word: "if") {
                try parser.checkHeight(value)
                let condition = try parser.operation(.or)
                let otherwise = parser.take(word: "else") ? try parser.expression() : nil
                value = Expression(.conditional(condition: condition, then: value, otherwise: otherwise), line: line)
            }
            return value
        }
    }

    /// Operators that bind at least as tightly as `minimum`.
    private mutating func operation(_ minimum: Power) throws(TemplateError) -> Expression {
        let line = current.line
        var left: Expression
        if minimum <= .not, take(word: "not") {
            let operand = try nested { (parser) throws(TemplateError) in try parser.operation(.not) }
            left = Expression(.not(operand), line: line)
        } else {
            left = try unary(takesFilters: true)
        }
        while let power = self.power, power >= minimum {
            try checkHeight(left)
            let line = current.line
            switch power {
            case .or:
                advance()
                left = Expression(.or(left, try operation(.and)), line: line)
            case .and:
                advance()
                left = Expression(.and(left, try operation(.not)), line: line)
            case .comparison: left = try comparisons(left)
            case .concat: left = try concatenation(left)
            default:
                guard case .symbol(let symbol) = current.kind else { throw failure("expected an operator") }
                advance()
                // Sums take concatenations, products take powers, powers take operands: all group to the left.
                let right =
                    power == .power
                    ? try unary(takesFilters: true)
                    : try operation(power == .sum ? .concat : .power)
                left = Expression(.binary(symbol, left, right), line: line)
            }
        }
        return left
    }

    /// The power of the operator that stands here; nil when none does.
    private var power: Power? {
        switch current.kind {
        case .name("or"): .or
        case .name("and"): .and
        case .name("in"): .comparison
        case .name("not"): next.kind == .name("in") ? .comparison : nil
        case .symbol(let symbol):
            switch symbol {
            case .equal, .notEqual, .less, .lessEqual, .greater, .greaterEqual: .comparison
            case .plus, .minus: .sum
            case .tilde: .concat
            case .times, .divide, .floorDivide, .modulo: .product
            case .power: .power
            default: nil
            }
        default: nil
        }
    }

    /// `a < b == c` compares neighbours, as Python does.
    private mutating func comparisons(_ first: Expression) throws(TemplateError) -> Expression {
        let line = current.line
        var rest: [(Expression.Comparison, Expression)] = []
        while let comparison = takeComparison() { rest.append((comparison, try operation(.sum))) }
        return Expression(.compare(first, rest), line: line)
    }

    private mutating func takeComparison() -> Expression.Comparison? {
        if take(word: "in") { return .isIn }
        if isName("not"), next.kind == .name("in") {
            advance()
            advance()
            return .isNotIn
        }
        if take(.equal) { return .equal }
        if take(.notEqual) { return .notEqual }
        if take(.less) { return .less }
        if take(.lessEqual) { return .lessEqual }
        if take(.greater) { return .greater }
        return take(.greaterEqual) ? .greaterEqual : nil
    }

    private mutating func concatenation(_ first: Expression) throws(TemplateError) -> Expression {
        let line = current.line
        var parts = [first]
        while take(.tilde) { parts.append(try operation(.product)) }
        return Expression(.concat(parts), line: line)
    }

    private mutating func unary(takesFilters: Bool) throws(TemplateError) -> Expression {
        try nested { (parser) throws(TemplateError) in
            let line = parser.current.line
            var value: Expression
            if parser.take(.minus) {
                value = Expression(.negate(try parser.unary(takesFilters: false)), line: line)
            } else if parser.take(.plus) {
                value = Expression(.plus(try parser.unary(takesFilters: false)), line: line)
            } else {
                value = try parser.primary()
            }
            value = try parser.postfix(value)
            return takesFilters ? try parser.filtersAndTests(value) : value
        }
    }

    private mutating func primary() throws(TemplateError) -> Expression {
        let line = current.line
        switch current.kind {
        case .name(let name):
            advance()
            switch name {
            case "true", "True": return Expression(.bool(true), line: line)
            case "false", "False": return Expression(.bool(false), line: line)
            case "none", "None": return Expression(.none, line: line)
            default: return Expression(.name(symbol(name)), line: line)
            }
        case .string(var text):
            advance()
            while case .string(let more) = current.kind {
                text += more
                advance()
            }
            return Expression(.string(MarkedText(template: text)), line: line)
        case .integer(let value):
            advance()
            return Expression(.integer(value), line: line)
        case .float(let value):
            advance()
            return Expression(.float(value), line: line)
        case .symbol(.leftParenthesis):
            advance()
            let value = try tupleExpression(isParenthesised: true)
            try expect(.rightParenthesis)
            return value
        case .symbol(.leftBracket): return try list()
        case .symbol(.leftBrace): return try dict()
        default: throw failure("unexpected \(current.description)")
        }
    }

    private mutating func list() throws(TemplateError) -> Expression {
        let line = current.line
        try expect(.leftBracket)
        var elements: [Expression] = []
        while !take(.rightBracket) {
            if !elements.isEmpty {
                try expect(.comma)
                if take(.rightBracket) { break }
            }
            elements.append(try expression())
        }
        return Expression(.list(elements), line: line)
    }

    private mutating func dict() throws(TemplateError) -> Expression {
        let line = current.line
        try expect(.leftBrace)
        var members: [(key: Expression, value: Expression)] = []
        while !take(.rightBrace) {
            if !members.isEmpty {
                try expect(.comma)
                if take(.rightBrace) { break }
            }
            let key = try expression()
            try expect(.colon)
            members.append((key, try expression()))
        }
        return Expression(.dict(members), line: line)
    }

    // MARK: Behind an operand

    private mutating func postfix(_ operand: Expression) throws(TemplateError) -> Expression {
        var value = operand
        while true {
            try checkHeight(value)
            let line = current.line
            if take(.dot) {
                switch current.kind {
                case .name(let name): value = Expression(.attribute(value, name), line: line)
                case .integer(let index):
                    value = Expression(.item(value, Expression(.integer(index), line: line)), line: line)
                default: throw failure("expected a name or a number behind `.`")
                }
                advance()
            } else if take(.leftBracket) {
                value = try postfixSubscript(value, line: line)
                try expect(.rightBracket)
            } else if current.kind == .symbol(.leftParenthesis) {
                value = Expression(.call(value, try arguments()), line: line)
            } else {
                return value
            }
        }
    }

    private mutating func postfixSubscript(_ value: Expression, line: Int) throws(TemplateError) -> Expression {
        func atEnd() -> Bool { current.kind == .symbol(.rightBracket) || current.kind == .symbol(.colon) }
        let from = current.kind == .symbol(.colon) ? nil : try tupleIndex()
        guard take(.colon) else {
            guard let from else { throw failure("expected an index") }
            return Expression(.item(value, from), line: line)
        }
        let to = atEnd() ? nil : try expression()
        let step = take(.colon) && !atEnd() ? try expression() : nil
        return Expression(.slice(value, from: from, to: to, step: step), line: line)
    }

    private mutating func tupleIndex() throws(TemplateError) -> Expression {
        let first = try expression()
        if current.kind == .symbol(.comma) {
            throw .unsupported(line: current.line, construct: "an index of several parts")
        }
        return first
    }

    private mutating func filtersAndTests(_ operand: Expression) throws(TemplateError) -> Expression {
        var value = operand
        while true {
            try checkHeight(value)
            let line = current.line
            if current.kind == .symbol(.pipe) {
                value = try filters(of: value, startsInline: false)
            } else if take(word: "is") {
                value = try test(value, line: line)
            } else if current.kind == .symbol(.leftParenthesis) {
                value = Expression(.call(value, try arguments()), line: line)
            } else {
                return value
            }
        }
    }

    /// `| name(arguments)`, again and again; `startsInline` = the first name stands without its `|`.
    mutating func filters(of operand: Expression?, startsInline: Bool) throws(TemplateError) -> Expression {
        var value = operand
        var isInline = startsInline
        while isInline || take(.pipe) {
            isInline = false
            if let value { try checkHeight(value) }
            let line = current.line
            let name = try dottedName()
            let arguments = current.kind == .symbol(.leftParenthesis) ? try self.arguments() : Expression.Arguments()
            value = Expression(.filter(value, name: name, arguments), line: line)
        }
        guard let value else { throw failure("expected a filter") }
        return value
    }

    private mutating func dottedName() throws(TemplateError) -> String {
        var name = try expectName()
        while take(.dot) { name += "." + (try expectName()) }
        return name
    }

    private mutating func test(_ value: Expression, line: Int) throws(TemplateError) -> Expression {
        let isNegated = take(word: "not")
        let name = try dottedName()
        var arguments = Expression.Arguments()
        switch current.kind {
        case .symbol(.leftParenthesis): arguments = try self.arguments()
        case .name("else"), .name("or"), .name("and"): break
        case .name("is"): throw failure("tests with `is` can't be chained")
        case .name, .string, .integer, .float, .symbol(.leftBracket), .symbol(.leftBrace):
            // Jinja takes these words for the test's argument, with which nothing can come out well.
            if isName("if") || isName("in") || isName("not") { throw failure("a test needs parentheses here") }
            let operand = try nested { (parser) throws(TemplateError) in try parser.primary() }
            arguments.positional = [try postfix(operand)]
        default: break
        }
        let test = Expression(.test(value, name: name, arguments), line: line)
        return isNegated ? Expression(.not(test), line: line) : test
    }

    private mutating func arguments() throws(TemplateError) -> Expression.Arguments {
        try expect(.leftParenthesis)
        var arguments = Expression.Arguments()
        var isFirst = true
        while !take(.rightParenthesis) {
            if !isFirst {
                try expect(.comma)
                if take(.rightParenthesis) { break }
            }
            isFirst = false
            if current.kind == .symbol(.times) || current.kind == .symbol(.power) {
                throw .unsupported(line: current.line, construct: "`*` and `**` arguments")
            }
            if case .name(let name) = current.kind, next.kind == .symbol(.assign) {
                advance()
                advance()
                arguments.named.append((name, try expression()))
            } else if arguments.named.isEmpty {
                arguments.positional.append(try expression())
            } else {
                throw failure("a positional argument follows a named one")
            }
        }
        return arguments
    }
}
