import Terms

/// UTF-8 text that remembers which of its bytes came from data rather than from a template.
///
/// The mark follows a byte through every operation of the interpreter, so that the encoder can tell a turn marker
/// that the template wrote from the same characters in a dataset row: no row can forge a turn.
package struct MarkedText: Sendable, Hashable {
    /// The text; always valid UTF-8.
    package private(set) var utf8: [UInt8]
    /// Byte ranges that came from data: ascending, disjoint, not empty, not touching.
    package private(set) var dataRanges: [Range<Int>]

    /// No text.
    package init() {
        utf8 = []
        dataRanges = []
    }

    /// Text that a template author wrote.
    package init(template text: some StringProtocol) {
        utf8 = Array(text.utf8)
        dataRanges = []
    }

    /// Text that came from a dataset row or a user.
    package init(data text: some StringProtocol) {
        utf8 = Array(text.utf8)
        dataRanges = utf8.isEmpty ? [] : [0..<utf8.count]
    }

    /// Bytes of one origin; the caller knows that they are valid UTF-8.
    package init(utf8: [UInt8], isData: Bool) {
        self.utf8 = utf8
        dataRanges = isData && !utf8.isEmpty ? [0..<utf8.count] : []
    }

    /// Whether there is no text.
    package var isEmpty: Bool { utf8.isEmpty }
    /// UTF-8 bytes.
    package var count: Int { utf8.count }
    /// The text without its marks.
    package var text: String { String(decoding: utf8, as: UTF8.self) }

    /// Whether any byte came from data.
    package var hasData: Bool { !dataRanges.isEmpty }

    /// Appends another text with its marks.
    package mutating func append(_ other: MarkedText) {
        let base = utf8.count
        utf8 += other.utf8
        for range in other.dataRanges { mark(range.lowerBound + base..<range.upperBound + base) }
    }

    /// Appends one piece of another text, `range` in its bytes.
    package mutating func append(_ other: MarkedText, _ range: Range<Int>) {
        let shift = utf8.count - range.lowerBound
        utf8 += other.utf8[range]
        for data in other.dataRanges {
            let common = data.clamped(to: range)
            if !common.isEmpty { mark(common.lowerBound + shift..<common.upperBound + shift) }
        }
    }

    /// Appends bytes of one origin; the caller knows that they are valid UTF-8.
    package mutating func append(utf8 bytes: some Collection<UInt8>, isData: Bool) {
        let base = utf8.count
        utf8 += bytes
        if isData, utf8.count > base { mark(base..<utf8.count) }
    }

    /// Both texts with their marks.
    package static func + (left: MarkedText, right: MarkedText) -> MarkedText {
        var sum = left
        sum.append(right)
        return sum
    }

    /// The bytes of `range` with their marks; the bounds lie between code points.
    package func slice(_ range: Range<Int>) -> MarkedText {
        var piece = MarkedText()
        piece.append(self, range)
        return piece
    }

    /// Whether any byte of `range` came from data.
    package func containsData(_ range: Range<Int>) -> Bool {
        let first = dataRanges.indices.partitionPoint { dataRanges[$0].upperBound <= range.lowerBound }
        return first < dataRanges.count && dataRanges[first].overlaps(range)
    }

    private mutating func mark(_ range: Range<Int>) {
        if let last = dataRanges.last, last.upperBound == range.lowerBound {
            dataRanges[dataRanges.count - 1] = last.lowerBound..<range.upperBound
        } else {
            dataRanges.append(range)
        }
    }

    /// Equality of the characters alone, byte for byte (not Unicode equivalence, as in Python).
    package func hasSameBytes(as other: MarkedText) -> Bool { utf8 == other.utf8 }
}
