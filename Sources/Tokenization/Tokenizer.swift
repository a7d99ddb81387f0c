package import Terms

/// Text to ids and back, exactly as the model's own tokenizer does it. A value that is cheap to copy.
package struct Tokenizer: Sendable {
    let storage: Storage
    /// The variables that tokenizer_config.json gives to chat templates: `bos_token`, `eos_token`, … → text.
    package let specialTokens: [String: String]
    /// The chat template of tokenizer_config.json: a string, or a list of `{name, template}`; nil when it has none.
    package let chatTemplate: JSONValue?

    init(_ storage: Storage, _ settings: TokenizerSettings) {
        self.storage = storage
        specialTokens = settings.specialTokens
        chatTemplate = settings.chatTemplate
    }

    /// One more than the highest id: how many rows an embedding needs at least.
    package var vocabularySize: Int { storage.idBound }
    /// The id of `bos_token`.
    package var bosID: Int32? { id(ofVariable: "bos_token") }
    /// The id of `eos_token`.
    package var eosID: Int32? { id(ofVariable: "eos_token") }
    /// The id of `pad_token`.
    package var padID: Int32? { id(ofVariable: "pad_token") }
    /// The id of `unk_token`, or what the model itself uses for unknown characters.
    package var unkID: Int32? { id(ofVariable: "unk_token") ?? storage.model.unknownID }
    /// All added tokens, ascending by id.
    package var addedTokens: [AddedToken] { storage.addedTokens }

    /// The id of a token as the file spells it (byte-level tokens in stand-ins, `Ġthe`), nil when there is none.
    package func id(of token: String) -> Int32? {
        storage.addedIDs[Array(token.utf8)] ?? storage.model.vocabulary.id(of: Array(token.utf8))
    }

    /// The token with an id as the file spells it, nil when there is none.
    package func token(_ id: Int32) -> String? {
        if let added = storage.addedByID[id] { return added.content }
        return storage.model.vocabulary.token(id).map { String(decoding: $0, as: UTF8.self) }
    }

    private func id(ofVariable name: String) -> Int32? { specialTokens[name].flatMap { id(of: $0) } }

    /// The text of ids; ids that the vocabulary doesn't have are left out.
    ///
    /// - Parameter skipSpecialTokens: leaves out the tokens that are marked special.
    package func decode(_ ids: [Int32], skipSpecialTokens: Bool = false) -> String {
        if storage.decoder == .byteLevel {
            var bytes: [UInt8] = []
            for id in ids {
                if let token = storage.decodedToken(id, skipSpecialTokens: skipSpecialTokens) { bytes += token }
            }
            return String(decoding: bytes, as: UTF8.self)
        }
        var decoder = streamingDecoder(skipSpecialTokens: skipSpecialTokens)
        var output: [UInt8] = []
        for id in ids { decoder.push(id, into: &output) }
        decoder.flushRun(into: &output)
        return String(decoding: output, as: UTF8.self)
    }

    /// A decoder for ids that come one by one.
    package func streamingDecoder(skipSpecialTokens: Bool = false) -> StreamingDecoder {
        StreamingDecoder(self, skipSpecialTokens: skipSpecialTokens)
    }
}

extension Tokenizer {
    /// The parts of a tokenizer, read-only after `init` but for the pool of working memory.
    final class Storage: Sendable {
        let normalizer: Normalizer
        let preTokenizer: PreTokenizer
        let model: BPEModel
        let postProcessor: PostProcessor
        let decoder: TokenDecoder
        /// Ascending by id.
        let addedTokens: [AddedToken]
        let addedByID: [Int32: AddedToken]
        /// Content as UTF-8 → id.
        let addedIDs: [[UInt8]: Int32]
        /// Tokens found in the text as it comes, and those found after normalisation.
        let rawTokens: AddedTokenMatcher
        let normalizedTokens: AddedTokenMatcher
        let idBound: Int
        /// Id → what it decodes to before the steps between tokens.
        private let decoded: Vocabulary.DecodedTokens
        let pool = ScratchPool()

        /// - Parameter addedTokens: at most one a content; the first of several with one pattern is found.
        init(
            normalizer: Normalizer, preTokenizer: PreTokenizer, model: BPEModel, postProcessor: PostProcessor,
            decoder: TokenDecoder, addedTokens: [AddedToken]
        ) {
            self.normalizer = normalizer
            self.preTokenizer = preTokenizer
            self.postProcessor = postProcessor
            self.decoder = decoder
            self.model = model
            var raw = AddedTokenMatcher()
            var normalized = AddedTokenMatcher()
            var special: Set<[UInt8]> = []
            var spellings: [Int32: [UInt8]] = [:]
            for token in addedTokens {
                let content = Array(token.content.utf8)
                // A normalised token is also decoded from its normalised form.
                let pattern = token.isNormalized ? normalizer.normalized(content) : content
                if token.isNormalized {
                    normalized.insert(token, matching: pattern)
                } else {
                    raw.insert(token, matching: pattern)
                }
                if token.isSpecial { special.insert(content) }
                spellings[token.id] = pattern
            }
            rawTokens = raw
            normalizedTokens = normalized
            self.addedTokens = addedTokens.sorted { $0.id < $1.id }
            addedByID = Dictionary(addedTokens.map { ($0.id, $0) }) { $1 }
            addedIDs = Dictionary(addedTokens.map { (Array($0.content.utf8), $0.id) }) { $1 }
            idBound = max(model.vocabulary.idBound, Int(addedTokens.map(\.id).max() ?? -1) + 1)
            decoded = Vocabulary.DecodedTokens(
                model.vocabulary, idBound: idBound, spellings: spellings, special: special, decoder: decoder)
        }

        /// What an id decodes to on its own; nil when there is no such token or it is skipped.
        func decodedToken(_ id: Int32, skipSpecialTokens: Bool) -> ArraySlice<UInt8>? {
            decoded.bytes(id, skipSpecialTokens: skipSpecialTokens)
        }
    }
}
