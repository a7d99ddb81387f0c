/// Walks the fields of a protocol-buffers message. Total: any bytes give fields or an error.
///
/// Source: protobuf.dev, "Encoding". Groups are not read.
struct ProtobufReader {
    enum Value {
        /// Wire types 0, 1 and 5.
        case number(UInt64)
        /// Wire type 2.
        case bytes(ArraySlice<UInt8>)
    }

    private var rest: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

    /// The next field's number and value; nil at the end.
    mutating func next() throws(TokenizationError) -> (field: Int, value: Value)? {
        guard !rest.isEmpty else { return nil }
        let key = try varint()
        switch key & 7 {
        case 0: return (Int(key >> 3), .number(try varint()))
        case 1: return (Int(key >> 3), .number(try fixed(8)))
        case 5: return (Int(key >> 3), .number(try fixed(4)))
        case 2:
            let length = try varint()
            guard length <= UInt64(rest.count) else { throw malformed("a field is longer than its message") }
            defer { rest = rest.dropFirst(Int(length)) }
            return (Int(key >> 3), .bytes(rest.prefix(Int(length))))
        default: throw malformed("unknown wire type \(key & 7)")
        }
    }

    private func malformed(_ problem: String) -> TokenizationError {
        .malformed(file: SentencePieceFile.name, offset: rest.startIndex, problem: problem)
    }

    private mutating func varint() throws(TokenizationError) -> UInt64 {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 64, by: 7) {
            guard let byte = rest.popFirst() else { throw malformed("the message ends inside a number") }
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
        }
        throw malformed("a number has more than ten bytes")
    }

    private mutating func fixed(_ width: Int) throws(TokenizationError) -> UInt64 {
        guard rest.count >= width else { throw malformed("the message ends inside a number") }
        defer { rest = rest.dropFirst(width) }
        return rest.prefix(width).reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
}
