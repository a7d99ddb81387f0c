import Terms

extension Tokenizer {
    /// Reads tokenizer.json of the Hugging Face layout, and tokenizer_config.json beside it if there is one.
    ///
    /// `truncation` and `padding` are not applied, as with `encode` of the Python library. Everything else that could
    /// change the ids and is not known is refused by name.
    package static func read(
        tokenizerJSON: [UInt8], configJSON: [UInt8]? = nil
    ) throws(TokenizationError) -> Tokenizer {
        let settings = try TokenizerSettings(configJSON)
        let file = try TokenizerFile(tokenizerJSON)
        for key in file.rest.keys where !TokenizerFile.knownMembers.contains(key) {
            throw .unsupported(file: TokenizerFile.name, feature: "the member `\(key)`")
        }
        if let version = file.rest["version"], version.string != "1.0" {
            throw .unsupported(file: TokenizerFile.name, feature: "a `version` that is not 1.0")
        }
        let normalizer = try Normalizer(file: file.rest["normalizer"])
        var isByteLevel = false
        var preTokenizer = try PreTokenizer(file: file.rest["pre_tokenizer"], isByteLevel: &isByteLevel)
        var model = try BPEModel(file: file, isByteLevel: isByteLevel)
        if case .characters(let characters) = model.symbols, preTokenizer.splitters.isEmpty,
            characters.allowsSplitBeforeSpaces(model.vocabulary)
        {
            preTokenizer.splitters = [.spacesFirst]
        }
        let tokens = try AddedToken.list(file: file.rest["added_tokens"], settings, model.vocabulary)
        model.forbid(tokens)
        return Tokenizer(
            Storage(
                normalizer: normalizer, preTokenizer: preTokenizer, model: model,
                postProcessor: try PostProcessor(file: file.rest["post_processor"]),
                decoder: try TokenDecoder(file: file.rest["decoder"]), addedTokens: tokens),
            settings)
    }
}

extension TokenizerFile {
    static let knownMembers: Set<String> = [
        "version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer", "post_processor", "decoder",
        "model",
    ]
}

extension AddedToken {
    /// The added tokens of both files with the ids that Hugging Face gives them: that of the model's token of the same
    /// spelling, else the next free one. An id that a file states otherwise is refused.
    static func list(
        file value: JSONValue?, _ settings: TokenizerSettings, _ vocabulary: Vocabulary
    ) throws(TokenizationError) -> [AddedToken] {
        var stated: [(token: AddedToken, file: String)] = []
        for (index, entry) in (value?.array ?? []).enumerated() {
            guard let content = entry["content"]?.string, let id = entry["id"]?.int, id >= 0, id < Vocabulary.idLimit
            else {
                let name = "added_tokens[\(index)]"
                throw .field(file: TokenizerFile.name, name: name, expected: "a token with `content` and `id`")
            }
            stated.append((AddedToken(content: content, id: Int32(id), flags: entry), TokenizerFile.name))
        }
        stated += settings.addedTokens.map { ($0, TokenizerSettings.fileName) }
        return try merged(stated, vocabulary)
    }

    /// Later entries of the same content replace the flags of earlier ones.
    private static func merged(
        _ stated: [(token: AddedToken, file: String)], _ vocabulary: Vocabulary
    ) throws(TokenizationError) -> [AddedToken] {
        var tokens: [AddedToken] = []
        var places: [[UInt8]: Int] = [:]
        var next = vocabulary.count
        for (token, file) in stated where !token.content.isEmpty {
            let content = Array(token.content.utf8)
            let known = places[content]
            let id = known.map { tokens[$0].id } ?? vocabulary.id(of: content) ?? Int32(next)
            guard id == token.id else {
                let problem = "the added token `\(token.content)` states id \(token.id), but its id is \(id)"
                throw .inconsistent(file: file, problem: problem)
            }
            if let known {
                tokens[known] = token
            } else {
                places[content] = tokens.count
                tokens.append(token)
            }
            next = max(next, Int(id) + 1)
        }
        return tokens
    }
}

extension BPEModel {
    /// Reads the member `model` of tokenizer.json.
    init(file: TokenizerFile, isByteLevel: Bool) throws(TokenizationError) {
        let component = try Component(file.rest["model"] ?? .null, path: "model")
        // Files older than the field have BPE only.
        let type = component.object["type"] == nil ? "BPE" : try component.type
        guard type == "BPE" else { throw component.unsupported("the type `\(type)`") }
        try component.allow(
            "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", "byte_fallback",
            "ignore_merges", "vocab", "merges")
        for key in ["continuing_subword_prefix", "end_of_word_suffix"] {
            if let affix = component.object[key], !affix.isNull, affix.string != "" {
                throw component.unsupported("the member `\(key)`")
            }
        }
        if let dropout = component.object["dropout"], !dropout.isNull, dropout.double != 0 {
            throw component.unsupported("dropout")
        }
        guard file.vocabulary.count > 0 else {
            throw .field(file: TokenizerFile.name, name: "model.vocab", expected: "an object of tokens and ids")
        }
        vocabulary = file.vocabulary
        guard file.merges.count < PairTable.ruleLimit else { throw component.unsupported("so many merges") }
        pairs = PairTable(
            file.merges.enumerated().map { rank, merge in
                PairTable.Rule(
                    left: UInt32(merge.left), right: UInt32(merge.right), rank: UInt32(rank),
                    result: UInt32(merge.result))
            })
        fusesUnknown = try component.bool("fuse_unk", absent: false)
        if let unknown = component.object["unk_token"]?.string {
            guard let id = vocabulary.id(of: Array(unknown.utf8)) else {
                let problem = "the unk_token `\(unknown)` is not in the vocabulary"
                throw .inconsistent(file: TokenizerFile.name, problem: problem)
            }
            unknownID = id
        }
        let byteFallback = try component.bool("byte_fallback", absent: false)
        if isByteLevel {
            symbols = .bytes(vocabulary.byteSymbols)
        } else {
            symbols = .characters(
                CharacterSymbols(
                    tokens: vocabulary.singleCharacters, byteTokens: byteFallback ? vocabulary.byteTokens : nil))
        }
        if try component.bool("ignore_merges", absent: false) {
            wholeWords = isByteLevel ? vocabulary.decodedFromStandIns : vocabulary
        }
    }

    /// Notes which control tokens the merges could give, so that text without specials can avoid them.
    mutating func forbid(_ tokens: [AddedToken]) {
        let control = Set(tokens.filter(\.isControl).map(\.id))
        guard !control.isEmpty else { return }
        for id in control where wholeWords?.token(id) != nil { forbidden[id] = .some(nil) }
        for rule in pairs.rules where control.contains(Int32(rule.result)) {
            forbidden[Int32(rule.result)] = (Int32(rule.left), Int32(rule.right))
        }
    }
}

extension Vocabulary {
    /// Byte → id of its stand-in, `UInt32.max` where absent.
    var byteSymbols: [UInt32] {
        (0...255).map { (byte: UInt8) in
            id(of: ByteLevelAlphabet.encode([byte])).map { UInt32(bitPattern: $0) } ?? .max
        }
    }

    /// Byte → id of `<0xNN>`, −1 where absent.
    var byteTokens: [Int32] {
        let digits = Array("0123456789ABCDEF".utf8)
        return (0...255).map { byte in
            id(of: Array("<0x".utf8) + [digits[byte >> 4], digits[byte & 15], UInt8(ascii: ">")]) ?? -1
        }
    }

    /// The tokens of one character, under their ids.
    var singleCharacters: Vocabulary {
        var characters = Vocabulary()
        for id in 0..<Int32(idBound) {
            guard let token = token(id), token.count(where: { $0 & 0xC0 != 0x80 }) == 1 else { continue }
            let isOwn = characters.insert(token, id: Int(id))
            precondition(isOwn, "tokens of one vocabulary have ids of their own")
        }
        return characters
    }

    /// The tokens that are made of stand-ins only, under their bytes.
    var decodedFromStandIns: Vocabulary {
        var decoded = Vocabulary()
        for id in 0..<Int32(idBound) {
            if let token = token(id), let bytes = ByteLevelAlphabet.decode(Array(token)) {
                let isOwn = decoded.insert(bytes, id: Int(id))
                precondition(isOwn, "stand-ins map one to one, so two tokens can't mean the same bytes")
            }
        }
        return decoded
    }
}

extension CharacterSymbols {
    /// Whether a text can be cut wherever U+2581 follows another character without changing any merge, because no token
    /// goes across.
    func allowsSplitBeforeSpaces(_ vocabulary: Vocabulary) -> Bool {
        guard vocabulary.id(of: PreTokenizer.metaspace) != nil else { return false }
        return (0..<Int32(vocabulary.idBound)).allSatisfy { id in
            guard let token = vocabulary.token(id) else { return true }
            let text = Array(token)
            var seenOther = false
            var at = 0
            while at < text.count {
                let isSpace = text[at...].starts(with: PreTokenizer.metaspace)
                if isSpace, seenOther { return false }
                seenOther = seenOther || !isSpace
                at += isSpace ? 3 : 1
            }
            return true
        }
    }
}
