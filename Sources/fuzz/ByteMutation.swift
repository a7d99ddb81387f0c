import Terms

/// One mutation of a corpus of binary files: up to six small changes, all drawn from the seed and the mutation's
/// number.
struct ByteMutation {
    private let corpus: Corpus
    private let random: Philox
    private var draws: UInt64 = 0
    /// No mutation is larger.
    private let limit: Int

    init(_ corpus: Corpus, seed: UInt64, number: UInt64, limit: Int) {
        self.corpus = corpus
        self.limit = limit
        random = Philox(seed: seed, purpose: .probe, stream: number)
    }

    mutating func bytes() -> [UInt8] {
        var bytes = corpus.files[below(corpus.files.count)].bytes
        for _ in 0...below(5) { change(&bytes) }
        return Array(bytes.prefix(limit))
    }

    private mutating func change(_ bytes: inout [UInt8]) {
        guard !bytes.isEmpty else {
            bytes = [UInt8(below(256))]
            return
        }
        let at = below(bytes.count)
        switch below(9) {
        case 0: bytes[at] ^= 1 << UInt8(below(8))
        case 1: bytes[at] = UInt8(below(256))
        case 2: put(Self.numbers[below(Self.numbers.count)], of: 8, into: &bytes, at)
        case 3: put(Self.numbers[below(Self.numbers.count)], of: 4, into: &bytes, at)
        case 4: bytes.removeSubrange(at..<min(bytes.count, at + 1 + below(24)))
        case 5: bytes.insert(contentsOf: bytes[at..<min(bytes.count, at + 1 + below(96))], at: below(bytes.count))
        case 6:
            let other = corpus.files[below(corpus.files.count)].bytes
            bytes.removeLast(bytes.count - at)
            if !other.isEmpty { bytes += other[below(other.count)...] }
        case 7: bytes.append(contentsOf: Array(repeating: UInt8(below(256)), count: below(64)))
        default: multiply(&bytes, at)
        }
    }

    /// A little-endian number that is often trouble.
    private func put(_ number: UInt64, of width: Int, into bytes: inout [UInt8], _ at: Int) {
        for index in at..<min(bytes.count, at + width) {
            bytes[index] = UInt8(truncatingIfNeeded: number >> UInt64(8 * (index - at)))
        }
    }

    /// A piece repeated up to two thousand times.
    private mutating func multiply(_ bytes: inout [UInt8], _ at: Int) {
        let piece = Array(bytes[at..<min(bytes.count, at + 1 + below(40))])
        let count = min(1 + below(2000), max(0, limit - bytes.count) / piece.count)
        bytes.insert(contentsOf: Array(repeating: piece, count: count).joined(), at: at)
    }

    private mutating func below(_ bound: Int) -> Int {
        draws += 1
        return Int(random.below(UInt64(bound), draws))
    }

    private static let numbers: [UInt64] = [
        0, 1, 2, 7, 8, 255, 256, 1023, 1024, 1025, 4095, 4096, 4097, 65_535, 65_536, 65_537, 1 << 20, 8 << 20, 1 << 31,
        (1 << 32) - 1, 1 << 32, 1 << 48, (1 << 48) + 1, 1 << 61, 1 << 62, (1 << 63) - 1, 1 << 63, .max - 1, .max,
    ]
}
