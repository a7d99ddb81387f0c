/// A job file as a tree, with the place of every node.
struct SpecNode: Equatable {
    var origin: SpecOrigin
    var content: Content

    /// What stands at the place.
    enum Content: Equatable {
        case scalar(SpecScalar)
        case list([SpecNode])
        case mapping([Member])
    }

    /// One `key: value`.
    struct Member: Equatable {
        var key: String
        var keyOrigin: SpecOrigin
        var value: SpecNode
    }

    /// The scalar here, nil for a list or a mapping.
    var scalar: SpecScalar? { if case .scalar(let scalar) = content { scalar } else { nil } }

    /// What the node is, for messages: `a list`, `the text 'x'`.
    var description: String {
        switch content {
        case .list: "a list"
        case .mapping: "a mapping"
        case .scalar(let scalar): scalar.description
        }
    }
}

/// A scalar as written: its type is read here by the YAML 1.2 core schema (yaml.org/spec/1.2.2, §10.3.2).
///
/// So `2e-4` is a number and `yes` a text, whatever YAML 1.1 readers make of them.
struct SpecScalar: Equatable {
    var text: String
    /// True without quotes; a quoted scalar is always text.
    var isPlain: Bool

    /// True for `null`, `~` and nothing at all.
    var isNull: Bool { isPlain && ["", "~", "null", "Null", "NULL"].contains(text) }

    /// The truth value, nil when this is none.
    var bool: Bool? {
        guard isPlain else { return nil }
        if ["true", "True", "TRUE"].contains(text) { return true }
        return ["false", "False", "FALSE"].contains(text) ? false : nil
    }

    /// True for the words that YAML 1.1 took for truth values.
    var isOldBool: Bool { isPlain && ["yes", "no", "on", "off", "y", "n"].contains(text.lowercased()) }

    /// The whole number: decimal, `0o17`, `0x1F`; also a float without fraction such as `1e3`. nil when it is none or
    /// does not fit.
    var integer: Int64? {
        guard isPlain else { return nil }
        if text.hasPrefix("0x") { return Self.digits(text, radix: 16) }
        if text.hasPrefix("0o") { return Self.digits(text, radix: 8) }
        guard isNumber else { return nil }
        if let value = Int64(text) { return value }
        // A float counts as whole only below 2^53, where every whole number is exact.
        guard let value = Double(text), abs(value) <= 0x1p53 else { return nil }
        return Int64(exactly: value)
    }

    /// The nearest double of a finite number, nil when this is none.
    var number: Double? {
        guard isPlain else { return nil }
        if let integer { return Double(integer) }
        guard isNumber, let value = Double(text), value.isFinite else { return nil }
        return value
    }

    /// True when the text follows the core schema's grammar of decimal integers and floats.
    var isNumber: Bool {
        guard isPlain else { return false }
        var rest = text.utf8[...]
        func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }
        func take(_ bytes: String) -> Bool {
            guard let first = rest.first, bytes.utf8.contains(first) else { return false }
            rest = rest.dropFirst()
            return true
        }
        func takeDigits() -> Int {
            let count = rest.prefix(while: isDigit).count
            rest = rest.dropFirst(count)
            return count
        }
        _ = take("+-")
        var digits = takeDigits()
        if take(".") { digits += takeDigits() }
        guard digits > 0 else { return false }
        if take("eE") {
            _ = take("+-")
            guard takeDigits() > 0 else { return false }
        }
        return rest.isEmpty
    }

    private static func digits(_ text: String, radix: Int) -> Int64? {
        let digits = text.dropFirst(2)
        guard let first = digits.utf8.first, first != UInt8(ascii: "+"), first != UInt8(ascii: "-") else { return nil }
        return Int64(digits, radix: radix)
    }

    /// What the scalar is, for messages.
    var description: String {
        if isNull { return "null" }
        if bool != nil { return text }
        if isNumber || integer != nil { return text }
        return isPlain ? "'\(text)'" : "the quoted text \"\(text)\""
    }
}
