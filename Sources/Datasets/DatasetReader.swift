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
    /// The first row, read for the detection.
    private var first: RawRow?
    private let maker: SampleMaker
    private let threads: Int

    /// Rows and bytes of one batch, which bound its memory.
    private static let batchRows = 2048
    private static let batchBytes = 16 << 20

    /// Opens a file and reads its first row.
    package init(file: DatasetFile, maker: SampleMaker, threads: Int = 1) throws(DatasetError) {
        precondition(threads > 0, "tokenising needs a thread")
        var source = try RowSource(path: file.path)
        let first = try source.next()
        detection = try Self.detect(first, file)
        self.source = source
        self.first = first
        self.maker = maker
        self.threads = threads
    }

    /// Bytes read so far.
    package var bytesRead: Int { source.bytesRead }

    /// How a file is understood, told from its first row.
    package static func detection(of file: DatasetFile) throws(DatasetError) -> RowFormat.Detection {
        var source = try RowSource(path: file.path)
        return try detect(try source.next(), file)
    }

    private static func detect(_ row: RawRow?, _ file: DatasetFile) throws(DatasetError) -> RowFormat.Detection {
        if let format = file.format {
            return RowFormat.Detection(format: format, explanation: "\(format.rawValue): as the job file says")
        }
        guard let row else { throw .noRows(paths: [file.path]) }
        let value: JSONValue
        do { value = try row.value() } catch {
            throw .badRows([RowFault(file: file.path, line: row.line, reason: error.description)], total: 1)
        }
        guard let detection = RowFormat.detect(value) else {
            throw .undetectable(path: file.path, keys: value.object?.keys ?? [])
        }
        return detection
    }

    /// The samples of the next rows; nil at the end of the file.
    package mutating func nextBatch() throws(DatasetError) -> [Row]? {
        var raw: [RawRow] = []
        var bytes = 0
        while raw.count < Self.batchRows, bytes < Self.batchBytes, let row = try nextRaw() {
            bytes += row.weight
            raw.append(row)
        }
        return raw.isEmpty ? nil : make(raw)
    }

    private mutating func nextRaw() throws(DatasetError) -> RawRow? {
        if let row = first {
            first = nil
            return row
        }
        return try source.next()
    }

    /// Rows are independent, so how they are dealt to threads can't change a sample.
    private func make(_ raw: [RawRow]) -> [Row] {
        let format = detection.format
        let (maker, threads) = (maker, threads)
        guard threads > 1, raw.count > 1 else { return raw.map { Self.make($0, format, maker) } }
        return [Row](unsafeUninitializedCapacity: raw.count) { buffer, count in
            let share = Share(rows: buffer.baseAddress!)
            DispatchQueue.concurrentPerform(iterations: threads) { thread in
                for index in stride(from: thread, to: raw.count, by: threads) {
                    (share.rows + index).initialize(to: Self.make(raw[index], format, maker))
                }
            }
            count = raw.count
        }
    }

    /// Lets threads fill disjoint places of one buffer.
    private struct Share: @unchecked Sendable { let rows: UnsafeMutablePointer<Row> }

    private static func make(_ row: RawRow, _ format: RowFormat, _ maker: SampleMaker) -> Row {
        do throws(RowProblem) {
            let example = try RowParser.parse(try row.value(), as: format)
            return Row(line: row.line, sample: .success(try maker.sample(of: example)))
        } catch {
            return Row(line: row.line, sample: .failure(error))
        }
    }
}
