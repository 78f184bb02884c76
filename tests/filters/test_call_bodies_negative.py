"""Documents that hold no call: prose, pages, templates, programs, of this machine."""

from __future__ import annotations

import sysconfig
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

from llmwire.filters._call_bodies import (
    arg_keys,
    attributes,
    gemma,
    pythonic,
    xml_parameters,
)
from tests.filters.call_bodies import TOOLS, end_of, tool

ROOT = Path(__file__).resolve().parents[2]
ENDINGS = (
    ".md",
    ".html",
    ".xml",
    ".js",
    ".css",
    ".txt",
    ".py",
    ".rst",
    ".pyi",
    ".toml",
)
LARGEST = 40_000
WANTED = 200

TOOLS_OF_AGENTS = {
    **TOOLS,
    **{
        name: tool(name)
        for name in (
            "bash",
            "read_file",
            "write_to_file",
            "search_files",
            "execute_command",
            "list_files",
            "fetch",
        )
    },
}


def _candidates() -> Iterator[Path]:
    yield from sorted((ROOT / "docs").rglob("*.md"))
    yield from sorted((ROOT / "llmwire").rglob("*.py"))[:20]
    packages = Path(sysconfig.get_path("purelib"))
    for ending in ENDINGS:
        yield from sorted(packages.rglob(f"*{ending}"))[:30]


@cache
def documents() -> tuple[str, ...]:
    found: list[str] = []
    for path in _candidates():
        if path.suffix in ENDINGS and path.stat().st_size <= LARGEST:
            found.append(path.read_text(encoding="utf-8", errors="replace"))
    return tuple(found)


MODULES = (arg_keys, attributes, gemma, pythonic, xml_parameters)


def test_there_are_enough_documents() -> None:
    assert len(documents()) >= WANTED


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_no_document_is_a_call(module: ModuleType) -> None:
    for text in documents():
        assert module.parse(text, TOOLS_OF_AGENTS) is None
        end = end_of(module.ending("", TOOLS_OF_AGENTS), text, [])
        assert end is None or module.parse(text[:end], TOOLS_OF_AGENTS) is None


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_no_paragraph_is_a_call(module: ModuleType) -> None:
    for text in documents():
        for paragraph in text.split("\n\n"):
            assert module.parse(paragraph, TOOLS_OF_AGENTS) is None


TALK = (
    "Use <function=NAME> and <parameter=P> to call a tool, then </function>.",
    "<function=write> opens a call of write, and </function> closes it.",
    "`<tool_call>` is followed by `write` and `<arg_key>text</arg_key>`.",
    "[write(text=...)] calls it.",
    "write(text='a') writes a.",
    "write(text=text)",
    'f = write(text="a")',
    "[write]",
    '[write(text="a"), and so on]',
    "# write(text='a')",
    "<write> is a tag, </write> too.",
    "<write>\n  <h1>Title</h1>\n</write>",
    "<write onClick={() => write()} />",
    "<write>{items.map((each) => <li>{each}</li>)}</write>",
    '<invoke name="NAME"><parameter name="P">V</parameter></invoke>',
    '<invoke name="write"> … </invoke>',
    "<invoke>write</invoke>",
    '<function name="write">does</function>',
    "call:write",
    "call:write{…}",
    "<text>a</text>",
    "<use_mcp_tool>\n<server_name>server name here</server_name>\n</use_mcp_tool>",
    "<|open|>call<|sep|> opens a call.",
)


@pytest.mark.parametrize("text", TALK)
@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_talk_of_calls_is_no_call(module: ModuleType, text: str) -> None:
    assert module.parse(text, TOOLS_OF_AGENTS) is None
