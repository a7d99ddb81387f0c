import Templates
import Terms
import Testing

@Suite struct ChatTemplateTests {
    func message(_ role: String, _ content: String) -> JSONObject {
        JSONObject([("role", .string(role)), ("content", .string(content))])
    }

    @Test(arguments: ChatTemplate.builtInNames)
    func `a built-in template marks what follows its generation prompt, and only adds text`(name: String) throws {
        let template = try ChatTemplate(builtIn: name)
        let messages = [
            message("user", "q1"), message("assistant", "a1"), message("user", "q2"), message("assistant", "a2"),
        ]
        let whole = try template.render(ChatInput(messages: messages))

        #expect(template.marksGenerations)
        #expect(whole.generationRanges.count == 2)
        for (turn, range) in zip([1, 3], whole.generationRanges) {
            let prompt = try template.render(ChatInput(messages: Array(messages[..<turn]), addGenerationPrompt: true))
            #expect(whole.text.slice(0..<range.lowerBound).text == prompt.text.text)
            #expect(whole.text.slice(range).text.contains("a\((turn + 1) / 2)"))
        }
    }

    @Test func `a template that would leave out tools refuses them`() throws {
        let tools: [JSONValue] = [.members(["type": .string("function")])]

        for name in ChatTemplate.builtInNames {
            let input = ChatInput(messages: [message("user", "q")], tools: tools)
            if ["qwen2.5", "qwen3"].contains(name) {
                #expect(try ChatTemplate(builtIn: name).render(input).text.text.contains("<tools>"))
            } else {
                #expect(throws: TemplateError.self, "\(name)") { try ChatTemplate(builtIn: name).render(input) }
            }
        }
    }

    @Test func `an unknown name is told with the known ones`() {
        let error = #expect(throws: TemplateError.self) { try ChatTemplate(builtIn: "nope") }
        #expect(error?.description.contains("qwen3") == true)
    }

    @Test func `errors tell the line`() {
        let error = #expect(throws: TemplateError.self) { try ChatTemplate(source: "a\nb {{ 1 + }}\n") }
        #expect(error?.description.hasPrefix("chat template, line 2:") == true)
        let late = #expect(throws: TemplateError.self) {
            try ChatTemplate(source: "a\n\n{{ messages.x.y }}").render(ChatInput(messages: []))
        }
        #expect(late?.description.hasPrefix("chat template, line 3:") == true)
    }

    @Test func `the date is an argument`() throws {
        let template = try ChatTemplate(source: "{{ strftime_now('%d %b %Y') }}")

        #expect(
            try template.render(ChatInput(messages: [], date: CalendarDate(year: 2026, month: 2, day: 3))).text.text
                == "03 Feb 2026")
        #expect(try template.render(ChatInput(messages: [])).text.text == "01 Jan 1970")
    }

    @Test func `special tokens given as variables are the template's own`() throws {
        let template = try ChatTemplate(source: "{{ bos_token }}{{ messages[0].content }}")
        let variables = JSONObject([("bos_token", .string("<s>"))])
        let text = try template.render(ChatInput(messages: [message("user", "<s>")], variables: variables)).text

        #expect(text.text == "<s><s>")
        #expect(text.dataRanges == [3..<6])
    }
}
