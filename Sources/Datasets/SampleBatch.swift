import Terms
import Tokenization

/// The samples of some rows that stand one after another in a file, in memory that is used again.
///
/// Written by one thread, then read by another: the reader hands it over whole.
package final class SampleBatch: @unchecked Sendable {
    /// What became of a row.
    package struct Row {
        /// Where the row begins, from 1.
        package var line: Int
        /// Where its ids begin in the payload; as many labels follow.
        var start = 0
        /// Tokens.
        package var count = 0
        /// Labels that count in the loss: all but position 0, which nothing predicts.
        package var trainedTokens = 0
        /// Why there is no sample.
        package var problem: RowProblem?
    }

    /// In file order.
    package internal(set) var rows: [Row] = []
    /// For each row with a sample its ids, then its labels: what stands in a token cache.
    let payload = TokenBuffer()
    /// The rows as they were read.
    var source = RowChunk()

    /// Room that a batch keeps when it is used again; a row of many megabytes doesn't cost memory for ever.
    static let keptBytes = 32 << 20

    /// The sample of a row that has no problem.
    package func sample(of row: Row) -> Sample {
        let ids = payload.ids[row.start..<row.start + row.count]
        return Sample(ids: Array(ids), labels: Array(payload.ids[ids.endIndex..<ids.endIndex + row.count]))
    }

    /// Ids and labels of a row, `2 * count` numbers in memory.
    package func withPayload<Result>(of row: Row, _ body: (UnsafeBufferPointer<Int32>) -> Result) -> Result {
        body(UnsafeBufferPointer(rebasing: payload.ids[row.start..<row.start + 2 * row.count]))
    }
}

/// Rows of a file as they were read: their bytes one after another, and where each stands.
struct RowChunk: Sendable {
    var bytes: [UInt8] = []
    var rows: [Row] = []
    /// Where the reader stood behind them.
    var position: RowSource.Position?
    var bytesRead = 0
    /// Where the first row begins in its file; set for a chunk, whose lines are counted from there.
    var start = 0

    struct Row: Sendable {
        /// Where the row begins, from 1.
        var line: Int
        var content: Content
    }

    enum Content: Sendable {
        /// UTF-8 JSON text.
        case json(Range<Int>)
        /// A row that the file format itself already took apart.
        case value(JSONValue)
        /// A row that can't be read at all.
        case broken(String)
    }

    mutating func append(_ row: RawRow) {
        switch row.content {
        case .value(let value): rows.append(Row(line: row.line, content: .value(value)))
        case .broken(let reason): rows.append(Row(line: row.line, content: .broken(reason)))
        case .json(let json):
            rows.append(Row(line: row.line, content: .json(bytes.count..<bytes.count + json.count)))
            bytes += json
        }
    }

    mutating func removeAll() {
        bytes.removeAll(keepingCapacity: true)
        rows.removeAll(keepingCapacity: true)
    }
}
