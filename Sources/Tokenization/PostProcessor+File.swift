import Terms

extension PostProcessor {
    /// Reads the member `post_processor` of tokenizer.json; null is none.
    init(file value: JSONValue?) throws(TokenizationError) {
        guard let value, !value.isNull else { return }
        try add(Component(value, path: "post_processor"))
    }

    private mutating func add(_ component: Component) throws(TokenizationError) {
        switch try component.type {
        case "ByteLevel": break  // Moves offsets only, which are not kept.
        case "TemplateProcessing": try addTemplate(component)
        case "Sequence":
            try component.allow("processors")
            for part in try component.components("processors") { try add(part) }
        case let type: throw component.unsupported("the post-processor `\(type)`")
        }
    }

    /// The template for one text: special tokens, the text, special tokens. That for pairs is not used.
    private mutating func addTemplate(_ component: Component) throws(TokenizationError) {
        try component.allow("single", "pair", "special_tokens")
        guard prefix.isEmpty, suffix.isEmpty else { throw component.unsupported("a second template") }
        let tokens = try component.object("special_tokens")
        var seenText = false
        for piece in try component.components("single") {
            if let sequence = piece.object["Sequence"] {
                guard sequence["id"]?.string == "A", !seenText else { throw piece.unsupported("a second text") }
                seenText = true
                continue
            }
            guard let name = piece.object["SpecialToken"]?["id"]?.string, let ids = tokens[name]?["ids"]?.array else {
                throw piece.unsupported("a piece that is neither text nor a listed special token")
            }
            for id in ids {
                guard let id = id.int, id >= 0, id < Vocabulary.idLimit else {
                    throw piece.unsupported("an id out of range")
                }
                if seenText { suffix.append(Int32(id)) } else { prefix.append(Int32(id)) }
            }
        }
        guard seenText else { throw component.unsupported("a template without the text") }
    }
}
