/// One lexical unit of a template.
struct Token: Sendable, Equatable {
    enum Kind: Sendable, Equatable {
        /// Text between tags, white space already trimmed as the tags ask.
        case data(String)
        case variableBegin
        case variableEnd
        case blockBegin
        case blockEnd
        case name(String)
        case string(String)
        case integer(Int)
        case float(Double)
        case symbol(Symbol)
        case end
    }
    /// Operators and punctuation; raw values as they are written.
    enum Symbol: String, Sendable, CaseIterable {
        case power = "**"
        case floorDivide = "//"
        case equal = "=="
        case notEqual = "!="
        case lessEqual = "<="
        case greaterEqual = ">="
        case less = "<"
        case greater = ">"
        case assign = "="
        case plus = "+"
        case minus = "-"
        case times = "*"
        case divide = "/"
        case modulo = "%"
        case tilde = "~"
        case pipe = "|"
        case dot = "."
        case comma = ","
        case colon = ":"
        case leftParenthesis = "("
        case rightParenthesis = ")"
        case leftBracket = "["
        case rightBracket = "]"
        case leftBrace = "{"
        case rightBrace = "}"

        /// Symbols of two characters, which count before those of one.
        static let pairs: [(text: StaticString, symbol: Symbol)] = [
            ("**", .power), ("//", .floorDivide), ("==", .equal), ("!=", .notEqual), ("<=", .lessEqual),
            (">=", .greaterEqual),
        ]
        /// Symbols of one character by their byte.
        static let singles: [Symbol?] = {
            var table = [Symbol?](repeating: nil, count: 256)
            for symbol in allCases where symbol.rawValue.utf8.count == 1 {
                for byte in symbol.rawValue.utf8 { table[Int(byte)] = symbol }
            }
            return table
        }()
    }
    var kind: Kind
    /// From 1.
    var line: Int

    /// How an error message calls the token.
    var description: String {
        switch kind {
        case .data: "template text"
        case .variableBegin: "`{{`"
        case .variableEnd: "`}}`"
        case .blockBegin: "`{%`"
        case .blockEnd: "`%}`"
        case .name(let name): "`\(name)`"
        case .string: "a string"
        case .integer(let value): "`\(value)`"
        case .float(let value): "`\(value)`"
        case .symbol(let symbol): "`\(symbol.rawValue)`"
        case .end: "the end of the template"
        }
    }
}
