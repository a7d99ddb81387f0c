#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

extension Interpreter {
    /// A binary operator of Python.
    func combine(_ symbol: Token.Symbol, _ left: Value, _ right: Value) throws(TemplateError) -> Value {
        switch (symbol, left, right) {
        case (.plus, .text(let left), .text(let right)):
            try charge(left.count + right.count)
            return .text(left + right)
        case (.plus, .open(let left, let log), .text(let right)), (.plus, .text(let left), .open(let right, let log)),
            (.plus, .open(let left, let log), .open(let right, _)):
            try charge(left.count + right.count)
            return .open(left + right, log)
        case (.plus, .list(let left), .list(let right)): return try list(left.elements + right.elements)
        case (.plus, .tuple(let left), .tuple(let right)):
            try charge((left.elements.count + right.elements.count) * MemoryLayout<Value>.size)
            return try bounded(.tuple(left.elements + right.elements))
        case (.times, .text, _), (.times, _, .text), (.times, .list, _), (.times, _, .list), (.times, .tuple, _),
            (.times, _, .tuple):
            return try repeated(left, right)
        case (.modulo, .text(let format), _): return try formatted(format, right)
        default: break
        }
        try requireDefined(left)
        try requireDefined(right)
        if let a = left.integerValue, let b = right.integerValue { return try integers(symbol, a, b) }
        if let a = left.floatValue, let b = right.floatValue { return try floats(symbol, a, b) }
        throw failure("'\(symbol.rawValue)' can't work on \(left.typeName) and \(right.typeName)")
    }

    private func repeated(_ left: Value, _ right: Value) throws(TemplateError) -> Value {
        let isLeftCount = left.integerValue != nil
        guard let count = (isLeftCount ? left : right).integerValue else {
            try requireDefined(left)
            try requireDefined(right)
            throw failure("'*' can't work on \(left.typeName) and \(right.typeName)")
        }
        let copies = max(0, count)
        switch isLeftCount ? right : left {
        case .text(let unit):
            let (bytes, overflow) = unit.count.multipliedReportingOverflow(by: copies)
            try charge(overflow ? .max : bytes)
            var text = MarkedText()
            if !unit.isEmpty { for _ in 0..<copies { text.append(unit) } }
            return .text(text)
        case .list(let unit): return .list(try repeated(unit.elements, copies))
        case .tuple(let unit): return .tuple(try repeated(unit.elements, copies))
        default: throw failure("'*' can't work on \(left.typeName) and \(right.typeName)")
        }
    }

    private func repeated(_ unit: [Value], _ copies: Int) throws(TemplateError) -> [Value] {
        let (bytes, overflow) = (unit.count * MemoryLayout<Value>.size).multipliedReportingOverflow(by: copies)
        try charge(overflow ? .max : bytes)
        return unit.isEmpty ? [] : (0..<copies).flatMap { _ in unit }
    }

    private func integers(_ symbol: Token.Symbol, _ a: Int, _ b: Int) throws(TemplateError) -> Value {
        let result: (partialValue: Int, overflow: Bool)
        switch symbol {
        case .plus: result = a.addingReportingOverflow(b)
        case .minus: result = a.subtractingReportingOverflow(b)
        case .times: result = a.multipliedReportingOverflow(by: b)
        case .floorDivide, .modulo:
            guard b != 0 else { throw failure("division by zero") }
            guard !(a == .min && b == -1) else { throw failure("the number is too large") }
            let (quotient, remainder) = a.quotientAndRemainder(dividingBy: b)
            // Python rounds quotients down, so a remainder has the divisor's sign.
            let isOff = remainder != 0 && (remainder < 0) != (b < 0)
            return .integer(symbol == .modulo ? (isOff ? remainder + b : remainder) : (isOff ? quotient - 1 : quotient))
        case .divide:
            guard b != 0 else { throw failure("division by zero") }
            return .float(Double(a) / Double(b))
        case .power:
            guard b >= 0 else { return try floats(symbol, Double(a), Double(b)) }
            return .integer(try power(a, b))
        default: throw failure("'\(symbol.rawValue)' is no operator on numbers")
        }
        guard !result.overflow else { throw failure("the number is too large") }
        return .integer(result.partialValue)
    }

    private func power(_ base: Int, _ exponent: Int) throws(TemplateError) -> Int {
        if base == 0 || base == 1 { return exponent == 0 ? 1 : base }
        if base == -1 { return exponent % 2 == 0 ? 1 : -1 }
        guard exponent < 64 else { throw failure("the number is too large") }
        var result = 1
        for _ in 0..<exponent {
            let (product, overflow) = result.multipliedReportingOverflow(by: base)
            guard !overflow else { throw failure("the number is too large") }
            result = product
        }
        return result
    }

    private func floats(_ symbol: Token.Symbol, _ a: Double, _ b: Double) throws(TemplateError) -> Value {
        switch symbol {
        case .plus: return .float(a + b)
        case .minus: return .float(a - b)
        case .times: return .float(a * b)
        case .power: return .float(pow(a, b))
        default: break
        }
        guard b != 0 else { throw failure("division by zero") }
        switch symbol {
        case .divide: return .float(a / b)
        case .floorDivide: return .float((a / b).rounded(.down))
        case .modulo:
            let remainder = fmod(a, b)
            // As with integers, the result has the divisor's sign, a zero too.
            if remainder == 0 { return .float(b < 0 ? -0.0 : 0.0) }
            return .float((remainder < 0) != (b < 0) ? remainder + b : remainder)
        default: throw failure("'\(symbol.rawValue)' is no operator on numbers")
        }
    }

    func negated(_ value: Value) throws(TemplateError) -> Value {
        try requireDefined(value)
        if let integer = value.integerValue {
            let (result, overflow) = 0.subtractingReportingOverflow(integer)
            guard !overflow else { throw failure("the number is too large") }
            return .integer(result)
        }
        guard case .float(let float) = value else { throw failure("a \(value.typeName) can't be negated") }
        return .float(-float)
    }

    func positive(_ value: Value) throws(TemplateError) -> Value {
        try requireDefined(value)
        if let integer = value.integerValue { return .integer(integer) }
        guard case .float = value else { throw failure("`+` can't work on a \(value.typeName)") }
        return value
    }
}
