import Models
import Testing

@Suite struct MicroBatchTests {
    @Test func `labels are shifted inside each document, and the first never counts`() {
        let batch = MicroBatch(documents: [([1, 2, 3], [1, -100, 3]), ([], []), ([4], [4]), ([5, 6], [5, 6])])

        #expect(batch.tokens == [1, 2, 3, 4, 5, 6])
        #expect(batch.targets == [-1, 3, -1, -1, 6, -1])
        #expect(batch.documents == [0, 3, 4] && batch.positions == [0, 1, 2, 0, 0, 1])
        #expect(batch.longestDocument == 3 && batch.trainedTokens == 2)
    }

    @Test func `no documents are an empty batch`() {
        let batch = MicroBatch(documents: [])
        #expect(batch.tokens.isEmpty && batch.documents.isEmpty)
        #expect(batch.longestDocument == 0 && batch.trainedTokens == 0)
    }
}
