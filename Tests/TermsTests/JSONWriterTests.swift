import Terms
import Testing

@Suite struct JSONWriterTests {
    @Test func `a value written and read again is the same`() throws {
        let value = JSONValue.members([
            "z": .array([.int(1), .double(0.1), .double(-1e300), .null, .bool(true)]), "a": .string("\"\\\n\u{1}é🐂"),
            "": .members([:]), "m": .array([]),
        ])

        #expect(try JSONValue.parse(value.encoded()) == value)
        #expect(try JSONValue.parse(value.prettyText) == value)
    }

    @Test func `compact text has no spaces and keeps the order of members`() {
        let value = JSONValue.members(["b": .int(1), "a": .array([.int(2), .null])])

        #expect(value.text == #"{"b":1,"a":[2,null]}"#)
        #expect(value.prettyText == "{\n  \"b\": 1,\n  \"a\": [\n    2,\n    null\n  ]\n}")
    }

    @Test func `canonical text does not depend on the order of members`() {
        let one = JSONValue.members(["b": .int(1), "a": .members(["é": .int(1), "z": .int(2)])])
        let two = JSONValue.members(["a": .members(["z": .int(2), "é": .int(1)]), "b": .int(1)])

        #expect(one.canonicalText == two.canonicalText)
        #expect(one.canonicalText == #"{"a":{"z":2,"é":1},"b":1}"#)
    }

    @Test func `only what must be escaped is escaped`() {
        #expect(JSONValue.string("a/é\u{7F}\u{2028}").text == "\"a/é\u{7F}\u{2028}\"")
        #expect(JSONValue.string("\u{0}\u{1F}\u{8}\u{C}").text == "\"\\u0000\\u001f\\b\\f\"")
    }

    @Test func `a double reads back to the same bits and what is no number becomes null`() throws {
        for value: Double in [0.1, 1 / 3, .leastNonzeroMagnitude, -0.0, 1.7976931348623157e308, 2e-4] {
            let text = JSONValue.double(value).text
            #expect(try JSONValue.parse(text).double?.bitPattern == value.bitPattern)
        }
        #expect(JSONValue.double(.nan) == .null)
        #expect(JSONValue.double(-.infinity) == .null)
    }

    @Test func `an object of many members finds, replaces and removes them`() {
        var object = JSONObject((0..<40).map { (key: "k\($0)", value: .int($0)) })

        object["k7"] = .string("new")
        object["k0"] = nil
        object["k39"] = nil
        object["more"] = .int(1)

        #expect(object.keys == (1..<39).map { "k\($0)" } + ["more"])
        #expect(object["k7"]?.string == "new")
        #expect(object["k0"] == nil)
        for index in 1..<39 where index != 7 { #expect(object["k\(index)"]?.int == index) }
        for index in 1..<39 { object["k\(index)"] = nil }
        #expect(object.keys == ["more"])
    }
}
