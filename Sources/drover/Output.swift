import Glibc
import Synchronization
import Terms

/// Standard output and standard error of every command: whole lines, each written at once, never buffered.
///
/// Safe from any thread. A failed write is remembered instead of thrown: a reader that has gone away must not stop a
/// job; commands that can go on for long look at `isClosed`, and `Failure` turns what was remembered into an exit code.
enum Output {
    private struct State {
        /// errno of the first failed write to standard output.
        var failure: Int32?
    }
    private static let state = Mutex(State())

    /// True when standard output is a terminal.
    static let isTerminal = isatty(STDOUT_FILENO) == 1
    /// True when colours are welcome: a terminal, and no NO_COLOR (no-color.org).
    static let isColoured =
        isTerminal && (getenv("NO_COLOR").map { $0.pointee == 0 } ?? true)
        && getenv("TERM").map { String(cString: $0) } != "dumb"

    /// True once nobody can read what is written.
    static var isClosed: Bool { failure != nil }
    /// errno of the first failed write to standard output.
    static var failure: Int32? { state.withLock { $0.failure } }

    /// One line on standard output.
    static func line(_ text: String = "") { line(bytes: Array(text.utf8)) }

    /// One line of UTF-8 bytes on standard output.
    static func line(bytes: [UInt8]) { put(bytes + [0x0A]) }

    /// One line of compact JSON on standard output.
    static func json(_ value: JSONValue) { put(value.encoded() + [0x0A]) }

    /// Text without a line feed, shown at once; for what is generated piece by piece.
    static func text(_ text: String) { put(Array(text.utf8)) }

    /// One line on standard error: progress, warnings; never results.
    static func note(_ text: String) {
        state.withLock { _ in _ = write(Array((text + "\n").utf8), to: STDERR_FILENO) }
    }

    private static func put(_ bytes: [UInt8]) {
        state.withLock { state in
            guard state.failure == nil else { return }
            state.failure = write(bytes, to: STDOUT_FILENO)
        }
    }

    /// Writes all of it; errno when that failed.
    private static func write(_ bytes: [UInt8], to descriptor: Int32) -> Int32? {
        bytes.withUnsafeBytes { buffer in
            var done = 0
            while done < buffer.count {
                let count = Glibc.write(descriptor, buffer.baseAddress! + done, buffer.count - done)
                if count >= 0 {
                    done += count
                    continue
                }
                if errno == EINTR { continue }
                guard errno == EAGAIN else { return errno }
                var waiting = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                _ = poll(&waiting, 1, -1)
            }
            return nil
        }
    }
}

extension Output {
    /// How a piece of text is shown on a terminal.
    enum Style: String {
        case bold = "1"
        case dim = "2"
        case red = "31"
        case green = "32"
        case yellow = "33"
        case cyan = "36"
    }

    /// The text in a style, or as it is where colours are not welcome.
    static func styled(_ text: String, _ style: Style, when isColoured: Bool = Output.isColoured) -> String {
        isColoured && !text.isEmpty ? "\u{1B}[\(style.rawValue)m\(text)\u{1B}[0m" : text
    }

    /// A table with a head, columns padded by the number of characters; numbers stand to the right.
    static func table(_ head: [String], _ rows: [[String]]) -> String {
        let isNumeric = head.indices.map { column in
            !rows.isEmpty && rows.allSatisfy { $0[column].first.map { $0.isNumber || $0 == "-" || $0 == "–" } ?? true }
        }
        let widths = head.indices.map { column in ([head] + rows).map { $0[column].count }.max() ?? 0 }
        return ([head] + rows).map { row in
            let cells = row.enumerated().map { column, cell in
                let space = String(repeating: " ", count: widths[column] - cell.count)
                return isNumeric[column] ? space + cell : cell + space
            }
            let line = cells.joined(separator: "  ")
            return String(line.reversed().drop { $0 == " " }.reversed())
        }.joined(separator: "\n")
    }

    /// Bytes in the largest binary unit that leaves a number from 1 up: `1.4 GiB`.
    static func bytes(_ count: Int) -> String {
        let units = ["B", "KiB", "MiB", "GiB", "TiB"]
        var (value, unit) = (Double(count), 0)
        while value >= 1024, unit + 1 < units.count { (value, unit) = (value / 1024, unit + 1) }
        return unit == 0 ? "\(count) B" : "\((value * 10).rounded() / 10) \(units[unit])"
    }
}
