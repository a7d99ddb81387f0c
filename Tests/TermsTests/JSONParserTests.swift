import Terms
import Testing

@Suite struct JSONParserTests {
    @Test func `every kind of value is read`() throws {
        let value = try JSONValue.parse(#" {"a":[1,-2.5e3,true,false,null],"b":{"c":"d"},"":{}, "e":[]} "#)

        #expect(value["a"]?.array?.count == 5)
        #expect(value["a"]?.array?[0].int == 1)
        #expect(value["a"]?.array?[1].double == -2500)
        #expect(value["a"]?.array?[2].bool == true)
        #expect(value["a"]?.array?[4].isNull == true)
        #expect(value["b"]?["c"]?.string == "d")
        #expect(value[""]?.object?.isEmpty == true)
        #expect(value.object?.keys == ["a", "b", "", "e"])
    }

    @Test(arguments: [
        ("\\u0041", "A"), ("\\u00e9", "é"), ("\\ud83d\\udc02", "🐂"), ("\\uD83D\\uDC02", "🐂"), ("\\\"\\\\\\/", "\"\\/"),
        ("\\b\\f\\n\\r\\t", "\u{08}\u{0C}\n\r\t"), ("\\u0000", "\u{0}"), ("\u{7F}é🐂", "\u{7F}é🐂"), ("", ""),
    ])
    func `escapes are read`(pair: (written: String, meant: String)) throws {
        #expect(try JSONValue.parse("\"\(pair.written)\"") == .string(pair.meant))
    }

    @Test(arguments: [
        ("\\ud800", "\u{FFFD}"), ("\\udc00", "\u{FFFD}"), ("\\ud800x", "\u{FFFD}x"), ("\\ud800\\u0041", "\u{FFFD}A"),
        ("\\ud800\\ud83d\\udc02", "\u{FFFD}🐂"), ("\\udc02\\ud83d", "\u{FFFD}\u{FFFD}"), ("\\ud800\\n", "\u{FFFD}\n"),
    ])
    func `a lone surrogate becomes U+FFFD`(pair: (written: String, meant: String)) throws {
        #expect(try JSONValue.parse("\"\(pair.written)\"") == .string(pair.meant))
    }

    @Test(arguments: [
        "0", "-0", "10", "0.5", "-1.25", "1e5", "1E+5", "2e-4", "123456789012345678901234567890", "1e400",
    ])
    func `a number keeps its text`(text: String) throws {
        #expect(try JSONValue.parse(text) == .number(JSONNumber(text: text)))
    }

    @Test func `a whole number is an integer however it is written`() throws {
        #expect(try JSONValue.parse("3.0").int == 3)
        #expect(try JSONValue.parse("1e3").int == 1000)
        #expect(try JSONValue.parse("-0").int == 0)
        #expect(try JSONValue.parse("3.5").int == nil)
        #expect(try JSONValue.parse("9223372036854775807").int == Int.max)
        #expect(try JSONValue.parse("9223372036854775808").int == nil)
        #expect(try JSONValue.parse("1e400").int == nil)
        #expect(try JSONValue.parse("1e400").double == .infinity)
    }

    static let malformed: [String] = [
        "", " ", "{", "[", "]", "}", "{]", "[1,]", "[,1]", "[1 2]", "{\"a\":1,}", "{\"a\" 1}", "{a:1}", "{\"a\":}",
        "{1:2}",
        "\"abc", "\"\\", "\"\\x\"", "\"\\u12\"", "\"\\u12g4\"", "\"\\ud800\\uzzzz\"", "\"a\nb\"", "\"a\u{1}b\"",
        "\"\\n\u{1}\"",
        "tru", "True", "nul", "falsey", "NaN", "Infinity", "-", "+1", "01", "-01", "1.", ".5", "1e", "1e+", "0x10",
        "1_000",
        "1 2", "{} {}", "'a'", "// a\n1", "\u{FEFF}1", "[1]]",
    ]

    @Test(arguments: malformed)
    func `a malformed text is an error with a place`(text: String) {
        #expect { try JSONValue.parse(text) } throws: { error in
            guard let error = error as? JSONError else { return false }
            return (0...text.utf8.count).contains(error.offset) && !error.problem.isEmpty
        }
    }

    @Test func `bytes that are no UTF-8 are an error`() {
        for bad: [UInt8] in [
            [0xFF], [0xC3, 0x28], [0xED, 0xA0, 0x80], [0xC0, 0xAF], [0xF4, 0x90, 0x80, 0x80], [0xE2, 0x82],
        ] {
            #expect(throws: JSONError.self) { try JSONValue.parse([0x22] + bad + [0x22]) }
            #expect(throws: JSONError.self) { try JSONValue.parse([0x22, 0x5C, 0x6E] + bad + [0x22]) }
        }
    }

    @Test func `depth is bounded without a stack overflow`() throws {
        func nested(_ depth: Int) -> String {
            String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        }

        #expect(throws: Never.self) { try JSONValue.parse(nested(65)) }
        #expect(throws: JSONError.self) { try JSONValue.parse(nested(66)) }
        #expect(throws: JSONError.self) { try JSONValue.parse(nested(100_000)) }
        #expect(throws: JSONError.self) { try JSONValue.parse(String(repeating: "{\"a\":", count: 100_000)) }
        #expect(throws: Never.self) { try JSONValue.parse("[[1]]", limits: JSONLimits(depth: 2)) }
        #expect(throws: JSONError.self) { try JSONValue.parse("[[1]]", limits: JSONLimits(depth: 1)) }
    }

    @Test func `the number of values is bounded`() {
        #expect(throws: Never.self) { try JSONValue.parse("[1,2]", limits: JSONLimits(values: 3)) }
        #expect(throws: JSONError.self) { try JSONValue.parse("[1,2,3]", limits: JSONLimits(values: 3)) }
    }

    @Test func `a repeated key keeps its last value or is refused`() throws {
        let text = #"{"a":1,"b":2,"a":3}"#

        let value = try JSONValue.parse(text)

        #expect(value["a"]?.int == 3)
        #expect(value.object?.keys == ["a", "b"])
        let error = #expect(throws: JSONError.self) {
            try JSONValue.parse(text, limits: JSONLimits(refusesDuplicateKeys: true))
        }
        #expect(error?.description == "the key `a` stands twice at byte 13")
    }

    @Test func `any bytes give a value or an error`() {
        let random = Philox(seed: 11, purpose: .probe)
        let alphabet = Array(#"{}[]",:\u0123456789eE+-.dDtrfalsn "#.utf8) + [0x00, 0x0A, 0x80, 0xED, 0xFF]
        for trial in 0..<4000 {
            let count = Int(random.below(24, UInt64(trial) << 16))
            let bytes = (0..<count).map {
                alphabet[Int(random.below(UInt64(alphabet.count), UInt64(trial) << 16 | UInt64($0 + 1)))]
            }
            if let value = try? JSONValue.parse(bytes) {
                #expect((try? JSONValue.parse(value.encoded())) == value)
            }
        }
    }

    @Test func `keys are told apart by their bytes`() throws {
        let composed = "\u{E9}"
        let decomposed = "e\u{301}"
        #expect(composed == decomposed)
        let value = try JSONValue.parse(
            "{\"\(composed)\":1,\"\(decomposed)\":2}", limits: JSONLimits(refusesDuplicateKeys: true))

        #expect(value.object?.members.count == 2)
        #expect(value[composed]?.int == 1)
        #expect(value[decomposed]?.int == 2)
        #expect(JSONValue.string(composed) != .string(decomposed))
        // Beyond a dozen members keys are looked up in another way.
        let many = (0..<20).map { "\"k\($0)\":\($0)" }.joined(separator: ",")
        let large = try JSONValue.parse("{\"\(composed)\":1,\(many),\"\(decomposed)\":2}")
        #expect(large[composed]?.int == 1)
        #expect(large[decomposed]?.int == 2)
        #expect(large.object?.members.count == 22)
    }
}
