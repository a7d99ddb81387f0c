import Terms

/// Rows of a comma or tab separated file with a header line (RFC 4180): objects of strings.
struct CSVSplitter {
    let separator: UInt8
    private var header: [String]?
    /// Whether the last record ended inside a quoted field.
    private var isOpen = false

    init(separator: UInt8) { self.separator = separator }

    mutating func next(_ reader: inout FileReader) throws(DatasetError) -> RawRow? {
        while true {
            let line = reader.line
            guard let record = try record(&reader) else { return nil }
            guard !isOpen else {
                return RawRow(line: line, content: .broken("a quote opens in this row and never closes"))
            }
            // A blank line between records is no record.
            if record == [[]] { continue }
            var fields: [String] = []
            for bytes in record {
                guard let text = String(validating: bytes, as: UTF8.self) else {
                    return RawRow(line: line, content: .broken("a field is not valid UTF-8"))
                }
                fields.append(text)
            }
            guard let header else {
                header = fields
                if let twice = Self.repeated(fields) {
                    return RawRow(line: line, content: .broken("the header names the column `\(twice)` twice"))
                }
                continue
            }
            guard fields.count == header.count else {
                return RawRow(
                    line: line,
                    content: .broken(
                        "the row has \(fields.count) fields and the header \(header.count)"))
            }
            let members = zip(header, fields).map { (key: $0, value: Self.value($1, of: $0)) }
            return RawRow(line: line, content: .value(.object(JSONObject(members))))
        }
    }

    /// Reads the header line, so that rows may be read from any place behind it.
    mutating func readHeader(_ reader: inout FileReader) throws(DatasetError) {
        while header == nil, let record = try record(&reader), !isOpen {
            if record == [[]] { continue }
            header = record.map { String(decoding: $0, as: UTF8.self) }
        }
    }

    private static func repeated(_ names: [String]) -> String? {
        var seen: Set<ByteText> = []
        return names.first { !seen.insert(ByteText($0)).inserted }
    }

    /// Columns that hold lists are written as JSON text inside a field.
    private static let listColumns: Set<String> = [
        "messages", "conversations", "history", "input_ids", "labels", "prompt", "completion",
    ]

    private static func value(_ text: String, of column: String) -> JSONValue {
        guard listColumns.contains(column), text.hasPrefix("["), let list = try? JSONValue.parse(text) else {
            return .string(text)
        }
        return list
    }

    /// The fields of one record; nil at the end of the file.
    private mutating func record(_ reader: inout FileReader) throws(DatasetError) -> [[UInt8]]? {
        guard try reader.peek() != nil else { return nil }
        var fields: [[UInt8]] = [[]]
        var isQuoted = false
        var size = 0
        while let byte = try reader.take() {
            size += 1
            // A quote that never closes would otherwise swallow the whole file.
            guard size <= RowSource.rowLimit else { break }
            let quote = UInt8(ascii: "\"")
            if isQuoted {
                if byte != quote {
                    fields[fields.count - 1].append(byte)
                } else if try reader.peek() == quote {
                    _ = try reader.take()
                    fields[fields.count - 1].append(quote)
                } else {
                    isQuoted = false
                }
            } else if byte == separator {
                fields.append([])
            } else if byte == 0x0A {
                break
            } else if byte == quote, fields[fields.count - 1].isEmpty {
                isQuoted = true
            } else {
                fields[fields.count - 1].append(byte)
            }
        }
        isOpen = isQuoted
        if fields[fields.count - 1].last == 0x0D { fields[fields.count - 1].removeLast() }
        return fields
    }
}
