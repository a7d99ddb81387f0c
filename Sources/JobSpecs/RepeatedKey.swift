import Yams

/// The second place of a key that stands twice in one mapping.
///
/// The YAML reader stops at a repeated key and names only its first place. To report the second one, and then all
/// other faults too, the text is parsed up to the end of each line that could hold it: the first such part that shows
/// the repetition ends at its line.
struct RepeatedKey {
    var key: String
    var firstLine: Int
    var position: SpecPosition
    /// The text with the repeated key renamed in place, so that every other column stays.
    var textWithoutIt: String

    /// Lines that are tried for one key.
    private static let candidateLimit = 64

    /// The second place of one of `keys`, the first of which stands at `first`; nil when it cannot be found.
    static func find(_ keys: [String], after first: Mark, in text: String) -> RepeatedKey? {
        guard let key = keys.first, !key.isEmpty else { return nil }
        let lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
            .map { Array($0.unicodeScalars) }
        let name = Array(key.unicodeScalars)
        var candidates: [SpecPosition] = []
        for line in max(0, first.line - 1)..<lines.count where candidates.count < candidateLimit {
            for column in places(of: name, in: lines[line]) where (line + 1, column + 1) > (first.line, first.column) {
                candidates.append(SpecPosition(line: line + 1, column: column + 1))
            }
        }
        // In flow style no part ends well before its closing bracket; then the first candidate is the best guess.
        let found = candidates.first { isRepeated(key, inLinesUpTo: $0.line, of: lines) } ?? candidates.first
        guard let found else { return nil }
        var changed = lines
        // A private-use character keeps the columns and is no key of anybody.
        changed[found.line - 1][markColumn(found, lines[found.line - 1])] = replacement(found)
        return RepeatedKey(
            key: key, firstLine: first.line,
            position: SpecPosition(
                line: found.line, column: markColumn(found, lines[found.line - 1], includingQuote: true) + 1),
            textWithoutIt: join(changed))
    }

    private static func join(_ lines: [[Unicode.Scalar]]) -> String {
        var text = String.UnicodeScalarView()
        for (index, line) in lines.enumerated() {
            if index > 0 { text.append("\n") }
            text.append(contentsOf: line)
        }
        return String(text)
    }

    /// Different for each place, so that a key standing three times gives two different names.
    private static func replacement(_ place: SpecPosition) -> Unicode.Scalar {
        Unicode.Scalar(0xE000 + UInt32((place.line * 31 + place.column) % 0x1900)) ?? "\u{E000}"
    }

    private static func markColumn(
        _ place: SpecPosition, _ line: [Unicode.Scalar], includingQuote: Bool = false
    ) -> Int {
        let column = place.column - 1
        guard includingQuote, column > 0, line[column - 1] == "\"" || line[column - 1] == "'" else { return column }
        return column - 1
    }

    /// Columns from 0 where `name` stands as a key: nothing but a separator before it, a colon after it.
    private static func places(of name: [Unicode.Scalar], in line: [Unicode.Scalar]) -> [Int] {
        guard line.count > name.count else { return [] }
        return (0...line.count - name.count).filter { start in
            guard line[start..<start + name.count].elementsEqual(name) else { return false }
            if start > 0, !" \t{,[\"'-?".unicodeScalars.contains(line[start - 1]) { return false }
            let after = line[(start + name.count)...].drop { $0 == "\"" || $0 == "'" || $0 == " " || $0 == "\t" }
            return after.first == ":"
        }
    }

    private static func isRepeated(_ key: String, inLinesUpTo line: Int, of lines: [[Unicode.Scalar]]) -> Bool {
        do {
            let parser = try Parser(yaml: join(Array(lines.prefix(line))), resolver: .basic, encoding: .utf8)
            _ = try parser.nextRoot()
            return false
        } catch YamlError.duplicatedKeysInMapping(let keys, _) {
            return keys.contains(key)
        } catch {
            return false
        }
    }
}
