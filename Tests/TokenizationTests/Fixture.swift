import Foundation
import Terms
import Tokenization

/// What `scripts/parity/make-tokenizer-fixtures` wrote for one vocabulary.
struct Fixture {
    let name: String
    let nasty: [String]
    let random: [String]
    /// Ids of each nasty text; with special tokens for the first 40; the text that those of the first decode to.
    let ids: [[Int32]]
    let idsWithSpecials: [[Int32]]
    let decoded: [String]
    /// As `decoded`, with nil where the reference has its own way.
    let decodings: [String?]
    /// One digest a random text: see `digest`.
    let digests: [String]
    /// One digest a text, nasty then random, of the lengths of its pieces; empty where there are none to compare.
    let pieceDigests: [String]

    /// `DROVER_TOKENIZER_FIXTURES` names another folder, for runs with more texts than are kept here.
    static let folder =
        ProcessInfo.processInfo.environment["DROVER_TOKENIZER_FIXTURES"].map { URL(filePath: $0) }
        ?? URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Fixtures")

    static func bytes(_ path: String) throws -> [UInt8] { [UInt8](try Data(contentsOf: folder.appending(path: path))) }

    init(_ name: String) throws {
        self.name = name
        let texts = try JSONValue.parse(Self.bytes("texts.json"))
        let expected = try JSONValue.parse(Self.bytes("\(name)/expected.json"))
        func strings(_ value: JSONValue?) -> [String] { value?.array?.compactMap(\.string) ?? [] }
        func lists(_ value: JSONValue?) -> [[Int32]] {
            value?.array?.map { $0.array?.compactMap { $0.int.map { Int32($0) } } ?? [] } ?? []
        }
        nasty = strings(texts["nasty"])
        random = strings(texts["random"])
        ids = lists(expected["nasty"])
        idsWithSpecials = lists(expected["special"])
        decoded = strings(expected["decoded"])
        decodings = expected["decoded"]?.array?.map(\.string) ?? []
        func eights(_ value: JSONValue?) -> [String] {
            let all = Array(value?.string ?? "")
            return stride(from: 0, to: all.count, by: 8).map { String(all[$0..<$0 + 8]) }
        }
        digests = eights(expected["random"])
        pieceDigests = eights(expected["pieces"])
    }

    /// FNV-1a (32 bits) of the ids, little-endian, and then of the text.
    static func digest(_ ids: [Int32], _ text: String) -> String {
        var hash: UInt32 = 0x811C_9DC5
        func add(_ byte: UInt8) { hash = (hash ^ UInt32(byte)) &* 0x0100_0193 }
        for id in ids {
            for shift in stride(from: Int32(0), to: 32, by: 8) { add(UInt8(truncatingIfNeeded: id >> shift)) }
        }
        for byte in text.utf8 { add(byte) }
        let digits = String(hash, radix: 16)
        return String(repeating: "0", count: 8 - digits.count) + digits
    }
}

/// Equality of strings by bytes: `==` would call two normalisation forms equal.
func sameBytes(_ left: String, _ right: String) -> Bool { left.utf8.elementsEqual(right.utf8) }

/// Bytes of JSON text for tests.
func json(_ text: String) -> [UInt8] { Array(text.utf8) }
