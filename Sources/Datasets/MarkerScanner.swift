import Templates

/// Finds the added tokens of a rendered text that may stand for themselves there.
///
/// A control token counts only where the template wrote every byte of it; in data it stays ordinary text, so no row
/// can forge a turn. Control tokens are the special ones and those that the template's own text contains; other added
/// tokens (frequent words, white-space runs) are matched everywhere, as the tokenizer does.
struct MarkerScanner: Sendable {
    private struct Marker: Sendable {
        var utf8: [UInt8]
        var token: AddedToken
        var isControl: Bool
    }
    /// Candidates by first byte, longest first.
    private let markers: [[Marker]]

    /// - Parameter templateSource: text of the chat template in use.
    init(tokens: [AddedToken], templateSource: String) {
        var table = [[Marker]](repeating: [], count: 256)
        for token in tokens {
            let utf8 = Array(token.text.utf8)
            guard let first = utf8.first else { continue }
            let isBlank = token.text.unicodeScalars.allSatisfy(\.properties.isWhitespace)
            let isControl = token.isSpecial || (!isBlank && templateSource.contains(token.text))
            table[Int(first)].append(Marker(utf8: utf8, token: token, isControl: isControl))
        }
        markers = table.map { $0.sorted { ($0.utf8.count, $1.token.id) > ($1.utf8.count, $0.token.id) } }
    }

    /// One match: its bytes in the text, white space that it swallows included.
    struct Match: Equatable {
        var range: Range<Int>
        var id: Int32
    }

    /// Matches inside `section` of `text`, leftmost first, the longest at each place, disjoint.
    func matches(in text: MarkedText, section: Range<Int>) -> [Match] {
        var found: [Match] = []
        var at = section.lowerBound
        while at < section.upperBound {
            guard let marker = marker(in: text, at: at, end: section.upperBound) else { at += 1; continue }
            let floor = found.last?.range.upperBound ?? section.lowerBound
            var range = at..<at + marker.utf8.count
            if marker.token.stripsLeft { range = Self.widenLeft(range, in: text.utf8, floor: floor) }
            if marker.token.stripsRight { range = Self.widenRight(range, in: text.utf8, ceiling: section.upperBound) }
            found.append(Match(range: range, id: marker.token.id))
            at = range.upperBound
        }
        return found
    }

    private func marker(in text: MarkedText, at: Int, end: Int) -> Marker? {
        let candidates = markers[Int(text.utf8[at])]
        return candidates.first { marker in
            let upper = at + marker.utf8.count
            guard upper <= end, text.utf8[at..<upper].elementsEqual(marker.utf8) else { return false }
            return !marker.isControl || !text.containsData(at..<upper)
        }
    }

    private static func widenLeft(_ range: Range<Int>, in utf8: [UInt8], floor: Int) -> Range<Int> {
        var lower = range.lowerBound
        while lower > floor, isSpace(utf8[lower - 1]) { lower -= 1 }
        return lower..<range.upperBound
    }

    private static func widenRight(_ range: Range<Int>, in utf8: [UInt8], ceiling: Int) -> Range<Int> {
        var upper = range.upperBound
        while upper < ceiling, isSpace(utf8[upper]) { upper += 1 }
        return range.lowerBound..<upper
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }
}
