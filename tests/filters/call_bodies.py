"""What the tests of bodies of calls share: tools, arguments, splits, counting."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

from hypothesis import strategies as st
from msgspec import Raw

from llmwire.filters._call_bodies._ending import Ending
from llmwire.filters._call_bodies._found import FoundCall
from llmwire.requests import Tool

SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {
        "text": {"type": "string"},
        "content": {"type": "string"},
        "count": {"type": "integer"},
        "ratio": {"type": "number"},
        "flag": {"type": "boolean"},
        "deep": {"type": "object"},
        "items": {"type": "array"},
        "maybe": {"type": ["integer", "null"]},
        "anything": {},
    },
}


def tool(name: str, schema: object = SCHEMA) -> Tool:
    return Tool(name=name, schema=Raw(json.dumps(schema).encode()))


TOOLS: Final = {
    "look_up": tool("look_up"),
    "write": tool("write"),
    "one": tool("one", {"type": "object", "properties": {"only": {"type": "string"}}}),
    "free": Tool(name="free"),
}


def plain(calls: Sequence[FoundCall] | None) -> list[tuple[str, Any]] | None:
    """Names and arguments."""
    if calls is None:
        return None
    return [(call.name, json.loads(call.arguments)) for call in calls]


def lenient(calls: Sequence[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """`calls` as tests compare them, numbers by their value."""
    return [(name, json.loads(json.dumps(dict(given)))) for name, given in calls]


_WORDS: Final = st.sampled_from(
    [
        "\n",
        "<",
        ">",
        "</",
        "<b>",
        "</b>",
        '"',
        "'",
        "\\",
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "null",
        "3",
        "True",
        " ",
        "é",
        "🦉",
        "\u2028",
        "```",
        "#",
        "&amp;",
        "=",
        "(",
        ")",
        "<function=look_up>",
        "</function>",
        "</invoke>",
        "</tool_call>",
        "</write>",
    ]
)
TEXTS: Final = st.lists(_WORDS | st.text(max_size=3), max_size=6).map("".join)
_NUMBERS: Final = st.integers(-(2**60), 2**60) | st.floats(
    allow_nan=False, allow_infinity=False
)
VALUES: Final = st.recursive(
    st.none() | st.booleans() | _NUMBERS | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("abc_", min_size=1, max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


def arguments(texts: st.SearchStrategy[str] = TEXTS) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries(
        {},
        optional={
            "text": texts,
            "content": texts,
            "count": st.integers(-(2**60), 2**60),
            "ratio": _NUMBERS,
            "flag": st.booleans(),
            "deep": st.dictionaries(
                st.text("abc_", min_size=1, max_size=3), VALUES, max_size=2
            ),
            "items": st.lists(VALUES, max_size=2),
            "maybe": st.none() | st.integers(0, 9),
        },
    )


def calls(
    texts: st.SearchStrategy[str] = TEXTS, most: int = 3
) -> st.SearchStrategy[list[tuple[str, Any]]]:
    names = st.sampled_from(["look_up", "write"])
    return st.lists(st.tuples(names, arguments(texts)), min_size=1, max_size=most)


def end_of(ending: Ending, text: str, cuts: Sequence[int]) -> int | None:
    """Where the body ends by `ending`, fed in pieces."""
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    for begin, stop in pairwise(places):
        found = ending.feed(text[begin:stop])
        if found is not None:
            return found
    return ending.finish()


HOSTILE_TEXTS: Final = st.lists(
    st.sampled_from([*"'\"\\[]{},:0123.eExuUN_-+ \n", "None", "true", "'''"]),
    max_size=20,
).map("".join)
