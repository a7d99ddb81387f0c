import Templates
import Terms
import Testing

/// Byte for byte what Hugging Face transformers makes of the same templates.
@Suite struct ParityTests {
    /// The moment that `strftime_now` tells in the fixtures.
    let date = CalendarDate(year: 2024, month: 7, day: 6, hour: 15, minute: 4, second: 9)

    func check(_ source: String, _ variables: JSONObject, _ expected: JSONValue, _ title: String) {
        do throws(TemplateError) {
            let rendering = try Template(source).renderJSON(variables, date: date)
            guard let text = expected["text"]?.string else {
                Issue.record("\(title): should fail, wrote: \(rendering.text.text)")
                return
            }
            #expect(rendering.text.utf8 == Array(text.utf8), "\(title)")
            let ranges = (expected["generations"]?.array ?? []).compactMap { pair -> Range<Int>? in
                guard let pair = pair.array, let low = pair[0].int, let high = pair[1].int else { return nil }
                return low..<high
            }
            #expect(rendering.generationRanges == ranges, "\(title)")
        } catch {
            #expect(expected["error"] != nil, "\(title): \(error)")
            // The message of raise_exception is the template's own; other failures are told in our words.
            if case .raised = error { #expect(expected["error"]?.string == "raised", "\(title)") }
            if case .syntax = error { #expect(expected["error"]?.string == "syntax", "\(title)") }
        }
    }

    @Test func `every construct of the language gives what jinja2 gives`() throws {
        let variables = try Fixtures.variables(#require(Fixtures.json("variables.json").object))
        let cases = try #require(Fixtures.json("language-expected.json").array)

        #expect(cases.count > 100)
        for entry in cases {
            let source = try #require(entry["template"]?.string)
            check(source, variables, entry, source)
        }
    }

    @Test func `chat templates and conversations give what transformers gives`() throws {
        let conversations = try Fixtures.json("conversations.json")
        let cases = try #require(Fixtures.json("chat-expected.json").array).filter {
            $0["template"]?.string?.hasPrefix("built-in ") == false
        }

        #expect(cases.count >= 40)
        for entry in cases {
            let name = try #require(entry["template"]?.string)
            let title = try #require(entry["conversation"]?.string)
            let variables = try #require(conversations[title]?.object)
            check(try Fixtures.text("chat/\(name).jinja"), Fixtures.variables(variables), entry, "\(name), \(title)")
        }
    }

    @Test func `built-in templates give what transformers makes of their text`() throws {
        let conversations = try Fixtures.json("conversations.json")
        let cases = try #require(Fixtures.json("chat-expected.json").array)

        for name in ChatTemplate.builtInNames {
            let key = "built-in " + name.filter { $0 != "." && $0 != "_" }
            let own = cases.filter { $0["template"]?.string == key }
            #expect(own.count == conversations.object?.members.count, "\(name)")
            let source = try ChatTemplate(builtIn: name).source
            for entry in own {
                let title = try #require(entry["conversation"]?.string)
                let variables = try #require(conversations[title]?.object)
                check(source, Fixtures.variables(variables), entry, "\(name), \(title)")
            }
        }
    }
}
