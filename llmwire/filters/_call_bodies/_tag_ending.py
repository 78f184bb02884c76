"""Where a body that is written as tags ends, told while its text comes.

Knows the grammars of `_tags`; keeps no more than 2048 characters and the last piece.

Rules:
1. A body ends where the last tags of its structure stand side by side: the end of a
   value, of its call, and of the region. Nothing, or blanks, may stand between them.
   The end of the call may be missing; so may the values be.
2. Where the end of the last value is missing, the others end the body only if another
   call follows, or the text ends.
3. The same tags inside of a value, with other text beside them, are text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from llmwire.filters._call_bodies._tags import CDATA, Grammar, unnamed

__all__ = ("TagEnding",)

_REACH: Final = 256
"""Blanks between two tags that still stand side by side."""
_KEPT: Final = 1024
"""What is kept of the text: more than the longest tag and `_REACH`."""
_SECTION_END: Final = "]]>"
_NEVER: Final = "(?!)"


class TagEnding:
    """An `Ending` for tags, in a grammar that the first of them shows.

    Args:
        choose: The grammar of a body that begins so; None: not to be seen yet.
        closer: The mark that stands behind the body; empty: nothing does.
    """

    __slots__ = (
        "_base",
        "_blank",
        "_chain",
        "_choose",
        "_closer",
        "_ended",
        "_grammar",
        "_last",
        "_marks",
        "_name",
        "_object",
        "_pieces",
        "_section",
        "_tokens",
        "_waiting",
    )

    def __init__(self, choose: Callable[[str], Grammar | None], closer: str) -> None:
        self._choose = choose
        self._closer = closer
        self._marks = (">", closer[-1:] or ">")
        self._grammar: Grammar | None = None
        self._tokens = self._blank = re.compile("")
        self._pieces: list[str] = []
        self._waiting = 0
        """Characters that were not looked at, for no tag ends in them."""
        self._base = 0
        """Characters in front of the pieces, which are no longer kept."""
        self._last: int | None = None
        """Where the last tag ended."""
        self._chain = ""
        """The tags that stand side by side: `o` opens a call, `p` ends a value, `c` a
        call, `w` the region."""
        self._ended = 0
        """Where the body ends if the chain does."""
        self._name = ""
        """The parameter that is open, where its end says its name."""
        self._section = False
        self._object: bool | None = None
        """The call that is open has an object in place of values; None: not known."""

    def feed(self, piece: str) -> int | None:
        """See `Ending`."""
        self._pieces.append(piece)
        self._waiting += len(piece)
        if self._waiting < _KEPT and not any(mark in piece for mark in self._marks):
            return None
        self._waiting = 0
        text = "".join(self._pieces)
        self._pieces = [text]
        if self._grammar is None and not self._base:
            self._begin(text[:_KEPT])
        end = self._read(text) if self._grammar else None
        self._see_object(text)
        last = self._base if self._last is None else self._last
        keep = max(last - self._base, len(text) - _KEPT, 0)
        self._base += keep
        self._pieces = [text[keep:]]
        return end

    def finish(self) -> int | None:
        """See `Ending`."""
        text = "".join(self._pieces)
        if self._last is None or not self._beside(text, len(text)):
            return None
        return self._ended if self._chain.endswith(("c", "cw")) else None

    def _begin(self, text: str) -> None:
        grammar = self._grammar = self._choose(text)
        if grammar is None:
            return
        call = unnamed(grammar.again or grammar.call)
        closer = re.escape(self._closer) or _NEVER
        around = closer.replace("</", "<").replace(r"<\|close\|>", r"<\|open\|>")
        value_end = unnamed(grammar.parameter_end).replace("NAME", "(?P<name>[^<>]+)")
        if grammar.object_end:
            value_end += f"|{grammar.object_end}"
        opening = grammar.parameter.replace("?P<name>", "?P<opened>")
        section = unnamed(grammar.parameter) + r"\s{0,16}+" + CDATA
        self._blank = re.compile(f"(?:{grammar.blank})*+")
        self._tokens = re.compile(
            f"(?P<w>{closer})"
            f"|(?P<o>(?:(?:{around})\\s{{0,16}}+)?{call})"
            f"|(?P<c>{unnamed(grammar.call_end)})|(?P<p>{value_end})"
            f"|(?P<d>{section if grammar.cdata else _NEVER})"
            f"|(?P<q>{opening if grammar.named_ends else _NEVER})"
        )

    def _read(self, text: str) -> int | None:
        """Read the tags of `text` that were not read yet."""
        at = max((self._last or 0) - self._base, 0)
        while True:
            if self._section:
                at = text.find(_SECTION_END, at)
                if at < 0:
                    return None
                at += len(_SECTION_END)
                self._section, self._last, self._chain = False, self._base + at, ""
            tag = self._tokens.search(text, at)
            if tag is None:
                return None
            end = self._take(tag, text)
            if end is not None:
                return end
            at = tag.end()

    def _take(self, tag: re.Match[str], text: str) -> int | None:
        """Set `tag` beside the others; where the body ends if that shows it."""
        start, end = self._base + tag.start(), self._base + tag.end()
        first = self._last is None
        chain = self._chain if first or self._beside(text, tag.start()) else ""
        if first and self._has_head() and "<" not in text[: min(tag.start(), _REACH)]:
            chain = "o" if start <= _REACH else ""
        kind = tag.lastgroup
        if kind == "c" and self._chain == "o" and self._follows_object(text, tag):
            chain = "o"
        self._last, self._chain = end, ""
        if kind == "w":
            if chain.endswith(("p", "pc", "oc")) or (chain == "o" and self._has_head()):
                return start
            if chain.endswith("c"):
                self._ended, self._chain = start, "cw"
        elif kind == "o":
            if chain.endswith("cw" if self._closer else "c"):
                return self._ended
            if first or chain.endswith("c"):
                return self._open(tag, end)
        elif kind == "c":
            if not self._closer and chain.endswith(("p", "o")):
                return end
            self._ended, self._chain = end, chain[-1:] + "c"
        elif kind == "d":
            self._section = True
        elif kind == "q":
            self._name = tag["opened"] if chain.endswith(("o", "p")) else self._name
        elif self._name == (tag.groupdict().get("name") or ""):
            self._chain = "p"
        return None

    def _open(self, tag: re.Match[str], end: int) -> int | None:
        """A call opens; where the body ends if it closes at once, and is all of it."""
        self._chain = "o"
        self._object = None
        if tag[0].endswith("/>"):
            self._ended, self._chain = end, "oc"
            return None if self._closer else end
        return None

    def _has_head(self) -> bool:
        return self._grammar is not None and bool(self._grammar.again)

    def _beside(self, text: str, at: int) -> bool:
        """Whether only blanks stand between the last tag and `at`."""
        begin = (self._last or 0) - self._base
        if begin < 0 or at - begin > _REACH:
            return False
        return self._blank.fullmatch(text, begin, at) is not None

    def _follows_object(self, text: str, tag: re.Match[str]) -> bool:
        """Whether an object may have ended in front of `tag`."""
        self._see_object(text)
        return bool(self._object) and self._ends_object(text, tag)

    def _see_object(self, text: str) -> None:
        """See what stands behind the opening of a call, while that is kept."""
        if self._object is None and self._chain == "o":
            rest = text[max((self._last or 0) - self._base, 0) :].lstrip()
            if rest:
                tagged = self._grammar is not None and self._grammar.object_end
                self._object = rest[0] == "{" or bool(tagged)

    def _ends_object(self, text: str, tag: re.Match[str]) -> bool:
        return text[max(tag.start() - _REACH, 0) : tag.start()].rstrip()[-1:] == "}"
