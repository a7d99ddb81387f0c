import Terms
import Testing

@testable import Tokenization

@Suite struct TokenizerFileTests {
    static func message(_ body: () throws -> Void) -> String {
        do { try body() } catch { return "\(error)" }
        return "no error"
    }

    @Test(arguments: [
        (#""normalizer":{"type":"NFKC"}"#, "the normalizer `NFKC` of `normalizer`"),
        (
            #""normalizer":{"type":"Sequence","normalizers":[{"type":"NFC"},{"type":"Lowercase"}]}"#,
            "the normalizer `Lowercase` of `normalizer.normalizers[1]`"
        ),
        (
            #""normalizer":{"type":"Replace","pattern":{"Regex":" +"},"content":""}"#,
            "a Replace by Regex of `normalizer`"
        ),
        (#""pre_tokenizer":{"type":"BertPreTokenizer"}"#, "the pre-tokenizer `BertPreTokenizer` of `pre_tokenizer`"),
        (
            #""pre_tokenizer":{"type":"Split","pattern":{"Regex":"x+"},"behavior":"Isolated","invert":false}"#,
            "the split pattern `x+` of `pre_tokenizer`"
        ),
        (
            #""pre_tokenizer":{"type":"Split","pattern":{"Regex":"\\p{N}"},"behavior":"MergedWithNext","invert":false}"#,
            "the behavior `MergedWithNext` of `pre_tokenizer`"
        ),
        (#""pre_tokenizer":{"type":"ByteLevel","shiny":1}"#, "the member `shiny` of `pre_tokenizer`"),
        (#""decoder":{"type":"WordPiece"}"#, "the decoder `WordPiece` at this place of `decoder`"),
        (#""post_processor":{"type":"BertProcessing"}"#, "the post-processor `BertProcessing` of `post_processor`"),
        (#""model":{"type":"Unigram"}"#, "the type `Unigram` of `model`"),
        (#""model":{"type":"BPE","vocab":{"a":0},"merges":[],"dropout":0.1}"#, "dropout of `model`"),
        (
            #""model":{"type":"BPE","vocab":{"a":0},"merges":[],"end_of_word_suffix":"</w>"}"#,
            "the member `end_of_word_suffix` of `model`"
        ),
        (#""version":"2.0""#, "a `version` that is not 1.0"),
        (#""surprise":1"#, "the member `surprise`"),
    ])
    func `what is not known is refused by name`(member: String, feature: String) {
        let file = json(#"{"model":{"type":"BPE","vocab":{"a":0},"merges":[]},\#(member)}"#)

        #expect(
            Self.message { _ = try Tokenizer.read(tokenizerJSON: file) }
                == "tokenizer.json: \(feature) is not supported; use another tokenizer file")
    }

    @Test(arguments: [
        (
            #"{"model":{"vocab":{"a":0,"b":1},"merges":[["a","c"]]}}"#,
            "tokenizer.json: the merge to `ac` names a token that the vocabulary doesn't have"
        ),
        (
            #"{"model":{"vocab":{"a":0,"b":0},"merges":[]}}"#,
            "tokenizer.json: the id 0 of `b` is too large or belongs to another token"
        ),
        (
            #"{"model":{"vocab":{"a":4000000000},"merges":[]}}"#,
            "tokenizer.json: the id 4000000000 of `a` is too large or belongs to another token"
        ),
        (
            #"{"model":{"vocab":{"a":0},"merges":["a"]}}"#,
            "tokenizer.json: a merge must be two tokens with a space between at byte 39"
        ),
        (#"{"model":{"vocab":{"a":-1},"merges":[]}}"#, "tokenizer.json: expected a whole number at byte 23"),
        (#"{"model":null}"#, "tokenizer.json: `model` must be an object or null"),
        (#"[]"#, "tokenizer.json: expected `{` at byte 0"),
    ])
    func `a broken file is refused with what is wrong`(text: String, expected: String) {
        #expect(Self.message { _ = try Tokenizer.read(tokenizerJSON: json(text)) } == expected)
    }

    @Test func `merges of old files are words apart by a space`() throws {
        let old = #"{"model":{"vocab":{"a":0,"b":1,"ab":2,"▁":3},"merges":["#
        let tokenizer = try SmallTokenizer.read(json(old + ##""#version: 0.2","a b"]},"pre_tokenizer":null}"##))

        #expect(tokenizer.encode("aab") == [0, 2])
        #expect(tokenizer.decode([0, 2]) == "a ab")
    }

    @Test func `tokens that differ only in normalisation stay apart`() throws {
        let tokenizer = try SmallTokenizer.read(
            json(
                "{\"model\":{\"vocab\":{\"\u{E9}\":0,\"e\":1,\"\u{301}\":2,\"e\u{301}\":3,\"\u{212B}\":4,\"\u{C5}\":5},"
                    + "\"merges\":[[\"e\",\"\u{301}\"]]}}"))

        #expect(tokenizer.encode("\u{E9}e\u{301}\u{212B}\u{C5}") == [0, 3, 4, 5])
        #expect(tokenizer.id(of: "\u{E9}") == 0 && tokenizer.id(of: "e\u{301}") == 3)
    }

    @Test func `escapes and holes in a vocabulary are read`() throws {
        let file = json(#"{"model":{"vocab":{"\u0061\n\"":7,"\ud83d\udc11":2},"merges":[]}}"#)
        let tokenizer = try SmallTokenizer.read(file)

        #expect(tokenizer.token(7) == "a\n\"" && tokenizer.token(2) == "🐑" && tokenizer.token(3) == nil)
        #expect(tokenizer.vocabularySize == 8)
    }

    @Test func `bytes from outside never trap`() throws {
        let whole = SmallTokenizer.file(merges: [("a", "b")], added: "[\(SmallTokenizer.added("<x>", 257))]")
        for end in stride(from: 0, to: whole.count, by: 37) {
            #expect(throws: TokenizationError.self) { try Tokenizer.read(tokenizerJSON: Array(whole[..<end])) }
        }
        var random = SplitMix(seed: 3)
        for _ in 0..<150 {
            var broken = whole
            for _ in 0..<3 { broken[Int(random.below(UInt32(whole.count)))] = UInt8(random.below(256)) }
            // Whether it is refused or read, encoding must go on.
            let read = try? Tokenizer.read(tokenizerJSON: broken)
            if let tokenizer = read { _ = tokenizer.decode(tokenizer.encode("ab <x> é")) }
        }
    }

    @Test func `the configuration gives special tokens and the template`() throws {
        let config = """
            {"bos_token":null,"eos_token":{"content":"<|end|>"},"pad_token":"<|pad|>",
             "extra_special_tokens":{"image":"<i>"},"chat_template":"{{ messages }}","add_bos_token":false}
            """
        let added = "[\(SmallTokenizer.added("<|end|>", 256))]"
        let tokenizer = try SmallTokenizer.read(SmallTokenizer.file(merges: [], added: added), config)

        #expect(tokenizer.eosID == 256 && tokenizer.bosID == nil && tokenizer.padID == nil)
        #expect(tokenizer.specialTokens == ["eos_token": "<|end|>", "pad_token": "<|pad|>", "image": "<i>"])
        #expect(tokenizer.chatTemplate == .string("{{ messages }}"))
        #expect(tokenizer.addedTokens == [AddedToken(content: "<|end|>", id: 256, isSpecial: true)])
    }

    @Test func `special tokens are put around a text on demand`() throws {
        let template = """
            {"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"[","type_id":0}},
             {"Sequence":{"id":"A","type_id":0}},{"SpecialToken":{"id":"]","type_id":0}}],"pair":[],
             "special_tokens":{"[":{"id":"[","ids":[91],"tokens":["["]},
             "]":{"id":"]","ids":[93,33],"tokens":["]","!"]}}}
            """
        let tokenizer = try SmallTokenizer.read(SmallTokenizer.file(merges: [], postProcessor: template))

        #expect(tokenizer.encode("a", addSpecialTokens: true) == [91, 97, 93, 33])
        #expect(tokenizer.encode("", addSpecialTokens: true) == [91, 93, 33])
        #expect(tokenizer.encode("a") == [97])
    }

    @Test func `a batch has the ids of its texts one by one`() throws {
        let tokenizer = try Tokenizer.read(tokenizerJSON: Fixture.bytes("qwen2/tokenizer.json"))
        let texts = try Fixture("qwen2").nasty + ["", "x"]

        let expected = texts.map { tokenizer.encode($0) }

        #expect(tokenizer.encodeBatch(texts) == expected)
        // Chunks in reverse order stand for threads that finish in any order.
        #expect(tokenizer.encodeBatch(texts) { count, body in (0..<count).reversed().forEach(body) } == expected)
        #expect(tokenizer.encodeBatch([]) == [])
    }
}
