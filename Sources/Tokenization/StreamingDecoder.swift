/// Decodes ids one by one; the pieces put together equal what decoding all at once gives, and no piece ends inside a
/// character.
package struct StreamingDecoder: Sendable {
    private let tokenizer: Tokenizer
    private let skipSpecialTokens: Bool
    /// Bytes that may be the start of a character, or a run of byte tokens that is not over.
    private var pending: [UInt8] = []
    private var isFirst = true
    /// How many characters may still be stripped from the front.
    private var stripsLeft = 0

    init(_ tokenizer: Tokenizer, skipSpecialTokens: Bool) {
        self.tokenizer = tokenizer
        self.skipSpecialTokens = skipSpecialTokens
        if case .characters(let decoding) = tokenizer.storage.decoder { stripsLeft = decoding.stripLimit }
    }

    /// Takes the next id and returns the text that is certain now; empty while a character is incomplete.
    ///
    /// An id that the vocabulary doesn't have gives nothing.
    package mutating func push(_ id: Int32) -> String {
        var output: [UInt8] = []
        push(id, into: &output)
        return String(decoding: output, as: UTF8.self)
    }

    /// Ends the text: what was held back comes out, with U+FFFD for incomplete characters.
    package mutating func finish() -> String {
        var output: [UInt8] = []
        flushRun(into: &output)
        isFirst = true
        return String(decoding: output, as: UTF8.self)
    }

    /// As `push`, appending UTF-8.
    mutating func push(_ id: Int32, into output: inout [UInt8]) {
        guard let token = tokenizer.storage.decodedToken(id, skipSpecialTokens: skipSpecialTokens) else { return }
        switch tokenizer.storage.decoder {
        case .byteLevel:
            pending.append(contentsOf: token)
            let complete = UTF8Repair.completePrefix(of: pending)
            UTF8Repair.append(pending[..<complete], to: &output)
            pending.removeFirst(complete)
        case .characters(let decoding):
            if decoding.byteFallback, let byte = CharacterDecoding.byte(of: token) {
                pending.append(byte)
                return
            }
            flushRun(into: &output)
            appendStripped(token, decoding.strip, to: &output)
        case .metaspace(let keepsFirst):
            let space = isFirst && !keepsFirst ? [] : [UInt8(ascii: " ")]
            output += Normalizer(steps: [.replace(PreTokenizer.metaspace, with: space)]).normalized(Array(token))
        case .joinedBySpaces:
            if !isFirst { output.append(UInt8(ascii: " ")) }
            output += token
        }
        isFirst = false
    }

    /// Ends a run of byte tokens (all of it text, or one U+FFFD a byte) or an incomplete character.
    mutating func flushRun(into output: inout [UInt8]) {
        guard !pending.isEmpty else { return }
        defer { pending.removeAll(keepingCapacity: true) }
        guard case .characters(let decoding) = tokenizer.storage.decoder else {
            return UTF8Repair.append(pending[...], to: &output)
        }
        if String(validating: pending, as: UTF8.self) != nil {
            appendStripped(pending[...], decoding.strip, to: &output)
        } else {
            let marks = pending.flatMap { _ in UTF8Repair.replacement }
            appendStripped(marks[...], decoding.strip, to: &output)
        }
    }

    private mutating func appendStripped(_ text: ArraySlice<UInt8>, _ strip: [UInt8], to output: inout [UInt8]) {
        var text = text
        while stripsLeft > 0, !text.isEmpty {
            guard text.starts(with: strip) else {
                stripsLeft = 0
                break
            }
            text = text.dropFirst(strip.count)
            stripsLeft -= 1
        }
        output.append(contentsOf: text)
    }
}

/// Bytes that may not be UTF-8, made valid as WHATWG and Rust do: one U+FFFD for each maximal part of a character.
enum UTF8Repair {
    /// U+FFFD in UTF-8.
    static let replacement: [UInt8] = [0xEF, 0xBF, 0xBD]

    /// Appends valid UTF-8.
    static func append(_ bytes: ArraySlice<UInt8>, to output: inout [UInt8]) {
        output.append(contentsOf: String(decoding: bytes, as: UTF8.self).utf8)
    }

    /// How many bytes can't be changed by bytes to come: all but a last character that may go on.
    static func completePrefix(of bytes: [UInt8]) -> Int {
        // A character has at most four bytes, so its first is among the last three if it is incomplete.
        for back in 1...3 where back <= bytes.count {
            let start = bytes.count - back
            let first = bytes[start]
            if first & 0xC0 == 0x80 { continue }
            return isOpen(bytes[start...]) ? start : bytes.count
        }
        return bytes.count
    }

    /// Whether the bytes are a proper prefix of some character. Unicode core specification, table 3-7.
    private static func isOpen(_ bytes: ArraySlice<UInt8>) -> Bool {
        guard let first = bytes.first else { return false }
        let length: Int
        switch first {
        case 0xC2...0xDF: length = 2
        case 0xE0...0xEF: length = 3
        case 0xF0...0xF4: length = 4
        default: return false
        }
        guard bytes.count < length else { return false }
        guard let second = bytes.dropFirst().first else { return true }
        switch first {
        case 0xE0: return second >= 0xA0
        case 0xED: return second <= 0x9F
        case 0xF0: return second >= 0x90
        case 0xF4: return second <= 0x8F
        default: return true
        }
    }
}
