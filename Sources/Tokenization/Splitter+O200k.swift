/// The scanner of o200k. With `P` = `[^\r\n\p{L}\p{N}]?`, `U` = `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`,
/// `W` = `[\p{Ll}\p{Lm}\p{Lo}\p{M}]`, `C` = `(?i:'s|'t|'re|'ve|'m|'ll|'d)?` or nothing, and `D` = `digits`:
/// `PU*W+C|PU+W*C|\p{N}{1,D}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`.
extension UTF8Text {
    private static let upper: CategorySet = [.uppercase, .titlecase, .modifierLetters, .otherLetters, .marks]
    private static let lower: CategorySet = [.lowercase, .modifierLetters, .otherLetters, .marks]

    func o200kPiece(from at: Int, digits: Int, contractions: Bool) -> Int {
        if let word = o200kWord(from: at) {
            guard contractions, word < end, bytes[word] == UInt8(ascii: "'") else { return word }
            return contractionEnd(from: word) ?? word
        }
        let first = bytes[at]
        var width = 0
        let property = property(at: at, width: &width)
        let bit = UInt32(property & UnicodeProperties.categoryMask)
        if CategorySet.numbers.rawValue >> bit & 1 != 0 { return numberEnd(from: at, limit: digits) }
        if property & UnicodeProperties.whiteSpace == 0 {
            return newlinesAndSlashesEnd(from: otherEnd(from: at + width, letters: .letters))
        }
        if first == UInt8(ascii: " ") {
            let found = otherEnd(from: at + 1, letters: .letters)
            if found > at + 1 { return newlinesAndSlashesEnd(from: found) }
        }
        return whiteSpacePiece(from: at, endsAtNewline: true)
    }

    /// The first two alternatives without the contraction, each tried with the optional prefix, then without.
    private func o200kWord(from at: Int) -> Int? {
        var width = 0
        let first = bytes[at]
        let takesPrefix =
            !has([.letters, .numbers], at: at, width: &width) && first != 0x0A && first != 0x0D
        let next = at + width
        if takesPrefix, next < end, let found = endingInLower(from: next) { return found }
        if let found = endingInLower(from: at) { return found }
        if takesPrefix, next < end, let found = startingInUpper(from: next) { return found }
        return startingInUpper(from: at)
    }

    /// `U*W+` with backtracking: when nothing of `W` alone follows the run of `U`, the last scalar of the run that is
    /// also in `W` is given back and ends the match.
    private func endingInLower(from at: Int) -> Int? {
        var position = at
        var endOfLastShared: Int?
        var width = 0
        while position < end, has(Self.upper, at: position, width: &width) {
            if has(Self.lower, at: position, width: &width) { endOfLastShared = position + width }
            position += width
        }
        let found = runEnd(Self.lower, from: position)
        return found > position ? found : endOfLastShared
    }

    /// `U+W*`
    private func startingInUpper(from at: Int) -> Int? {
        let position = runEnd(Self.upper, from: at)
        return position > at ? runEnd(Self.lower, from: position) : nil
    }

    private func newlinesAndSlashesEnd(from at: Int) -> Int {
        var at = at
        while at < end, bytes[at] == 0x0A || bytes[at] == 0x0D || bytes[at] == UInt8(ascii: "/") { at += 1 }
        return at
    }
}
