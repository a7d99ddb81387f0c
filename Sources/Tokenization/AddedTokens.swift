/// A token that is cut out of the text before the model sees it.
package struct AddedToken: Sendable, Equatable {
    /// What stands in the text.
    package var content: String
    /// The id it gives, below `Vocabulary.idLimit`.
    package var id: Int32
    /// Matches only where no word character stands next to it.
    package var singleWord = false
    /// Takes the white space before it along.
    package var stripsLeft = false
    /// Takes the white space after it along.
    package var stripsRight = false
    /// Matches after normalisation, in its own normalised form.
    package var isNormalized = false
    /// Skipped by decoding with `skipSpecialTokens`.
    package var isSpecial = false

    /// A token with the given flags, all off by default.
    package init(
        content: String, id: Int32, singleWord: Bool = false, stripsLeft: Bool = false, stripsRight: Bool = false,
        isNormalized: Bool = false, isSpecial: Bool = false
    ) {
        self.content = content
        self.id = id
        self.singleWord = singleWord
        self.stripsLeft = stripsLeft
        self.stripsRight = stripsRight
        self.isNormalized = isNormalized
        self.isSpecial = isSpecial
    }

    /// Whether the token can open or close a turn, so that text from a data row must not give it: special tokens, and
    /// those spelled `<|…|>` or `<｜…｜>`, which some checkpoints forget to mark as special.
    package var isControl: Bool {
        isSpecial || isFramed("<|", "|>") || isFramed("<｜", "｜>")
    }

    /// By bytes: `hasPrefix` would take a combining mark behind the bar for a part of it.
    private func isFramed(_ head: String, _ tail: String) -> Bool {
        content.utf8.count > head.utf8.count && content.utf8.starts(with: head.utf8)
            && content.utf8.reversed().starts(with: tail.utf8.reversed())
    }
}

/// The added tokens of one kind (normalised or not), ready to be found in texts: leftmost, then longest.
struct AddedTokenMatcher: Sendable {
    private var trie = ByteTrie()
    private var tokens: [AddedToken] = []

    var isEmpty: Bool { tokens.isEmpty }

    /// Adds a token that matches `pattern`; an empty pattern never matches.
    mutating func insert(_ token: AddedToken, matching pattern: [UInt8]) {
        guard !pattern.isEmpty else { return }
        trie.insert(pattern, value: Int32(tokens.count))
        tokens.append(token)
    }

    /// Cuts a text at the added tokens: calls `body` for each stretch in order, with the token's id or nil.
    ///
    /// Without `matchSpecials` control tokens are found but left in the text: nothing inside one matches either.
    func forEachStretch(_ text: UTF8Text, matchSpecials: Bool, _ body: (Range<Int>, Int32?) -> Void) {
        var done = 0
        var at = trie.candidate(text, from: 0)
        while at < text.end {
            guard let (index, length) = trie.longestMatch(text, from: at) else {
                at = trie.candidate(text, from: at + 1)
                continue
            }
            let token = tokens[Int(index)]
            let match = at..<at + length
            at = trie.candidate(text, from: match.upperBound)
            if token.isControl && !matchSpecials { continue }
            if token.singleWord, text.hasWord(around: match) { continue }
            var start = match.lowerBound
            var end = match.upperBound
            // White space that the token before has taken stays with it.
            if token.stripsLeft { start = max(text.whiteSpaceStart(before: start), done) }
            if token.stripsRight { end = text.whiteSpaceEnd(from: end) }
            // Nothing is left of it when the token before has taken all of it as white space.
            guard start < end else { continue }
            if done < start { body(done..<start, nil) }
            body(start..<end, token.id)
            done = end
        }
        if done < text.end { body(done..<text.end, nil) }
    }
}

extension UTF8Text {
    fileprivate func hasWord(around range: Range<Int>) -> Bool {
        (range.lowerBound > 0 && isWord(at: scalarStart(before: range.lowerBound)))
            || (range.upperBound < end && isWord(at: range.upperBound))
    }

    /// `\w`: Alphabetic, M, Nd, Pc and the two joiners. Unicode Technical Standard 18, annex C.
    private func isWord(at: Int) -> Bool {
        var width = 0
        let scalar = scalar(at: at)
        if has([.letters, .marks, .decimalDigits, .letterNumbers, .connectors], at: at, width: &width) { return true }
        switch scalar {
        // Alphabetic symbols: circled and squared letters.
        case 0x24B6...0x24E9, 0x1F130...0x1F149, 0x1F150...0x1F169, 0x1F170...0x1F189: return true
        case 0x200C, 0x200D: return true
        default: return false
        }
    }
}
