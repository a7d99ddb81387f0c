/// Why bytes from outside could not be read.
package enum ByteError: Error, Equatable {
    /// Fewer bytes than a field needs.
    case truncated
    /// A count or length above its limit.
    case tooLong
    /// A field with a value that its type does not have.
    case invalid(String)
    /// Bytes after the last field.
    case trailing
}

/// Reads fixed-width little-endian fields; total: any bytes give values or a `ByteError`, never a trap.
package struct ByteReader {
    private let bytes: ArraySlice<UInt8>
    private var at: Int

    package init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        at = bytes.startIndex
    }
    package init(_ bytes: [UInt8]) { self.init(bytes[...]) }

    /// Bytes not yet read.
    package var remaining: Int { bytes.endIndex - at }

    /// A field of T's width. Inlined for each type: every message and journal entry goes through here.
    @inlinable
    package mutating func integer<T: FixedWidthInteger>(_ type: T.Type = T.self) throws(ByteError) -> T {
        precondition(MemoryLayout<T>.size <= 8, "fields have at most 64 bits")
        return T(truncatingIfNeeded: try word(MemoryLayout<T>.size))
    }

    /// The next `width` bytes, at most 8, as a number.
    @usableFromInline
    mutating func word(_ width: Int) throws(ByteError) -> UInt64 {
        guard remaining >= width else { throw .truncated }
        var value: UInt64 = 0
        for offset in 0..<width { value |= UInt64(bytes[at + offset]) << UInt64(8 * offset) }
        at += width
        return value
    }
    package mutating func float() throws(ByteError) -> Float { Float(bitPattern: try integer()) }
    package mutating func double() throws(ByteError) -> Double { Double(bitPattern: try integer()) }
    package mutating func bool() throws(ByteError) -> Bool {
        switch try integer(UInt8.self) {
        case 0: return false
        case 1: return true
        default: throw .invalid("bool")
        }
    }
    package mutating func raw(_ count: Int) throws(ByteError) -> [UInt8] {
        guard count >= 0, remaining >= count else { throw .truncated }
        defer { at += count }
        return Array(bytes[at..<at + count])
    }

    /// A count of bytes (u32, at most `limit`), then the bytes.
    package mutating func blob(limit: Int) throws(ByteError) -> [UInt8] {
        let count = Int(try integer(UInt32.self))
        guard count <= limit else { throw .tooLong }
        return try raw(count)
    }
    package mutating func string(limit: Int) throws(ByteError) -> String {
        guard let text = String(validating: try blob(limit: limit), as: UTF8.self) else { throw .invalid("utf-8") }
        return text
    }

    /// A count (u32, at most `limit`), then each element by `read`; nothing is allocated beyond what the bytes can
    /// hold.
    @inlinable
    package mutating func list<Element>(
        limit: Int, _ read: (inout ByteReader) throws(ByteError) -> Element
    ) throws(ByteError) -> [Element] {
        let count = Int(try integer(UInt32.self))
        guard count <= limit else { throw .tooLong }
        guard count <= remaining else { throw .truncated }
        var values: [Element] = []
        values.reserveCapacity(count)
        for _ in 0..<count { values.append(try read(&self)) }
        return values
    }

    package func finish() throws(ByteError) { if remaining != 0 { throw .trailing } }
}
