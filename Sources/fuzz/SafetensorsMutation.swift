import Terms

/// One mutation of a corpus file: up to eight small changes, all drawn from the seed and the mutation's number.
struct SafetensorsMutation {
    private let corpus: Corpus
    private let random: Philox
    private var draws: UInt64 = 0
    /// No mutation is larger.
    private static let limit = 1 << 20

    init(_ corpus: Corpus, seed: UInt64, number: UInt64) {
        self.corpus = corpus
        random = Philox(seed: seed, purpose: .probe, stream: number)
    }

    mutating func bytes() -> [UInt8] {
        var bytes = pick(corpus.files).bytes
        for _ in 0...below(7) { change(&bytes) }
        // Half of the cases get a header length that fits, so that the reader goes on beyond it.
        if below(2) == 0, bytes.count >= 8, let end = bytes.dropFirst(8).lastIndex(of: UInt8(ascii: "}")) {
            setLength(&bytes, UInt64(end - 7))
        }
        return Array(bytes.prefix(Self.limit))
    }

    private mutating func change(_ bytes: inout [UInt8]) {
        guard !bytes.isEmpty else {
            bytes = [UInt8(below(256))]
            return
        }
        let at = below(bytes.count)
        switch below(11) {
        case 0: bytes[at] ^= 1 << UInt8(below(8))
        case 1: bytes[at] = pick(Self.bytes)
        case 2: bytes.insert(contentsOf: pick(Self.words).utf8, at: at)
        case 3: bytes.removeSubrange(at..<min(bytes.count, at + 1 + below(16)))
        case 4: bytes.removeLast(bytes.count - at)
        case 5: bytes.insert(contentsOf: bytes[at..<min(bytes.count, at + 1 + below(64))], at: below(bytes.count))
        case 6: splice(&bytes, at)
        case 7: replaceNumber(&bytes, from: at)
        case 8: setLength(&bytes, pick(Self.lengths))
        case 9: bytes.append(contentsOf: Array(repeating: UInt8(below(256)), count: below(64)))
        default: multiply(&bytes, at)
        }
    }

    /// From `at` on, the rest of another file.
    private mutating func splice(_ bytes: inout [UInt8], _ at: Int) {
        let other = pick(corpus.files).bytes
        bytes.removeLast(bytes.count - at)
        if !other.isEmpty { bytes += other[below(other.count)...] }
    }

    /// The next run of digits becomes a number that is often trouble.
    private mutating func replaceNumber(_ bytes: inout [UInt8], from at: Int) {
        let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
        guard let start = bytes[at...].firstIndex(where: digits.contains) else { return }
        let end = bytes[start...].firstIndex { !digits.contains($0) } ?? bytes.count
        bytes.replaceSubrange(start..<end, with: pick(Self.numbers).utf8)
    }

    /// A piece repeated up to a thousand times.
    private mutating func multiply(_ bytes: inout [UInt8], _ at: Int) {
        let piece = Array(bytes[at..<min(bytes.count, at + 1 + below(32))])
        let count = min(1 + below(1000), (Self.limit - min(bytes.count, Self.limit)) / piece.count)
        bytes.insert(contentsOf: Array(repeating: piece, count: count).joined(), at: at)
    }

    private func setLength(_ bytes: inout [UInt8], _ length: UInt64) {
        for index in 0..<min(8, bytes.count) { bytes[index] = UInt8(truncatingIfNeeded: length >> UInt64(8 * index)) }
    }

    private mutating func below(_ bound: Int) -> Int {
        draws += 1
        return Int(random.below(UInt64(bound), draws))
    }

    private mutating func pick<Element>(_ list: [Element]) -> Element { list[below(list.count)] }

    private static let bytes: [UInt8] = [
        0, 1, 0x20, 0x22, 0x2C, 0x2D, 0x30, 0x39, 0x3A, 0x5B, 0x5C, 0x5D, 0x7B, 0x7D, 0x7F, 0x80, 0xC0, 0xFF,
    ]
    private static let numbers = [
        "0", "1", "-1", "00", "1.0", "1e9", "4294967295", "4294967296", "9223372036854775807", "9223372036854775808",
        "18446744073709551615", "18446744073709551616", "99999999999999999999999999",
    ]
    private static let words = [
        "\"", "\\", "\\u0000", "\\ud800", "{", "}", "[", "]", ",", ":", "null", "true",
        "\"__metadata__\":{\"a\":\"b\"},",
        "\"a\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]},", "\"dtype\":\"F64\",", "../", "\u{FEFF}",
    ]
    private static let lengths: [UInt64] = [
        0, 1, 2, 7, 8, 255, 65_535, 16 << 20, 16 << 20 + 1, 1 << 31, 1 << 32, 1 << 62, 1 << 63, .max,
    ]
}
