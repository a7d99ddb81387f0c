/// A tokenised example.
package struct Sample: Sendable, Equatable {
    /// The value of a label that doesn't count in the loss.
    package static let ignored: Int32 = -100

    /// T tokens.
    package var ids: [Int32]
    /// [T], aligned with `ids`: the token itself where the model is to learn it, −100 elsewhere.
    package var labels: [Int32]

    /// A sample of T ids and T labels.
    package init(ids: [Int32], labels: [Int32]) {
        precondition(ids.count == labels.count, "every token has a label")
        self.ids = ids
        self.labels = labels
    }

    /// A sample without tokens.
    package init() { self.init(ids: [], labels: []) }

    /// T.
    package var count: Int { ids.count }

    /// Labels that count in the loss: all but position 0, which nothing predicts.
    package var trainedTokens: Int {
        var count = 0
        for place in labels.indices.dropFirst() where labels[place] != Self.ignored { count += 1 }
        return count
    }

    /// Appends tokens that are all trained, or all not.
    package mutating func append(_ tokens: [Int32], trained: Bool) {
        ids += tokens
        if trained { labels += tokens } else { labels += repeatElement(Self.ignored, count: tokens.count) }
    }
}
