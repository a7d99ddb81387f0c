/// Byte-pair encoding of one word: first symbols, then merges by rank.
///
/// Sennrich et al. 2016, arXiv:1508.07909, §3.2; byte-level as in GPT-2; characters with byte fallback as in
/// SentencePiece.
struct BPEModel: Sendable {
    /// How a word becomes its first symbols.
    enum Symbols: Sendable {
        /// One symbol a byte; `UInt32.max` where the vocabulary has none for it.
        case bytes([UInt32])
        /// One symbol a character.
        case characters(CharacterSymbols)
    }

    /// The tokens as the file spells them.
    var vocabulary: Vocabulary
    var pairs: PairTable
    var symbols: Symbols
    /// Tokens that a whole word is looked up in before anything is merged (`ignore_merges`, tiktoken), as raw bytes.
    var wholeWords: Vocabulary?
    /// What stands for a symbol that the vocabulary doesn't have; nil drops it.
    var unknownID: Int32?
    /// Whether neighbouring unknown symbols become one.
    var fusesUnknown = false
    /// Ids that no plain text may give, each with the two it is merged from: see `Tokenizer.encode`, `matchSpecials`.
    var forbidden: [Int32: (left: Int32, right: Int32)?] = [:]

    /// Appends the ids of a word, valid UTF-8 of at least one byte.
    func encode(_ word: UnsafeBufferPointer<UInt8>, _ scratch: MergeScratch, to ids: TokenBuffer) {
        if let wholeWords, let id = wholeWords.id(of: word) {
            ids.append(id)
            return
        }
        merge(word, scratch, to: ids)
    }

    /// As `encode`, but no forbidden id comes out: such a token is taken apart again.
    func encodeWithoutForbidden(_ word: UnsafeBufferPointer<UInt8>, _ scratch: MergeScratch, to ids: TokenBuffer) {
        if let wholeWords, let id = wholeWords.id(of: word), forbidden[id] == nil {
            ids.append(id)
            return
        }
        let start = ids.count
        merge(word, scratch, to: ids)
        guard ids.ids[start...].contains(where: { forbidden[$0] != nil }) else { return }
        let merged = Array(ids.ids[start...])
        ids.truncate(to: start)
        for id in merged { appendParts(of: id, to: ids) }
    }

    private func appendParts(of id: Int32, to ids: TokenBuffer) {
        guard let parts = forbidden[id] else { return ids.append(id) }
        // A forbidden token that is no merge has no parts; the text it stood for is dropped.
        guard let parts else { return }
        appendParts(of: parts.left, to: ids)
        appendParts(of: parts.right, to: ids)
    }

    private func merge(_ word: UnsafeBufferPointer<UInt8>, _ scratch: MergeScratch, to ids: TokenBuffer) {
        scratch.reserve(word.count)
        let count: Int
        switch symbols {
        case .bytes(let table): count = fill(word, table, scratch)
        case .characters(let characters):
            count = characters.fill(word, scratch, unknownID: unknownID, fusesUnknown: fusesUnknown)
        }
        let kept = pairs.withView { scratch.merge(count, $0) }
        if case .characters(let characters) = symbols, characters.hasGhosts {
            for index in 0..<kept { characters.append(scratch.ids[index], unknownID: unknownID, to: ids) }
            return
        }
        scratch.ids.withMemoryRebound(to: Int32.self, capacity: max(kept, 1)) {
            ids.append(UnsafeBufferPointer(start: $0, count: kept))
        }
    }

    private func fill(_ word: UnsafeBufferPointer<UInt8>, _ table: [UInt32], _ scratch: MergeScratch) -> Int {
        var count = 0
        var lastIsUnknown = false
        for byte in word {
            var id = table[Int(byte)]
            let isUnknown = id == .max
            if isUnknown {
                guard let unknownID, !(lastIsUnknown && fusesUnknown) else { continue }
                id = UInt32(bitPattern: unknownID)
            }
            lastIsUnknown = isUnknown
            scratch.put(id, at: &count)
        }
        return count
    }
}

/// How a word of characters becomes symbols when some characters are not tokens.
struct CharacterSymbols: Sendable {
    /// The tokens of one character.
    var tokens = Vocabulary()
    /// Ids of the tokens `<0x00>`…`<0xFF>`, −1 where absent; nil without byte fallback.
    var byteTokens: [Int32]?
    /// Tokens that are taken whole, longest first, before any merge (SentencePiece's user-defined pieces).
    var userPieces = ByteTrie()
    /// Characters that are no tokens but begin or end some: they take part in merges under ids above the vocabulary's.
    var ghosts = Vocabulary()

    /// Whether a symbol after the merges may be a ghost.
    var hasGhosts: Bool { ghosts.count > 0 }

    func fill(
        _ word: UnsafeBufferPointer<UInt8>, _ scratch: MergeScratch, unknownID: Int32?, fusesUnknown: Bool
    ) -> Int {
        let text = UTF8Text(word.baseAddress!, count: word.count)
        var count = 0
        var at = 0
        // An unknown character waits until the next one tells whether they fuse; byte tokens overtake it, as in
        // Hugging Face's implementation.
        var unknownWaits = false
        func flush() {
            guard unknownWaits, let unknownID else { return }
            scratch.put(UInt32(bitPattern: unknownID), at: &count)
            unknownWaits = false
        }
        while at < text.end {
            if let (piece, length) = userPieces.longestMatch(text, from: at) {
                flush()
                scratch.put(UInt32(bitPattern: piece), at: &count)
                at += length
                continue
            }
            let width = text.width(at: at)
            let character = UnsafeBufferPointer(rebasing: word[at..<at + width])
            at += width
            if let id = tokens.id(of: character) ?? ghosts.id(of: character) {
                flush()
                scratch.put(UInt32(bitPattern: id), at: &count)
            } else if let byteTokens, character.allSatisfy({ byteTokens[Int($0)] >= 0 }) {
                for byte in character { scratch.put(UInt32(bitPattern: byteTokens[Int(byte)]), at: &count) }
            } else {
                if !fusesUnknown { flush() }
                unknownWaits = true
            }
        }
        flush()
        return count
    }

    /// Appends a symbol that is left after the merges; a ghost becomes its bytes' tokens or the unknown token.
    func append(_ symbol: UInt32, unknownID: Int32?, to ids: TokenBuffer) {
        let id = Int32(bitPattern: symbol)
        guard let character = ghosts.token(id) else { return ids.append(id) }
        if let byteTokens, character.allSatisfy({ byteTokens[Int($0)] >= 0 }) {
            for byte in character { ids.append(byteTokens[Int(byte)]) }
        } else if let unknownID {
            ids.append(unknownID)
        }
    }
}
