import Terms

/// Walks a JSON text without building values: for the two members of tokenizer.json that are most of its bytes.
///
/// A vocabulary of 150,000 tokens as JSON values would take longer to build than to use. Total: any bytes give a
/// result or a `SkimError`.
struct JSONSkimmer {
    let bytes: UnsafeBufferPointer<UInt8>
    private(set) var at: Int

    /// A walker that starts at an offset, which is at most the byte count.
    init(_ bytes: UnsafeBufferPointer<UInt8>, at: Int = 0) {
        self.bytes = bytes
        self.at = at
    }

    func error(_ problem: String) -> SkimError { SkimError(offset: at, problem: problem) }

    mutating func skipSpace() {
        while at < bytes.count {
            switch bytes[at] {
            case 0x20, 0x09, 0x0A, 0x0D: at += 1
            default: return
            }
        }
    }

    /// Takes a byte, after white space, when it is the next one.
    mutating func take(_ byte: Unicode.Scalar) -> Bool {
        skipSpace()
        guard at < bytes.count, bytes[at] == UInt8(ascii: byte) else { return false }
        at += 1
        return true
    }

    mutating func expect(_ byte: Unicode.Scalar) throws(SkimError) {
        guard take(byte) else { throw error("expected `\(byte)`") }
    }

    /// Calls `body` at the value of each member of an object; `body` must step over the value.
    mutating func members(
        _ body: (inout JSONSkimmer, _ key: [UInt8]) throws(SkimError) -> Void
    ) throws(SkimError) {
        try expect("{")
        if take("}") { return }
        var key: [UInt8] = []
        repeat {
            try string(into: &key)
            try expect(":")
            skipSpace()
            try body(&self, key)
        } while take(",")
        try expect("}")
    }

    /// Calls `body` at each element of an array; `body` must step over the element.
    mutating func elements(_ body: (inout JSONSkimmer) throws(SkimError) -> Void) throws(SkimError) {
        try expect("[")
        if take("]") { return }
        repeat {
            skipSpace()
            try body(&self)
        } while take(",")
        try expect("]")
    }

    /// Steps over a value of any kind; what is inside is checked only as far as its end must be found.
    mutating func skipValue() throws(SkimError) {
        skipSpace()
        var depth = 0
        repeat {
            guard at < bytes.count else { throw error("the JSON text ends inside a value") }
            switch bytes[at] {
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                depth += 1
                at += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                guard depth > 0 else { throw error("a JSON value can't start here") }
                depth -= 1
                at += 1
            case UInt8(ascii: "\""): try skipString()
            default: skipPlain(insideContainer: depth > 0)
            }
        } while depth > 0
    }

    /// Steps over punctuation, white space, numbers and literals; at least one byte.
    private mutating func skipPlain(insideContainer: Bool) {
        repeat {
            at += 1
            guard at < bytes.count else { return }
            let byte = bytes[at]
            if !insideContainer, byte == UInt8(ascii: ",") || byte <= 0x20 { return }
            switch byte {
            case UInt8(ascii: "{"), UInt8(ascii: "["), UInt8(ascii: "}"), UInt8(ascii: "]"), UInt8(ascii: "\""): return
            default: break
            }
        } while true
    }

    private mutating func skipString() throws(SkimError) {
        at += 1
        while at < bytes.count, bytes[at] != UInt8(ascii: "\"") { at += bytes[at] == UInt8(ascii: "\\") ? 2 : 1 }
        guard at < bytes.count else {
            at = bytes.count
            throw error("a string does not end")
        }
        at += 1
    }

    /// Reads a string into `buffer`, which is emptied first, as UTF-8.
    mutating func string(into buffer: inout [UInt8]) throws(SkimError) {
        skipSpace()
        let start = at
        guard at < bytes.count, bytes[at] == UInt8(ascii: "\"") else { throw error("expected a string") }
        try skipString()
        let content = UnsafeBufferPointer(rebasing: bytes[start + 1..<at - 1])
        buffer.removeAll(keepingCapacity: true)
        if !content.contains(where: { $0 == UInt8(ascii: "\\") || $0 < 0x20 || $0 >= 0x80 }) {
            return buffer.append(contentsOf: content)
        }
        // Escapes and UTF-8 are left to the one parser that knows them.
        let value: JSONValue
        do throws(JSONError) {
            value = try JSONValue.parse(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(bytes)[start..<at]))
        } catch {
            throw SkimError(offset: start + error.offset, problem: error.problem)
        }
        buffer.append(contentsOf: (value.string ?? "").utf8)
    }

    /// Reads an integer that is not negative.
    mutating func natural() throws(SkimError) -> Int {
        skipSpace()
        var value = 0
        let start = at
        while at < bytes.count, (0x30...0x39).contains(bytes[at]), at - start < 10 {
            value = value * 10 + Int(bytes[at] - 0x30)
            at += 1
        }
        guard at > start else { throw error("expected a whole number") }
        return value
    }
}

/// What is wrong with a JSON text that is walked, and at which byte.
struct SkimError: Error {
    var offset: Int
    var problem: String
}
