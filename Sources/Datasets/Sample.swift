/// A tokenised example.
package struct Sample: Sendable, Equatable {
    /// The value of a label that doesn't count in the loss.
    package static let ignored: Int32 = -100

    /// T tokens.
    package var ids: [Int32]
    /// [T], aligned with `ids`: the token itself where the model is to learn it, −100 elsewhere.
    package var labels: [Int32]

    package init(ids: [Int32], labels: [Int32]) {
        precondition(ids.count == labels.count, "every token has a label")
        self.ids = ids
        self.labels = labels
    }

    package init() { self.init(ids: [], labels: []) }

    package var count: Int { ids.count }

    /// Labels that count in the loss: all but position 0, which nothing predicts.
    package var trainedTokens: Int { labels.dropFirst().reduce(0) { $0 + ($1 == Self.ignored ? 0 : 1) } }

    package mutating func append(_ tokens: some Sequence<Int32>, trained: Bool) {
        for token in tokens {
            ids.append(token)
            labels.append(trained ? token : Self.ignored)
        }
    }
}
