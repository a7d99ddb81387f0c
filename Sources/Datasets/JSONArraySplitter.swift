/// Takes a JSON array apart into its elements without holding more than one of them.
///
/// Only brackets, strings and commas are looked at; each element is checked by the JSON parser afterwards.
struct JSONArraySplitter {
    /// Where the reader stands: before the array, before an element, behind the array, behind the check of the rest.
    enum Position: Int { case start, element, end, done }
    private(set) var position = Position.start

    /// A splitter at a position in its file.
    init(position: Position = .start) { self.position = position }

    mutating func next(_ reader: inout FileReader) throws(DatasetError) -> RawRow? {
        if position == .start {
            _ = try reader.firstInk()
            _ = try reader.take()
            position = .element
            if try reader.firstInk() == UInt8(ascii: "]") {
                _ = try reader.take()
                position = .end
            }
        }
        if position == .end {
            position = .done
            guard try reader.firstInk() != nil else { return nil }
            let problem = "text follows the file's JSON array; nothing of it is read"
            return RawRow(line: reader.line, content: .broken(problem))
        }
        guard position == .element else { return nil }
        guard try reader.firstInk() != nil else { return finish(reader.line, "the file ends inside its JSON array") }
        let line = reader.line
        var element: [UInt8] = []
        var depth = 0
        var inString = false
        var isEscaped = false
        while let byte = try reader.take() {
            if inString {
                if isEscaped {
                    isEscaped = false
                } else if byte == UInt8(ascii: "\\") {
                    isEscaped = true
                } else if byte == UInt8(ascii: "\"") {
                    inString = false
                }
            } else {
                switch byte {
                case UInt8(ascii: "\""): inString = true
                case UInt8(ascii: "["), UInt8(ascii: "{"): depth += 1
                case UInt8(ascii: ",") where depth == 0: return RawRow(line: line, content: .json(element))
                case UInt8(ascii: "]") where depth == 0:
                    position = .end
                    return RawRow(line: line, content: .json(element))
                // A brace too many is the element's own fault; the next comma still ends it.
                case UInt8(ascii: "]"), UInt8(ascii: "}"): depth = max(0, depth - 1)
                default: break
                }
            }
            element.append(byte)
            if element.count > RowSource.rowLimit {
                return finish(
                    line, "the element is longer than \(RowSource.rowLimit) bytes; the rest of the file is skipped")
            }
        }
        return finish(line, "the file ends inside this element of its JSON array")
    }

    private mutating func finish(_ line: Int, _ reason: String) -> RawRow {
        position = .done
        return RawRow(line: line, content: .broken(reason))
    }
}
