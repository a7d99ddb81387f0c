import Terms

/// One row as it stands in a file, not yet understood.
struct RawRow: Sendable {
    /// Where the row begins, from 1.
    var line: Int
    var content: Content

    enum Content: Sendable {
        /// UTF-8 JSON text.
        case json([UInt8])
        /// A row that the file format itself already took apart.
        case value(JSONValue)
        /// A row that can't be read at all.
        case broken(String)
    }

    /// The row as a JSON value.
    func value() throws(RowProblem) -> JSONValue {
        switch content {
        case .value(let value): return value
        case .broken(let reason): throw RowProblem(reason)
        case .json(let bytes):
            let result: Result<JSONValue, RowProblem> = bytes.withUnsafeBytes { raw in
                do throws(RowProblem) { return .success(try Self.parse(raw)) } catch { return .failure(error) }
            }
            return try result.get()
        }
    }

    /// The value of a row's JSON text.
    static func parse(_ bytes: UnsafeRawBufferPointer) throws(RowProblem) -> JSONValue {
        do { return try JSONValue.parse(bytes, limits: limits) } catch {
            throw RowProblem("not valid JSON: \(error)")
        }
    }

    /// What two values of one key mean is nobody's guess.
    private static let limits = JSONLimits(refusesDuplicateKeys: true)

    /// Bytes that the row takes in memory, about.
    var weight: Int { if case .json(let bytes) = content { bytes.count } else { 256 } }
}

/// Rows of one file, read with a fixed buffer.
struct RowSource: ~Copyable {
    private enum Layout {
        case lines
        case array(JSONArraySplitter)
        case paragraphs(ParagraphSplitter)
        case table(CSVSplitter)
    }
    private var reader: FileReader
    private var layout: Layout

    /// The longest row that is read, in bytes.
    static let rowLimit = 64 << 20
    static let tooLong = "the line is longer than \(rowLimit) bytes"

    /// Whether a line of nothing but such bytes is no row.
    static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0D }

    /// - Throws: `DatasetError.unsupported` for kinds of files that are not read.
    init(path: String) throws(DatasetError) {
        let kind = Self.kind(of: path)
        switch kind {
        case "parquet", "arrow", "feather":
            throw .unsupported(
                path: path,
                advice: "\(kind) files are not read; convert with Python: "
                    + "`import pandas; pandas.read_\(kind == "parquet" ? "parquet" : "feather")(\"…\")"
                    + ".to_json(\"data.jsonl\", orient=\"records\", lines=True, force_ascii=False)`")
        case "gz", "zst", "xz", "bz2", "zip":
            throw .unsupported(path: path, advice: "compressed files are not read; unpack it first")
        default: break
        }
        var reader = try FileReader(path: path)
        try reader.skipByteOrderMark()
        let layout: Layout
        switch kind {
        case "csv": layout = .table(CSVSplitter(separator: UInt8(ascii: ",")))
        case "tsv": layout = .table(CSVSplitter(separator: 0x09))
        case "txt": layout = .paragraphs(ParagraphSplitter())
        default: layout = try reader.firstInk() == UInt8(ascii: "[") ? .array(JSONArraySplitter()) : .lines
        }
        self.reader = reader
        self.layout = layout
    }

    /// What follows the last full stop of the file's name, in lower case; it decides how the file is read.
    static func kind(of path: String) -> String {
        let name = path.split(separator: "/").last ?? ""
        return name.lastIndex(of: ".").map { name[name.index(after: $0)...].lowercased() } ?? ""
    }

    /// A place between two rows of a file, from which another reader of the same bytes can go on.
    struct Position: Sendable, Equatable {
        var offset: Int
        var line: Int
        /// `JSONArraySplitter.Position`, 0 for other layouts.
        var state = 0
    }

    /// Behind the last row that was taken.
    var position: Position {
        var state = 0
        if case .array(let splitter) = layout { state = splitter.position.rawValue }
        return Position(offset: reader.offset, line: reader.line, state: state)
    }

    /// Goes on at a position in this file.
    mutating func seek(to position: Position) throws(DatasetError) {
        switch layout {
        case .table(var splitter):
            try splitter.readHeader(&reader)
            layout = .table(splitter)
        case .array: layout = .array(JSONArraySplitter(position: .init(rawValue: position.state) ?? .done))
        case .lines, .paragraphs: break
        }
        try reader.seek(to: position.offset, line: position.line)
    }

    /// Bytes read so far.
    var bytesRead: Int { reader.bytesRead }

    /// Whether each line is a row.
    var isLines: Bool { if case .lines = layout { true } else { false } }

    /// Appends the next row; false at the end of the file.
    mutating func next(into chunk: inout RowChunk) throws(DatasetError) -> Bool {
        guard case .lines = layout else {
            guard let row = try next() else { return false }
            chunk.append(row)
            return true
        }
        while true {
            let line = reader.line
            let start = chunk.bytes.count
            guard let isWhole = try reader.readLine(into: &chunk.bytes, limit: Self.rowLimit) else { return false }
            guard isWhole else {
                chunk.rows.append(RowChunk.Row(line: line, content: .broken(Self.tooLong)))
                return true
            }
            // Blank lines are no rows.
            if chunk.bytes[start...].allSatisfy(Self.isBlank) {
                chunk.bytes.removeSubrange(start...)
                continue
            }
            chunk.rows.append(RowChunk.Row(line: line, content: .json(start..<chunk.bytes.count)))
            return true
        }
    }

    /// The next row; nil at the end of the file.
    mutating func next() throws(DatasetError) -> RawRow? {
        switch layout {
        case .lines: return try nextLine()
        case .array(var splitter):
            defer { layout = .array(splitter) }
            return try splitter.next(&reader)
        case .paragraphs(var splitter):
            defer { layout = .paragraphs(splitter) }
            return try splitter.next(&reader)
        case .table(var splitter):
            defer { layout = .table(splitter) }
            return try splitter.next(&reader)
        }
    }

    private mutating func nextLine() throws(DatasetError) -> RawRow? {
        var chunk = RowChunk()
        guard try next(into: &chunk) else { return nil }
        switch chunk.rows[0].content {
        case .broken(let reason): return RawRow(line: chunk.rows[0].line, content: .broken(reason))
        default: return RawRow(line: chunk.rows[0].line, content: .json(chunk.bytes))
        }
    }
}
