/// A string as a key that is told apart by its bytes.
///
/// `String` takes canonically equal texts for one (`é` composed and decomposed); keys from files are not that.
package struct ByteText: Hashable, Sendable {
    /// The string itself.
    package let text: String

    /// A key of the string's UTF-8 bytes.
    package init(_ text: String) { self.text = text }

    package static func == (left: ByteText, right: ByteText) -> Bool { left.text.hasSameBytes(as: right.text) }

    package func hash(into hasher: inout Hasher) {
        let isHashed: Void? = text.utf8.withContiguousStorageIfAvailable {
            hasher.combine(bytes: UnsafeRawBufferPointer($0))
        }
        if isHashed == nil { Array(text.utf8).withUnsafeBytes { hasher.combine(bytes: $0) } }
    }
}

extension String {
    /// Whether both strings are the same UTF-8 bytes; `==` also takes canonically equal ones for the same.
    package func hasSameBytes(as other: String) -> Bool {
        // Unequal strings, the usual case, are told apart by the first two tests, which are fast.
        utf8.count == other.utf8.count && self == other && utf8.elementsEqual(other.utf8)
    }
}
