/// How tokens become text again.
enum TokenDecoder: Sendable, Equatable {
    /// Tokens of stand-ins are bytes; what is no UTF-8 becomes U+FFFD.
    case byteLevel
    /// Tokens are characters: replacements in each, then runs of `<0xNN>` are bytes, then `strip` copies of a character
    /// go from the front of the whole.
    case characters(CharacterDecoding)
    /// U+2581 is a space, and nothing in the first token unless `keepsFirst`.
    case metaspace(keepsFirst: Bool)
    /// Tokens with spaces between.
    case joinedBySpaces
}

/// The steps of a SentencePiece-like decoder.
struct CharacterDecoding: Sendable, Equatable {
    struct Replacement: Sendable, Equatable {
        var pattern: [UInt8]
        var content: [UInt8]
    }
    var replacements: [Replacement] = []
    var byteFallback = false
    /// The character that is stripped from the front of the whole text, and how often at most.
    var strip: [UInt8] = []
    var stripLimit = 0

    /// What a token says after the replacements.
    func replaced(_ token: [UInt8]) -> [UInt8] {
        Normalizer(steps: replacements.map { .replace($0.pattern, with: $0.content) }).normalized(token)
    }

    /// The byte of a token `<0xNN>`, nil for other tokens.
    static func byte(of token: some Collection<UInt8>) -> UInt8? {
        let token = Array(token)
        guard token.count == 6, token.starts(with: Array("<0x".utf8)), token[5] == UInt8(ascii: ">") else { return nil }
        return UInt8(String(decoding: token[3..<5], as: UTF8.self), radix: 16)
    }
}
