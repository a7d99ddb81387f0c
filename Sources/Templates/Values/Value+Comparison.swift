extension Value {
    /// Python's truth.
    var isTrue: Bool {
        switch self {
        case .undefined, .none: false
        case .bool(let value): value
        case .integer(let value): value != 0
        case .float(let value): value != 0
        case .text(let text): !text.isEmpty
        case .list(let list), .tuple(let list): !list.elements.isEmpty
        case .dict(let dict): !dict.entries.isEmpty
        case .bigInteger, .open, .iterator, .namespace, .loop, .macro, .function, .method: true
        }
    }

    /// A bool or a number as an integer; nil for anything else.
    var integerValue: Int? {
        switch self {
        case .bool(let value): value ? 1 : 0
        case .integer(let value): value
        default: nil
        }
    }

    /// A bool or a number as a float; nil for anything else.
    var floatValue: Double? {
        switch self {
        case .bool(let value): value ? 1 : 0
        case .integer(let value): Double(value)
        case .bigInteger(let text): Double(text)
        case .float(let value): value
        default: nil
        }
    }

    /// Python's `==`.
    func equals(_ other: Value) -> Bool {
        switch (self, other) {
        case (.undefined, .undefined), (.none, .none): return true
        case (.text(let left), .text(let right)): return left.hasSameBytes(as: right)
        case (.bigInteger(let left), .bigInteger(let right)): return left == right
        case (.list(let left), .list(let right)), (.tuple(let left), .tuple(let right)):
            return left.elements.count == right.elements.count
                && zip(left.elements, right.elements).allSatisfy { $0.equals($1) }
        case (.dict(let left), .dict(let right)):
            return left.entries.count == right.entries.count
                && left.entries.allSatisfy { entry in right.value(entry.key)?.equals(entry.value) == true }
        case (.namespace(let left), .namespace(let right)): return left === right
        case (.iterator(let left), .iterator(let right)): return left === right
        case (.loop(let left), .loop(let right)): return left === right
        case (.macro(let left), .macro(let right)): return left === right
        case (.open(_, let log), .open), (.open(_, let log), .text), (.text, .open(_, let log)): log.wasRead = true
        default: break
        }
        if let left = integerValue, let right = other.integerValue { return left == right }
        if let left = floatValue, let right = other.floatValue { return left == right }
        return false
    }

    /// Python's `<`; nil when the two can't be ordered.
    func isLess(than other: Value) -> Bool? {
        switch (self, other) {
        case (.text(let left), .text(let right)):
            // The order of UTF-8 bytes is the order of code points.
            return left.utf8.lexicographicallyPrecedes(right.utf8)
        case (.list(let left), .list(let right)), (.tuple(let left), .tuple(let right)):
            for (a, b) in zip(left.elements, right.elements) where !a.equals(b) { return a.isLess(than: b) }
            return left.elements.count < right.elements.count
        default: break
        }
        if let left = integerValue, let right = other.integerValue { return left < right }
        if let left = floatValue, let right = other.floatValue { return left < right }
        return nil
    }
}
