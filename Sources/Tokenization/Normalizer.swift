/// What is done to a text before it is cut into pieces.
struct Normalizer: Sendable, Equatable {
    enum Step: Sendable, Equatable {
        /// Normalisation form C.
        case canonicalComposition
        /// Puts bytes before a text that is not empty.
        case prepend([UInt8])
        /// Replaces every occurrence from the left, without overlap.
        case replace([UInt8], with: [UInt8])
        /// SentencePiece's `remove_extra_whitespaces`: spaces at both ends go, runs of them become one.
        case collapseSpaces
        /// Copies of a character at the end go.
        case trimEnd([UInt8])
    }

    var steps: [Step]

    /// Calls `body` with the normalised text; the text itself, uncopied, when no step changes it.
    func withNormalized(_ text: UTF8Text, _ body: (UTF8Text) -> Void) {
        var start = 0
        while start < steps.count, steps[start] == .canonicalComposition, CanonicalComposition.isUnchanged(text) {
            start += 1
        }
        guard start < steps.count else { return body(text) }
        var bytes = Array(UnsafeBufferPointer(start: text.bytes, count: text.end))
        for step in steps[start...] { bytes = Self.apply(step, to: bytes) }
        bytes.withUnsafeBufferPointer { buffer in
            // An empty array may have no address.
            guard let base = buffer.baseAddress, !buffer.isEmpty else { return }
            body(UTF8Text(base, count: buffer.count))
        }
    }

    /// The normalised bytes of a short string.
    func normalized(_ bytes: [UInt8]) -> [UInt8] {
        steps.reduce(bytes) { Self.apply($1, to: $0) }
    }

    private static func apply(_ step: Step, to bytes: [UInt8]) -> [UInt8] {
        guard !bytes.isEmpty else { return bytes }
        switch step {
        case .canonicalComposition:
            var output: [UInt8] = []
            output.reserveCapacity(bytes.count)
            bytes.withUnsafeBufferPointer { buffer in
                CanonicalComposition.append(UTF8Text(buffer.baseAddress!, count: buffer.count), to: &output)
            }
            return output
        case .prepend(let prefix): return prefix + bytes
        case .replace(let pattern, let content): return replacing(pattern, with: content, in: bytes)
        case .collapseSpaces: return collapsingSpaces(bytes)
        case .trimEnd(let character):
            var end = bytes.count
            while bytes[..<end].reversed().starts(with: character.reversed()) { end -= character.count }
            return Array(bytes[..<end])
        }
    }

    private static func replacing(_ pattern: [UInt8], with content: [UInt8], in bytes: [UInt8]) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(bytes.count + bytes.count / 4)
        var at = 0
        while at < bytes.count {
            if bytes[at] == pattern[0], at + pattern.count <= bytes.count,
                bytes[at..<at + pattern.count].elementsEqual(pattern)
            {
                output.append(contentsOf: content)
                at += pattern.count
            } else {
                output.append(bytes[at])
                at += 1
            }
        }
        return output
    }

    private static func collapsingSpaces(_ bytes: [UInt8]) -> [UInt8] {
        let space = UInt8(ascii: " ")
        var output: [UInt8] = []
        for byte in bytes where byte != space || (output.last ?? space) != space { output.append(byte) }
        if output.last == space { output.removeLast() }
        return output
    }
}
