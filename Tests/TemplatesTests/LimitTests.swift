import Terms
import Testing

@testable import Templates

/// Templates that would never end, or never stop growing, are stopped by name; nothing traps.
@Suite struct LimitTests {
    func failure(
        _ source: String, _ limits: RenderLimits = RenderLimits(steps: 100_000, bytes: 1 << 20)
    ) -> TemplateError? {
        do throws(TemplateError) {
            _ = try Template(source).renderJSON(JSONObject(), limits: limits)
            return nil
        } catch { return error }
    }

    @Test func `loops in loops are stopped`() {
        let loop = "{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}"

        #expect(failure(loop, RenderLimits(steps: 100_000)) == .tooManySteps(limit: 100_000))
    }

    @Test func `text that doubles is stopped`() {
        let doubling = """
            {% set ns = namespace(s='aaaaaaaa') %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}
            """
        #expect(failure(doubling) == .tooLong(limit: 1 << 20))
        #expect(failure("{{ 'a' * 99999999999 }}") == .tooLong(limit: 1 << 20))
        #expect(failure("{{ ('ab' * 9999).replace('a', 'c' * 9999) }}") == .tooLong(limit: 1 << 20))
        #expect(failure("{{ ([0] * 999999) | length }}") == .tooLong(limit: 1 << 20))
        #expect(failure("{% for i in range(90000) %}{{ 'abcdefghijklmnop' }}{% endfor %}") == .tooLong(limit: 1 << 20))
        let list = "{% set ns = namespace(l=[1]) %}{% for i in range(99) %}{% set ns.l = ns.l + ns.l %}{% endfor %}"
        #expect(failure(list) == .tooLong(limit: 1 << 20))
    }

    @Test func `endless recursion is stopped`() {
        #expect(failure("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}") == .tooDeep(limit: 200))
        let mixed = "{% for i in [1] %}{% if true %}{{ 1 + (m(x) | length) }}{% endif %}{% endfor %}"
        #expect(failure("{% macro m(x) %}\(mixed){% endmacro %}{{ m(1) }}") == .tooDeep(limit: 200))
    }

    @Test func `containers nested without end are stopped`() {
        for container in ["[ns.x]", "{'a': ns.x}", "(ns.x,)", "[ns.x] | map('list')"] {
            let loop = "{% for i in range(9999) %}{% set ns.x = \(container) %}{% endfor %}"
            #expect(failure("{% set ns = namespace(x=[]) %}\(loop)") == .tooDeep(limit: 200), "\(container)")
        }
    }

    @Test func `a chain of namespaces is freed without trapping`() {
        let chain = """
            {% set ns = namespace(x=none) %}{% for i in range(2000) %}{% set ns.x = namespace(x=ns.x) %}{% endfor %}done
            """
        #expect(failure(chain, RenderLimits()) == nil)
    }

    @Test func `text that nests or chains too deeply is refused when it is read`() {
        let deep = String(repeating: "(", count: 5000)
        #expect(failure("{{ \(deep)1\(String(repeating: ")", count: 5000)) }}") == .tooDeep(limit: Parser.depthLimit))
        let lists = String(repeating: "[", count: 5000) + String(repeating: "]", count: 5000)
        #expect(failure("{{ \(lists) }}") == .tooDeep(limit: Parser.depthLimit))
        #expect(failure("{{ " + String(repeating: "not ", count: 5000) + "1 }}") == .tooDeep(limit: Parser.depthLimit))
        #expect(failure("{{ " + String(repeating: "-", count: 5000) + "1 }}") == .tooDeep(limit: Parser.depthLimit))
        #expect(failure(String(repeating: "{% if 1 %}", count: 5000)) == .tooDeep(limit: Parser.depthLimit))
        for chain in [
            "1" + String(repeating: " + 1", count: 5000), "a" + String(repeating: ".a", count: 5000),
            "1" + String(repeating: " | int", count: 5000), "1" + String(repeating: " if 1", count: 5000),
            "f" + String(repeating: "()", count: 5000),
        ] {
            #expect(failure("{{ \(chain) }}") == .tooDeep(limit: Parser.heightLimit), "\(chain.prefix(12))")
        }
    }

    @Test func `numbers beyond 64 bits are errors, not traps`() {
        let limit = "9223372036854775807"
        for source in [
            "{{ \(limit) + 1 }}", "{{ -\(limit) - 2 }}", "{{ \(limit) * 2 }}", "{{ 2 ** 64 }}", "{{ 1 // 0 }}",
            "{{ 99999999999999999999 }}", "{{ (-\(limit) - 1) // -1 }}", "{{ -(-\(limit) - 1) }}", "{{ 1 % 0 }}",
            "{{ (-\(limit) - 1) | abs }}", "{{ range(-\(limit), \(limit)) }}", "{{ 1.0 // 0 }}",
        ] { #expect(failure(source) != nil, "\(source)") }
        for source in [
            "{{ 'abc'[-\(limit) - 1:\(limit)] }}", "{{ 'abc'[::\(limit)] }}", "{{ 'abc'[::-\(limit) - 1] }}",
            "{{ 'abc'[\(limit)] }}", "{{ [1][-\(limit) - 1] }}", "{{ range(\(limit), \(limit)) }}", "{{ 1e999 | int }}",
            "{{ 'a'.split(',', \(limit)) }}", "{{ 'a'.replace('a', 'b', \(limit)) }}", "{{ (0 - 1) ** \(limit) }}",
        ] { #expect(failure(source) == nil, "\(source): \(String(describing: failure(source)))") }
    }

    @Test func `generation blocks inside each other are told, the inner first`() throws {
        let template = try Template("{% generation %}a{% generation %}b{% endgeneration %}c{% endgeneration %}")

        let rendering = try template.renderJSON(JSONObject())
        #expect(rendering.generationRanges == [0..<1, 0..<3])
        // The inner one's place is that of the output itself, where `a` stands.
        #expect(rendering.hasMisplacedRanges)
    }

    @Test func `broken templates never trap`() {
        let source =
            "{%- if a == 'x' and b[1:] %}{{ c | tojson(indent=2) }}{% elif d is not none %}\n{% for x in y %}"
            + "{{- loop.index ~ \"q\\u00e9\" -}}{% endfor %}{% set ns.z = {'k': [1, 2.5e3]} %}{# note #}{% endif %}"
            + "{% raw %}r{% endraw %}{% macro m(p, q=1) %}{{ p }}{% endmacro %}{% generation %}g{% endgeneration %}"
        let bytes = Array(source.utf8)
        for cut in stride(from: 0, to: bytes.count, by: 2) {
            _ = failure(String(decoding: bytes[..<cut], as: UTF8.self))
            _ = failure(String(decoding: bytes[cut...], as: UTF8.self))
            for replacement in "{%('\"." {
                let changed = bytes[..<cut] + Array(String(replacement).utf8) + bytes[(cut + 1)...]
                _ = failure(String(decoding: changed, as: UTF8.self))
            }
        }
    }
}
