/// T tokens of one forward and backward pass: documents laid one after another, which never see each other.
///
/// Positions restart at 0 in each document. Packed rows, ragged rows and batches without padding are all this.
package struct MicroBatch: Sendable, Equatable {
    /// `[T]` token ids.
    package let tokens: [Int32]
    /// `[T]` the id to be predicted at each token, −1 = untrained.
    package let targets: [Int32]
    /// First token of each document, ascending, the first 0; empty when there are no tokens.
    package let documents: [Int32]
    /// `[T]` place of each token in its document.
    package let positions: [Int32]
    /// `[T]` what random draws for each token depend on: its sequence and its place in that.
    package let places: [UInt64]
    /// Tokens of the longest document.
    package let longestDocument: Int
    /// Targets that count.
    package let trainedTokens: Int

    /// A micro-batch from already shifted targets; without `places` the tokens are counted.
    package init(tokens: [Int32], targets: [Int32], documents: [Int32], places: [UInt64]? = nil) {
        precondition(places.map { $0.count == tokens.count } ?? true, "every token needs a place")
        self.places = places ?? (0..<UInt64(tokens.count)).map(\.self)
        precondition(tokens.count == targets.count, "every token needs a target, −1 for none")
        precondition(
            tokens.isEmpty ? documents.isEmpty : documents.first == 0, "the first document starts at the first token")
        self.tokens = tokens
        self.targets = targets
        self.documents = documents
        var positions: [Int32] = []
        positions.reserveCapacity(tokens.count)
        var longest = 0
        for (index, start) in documents.enumerated() {
            let end = index + 1 < documents.count ? documents[index + 1] : Int32(tokens.count)
            precondition(start < end && end <= tokens.count, "documents ascend and are not empty")
            positions.append(contentsOf: 0..<end - start)
            longest = max(longest, Int(end - start))
        }
        self.positions = positions
        longestDocument = longest
        trainedTokens = targets.reduce(0) { $0 + ($1 >= 0 ? 1 : 0) }
    }

    /// A micro-batch from documents with labels aligned to their ids; a negative label is not trained.
    ///
    /// The label of a token is what its predecessor is to predict, so that the first label never counts. Empty
    /// documents are left out.
    package init(documents: [(ids: [Int32], labels: [Int32])]) {
        var (tokens, targets, starts): ([Int32], [Int32], [Int32]) = ([], [], [])
        for document in documents where !document.ids.isEmpty {
            precondition(document.ids.count == document.labels.count, "every id needs a label")
            starts.append(Int32(tokens.count))
            tokens += document.ids
            targets += document.labels.dropFirst().map { max($0, -1) }
            targets.append(-1)
        }
        self.init(tokens: tokens, targets: targets, documents: starts)
    }
}
