/// One way to cut a text into pieces: a hand-written scanner for one known pattern.
///
/// Each splits like the regular expression in its comment with behaviour `Isolated`: every match is a piece, and so
/// is what stands between two matches.
enum Splitter: Sendable, Equatable {
    /// GPT-2: `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
    case gpt2
    /// cl100k and its children (Llama-3, GLM-4, Qwen2, Qwen3, Hunyuan-A13B), with `D` = `digits`:
    /// `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,D}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|`
    /// `\s+(?!\S)|\s+`; with `marksAreLetters` (Qwen3.5) `\p{L}` of the two runs is `[\p{L}\p{M}]`.
    case tiktoken(digits: Int, marksAreLetters: Bool)
    /// o200k (GPT-4o, gpt-oss; Mistral-Nemo with one digit and no contractions): words cut where the case changes,
    /// contractions joined to their word.
    case o200k(digits: Int, contractions: Bool)
    /// DeepSeek-V3's and Hunyuan's third split: ASCII punctuation before letters, words, punctuation, white space.
    case deepSeekWords
    /// `\p{N}{1,limit}`
    case numbers(limit: Int)
    /// `[一-龥぀-ゟ゠-ヿ]+`
    case ideographsAndKana
    /// `\p{N}+`
    case numberRuns
    /// Digits one by one or in runs. They are those of Rust's `char::is_numeric`, which is a version of Unicode ahead
    /// of `\p{N}`.
    case digits(individual: Bool)
    /// `[\r\n]`
    case newline
    /// `\s?\p{L}+` or `\s?\p{P}+`
    case spaced(letters: Bool)
    /// `[一-龥ࠀ-一가-퟿]+`
    case ideographsAndAbove
    /// Every U+2581 starts a piece.
    case metaspace
    /// Runs of U+2581 with what follows them up to the next: what SentencePiece vocabularies never merge across.
    case spacesFirst

    /// The end of the piece that starts at `at`, which is below `text.end`.
    @inline(__always)
    func pieceEnd(in text: UTF8Text, from at: Int) -> Int {
        switch self {
        case .tiktoken(let digits, let marksAreLetters):
            let letters: CategorySet = marksAreLetters ? [.letters, .marks] : .letters
            return text.tiktokenPiece(from: at, letters: letters, digits: digits)
        case .gpt2: return text.gpt2Piece(from: at)
        case .o200k(let digits, let contractions):
            return text.o200kPiece(from: at, digits: digits, contractions: contractions)
        case .metaspace: return text.metaspacePiece(from: at)
        case .spacesFirst: return text.spacesFirstPiece(from: at)
        default: return gappedPieceEnd(in: text, from: at)
        }
    }

    /// The piece end for patterns that do not match everywhere: a match, or all up to the next match.
    private func gappedPieceEnd(in text: UTF8Text, from at: Int) -> Int {
        var position = at
        while position < text.end {
            if let matched = matchEnd(in: text, from: position) { return position == at ? matched : position }
            position += text.width(at: position)
        }
        return position
    }

    private func matchEnd(in text: UTF8Text, from at: Int) -> Int? {
        let found: Int
        switch self {
        case .deepSeekWords: return text.deepSeekMatch(from: at)
        case .numbers(let limit): found = text.numberEnd(from: at, limit: limit)
        case .numberRuns: found = text.runEnd(.numbers, from: at)
        case .digits(let individual):
            let first = individual ? text.prefix(upTo: at + text.width(at: at)) : text
            found = first.scalarRunEnd(from: at) { $0.isUnicode17Number }
        case .ideographsAndKana:
            found = text.scalarRunEnd(from: at) { (0x4E00...0x9FA5) ~= $0 || (0x3040...0x30FF) ~= $0 }
        case .ideographsAndAbove:
            found = text.scalarRunEnd(from: at) { (0x0800...0x9FA5) ~= $0 || (0xAC00...0xD7FF) ~= $0 }
        case .newline: found = text.bytes[at] == 0x0A || text.bytes[at] == 0x0D ? at + 1 : at
        case .spaced(let letters): return text.spacedRunEnd(letters ? .letters : .punctuation, from: at)
        case .gpt2, .tiktoken, .o200k, .metaspace, .spacesFirst: return pieceEnd(in: text, from: at)
        }
        return found > at ? found : nil
    }
}

extension UInt32 {
    /// N of Unicode 17.0: that of 16.0 and thirteen code points more.
    fileprivate var isUnicode17Number: Bool {
        switch self {
        case 0x11DE0...0x11DE9, 0x16FF4...0x16FF6: true
        default: CategorySet.numbers.contains(UnicodeProperties.shared.category(of: self))
        }
    }
}

extension UTF8Text {
    func scalarRunEnd(from at: Int, _ accepts: (UInt32) -> Bool) -> Int {
        var at = at
        while at < end, accepts(scalar(at: at)) { at += width(at: at) }
        return at
    }

    func spacedRunEnd(_ set: CategorySet, from at: Int) -> Int? {
        var width = 0
        var start = at
        if property(at: at, width: &width) & UnicodeProperties.whiteSpace != 0 { start += width }
        let found = runEnd(set, from: start)
        return found > start ? found : nil
    }

    func spacesFirstPiece(from at: Int) -> Int {
        var position = at
        while position < end, isMetaspace(at: position) { position += 3 }
        while position < end, !isMetaspace(at: position) { position += width(at: position) }
        return position
    }

    @inline(__always)
    private func isMetaspace(at: Int) -> Bool {
        bytes[at] == 0xE2 && bytes[at + 1] == 0x96 && bytes[at + 2] == 0x81
    }

    func metaspacePiece(from at: Int) -> Int {
        var position = at + width(at: at)
        while position < end, scalar(at: position) != 0x2581 { position += width(at: position) }
        return position
    }
}
