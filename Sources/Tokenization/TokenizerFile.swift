import Terms

/// tokenizer.json as read: the big members apart, the rest as one JSON value.
///
/// Format: huggingface/tokenizers, `tokenizer/serialization.rs` and `models/bpe/serialization.rs`, version 1.0.
struct TokenizerFile {
    static let name = "tokenizer.json"

    var rest: JSONObject
    var vocabulary = Vocabulary()
    /// Pairs of ids with the id of what they become, in the file's order.
    var merges: [(left: Int32, right: Int32, result: Int32)] = []

    init(_ bytes: [UInt8]) throws(TokenizationError) {
        // Typed errors don't pass through `withUnsafeBufferPointer`.
        let result: Result<TokenizerFile, TokenizationError> = bytes.withUnsafeBufferPointer { buffer in
            do throws(TokenizationError) { return .success(try TokenizerFile(buffer)) } catch { return .failure(error) }
        }
        self = try result.get()
    }

    private init(_ bytes: UnsafeBufferPointer<UInt8>) throws(TokenizationError) {
        let spans = try Self.spans(of: bytes)
        var remaining: [UInt8] = []
        var at = 0
        for span in [spans.vocabulary, spans.merges].compactMap(\.self).sorted(by: { $0.lowerBound < $1.lowerBound }) {
            remaining += bytes[at..<span.lowerBound]
            remaining += Array("null".utf8)
            at = span.upperBound
        }
        remaining += bytes[at...]
        rest = try JSONValue.object(remaining, file: Self.name)
        if let span = spans.vocabulary { vocabulary = try Self.readVocabulary(bytes, at: span.lowerBound) }
        if let span = spans.merges { merges = try Self.readMerges(bytes, at: span.lowerBound, vocabulary) }
    }

    /// Where the values of `model.vocab` and `model.merges` stand. A repeated key counts where it stands last.
    private static func spans(
        of bytes: UnsafeBufferPointer<UInt8>
    ) throws(TokenizationError) -> (vocabulary: Range<Int>?, merges: Range<Int>?) {
        var vocabulary: Range<Int>?
        var merges: Range<Int>?
        var skimmer = JSONSkimmer(bytes)
        do throws(SkimError) {
            try skimmer.members { skimmer, key throws(SkimError) in
                guard key.elementsEqual("model".utf8), skimmer.startsObject else { return try skimmer.skipValue() }
                try skimmer.members { skimmer, key throws(SkimError) in
                    let start = skimmer.at
                    let startsObject = skimmer.startsObject
                    try skimmer.skipValue()
                    if key.elementsEqual("vocab".utf8), startsObject { vocabulary = start..<skimmer.at }
                    if key.elementsEqual("merges".utf8) { merges = start..<skimmer.at }
                }
            }
        } catch {
            throw .malformed(file: name, offset: error.offset, problem: error.problem)
        }
        return (vocabulary, merges)
    }

    private static func readVocabulary(
        _ bytes: UnsafeBufferPointer<UInt8>, at: Int
    ) throws(TokenizationError) -> Vocabulary {
        var vocabulary = Vocabulary()
        var clash: (token: [UInt8], id: Int)?
        var skimmer = JSONSkimmer(bytes, at: at)
        do throws(SkimError) {
            try skimmer.members { skimmer, token throws(SkimError) in
                let id = try skimmer.natural()
                if !vocabulary.insert(token, id: id), clash == nil { clash = (token, id) }
            }
        } catch {
            throw .malformed(file: name, offset: error.offset, problem: error.problem)
        }
        if let clash {
            let token = String(decoding: clash.token, as: UTF8.self)
            let problem = "the id \(clash.id) of `\(token)` is too large or belongs to another token"
            throw .inconsistent(file: name, problem: problem)
        }
        return vocabulary
    }

    /// Merges stand as `["a", "b"]` or, in older files, as `"a b"`.
    private static func readMerges(
        _ bytes: UnsafeBufferPointer<UInt8>, at: Int, _ vocabulary: Vocabulary
    ) throws(TokenizationError) -> [(left: Int32, right: Int32, result: Int32)] {
        var merges: [(left: Int32, right: Int32, result: Int32)] = []
        var missing: [UInt8]?
        var left: [UInt8] = []
        var right: [UInt8] = []
        var skimmer = JSONSkimmer(bytes, at: at)
        do throws(SkimError) {
            try skimmer.elements { skimmer throws(SkimError) in
                guard try skimmer.merge(&left, &right) else { return }
                let merged = left + right
                guard let leftID = vocabulary.id(of: left), let rightID = vocabulary.id(of: right),
                    let result = vocabulary.id(of: merged)
                else {
                    missing = missing ?? merged
                    return
                }
                merges.append((leftID, rightID, result))
            }
        } catch {
            throw .malformed(file: name, offset: error.offset, problem: error.problem)
        }
        if let missing {
            let token = String(decoding: missing, as: UTF8.self)
            let problem = "the merge to `\(token)` names a token that the vocabulary doesn't have"
            throw .inconsistent(file: name, problem: problem)
        }
        return merges
    }
}

extension JSONSkimmer {
    var startsObject: Bool { at < bytes.count && bytes[at] == UInt8(ascii: "{") }

    /// Reads one merge; false for the version line of old files.
    fileprivate mutating func merge(_ left: inout [UInt8], _ right: inout [UInt8]) throws(SkimError) -> Bool {
        if take("[") {
            try string(into: &left)
            try expect(",")
            try string(into: &right)
            try expect("]")
            return true
        }
        var line: [UInt8] = []
        try string(into: &line)
        if line.starts(with: Array("#version".utf8)) { return false }
        let parts = line.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
        guard parts.count == 2 else { throw error("a merge must be two tokens with a space between") }
        left = Array(parts[0])
        right = Array(parts[1])
        return true
    }
}

extension JSONValue {
    /// The JSON object that a file holds.
    static func object(_ bytes: [UInt8], file: String) throws(TokenizationError) -> JSONObject {
        let value: JSONValue
        do throws(JSONError) { value = try parse(bytes) } catch { throw .json(file: file, error) }
        guard let object = value.object else {
            throw .field(file: file, name: "(the whole file)", expected: "an object")
        }
        return object
    }
}
