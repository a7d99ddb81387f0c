/// What a tiktoken rank file doesn't say about itself.
package struct TiktokenScheme: Sendable {
    /// How the text is cut; the patterns are those of `Splitter`.
    package enum Pattern: Sendable {
        case gpt2, llama3, qwen2, o200k
    }

    /// How this file's texts are cut.
    package var pattern: Pattern
    /// Whether the text is brought to NFC first.
    package var normalizes: Bool
    /// Special tokens, whose ids follow the highest rank. Those of tokenizer_config.json, if there is one, win.
    package var specialTokens: [String]

    /// A scheme of one's own.
    package init(pattern: Pattern, normalizes: Bool = false, specialTokens: [String] = []) {
        self.pattern = pattern
        self.normalizes = normalizes
        self.specialTokens = specialTokens
    }

    /// Qwen (first generation), `qwen.tiktoken`: 151 643 ranks. Source: its `tokenization_qwen.py`.
    package static let qwen = TiktokenScheme(
        pattern: .qwen2, normalizes: true,
        specialTokens: ["<|endoftext|>", "<|im_start|>", "<|im_end|>"] + (0..<205).map { "<|extra_\($0)|>" })

    /// Llama 3, `tokenizer.model` of the original layout: 128 000 ranks. Source: meta-llama/llama-models, tokenizer.py.
    package static let llama3 = TiktokenScheme(
        pattern: .llama3,
        specialTokens: [
            "<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>", "<|reserved_special_token_1|>",
            "<|finetune_right_pad_id|>", "<|step_id|>", "<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>",
            "<|eot_id|>", "<|python_tag|>",
        ] + (2..<247).map { "<|reserved_special_token_\($0)|>" })
}

extension Tokenizer {
    /// Reads a tiktoken file: lines of a token in base64, a space and its rank, which is its id.
    ///
    /// The pair whose concatenation has the lowest rank is merged first; whole words are looked up before.
    package static func read(
        tiktoken bytes: [UInt8], scheme: TiktokenScheme, configJSON: [UInt8]? = nil
    ) throws(TokenizationError) -> Tokenizer {
        let settings = try TokenizerSettings(configJSON)
        let ranks = try TiktokenFile.read(bytes)
        var vocabulary = Vocabulary()
        for id in 0..<Int32(ranks.idBound) {
            guard let token = ranks.token(id) else { continue }
            let isOwn = vocabulary.insert(ByteLevelAlphabet.encode(token), id: Int(id))
            precondition(isOwn, "stand-ins map one to one, so no two tokens meet")
        }
        var model = BPEModel(
            vocabulary: vocabulary, pairs: try TiktokenFile.pairs(ranks), symbols: .bytes(vocabulary.byteSymbols),
            wholeWords: ranks)
        var tokens = settings.addedTokens
        if tokens.isEmpty {
            tokens = scheme.specialTokens.enumerated().map {
                AddedToken(content: $1, id: Int32(ranks.idBound + $0), isSpecial: true)
            }
        }
        model.forbid(tokens)
        return Tokenizer(
            Storage(
                normalizer: Normalizer(steps: scheme.normalizes ? [.canonicalComposition] : []),
                preTokenizer: PreTokenizer(splitters: [scheme.pattern.splitter]), model: model,
                postProcessor: PostProcessor(settings, tokens), decoder: .byteLevel, addedTokens: tokens),
            settings)
    }
}

extension TiktokenScheme.Pattern {
    fileprivate var splitter: Splitter {
        switch self {
        case .gpt2: .gpt2
        case .llama3: .tiktoken(digits: 3, marksAreLetters: false)
        case .qwen2: .qwen2
        case .o200k: .o200k(digits: 3, contractions: true)
        }
    }
}

extension PostProcessor {
    /// `add_bos_token` and `add_eos_token` of tokenizer_config.json, for files without a post-processor of their own.
    init(_ settings: TokenizerSettings, _ tokens: [AddedToken], addsBOS: Bool = false) {
        func id(_ variable: String) -> Int32? {
            guard let text = settings.specialTokens[variable] else { return nil }
            return tokens.first { $0.content.utf8.elementsEqual(text.utf8) }?.id
        }
        if settings.addsBOS ?? addsBOS, let id = id("bos_token") { prefix = [id] }
        if settings.addsEOS ?? false, let id = id("eos_token") { suffix = [id] }
    }
}

/// The format of tiktoken's rank files. Source: openai/tiktoken, `load.py`.
enum TiktokenFile {
    static let name = "the tiktoken file"

    /// Raw bytes → rank.
    static func read(_ bytes: [UInt8]) throws(TokenizationError) -> Vocabulary {
        var ranks = Vocabulary()
        var start = 0
        while start < bytes.count {
            let end = bytes[start...].firstIndex(of: 0x0A) ?? bytes.count
            let line = bytes[start..<end]
            if !line.isEmpty {
                let parts = line.split(separator: 0x20, omittingEmptySubsequences: false)
                guard parts.count == 2, let token = decodeBase64(parts[0]), !token.isEmpty,
                    let rank = Int(String(decoding: parts[1].filter { $0 != 0x0D }, as: UTF8.self)),
                    ranks.id(of: token) == nil, ranks.insert(token, id: rank)
                else {
                    let problem = "expected a new token in base64, a space and a new rank"
                    throw .malformed(file: name, offset: start, problem: problem)
                }
            }
            start = end + 1
        }
        for byte in UInt8.min...UInt8.max where ranks.id(of: [byte]) == nil {
            throw .inconsistent(file: name, problem: "the byte \(byte) is no token")
        }
        return ranks
    }

    /// Every way to put a token together from two others; the rank is the token's.
    static func pairs(_ ranks: Vocabulary) throws(TokenizationError) -> PairTable {
        var rules: [PairTable.Rule] = []
        for id in 0..<Int32(ranks.idBound) {
            guard let token = ranks.token(id) else { continue }
            for cut in token.indices.dropFirst() {
                guard let left = ranks.id(of: token[..<cut]), let right = ranks.id(of: token[cut...]) else { continue }
                rules.append(
                    PairTable.Rule(left: UInt32(left), right: UInt32(right), rank: UInt32(id), result: UInt32(id)))
            }
        }
        guard rules.count < PairTable.ruleLimit else {
            throw .unsupported(file: name, feature: "so large a vocabulary")
        }
        return PairTable(rules)
    }

    /// RFC 4648 §4, with padding; nil for anything else.
    static func decodeBase64(_ text: ArraySlice<UInt8>) -> [UInt8]? {
        guard text.count % 4 == 0 else { return nil }
        let digits = text.reversed().drop { $0 == UInt8(ascii: "=") }.reversed()
        guard text.count - digits.count <= 2 else { return nil }
        var decoded: [UInt8] = []
        var bits: UInt32 = 0
        var count = 0
        for digit in digits {
            let value: UInt8
            switch digit {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): value = digit - UInt8(ascii: "A")
            case UInt8(ascii: "a")...UInt8(ascii: "z"): value = digit - UInt8(ascii: "a") + 26
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = digit - UInt8(ascii: "0") + 52
            case UInt8(ascii: "+"): value = 62
            case UInt8(ascii: "/"): value = 63
            default: return nil
            }
            bits = bits << 6 | UInt32(value)
            count += 6
            if count >= 8 {
                count -= 8
                decoded.append(UInt8(truncatingIfNeeded: bits >> UInt32(count)))
            }
        }
        return decoded
    }
}
