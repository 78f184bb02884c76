"""Tools, arguments and texts for the tests of virtual tools."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator
from typing import Any

from msgspec import Raw

from llmwire.filters._tool_call import Token
from llmwire.filters._tool_markup import MarkupTool, markup_tool
from llmwire.filters._tool_reader import MarkupReader
from llmwire.filters._tool_tags import Markup
from llmwire.requests import Tool


def tool(name: str, required: Iterable[str] = (), **parameters: Any) -> Tool:
    """A function with these parameters."""
    schema = {
        "type": "object",
        "properties": parameters,
        "required": list(required),
    }
    raw = Raw(json.dumps(schema).encode())
    return Tool(name=name, description=f"It is {name}.", schema=raw)


STRING = {"type": "string"}
WRITE = tool(
    "write",
    ["path", "content"],
    path=STRING,
    content={"type": "string", "description": "What to write."},
    count={"type": "integer"},
    flag={"type": ["boolean", "null"]},
    lines={"type": "array", "items": {"type": "string"}},
    either={"anyOf": [{"type": "string"}, {"type": "number"}]},
    anything={},
    write=STRING,
)
READ = tool("read", ["path"], path=STRING)
FREE = Tool(name="free", schema=Raw(b'{"type": "object"}'))
CUSTOM = Tool(name="patch", kind="custom", description="Apply a patch.")
MCP = Tool(name="mcp__srv__do_it", schema=Raw(b'{"type": "object"}'))
TOOLS = (WRITE, READ, FREE, CUSTOM, MCP)
DECLARED: tuple[MarkupTool, ...] = tuple(map(markup_tool, TOOLS))

PIECES = (
    *("<", "</", ">", "\n", "\n\n", " ", "\t", "\r\n", '"', "\\", "é", "🎈", "&lt;"),
    *("content", "<content>", "</content>", "<path>", "</path>", "</write>", "<write>"),
    *("<read>", "</read>", "</input>", "</parameter>", "</invoke>", "<invoke", "```\n"),
    *("a", "true", "5", "[1]", "null", "{}", ' encoding="json"', "</arguments>"),
    *("</function_calls>", "\u2028", "\x00"),
)
SOUP = (
    *("<write>", "<content>", "</content>", "</write>", "\n", " ", "x", "<path>", "<"),
    *("</path>", "```\n", '<invoke name="write">', '<parameter name="content">'),
    *("</parameter>", "</invoke>", "<function_calls>", "</function_calls>", "5", "{"),
    *(
        "<use_mcp_tool>",
        "<server_name>",
        "srv",
        "</server_name>",
        "<count>",
        "</count>",
    ),
    *('<write encoding="json">', '"a":', "}", "<tool_name>do_it</tool_name>", "<read>"),
    *("</use_mcp_tool>", "<arguments>{}</arguments>", "</read>", "<patch>", "</patch>"),
    *("<input>", "</input>", " " * 200),
)


def text(rng: random.Random, most: int = 6) -> str:
    """A text of what could be taken for markup."""
    return "".join(rng.choice(PIECES) for _ in range(rng.randrange(most)))


def value(rng: random.Random, depth: int = 0) -> Any:
    """Any JSON value."""
    kind = rng.randrange(9 if depth < 2 else 7)
    if kind < 4:
        return text(rng)
    if kind == 4:
        return rng.randrange(-5, 100)
    if kind == 5:
        return rng.choice((True, False, None))
    if kind == 6:
        return rng.random() * 1e9
    if kind == 7:
        return [value(rng, depth + 1) for _ in range(rng.randrange(3))]
    return {text(rng): value(rng, depth + 1) for _ in range(rng.randrange(3))}


def call(rng: random.Random, tools: tuple[MarkupTool, ...]) -> tuple[MarkupTool, str]:
    """A call of one of `tools`: the tool and the arguments."""
    chosen = rng.choice(tools)
    if chosen.custom:
        return chosen, text(rng)
    names = list(chosen.parameters)
    if not names or rng.random() < 0.1:
        names = ["x", "y z", '"', *names]
    names = rng.sample(names, rng.randrange(len(names) + 1))
    given = {name: value(rng) for name in names}
    return chosen, json.dumps(given, ensure_ascii=rng.random() < 0.5)


def read(markup: Markup, pieces: Iterable[str]) -> list[Token]:
    """What a reader makes of a text that comes in `pieces`, in normal form."""
    from llmwire.filters._tool_reader import _joined

    reader = MarkupReader(markup)
    tokens = [token for piece in pieces for token in reader.feed(piece)]
    return _joined([*tokens, *reader.finish()])


def halves(text: str) -> Iterator[list[str]]:
    """`text` in two pieces, cut at every place, and in single characters."""
    for at in range(len(text) + 1):
        yield [text[:at], text[at:]]
    yield list(text)
