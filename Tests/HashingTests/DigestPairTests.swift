import Hashing
import Terms
import Testing

/// Two messages at once have the digests that the library gives each of them.
@Suite struct DigestPairTests {
    private static let bytes = (0..<70_000).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ $0 >> 8) }

    private func check(_ first: Range<Int>, _ second: Range<Int>) {
        Self.bytes.withUnsafeBytes { all in
            let (one, two) = (
                UnsafeRawBufferPointer(rebasing: all[first]), UnsafeRawBufferPointer(rebasing: all[second])
            )
            let found = Digest.sha256(of: one, and: two)
            #expect(found.first == Digest.sha256(of: one), "\(first) beside \(second)")
            #expect(found.second == Digest.sha256(of: two), "\(second) beside \(first)")
        }
    }

    @Test func `of every length up to three blocks, at any address, beside any other`() {
        for length in 0...200 {
            for other in [0, 1, 55, 56, 63, 64, 65, 119, 120, 128, 191] {
                check(length % 7..<(length % 7 + length), 1_000..<(1_000 + other))
                check(1_000..<(1_000 + other), 3..<(3 + length))
            }
        }
    }

    @Test func `of long pieces, equal and not`() {
        check(0..<65_536, 4_000..<69_536)
        check(0..<65_536, 1..<4_099)
        check(5..<70_000, 0..<70_000)
        check(0..<70_000, 0..<0)
    }

    @Test func `the published examples, side by side`() {
        let vectors = SHA256HasherTests.vectors
        for first in vectors {
            for second in vectors {
                let (one, two) = (Array(first.message.utf8), Array(second.message.utf8))
                one.withUnsafeBytes { one in
                    two.withUnsafeBytes { two in
                        let found = Digest.sha256(of: one, and: two)
                        #expect(found.first.hex == first.hex && found.second.hex == second.hex)
                    }
                }
            }
        }
    }
}
