import Testing

@testable import Tokenization

/// The same ids and the same text as Hugging Face `tokenizers` 0.23, string by string.
@Suite struct ParityTests {
    static let byteLevelNames = names.filter { $0 != "llama2" && $0 != "metaspace" }

    static let names = [
        "gpt2", "gpt2-prefix", "llama3", "qwen2", "qwen35", "o200k", "nemo", "deepseek", "coder", "digits", "flagged",
        "llama2", "metaspace",
    ]

    @Test(arguments: names)
    func `nasty and random texts have the ids of the reference`(name: String) throws {
        let fixture = try Fixture(name)
        let tokenizer = try Tokenizer.read(tokenizerJSON: Fixture.bytes("\(name)/tokenizer.json"))

        #expect(fixture.nasty.count > 80 && fixture.ids.count == fixture.nasty.count)
        #expect(fixture.random.count >= 2000 && fixture.digests.count == fixture.random.count)
        for (text, expected) in zip(fixture.nasty, fixture.ids) {
            #expect(tokenizer.encode(text) == expected, "\(text.debugDescription)")
        }
        for (text, expected) in zip(fixture.nasty, fixture.idsWithSpecials) {
            #expect(tokenizer.encode(text, addSpecialTokens: true) == expected, "\(text.debugDescription)")
        }
        let wrong = zip(fixture.random, fixture.digests).filter { text, expected in
            let ids = tokenizer.encode(text)
            return Fixture.digest(ids, tokenizer.decode(ids)) != expected
        }
        #expect(wrong.isEmpty, "\(wrong.prefix(3).map { $0.0.debugDescription })")
    }

    @Test(arguments: byteLevelNames)
    func `texts are cut into the pieces of the reference`(name: String) throws {
        let fixture = try Fixture(name)
        let tokenizer = try Tokenizer.read(tokenizerJSON: Fixture.bytes("\(name)/tokenizer.json"))
        let texts = fixture.nasty + fixture.random

        #expect(fixture.pieceDigests.count == texts.count)
        let wrong = zip(texts, fixture.pieceDigests).filter { text, expected in
            Fixture.digest(tokenizer.pieceLengths(text), "") != expected
        }
        #expect(wrong.isEmpty, "\(wrong.prefix(3).map { $0.0.debugDescription })")
    }

    @Test(arguments: names)
    func `ids decode to the text of the reference, at once and one by one`(name: String) throws {
        let fixture = try Fixture(name)
        let tokenizer = try Tokenizer.read(tokenizerJSON: Fixture.bytes("\(name)/tokenizer.json"))

        for (ids, expected) in zip(fixture.ids, fixture.decoded) {
            #expect(sameBytes(tokenizer.decode(ids), expected))
            var decoder = tokenizer.streamingDecoder()
            var streamed = ids.reduce("") { $0 + decoder.push($1) }
            streamed += decoder.finish()
            #expect(sameBytes(streamed, expected))
        }
    }
}

extension Tokenizer {
    /// How many bytes each piece of a text has after normalisation, added tokens left aside.
    func pieceLengths(_ text: String) -> [Int32] {
        var lengths: [Int32] = []
        var text = text
        text.withUTF8 { utf8 in
            guard let base = utf8.baseAddress, !utf8.isEmpty else { return }
            storage.normalizer.withNormalized(UTF8Text(base, count: utf8.count)) { normalized in
                storage.preTokenizer.forEachWord(normalized, startsInput: true) { lengths.append(Int32($0.count)) }
            }
        }
        return lengths
    }
}
