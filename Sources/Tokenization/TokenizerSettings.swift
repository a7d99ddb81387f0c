import Terms

/// What tokenizer_config.json says that concerns text and ids; what is only for Python is not looked at.
struct TokenizerSettings {
    static let fileName = "tokenizer_config.json"

    /// Variable → text: `bos_token`, `eos_token`, `unk_token`, `pad_token`, `extra_special_tokens`, ….
    var specialTokens: [String: String] = [:]
    var chatTemplate: JSONValue?
    /// `added_tokens_decoder`, ascending by id; these flags win over those of tokenizer.json.
    var addedTokens: [AddedToken] = []
    /// `add_bos_token`, `add_eos_token`; nil when absent.
    var addsBOS: Bool?
    var addsEOS: Bool?
    /// Whether SentencePiece's dummy prefix comes after every added token too (`legacy`, true when absent).
    var isLegacy = true

    /// The settings of no file.
    init() {}

    init(_ bytes: [UInt8]?) throws(TokenizationError) {
        guard let bytes else { return }
        let object = try JSONValue.object(bytes, file: Self.fileName)
        for (key, value) in object.members where key.hasSuffix("_token") {
            if let text = value.string ?? value["content"]?.string { specialTokens[key] = text }
        }
        for (key, value) in object["extra_special_tokens"]?.object?.members ?? [] {
            if let text = value.string ?? value["content"]?.string { specialTokens[key] = text }
        }
        if let template = object["chat_template"], !template.isNull { chatTemplate = template }
        addsBOS = object["add_bos_token"]?.bool
        addsEOS = object["add_eos_token"]?.bool
        isLegacy = object["legacy"]?.bool ?? true
        for (key, value) in object["added_tokens_decoder"]?.object?.members ?? [] {
            addedTokens.append(try Self.addedToken(key, value))
        }
        addedTokens.sort { $0.id < $1.id }
    }

    private static func addedToken(_ key: String, _ value: JSONValue) throws(TokenizationError) -> AddedToken {
        guard let id = Int32(key), id >= 0, id < Vocabulary.idLimit, let content = value["content"]?.string else {
            throw .field(
                file: fileName, name: "added_tokens_decoder.\(key)", expected: "a token with `content` under its id")
        }
        return AddedToken(content: content, id: id, flags: value)
    }
}

extension AddedToken {
    /// A token with the flags that both files spell alike.
    init(content: String, id: Int32, flags: JSONValue) {
        self.init(
            content: content, id: id,
            singleWord: flags["single_word"]?.bool ?? false,
            stripsLeft: flags["lstrip"]?.bool ?? false,
            stripsRight: flags["rstrip"]?.bool ?? false,
            isNormalized: flags["normalized"]?.bool ?? false,
            isSpecial: flags["special"]?.bool ?? false)
    }
}
