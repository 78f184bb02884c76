"""Calls with keys and values in turn, `<arg_key>P</arg_key><arg_value>V</arg_value>`.

Knows the bodies of GLM 4.5 and later (`NAME`, then the pairs, on lines of their own or
not, with `\\n` as two characters in place of line feeds at times) and of Hunyuan 3
(`<tool_call>NAME<tool_sep>`, the pairs, `</tool_call>`, any number of times; every tag
maybe with a suffix, `<arg_key:opensource>`). Values are kept as they stand.

Interface: `parse(body, tools)` and `ending(closer, tools)` as `_ending` has it. The
body begins with the name, or with `<tool_call>` where that did not open the region.
"""

from __future__ import annotations

import re
from typing import Final

from llmwire.filters._call_bodies._ending import Ending
from llmwire.filters._call_bodies._found import FoundCall, Tools
from llmwire.filters._call_bodies._tag_ending import TagEnding
from llmwire.filters._call_bodies._tags import Grammar, parse_tags

__all__ = ("ending", "parse")

_BLANK: Final = r"\s|\\n"
_GAP: Final = rf"(?:{_BLANK}){{0,64}}+"
_BEHIND_NAME: Final = "(?:<tool_sep%s|(?=<arg_key)|(?=</))"
_FIRST_TAG: Final = re.compile(r"[^<]{0,256}+<\w+(:\w{1,32})?>|[^<]{1,256}+</")


def _with_suffix(suffix: str) -> Grammar:
    end = re.escape(suffix) + ">"
    return Grammar(
        call=(
            rf"(?:<tool_call{end}{_GAP})?(?P<name>[^\s<>\\{{]{{1,128}}+)"
            rf"{_GAP}(?:<tool_sep{end})?"
        ),
        parameter=(
            rf"<arg_key{end}(?P<name>[^<>]{{1,256}})</arg_key{end}{_GAP}<arg_value{end}"
        ),
        parameter_end=f"</arg_value{end}",
        call_end=f"</tool_call{end}",
        blank=_BLANK,
        implicit=True,
        again=f"<tool_call{end}{_GAP}[^<>]{{1,128}}{_BEHIND_NAME % end}",
        unescape=str.strip,
    )


def _grammar(text: str) -> Grammar | None:
    """The grammar of a body that begins with `text`."""
    tag = _FIRST_TAG.match(text)
    return _with_suffix(tag[1] or "") if tag else None


def parse(body: str, tools: Tools) -> list[FoundCall] | None:
    """The calls of `body`; None if it is anything but whole calls. Never raises."""
    grammar = _grammar(body) if "<" in body else _with_suffix("")
    return parse_tags(grammar, body, tools) if grammar else None


def ending(closer: str, tools: Tools) -> Ending:
    """Follows a body of this form; see `_ending`."""
    return TagEnding(_grammar, closer)
