/// A key of `rank_pattern` or `alpha_pattern`: a module's name, or a regular expression as peft takes it.
///
/// It matches a path that it covers from the start, or from after a dot, to the end.
package struct NamePattern {
    private let plain: String?
    private let expression: Regex<AnyRegexOutput>?

    /// nil when the text is neither a plain name nor an expression that this program takes.
    ///
    /// Only what names need is taken, and no repetition of a group, so that matching never takes long.
    package init?(_ text: String) {
        guard !text.isEmpty, text.utf8.count <= 256, text.utf8.allSatisfy(Self.isAllowed) else { return nil }
        guard !text.utf8.allSatisfy(Self.isName) else {
            (plain, expression) = (text, nil)
            return
        }
        for repeated in [")*", ")+", ")?", "(?"] where text.contains(repeated) { return nil }
        guard text.utf8.count(where: { [0x2A, 0x2B].contains($0) }) <= 4,
            let expression = try? Regex("(?:.*\\.)?(?:\(text))")
        else { return nil }
        (plain, self.expression) = (nil, expression)
    }

    /// Whether the module or parameter at `path` is meant.
    package func matches(_ path: String) -> Bool {
        if let plain { return path == plain || path.hasSuffix(".\(plain)") }
        return (try? expression?.wholeMatch(in: path)) != nil
    }

    /// Letters, digits, underscore and dot; as in peft a plain dot stands for itself in practice.
    private static func isName(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2E, 0x5F: true
        default: false
        }
    }

    private static func isAllowed(_ byte: UInt8) -> Bool { isName(byte) || "^$*+?|()[]\\-,".utf8.contains(byte) }
}
