import Terms

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Reads the rows of one chunk of a file of lines: no index and nothing of the file before it is needed.
struct ChunkReader: ~Copyable {
    private let path: String
    private let descriptor: Int32

    init(path: String) throws(DatasetError) {
        descriptor = try FileCalls.openForReading(path)
        self.path = path
    }

    deinit { close(descriptor) }

    /// Bytes that are read at a time beyond a chunk's end.
    private static let pieceBytes = 64 << 10

    /// Puts the rows whose first byte lies in `range` into the empty `rows`; their lines are counted from the first
    /// line that begins there, from 1.
    func read(_ range: Range<Int>, into rows: inout RowChunk) throws(DatasetError) {
        // The byte before tells whether a line begins with the chunk.
        let base = max(0, range.lowerBound - 1)
        _ = try append(range.upperBound - base, from: base, to: &rows.bytes)
        guard var start = firstLine(isFileStart: range.lowerBound == 0, rows.bytes) else { return }
        rows.start = base + start
        var line = 1
        while start < rows.bytes.count, base + start < range.upperBound {
            let end = try endOfLine(from: start, base: base, &rows.bytes)
            if end == nil || end! - start > RowSource.rowLimit {
                rows.rows.append(RowChunk.Row(line: line, content: .broken(RowSource.tooLong)))
                guard end != nil else { return }
            } else if !rows.bytes[start..<end!].allSatisfy(RowSource.isBlank) {
                rows.rows.append(RowChunk.Row(line: line, content: .json(start..<end!)))
            }
            start = end! + 1
            line += 1
        }
    }

    /// Where the first line begins; nil = nowhere in these bytes.
    private func firstLine(isFileStart: Bool, _ bytes: [UInt8]) -> Int? {
        if isFileStart { return bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0 }
        return Self.lineFeed(in: bytes, from: 0).map { $0 + 1 }
    }

    /// Where a line ends, reading on as far as it goes; nil when it is longer than a row may be.
    private func endOfLine(from start: Int, base: Int, _ bytes: inout [UInt8]) throws(DatasetError) -> Int? {
        var searched = start
        while true {
            if let end = Self.lineFeed(in: bytes, from: searched) { return end }
            guard bytes.count - start <= RowSource.rowLimit else { return nil }
            searched = bytes.count
            // A long row is read in pieces that grow with it.
            let piece = max(Self.pieceBytes, searched - start)
            guard try append(piece, from: base + searched, to: &bytes) > 0 else { return searched }
        }
    }

    private static func lineFeed(in bytes: [UInt8], from start: Int) -> Int? {
        bytes.withUnsafeBytes { raw in
            guard start < raw.count, let base = raw.baseAddress else { return nil }
            return memchr(base + start, 0x0A, raw.count - start).map { UnsafeRawPointer($0) - base }
        }
    }

    /// Appends up to `count` bytes of the file from `offset`; how many there were.
    private func append(_ count: Int, from offset: Int, to bytes: inout [UInt8]) throws(DatasetError) -> Int {
        let start = bytes.count
        bytes.append(contentsOf: repeatElement(0, count: count))
        let result: Result<Int, DatasetError> = bytes.withUnsafeMutableBytes { raw in
            let room = UnsafeMutableRawBufferPointer(rebasing: raw[start...])
            do throws(DatasetError) {
                return .success(try FileCalls.read(descriptor, into: room, at: offset, path: path))
            } catch { return .failure(error) }
        }
        let read = try result.get()
        bytes.removeSubrange((start + read)...)
        return read
    }

    /// The line, from 1, in which each of some ascending offsets lies: all of the file before the last is read.
    func lines(at offsets: [Int]) throws(DatasetError) -> [Int] {
        var lines: [Int] = []
        var (at, line) = (0, 1)
        var bytes: [UInt8] = []
        for offset in offsets {
            while at < offset {
                bytes.removeAll(keepingCapacity: true)
                let count = try append(min(1 << 20, offset - at), from: at, to: &bytes)
                guard count > 0 else { break }
                line += bytes.reduce(0) { $0 + ($1 == 0x0A ? 1 : 0) }
                at += count
            }
            lines.append(line)
        }
        return lines
    }
}
