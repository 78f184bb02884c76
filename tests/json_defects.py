"""Realistic arguments of tool calls, and what models do to them.

An operator takes JSON text that is right and breaks it in one way, so the right answer
is known. One that could not break a text gives None, also where the outcome is still
JSON: nobody can tell that something is wrong with it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, Final, TypeAlias

from msgspec import Struct

Operator: TypeAlias = Callable[[str, Random], str | None]


class Call(Struct, frozen=True):
    """One call that a model meant to make."""

    name: str
    schema: dict[str, Any]
    arguments: dict[str, Any]

    @property
    def text(self) -> str:
        """Its arguments, as they should have been written."""
        return json.dumps(self.arguments, ensure_ascii=False)


def _schema(required: str, **kinds: Any) -> dict[str, Any]:
    named = {
        name: {"type": kind} if isinstance(kind, str) else kind
        for name, kind in kinds.items()
    }
    return {"type": "object", "properties": named, "required": required.split()}


_TODO: Final = _schema(
    "content status", content="string", status="string", priority="string", id="string"
)
SCHEMAS: Final = {
    "write_file": _schema("path content", path="string", content="string"),
    "edit_file": _schema(
        "path old_string new_string",
        path="string",
        old_string="string",
        new_string="string",
        replace_all="boolean",
    ),
    "apply_patch": _schema("patch", patch="string", strip="integer"),
    "bash": _schema(
        "command", command="string", timeout="integer", description="string"
    ),
    "grep": _schema(
        "pattern",
        pattern="string",
        path="string",
        ignore_case="boolean",
        limit="integer",
        include={"type": ["string", "null"]},
    ),
    "read_file": _schema("path", path="string", offset="integer", limit="integer"),
    "todo_write": _schema("todos", todos={"type": "array", "items": _TODO}),
    "ask": _schema(
        "question",
        question="string",
        options={"type": "array", "items": {"type": "string"}},
        multiple="boolean",
    ),
    "search": _schema(
        "query",
        query="string",
        max_results="integer",
        threshold="number",
        filters={
            "type": "object",
            "properties": {
                "language": {"type": "string"},
                "since": {"type": ["string", "null"]},
            },
        },
    ),
}
CODE: Final = (
    'import re\n\n\ndef clean(text):\n    """Drop what is not a word."""\n'
    '    return re.sub(r"[^\\w\\s]", "", text)\n',
    "class Parser:\n    def __init__(self, path: str = 'a.txt') -> None:\n"
    "        self.path = path\n        self.lines = {}\n",
    'def main():\n    names = ["a", "b", "c"]\n    print(", ".join(names))\n'
    '    return {"status": "ok", "count": len(names)}\n',
    'const x = { name: "Ann", tags: ["a", \'b\'] };\nconsole.log(`${x.name}\\n`);\n',
    'export function greet(who) {\n  return "Hello, " + who + "!"; // friendly\n}\n',
    '#include <stdio.h>\n\nint main(void) {\n\tprintf("%d\\n", 1);\n\treturn 0;\n}\n',
    "# 配置文件\n名称 = '測試'\nprint(\"你好，世界\")\n",
    '<div class="box" id="main">\n  <p>It\'s {{ value }}</p>\n</div>\n',
    '{\n  "name": "demo",\n  "version": "1.0.0",\n  "scripts": {"test": "jest"}\n}\n',
    "SELECT name, 'it''s' FROM users WHERE id = 1 -- comment\n  AND active;\n",
    '[tool.ruff]\nline-length = 88\n\n[project]\nname = "demo"\n',
    'void f() {\n    std::string s = "a\\\\b";\n    if (s.empty()) { return; }\n}\n',
    "# Title\n\nA *text*, a [link](http://x.y/z?a=1&b=2) and `code`.\n\n- one\n- two\n",
    "total = 0\nfor n in range(9):\n    total += n  # None is True\nprint(total)\n",
)
LINES: Final = (
    "    return x + 1",
    'name = "value"',
    "if (a === b) { c(); }",
    "    raise ValueError(f'bad {x!r}')",
    'logger.info("done: %s", name)',
    "for i in range(3):",
    "const re = /\\d+\\.\\d*/g;",
    "价格 = 数量 * 单价",
    "}",
    "x = {'a': 1, 'b': None}",
)
COMMANDS: Final = (
    'echo "hello world" > out.txt && cat out.txt',
    "grep -rn 'TODO' src/ | head -20",
    "sed -i 's/\\bfoo\\b/bar/g' main.py",
    "find . -name '*.py' -exec wc -l {} \\;",
    'git commit -m "Fix: the \\"quoted\\" case"',
    "python -c 'print(\"a\\tb\")'",
    "curl -s -H 'Accept: application/json' 'https://x.y/api?a=1&b=2' | jq '.items[]'",
    "cd /tmp && ls -la && rm -rf build/",
    "awk -F, '{print $1, $2}' data.csv",
    'for f in *.txt; do mv "$f" "${f%.txt}.md"; done',
    "docker run --rm -v $(pwd):/app -e KEY='it is' image:latest",
    "cat <<'EOF' > a.json\n{\"a\": [1, 2]}\nEOF",
    "dir C:\\Users\\me\\docs",
)
PATTERNS: Final = (
    "\\bdef\\s+\\w+\\(",
    "^import .*$",
    "[A-Z]\\w+Error",
    "\\d{4}-\\d{2}-\\d{2}",
    "foo|bar|baz",
    "(?i)todo:?\\s*(.*)",
    "\\$\\{[^}]+\\}",
    'class="[^"]*"',
    "\\.test\\.(js|ts)x?$",
    "\\s+$",
)
PATHS: Final = (
    "src/main.py",
    "/home/me/项目/读我.md",
    "C:\\Users\\new\\table.txt",
    "D:\\data\\reports\\2024.csv",
    "docs/a file with spaces.md",
    "./lib/utils/index.test.ts",
    "/etc/nginx/sites-available/default",
    "tests/it's/a_test.py",
)
SENTENCES: Final = (
    "Fix the bug in the parser",
    'Rename "old" to "new" in all files',
    "Which option do you prefer, A or B?",
    "检查配置文件，然后运行测试",
    "It's done: see section 3.2 (page 5)",
    "Add tests [unit, integration] {all}",
    "Réécrire l'analyseur, puis vérifier",
    'He said "no, never", and left',
    "Support null, true & false // maybe",
    "🚀 Deploy the service",
    "Use a: b, c = d; e => f",
)


def calls(random: Random) -> Iterator[Call]:
    """Calls without end."""
    while True:
        name = random.choice(tuple(SCHEMAS))
        yield Call(name, SCHEMAS[name], _ARGUMENTS[name](random))


def _optional(random: Random, **members: Any) -> dict[str, Any]:
    return {name: value for name, value in members.items() if random.random() < 0.5}


def _file(random: Random) -> str:
    return "\n".join(random.choice(CODE) for _ in range(random.randint(1, 3)))


def _patch(random: Random) -> str:
    lines = [f" {random.choice(LINES)}" for _ in range(random.randint(1, 3))]
    changed = [f"-{random.choice(LINES)}", f"+{random.choice(LINES)}"]
    name = f"src/m{random.randint(1, 9)}.py"
    head = [f"--- a/{name}", f"+++ b/{name}", "@@ -1,4 +1,4 @@"]
    return "\n".join([*head, *lines, *changed, ""])


def _todos(random: Random) -> list[dict[str, Any]]:
    return [
        {
            "content": random.choice(SENTENCES),
            "status": random.choice(("pending", "in_progress", "completed")),
            **_optional(random, priority="high", id=str(at)),
        }
        for at in range(random.randint(1, 4))
    ]


_ARGUMENTS: Final[dict[str, Callable[[Random], dict[str, Any]]]] = {
    "write_file": lambda r: {"path": r.choice(PATHS), "content": _file(r)},
    "edit_file": lambda r: {
        "path": r.choice(PATHS),
        "old_string": "\n".join(r.choices(LINES, k=r.randint(1, 3))),
        "new_string": "\n".join(r.choices(LINES, k=r.randint(1, 4))),
        **_optional(r, replace_all=r.random() < 0.5),
    },
    "apply_patch": lambda r: {
        "patch": _patch(r),
        **_optional(r, strip=r.randint(0, 2)),
    },
    "bash": lambda r: {
        "command": r.choice(COMMANDS),
        **_optional(
            r, timeout=r.choice((10, 120_000)), description=r.choice(SENTENCES)
        ),
    },
    "grep": lambda r: {
        "pattern": r.choice(PATTERNS),
        **_optional(
            r,
            path=r.choice(PATHS),
            ignore_case=True,
            limit=r.randint(1, 99),
            include=None,
        ),
    },
    "read_file": lambda r: {
        "path": r.choice(PATHS),
        **_optional(r, offset=r.randint(0, 999), limit=200),
    },
    "todo_write": lambda r: {"todos": _todos(r)},
    "ask": lambda r: {
        "question": r.choice(SENTENCES),
        **_optional(r, options=r.sample(SENTENCES, 3), multiple=False),
    },
    "search": lambda r: {
        "query": r.choice(SENTENCES),
        **_optional(
            r,
            max_results=r.randint(1, 50),
            threshold=r.choice((0.5, 1.25, 1e-3)),
            filters={"language": "py", "since": None},
        ),
    },
}

# What breaks them

_TOKEN: Final = re.compile(
    r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+|\s+', re.DOTALL
)
_SHORT: Final = {"\\n": "\n", "\\t": "\t", "\\r": "\r"}


def tokens(text: str) -> list[str]:
    """The tokens of a JSON text, white space included."""
    return _TOKEN.findall(text)


def _is_string(token: str) -> bool:
    return token[:1] == '"'


def _mapped(text: str, change: Callable[[str], str]) -> str:
    return "".join(map(change, tokens(text)))


def _at_one(
    text: str, random: Random, fits: Callable[[list[str], int], bool], into: str
) -> str | None:
    """`text` with one of the tokens that fit replaced (`{}` stands for it)."""
    listed = tokens(text)
    places = [at for at in range(len(listed)) if fits(listed, at)]
    if not places:
        return None
    at = random.choice(places)
    listed[at] = into.replace("{}", listed[at])
    return "".join(listed)


def _control_characters(text: str, random: Random) -> str | None:
    def raw(token: str) -> str:
        if not _is_string(token):
            return token
        return re.sub(r"\\(.)", lambda m: _SHORT.get(m[0], m[0]), token)

    return _mapped(text, raw)


def _trailing_comma(text: str, random: Random) -> str | None:
    return _at_one(
        text, random, lambda t, at: t[at] in "}]" and t[at - 1] not in "{[", ",{}"
    )


def _python(text: str, random: Random) -> str | None:
    return repr(json.loads(text))


def _python_literals(text: str, random: Random) -> str | None:
    words = {"true": "True", "false": "False", "null": "None"}
    return _mapped(text, lambda token: words.get(token, token))


def _keys(change: Callable[[str], str]) -> Operator:
    def operator(text: str, random: Random) -> str | None:
        listed = tokens(text)
        for at, token in enumerate(listed[:-1]):
            if _is_string(token) and listed[at + 1] == ":":
                listed[at] = change(token)
        return "".join(listed)

    return operator


def _inner_quotes(text: str, random: Random) -> str | None:
    listed = tokens(text)
    places = [at for at, token in enumerate(listed) if re.search(r'(?<!\\)\\"', token)]
    if not places:
        return None
    at = random.choice(places)
    listed[at] = re.sub(r"\\(.)", lambda m: '"' if m[1] == '"' else m[0], listed[at])
    return "".join(listed)


def _single_backslashes(text: str, random: Random) -> str | None:
    return text.replace("\\\\", "\\")


def _one_single_backslash(text: str, random: Random) -> str | None:
    places = [found.start() for found in re.finditer(r"\\\\", text)]
    if not places:
        return None
    at = random.choice(places)
    return text[:at] + text[at + 1 :]


def _missing_comma(text: str, random: Random) -> str | None:
    found = re.sub(r",(?= )", ",", text)
    return _at_one(
        found,
        random,
        lambda t, at: t[at] == "," and _is_key(t, at + 2),
        random.choice(("", "\n")),
    )


def _is_key(listed: list[str], at: int) -> bool:
    return at + 1 < len(listed) and _is_string(listed[at]) and listed[at + 1] == ":"


def _comment(text: str, random: Random) -> str | None:
    comment = random.choice(
        ('{} // the, "next" {one}\n', "{} /* it's [here] */", "{} # so\n")
    )
    listed = tokens(text)
    places = [at for at, token in enumerate(listed) if token == ","]
    if not places:
        return f"{text[:-1]} // done\n}}"
    at = random.choice(places)
    listed[at] = comment.replace("{}", ",", 1)
    return "".join(listed)


def _number(text: str, random: Random) -> str | None:
    def loose(token: str) -> str:
        if re.fullmatch(r"0\.[0-9]+", token):
            return token[1:]
        return f"+{token}" if re.fullmatch(r"[1-9][0-9]*", token) else token

    return _mapped(text, loose)


def _wrapped(text: str, random: Random) -> str | None:
    name = random.choice(("arguments", "parameters", "input"))
    return f'{{"{name}": {text}}}'


def _concatenated_empty(text: str, random: Random) -> str | None:
    return "{}" + text


def _truncated(text: str, random: Random) -> str | None:
    return text[: random.randint(1, len(text) - 1)]


FRAMING: Final[dict[str, Operator]] = {
    "fenced": lambda text, _: f"```json\n{text}\n```",
    "trailing </tool_call>": lambda text, _: f"{text}</tool_call>",
    "special token behind": lambda text, _: f"{text}<|im_end|>",
    "byte order mark": lambda text, _: f"\ufeff{text}",
    "double encoded": lambda text, _: json.dumps(text, ensure_ascii=False),
    "wrapped": _wrapped,
}
LEXICAL: Final[dict[str, Operator]] = {
    "raw control characters": _control_characters,
    "trailing comma": _trailing_comma,
    "Python repr": _python,
    "Python literals": _python_literals,
    "unquoted keys": _keys(lambda key: key[1:-1]),
    "smart-quoted keys": _keys(lambda key: f"“{key[1:-1]}”"),
    "missing comma": _missing_comma,
    "comment": _comment,
    "loose numbers": _number,
    "extra final }": lambda text, _: f"{text}}}",
    "equals signs": lambda text, _: _mapped(text, lambda t: " =" if t == ":" else t),
}
ESCAPES: Final[dict[str, Operator]] = {
    "single backslashes": _single_backslashes,
    "one single backslash": _one_single_backslash,
}
STRUCTURAL: Final[dict[str, Operator]] = {
    "inner quotes": _inner_quotes,
    "missing final }": lambda text, _: text[:-1],
    "whole object twice": lambda text, _: text + text,
    "empty object in front": _concatenated_empty,
}
OPERATORS: Final[dict[str, Operator]] = {**FRAMING, **LEXICAL, **ESCAPES, **STRUCTURAL}
"""What breaks a text in one way, by its name."""
TRUNCATED: Final[Operator] = _truncated


def broken(text: str, operator: Operator, random: Random) -> str | None:
    """What `operator` makes of `text`; None where nobody could tell."""
    found = operator(text, random)
    if found is None or found == text:
        return None
    if operator in (FRAMING["double encoded"], FRAMING["wrapped"]):
        return found
    return None if is_json(found) else found


def is_json(text: str) -> bool:
    """Whether `text` is JSON; NaN is none."""
    try:
        json.loads(text, parse_constant=lambda word: word[99])
    except (ValueError, IndexError):
        return False
    return True


def same(left: object, right: object) -> bool:
    """Whether two values are the same JSON: 1 is not true, and not 1.0."""
    return json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)
