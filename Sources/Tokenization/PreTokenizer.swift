/// How a text without added tokens is cut into the words that the model sees one by one.
struct PreTokenizer: Sendable, Equatable {
    /// What is put before a text that doesn't start with it.
    enum Prefix: Sendable, Equatable {
        case none
        /// ByteLevel's `add_prefix_space`.
        case space
        /// Metaspace: spaces become U+2581 first; one is put in front always, only at the start of the input, or never.
        case metaspace(MetaspaceScheme)
    }

    enum MetaspaceScheme: String, Sendable {
        case always, first, never
    }

    var prefix = Prefix.none
    /// Splits in order, each inside the pieces of the one before; none = the text is one word.
    var splitters: [Splitter] = []

    /// Calls `body` for each word in order; `startsInput` tells whether the text is the start of the whole input.
    @inline(__always)
    func forEachWord(_ text: UTF8Text, startsInput: Bool, _ body: (UnsafeBufferPointer<UInt8>) -> Void) {
        if prefix == .none { return split(text, body) }
        prefixed(text, startsInput: startsInput).withUnsafeBufferPointer { buffer in
            split(UTF8Text(buffer.baseAddress!, count: buffer.count), body)
        }
    }

    @inline(__always)
    private func split(_ text: UTF8Text, _ body: (UnsafeBufferPointer<UInt8>) -> Void) {
        guard splitters.count == 1 else { return split(text, stage: 0, body) }
        let splitter = splitters[0]
        var at = 0
        while at < text.end {
            let end = splitter.pieceEnd(in: text, from: at)
            body(UnsafeBufferPointer(start: text.bytes + at, count: end - at))
            at = end
        }
    }

    private func split(_ text: UTF8Text, stage: Int, _ body: (UnsafeBufferPointer<UInt8>) -> Void) {
        guard stage < splitters.count else {
            return body(UnsafeBufferPointer(start: text.bytes, count: text.end))
        }
        var at = 0
        while at < text.end {
            let end = splitters[stage].pieceEnd(in: text, from: at)
            split(text.slice(at..<end), stage: stage + 1, body)
            at = end
        }
    }

    /// The text, which is not empty, with its prefix.
    private func prefixed(_ text: UTF8Text, startsInput: Bool) -> [UInt8] {
        var bytes = Array(UnsafeBufferPointer(start: text.bytes, count: text.end))
        switch prefix {
        case .none: break
        case .space:
            if bytes[0] != UInt8(ascii: " ") { bytes.insert(UInt8(ascii: " "), at: 0) }
        case .metaspace(let scheme):
            bytes = Normalizer(steps: [.replace([UInt8(ascii: " ")], with: Self.metaspace)]).normalized(bytes)
            let wanted = scheme == .always || (scheme == .first && startsInput)
            if wanted, !bytes.starts(with: Self.metaspace) { bytes.insert(contentsOf: Self.metaspace, at: 0) }
        }
        return bytes
    }

    /// U+2581 in UTF-8.
    static let metaspace: [UInt8] = [0xE2, 0x96, 0x81]
}
