"""Tests of `llmwire.filters.leaked_calls`, and of every format there is."""

from __future__ import annotations

import inspect
import random
import sysconfig
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmwire.errors import LocalProtocolError
from llmwire.filters._call_formats import chosen
from llmwire.filters._call_scanner import CallScanner, CallText
from llmwire.filters.leaked_calls import (
    CALL_FORMATS,
    FoundCall,
    callable_tools,
    find_calls,
    leaked_call_filter,
)
from llmwire.messages import Message, TextPart
from llmwire.requests import Request, Tool, ToolChoice
from tests.filters.laws import cuts
from tests.filters.leaking import (
    TOOLS,
    WRITERS,
    Call,
    calls,
    raw,
    scanned,
    scanner,
    tool,
)

SEARCH: Call = ("search", {"query": "a b", "limit": 3})
PING: Call = ("ping", {})
NESTED: Call = ("search", {"deep": {"a": [1, {"b": "]}"}]}, "tags": ["x", "{"]})
UNICODE: Call = ("write_file", {"path": "/tmp/ä", "content": "日本 🎉 é\nline 2"})
CASES: dict[str, list[Call]] = {
    "single": [SEARCH],
    "parallel": [SEARCH, PING, UNICODE],
    "empty": [PING],
    "nested": [NESTED],
    "unicode": [UNICODE],
}
OPT_IN = ("react", "plain")
AT_START = ("llama3, bare", "xlam")
EVERY = pytest.mark.parametrize("form", WRITERS)


def written(form: str, these: Sequence[Call]) -> str:
    """These calls in this form."""
    return WRITERS[form][1](these)


def reader(form: str) -> CallScanner:
    """What should read this form."""
    name = WRITERS[form][0]
    return scanner([name] if name in OPT_IN else None)


def in_text(form: str, these: Sequence[Call]) -> tuple[str, list[str]]:
    """These calls in this form in a text, and what that says otherwise."""
    before = "" if form in AT_START else "Now I do it.\n"
    after = "\nThat is all."
    return before + written(form, these) + after, [t for t in (before, after) if t]


def test_every_format_is_written() -> None:
    assert {name for name, _ in WRITERS.values()} == set(CALL_FORMATS)


@EVERY
@pytest.mark.parametrize("case", CASES)
def test_calls_are_found(form: str, case: str) -> None:
    these = CASES[case]
    assert calls(scanned([written(form, these)], reader(form))[0]) == these
    text, said = in_text(form, these)
    found, missed = scanned([text], reader(form))
    assert calls(found) == these
    assert raw(found) == text
    assert [each for each in found if isinstance(each, str) and each.strip()] == said
    assert {each.format for each in found if isinstance(each, CallText)} - {""} == {
        WRITERS[form][0]
    } or form in ("granite 3.0", "minimax 1")
    assert missed == []
    assert scanned(list(text), reader(form)) == (found, missed)


@EVERY
def test_every_split_gives_the_same(form: str) -> None:
    text, _ = in_text(form, CASES["parallel"])
    whole = scanned([text], reader(form))
    for at in range(len(text)):
        assert scanned([text[:at], text[at:]], reader(form)) == whole, at


@EVERY
def test_closing_words_in_texts_close_nothing(form: str) -> None:
    forms = chosen([WRITERS[form][0]])
    words = sorted({word for each in forms for word in each.closers})
    content = f"see {' '.join(words)} and }} ] ) \" ' end"
    these: list[Call] = [("write_file", {"path": "p", "content": content}), PING]
    text, _ = in_text(form, these)
    found, _ = scanned([text], reader(form))
    assert calls(found) == these
    assert scanned(list(text), reader(form))[0] == found


@EVERY
def test_cut_anywhere_no_call_is_made_up(form: str) -> None:
    these = CASES["parallel"]
    text, _ = in_text(form, these)
    for at in range(len(text)):
        for cut in (False, True):
            found, _ = scanned([text[:at]], reader(form), cut=cut)
            assert raw(found) == text[:at]
            made = calls(found)
            assert made == these[: len(made)]


SHOWN = ("fence", "tildes", "quote", "backticks", "thought")


@pytest.mark.parametrize(
    ("form", "name"),
    [
        (form, name)
        for form in WRITERS
        for name in SHOWN
        if name not in ("fence", "backticks") or "```" not in written(form, [SEARCH])
    ],
)
def test_calls_that_are_shown_are_not_made(form: str, name: str) -> None:
    call = written(form, [SEARCH])
    shown = {
        "fence": f"```xml\n{call}\n```",
        "tildes": f"~~~~\n{call}\n~~~~",
        "quote": "".join(f"> {line}\n" for line in call.split("\n")),
        "backticks": f"`` {call.replace(chr(10), ' ')} ``",
        "thought": f"<think>I could say\n{call}\nbut</think>",
    }[name]
    for before in ("So it looks:\n", "") if name != "thought" else ("",):
        text = f"{before}{shown}\nDone."
        assert scanned([text], reader(form))[0] == [text]
        assert scanned(list(text), reader(form))[0] == [text]


@EVERY
def test_only_declared_tools_are_called(form: str) -> None:
    text, _ = in_text(form, [SEARCH, PING])
    name = WRITERS[form][0]
    other = {"other": Tool(name="other")}
    by = scanner([name] if name in OPT_IN else None, tools=other)
    assert scanned([text], by)[0] == [text]


def openers() -> Iterator[str]:
    """Every opening word."""
    for form in chosen(None):
        for word in form.openers:
            yield word.replace("{tool}", "search")


@pytest.mark.parametrize("word", sorted(set(openers())))
def test_opening_words_in_prose_are_prose(word: str) -> None:
    for text in (
        f"Some models begin with {word} and some do not. Then `x` follows.",
        f"{word} is how it begins.",
        f"Look:\n{word}\nand so on, as {word} says.",
        f"{word}{word}\n{word}",
    ):
        found, _ = scanned([text])
        assert found == [text]
        assert scanned(list(text))[0] == [text]


ALPHABET = [
    *sorted(set(openers()), key=len)[::3],
    *(written(form, [SEARCH]) for form in list(WRITERS)[::4]),
    *('{"name": "search", ', '"arguments": {}}', "</tool_call>", "\n", " ", "`", "```"),
    *("word ", "> ", "<", "[", "</parameter>", "<think>", "</think>", ";", "</s>"),
]


@settings(max_examples=150)
@given(st.data(), st.lists(st.sampled_from(ALPHABET), max_size=9).map("".join))
def test_any_split_of_any_text(data: st.DataObject, text: str) -> None:
    limit = data.draw(st.sampled_from((40, 60, 100_000)))
    whole, missed = scanned([text], scanner(limit=limit))
    assert raw(whole) == text
    pieces = data.draw(cuts(text))
    assert scanned(pieces, scanner(limit=limit)) == (whole, missed)


@pytest.mark.parametrize("text", ["x\n</too>", "<function=ping>\n</function>"])
def test_a_limit_does_not_depend_on_the_pieces(text: str) -> None:
    text = f"<|tool_call_section_begin|>a>p</arg_<tool_call>{text}" + "b" * 80
    for limit in range(1, 90):
        whole = scanned([text], scanner(limit=limit))
        assert scanned(list(text), scanner(limit=limit)) == whole


@settings(max_examples=100)
@given(st.text(st.characters(), max_size=60))
def test_any_text_at_all(text: str) -> None:
    assert raw(scanned([text])[0]) == text
    assert raw(scanned(list(text))[0]) == text


@cache
def documents() -> list[str]:
    """Sources, and what the docstrings in them say, of this Python."""
    folder = Path(sysconfig.get_path("stdlib"))
    files = sorted(folder.glob("*.py"))
    texts = [file.read_text("utf-8", "replace")[:20_000] for file in files]
    for name in ("json", "re", "ast", "subprocess", "typing", "dataclasses", "shlex"):
        texts.append(inspect.getdoc(import_module(name)) or name)
    root = Path(__file__).resolve().parent.parent.parent
    texts += [file.read_text("utf-8") for file in sorted(root.glob("docs/**/*.md"))]
    return texts


COMMON = {
    name: tool(name, path="string", value="string", text="string")
    for name in ("print", "open", "search", "get", "run", "f", "code", "list", "main")
}
"""Tools with names that stand in any source."""


def test_what_is_no_call() -> None:
    texts = documents()
    assert len(texts) > 200
    for text in texts:
        assert scanned([text], scanner(tools=COMMON))[0] == [text]


def test_texts_that_talk_of_calls() -> None:
    told = 0
    source = random.Random(7)
    for form in WRITERS:
        call = written(form, [SEARCH])
        line = call.replace("\n", " ")
        texts = [
            f"Such a call is written ``{line}`` by the model.",
            f"1. It begins so:\n\n   > {line}\n\n2. It ends there.",
            f"An example:\n\n~~~text\n{call}\n~~~\n\nNote the end.",
            f"I would say: {call[: source.randrange(1, call.index('a b'))]}",
            f"Not {call.replace('search', 'other_tool')}, though.",
        ]
        for text in texts:
            assert scanned([text])[0] == [text]
            told += 1
    assert told > 200


class TestFindCalls:
    """Without a stream."""

    def test_pieces(self) -> None:
        text = 'One.\n<tool_call>{"name": "ping", "arguments": {}}</tool_call> Two.'
        found = find_calls(text, TOOLS)
        assert found == ("One.\n", FoundCall("ping", "{}"), " Two.")

    def test_ids_of_a_format(self) -> None:
        (found, *_) = find_calls(written("kimi-k2", [PING]), TOOLS)
        assert found == FoundCall("ping", "{}", "functions.ping:0")

    def test_formats_can_be_chosen(self) -> None:
        text = written("hermes", [PING])
        assert find_calls(text, TOOLS, ["mistral"]) == (text,)
        assert calls(find_calls(text, TOOLS, ["hermes"])) == [PING]
        text = written("plain", [PING])
        assert find_calls(text, TOOLS) == (text,)
        assert calls(find_calls(text, TOOLS, ["plain"])) == [PING]

    def test_a_call_has_a_limit(self) -> None:
        text = written("hermes", [SEARCH])
        size = len(text) - len("<tool_call>")
        assert calls(find_calls(text, TOOLS, limit=size)) == [SEARCH]
        assert find_calls(text, TOOLS, limit=size - 1) == (text,)

    def test_several_texts_are_joined(self) -> None:
        text = "<tool_call> no <tool_call> call"
        assert find_calls(text, TOOLS) == (text,)

    @pytest.mark.parametrize("wrong", [{"formats": ["morse"]}, {"limit": 0}])
    def test_options_are_checked(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(LocalProtocolError):
            find_calls("", TOOLS, **wrong)
        with pytest.raises(LocalProtocolError):
            leaked_call_filter(**wrong)


class TestFactory:
    """For which requests there is something to do."""

    TOOLS = (
        Tool(name="f"),
        Tool(name="g"),
        Tool(name="c", kind="custom"),
        Tool(name="s", kind="server"),
    )
    SAID = (Message(role="user", parts=(TextPart("Hi"),)),)

    def request(self, choice: ToolChoice | None = None, **fields: Any) -> Request:
        given = {"tools": self.TOOLS, **fields}
        return Request(model="m", messages=self.SAID, tool_choice=choice, **given)

    def test_functions_are_callable(self) -> None:
        assert [*callable_tools(self.request())] == ["f", "g"]
        only = ToolChoice(mode="required", names=("g",), kind="allowed")
        assert [*callable_tools(self.request(only))] == ["g"]
        assert leaked_call_filter()(self.request()) is not None

    def test_without_functions_there_is_no_filter(self) -> None:
        make = leaked_call_filter()
        assert make(self.request(tools=())) is None
        assert make(self.request(tools=self.TOOLS[2:])) is None
        assert make(self.request(ToolChoice(mode="none"))) is None


N = "]<]minimax[>["
MORE = {
    "minimax 3": (
        f'{N}<tool_call>\n{N}<invoke name="search">{N}<query>a b{N}</query>{N}</invoke>'
        f"\n{N}</tool_call>",
        [("search", {"query": "a b"})],
    ),
    "hunyuan, suffixed": (
        "<tool_calls:opensource><tool_call:opensource>search<tool_sep:opensource>"
        "<arg_key:opensource>query</arg_key:opensource>"
        "<arg_value:opensource>a b</arg_value:opensource>"
        "</tool_call:opensource></tool_calls:opensource>",
        [("search", {"query": "a b"})],
    ),
    "llama3, built in": (
        '<|python_tag|>search.call(query="a b")',
        [("search", {"query": "a b"})],
    ),
    "gigachat, stripped": (
        'function call{"name": "ping", "arguments": {}}',
        [PING],
    ),
    "deepseek, escaped": (
        "<|tool\\_calls\\_begin|><|tool\\_call\\_begin|>ping<|tool\\_sep|>{}"
        "<|tool\\_call\\_end|><|tool\\_calls\\_end|>",
        [PING],
    ),
    "kimi-k2, one section": (
        "<|tool_call_section_begin|><|tool_call_begin|>functions.ping:3"
        "<|tool_call_argument_begin|>{}<|tool_call_end|><|tool_call_section_end|>",
        [PING],
    ),
    "cline, MCP": (
        "<use_mcp_tool>\n<server_name>x</server_name>\n<tool_name>ping</tool_name>\n"
        "<arguments>\n{}\n</arguments>\n</use_mcp_tool>",
        [PING],
    ),
    "harmony, stripped": ("to=functions.ping<|channel|>commentary{}", [PING]),
    "claude, alone and prefixed": (
        '<atem:invoke name="search">\n<atem:parameter name="query">a b</atem:parameter>'
        "\n</atem:invoke>",
        [("search", {"query": "a b"})],
    ),
}


@pytest.mark.parametrize("name", MORE)
def test_rarer_forms(name: str) -> None:
    text, these = MORE[name]
    found = scanned([text])
    assert calls(found[0]) == these
    for at in range(len(text)):
        assert scanned([text[:at], text[at:]]) == found
        assert raw(scanned([text[:at]], cut=True)[0]) == text[:at]


def test_react_with_a_text() -> None:
    tools = {"look": tool("look", query="string")}
    text = "Action: look\nAction Input: two words\nObservation: done"
    found, _ = scanned([text], scanner(["react"], tools=tools))
    assert calls(found) == [("look", {"query": "two words"})]
    assert found[-1] == " done"
    open_ended = text.removesuffix("\nObservation: done")
    assert scanned([open_ended], scanner(["react"], tools=tools))[0] == [open_ended]


def test_every_format_is_documented() -> None:
    root = Path(__file__).resolve().parent.parent.parent
    page = (root / "docs" / "filters" / "leaked_calls.md").read_text("utf-8")
    assert [name for name in CALL_FORMATS if f"`{name}`" not in page] == []
    assert f"{len(WRITERS)} with their variants" in page
