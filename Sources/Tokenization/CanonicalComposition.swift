/// Normalisation form C on UTF-8 bytes. Unicode Standard Annex 15.
enum CanonicalComposition {
    /// True when NFC leaves the bytes as they are for sure (every scalar passes the quick check alone).
    static func isUnchanged(_ text: UTF8Text) -> Bool {
        var at = 0
        while at < text.end {
            let byte = text.bytes[at]
            if byte < 0x80 {
                at += 1
                continue
            }
            var width = 0
            if text.property(at: at, width: &width) & UnicodeProperties.normalizationSensitive != 0 { return false }
            at += width
        }
        return true
    }

    /// Appends the NFC of `text`, valid UTF-8, to `output`.
    ///
    /// A scalar that passes the quick check alone starts a new chunk; only chunks with one that doesn't are worked on.
    static func append(_ text: UTF8Text, to output: inout [UInt8]) {
        let data = CanonicalData.shared
        var chunk: [UInt32] = []
        var chunkStart = 0
        var sensitive = false
        var at = 0
        while at < text.end {
            var width = 0
            let property = text.property(at: at, width: &width)
            if property & UnicodeProperties.normalizationSensitive == 0 {
                close(chunk, sensitive, text, chunkStart..<at, data, &output)
                chunk.removeAll(keepingCapacity: true)
                chunkStart = at
                sensitive = false
            } else {
                sensitive = true
            }
            chunk.append(text.scalar(at: at))
            at += width
        }
        close(chunk, sensitive, text, chunkStart..<at, data, &output)
    }

    private static func close(
        _ chunk: [UInt32], _ sensitive: Bool, _ text: UTF8Text, _ range: Range<Int>, _ data: CanonicalData,
        _ output: inout [UInt8]
    ) {
        guard sensitive else {
            output.append(contentsOf: UnsafeBufferPointer(start: text.bytes + range.lowerBound, count: range.count))
            return
        }
        for scalar in composed(ordered(chunk, data), data) {
            // Tables and arithmetic give scalars only.
            if let scalar = Unicode.Scalar(scalar) { output.append(contentsOf: UTF8.encode(scalar)!) }
        }
    }

    /// Full decomposition, then a stable sort of every run of marks by combining class.
    private static func ordered(_ scalars: [UInt32], _ data: CanonicalData) -> [(scalar: UInt32, order: UInt8)] {
        var result: [(scalar: UInt32, order: UInt8)] = []
        for scalar in scalars {
            for part in data.decomposition(scalar) ?? [scalar] { result.append((part, data.combiningClass(part))) }
        }
        var start = 0
        while start < result.count {
            var end = start + 1
            guard result[start].order != 0 else {
                start = end
                continue
            }
            while end < result.count, result[end].order != 0 { end += 1 }
            let marks = result[start..<end].enumerated().sorted {
                ($0.element.order, $0.offset) < ($1.element.order, $1.offset)
            }
            for (offset, mark) in marks.enumerated() { result[start + offset] = mark.element }
            start = end
        }
        return result
    }

    /// Composes each scalar with the last starter unless a mark of the same or a higher class stands between.
    private static func composed(_ scalars: [(scalar: UInt32, order: UInt8)], _ data: CanonicalData) -> [UInt32] {
        var result: [UInt32] = []
        var starter: Int?
        var lastOrder = 0
        for (scalar, order) in scalars {
            let blocked = starter.map { result.count > $0 + 1 && lastOrder >= Int(order) } ?? true
            if let index = starter, !blocked, let composite = data.composition(result[index], scalar) {
                result[index] = composite
                continue
            }
            if order == 0 { starter = result.count }
            lastOrder = Int(order)
            result.append(scalar)
        }
        return result
    }
}
