// The scanners of the big patterns, alternative by alternative in the order of the regular expression.

extension UTF8Text {
    func gpt2Piece(from at: Int) -> Int {
        let first = bytes[at]
        if first == UInt8(ascii: "'"), let found = lowercaseContractionEnd(from: at) { return found }
        // ` ?` takes a space only when one of the three runs follows it.
        var width = 0
        var start = at
        if first == UInt8(ascii: " ") {
            start = at + 1
            if start == end { return end }
        }
        let property = property(at: start, width: &width)
        if property & UnicodeProperties.whiteSpace != 0 { return whiteSpacePiece(from: at, endsAtNewline: false) }
        let category = CategorySet(rawValue: 1 << UInt32(property & UnicodeProperties.categoryMask))
        if !category.isDisjoint(with: .letters) { return runEnd(.letters, from: start + width) }
        if !category.isDisjoint(with: .numbers) { return runEnd(.numbers, from: start + width) }
        return otherEnd(from: start + width, letters: .letters)
    }

    /// The end of `[^\s\p{L}\p{N}]*`, with `letters` for `\p{L}`.
    @inline(__always)
    func otherEnd(from at: Int, letters: CategorySet) -> Int {
        let refused = letters.union(.numbers)
        var at = at
        var width = 0
        while at < end {
            let property = property(at: at, width: &width)
            if property & UnicodeProperties.whiteSpace != 0 { break }
            if refused.rawValue >> UInt32(property & UnicodeProperties.categoryMask) & 1 != 0 { break }
            at += width
        }
        return at
    }

    func tiktokenPiece(from at: Int, letters: CategorySet, digits: Int) -> Int {
        let first = bytes[at]
        if first == UInt8(ascii: "'"), let found = contractionEnd(from: at) { return found }
        var width = 0
        let property = property(at: at, width: &width)
        let bit = UInt32(property & UnicodeProperties.categoryMask)
        if letters.rawValue >> bit & 1 != 0 { return runEnd(letters, from: at + width) }
        if CategorySet.numbers.rawValue >> bit & 1 != 0 { return numberEnd(from: at, limit: digits) }
        let next = at + width
        var nextWidth = 0
        let isNewline = first == 0x0A || first == 0x0D
        if !isNewline, next < end, has(letters, at: next, width: &nextWidth) {
            return runEnd(letters, from: next + nextWidth)
        }
        if property & UnicodeProperties.whiteSpace == 0 {
            return newlinesEnd(from: otherEnd(from: next, letters: letters))
        }
        if first == UInt8(ascii: " ") {
            let found = otherEnd(from: next, letters: letters)
            if found > next { return newlinesEnd(from: found) }
        }
        return whiteSpacePiece(from: at, endsAtNewline: true)
    }

    /// ASCII punctuation before ASCII letters, words with marks, punctuation and symbols, white space; nil = no match.
    func deepSeekMatch(from at: Int) -> Int? {
        let first = bytes[at]
        if isASCIIPunctuation(first), at + 1 < end, isASCIILetter(bytes[at + 1]) {
            var position = at + 2
            while position < end, isASCIILetter(bytes[position]) { position += 1 }
            return position
        }
        let word: CategorySet = [.letters, .marks]
        let sign: CategorySet = [.punctuation, .symbols]
        var width = 0
        if has(word, at: at, width: &width) { return runEnd(word, from: at + width) }
        let next = at + width
        let isSign = has(sign, at: at, width: &width)
        var nextWidth = 0
        if !isSign, first != 0x0A, first != 0x0D, next < end, has(word, at: next, width: &nextWidth) {
            return runEnd(word, from: next + nextWidth)
        }
        if isSign { return newlinesEnd(from: runEnd(sign, from: next)) }
        if first == UInt8(ascii: " "), next < end, has(sign, at: next, width: &nextWidth) {
            return newlinesEnd(from: runEnd(sign, from: next))
        }
        guard property(at: at, width: &width) & UnicodeProperties.whiteSpace != 0 else { return nil }
        return whiteSpacePiece(from: at, endsAtNewline: true)
    }

    private func isASCIILetter(_ byte: UInt8) -> Bool { (0x61...0x7A).contains(byte | 0x20) }

    private func isASCIIPunctuation(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x21...0x2F, 0x3A...0x40, 0x5B...0x60, 0x7B...0x7E: true
        default: false
        }
    }
}
