extension MarkedText {
    /// Whether each byte is a character.
    var isASCII: Bool { utf8.allSatisfy { $0 < 0x80 } }

    /// How many code points there are, Python's `len`.
    var codePoints: Int { utf8.reduce(0) { $0 + ($1 & 0xC0 == 0x80 ? 0 : 1) } }

    /// Where each code point starts, and the end behind the last.
    var boundaries: [Int] {
        var starts: [Int] = []
        starts.reserveCapacity(utf8.count + 1)
        for (index, byte) in utf8.enumerated() where byte & 0xC0 != 0x80 { starts.append(index) }
        starts.append(utf8.count)
        return starts
    }

    /// Code points with their byte ranges.
    var scalars: [(scalar: Unicode.Scalar, range: Range<Int>)] {
        var result: [(scalar: Unicode.Scalar, range: Range<Int>)] = []
        result.reserveCapacity(utf8.count)
        var at = 0
        while at < utf8.count {
            let scalar = scalar(at: at)
            let end = at + UTF8Width.of(utf8[at])
            result.append((scalar, at..<end))
            at = end
        }
        return result
    }

    /// The code point that starts at byte `index`.
    func scalar(at index: Int) -> Unicode.Scalar {
        let first = utf8[index]
        if first < 0x80 { return Unicode.Scalar(first) }
        let width = UTF8Width.of(first)
        var value = UInt32(first) & (0xFF >> UInt32(width + 1))
        for offset in 1..<width { value = value << 6 | UInt32(utf8[index + offset] & 0x3F) }
        return Unicode.Scalar(value) ?? "\u{FFFD}"
    }

    /// Each code point as a text of its own.
    var characters: [MarkedText] { scalars.map { slice($0.range) } }

    /// Python's `text[from:to:step]` by code points; `step` is not 0.
    func sliced(from: Int?, to: Int?, step: Int) -> MarkedText {
        if isASCII, step == 1 {
            let range = SliceBounds(from: from, to: to, step: 1, count: utf8.count)
            return range.start < range.end ? slice(range.start..<range.end) : MarkedText()
        }
        let starts = boundaries
        let bounds = SliceBounds(from: from, to: to, step: step, count: starts.count - 1)
        if step == 1 {
            return bounds.start < bounds.end ? slice(starts[bounds.start]..<starts[bounds.end]) : MarkedText()
        }
        var result = MarkedText()
        for index in bounds.indices { result.append(self, starts[index]..<starts[index + 1]) }
        return result
    }

    /// The code point at `index`, negative ones counted from the end; nil outside.
    func character(at index: Int) -> MarkedText? {
        let starts = boundaries
        let count = starts.count - 1
        let place = index < 0 ? index + count : index
        guard place >= 0, place < count else { return nil }
        return slice(starts[place]..<starts[place + 1])
    }

    /// Applies a mapping of texts to each stretch of one origin.
    func mapped(_ transform: (String) -> String) -> MarkedText {
        var result = MarkedText()
        for (range, isData) in stretches {
            let text = transform(String(decoding: utf8[range], as: UTF8.self))
            result.append(utf8: text.utf8, isData: isData)
        }
        return result
    }

    /// The text in stretches of one origin.
    private var stretches: [(range: Range<Int>, isData: Bool)] {
        var result: [(range: Range<Int>, isData: Bool)] = []
        var at = 0
        for data in dataRanges {
            if at < data.lowerBound { result.append((at..<data.lowerBound, false)) }
            result.append((data, true))
            at = data.upperBound
        }
        if at < count { result.append((at..<count, false)) }
        return result
    }
}

/// Python's reading of `[from:to:step]` on `count` elements.
struct SliceBounds {
    let start: Int
    let end: Int
    let step: Int

    init(from: Int?, to: Int?, step: Int, count: Int) {
        precondition(step != 0, "a slice moves")
        // A longer step than the sequence reaches the same elements.
        self.step = min(max(step, -count - 1), count + 1)
        func clamp(_ index: Int, _ low: Int, _ high: Int) -> Int {
            let place = index < 0 ? max(index, -count - 1) + count : index
            return min(max(place, low), high)
        }
        if step > 0 {
            start = clamp(from ?? 0, 0, count)
            end = clamp(to ?? count, 0, count)
        } else {
            start = from.map { clamp($0, -1, count - 1) } ?? count - 1
            end = to.map { clamp($0, -1, count - 1) } ?? -1
        }
    }

    var indices: StrideTo<Int> { stride(from: start, to: end, by: step) }
}
