import Terms

extension Normalizer {
    /// Reads the member `normalizer` of tokenizer.json; null is none.
    init(file value: JSONValue?) throws(TokenizationError) {
        guard let value, !value.isNull else {
            steps = []
            return
        }
        steps = try Self.steps(Component(value, path: "normalizer"))
    }

    private static func steps(_ component: Component) throws(TokenizationError) -> [Step] {
        switch try component.type {
        case "NFC":
            try component.allow()
            return [.canonicalComposition]
        case "Prepend":
            try component.allow("prepend")
            return [.prepend(Array(try component.string("prepend").utf8))]
        case "Replace":
            let replacement = try component.replacement()
            return [.replace(replacement.pattern, with: replacement.content)]
        case "Sequence":
            try component.allow("normalizers")
            var steps: [Step] = []
            for part in try component.components("normalizers") { steps += try Self.steps(part) }
            return steps
        case let type:
            throw component.unsupported("the normalizer `\(type)`")
        }
    }
}

extension Component {
    /// A `Replace` of a literal string, in a normaliser or a decoder.
    func replacement() throws(TokenizationError) -> CharacterDecoding.Replacement {
        try allow("pattern", "content")
        let pattern = try object("pattern")
        guard let literal = pattern["String"]?.string, !literal.isEmpty else {
            throw unsupported("a Replace by \(pattern.keys.first ?? "nothing")")
        }
        return CharacterDecoding.Replacement(pattern: Array(literal.utf8), content: Array(try string("content").utf8))
    }
}
