import Terms

/// Documents of a plain text file: blocks between blank lines.
struct ParagraphSplitter {
    mutating func next(_ reader: inout FileReader) throws(DatasetError) -> RawRow? {
        var first = reader.line
        var bytes: [UInt8] = []
        while true {
            let number = reader.line
            guard let read = try reader.readLine(limit: RowSource.rowLimit) else { break }
            guard case .line(let line) = read, bytes.count + line.count < RowSource.rowLimit else {
                return RawRow(line: number, content: .broken("the text is longer than \(RowSource.rowLimit) bytes"))
            }
            if line.allSatisfy({ $0 == 0x20 || $0 == 0x09 || $0 == 0x0D }) {
                if bytes.isEmpty { continue } else { break }
            }
            if bytes.isEmpty { first = number } else { bytes.append(0x0A) }
            bytes += line.last == 0x0D ? line.dropLast() : line[...]
        }
        guard !bytes.isEmpty else { return nil }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            return RawRow(line: first, content: .broken("the text is not valid UTF-8"))
        }
        return RawRow(line: first, content: .value(.members(["text": .string(text)])))
    }
}
