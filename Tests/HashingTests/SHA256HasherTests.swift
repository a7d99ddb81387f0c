import Hashing
import Terms
import Testing

@Suite struct SHA256HasherTests {
    /// FIPS 180-4 example messages, and the empty one.
    static let vectors: [(message: String, hex: String)] = [
        ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
        ),
    ]

    @Test(arguments: vectors)
    func `a published message has its published digest`(vector: (message: String, hex: String)) {
        #expect(Digest.sha256(of: vector.message).hex == vector.hex)
        #expect(Digest.sha256(of: Array(vector.message.utf8)).hex == vector.hex)
    }

    @Test func `a million times the letter a has its published digest`() {
        let piece = [UInt8](repeating: UInt8(ascii: "a"), count: 1000)
        var hasher = SHA256Hasher()

        for _ in 0..<1000 { hasher.update(piece) }

        #expect(hasher.finish().hex == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
    }

    @Test func `where the bytes are cut does not matter`() {
        let bytes = (0..<300).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        let whole = Digest.sha256(of: bytes)

        for cut in 0...bytes.count {
            var hasher = SHA256Hasher()
            hasher.update(bytes[..<cut])
            bytes[cut...].withUnsafeBytes { hasher.update($0) }
            #expect(hasher.finish() == whole)
        }
    }

    @Test func `bytes without contiguous storage hash like an array`() {
        let joined = [[1, 2, 3], [4, 5]].map { $0.map(UInt8.init) }.joined()
        var hasher = SHA256Hasher()

        hasher.update(AnyCollection(Array(joined)))

        #expect(hasher.finish() == Digest.sha256(of: [1, 2, 3, 4, 5] as [UInt8]))
    }

    @Test func `finish can be asked in between`() {
        var hasher = SHA256Hasher()
        hasher.update(utf8: "ab")
        let half = hasher.finish()
        hasher.update(utf8: "c")

        #expect(half == Digest.sha256(of: "ab"))
        #expect(hasher.finish() == Digest.sha256(of: "abc"))
    }
}
