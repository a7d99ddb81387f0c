import Hashing
import Terms
import Testing

/// Several messages at once have the digests that the library gives each of them, by whatever instructions there are.
@Suite struct DigestGroupTests {
    private static let bytes = (0..<70_000).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ $0 >> 8) }

    /// Every choice from what this processor has.
    private static var ways: [HashInstructions] {
        [[], .own, .lanes, [.own, .lanes]].filter { HashInstructions.found.isSuperset(of: $0) }
    }

    private func check(_ ranges: [Range<Int>]) {
        Self.bytes.withUnsafeBytes { all in
            let messages = ranges.map { UnsafeRawBufferPointer(rebasing: all[$0]) }
            let digests = messages.map { Digest.sha256(of: $0) }
            for way in Self.ways {
                #expect(Digest.sha256(ofAll: messages, by: way) == digests, "\(ranges) by \(way)")
                // Every third stays where it is.
                let copies = messages.indices.map { place in
                    place % 3 == 1
                        ? nil
                        : UnsafeMutableRawBufferPointer.allocate(byteCount: messages[place].count + 1, alignment: 64)
                }
                defer { for copy in copies { copy?.deallocate() } }
                for copy in copies { copy?.initializeMemory(as: UInt8.self, repeating: 0xa5) }
                let found = Digest.sha256(ofAll: messages, copies: copies.map { $0?.baseAddress }, by: way)
                #expect(found == digests, "\(ranges), copied, by \(way)")
                for (copy, message) in zip(copies, messages) {
                    guard let copy else { continue }
                    #expect(copy.dropLast().elementsEqual(message) && copy.last == 0xa5, "\(ranges) by \(way)")
                }
            }
        }
    }

    @Test func `of every length up to three blocks, at any address, beside any other`() {
        for length in 0...200 {
            for other in [0, 1, 55, 56, 63, 64, 65, 119, 120, 128, 191] {
                check([length % 7..<(length % 7 + length), 1_000..<(1_000 + other)])
                check([1_000..<(1_000 + other), 3..<(3 + length)])
            }
        }
    }

    @Test func `of any number of messages, equally long ones and others`() {
        for count in 0...35 {
            check((0..<count).map { $0..<($0 + 512) })
            check((0..<count).map { $0..<($0 + $0 * $0 * 7 % 1_999) })
            check((0..<count).map { $0..<($0 + (count - $0) * 64) })
        }
    }

    @Test func `of long pieces, equal and not`() {
        check([0..<65_536, 4_000..<69_536])
        check([0..<65_536, 1..<4_099])
        check([5..<70_000, 0..<70_000])
        check([0..<70_000, 0..<0])
        check((0..<16).map { $0 * 100..<($0 * 100 + 60_000) } + [3..<4_000])
        check((0..<16).map { $0..<($0 % 5 == 0 ? 69_000 : 3_000) })
    }

    @Test func `the published examples, side by side`() {
        let vectors = SHA256HasherTests.vectors
        let messages = vectors.map { Array($0.message.utf8) }
        for way in Self.ways {
            for turn in vectors.indices {
                let order = vectors.indices.map { ($0 + turn) % vectors.count }
                let joined = order.flatMap { messages[$0] }
                joined.withUnsafeBytes { all in
                    var start = 0
                    let parts = order.map { place in
                        defer { start += messages[place].count }
                        return UnsafeRawBufferPointer(rebasing: all[start..<start + messages[place].count])
                    }
                    #expect(Digest.sha256(ofAll: parts, by: way).map(\.hex) == order.map { vectors[$0].hex })
                }
            }
        }
    }
}
