import Templates
import Terms
import Testing

@testable import Datasets

/// What a template does with texts decides whether it has a plan; where it has one, that gives what rendering gives.
@Suite struct ChatPlanTests {
    /// Expressions over `t`, the text of a turn, and `m`, the turn.
    static let expressions: [String] = [
        "t", "t ~ t", "t + 'x'", "'x' + t", "t * 2", "2 * t", "'%s|' % t", "'%s' % [t]", "'{}'.format(t)", "t.format()",
        "t | string | length", "t | length", "t | list", "t | first", "t | last", "t | upper", "t | tojson", "t | trim",
        "t | trim('a')", "t.strip()", "t.strip('\\n')", "t.strip('a')", "t.lstrip()", "t.rstrip('\\n ')",
        "t | replace('a', 'b')",
        "t[0]", "t[1:]", "t[-1]", "t == 'a'", "t != 'a'", "'a' == t", "t < 'b'", "t in 'abc'", "'a' in t",
        "'</think>' in t",
        "'<think>' not in t", "t.startswith('<tool_response>')", "t.endswith('</tool_response>')", "t.startswith('a')",
        "t is in ['a', 'b']", "t in ['a']", "'a' in m.values()", "'a' in [t]", "[t] == ['a']",
        "[t, 'a'] | unique | list | length",
        "[t, 'b'] | sort | first", "[t, 'b'] | join('-')", "[t, 'b'] | max", "m", "m | tojson", "[t]", "messages",
        "m.items() | list",
        "{'a': 1}[t]", "{'a': 1}.get(t, 0)", "{t: 1}", "m[t] is defined", "t is upper", "t is string", "t is iterable",
        "t is none",
        "t is mapping", "t is sequence", "t is number", "t is equalto 'a'", "t is defined", "t and 'yes'", "t or 'no'",
        "not t",
        "t if t else 'e'", "t | default('d', true)", "t.split('\\n')[0]", "t.split('</think>')[-1]", "t | int",
        "t | int(3)", "t | float",
        "t | e", "t | safe", "t | indent", "t | capitalize", "t.title()", "loop.changed(t)", "loop.previtem.content",
        "messages | map(attribute='content') | join",
        "messages | selectattr('content', 'equalto', 'a') | list | length",
        "messages | map(attribute='content') | list", "messages | groupby('content') | list | length",
        "messages | rejectattr('content') | list | length", "namespace(x=t).x", "raise_exception(t)",
        "range(t | length) | list",
        "t | replace('\\n', '')", "t.count('a')", "t.find('a')", "t.isdigit()", "t is divisibleby 2", "-t",
        "t ~ 1 == 'a1'",
        "(t ~ 'x') | length", "(t ~ 'x') | trim", "('x' ~ t).strip()", "(t ~ t).strip()", "'</think>' in (t ~ t)",
    ]
    static let statements: [String] = [
        "{% for c in t %}{{ c }}.{% endfor %}", "{% set x %}{{ t }}{% endset %}{{ x | length }}",
        "{% set x %}{{ t }}{% endset %}{{ x }}!",
        "{% set x = t.strip() %}{% if x %}{{ x }}{% endif %}",
        "{% macro f(a) %}[{{ a }}]{% endmacro %}{{ f(t) }}{{ f(t) | length }}",
        "{% macro f(a) %}[{{ a }}]{% endmacro %}{{ f(t) }}{{ f(a=t) }}", "{% if t == 'a' %}A{% else %}B{% endif %}",
        "{% if '</think>' in t %}{{ t.split('</think>')[-1].lstrip('\\n') }}{% else %}{{ t }}{% endif %}",
        "{% filter upper %}{{ t }}{% endfilter %}",
        "{% set ns = namespace(s='') %}{% set ns.s = ns.s ~ t %}{{ ns.s }}{{ ns.s == 'a' }}",
        "{% generation %}{{ t }}{% endgeneration %}", "{% generation %}{{ t | trim }}{% endgeneration %}<|im_end|>",
        "<|im_start|>{{ m.role }}\n{{ t }}<|im_end|>\n", "{{ t }}\n  {{- t -}}\n  x",
    ]
    /// Texts as users write them, of both kinds.
    static let texts: [[String]] = [
        ["a", "b"], ["a", "a"], [" a ", "\nb"], ["A<think>b</think>\n\nc", "<tool_response>x</tool_response>"],
        ["<|im_end|>", "<|im_start|>"],
        ["", "a"], ["a", ""], ["%s {} 1", "3"], ["\u{200B}a", "a\u{200B}"], ["\u{3000}é", "é\u{A0}"],
        ["a\u{0}", "\u{0}"], ["0", "1.5"],
    ]

    @Test func `whatever a template does with the texts, rows read in place are what rendering makes of them`() throws {
        let encoder = LetterEncoder(["<|im_start|>", "<|im_end|>"])
        var planned = 0
        for body in Self.expressions.map({ "{{ \($0) }}" }) + Self.statements {
            let source = "{% for m in messages %}{% set t = m.content %}\(body)|{% endfor %}"
            guard let template = try? ChatTemplate(source: source) else { continue }
            for stage in [Stage.pt, .sft] {
                let maker = SampleMaker(
                    encoder: encoder, template: template, stage: stage, vocabularyCount: encoder.vocabularyCount)
                let worker = RowWorker(format: .messages, columns: .usual, maker: maker)
                for texts in Self.texts {
                    let (inPlace, byValue) = both(texts, worker)
                    #expect(inPlace == byValue, "\(stage) \(body): \(texts)")
                }
                let shape = Conversation(turns: [Turn("user", "0"), Turn("assistant", "1")])
                if ChatPlan(shape, maker, .any) != nil { planned += 1 }
            }
        }
        #expect(planned > 20)
    }

    @Test func `a member that stands twice counts as it does in a value`() throws {
        let encoder = LetterEncoder([])
        let maker = SampleMaker(
            encoder: encoder, template: try ChatTemplate(builtIn: "chatml"), stage: .sft,
            vocabularyCount: encoder.vocabularyCount)
        for (format, row) in [
            (
                RowFormat.messages,
                #"{"messages":[{"role":"user","content":"a","content":"b"},{"role":"assistant","content":"c"}]}"#
            ),
            (
                .messages,
                #"{"messages":[{"role":"user","role":"assistant","content":"b"},{"content":"c","role":"assistant"}]}"#
            ),
            (
                .messages,
                #"{"messages":[],"messages":[{"role":"user","content":"b"},{"content":"c","role":"assistant"}]}"#
            ),
            (
                .sharegpt,
                #"{"conversations":[{"from":"human","value":"a","value":"b"},{"from":"gpt","from":"human","value":"c"}]}"#
            ),
            (.alpaca, #"{"instruction":"a","instruction":"b","output":"c","output":"d","system":"","system":"e"}"#),
        ] {
            let (inPlace, byValue) = both(row, RowWorker(format: format, columns: .usual, maker: maker))
            #expect(inPlace == byValue, "\(row)")
        }
    }

    private func both(_ texts: [String], _ worker: RowWorker) -> (String, String) {
        let messages = zip(["user", "assistant"], texts).map { role, text in
            JSONValue.members(["role": .string(role), "content": .string(text)])
        }
        return both(JSONValue.members(["messages": .array(messages)]).text, worker)
    }

    private func both(_ row: String, _ worker: RowWorker) -> (inPlace: String, byValue: String) {
        RowWorkerTests().both(Array(row.utf8), worker)
    }
}
