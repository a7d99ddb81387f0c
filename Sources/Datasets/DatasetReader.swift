import Terms

/// Reads one data file and makes a sample of each row, a batch at a time, in file order.
package struct DatasetReader: ~Copyable {
    /// How the file was understood.
    package let detection: RowFormat.Detection
    private var source: RowSource
    /// Rows that were read for the detection and are still to be given, the next one last.
    private var waiting: [RawRow]
    private let lanes: [Lane]
    private var line: BatchLine
    private var isAtEnd = false
    /// Bytes read so far.
    package private(set) var bytesRead = 0
    /// Behind the last batch; nil while rows that were read ahead are still to be given.
    private(set) var position: RowSource.Position?

    /// A thread's working memory, which nothing but the thread touches.
    private struct Lane: @unchecked Sendable { let worker: RowWorker }

    /// Rows and bytes of one batch, which bound its memory.
    private static let batchRows = 2048
    private static let batchBytes = 1 << 20
    /// Bytes that are read to find the format, at most.
    private static let detectionBytes = 16 << 20
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
        line = BatchLine(threads: threads)
        lanes = (0..<threads).map { _ in
            Lane(worker: RowWorker(format: detection.format, columns: file.columns, maker: maker))
        }
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
        while rows.count < detectionRows, weight < detectionBytes, let row = try source.next() {
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

    /// The samples of the next rows, valid until the next call; nil at the end of the file.
    package mutating func nextBatch() throws(DatasetError) -> SampleBatch? {
        line.takeBack()
        while line.hasRoom, !isAtEnd { try begin() }
        guard let batch = try line.next() else { return nil }
        (bytesRead, position) = (batch.source.bytesRead, batch.source.position)
        return batch
    }

    /// Reads rows and has samples made of them.
    private mutating func begin() throws(DatasetError) {
        let batch = line.blank()
        while batch.samples.source.rows.count < Self.batchRows, batch.samples.source.bytes.count < Self.batchBytes {
            if let row = waiting.popLast() {
                batch.samples.source.append(row)
            } else if try !source.next(into: &batch.samples.source) {
                isAtEnd = true
                break
            }
        }
        guard !batch.samples.source.rows.isEmpty else { return }
        batch.samples.source.position = waiting.isEmpty ? source.position : nil
        batch.samples.source.bytesRead = source.bytesRead
        line.begin(batch) { [lanes] thread, batch in lanes[thread].worker.fill(batch.samples) }
    }
}
