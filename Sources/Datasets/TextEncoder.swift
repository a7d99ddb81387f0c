/// What sample making needs of a tokenizer.
package protocol TextEncoder: Sendable {
    /// The token that ends a document; nil when the vocabulary has none.
    var endOfText: Int32? { get }
    /// Tokens that are matched as whole texts before anything else.
    var addedTokens: [AddedToken] { get }
    /// Tokens of a whole document, with the tokens that the tokenizer puts around one (a leading bos, say) except a
    /// closing end-of-text; no special token is matched inside.
    func document(_ text: String) -> [Int32]
    /// Tokens of a piece in the middle of a text; no added token is matched inside.
    func piece(_ text: String) -> [Int32]
    /// Readable text of tokens, special ones included.
    func text(of ids: [Int32]) -> String
}

/// A text that stands for one token wherever it is matched.
package struct AddedToken: Sendable, Equatable {
    package var id: Int32
    package var text: String
    /// Control tokens (turn marks, end of text) rather than frequent words.
    package var isSpecial: Bool
    /// Whether white space before, after the text belongs to the match.
    package var stripsLeft: Bool
    package var stripsRight: Bool

    package init(id: Int32, text: String, isSpecial: Bool, stripsLeft: Bool = false, stripsRight: Bool = false) {
        self.id = id
        self.text = text
        self.isSpecial = isSpecial
        self.stripsLeft = stripsLeft
        self.stripsRight = stripsRight
    }
}
