extension Tokenizer {
    /// Reads a SentencePiece BPE model (`tokenizer.model`), and tokenizer_config.json beside it if there is one.
    ///
    /// Ids equal those of SentencePiece for text without special tokens; special tokens, the prefix after them and
    /// decoding follow Hugging Face's conversion of such files.
    package static func read(
        sentencePiece bytes: [UInt8], configJSON: [UInt8]? = nil
    ) throws(TokenizationError) -> Tokenizer {
        let file = try SentencePieceFile(bytes)
        var settings = try TokenizerSettings(configJSON)
        settings.addDefaults(file)
        var model = try BPEModel(file)
        let tokens = try AddedToken.list(file, settings, model.vocabulary)
        model.forbid(tokens)
        var preTokenizer = PreTokenizer()
        if case .characters(let characters) = model.symbols, characters.allowsSplitBeforeSpaces(model.vocabulary) {
            preTokenizer.splitters = [.spacesFirst]
        }
        var steps: [Normalizer.Step] = file.removesExtraSpaces ? [.collapseSpaces] : []
        if file.addsDummyPrefix {
            if settings.isLegacy {
                steps.append(.prepend(PreTokenizer.metaspace))
            } else {
                preTokenizer.prefix = .metaspace(.first)
            }
        }
        steps.append(.replace([UInt8(ascii: " ")], with: PreTokenizer.metaspace))
        if file.removesExtraSpaces { steps.append(.trimEnd(PreTokenizer.metaspace)) }
        return Tokenizer(
            Storage(
                normalizer: Normalizer(steps: steps), preTokenizer: preTokenizer, model: model,
                postProcessor: PostProcessor(settings, tokens, addsBOS: true), decoder: .characters(file.decoding),
                addedTokens: tokens),
            settings)
    }
}

extension SentencePieceFile {
    fileprivate var decoding: CharacterDecoding {
        CharacterDecoding(
            replacements: [.init(pattern: PreTokenizer.metaspace, content: [UInt8(ascii: " ")])],
            byteFallback: byteFallback, strip: [UInt8(ascii: " ")],
            stripLimit: removesExtraSpaces ? .max : addsDummyPrefix ? 1 : 0)
    }
}

extension TokenizerSettings {
    /// Names the pieces that the model file itself calls beginning, end, padding and unknown.
    fileprivate mutating func addDefaults(_ file: SentencePieceFile) {
        let ids = [
            ("bos_token", file.bosID), ("eos_token", file.eosID), ("pad_token", file.padID),
            ("unk_token", file.unknownID),
        ]
        for (variable, id) in ids where specialTokens[variable] == nil && file.pieces.indices.contains(id) {
            specialTokens[variable] = String(decoding: file.pieces[id].text, as: UTF8.self)
        }
    }
}

extension AddedToken {
    /// Control pieces, the unknown piece, and what the configuration adds.
    fileprivate static func list(
        _ file: SentencePieceFile, _ settings: TokenizerSettings, _ vocabulary: Vocabulary
    ) throws(TokenizationError) -> [AddedToken] {
        var tokens = file.pieces.enumerated().filter { $1.kind == .control || $1.kind == .unknown }.map { id, piece in
            AddedToken(content: String(decoding: piece.text, as: UTF8.self), id: Int32(id), isSpecial: true)
        }
        for added in settings.addedTokens {
            if let known = vocabulary.id(of: Array(added.content.utf8)), known != added.id {
                throw .inconsistent(
                    file: TokenizerSettings.fileName,
                    problem: "the added token `\(added.content)` states id \(added.id), but its id is \(known)")
            }
            tokens.removeAll { $0.id == added.id }
            tokens.append(added)
        }
        return tokens
    }
}

extension BPEModel {
    /// The merges of a SentencePiece model: every way to put a piece together, the highest score first.
    fileprivate init(_ file: SentencePieceFile) throws(TokenizationError) {
        vocabulary = Vocabulary()
        var characters = CharacterSymbols()
        var matchable = Vocabulary()
        for (id, piece) in file.pieces.enumerated() {
            guard vocabulary.id(of: piece.text) == nil, vocabulary.insert(piece.text, id: id) else {
                let text = String(decoding: piece.text, as: UTF8.self)
                throw .inconsistent(file: SentencePieceFile.name, problem: "piece \(id) stands twice: `\(text)`")
            }
            if piece.kind == .userDefined { characters.userPieces.insert(piece.text, value: Int32(id)) }
            guard piece.kind == .normal else { continue }
            let isNew = matchable.insert(piece.text, id: id)
            precondition(isNew, "pieces are unique, so normal pieces are")
        }
        characters.addGhosts(file.pieces, matchable, from: file.pieces.count)
        characters.tokens = matchable.singleCharacters
        if file.byteFallback { characters.byteTokens = vocabulary.byteTokens }
        pairs = try Self.pairs(file.pieces, matchable, characters.ghosts)
        symbols = .characters(characters)
        unknownID = Int32(file.unknownID)
        fusesUnknown = true
    }

    private static func pairs(
        _ pieces: [SentencePieceFile.Piece], _ matchable: Vocabulary, _ ghosts: Vocabulary
    ) throws(TokenizationError) -> PairTable {
        let normal = pieces.indices.filter { pieces[$0].kind == .normal }
            .sorted { (-pieces[$0].score, $0) < (-pieces[$1].score, $1) }
        var rules: [PairTable.Rule] = []
        var rank: UInt32 = 0
        for (place, id) in normal.enumerated() {
            if place > 0, pieces[normal[place - 1]].score != pieces[id].score { rank += 1 }
            let text = pieces[id].text[...]
            for cut in text.indices.dropFirst() where text[cut] & 0xC0 != 0x80 {
                guard let left = matchable.id(of: text[..<cut]) ?? ghosts.id(of: text[..<cut]),
                    let right = matchable.id(of: text[cut...]) ?? ghosts.id(of: text[cut...])
                else { continue }
                rules.append(PairTable.Rule(left: UInt32(left), right: UInt32(right), rank: rank, result: UInt32(id)))
            }
        }
        guard rules.count < PairTable.ruleLimit else {
            throw .unsupported(file: SentencePieceFile.name, feature: "so large a vocabulary")
        }
        return PairTable(rules)
    }
}

extension CharacterSymbols {
    /// Numbers the characters of pieces that are no pieces themselves, from `next` on.
    fileprivate mutating func addGhosts(_ pieces: [SentencePieceFile.Piece], _ matchable: Vocabulary, from next: Int) {
        var next = next
        for piece in pieces where piece.kind == .normal {
            for scalar in String(decoding: piece.text, as: UTF8.self).unicodeScalars {
                let character = Array(UTF8.encode(scalar)!)
                guard matchable.id(of: character) == nil, ghosts.id(of: character) == nil else { continue }
                // A character is at most as rare as the bytes of the file, which leave room below the limit of ids.
                if ghosts.insert(character, id: next) { next += 1 }
            }
        }
    }
}
