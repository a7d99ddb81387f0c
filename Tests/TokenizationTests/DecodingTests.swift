import Testing

@testable import Tokenization

@Suite struct DecodingTests {
    @Test func `stand-ins map the 256 bytes one to one`() {
        let all = (0...255).map { UInt8($0) }

        #expect(ByteLevelAlphabet.decode(ByteLevelAlphabet.encode(all)) == all)
        #expect(Set(ByteLevelAlphabet.standIns).count == 256)
        #expect(ByteLevelAlphabet.decode(Array("a是".utf8)) == nil && ByteLevelAlphabet.decode(Array("a b".utf8)) == nil)
    }

    @Test func `a stream never gives half a character`() throws {
        let tokenizer = try SmallTokenizer.read(SmallTokenizer.file(merges: []))
        var decoder = tokenizer.streamingDecoder()

        // One byte a token: a sheep of four bytes, a character cut short, a byte that starts nothing.
        let pieces = (Array("🐑".utf8) + [0xE7, 0xBE] + Array("a".utf8) + [0xFF, 0xE7]).map { decoder.push(id($0)) }

        #expect(pieces == ["", "", "", "🐑", "", "", "\u{FFFD}a", "\u{FFFD}", ""])
        #expect(decoder.finish() == "\u{FFFD}")
    }

    /// The id of a byte in a vocabulary of `SmallTokenizer` is the byte.
    private func id(_ byte: UInt8) -> Int32 { Int32(byte) }

    @Test func `broken bytes decode alike at once and in a stream`() throws {
        let tokenizer = try SmallTokenizer.read(SmallTokenizer.file(merges: []))
        var random = SplitMix(seed: 11)
        let interesting: [UInt8] = [
            0x41, 0x80, 0xBF, 0xC1, 0xC3, 0xE0, 0xA0, 0x9F, 0xED, 0xEF, 0xBD, 0xF0, 0x90, 0xF4, 0x8F, 0xF5, 0xFF,
        ]
        for _ in 0..<2000 {
            let ids = (0..<8).map { _ in id(interesting[Int(random.below(UInt32(interesting.count)))]) }
            var decoder = tokenizer.streamingDecoder()
            var streamed = ids.reduce("") { $0 + decoder.push($1) }
            streamed += decoder.finish()

            #expect(sameBytes(streamed, tokenizer.decode(ids)))
        }
    }

    @Test func `special tokens are skipped on demand and unknown ids always`() throws {
        let added = "[\(SmallTokenizer.added("<|end|>", 256)),\(SmallTokenizer.added("<think>", 257, special: false))]"
        let tokenizer = try SmallTokenizer.read(SmallTokenizer.file(merges: [], added: added))

        #expect(tokenizer.decode([72, 256, 257, 9999, -1, 105]) == "H<|end|><think>i")
        #expect(tokenizer.decode([72, 256, 257, 9999, -1, 105], skipSpecialTokens: true) == "H<think>i")
        var decoder = tokenizer.streamingDecoder(skipSpecialTokens: true)
        #expect([72, 256, 105].map { decoder.push($0) } == ["H", "", "i"])
    }

    @Test func `a run of byte tokens is text or one mark a byte`() throws {
        let fixture = try Tokenizer.read(tokenizerJSON: Fixture.bytes("llama2/tokenizer.json"))
        let byte = { (value: String) in fixture.id(of: "<0x\(value)>")! }

        #expect(fixture.decode([byte("F0"), byte("9F"), byte("90"), byte("91")]) == "🐑")
        #expect(fixture.decode([byte("F0"), byte("41")]) == "\u{FFFD}\u{FFFD}")
        var decoder = fixture.streamingDecoder()
        #expect([byte("C3"), byte("A9"), fixture.id(of: "a")!].map { decoder.push($0) } == ["", "", "éa"])
    }
}
