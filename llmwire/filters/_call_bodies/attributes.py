"""Calls as elements whose names are attributes: `<invoke name="N">` and its kin.

Knows three grammars, told apart by the first tag of a body:

- `<invoke name="N">`, `<parameter name="P">V</parameter>`, `</invoke>` (MiniMax M2,
  Claude), each maybe with a prefix in front of the tag's name: a namespace
  (`steptml:`, Step 3) or a mark (`｜DSML｜`, DeepSeek; `｜GCML｜`, GigaChat). There a
  parameter may say `string="true"`, its text is a string, or `"false"`, it is JSON. A
  call may close at once, `<invoke name="N"/>`, or hold one object with all its
  arguments;
- `<invoke name="N">`, `<P>V</P>`, `</invoke>` (MiniMax M3);
- `<|open|>call tool="N"<|sep|>`, `<|open|>argument key="P" type="T"<|sep|>V
  <|close|>argument<|sep|>`, `<|close|>call<|sep|>` (Kimi K3), `name` for `tool` too,
  or one object in `<|open|>json<|sep|>`; attributes hold `&quot;` and `&amp;`.

The tokens `]<]minimax[>[`, and those of Step 3 around a call, may stand between tags.
Values are kept as they stand.

Interface: `parse(body, tools)` and `ending(closer, tools)` as `_ending` has it. The
body begins with `<invoke` and the like, or such a token; what stands around several
calls is left out.
"""

from __future__ import annotations

import re
from typing import Final

from llmwire.filters._call_bodies._ending import Ending
from llmwire.filters._call_bodies._found import FoundCall, Tools
from llmwire.filters._call_bodies._tag_ending import TagEnding
from llmwire.filters._call_bodies._tags import ATTRIBUTE, Grammar, parse_tags

__all__ = ("ending", "parse")

_TOKEN: Final = "]<]minimax[>["
_MINIMAX: Final = re.escape(_TOKEN)
_NOISE: Final = (
    rf"\s|{_MINIMAX}|<｜tool_call_begin｜>|function<｜tool_sep｜>|<｜tool_call_end｜>"
)
_PREFIX: Final = r"(?:｜{1,2}[A-Z]{1,16}｜{1,2}|[A-Za-z][\w-]{0,31}:)?"
_FIRST_TAG: Final = re.compile(
    rf"(?:{_NOISE})*+<(?P<prefix>{_PREFIX})invoke\s{{1,16}}name=[^<>]{{1,256}}?(?P<empty>/)?>"
    rf"(?:{_NOISE})*+(?:</?(?P<next>[^\s<>]{{1,200}})(?=[\s>])|(?P<object>\{{))?"
)
_BARE: Final = Grammar(
    call=rf'<invoke\s{{1,16}}name="(?P<name>{ATTRIBUTE})"\s{{0,16}}(?P<empty>/)?>',
    parameter=r"<(?P<name>[A-Za-z_][\w.:-]{0,127})>",
    parameter_end=rf"(?:{_MINIMAX})?</(?!invoke>|tool_call>)NAME>",
    call_end="</invoke>",
    blank=_NOISE,
    named_ends=True,
)


def _with_prefix(prefix: str) -> Grammar:
    mark = re.escape(prefix)
    return Grammar(
        call=(
            rf'<{mark}invoke\s{{1,16}}name="(?P<name>{ATTRIBUTE})"\s{{0,16}}'
            r"(?P<empty>/)?>"
        ),
        parameter=(
            rf'<{mark}parameter\s{{1,16}}name="(?P<name>{ATTRIBUTE})"'
            r'(?:\s{1,16}string="(?P<kind>true|false)")?\s{0,16}>'
        ),
        parameter_end=rf"(?:{_MINIMAX})?</{mark}parameter>",
        call_end=f"</{mark}invoke>",
        blank=_NOISE,
        implicit=True,
    )


def _unescape(text: str) -> str:
    return text.replace("&quot;", '"').replace("&amp;", "&")


_KIMI: Final = Grammar(
    call=(
        r"<\|open\|>call\b[^<]{0,256}?\s(?:tool|name)="
        r'"(?P<name>[^<"]{1,256})"[^<]{0,256}<\|sep\|>'
    ),
    parameter=(
        r'<\|open\|>argument\b\s{0,16}key="(?P<name>[^<"]{0,256})"'
        r'(?:\s{1,16}type="(?P<kind>[^<"]{0,64})")?[^<]{0,64}<\|sep\|>'
    ),
    parameter_end=r"<\|close\|>argument<\|sep\|>",
    call_end=r"<\|close\|>call<\|sep\|>",
    object_begin=r"<\|open\|>json\b[^<]{0,64}<\|sep\|>\s{0,16}",
    object_end=r"<\|close\|>json<\|sep\|>",
    unescape=_unescape,
)
_KIMI_CALL: Final = re.compile(r"\s*" + _KIMI.call)


def _grammar(text: str) -> Grammar | None:
    """The grammar of a body that begins with `text`."""
    if _KIMI_CALL.match(text):
        return _KIMI
    tag = _FIRST_TAG.match(text)
    if tag is None:
        return None
    if tag["prefix"] or tag["object"]:
        return _with_prefix(tag["prefix"])
    if tag["next"] is None:
        return _with_prefix("") if tag["empty"] else None
    bare = tag["next"] not in ("parameter", "invoke")
    if tag["next"] == "invoke":
        bare = _TOKEN in tag[0]
    return _BARE if bare else _with_prefix("")


def parse(body: str, tools: Tools) -> list[FoundCall] | None:
    """The calls of `body`; None if it is anything but whole calls. Never raises."""
    grammar = _grammar(body)
    return parse_tags(grammar, body, tools) if grammar else None


def ending(closer: str, tools: Tools) -> Ending:
    """Follows a body of one of these grammars; see `_ending`."""
    return TagEnding(_grammar, closer)
