import Templates
import Terms
import Testing

@testable import Datasets

/// What is trained when the template has no marks of its own.
@Suite struct TurnMaskTests {
    func trained(_ source: String, _ turns: [Turn]) throws -> [String] {
        let mask = TurnMask(template: try ChatTemplate(source: source), variables: JSONObject(), date: .epoch)
        let (text, ranges) = try mask.trainedRanges(of: Conversation(turns: turns))
        return ranges.map { text.slice($0).text }
    }

    let talk = [Turn("user", "a"), Turn("assistant", "B"), Turn("user", "c"), Turn("assistant", "D")]
    static let plain =
        "{% for m in messages %}[{{ m.role }}]{{ m.content }}</>{% endfor %}"
        + "{% if add_generation_prompt %}[assistant]{% endif %}"

    @Test func `turns are what prefixes add`() throws {
        #expect(try trained(Self.plain, talk) == ["B</>", "D</>"])
        #expect(try trained(Self.plain, Array(talk[1...])) == ["B</>", "D</>"])
        var first = talk
        first[1].isTrained = false
        #expect(try trained(Self.plain, first) == ["D</>"])
    }

    @Test func `a template that leaves earlier text out is named, with the message`() {
        let forgetful =
            "{% for m in messages %}[{{ m.role }}]"
            + "{% if loop.last or m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}"
            + "{% if add_generation_prompt %}[assistant]{% endif %}"
        let problem = #expect(throws: RowProblem.self) { try trained(forgetful, talk) }

        #expect(problem?.description.contains("message 2") == true)
        #expect(problem?.description.contains("qwen3") == true)
    }

    @Test func `hostile templates never make the mask trap`() {
        for source in [
            "{{ messages[-1].content }}", "{{ 'abcdef'[messages | length:] }}", "",
            "{{ 'x' * (5 - messages | length) }}",
            "{% if messages | length == 3 %}x{% else %}xyz{% endif %}", "{{ messages | length % 2 }}",
            "{% generation %}{% endgeneration %}",
            "{% generation %}a{% generation %}b{% endgeneration %}{% endgeneration %}",
            "{% macro m() %}{% generation %}q{% endgeneration %}{% endmacro %}{{ m() }}",
            "{{ raise_exception('no') }}", "{{ 1 / 0 }}",
        ] {
            let encoder = LetterEncoder()
            guard let template = try? ChatTemplate(source: source) else { continue }
            let maker = SampleMaker(
                encoder: encoder, template: template, stage: .sft, vocabularyCount: encoder.vocabularyCount)
            _ = try? maker.sample(of: .chat(Conversation(turns: talk)))
        }
    }

    @Test func `marks that don't match the messages are told when one is left out`() {
        let once = "{% generation %}{% for m in messages %}{{ m.content }}{% endfor %}{% endgeneration %}"
        var some = talk
        some[1].isTrained = false
        let problem = #expect(throws: RowProblem.self) { try trained(once, some) }

        #expect(problem?.description.contains("marks 1 passages for 2 assistant messages") == true)
    }

    @Test func `a template that marks nothing is told`() {
        let problem = #expect(throws: RowProblem.self) {
            try trained("{% if false %}{% generation %}{% endgeneration %}{% endif %}x", talk)
        }
        #expect(problem?.description.contains("marked nothing") == true)
    }

    @Test func `a template without an end mark gets the end of text`() throws {
        let encoder = LetterEncoder()
        let maker = SampleMaker(
            encoder: encoder, template: try ChatTemplate(source: "{% for m in messages %}{{ m.content }};{% endfor %}"),
            stage: .sft, vocabularyCount: encoder.vocabularyCount)
        let sample = try maker.sample(of: .chat(Conversation(turns: talk)))

        #expect(encoder.text(of: sample.ids) == "a;B;c;D;<|eos|>")
        #expect(sample.labels.last == encoder.id("<|eos|>"))
    }
}
