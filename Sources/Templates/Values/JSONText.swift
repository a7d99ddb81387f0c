/// Writes values as Python's `json.dumps` does; the `tojson` of chat templates, which escapes nothing for HTML.
struct JSONText {
    /// nil = one line.
    var indent: MarkedText?
    var escapesNonASCII = false
    var sortsKeys = false
    /// Between elements and behind keys; nil = `", "` (`","` with an indent) and `": "`.
    var separators: (item: MarkedText, key: MarkedText)?
    private(set) var out = MarkedText()

    init() {}

    /// Why a value has no JSON text.
    struct Problem: Error { var description: String }

    mutating func write(_ value: Value, level: Int = 0) throws(Problem) {
        switch value {
        case .none: put("null")
        case .bool(let value): put(value ? "true" : "false")
        case .integer(let value): put(String(value))
        case .bigInteger(let text): put(text)
        case .float(let value): put(Self.number(value))
        case .text(let text): writeString(text)
        case .list(let list), .tuple(let list):
            try write(list.elements.count, level, "[", "]") { (json, index) throws(Problem) in
                try json.write(list.elements[index], level: level + 1)
            }
        case .dict(let dict):
            let entries = sortsKeys ? try sorted(dict.entries) : dict.entries
            try write(entries.count, level, "{", "}") { (json, index) throws(Problem) in
                try json.writeKey(entries[index].key)
                json.out.append(json.separators?.key ?? MarkedText(template: ": "))
                try json.write(entries[index].value, level: level + 1)
            }
        default: throw Problem(description: "an object of type \(value.typeName) has no JSON text")
        }
    }

    private mutating func put(_ text: String) { out.append(utf8: text.utf8, isData: false) }

    private static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Infinity" : "Infinity" }
        return FloatText.repr(value)
    }

    private mutating func write(
        _ count: Int, _ level: Int, _ open: String, _ close: String,
        _ element: (inout JSONText, Int) throws(Problem) -> Void
    ) throws(Problem) {
        put(open)
        for index in 0..<count {
            if index > 0 { out.append(separators?.item ?? MarkedText(template: indent == nil ? ", " : ",")) }
            newLine(level + 1)
            try element(&self, index)
        }
        if count > 0 { newLine(level) }
        put(close)
    }

    private mutating func newLine(_ level: Int) {
        guard let indent else { return }
        put("\n")
        for _ in 0..<level { out.append(indent) }
    }

    private mutating func writeKey(_ key: Value) throws(Problem) {
        switch key {
        case .text(let text): writeString(text)
        case .none, .bool, .integer, .bigInteger, .float:
            put("\"")
            try write(key)
            put("\"")
        default: throw Problem(description: "a key of type \(key.typeName) has no JSON text")
        }
    }

    private func sorted(_ entries: [ValueEntry]) throws(Problem) -> [ValueEntry] {
        for entry in entries {
            guard entry.key.isLess(than: entries[0].key) != nil else {
                throw Problem(description: "keys of different types can't be sorted")
            }
        }
        return entries.sorted { $0.key.isLess(than: $1.key) == true }
    }

    private mutating func writeString(_ text: MarkedText) {
        put("\"")
        var plain = 0
        for (scalar, range) in text.scalars {
            guard let escape = escape(scalar) else { continue }
            out.append(text, plain..<range.lowerBound)
            out.append(utf8: escape.utf8, isData: text.containsData(range))
            plain = range.upperBound
        }
        out.append(text, plain..<text.count)
        put("\"")
    }

    private func escape(_ scalar: Unicode.Scalar) -> String? {
        switch scalar {
        case "\"": return "\\\""
        case "\\": return "\\\\"
        case "\n": return "\\n"
        case "\r": return "\\r"
        case "\t": return "\\t"
        case "\u{08}": return "\\b"
        case "\u{0C}": return "\\f"
        default: break
        }
        if scalar.value < 0x20 { return Self.unicode(scalar.value) }
        guard escapesNonASCII, scalar.value > 0x7E else { return nil }
        if scalar.value < 0x10000 { return Self.unicode(scalar.value) }
        let pair = scalar.value - 0x10000
        return Self.unicode(0xD800 + pair >> 10) + Self.unicode(0xDC00 + pair & 0x3FF)
    }

    private static func unicode(_ value: UInt32) -> String {
        let hex = String(value, radix: 16)
        return "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
    }
}
