/// Python's string methods, on bytes where that is the same.
extension MarkedText {
    /// Where `needle` first stands at or after byte `start`.
    func find(_ needle: MarkedText, from start: Int = 0) -> Int? {
        let pattern = needle.utf8
        guard let first = pattern.first else { return start <= count ? start : nil }
        var at = start
        while at + pattern.count <= count {
            if utf8[at] == first, utf8[at..<at + pattern.count].elementsEqual(pattern) { return at }
            at += 1
        }
        return nil
    }

    /// Where `needle` last stands before byte `end`.
    func findLast(_ needle: MarkedText, before end: Int? = nil) -> Int? {
        var at = (end ?? count) - needle.count
        while at >= 0 {
            if utf8[at..<at + needle.count].elementsEqual(needle.utf8) { return at }
            at -= 1
        }
        return nil
    }

    func hasPrefix(_ prefix: MarkedText) -> Bool { utf8.starts(with: prefix.utf8) }
    func hasSuffix(_ suffix: MarkedText) -> Bool {
        count >= suffix.count && utf8[(count - suffix.count)...].elementsEqual(suffix.utf8)
    }

    /// `str.count`: matches that don't overlap.
    func occurrences(of needle: MarkedText) -> Int {
        if needle.isEmpty { return codePoints + 1 }
        var (at, found) = (0, 0)
        while let place = find(needle, from: at) {
            found += 1
            at = place + needle.count
        }
        return found
    }

    /// `str.strip`, `lstrip`, `rstrip`; `characters` nil = white space.
    func stripped(_ characters: MarkedText?, left: Bool, right: Bool) -> MarkedText {
        let set = characters.map { Set($0.scalars.map(\.scalar)) }
        func isStripped(_ scalar: Unicode.Scalar) -> Bool { set?.contains(scalar) ?? WhiteSpace.contains(scalar) }
        var (low, high) = (0, count)
        while left, low < high, isStripped(scalar(at: low)) { low += UTF8Width.of(utf8[low]) }
        while right, high > low {
            var start = high - 1
            while utf8[start] & 0xC0 == 0x80 { start -= 1 }
            guard isStripped(scalar(at: start)) else { break }
            high = start
        }
        return slice(low..<high)
    }

    /// `str.split` at a text that is not empty; `limit` < 0 = at all of them.
    func split(at separator: MarkedText, limit: Int = -1) -> [MarkedText] {
        var parts: [MarkedText] = []
        var at = 0
        while limit < 0 || parts.count < limit, let place = find(separator, from: at) {
            parts.append(slice(at..<place))
            at = place + separator.count
        }
        parts.append(slice(at..<count))
        return parts
    }

    /// `str.rsplit` at a text that is not empty.
    func splitFromEnd(at separator: MarkedText, limit: Int = -1) -> [MarkedText] {
        var parts: [MarkedText] = []
        var end = count
        while limit < 0 || parts.count < limit, let place = findLast(separator, before: end) {
            parts.append(slice(place + separator.count..<end))
            end = place
        }
        parts.append(slice(0..<end))
        return parts.reversed()
    }

    /// `str.split()` at runs of white space; `limit` < 0 = at all of them.
    func splitAtSpace(limit: Int = -1) -> [MarkedText] {
        var parts: [MarkedText] = []
        var at = WhiteSpace.skip(utf8, from: 0)
        while at < count {
            if limit >= 0, parts.count == limit {
                parts.append(slice(at..<count))
                break
            }
            var end = at
            while end < count, WhiteSpace.width(utf8, at: end) == nil { end += UTF8Width.of(utf8[end]) }
            parts.append(slice(at..<end))
            at = WhiteSpace.skip(utf8, from: end)
        }
        return parts
    }

    /// `str.splitlines`: line ends of Unicode, kept or not.
    func lines(keepingEnds: Bool = false) -> [MarkedText] {
        var parts: [MarkedText] = []
        var start = 0
        var at = 0
        while at < count {
            let width = UTF8Width.of(utf8[at])
            let next = at + width
            switch scalar(at: at).value {
            case 0x0A...0x0D, 0x1C...0x1E, 0x85, 0x2028, 0x2029:
                let end = utf8[at] == 0x0D && next < count && utf8[next] == 0x0A ? next + 1 : next
                parts.append(slice(start..<(keepingEnds ? end : at)))
                (start, at) = (end, end)
            default: at = next
            }
        }
        if start < count { parts.append(slice(start..<count)) }
        return parts
    }

    /// `str.replace`; `limit` < 0 = all.
    func replacing(_ old: MarkedText, with new: MarkedText, limit: Int = -1) -> MarkedText {
        var result = MarkedText()
        var left = limit
        if old.isEmpty {
            for character in characters where left != 0 {
                result.append(new)
                result.append(character)
                left -= 1
            }
            if limit < 0 || limit > codePoints { result.append(new) }
            if limit >= 0, limit < codePoints { result.append(sliced(from: limit, to: nil, step: 1)) }
            return result
        }
        var at = 0
        while left != 0, let place = find(old, from: at) {
            result.append(self, at..<place)
            result.append(new)
            at = place + old.count
            left -= 1
        }
        result.append(self, at..<count)
        return result
    }

    /// `separator.join(parts)`.
    static func joined(_ parts: [MarkedText], by separator: MarkedText) -> MarkedText {
        var result = MarkedText()
        for (index, part) in parts.enumerated() {
            if index > 0 { result.append(separator) }
            result.append(part)
        }
        return result
    }

    /// `str.capitalize`: the first character in title case, the rest in lower case.
    var capitalized: MarkedText {
        guard let first = utf8.first else { return self }
        let head = UTF8Width.of(first)
        let start = slice(0..<head).mapped { $0.unicodeScalars.map(\.properties.titlecaseMapping).joined() }
        return start + slice(head..<count).mapped { $0.lowercased() }
    }

    /// `str.title`: each run of letters starts in title case and goes on in lower case.
    var titled: MarkedText {
        var result = MarkedText()
        var isInWord = false
        for (scalar, range) in scalars {
            let text = isInWord ? scalar.properties.lowercaseMapping : scalar.properties.titlecaseMapping
            result.append(utf8: text.utf8, isData: containsData(range))
            isInWord = scalar.properties.isCased
        }
        return result
    }
}
