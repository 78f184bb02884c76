"""Tests of `llmwire.filters._tool_reader`."""

from __future__ import annotations

import json
import random
import re
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmwire.filters import _tool_call
from llmwire.filters._tool_call import Arguments, CallEnd, CallStart, Token
from llmwire.filters._tool_markup import MarkupTool, markup_tool, syntax_of
from llmwire.filters._tool_reader import MarkupReader
from llmwire.filters._tool_tags import Markup
from llmwire.filters._tool_values import TEXT
from tests import counting
from tests.filters.calling import DECLARED, SOUP, halves, read, tool
from tests.filters.laws import cuts, texts_of

TAGS = Markup(DECLARED, syntax_of("cline"))
INVOKE = Markup(DECLARED, syntax_of("function_calls"))
BOTH = pytest.mark.parametrize("markup", [TAGS, INVOKE], ids=["tags", "invoke"])
HELD = 256 + 3 * 64


def calls(tokens: list[Token]) -> list[str]:
    """The calls among `tokens`, as `name(arguments)`, with a `…` if they broke off."""
    said: list[str] = []
    for token in tokens:
        if isinstance(token, CallStart):
            said.append(f"{token.name}(")
        elif isinstance(token, Arguments):
            said[-1] += token.text
        elif isinstance(token, CallEnd):
            said[-1] += ")" if token.complete else "…"
    return said


def texts(tokens: list[Token]) -> list[str]:
    return [token for token in tokens if isinstance(token, str)]


@BOTH
@given(st.data(), texts_of(SOUP, 20))
def test_any_split_means_the_same(
    markup: Markup, data: st.DataObject, text: str
) -> None:
    whole = read(markup, [text])
    assert read(markup, data.draw(cuts(text))) == whole
    assert read(markup, text) == whole


@BOTH
@given(texts_of(SOUP, 20))
def test_text_stays_in_order_and_calls_are_whole_sentences(
    markup: Markup, text: str
) -> None:
    tokens = read(markup, [text])
    at = 0
    for said in texts(tokens):
        at = text.index(said, at) + len(said)
    inside = False
    for token in tokens:
        assert isinstance(token, Arguments | CallEnd) == inside or isinstance(
            token, CallStart | str
        )
        inside = (inside or isinstance(token, CallStart)) and not isinstance(
            token, CallEnd
        )
    assert not inside
    if not calls(tokens):
        assert "".join(texts(tokens)) == text


@BOTH
@given(texts_of(SOUP, 20))
def test_complete_calls_are_json_and_others_are_not(markup: Markup, text: str) -> None:
    for call in calls(read(markup, [text])):
        name, _, arguments = call.partition("(")
        if name == "patch":
            continue
        if call.endswith(")"):
            assert isinstance(json.loads(arguments[:-1]), dict)
        else:
            with pytest.raises(ValueError, match=r"."):
                json.loads(arguments[:-1])


@BOTH
@given(texts_of(SOUP, 20))
def test_little_is_held(markup: Markup, text: str) -> None:
    reader = MarkupReader(markup)
    for letter in text:
        reader.feed(letter)
        assert reader.held <= HELD + 256
    reader.finish()
    assert reader.held == 0
    assert reader.finish() == []
    assert MarkupReader(markup).feed("") == []


@BOTH
@given(texts_of(SOUP, 20), st.integers(0, 99))
def test_what_was_given_is_never_taken_back(
    markup: Markup, text: str, size: int
) -> None:
    """What a beginning of the text gives is how the whole begins."""
    reader = MarkupReader(markup)
    given = _flat(reader.feed(text[:size]))
    assert _flat(read(markup, [text])).startswith(given)


def _flat(tokens: list[Token]) -> str:
    return "".join(
        token
        if isinstance(token, str)
        else token.text
        if isinstance(token, Arguments)
        else repr(token)
        for token in tokens
    )


@pytest.mark.parametrize(
    ("text", "said", "called"),
    [
        # Where a call may begin.
        ("<read><path>a</path></read>", [], ['read({"path":"a"})']),
        ("x\n  <read><path>a</path></read>", ["x\n  "], ['read({"path":"a"})']),
        ("x <read><path>a</path></read>", ["x <read><path>a</path></read>"], []),
        ("`<read><path>a</path></read>`", ["`<read><path>a</path></read>`"], []),
        ("> <read><path>a</path></read>", ["> <read><path>a</path></read>"], []),
        (
            "```xml\n<read><path>a</path></read>\n```\n<read></read>",
            ["```xml\n<read><path>a</path></read>\n```\n"],
            ["read({})"],
        ),
        ("<read> is a tool", ["<read> is a tool"], []),
        ("<READ><path>a</path></READ>", ["<READ><path>a</path></READ>"], []),
        ("<reader><path>", ["<reader><path>"], []),
        ("<read" + " " * 300 + ">", ["<read" + " " * 300 + ">"], []),
        ("<read>" + " " * 256 + "</read>", [], ["read({})"]),
        (
            "<read>" + " " * 257 + "</read>",
            ["<read>" + " " * 257 + "</read>"],
            [],
        ),
        # Several calls, and white space between them.
        (
            " \n<read></read><read></read>\n\n<read></read>\n",
            [],
            ["read({})"] * 3,
        ),
        ("<read></read> x <read></read>", [" x <read></read>"], ["read({})"]),
        ("\n \n", ["\n \n"], []),
        ("<read></read>" + " " * 257, [" " * 257], ["read({})"]),
        # Where a value ends.
        (
            "<read><path></path></path></read>",
            [],
            ['read({"path":"</path>"})'],
        ),
        (
            "<read><path>a</path> b</path>\n</read>",
            [],
            ['read({"path":"a</path> b"})'],
        ),
        (
            "<write><content><path>x</path></content><path>p</path></write>",
            [],
            ['write({"content":"<path>x</path>","path":"p"})'],
        ),
        (
            "<write><path>p</path><path>q</path></write>",
            [],
            ['write({"path":"p</path><path>q"})'],
        ),
        (
            "<write><path>p</path><other>q</other></path></write>",
            [],
            ['write({"path":"p</path><other>q</other>"})'],
        ),
        ("<write><write>x</write></write>", [], ['write({"write":"x"})']),
        ("<read><path>\n\n a \n\n</path></read>", [], ['read({"path":"\\n a \\n"})']),
        ("<read><path>\n</path></read>", [], ['read({"path":""})']),
        # Types.
        ("<write><count> 5\n</count></write>", [], ['write({"count":5})']),
        ("<write><count>5 or 6</count></write>", [], ['write({"count":"5 or 6"})']),
        (
            '<write><count encoding="json"> "5" </count></write>',
            [],
            ['write({"count":"5"})'],
        ),
        ('<write><path encoding="json">a</path></write>', [], ['write({"path":"a"})']),
        ('<free encoding="json">\n{"a": 1}\n</free>', [], ['free({"a": 1})']),
        ('<free encoding="json">[1]</free>', ['<free encoding="json">[1]</free>'], []),
        ('<free encoding="json">{"a"}</free>', [], ['free({"a"}…']),
        # Free text.
        ("<patch><input>\na\n</input></patch>", [], ["patch(a)"]),
        ('<patch><input encoding="json">"a\\n"</input></patch>', [], ["patch(a\n)"]),
        ('<patch><input encoding="json">5</input></patch>', [], ["patch(5)"]),
        ("<patch></patch>", [], ["patch()"]),
        # What breaks off.
        ("<read", ["<read"], []),
        ("<read>\n", ["<read>\n"], []),
        ("<read><path>", [], ['read({"path":"…']),
        ("<read><path>\na\n", [], ['read({"path":"a\\n…']),
        ("<read><path>a</path>", [], ['read({"path":"a</path>…']),
        ("<write><count>5", [], ['write({"count":5…']),
        ("<write><path>a</path><count>5</count>", [], None),
        ("<patch><input>a", [], ["patch(a…"]),
        ('<patch><input encoding="json">"a', [], ['patch("a…']),
        ('<free encoding="json">{"a":1}', [], ['free({"a":1…']),
        ('<free encoding="json">{"a":', [], ['free({"a":…']),
        # The tools of servers.
        (
            "<use_mcp_tool><server_name>srv</server_name><tool_name>do_it</tool_name>"
            '<arguments>\n{"a": 1}\n</arguments></use_mcp_tool> b',
            [" b"],
            ['mcp__srv__do_it({"a": 1})'],
        ),
        (
            "<use_mcp_tool><server_name>srv</server_name><tool_name>do_it</tool_name>"
            "</use_mcp_tool>",
            [],
            ["mcp__srv__do_it({})"],
        ),
        (
            "<use_mcp_tool><server_name>srv</server_name><tool_name>do_it</tool_name>"
            "<arguments>{a: 1}</arguments></use_mcp_tool>",
            [],
            ["mcp__srv__do_it({a: 1}…"],
        ),
        (
            "<use_mcp_tool>\n<server_name>other</server_name></use_mcp_tool>\n<x>",
            ["<use_mcp_tool>\n<server_name>other</server_name></use_mcp_tool>\n<x>"],
            [],
        ),
        (
            "a\n<use_mcp_tool>\n<server_name>sr</server_na",
            ["a\n<use_mcp_tool>\n<server_name>sr</server_na"],
            [],
        ),
    ],
)
def test_tags(text: str, said: list[str], called: list[str] | None) -> None:
    if called is None:
        called = ['write({"path":"a","count":5</count>…']
    for pieces in halves(text):
        tokens = read(TAGS, pieces)
        assert (texts(tokens), calls(tokens)) == (said, called)


_INVOKED = '<invoke name="read">\n<parameter name="path">a</parameter>\n</invoke>'


@pytest.mark.parametrize(
    ("text", "said", "called"),
    [
        (_INVOKED, [], ['read({"path":"a"})']),
        (
            f"x\n<function_calls>\n{_INVOKED}\n{_INVOKED}\n</function_calls>\ny",
            ["x\n", "\ny"],
            ['read({"path":"a"})'] * 2,
        ),
        (
            f"<function_calls>{_INVOKED}</function_calls>\n</function_calls>",
            ["\n</function_calls>"],
            ['read({"path":"a"})'],
        ),
        (
            f"<function_calls>{_INVOKED} x </function_calls>",
            [" x </function_calls>"],
            ['read({"path":"a"})'],
        ),
        ("<function_calls>\nx", ["<function_calls>\nx"], []),
        ("<function_calls>\n<invoke", ["<function_calls>\n<invoke"], []),
        ("<function_calls>\n", ["<function_calls>\n"], []),
        ('<invoke name="other">', ['<invoke name="other">'], []),
        (
            '<invoke name="mcp__srv__do_it" encoding="json">\n{"a": 1}\n</invoke>',
            [],
            ['mcp__srv__do_it({"a": 1})'],
        ),
        (
            '<invoke name="read"><parameter name="path">a</parameter>b</parameter>'
            "</invoke>",
            [],
            ['read({"path":"a</parameter>b"})'],
        ),
    ],
)
def test_invocations(text: str, said: list[str], called: list[str]) -> None:
    for pieces in halves(text):
        tokens = read(INVOKE, pieces)
        assert (texts(tokens), calls(tokens)) == (said, called)


def test_the_tool_that_calls_servers_may_be_declared_too() -> None:
    parameters = dict.fromkeys(("server_name", "tool_name", "arguments"), TEXT)
    declared = (*DECLARED, MarkupTool("use_mcp_tool", parameters))
    markup = Markup(declared, syntax_of("kilo"))
    text = (
        "<use_mcp_tool><server_name>other</server_name><tool_name>t</tool_name>"
        "<arguments>{}</arguments></use_mcp_tool>"
    )
    told = '{"server_name":"other","tool_name":"t","arguments":{}}'
    assert calls(read(markup, text)) == [f"use_mcp_tool({told})"]


def test_no_tools_no_calls() -> None:
    for format in ("cline", "function_calls"):
        markup = Markup((), syntax_of(format))
        text = f"<function_calls>{_INVOKED}</function_calls>"
        assert read(markup, [text]) == read(markup, text) == [text]


class TestLongValues:
    """What would have to wait for too long."""

    LONG = "x" * 100

    @pytest.fixture(autouse=True)
    def _few(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_tool_call, "MOST_WAITING", 50)

    def test_they_are_strings(self) -> None:
        text = f'<write><lines>["{self.LONG}"\n]\n</lines><path>p</path></write>'
        for pieces in ([text], text):
            tokens = read(TAGS, pieces)
            value = json.loads(calls(tokens)[0][len("write(") : -1])
            assert value == {"lines": f'["{self.LONG}"\n]', "path": "p"}
            assert tokens[-1] == CallEnd(True, long=True)

    def test_whole_arguments_are_never_complete(self) -> None:
        text = f'<free encoding="json">{{"a": "{self.LONG}"}}</free>'
        for pieces in ([text], text):
            tokens = read(TAGS, pieces)
            assert calls(tokens) == [f'free({{"a": "{self.LONG}"}}…']
            assert tokens[-1] == CallEnd(False, long=True)

    def test_free_text(self) -> None:
        text = f'<patch><input encoding="json">"{self.LONG}"</input></patch>'
        for pieces in ([text], text):
            assert calls(read(TAGS, pieces)) == [f'patch("{self.LONG}")']

    def test_calls_of_servers_are_text(self) -> None:
        text = (
            f"<use_mcp_tool><server_name>{self.LONG}</server_name></use_mcp_tool>\n"
            "<read></read>"
        )
        for pieces in ([text], text):
            tokens = read(TAGS, pieces)
            assert texts(tokens) == [text.removesuffix("<read></read>")]
            assert calls(tokens) == ["read({})"]


def test_twice_the_text_is_twice_the_work() -> None:
    shapes = (
        "<", "<read>", "<read> ", "</path>", "\n<read>\n", "\n<", " ", "```\n", "<a>\n",
    )  # fmt: skip
    for opening in ("", "<read><path>", "<write><lines>", '<free encoding="json">{'):
        for shape in shapes:
            few, some, many = (_steps(opening + shape * n) for n in (500, 1000, 2000))
            assert many - some <= 2.3 * (some - few) + 500, (opening, shape)


def _steps(text: str) -> int:
    """The calls of functions, Python's and built-in, with the length of what is cut."""
    reader = MarkupReader(TAGS)
    return counting.calls(lambda: (reader.feed(text), reader.finish()))


NEGATIVE = (
    "To read a file call `read` with <path>a</path> inside <read>.",
    "Use <read>\n<file>a</file>\n</read>, not this.",
    "<read>\nA paragraph of prose.\n</read>",
    "<write>\n  <p>HTML</p>\n</write>",
    "<read path='a.py' />\n<read path='b.py'></read>",
    "<path>a.py</path>\n<content>x</content>",
    "return (\n  <write onClick={go}>\n    <content>x</content>\n  </write>\n)",
    "function A() {\n  return <read><path>a</path></read>;\n}",
    "```\n<read>\n<path>a</path>\n</read>\n```",
    "~~~xml\n<read>\n<path>a</path>\n</read>\n~~~",
    "> <read>\n> <path>a</path>\n> </read>",
    "- <read><path>a</path></read>",
    '<?xml version="1.0"?>\n<reads>\n<read id="1"><path>a</path></read>\n</reads>',
    "&lt;read&gt;\n&lt;path&gt;a&lt;/path&gt;\n&lt;/read&gt;",
    "1. `<read>`\n2. `<path>`\n",
    "<Read>\n<path>a</path>\n</Read>",
    "<ns:read>\n<path>a</path>\n</ns:read>",
    "< read >\n< path >a",
    "<read><!-- <path>a</path> --></read>",
    "<use_mcp_tool> calls a tool of a server.",
    '<invoke name="x">\n<parameter name="y">',
    "<function_calls> is a tag.\n<function_calls></function_calls>",
)


@pytest.mark.parametrize("markup", [TAGS, INVOKE], ids=["tags", "invoke"])
@pytest.mark.parametrize("text", NEGATIVE)
def test_texts_about_tools_are_text(markup: Markup, text: str) -> None:
    for pieces in halves(text):
        assert read(markup, pieces) == [text]


def _documents() -> Iterator[str]:
    """Documents of markup and of prose that this machine has."""
    roots = (Path(__file__).parents[2], Path(sys.prefix), Path("/usr/share"))
    kinds = (".html", ".xml", ".svg", ".md", ".rst", ".tsx", ".jsx", ".xhtml", ".htm")
    for root in roots:
        found = (path for path in root.rglob("*") if path.suffix in kinds)
        for path in islice(found, 150):
            if path.is_file() and path.stat().st_size < 200_000:
                yield path.read_text("utf-8", "replace")


def test_documents_are_text() -> None:
    """With tools and parameters that have the names of their own elements."""
    documents = list(islice(_documents(), 200))
    if len(documents) < 200:
        pytest.skip(f"{len(documents)} documents are found, 200 are wanted")
    names = ["read_file", "write_to_file", "search", "execute_command", "ask", "code"]
    declared = [
        markup_tool(
            tool(name, path={"type": "string"}, content={}, query={}, command={})
        )
        for name in names
    ]
    for format in ("cline", "function_calls"):
        markup = Markup(declared, syntax_of(format))
        for text in documents:
            pieces = re.findall(r".{1,37}", text, re.DOTALL)
            assert read(markup, pieces) == ([text] if text else [])


def test_random_cuts_of_random_calls() -> None:
    rng = random.Random(3)
    for _ in range(300):
        text = "".join(rng.choice(SOUP) for _ in range(rng.randrange(30)))
        whole = read(TAGS, [text])
        places = sorted(rng.randrange(len(text) + 1) for _ in range(4))
        pieces = [
            text[a:b] for a, b in zip((0, *places), (*places, len(text)), strict=True)
        ]
        assert read(TAGS, pieces) == whole
