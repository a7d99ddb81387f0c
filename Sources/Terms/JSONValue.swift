/// A JSON document as a value: member order is kept, numbers keep their text, nothing is rounded.
///
/// RFC 8259. Used wherever bytes from outside are read (configs, headers, data rows, manifests), because it
/// never traps, bounds depth and size, and can refuse duplicate keys.
package enum JSONValue: Sendable {
    case null
    case bool(Bool)
    /// The literal as written, already checked against the JSON number grammar.
    case number(JSONNumber)
    case string(String)
    case array([JSONValue])
    case object(JSONObject)
}

extension JSONValue: Equatable {
    /// Whether two documents say the same byte for byte: texts by their UTF-8, numbers as written, members in order.
    package static func == (left: JSONValue, right: JSONValue) -> Bool {
        switch (left, right) {
        case (.null, .null): true
        case (.bool(let one), .bool(let other)): one == other
        case (.number(let one), .number(let other)): one == other
        case (.string(let one), .string(let other)): one.hasSameBytes(as: other)
        case (.array(let one), .array(let other)): one == other
        case (.object(let one), .object(let other)): one == other
        default: false
        }
    }
}

/// A JSON number that remembers how it was written.
package struct JSONNumber: Sendable, Equatable {
    /// The literal, for instance `1e-4` or `151643`.
    package let text: String

    /// A number from text that the caller knows to follow the JSON grammar.
    package init(text: String) { self.text = text }

    /// True when the literal has neither fraction nor exponent.
    package var isInteger: Bool { !text.utf8.contains { $0 == 0x2E || $0 == 0x65 || $0 == 0x45 } }

    /// The value when it is an integer that fits (also `3.0` and `1e3`), else nil.
    package var intValue: Int? {
        if isInteger { return Int(text) }
        guard let double = Double(text) else { return nil }
        return Int(exactly: double)
    }

    /// The nearest double; infinite when the literal is out of range.
    package var doubleValue: Double { Double(text) ?? .infinity }
}

/// The members of a JSON object in the order they were written, with look-up by key.
///
/// Keys are compared by their bytes, as RFC 8259 §8.3 has it: both spellings of `é` are keys of their own.
package struct JSONObject: Sendable, Equatable {
    /// Members as written, keys unique.
    package private(set) var members: [(key: String, value: JSONValue)]
    /// Key → position, built once an object is large enough to profit.
    private var positions: [ByteText: Int]?

    /// Objects up to this many members are searched in order.
    private static let linearLimit = 12

    /// An object of the given members; a repeated key keeps its last value, as most readers do.
    package init(_ members: [(key: String, value: JSONValue)] = []) {
        self.members = []
        self.members.reserveCapacity(members.count)
        if members.count > Self.linearLimit { positions = Dictionary(minimumCapacity: members.count) }
        for (key, value) in members { self[key] = value }
    }

    /// The value under `key`; setting nil removes the member.
    package subscript(key: String) -> JSONValue? {
        get { position(of: key).map { members[$0].value } }
        set {
            switch (position(of: key), newValue) {
            case (let index?, let value?): members[index].value = value
            case (let index?, nil):
                members.remove(at: index)
                reindex()
            case (nil, let value?):
                members.append((key, value))
                if positions != nil {
                    positions![ByteText(key)] = members.count - 1
                } else if members.count > Self.linearLimit {
                    reindex()
                }
            case (nil, nil): break
            }
        }
    }

    /// Keys in the order written.
    package var keys: [String] { members.map(\.key) }

    package var isEmpty: Bool { members.isEmpty }

    private func position(of key: String) -> Int? {
        if let positions { return positions[ByteText(key)] }
        return members.firstIndex { $0.key.hasSameBytes(as: key) }
    }

    private mutating func reindex() {
        guard members.count > Self.linearLimit else {
            positions = nil
            return
        }
        positions = Dictionary(uniqueKeysWithValues: members.enumerated().map { (ByteText($1.key), $0) })
    }

    package static func == (left: JSONObject, right: JSONObject) -> Bool {
        left.members.elementsEqual(right.members) { $0.key.hasSameBytes(as: $1.key) && $0.value == $1.value }
    }
}

extension JSONValue {
    package static func int(_ value: Int) -> JSONValue { .number(JSONNumber(text: String(value))) }
    /// A finite double in its shortest form that reads back to the same bits; not-a-number and infinities become null.
    package static func double(_ value: Double) -> JSONValue {
        value.isFinite ? .number(JSONNumber(text: "\(value)")) : .null
    }
    package static func members(_ members: KeyValuePairs<String, JSONValue>) -> JSONValue {
        .object(JSONObject(members.map { ($0.key, $0.value) }))
    }

    package var object: JSONObject? { if case .object(let value) = self { value } else { nil } }
    package var array: [JSONValue]? { if case .array(let value) = self { value } else { nil } }
    package var string: String? { if case .string(let value) = self { value } else { nil } }
    package var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
    package var int: Int? { if case .number(let value) = self { value.intValue } else { nil } }
    package var double: Double? { if case .number(let value) = self { value.doubleValue } else { nil } }
    package var isNull: Bool { self == .null }

    /// The member under `key`, nil when this is no object or has none.
    package subscript(key: String) -> JSONValue? { object?[key] }
}
