/// A name that a template uses, as a number: equal names have equal numbers.
typealias Symbol = Int

/// An expression of a template.
final class Expression: Sendable {
    /// From 1, for error messages.
    let line: Int
    let kind: Kind
    /// Levels of expressions in this one; bounded by the parser, so that walking it can't exhaust the stack.
    let height: Int

    init(_ kind: Kind, line: Int) {
        self.kind = kind
        self.line = line
        height = 1 + kind.operands.reduce(0) { max($0, $1.height) }
    }

    enum Kind: Sendable {
        case string(MarkedText)
        case integer(Int)
        case float(Double)
        case bool(Bool)
        case none
        case name(Symbol)
        case list([Expression])
        case tuple([Expression])
        case dict([(key: Expression, value: Expression)])
        case attribute(Expression, String)
        case item(Expression, Expression)
        case slice(Expression, from: Expression?, to: Expression?, step: Expression?)
        case call(Expression, Arguments)
        /// The value is nil in `{% filter %}` and `{% set x | f %}` blocks, whose text is piped in.
        case filter(Expression?, name: String, Arguments)
        case test(Expression, name: String, Arguments)
        case not(Expression)
        case negate(Expression)
        case plus(Expression)
        case and(Expression, Expression)
        case or(Expression, Expression)
        case binary(Token.Symbol, Expression, Expression)
        case concat([Expression])
        case compare(Expression, [(Comparison, Expression)])
        /// `then if condition else otherwise`; without `otherwise` it is undefined.
        case conditional(condition: Expression, then: Expression, otherwise: Expression?)
    }

    enum Comparison: Sendable { case equal, notEqual, less, lessEqual, greater, greaterEqual, isIn, isNotIn }

    /// What stands between the parentheses of a call.
    struct Arguments: Sendable {
        var positional: [Expression] = []
        var named: [(name: String, value: Expression)] = []

        var all: [Expression] { positional + named.map(\.value) }
    }
}

extension Expression.Kind {
    /// The expressions that this one is made of.
    var operands: [Expression] {
        switch self {
        case .string, .integer, .float, .bool, .none, .name: []
        case .list(let elements), .tuple(let elements), .concat(let elements): elements
        case .dict(let members): members.flatMap { [$0.key, $0.value] }
        case .attribute(let owner, _): [owner]
        case .item(let owner, let index): [owner, index]
        case .slice(let owner, let from, let to, let step): [owner] + [from, to, step].compactMap { $0 }
        case .call(let callee, let arguments): [callee] + arguments.all
        case .filter(let operand, _, let arguments): (operand.map { [$0] } ?? []) + arguments.all
        case .test(let operand, _, let arguments): [operand] + arguments.all
        case .not(let operand), .negate(let operand), .plus(let operand): [operand]
        case .and(let left, let right), .or(let left, let right), .binary(_, let left, let right): [left, right]
        case .compare(let first, let rest): [first] + rest.map(\.1)
        case .conditional(let condition, let then, let otherwise): [condition, then] + (otherwise.map { [$0] } ?? [])
        }
    }
}

/// What a `for` or `set` writes to.
enum Target: Sendable {
    case name(Symbol)
    case attribute(of: Symbol, String)
    case tuple([Target])
}

/// A statement of a template.
struct Statement: Sendable {
    /// From 1, for error messages.
    let line: Int
    let kind: Kind

    enum Kind: Sendable {
        case text(MarkedText)
        case output(Expression)
        case branch([(condition: Expression, body: [Statement])], otherwise: [Statement])
        case loop(Loop)
        case set(Target, Expression)
        /// `{% set x %}…{% endset %}`, through the filter when there is one.
        case capture(Target, filter: Expression?, body: [Statement])
        case filter(Expression, body: [Statement])
        case macro(MacroDefinition)
        case generation([Statement])
        case exit
        case skip
    }
}

/// A `for` statement.
final class Loop: Sendable {
    let target: Target
    let sequence: Expression
    let condition: Expression?
    let body: [Statement]
    let otherwise: [Statement]

    init(target: Target, sequence: Expression, condition: Expression?, body: [Statement], otherwise: [Statement]) {
        self.target = target
        self.sequence = sequence
        self.condition = condition
        self.body = body
        self.otherwise = otherwise
    }
}

/// A `macro` statement.
final class MacroDefinition: Sendable {
    let name: String
    let symbol: Symbol
    /// Parameters in order with their defaults.
    let parameters: [(name: String, symbol: Symbol, fallback: Expression?)]
    let body: [Statement]

    init(
        name: String, symbol: Symbol, parameters: [(name: String, symbol: Symbol, fallback: Expression?)],
        body: [Statement]
    ) {
        self.name = name
        self.symbol = symbol
        self.parameters = parameters
        self.body = body
    }
}
