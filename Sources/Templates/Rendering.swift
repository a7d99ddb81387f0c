/// What a template made of a conversation: the text, where each byte came from, and what the model is to say.
package struct Rendering: Sendable, Equatable {
    /// The rendered text with the ranges that came from data.
    package var text: MarkedText
    /// Byte ranges that `{% generation %}` blocks wrote, in the order in which the blocks ended, as transformers tells
    /// them; nested blocks overlap.
    package var generationRanges: [Range<Int>]
    /// Whether some range doesn't hold what its block wrote, because the block stands in a macro, a capture or a filter
    /// whose text went elsewhere.
    package var hasMisplacedRanges: Bool

    /// A rendering of the given parts.
    package init(text: MarkedText, generationRanges: [Range<Int>] = [], hasMisplacedRanges: Bool = false) {
        self.text = text
        self.generationRanges = generationRanges
        self.hasMisplacedRanges = hasMisplacedRanges
    }
}
