import Glibc
import ModelFiles
import Terms

/// Text files line by line: a line ends at a line feed, and the last one may lack it.
enum Lines {
    /// Bytes of the largest file that is read as a whole.
    static let limit = 1 << 30

    /// All lines of a small UTF-8 file.
    static func read(_ path: String) throws -> [String] {
        var lines: [String] = []
        try forEach(path) { line, number in
            lines.append(try text(line, path, number))
            return true
        }
        return lines
    }

    /// Runs `body` on each line without its line feed and its number from 1, until it returns false.
    ///
    /// - Parameter path: `-` = standard input.
    static func forEach(_ path: String, _ body: ([UInt8], Int) throws -> Bool) throws {
        let descriptor = path == "-" ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Failure.input("\(path): \(String(cString: strerror(errno)))") }
        defer { if path != "-" { close(descriptor) } }
        var pending: [UInt8] = []
        var number = 0
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw Failure.input("\(path): \(String(cString: strerror(errno)))") }
            if count == 0 { break }
            var start = 0
            while let end = lineFeed(in: buffer, from: start, to: count) {
                number += 1
                pending += buffer[start..<end]
                guard try body(pending, number) else { return }
                pending.removeAll(keepingCapacity: true)
                start = end + 1
            }
            pending += buffer[start..<count]
            guard pending.count <= limit else {
                throw Failure.input("\(path): line \(number + 1) is longer than 1 GiB")
            }
        }
        if !pending.isEmpty { _ = try body(pending, number + 1) }
    }

    /// Where the next line feed stands.
    private static func lineFeed(in buffer: [UInt8], from start: Int, to end: Int) -> Int? {
        buffer.withUnsafeBytes { bytes in
            guard start < end, let base = bytes.baseAddress else { return nil }
            return memchr(base + start, 0x0A, end - start).map { UnsafeRawPointer($0) - base }
        }
    }

    /// A line as text; refuses bytes that are no UTF-8.
    static func text(_ line: [UInt8], _ path: String, _ number: Int) throws -> String {
        guard let text = String(validating: line, as: UTF8.self) else {
            throw Failure.input("\(path):\(number): the line is not UTF-8 text")
        }
        return text
    }

    /// The next line of standard input, byte by byte so that nothing behind it is taken; nil at its end or by a signal.
    static func next() -> String? {
        var bytes: [UInt8] = []
        var byte: UInt8 = 0
        while true {
            let count = Glibc.read(STDIN_FILENO, &byte, 1)
            guard count > 0 else { break }
            if byte == 0x0A { return String(decoding: bytes, as: UTF8.self) }
            bytes.append(byte)
        }
        return bytes.isEmpty ? nil : String(decoding: bytes, as: UTF8.self)
    }
}
