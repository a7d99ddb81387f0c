import Terms

/// One part of tokenizer.json (a normaliser, a pre-tokenizer, …) with the words to refuse what it doesn't know.
struct Component {
    /// Where it stands, for messages: `pre_tokenizer.pretokenizers[0]`.
    let path: String
    let object: JSONObject

    init(_ value: JSONValue, path: String) throws(TokenizationError) {
        guard let object = value.object else {
            throw .field(file: TokenizerFile.name, name: path, expected: "an object or null")
        }
        self.path = path
        self.object = object
    }

    /// The kind of component, its member `type`.
    var type: String {
        get throws(TokenizationError) { try string("type") }
    }

    /// Refuses members that no reader here looks at, as they could change the ids.
    func allow(_ keys: String...) throws(TokenizationError) {
        for key in object.keys where key != "type" && !keys.contains(key) { throw unsupported("the member `\(key)`") }
    }

    func unsupported(_ feature: String) -> TokenizationError {
        .unsupported(file: TokenizerFile.name, feature: "\(feature) of `\(path)`")
    }

    private func wrong(_ key: String, _ expected: String) -> TokenizationError {
        .field(file: TokenizerFile.name, name: "\(path).\(key)", expected: expected)
    }

    func string(_ key: String) throws(TokenizationError) -> String {
        guard let text = object[key]?.string else { throw wrong(key, "a string") }
        return text
    }

    /// A boolean; `absent` when the member is absent or null.
    func bool(_ key: String, absent: Bool) throws(TokenizationError) -> Bool {
        guard let value = object[key], !value.isNull else { return absent }
        guard let bool = value.bool else { throw wrong(key, "true or false") }
        return bool
    }

    func natural(_ key: String) throws(TokenizationError) -> Int {
        guard let number = object[key]?.int, number >= 0 else { throw wrong(key, "a whole number") }
        return number
    }

    func object(_ key: String) throws(TokenizationError) -> JSONObject {
        guard let object = object[key]?.object else { throw wrong(key, "an object") }
        return object
    }

    /// The components of a list.
    func components(_ key: String) throws(TokenizationError) -> [Component] {
        guard let list = object[key]?.array else { throw wrong(key, "a list") }
        var components: [Component] = []
        for (index, value) in list.enumerated() {
            components.append(try Component(value, path: "\(path).\(key)[\(index)]"))
        }
        return components
    }
}
