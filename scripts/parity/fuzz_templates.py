"""Compares `drover template` with jinja2 under transformers' settings, byte for byte.

--count random templates over the constructs that chat templates use, on fixed variables; then the repository's chat
templates and built-in ones on random conversations. What jinja2 renders, drover must render, generation ranges too;
where jinja2 fails, drover must fail. The same seed makes the same cases.
"""
import argparse
import copy
import json
import random
import warnings

import fuzzing

make = fuzzing.maker("make-template-fixtures")
warnings.simplefilter("ignore")
BASE = {"messages": None, "tools": None, "documents": None, "add_generation_prompt": False}
# Addresses and reprs of Python's own objects.
PYTHONIC = [" object at 0x", "<bound", "<built-in", "dict_items", "dict_keys", "dict_values", "<Undefined", "<Namespace",
            "<Macro", "<function", "<jinja2", "<transformers", "<generator"]

NAMES = ["s", "e", "sp", "ml", "zh", "esc", "n", "neg", "f", "z", "t", "fa", "no", "l", "ls", "el", "nested", "d", "ed",
         "rows", "missing", "x", "y", "ns"]
STRINGS = ["'a'", '"b"', "'\\n'", "', '", "''", "'é'", "'</think>'", "' '", "'l'", "'%s: %s'", "'e\u0301'", "'ß'",
           "'\\'\"'", "'\\t\\\\'", "'ǆ'"]
FILTERS = [
    "length", "upper", "lower", "trim", "string", "list", "first", "last", "join", "join(',')", "tojson",
    "tojson(indent=2)", "tojson(ensure_ascii=true)", "tojson(ensure_ascii=False, indent=4)", "tojson(sort_keys=true)",
    "tojson(separators=(',', ':'))", "default('D')", "default('D', true)", "sort", "sort(reverse=true)",
    "sort(attribute='name')", "unique | list", "reverse | list", "int", "float", "abs", "round", "capitalize", "title",
    "indent", "indent(2, true)", "indent(width=3, first=true, blank=true)", "items | list", "map('upper') | list",
    "map(attribute='name') | list", "map('tojson') | join", "map(attribute='name', default='?') | list",
    "selectattr('ok') | list", "rejectattr('ok') | list", "selectattr('ok', 'defined') | list",
    "selectattr('name', 'equalto', 'x') | list", "selectattr('v', 'gt', 1) | list", "rejectattr('v', '==', 1) | list",
    "select('string') | list", "reject('none') | list", "reject('equalto', 'a') | list", "replace('a', 'QQ')",
    "replace('a', '', 1)", "dictsort", "dictsort(by='value')", "dictsort(reverse=true)", "max", "min", "sum", "safe",
    "select | list", "d", "trim('ad')", "sum(attribute='v')", "count", "join('-', attribute='name')", "list | length",
    "string | length", "int(7)", "float | string",
]
TESTS = ["defined", "undefined", "none", "string", "number", "mapping", "iterable", "sequence", "boolean", "integer",
         "float", "true", "false", "odd", "even", "lower", "upper", "divisibleby 2", "eq 1", "in l", "equalto('a')",
         "callable", "sameas none", "ne 2", "gt 1", "lessthan(3)"]
METHODS = [
    "split(',')", "split()", "strip()", "strip('a')", "lstrip()", "rstrip()", "lstrip('\\n')", "rstrip('ld')", "upper()",
    "lower()", "startswith('h')", "endswith('d')", "startswith(('h', 'o'))", "replace('l', 'L')", "replace('l', 'L', 1)",
    "items() | list", "keys() | list", "values() | list", "get('a')", "get('zz', 1)", "get('zz')", "count('a')",
    "find('l')", "title()", "capitalize()", "splitlines()", "join(ls)", "rsplit('l', 1)", "split(' ', 1)", "isdigit()",
    "index(1)", "partition('l')", "isupper()", "rfind('o')", "removeprefix('h')", "removesuffix('d')", "split('</think>')",
    "split('</think>')[-1].lstrip('\\n')",
]
SLICES = ["1:", ":-1", "::-1", "::2", "-3:", "1:3", ":0", "2:1", ":", "-1::-2", "::-3", "5:1:-1", "-100:100"]
GLUE = ["", " ", "\n", "  \n  ", "text", "\n\n", " é ", "a\n", "\t", "{", "}", "%", "#", " \t\n", "\r\n", "# x", "'"]


class Grammar:
    """Random templates."""

    def __init__(self, source):
        self.r = source

    def pick(self, *options):
        return self.r.choice(options)

    def atom(self, depth):
        roll = self.r.random()
        if roll < 0.45:
            return self.r.choice(NAMES)
        if roll < 0.6:
            return self.r.choice(STRINGS)
        if roll < 0.75:
            return self.pick("0", "1", "2", "-1", "3", "1.5", "true", "false", "none", "True", "None", "10", "1e3", "0.1")
        if depth <= 0:
            return self.r.choice(NAMES)
        if roll < 0.8:
            return "[" + ", ".join(self.expression(depth - 1) for _ in range(self.r.randint(0, 3))) + "]"
        if roll < 0.84:
            return "(" + ", ".join(self.expression(depth - 1) for _ in range(self.r.randint(2, 3))) + ")"
        if roll < 0.88:
            return "{" + ", ".join(
                self.pick("'a'", "'k'", "1", "s") + ": " + self.expression(depth - 1)
                for _ in range(self.r.randint(0, 2))) + "}"
        if roll < 0.91:
            return f"range({self.pick('3', '1, 4', '5, 0, -2', 'n')}) | list"
        return "(" + self.expression(depth - 1) + ")"

    def postfix(self, depth):
        text = self.r.choice(NAMES)
        for _ in range(self.pick(0, 0, 1, 1, 2)):
            roll = self.r.random()
            if roll < 0.25:
                text += "." + self.pick("a", "name", "items", "b", "x", "length", "index", "ok", "0", "v")
            elif roll < 0.45:
                text += "[" + self.expression(max(0, depth - 1)) + "]"
            elif roll < 0.6:
                text += "[" + self.r.choice(SLICES) + "]"
            else:
                text += "." + self.r.choice(METHODS)
        return text

    def expression(self, depth):
        roll = self.r.random()
        if depth <= 0:
            return self.atom(0)
        if roll < 0.28:
            return self.postfix(depth)
        if roll < 0.43:
            sign = self.pick("+", "-", "*", "/", "//", "%", "~", "~", "+", "**")
            if sign == "**":
                return self.postfix(0) + " ** " + self.pick("2", "0", "-1", "3")
            return self.expression(depth - 1) + f" {sign} " + self.expression(depth - 1)
        if roll < 0.53:
            sign = self.pick("==", "!=", "<", ">", "<=", ">=", "in", "not in")
            return self.expression(depth - 1) + f" {sign} " + self.expression(depth - 1)
        if roll < 0.61:
            return self.expression(depth - 1) + self.pick(" and ", " or ") + self.expression(depth - 1)
        if roll < 0.65:
            return "not " + self.expression(depth - 1)
        if roll < 0.71:
            end = " else " + self.expression(depth - 1) if self.r.random() < 0.8 else ""
            return self.expression(depth - 1) + " if " + self.expression(depth - 1) + end
        if roll < 0.88:
            return self.postfix(depth - 1) + " | " + self.r.choice(FILTERS)
        if roll < 0.97:
            return self.postfix(depth - 1) + self.pick(" is ", " is not ") + self.r.choice(TESTS)
        return "-" + self.postfix(depth - 1)

    def open(self):
        return self.pick("{%", "{%-", "{%", "{%-", "{%+")

    def close(self):
        return self.pick("%}", "-%}", "%}", "-%}", "+%}")

    def tag(self, text):
        return f"{self.open()} {text} {self.close()}"

    def body(self, depth):
        return "".join(self.block(depth - 1) for _ in range(self.r.randint(0, 2)))

    def block(self, depth):
        roll = self.r.random()
        glue = lambda: self.r.choice(GLUE)
        if depth <= 0 or roll < 0.3:
            return glue() + self.pick("{{", "{{-") + " " + self.expression(2) + " " + self.pick("}}", "-}}") + glue()
        if roll < 0.45:
            text = glue() + self.tag("if " + self.expression(2)) + self.body(depth)
            if self.r.random() < 0.3:
                text += self.tag("elif " + self.expression(1)) + self.body(depth)
            if self.r.random() < 0.5:
                text += self.tag("else") + self.body(depth)
            return text + self.tag("endif") + glue()
        if roll < 0.65:
            return self.loop(depth, glue)
        if roll < 0.73:
            return self.tag(f"set {self.pick('x', 'y')} = {self.expression(2)}")
        if roll < 0.75:
            return self.tag(f"set x, y = {self.expression(1)}, {self.expression(1)}") + "{{ x }}{{ y }}"
        if roll < 0.79:
            return self.tag("set x") + self.body(depth) + self.tag("endset")
        if roll < 0.84:
            return "{% set ns = namespace(a=1) %}{% set ns.a = " + self.expression(2) + " %}{{ ns.a }}"
        if roll < 0.9:
            return self.macro(depth)
        if roll < 0.95:
            return self.tag("generation") + self.body(depth) + self.tag("endgeneration")
        if roll < 0.97:
            return self.pick("{# c #}", "{#- c -#}", "{# c\n #}\n") + glue()
        name = self.pick("upper", "trim", "indent", "replace('a', 'b')")
        return self.tag(f"filter {name}") + self.body(depth) + self.tag("endfilter")

    def loop(self, depth, glue):
        names = self.pick("x", "x", "y", "x, y")
        condition = " if " + self.expression(1) if self.r.random() < 0.3 else ""
        body = self.body(depth) + self.pick(
            "", "{{ loop.index }}", "{{ loop.last }}", "{{ loop.previtem }}", "{{ loop.nextitem is defined }}",
            "{% if loop.index0 == 1 %}{% continue %}{% endif %}", "{% if loop.first %}{% break %}{% endif %}",
            "{{ loop.length }}{{ loop.revindex }}", "{% if not loop.last %}, {% endif %}", "{{ x }}")
        text = glue() + self.tag(f"for {names} in {self.expression(2)}{condition}") + body
        if self.r.random() < 0.2:
            text += self.tag("else") + self.body(depth)
        return text + self.tag("endfor") + glue()

    def macro(self, depth):
        name = f"m{depth}"
        text = self.tag(f"macro {name}(x, y={self.expression(1)})") + self.body(depth) + self.tag("endmacro")
        call = self.pick(f"{name}({self.expression(1)})", f"{name}(1, y={self.expression(1)})", f"{name}()",
                         f"{name}(y=2, x=1)")
        return text + self.pick(f"{{{{ {call} }}}}", f"{{% set x = {call} %}}{{{{ x | upper }}}}")

    def template(self):
        return "".join(self.block(self.pick(1, 2, 3)) for _ in range(self.r.randint(1, 3)))


def content(r):
    return r.choice([
        "", "hi", " x ", "a\n\nb\n", "<think>\nq\n</think>\n\nr", "<think>x</think>y", "</think>", "</think>a</think>b",
        "你好\u3000", "\"q\" \\ 's'", "\n\n", "tab\t\u00a0", '{"a": 1}', "<|im_end|>", "\u0085x\u2028", "\x1c y \x1f",
        "<tool_response>a</tool_response>", "👩\u200d🌾e\u0301"])


def value(r, depth=2):
    roll = r.random()
    if roll < 0.5 or depth == 0:
        return r.choice([1, -2, 1.5, 1e20, 0.1, True, None, "s", 'é"', "", 10**30, 1e-7, "\u2028<&>'"])
    if roll < 0.75:
        return [value(r, depth - 1) for _ in range(r.randint(0, 2))]
    return {r.choice("abké"): value(r, depth - 1) for _ in range(r.randint(0, 2))}


def message(r):
    role = r.choice(["user", "user", "assistant", "assistant", "system", "tool", "developer"])
    made = {"role": role, "content": content(r)}
    if role == "assistant" and r.random() < 0.3:
        made["tool_calls"] = [
            {"type": "function", "function": {"name": r.choice("fg"), "arguments": r.choice([value(r), {"x": value(r)}])}}
            for _ in range(r.randint(1, 3))]
    if role == "assistant" and r.random() < 0.2:
        made["reasoning_content"] = content(r)
    if r.random() < 0.1:
        del made["content"]
    if r.random() < 0.1:
        made["name"] = "n"
    return made


def tool(r):
    return {"type": "function", "function": {"name": "f", "description": content(r), "parameters": {
        "type": "object",
        "properties": {name: {
            "type": r.choice(["string", "integer", "array", ["string", "null"], "object", "weird"]),
            "items": {"type": "number"}, "description": content(r), "default": value(r)}
            for name in r.sample(["a", "items", "zé", "B"], r.randint(0, 3))},
        "required": ["a"]}}}


def conversation(r):
    made = {"messages": [message(r) for _ in range(r.randint(0, 6))], "add_generation_prompt": r.random() < 0.5}
    if r.random() < 0.3:
        made["tools"] = [tool(r)]
    if r.random() < 0.8:
        made |= {"bos_token": "<s>", "eos_token": "</s>"}
    if r.random() < 0.3:
        made["enable_thinking"] = r.random() < 0.5
    return made


def is_pythonic(text):
    """In whatever case a filter has left it."""
    text = text.lower()
    return any(word.lower() in text for word in PYTHONIC)


def cases(options):
    r = random.Random(options.seed)
    variables = json.loads((make.FIXTURES / "variables.json").read_text())
    grammar = Grammar(r)
    made = []
    while len(made) < options.count:
        template = grammar.template()
        expected = make.render(template, copy.deepcopy(variables))
        text = expected.get("text", "")
        # Most failures are alike.
        if ("error" in expected and r.random() < 0.9) or len(text) > 20_000 or is_pythonic(text):
            continue
        made.append((template, BASE | variables, expected))
    templates = {path.stem: path.read_text() for path in sorted((make.FIXTURES / "chat").glob("*.jinja"))}
    templates |= {"built-in " + name: text for name, text in make.literals().items()}
    for template in templates.values():
        for _ in range(options.count // 100):
            variables = conversation(r)
            made.append((template, BASE | variables, make.render(template, copy.deepcopy(variables))))
    return made


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("drover")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=20_000, help="random templates, and 100 × conversations a template")
    options = parser.parse_args()
    made = cases(options)
    now = [getattr(make.NOW, part) for part in ("year", "month", "day", "hour", "minute", "second")]
    rows = [{"template": template, "variables": variables | {"now": now}} for template, variables, _ in made]
    report = fuzzing.Report()
    failing = 0
    for (template, _, expected), found in zip(made, fuzzing.lines(options.drover, ["template"], rows)):
        if "error" in expected:
            failing += 1
            report.compare("failure", "error" in found, True, template)
            continue
        if "error" in found:
            report.compare("rendering", found["error"], expected["text"], template)
            continue
        report.compare("text", found["text"], expected["text"], template)
        places = [[len(found["text"][:at].encode()) for at in pair] for pair in found["generations"]]
        size = len(expected["text"].encode())
        wanted = [[min(at, size) for at in pair] for pair in expected.get("generations", [])]
        report.compare("generations", places, wanted, template)
    print(f"{len(made)} cases, {failing} of them fail in jinja2 too")
    report.end()


if __name__ == "__main__":
    main()
