// Pieces that several pre-tokenizer patterns share. Each function answers for one position of a text.

extension UTF8Text {
    /// The white-space alternatives that end most patterns: `\s*[\r\n]+` (when `endsAtNewline`), `\s+(?!\S)`, `\s+`.
    ///
    /// `at` stands on white space. A run goes up to its last newline; without one, or after it, the run is taken
    /// without its last character when something follows, so that a single space can lead the next word.
    @inline(__always)
    func whiteSpacePiece(from at: Int, endsAtNewline: Bool) -> Int {
        var position = at
        var last = at
        var afterNewline = at
        var width = 0
        while position < end {
            let byte = bytes[position]
            let property = property(at: position, width: &width)
            guard property & UnicodeProperties.whiteSpace != 0 else { break }
            last = position
            position += width
            if byte == 0x0A || byte == 0x0D { afterNewline = position }
        }
        if endsAtNewline, afterNewline > at { return afterNewline }
        if position == end || last == at { return position }
        return last
    }

    /// The end of `\p{N}{1,limit}`; `at` itself when no number stands there.
    @inline(__always)
    func numberEnd(from at: Int, limit: Int) -> Int {
        var position = at
        var width = 0
        var count = 0
        while position < end, count < limit, has(.numbers, at: position, width: &width) {
            position += width
            count += 1
        }
        return position
    }

    /// The end of `[\r\n]*`.
    @inline(__always)
    func newlinesEnd(from at: Int) -> Int {
        var at = at
        while at < end, bytes[at] == 0x0A || bytes[at] == 0x0D { at += 1 }
        return at
    }

    /// The end of `(?i:'s|'t|'re|'ve|'m|'ll|'d)` when the apostrophe stands at `at`; nil when it does not match.
    ///
    /// Case is folded as Unicode does, so U+017F (long s) counts as an s.
    func contractionEnd(from at: Int) -> Int? {
        guard at + 1 < end else { return nil }
        let first = bytes[at + 1]
        switch first | 0x20 {
        case UInt8(ascii: "s"), UInt8(ascii: "t"), UInt8(ascii: "m"), UInt8(ascii: "d"):
            return first < 0x80 ? at + 2 : nil
        case UInt8(ascii: "r"), UInt8(ascii: "v"):
            return isASCIILetter(at + 2, "e") ? at + 3 : nil
        case UInt8(ascii: "l"):
            return isASCIILetter(at + 2, "l") ? at + 3 : nil
        default:
            return first == 0xC5 && bytes[at + 2] == 0xBF ? at + 3 : nil
        }
    }

    private func isASCIILetter(_ at: Int, _ letter: Unicode.Scalar) -> Bool {
        at < end && bytes[at] | 0x20 == UInt8(ascii: letter)
    }

    /// The end of the case-sensitive `'s|'t|'re|'ve|'m|'ll|'d`; nil when it does not match at `at`.
    func lowercaseContractionEnd(from at: Int) -> Int? {
        guard let found = contractionEnd(from: at) else { return nil }
        return (at + 1..<found).allSatisfy { (0x61...0x7A).contains(bytes[$0]) } ? found : nil
    }
}
