#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Reads a file front to back through one fixed buffer and counts lines.
struct FileReader: ~Copyable {
    let path: String
    private let descriptor: Int32
    private let buffer: UnsafeMutableRawBufferPointer
    private var at = 0
    private var end = 0
    /// Bytes taken from the file so far, those still in the buffer included.
    private(set) var bytesRead = 0
    /// The line of the next byte, from 1.
    private(set) var line = 1

    static let bufferSize = 1 << 20

    init(path: String) throws(DatasetError) {
        descriptor = try FileCalls.openForReading(path)
        self.path = path
        buffer = .allocate(byteCount: Self.bufferSize, alignment: 16)
    }

    deinit {
        close(descriptor)
        buffer.deallocate()
    }

    /// The offset of the next byte.
    var offset: Int { bytesRead - (end - at) }

    /// Goes on at a byte that an earlier reader of the same file came to, which stands in line `line`.
    mutating func seek(to offset: Int, line: Int) throws(DatasetError) {
        guard lseek(descriptor, off_t(offset), SEEK_SET) == off_t(offset) else {
            throw .unreadable(path: path, reason: FileCalls.lastError)
        }
        (at, end, bytesRead, self.line) = (0, 0, offset, line)
    }

    /// Bytes of the whole file; 0 when it can't be told (a pipe).
    var size: Int { FileCalls.size(of: descriptor) ?? 0 }

    /// Fills the empty buffer; false at the end of the file.
    private mutating func fill() throws(DatasetError) -> Bool {
        at = 0
        end = try FileCalls.read(descriptor, into: buffer, path: path)
        bytesRead += end
        return end > 0
    }

    /// The next byte without taking it; nil at the end of the file.
    mutating func peek() throws(DatasetError) -> UInt8? {
        if at == end, try !fill() { return nil }
        return buffer[at]
    }

    /// Takes the next byte; nil at the end of the file.
    mutating func take() throws(DatasetError) -> UInt8? {
        guard let byte = try peek() else { return nil }
        at += 1
        if byte == 0x0A { line += 1 }
        return byte
    }

    /// Skips U+FEFF at the very start, and refuses text of two bytes a character, which begins with it in another way.
    mutating func skipByteOrderMark() throws(DatasetError) {
        guard bytesRead == 0, try fill(), end >= 2 else { return }
        let isWide = (buffer[0] == 0xFF && buffer[1] == 0xFE) || (buffer[0] == 0xFE && buffer[1] == 0xFF)
        guard !isWide else {
            throw .unsupported(path: path, advice: "the file is UTF-16 text; convert it: `iconv -f UTF-16 -t UTF-8`")
        }
        guard end >= 3 else { return }
        guard buffer[0] == 0xEF, buffer[1] == 0xBB, buffer[2] == 0xBF else { return }
        at = 3
    }

    /// The first byte that is no white space, without taking it.
    mutating func firstInk() throws(DatasetError) -> UInt8? {
        while let byte = try peek() {
            guard byte == 0x20 || (0x09...0x0D).contains(byte) else { return byte }
            _ = try take()
        }
        return nil
    }

    enum Line {
        case line([UInt8])
        case tooLong
    }

    /// The next line without its line feed; nil at the end of the file.
    ///
    /// A line beyond `limit` bytes is skipped to its end.
    mutating func readLine(limit: Int) throws(DatasetError) -> Line? {
        var bytes: [UInt8] = []
        guard let isWhole = try readLine(into: &bytes, limit: limit) else { return nil }
        return isWhole ? .line(bytes) : .tooLong
    }

    /// Appends the next line without its line feed; nil at the end of the file.
    ///
    /// - Returns: false for a line beyond `limit` bytes, which is skipped to its end.
    mutating func readLine(into bytes: inout [UInt8], limit: Int) throws(DatasetError) -> Bool? {
        guard try peek() != nil else { return nil }
        let start = bytes.count
        var isTooLong = false
        while try peek() != nil {
            let rest = UnsafeRawBufferPointer(rebasing: buffer[at..<end])
            let found = memchr(rest.baseAddress!, 0x0A, rest.count).map { UnsafeRawPointer($0) - rest.baseAddress! }
            let count = found ?? rest.count
            isTooLong = isTooLong || bytes.count - start + count > limit
            if !isTooLong { bytes.append(contentsOf: rest[..<count]) }
            at += count
            if found != nil {
                _ = try take()
                break
            }
        }
        if isTooLong { bytes.removeSubrange(start...) }
        return !isTooLong
    }
}
