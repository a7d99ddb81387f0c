import Dispatch
import Terms

/// Reads one data file and makes a sample of each row, a batch at a time, in file order.
package struct DatasetReader: ~Copyable {
    /// A row's line and what became of it.
    package struct Row: Sendable {
        /// Where the row begins, from 1.
        package var line: Int
        /// The sample, of any length, or why there is none.
        package var sample: Result<Sample, RowProblem>
    }
    /// How the file was understood.
    package let detection: RowFormat.Detection
    private var source: RowSource
    /// Rows that were read for the detection and are still to be given, the next one last.
    private var waiting: [RawRow]
    private let columns: ColumnMap
    private let maker: SampleMaker
    private let threads: Int
    /// The batch after the one that was given, on its way while that is written.
    private var next: Batch?
    /// Bytes read so far.
    package private(set) var bytesRead = 0
    /// Behind the last batch; nil while rows that were read ahead are still to be given.
    private(set) var position: RowSource.Position?

    /// Rows that other threads make samples of.
    private final class Batch: @unchecked Sendable {
        /// Where the reader stood behind them.
        let position: RowSource.Position?
        let bytesRead: Int
        var rows: [Row] = []
        let isMade = DispatchSemaphore(value: 0)

        init(position: RowSource.Position?, bytesRead: Int) {
            (self.position, self.bytesRead) = (position, bytesRead)
        }
    }

    /// Rows and bytes of one batch, which bound its memory.
    private static let batchRows = 2048
    private static let batchBytes = 16 << 20
    /// Rows that are looked at, at most, to find one that tells the format.
    private static let detectionRows = 200

    /// Opens a file and reads as many rows as tell its format, usually one.
    package init(file: DatasetFile, maker: SampleMaker, threads: Int = 1) throws(DatasetError) {
        try self.init(file: file, maker: maker, threads: threads, from: nil)
    }

    /// Opens a file and goes on behind the last batch that an earlier reader gave.
    init(
        file: DatasetFile, maker: SampleMaker, threads: Int, from position: RowSource.Position?
    ) throws(DatasetError) {
        precondition(threads > 0, "tokenising needs a thread")
        var source = try RowSource(path: file.path)
        var rows: [RawRow] = []
        let detection = try Self.detect(&source, file, &rows)
        if let position {
            // The rows of the detection were given already.
            try source.seek(to: position)
            rows = []
        }
        self.source = source
        self.detection = detection
        waiting = rows.reversed()
        columns = file.columns
        self.maker = maker
        self.threads = threads
    }

    /// How a file is understood, told from its first row that fits a format.
    package static func detection(of file: DatasetFile) throws(DatasetError) -> RowFormat.Detection {
        var source = try RowSource(path: file.path)
        var rows: [RawRow] = []
        return try detect(&source, file, &rows)
    }

    private static func detect(
        _ source: inout RowSource, _ file: DatasetFile, _ rows: inout [RawRow]
    ) throws(DatasetError) -> RowFormat.Detection {
        if let format = file.format {
            let why = file.source ?? "the job file or the command line"
            return RowFormat.Detection(format: format, explanation: "\(format.rawValue): as \(why) says")
        }
        var faults: [RowFault] = []
        var keys: [String]?
        var weight = 0
        while rows.count < detectionRows, weight < batchBytes, let row = try source.next() {
            rows.append(row)
            weight += row.weight
            do {
                let value = try row.value()
                if let detection = RowFormat.detect(value) { return detection }
                keys = keys ?? value.object?.keys ?? []
            } catch { faults.append(RowFault(file: file.path, line: row.line, reason: error.description)) }
        }
        guard !rows.isEmpty else { throw .noRows(paths: [file.path]) }
        guard let keys else {
            if RowSource.kind(of: file.path) == "json" {
                faults[faults.count - 1].reason += " (a .json file holds an array of rows, or one row a line)"
            }
            throw .badRows(faults, total: faults.count)
        }
        throw .undetectable(path: file.path, keys: keys)
    }

    /// The samples of the next rows; nil at the end of the file.
    package mutating func nextBatch() throws(DatasetError) -> [Row]? {
        if next == nil { next = try begin() }
        guard let batch = next else { return nil }
        next = threads > 1 ? try begin() : nil
        batch.isMade.wait()
        (bytesRead, position) = (batch.bytesRead, batch.position)
        return batch.rows
    }

    /// Reads rows and has samples made of them; nil at the end of the file.
    private mutating func begin() throws(DatasetError) -> Batch? {
        var raw: [RawRow] = []
        var bytes = 0
        while raw.count < Self.batchRows, bytes < Self.batchBytes, let row = try nextRaw() {
            bytes += row.weight
            raw.append(row)
        }
        guard !raw.isEmpty else { return nil }
        let batch = Batch(position: waiting.isEmpty ? source.position : nil, bytesRead: source.bytesRead)
        let (format, maker, threads, columns, rows) = (detection.format, maker, threads, columns, raw)
        guard threads > 1 else {
            batch.rows = rows.map { Self.make($0, format, columns, maker) }
            batch.isMade.signal()
            return batch
        }
        DispatchQueue.global(qos: .userInitiated).async {
            batch.rows = Self.make(rows, format, columns, maker, threads: threads)
            batch.isMade.signal()
        }
        return batch
    }

    private mutating func nextRaw() throws(DatasetError) -> RawRow? {
        if let row = waiting.popLast() { return row }
        return try source.next()
    }

    /// Rows are independent, so how they are dealt to threads can't change a sample.
    private static func make(
        _ raw: [RawRow], _ format: RowFormat, _ columns: ColumnMap, _ maker: SampleMaker, threads: Int
    ) -> [Row] {
        [Row](unsafeUninitializedCapacity: raw.count) { buffer, count in
            let share = Share(rows: buffer.baseAddress!)
            DispatchQueue.concurrentPerform(iterations: threads) { thread in
                for index in stride(from: thread, to: raw.count, by: threads) {
                    (share.rows + index).initialize(to: make(raw[index], format, columns, maker))
                }
            }
            count = raw.count
        }
    }

    /// Lets threads fill disjoint places of one buffer.
    private struct Share: @unchecked Sendable { let rows: UnsafeMutablePointer<Row> }

    private static func make(
        _ row: RawRow, _ format: RowFormat, _ columns: ColumnMap, _ maker: SampleMaker
    ) -> Row {
        do throws(RowProblem) {
            let example = try RowParser.parse(try row.value(), as: format, columns: columns)
            return Row(line: row.line, sample: .success(try maker.sample(of: example)))
        } catch {
            return Row(line: row.line, sample: .failure(error))
        }
    }
}
