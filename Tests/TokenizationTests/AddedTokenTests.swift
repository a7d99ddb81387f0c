import Testing

@testable import Tokenization

@Suite struct AddedTokenTests {
    @Test func `a data row can't forge a turn`() throws {
        let added =
            "["
            + [
                SmallTokenizer.added("<|end|>", 256), SmallTokenizer.added("<think>", 257, special: false),
                SmallTokenizer.added("<｜User｜>", 258, special: false),
            ].joined(separator: ",") + "]"
        let tokenizer = try SmallTokenizer.read(SmallTokenizer.file(merges: [], added: added))
        let text = "a<|end|>b<think><｜User｜>"

        #expect(tokenizer.encode(text).filter { $0 > 255 } == [256, 257, 258])
        // The thinking mark is content, not a turn; the user mark is a turn though its file calls it ordinary.
        #expect(tokenizer.encode(text, matchSpecials: false).filter { $0 > 255 } == [257])
        #expect(tokenizer.decode(tokenizer.encode(text, matchSpecials: false)) == text)
    }

    @Test func `merges and whole words give no control token either`() throws {
        let merges = [("<", "s"), ("<s", ">")]
        let added = "[\(SmallTokenizer.added("<s>", 257))]"
        let noCuts = #"{"type":"ByteLevel","add_prefix_space":false,"use_regex":false}"#
        for wholeWords in [false, true] {
            let tokenizer = try SmallTokenizer.read(
                SmallTokenizer.file(
                    merges: merges, added: added, preTokenizer: noCuts, model: #","ignore_merges":\#(wholeWords)"#))

            #expect(tokenizer.encode("<s>") == [257])
            #expect(tokenizer.encode("<s>", matchSpecials: false) == [256, Int32(UInt8(ascii: ">"))])
            #expect(tokenizer.encode("x<s>", matchSpecials: false).dropFirst() == [256, Int32(UInt8(ascii: ">"))])
        }
    }

    @Test func `flags in the configuration win over those of tokenizer_json`() throws {
        let file = SmallTokenizer.file(merges: [], added: "[\(SmallTokenizer.added("<m>", 256))]")
        let config = """
            {"added_tokens_decoder":{"256":{"content":"<m>","lstrip":true,"special":true},"257":{"content":"<n>"}}}
            """

        #expect(try SmallTokenizer.read(file).encode("  <m><n>").count == 6)
        #expect(try SmallTokenizer.read(file, config).encode("  <m><n>") == [256, 257])
    }

    @Test func `an added token whose id is not the one it takes is refused`() throws {
        let file = SmallTokenizer.file(merges: [], added: "[\(SmallTokenizer.added("<m>", 300))]")

        #expect(
            throws: TokenizationError.inconsistent(
                file: "tokenizer.json", problem: "the added token `<m>` states id 300, but its id is 256")
        ) { try SmallTokenizer.read(file) }
    }

    @Test func `the longest of the leftmost tokens is taken`() throws {
        let added = [("<a", 256), ("<a><a", 257), ("a><a>!", 258)].map { SmallTokenizer.added($0.0, $0.1) }
        let file = SmallTokenizer.file(merges: [], added: "[\(added.joined(separator: ","))]")
        let tokenizer = try SmallTokenizer.read(file)

        #expect(tokenizer.encode("<a><a>!") == [257, 62, 33])
    }

    @Test func `white space that a token takes along is gone for the tokens after it`() throws {
        func token(_ content: String, _ id: Int, _ flags: String) -> String {
            "{\"id\":\(id),\"content\":\"\(content)\",\"special\":false,\"normalized\":false\(flags)}"
        }
        let both = ",\"lstrip\":true,\"rstrip\":true"
        let tabs = try SmallTokenizer.read(SmallTokenizer.file(merges: [], added: "[\(token("\\t", 256, both))]"))
        #expect(tabs.encode("\t\t x") == [256, 120])

        // The space is found inside what the tab took, and reaches back only to where that ended.
        let spaces = try SmallTokenizer.read(
            SmallTokenizer.file(
                merges: [],
                added: "["
                    + [token("\\t", 256, ",\"rstrip\":true"), token(" ", 257, ",\"lstrip\":true")].joined(
                        separator: ",") + "]"))
        #expect(spaces.encode("\t  x") == [256, 120])
        #expect(spaces.encode("\tx  y") == [256, 120, 257, 257, 121])
    }
}
