import Terms

/// Reads the members of one JSON object by name, and knows its path for messages.
struct FieldReader {
    let object: JSONObject
    let path: String

    init(_ value: JSONValue, path: String) throws(CheckpointError) {
        guard let object = value.object else { throw .manifest(field: path, problem: "must be an object") }
        self.object = object
        self.path = path
    }

    func field(_ key: String) -> String { path.isEmpty ? key : path + "." + key }

    func value(_ key: String) throws(CheckpointError) -> JSONValue {
        guard let value = object[key] else { throw .manifest(field: field(key), problem: "is missing") }
        return value
    }

    func nested(_ key: String) throws(CheckpointError) -> FieldReader {
        try FieldReader(try value(key), path: field(key))
    }

    func array(_ key: String, limit: Int) throws(CheckpointError) -> [JSONValue] {
        guard let array = try value(key).array else { throw .manifest(field: field(key), problem: "must be an array") }
        guard array.count <= limit else {
            throw .manifest(field: field(key), problem: "has \(array.count) elements, at most \(limit) are allowed")
        }
        return array
    }

    func string(_ key: String) throws(CheckpointError) -> String {
        guard let text = try value(key).string else { throw .manifest(field: field(key), problem: "must be a string") }
        return text
    }

    func integer(_ key: String, in range: ClosedRange<Int> = 0...Int.max) throws(CheckpointError) -> Int {
        try Self.integer(try value(key), in: range, field: field(key))
    }

    func digest(_ key: String) throws(CheckpointError) -> Digest {
        try Self.digest(try value(key), field: field(key))
    }

    func optionalDigest(_ key: String) throws(CheckpointError) -> Digest? {
        try value(key).isNull ? nil : try digest(key)
    }

    func word<Word: RawRepresentable>(_ key: String, _ type: Word.Type = Word.self) throws(CheckpointError) -> Word
    where Word.RawValue == String {
        let text = try string(key)
        guard let word = Word(rawValue: text) else {
            throw .manifest(field: field(key), problem: "`\(text.prefix(40))` is not known to this version")
        }
        return word
    }

    static func integer(_ value: JSONValue, in range: ClosedRange<Int>, field: String) throws(CheckpointError) -> Int {
        guard case .number(let number) = value, number.isInteger, let integer = Int(number.text) else {
            throw .manifest(field: field, problem: "must be an integer")
        }
        guard range.contains(integer) else { throw .manifest(field: field, problem: "\(integer) is out of range") }
        return integer
    }

    static func digest(_ value: JSONValue, field: String) throws(CheckpointError) -> Digest {
        guard let text = value.string, let digest = Digest(hex: text) else {
            throw .manifest(field: field, problem: "must be 64 lower-case hexadecimal digits")
        }
        return digest
    }
}
