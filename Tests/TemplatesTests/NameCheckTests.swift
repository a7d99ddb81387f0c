import Terms
import Testing

@testable import Templates

/// Names of filters and tests that nobody knows, where jinja2 3.1 refuses them, and where it does not.
@Suite struct NameCheckTests {
    private func isRead(_ source: String) -> Bool { (try? Template(source)) != nil }

    @Test(arguments: [
        "{{ x | nope }}", "{{ x | list.lstrip() }}", "{{ x is nope }}",
        "{% for a in [] %}{{ a | list.lstrip() }}{% endfor %}",
        "{% for a in [] if a is no.such %}{% endfor %}", "{% for a in [] %}{% else %}{{ a | nope }}{% endfor %}",
        "{% macro m(a=x | nope) %}{% endmacro %}", "{% macro m() %}{{ 1 | nope }}{% endmacro %}",
        "{% set x | nope %}{% endset %}", "{% filter nope %}{% endfilter %}",
        "{% generation %}{{ x | nope }}{% endgeneration %}",
        "{% if x %}{% for a in [] %}{{ a | nope }}{% endfor %}{% endif %}", "{% set x = [1, {'a': (2 | nope)}] %}",
    ])
    func `what is reached without a condition is refused when the template is read`(source: String) throws {
        let error = #expect(throws: TemplateError.self) { try Template(source) }
        guard case .syntax(1, let problem) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(problem.hasPrefix("there is no filter") || problem.hasPrefix("there is no test"))
    }

    @Test(arguments: [
        "{% if x %}{{ x | list.lstrip() }}{% elif y is nope %}{{ 1 | nope }}{% else %}a{% endif %}",
        "{{ (x | nope) if x else 'a' }}",
        "{% if x %}{% for a in (x | nope) %}{% endfor %}{% endif %}a",
        "{% if x %}{% set y = x | nope %}{% endif %}a",
    ])
    func `what stands in a condition may be unknown as long as it is not reached`(source: String) throws {
        // A test in a condition that is reached is not a condition's inside.
        let template = try Template(source.replacing("y is nope", with: "y"))
        #expect(try template.renderJSON(JSONObject()).text.text == "a")
        #expect(isRead(source))
    }

    @Test func `filters of Jinja that this interpreter does not have are refused only where they are reached`() throws {
        let source = "{% for a in l %}{{ a | urlencode }}{{ a is escaped }}{% endfor %}a"
        #expect(try Template(source).renderJSON(JSONObject([(key: "l", value: .array([]))])).text.text == "a")
        #expect(throws: TemplateError.self) {
            try Template(source).renderJSON(JSONObject([(key: "l", value: .array([.int(1)]))]))
        }
    }
}
