/// What a template made of a conversation: the text, where each byte came from, and what the model is to say.
package struct Rendering: Sendable, Equatable {
    /// The rendered text with the ranges that came from data.
    package var text: MarkedText
    /// Byte ranges that `{% generation %}` blocks wrote, ascending and disjoint.
    package var generationRanges: [Range<Int>]

    /// A rendering of the given parts.
    package init(text: MarkedText, generationRanges: [Range<Int>] = []) {
        self.text = text
        self.generationRanges = generationRanges
    }
}
