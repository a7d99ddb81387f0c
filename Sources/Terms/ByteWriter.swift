/// Appends fixed-width little-endian fields to a byte array.
package struct ByteWriter: Sendable {
    package private(set) var bytes: [UInt8] = []

    package init(capacity: Int = 0) { bytes.reserveCapacity(capacity) }

    /// A field of the value's width.
    @inlinable
    package mutating func integer<T: FixedWidthInteger>(_ value: T) {
        precondition(MemoryLayout<T>.size <= 8, "fields have at most 64 bits")
        word(UInt64(truncatingIfNeeded: value), MemoryLayout<T>.size)
    }

    /// The lowest `width` bytes of a number.
    @usableFromInline
    mutating func word(_ value: UInt64, _ width: Int) {
        for offset in 0..<width { bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(8 * offset))) }
    }

    package mutating func float(_ value: Float) { integer(value.bitPattern) }
    package mutating func double(_ value: Double) { integer(value.bitPattern) }
    package mutating func bool(_ value: Bool) { bytes.append(value ? 1 : 0) }
    package mutating func raw(_ value: some Sequence<UInt8>) { bytes.append(contentsOf: value) }

    /// A count of bytes (u32), then the bytes.
    package mutating func blob(_ value: [UInt8]) {
        integer(UInt32(value.count))
        raw(value)
    }
    package mutating func string(_ value: String) { blob(Array(value.utf8)) }

    /// A count (u32), then each element by `write`.
    @inlinable
    package mutating func list<Element>(_ values: [Element], _ write: (inout ByteWriter, Element) -> Void) {
        integer(UInt32(values.count))
        for value in values { write(&self, value) }
    }
}
