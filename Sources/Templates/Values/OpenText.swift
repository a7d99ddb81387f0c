/// Texts of a conversation that are left open, so that one rendering tells how every conversation of one shape is
/// written: what a template writes is literal bytes and places for these texts.
///
/// A place is 16 bytes that no UTF-8 text has: 0xFF, the text's number, 0xFE. The interpreter lets an open text be
/// written, joined to others and asked for its truth (it is never empty); whatever else would depend on its characters
/// ends the rendering with an error, so that a rendering that ends well holds for any characters.
package enum OpenTexts: Sendable {
    /// Nothing is known of the texts.
    case any
    /// They neither start nor end with white space, and hold none of `marks`.
    case plain

    /// Tags that templates look for in what was said.
    package static let marks = ["<think>", "</think>", "<tool_response>", "</tool_response>"]

    /// Bytes of a place.
    package static let width = 16

    /// Bytes that the texts of one conversation may have together, beyond which limits on a rendering could tell
    /// a conversation from its shape.
    package static let bytesLimit = 64 << 10

    /// The number of the text whose place starts at `at`; nil where literal text stands.
    package static func number(in utf8: [UInt8], at: Int) -> Int? {
        guard utf8[at] == 0xFF else { return nil }
        return Int(utf8[at + 1]) | Int(utf8[at + 2]) << 7
    }

    static func place(_ number: Int) -> MarkedText {
        precondition((0..<1 << 14).contains(number), "a place has 14 bits for its text's number")
        var utf8 = [UInt8](repeating: 0xFE, count: width)
        (utf8[0], utf8[1], utf8[2]) = (0xFF, UInt8(number & 0x7F), UInt8(number >> 7))
        return MarkedText(utf8: utf8, isData: true)
    }
}

/// What the open texts of one rendering were asked.
final class OpenTextLog {
    let kind: OpenTexts
    /// Whether something was asked that only the characters could answer.
    var wasRead = false

    init(_ kind: OpenTexts) { self.kind = kind }
}

extension Interpreter {
    /// A text that was captured or joined: open when it has a place.
    func value(of text: MarkedText) -> Value {
        guard let log = openTexts, text.utf8.contains(0xFF) else { return .text(text) }
        return .open(text, log)
    }

    private var isUnknown: TemplateError { failure("the text is open") }

    /// A filter with an open text among its input and arguments; nil = there is none.
    func openFilter(_ name: String, _ input: Value, _ arguments: CallArguments) throws(TemplateError) -> Value? {
        guard openTexts != nil else { return nil }
        guard !arguments.hasOpenText else { throw isUnknown }
        guard case .open(let text, let log) = input else { return nil }
        switch name {
        case "string", "safe": return input
        case "default", "d": return nil
        case "trim" where arguments.positional.isEmpty && arguments.named.isEmpty && log.kind == .plain:
            guard text.isFramedByPlaces else { throw isUnknown }
            return try self.text(text, as: input)
        default: throw isUnknown
        }
    }

    /// `needle in text` for an open text.
    func openContains(_ text: MarkedText, _ log: OpenTextLog, _ needle: Value) throws(TemplateError) -> Bool {
        guard log.kind == .plain, text.count == OpenTexts.width, case .text(let needle) = needle,
            OpenTexts.marks.contains(where: { needle.find(MarkedText(template: $0)) != nil })
        else { throw isUnknown }
        return false
    }

    /// A method of an open text.
    func call(
        _ name: String, ofOpen text: MarkedText, _ log: OpenTextLog, _ arguments: CallArguments
    ) throws(TemplateError) -> Value {
        guard log.kind == .plain, arguments.named.isEmpty, arguments.positional.count <= 1 else { throw isUnknown }
        switch name {
        case "strip", "lstrip", "rstrip":
            var strips = MarkedText(template: " ")
            if let characters = arguments.positional.first {
                guard case .text(let set) = characters else { throw isUnknown }
                strips = set
            }
            guard text.isFramedByPlaces, strips.scalars.allSatisfy({ WhiteSpace.contains($0.scalar) }) else {
                throw isUnknown
            }
            return try self.text(text, as: .open(text, log))
        case "startswith", "endswith":
            guard let part = arguments.positional.first else { throw isUnknown }
            return .bool(try openContains(text, log, part))
        default: throw isUnknown
        }
    }

    /// Counts a text that a method built, though it is the same.
    private func text(_ text: MarkedText, as value: Value) throws(TemplateError) -> Value {
        try charge(text.count)
        return value
    }
}

extension MarkedText {
    /// Whether the text starts and ends with a place.
    fileprivate var isFramedByPlaces: Bool { utf8.first == 0xFF && utf8.last == 0xFE }
}

extension CallArguments {
    fileprivate var hasOpenText: Bool {
        func isOpen(_ value: Value) -> Bool { if case .open = value { true } else { false } }
        return positional.contains(where: isOpen) || named.contains { isOpen($0.value) }
    }
}
