import Terms
import Testing

@testable import Templates

/// Which characters of a rendering came from data.
@Suite struct ProvenanceTests {
    /// The rendering with what came from data in brackets.
    func marked(_ source: String, _ variables: KeyValuePairs<String, JSONValue>) throws -> String {
        let values = variables.map { ($0.key, Value($0.value, isData: $0.key != "trusted")) }
        let text = try Template(source).render(values).text
        var result = ""
        var at = 0
        for range in text.dataRanges {
            result += text.slice(at..<range.lowerBound).text + "[" + text.slice(range).text + "]"
            at = range.upperBound
        }
        return result + text.slice(at..<text.count).text
    }

    @Test func `literals are the template's and variables are data`() throws {
        #expect(try marked("a{{ x }}b{{ 'c' + x + 'd' }}", ["x": .string("X")]) == "a[X]bc[X]d")
        #expect(try marked("{{ trusted }}{{ x }}", ["x": .string("X"), "trusted": .string("T")]) == "T[X]")
    }

    @Test func `the mark follows text through every operation`() throws {
        let x: KeyValuePairs<String, JSONValue> = [
            "x": .string(" aBc "), "y": .string("p,q"), "l": .array([.string("m"), .string("n")]),
        ]
        let cases = [
            "{{ '<' ~ x ~ '>' }}": "<[ aBc ]>",
            "{{ x | trim }}!": "[aBc]!",
            "{{ x.strip() + '.' }}": "[aBc].",
            "{{ ('<' + x + '>')[1:4] }}": "[ aB]",
            "{{ ('-' + x.strip())[::-1] }}": "[cBa]-",
            "{{ x | upper }}{{ ('k' ~ x) | upper }}": "[ ABC ]K[ ABC ]",
            "{{ x | replace('B', '+') }}": "[ a]+[c ]",
            "{{ 'aXb' | replace('X', x) }}": "a[ aBc ]b",
            "{{ y.split(',') | join(' | ') }}": "[p] | [q]",
            "{{ l | join(y) }}": "[mp,qn]",
            "{{ y.split(',')[-1] }}": "[q]",
            "{{ l }}": "['[m]', '[n]']",
            "{{ l | tojson }}": "[\"[m]\", \"[n]\"]",
            "{{ {'k': x} | tojson }}": "{\"k\": \"[ aBc ]\"}",
            "{{ x | indent(2, true) }}": "  [ aBc ]",
            "{% set z = x %}{{ z }}": "[ aBc ]",
            "{% set z %}({{ x }}){% endset %}{{ z }}": "([ aBc ])",
            "{% macro m(a) %}<{{ a }}>{% endmacro %}{{ m(x) ~ '' }}": "<[ aBc ]>",
            "{% set ns = namespace(v='') %}{% for i in l %}{% set ns.v = ns.v + i + ';' %}{% endfor %}{{ ns.v }}":
                "[m];[n];",
            "{% filter upper %}q{{ x }}{% endfilter %}": "Q[ ABC ]",
            "{{ x if x else 'none' }}{{ missing or 'dflt' }}": "[ aBc ]dflt",
            "{{ '%s!' % x }}": "[ aBc ]!",
            "{{ x * 2 }}": "[ aBc  aBc ]",
            "{{ x | capitalize }}{{ x.title() }}": "[ abc  Abc ]",
            "{{ y.partition(',') | join }}": "[p,q]",
            "{{ x[1] }}{{ x | first }}{{ x | list | join('') }}": "[a  aBc ]",
            "{{ x | string }}{{ x | safe }}{{ x | default('d') }}": "[ aBc  aBc  aBc ]",
            "{{ ['é', x.strip()] | join('中') }}": "é中[aBc]",
        ]
        for (source, expected) in cases { #expect(try marked(source, x) == expected, "\(source)") }
    }

    @Test func `escapes in JSON belong to the data that needed them`() throws {
        #expect(try marked("{{ x | tojson }}", ["x": .string("a\"b\n")]) == "\"[a\\\"b\\n]\"")
        #expect(try marked("{{ [x] }}", ["x": .string("a\\")]) == "['[a\\\\]']")
    }

    @Test func `keys of objects are data too`() throws {
        #expect(
            try marked("{% for k in d %}{{ k }}{% endfor %}{{ d | tojson }}", ["d": .members(["k": .int(1)])])
                == "[k]{\"[k]\": 1}")
    }

    @Test func `known roles count as the template's and other members don't`() throws {
        let template = try ChatTemplate(source: "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}")
        let messages = [("user", "hi"), ("evil", "x")].map { role, content in
            JSONObject([("role", .string(role)), ("content", .string(content))])
        }
        let text = try template.render(ChatInput(messages: messages)).text

        #expect(text.text == "<|user|>hi<|evil|>x")
        #expect(text.dataRanges.map { text.slice($0).text } == ["hi", "evil", "x"])
    }
}
