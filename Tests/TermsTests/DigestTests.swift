import Terms
import Testing

@Suite struct DigestTests {
    private let bytes = (0..<32).map { UInt8($0 * 7 + 3) }

    @Test func `hexadecimal text leads back to the same bytes`() throws {
        let digest = try #require(Digest(bytes: bytes))

        #expect(digest.hex == "030a11181f262d343b424950575e656c737a81888f969da4abb2b9c0c7ced5dc")
        #expect(Digest(hex: digest.hex) == digest)
    }

    @Test func `anything but 64 lower-case digits is no digest`() {
        let good = String(repeating: "ab", count: 32)

        #expect(Digest(hex: good) != nil)
        #expect(Digest(hex: good.uppercased()) == nil)
        #expect(Digest(hex: String(good.dropLast())) == nil)
        #expect(Digest(hex: good + "a") == nil)
        #expect(Digest(hex: good.dropLast() + "g") == nil)
        #expect(Digest(hex: good.dropLast() + "é") == nil)
        #expect(Digest(bytes: bytes.dropLast()) == nil)
    }

    @Test func `digests are ordered by their bytes`() throws {
        var larger = bytes
        larger[0] = 0xFF
        let low = try #require(Digest(bytes: bytes))
        let high = try #require(Digest(bytes: larger))

        #expect(low < high)
        #expect(!(high < low))
        #expect(!(low < low))
    }
}
