import Templates
import Tokenization

/// Finds the control tokens of a rendered text that stand for themselves there.
///
/// A control token counts only where the template wrote every byte of it; in data it stays ordinary text, so no row can
/// forge a turn. Other added tokens (frequent words, white-space runs, `<think>`) are the tokenizer's affair.
struct MarkerScanner: Sendable {
    private struct Marker: Sendable {
        var utf8: [UInt8]
        var token: AddedToken
    }
    /// Control tokens by first byte, longest first.
    private let markers: [[Marker]]
    private let startsMarker: [Bool]
    private let ids: Set<Int32>
    /// Whether a control token takes white space along, which may be a row's.
    let stripsWhiteSpace: Bool

    init(tokens: [AddedToken]) {
        var table = [[Marker]](repeating: [], count: 256)
        for token in tokens where token.isControl {
            let utf8 = Array(token.content.utf8)
            if let first = utf8.first { table[Int(first)].append(Marker(utf8: utf8, token: token)) }
        }
        markers = table.map { $0.sorted { ($0.utf8.count, $1.token.id) > ($1.utf8.count, $0.token.id) } }
        startsMarker = markers.map { !$0.isEmpty }
        stripsWhiteSpace = tokens.contains { $0.isControl && ($0.stripsLeft || $0.stripsRight) }
        ids = Set(tokens.filter(\.isControl).map(\.id))
    }

    func isControl(_ id: Int32?) -> Bool { id.map(ids.contains) ?? false }

    /// One match: its bytes in the text, white space that it swallows included.
    struct Match: Equatable {
        var range: Range<Int>
        var id: Int32
    }

    /// Matches inside `section` of `text`, leftmost first, the longest at each place, disjoint.
    func matches(in text: MarkedText, section: Range<Int>) -> [Match] {
        var found: [Match] = []
        // Only what the template wrote is looked at: the gaps between stretches of data.
        var start = section.lowerBound
        for data in text.dataRanges where data.upperBound > section.lowerBound {
            if data.lowerBound >= section.upperBound { break }
            if start < data.lowerBound { find(in: text, start..<data.lowerBound, section, &found) }
            start = max(start, data.upperBound)
        }
        if start < section.upperBound { find(in: text, start..<section.upperBound, section, &found) }
        return found
    }

    private func find(in text: MarkedText, _ gap: Range<Int>, _ section: Range<Int>, _ found: inout [Match]) {
        // White space that an earlier token took is gone.
        var at = max(gap.lowerBound, found.last?.range.upperBound ?? 0)
        while at < gap.upperBound {
            guard startsMarker[Int(text.utf8[at])], let marker = marker(in: text, at: at, end: gap.upperBound) else {
                at += 1
                continue
            }
            let floor = found.last?.range.upperBound ?? section.lowerBound
            var range = at..<at + marker.utf8.count
            if marker.token.stripsLeft { range = Self.widenLeft(range, in: text.utf8, floor: floor) }
            if marker.token.stripsRight { range = Self.widenRight(range, in: text.utf8, ceiling: section.upperBound) }
            found.append(Match(range: range, id: marker.token.id))
            at = range.upperBound
        }
    }

    private func marker(in text: MarkedText, at: Int, end: Int) -> Marker? {
        markers[Int(text.utf8[at])].first { marker in
            let upper = at + marker.utf8.count
            return upper <= end && text.utf8[at..<upper].elementsEqual(marker.utf8)
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
