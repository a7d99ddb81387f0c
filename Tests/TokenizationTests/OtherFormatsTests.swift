import Testing

@testable import Tokenization

/// SentencePiece models and tiktoken files against the libraries that made them.
@Suite struct OtherFormatsTests {
    @Test(arguments: ["spm", "spm-unk", "spm-spaces"])
    func `SentencePiece models give the ids of SentencePiece`(name: String) throws {
        let fixture = try Fixture(name)
        let tokenizer = try Tokenizer.read(sentencePiece: Fixture.bytes("\(name)/tokenizer.model"))

        for (text, expected) in zip(fixture.nasty, fixture.ids) {
            #expect(tokenizer.encode(text, matchSpecials: false) == expected, "\(text.debugDescription)")
        }
        for (text, expected) in zip(fixture.nasty, fixture.idsWithSpecials) {
            #expect(tokenizer.encode(text, addSpecialTokens: true, matchSpecials: false) == expected)
        }
        for (ids, expected) in zip(fixture.ids, fixture.decodings) {
            if let expected { #expect(sameBytes(tokenizer.decode(ids), expected)) }
        }
        #expect(fixture.digests.count == fixture.random.count)
        let wrong = zip(fixture.random, fixture.digests).filter { text, expected in
            Fixture.digest(tokenizer.encode(text, matchSpecials: false), "") != expected
        }
        #expect(wrong.isEmpty, "\(wrong.prefix(3).map { $0.0.debugDescription })")
    }

    @Test func `control pieces in a text are matched like Hugging Face's conversion does`() throws {
        let tokenizer = try Tokenizer.read(sentencePiece: Fixture.bytes("spm/tokenizer.model"))

        #expect(tokenizer.bosID == 1 && tokenizer.eosID == 2 && tokenizer.unkID == 0)
        #expect(tokenizer.encode("a</s>b").filter { $0 < 3 } == [2])
        #expect(tokenizer.decode(tokenizer.encode("a</s>b"), skipSpecialTokens: true) == "a b")
    }

    @Test func `tiktoken files give the ids of tiktoken`() throws {
        let fixture = try Fixture("tiktoken")
        let tokenizer = try Tokenizer.read(
            tiktoken: Fixture.bytes("tiktoken/llama3.tiktoken"),
            scheme: TiktokenScheme(pattern: .llama3, specialTokens: ["<|end|>"]))

        for (text, expected) in zip(fixture.nasty, fixture.ids) {
            #expect(tokenizer.encode(text) == expected, "\(text.debugDescription)")
        }
        for (text, expected) in zip(fixture.nasty, fixture.idsWithSpecials) {
            #expect(tokenizer.encode(text, matchSpecials: false) == expected)
        }
        let wrong = zip(fixture.random, fixture.digests).filter { text, expected in
            let ids = tokenizer.encode(text)
            return Fixture.digest(ids, tokenizer.decode(ids)) != expected
        }
        #expect(wrong.isEmpty && fixture.digests.count == fixture.random.count)
    }

    @Test func `the published schemes put their special tokens after the ranks`() throws {
        let bytes = try Fixture.bytes("tiktoken/llama3.tiktoken")
        let llama3 = try Tokenizer.read(tiktoken: bytes, scheme: .llama3)
        let qwen = try Tokenizer.read(tiktoken: bytes, scheme: .qwen)
        let ranks = try TiktokenFile.read(bytes).idBound

        #expect(llama3.vocabularySize == ranks + 256 && llama3.id(of: "<|eot_id|>") == Int32(ranks + 9))
        #expect(qwen.vocabularySize == ranks + 208 && qwen.id(of: "<|im_end|>") == Int32(ranks + 2))
    }

    @Test(arguments: [
        ("IQ== 0\nIg== x\n", "expected a new token in base64, a space and a new rank at byte 7"),
        ("IQ== 0\nIQ== 1\n", "expected a new token in base64, a space and a new rank at byte 7"),
        ("I 0\n", "expected a new token in base64, a space and a new rank at byte 0"),
        ("IQ== 0\n", "the byte 0 is no token"),
    ])
    func `a broken tiktoken file is refused`(text: String, problem: String) {
        let message = TokenizerFileTests.message { _ = try Tokenizer.read(tiktoken: json(text), scheme: .qwen) }

        #expect(message == "the tiktoken file: \(problem)")
    }

    @Test func `base64 is read with its padding`() {
        for (text, bytes) in [("", ""), ("YQ==", "a"), ("YWI=", "ab"), ("YWJj", "abc"), ("YWJjZA==", "abcd")] {
            #expect(TiktokenFile.decodeBase64(Array(text.utf8)[...]) == Array(bytes.utf8))
        }
        for text in ["Y", "Y===", "Y*==", "=Q=="] { #expect(TiktokenFile.decodeBase64(Array(text.utf8)[...]) == nil) }
    }

    @Test func `a SentencePiece model of another kind is refused by name`() throws {
        var bytes = try Fixture.bytes("spm/tokenizer.model")
        // A second trainer_spec overrides the first: model_type (field 3) = Unigram.
        bytes += [0x12, 0x02, 0x18, 0x01]
        #expect(
            TokenizerFileTests.message { _ = try Tokenizer.read(sentencePiece: bytes) }
                == "the SentencePiece file: the model type Unigram is not supported; use another tokenizer file")
        // A normalizer_spec with a character map.
        bytes = try Fixture.bytes("spm/tokenizer.model")
        bytes += [0x1A, 0x09, 0x0A, 0x04] + Array("nmt_".utf8) + [0x12, 0x01, 0x00]
        #expect(
            TokenizerFileTests.message { _ = try Tokenizer.read(sentencePiece: bytes) }
                == "the SentencePiece file: the normalisation `nmt_` is not supported; use another tokenizer file")
    }

    @Test func `broken SentencePiece bytes never trap`() throws {
        let whole = try Fixture.bytes("spm-unk/tokenizer.model")
        for end in stride(from: 0, to: whole.count, by: 397) {
            #expect(throws: TokenizationError.self) { try Tokenizer.read(sentencePiece: Array(whole[..<end])) }
        }
        var random = SplitMix(seed: 8)
        for _ in 0..<60 {
            var broken = whole
            for _ in 0..<4 { broken[Int(random.below(UInt32(whole.count)))] = UInt8(random.below(256)) }
            let read = try? Tokenizer.read(sentencePiece: broken)
            if let tokenizer = read { _ = tokenizer.decode(tokenizer.encode("herd <sep> 羊群 é")) }
        }
    }
}
