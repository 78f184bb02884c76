"""Calls in a text that comes in pieces.

Knows texts, the formats it is given, and how Markdown quotes things; nothing of events.

Rules:
1. A call may begin where the opening word of a format stands: within a line if the word
   is a special token of a model, else where a line, or the whole text, begins.
2. It does not begin inside fenced code, in a quoted line (`>`), between backticks, or
   in a thought between tags with which the text begins.
3. What follows the opening word decides as soon as it can be none of the formats that
   open so. Then, and wherever else no call comes of it, the opening word is text, and
   what follows it is looked at anew.
4. A call ends at the first closing word with which it can be read, or with the value
   that is the whole call. Its names are those of declared tools, or it is none.
5. Nothing is read that has no end. Formats that close with the message may end with
   the text, if that was not cut off.
6. Every character comes out once and in order: as text, or in the text of a call.

Theory of operation: words that may stand anywhere are found by one alternation; words
that begin lines are looked up where lines begin. A `CallRegion` holds the text behind
an opening word and asks every format that opens so. The answer depends on the text
alone, not on its pieces. What was looked at in vain is counted: where that is more than
four times the text so far, what failed goes out as text without being looked at again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

from msgspec import Struct

from llmwire.filters._call_bodies._found import FoundCall, Tools
from llmwire.filters._call_formats import CallFormat
from llmwire.filters._call_openers import HOLD, Openers
from llmwire.filters._call_regions import CallRegion
from llmwire.filters._fences import Fences

__all__ = ("CallScanner", "CallText", "MissedCall", "Piece")

_BLOCK: Final = 1024
"""Characters that are looked at together."""
_BATCH: Final = 256
"""Pieces of text after which it is told apart what they quote."""
_PATIENCE: Final = 256
"""White space after a call that is held back at most."""
_VAIN: Final = 4
_TRAILERS: Final = ("</s>", "<|im_end|>", "<|eot_id|>", "<|eom_id|>")
"""Ends of a message, which belong to the call before them."""
_THOUGHTS: Final = {
    "<think>": "</think>",
    "<thinking>": "</thinking>",
    "<seed:think>": "</seed:think>",
    "[THINK]": "[/THINK]",
}
_THOUGHT_ENDS: Final = tuple(_THOUGHTS.values())
_BLANKS: Final = re.compile(r"[ \t]*")
_TICKS: Final = re.compile("`+")


class CallText(Struct, frozen=True, gc=False):
    """Text that is no text: calls, or the end of their message (without calls)."""

    format: str
    text: str
    start: int
    calls: tuple[FoundCall, ...] = ()


class MissedCall(Struct, frozen=True, gc=False):
    """A call that had no end, or was too long: it stayed text."""

    format: str
    start: int
    too_long: bool


Piece: TypeAlias = str | CallText


class _Quoting:
    """Whether a text is at a place where it shows code instead of saying it."""

    def __init__(self) -> None:
        self.last = ""
        """The last characters that were no white space."""
        self.pieces: list[str] = []
        """What was said and not looked at yet."""
        self._fences = Fences()
        self._blank = True
        self._quoted = False
        self._span = 0
        self._run = 0
        self._thought: str | None = None
        """What ends the thought that it began with; None: nobody knows yet."""
        self._tail = ""

    def add(self, text: str) -> None:
        """The text goes on."""
        self.pieces.append(text)
        if len(self.pieces) > _BATCH:
            self.digest()

    def digest(self) -> None:
        """Look at what was added."""
        text = "".join(self.pieces)
        self.pieces.clear()
        self._fences.feed(text)
        self._think(text)
        self.last = (self.last + text).rstrip()[-16:]
        newline = text.rfind("\n")
        if newline >= 0:
            self._blank, self._quoted, self._span, self._run = True, False, 0, 0
        self._read_line(text[newline + 1 :])

    def _think(self, text: str) -> None:
        """Follow a thought with which the text begins, up to its end."""
        if self._thought == "":
            return
        self._tail += text
        if self._thought is None:
            head = self._tail.lstrip()
            if any(opening.startswith(head) for opening in _THOUGHTS):
                self._tail = head
                return
            openings = (each for each in _THOUGHTS if head.startswith(each))
            self._thought = _THOUGHTS.get(next(openings, ""), "")
        if not self._thought or self._thought in self._tail:
            self._thought = ""
        self._tail = self._tail[-16:]

    def _read_line(self, text: str) -> None:
        if self._blank:
            text = text.lstrip()
            self._blank = not text
            self._quoted = text.startswith(">")
        for ticks in _TICKS.finditer(text):
            if ticks.start():
                self._end_run()
            self._run += len(ticks[0])
        if text and not text.endswith("`"):
            self._end_run()

    def _end_run(self) -> None:
        """A run of backticks is over: it opens a span, or closes one as long."""
        if not self._span:
            self._span = self._run
        elif self._span == self._run:
            self._span = 0
        self._run = 0

    @property
    def shows(self) -> bool:
        """Whether code is shown here."""
        self.digest()
        code = self._fences.since is not None or self._quoted or self._in_span
        return code or bool(self._thought)

    @property
    def _in_span(self) -> bool:
        return bool(self._run or self._span) and self._run != self._span


class CallScanner:
    """Finds the calls of one text.

    Args:
        openers: What calls begin with.
        tools: The tools that may be called.
        limit: Characters of a call at most.
    """

    def __init__(self, openers: Openers, tools: Tools, limit: int) -> None:
        self.missed: list[MissedCall] = []
        """What looked like a call and had no end."""
        self._openers = openers
        self._tools = tools
        self._limit = limit
        self._trigger = openers.trigger
        self._quoting = _Quoting()
        self._said = self._quoting.pieces
        self._out: list[Piece] = []
        self._held = ""
        self._region: CallRegion | None = None
        self._trailers: tuple[str, ...] = ()
        self._bare = True
        """The line has nothing but blanks so far."""
        self._fresh = True
        """Nothing was said yet, or nothing since the last call."""
        self._at = 0
        """Characters that came out."""
        self._steady = False
        """What comes is text, unless it begins a call."""
        self._vain = 0
        self._told = 0

    @property
    def held(self) -> int:
        """Characters held back now."""
        return len(self._held) + (self._region.size if self._region else 0)

    def passes(self, text: str) -> bool:
        """Whether `text` is nothing but text; then it is taken as said."""
        if not self._steady or self._trigger(text):
            return False
        if self._bare or "\n" in text:
            bare = self._openers.line_behind(text, self._bare)
            if bare is None:
                return False
            self._bare = bare
        self._said.append(text)
        if len(self._said) > _BATCH:
            self._quoting.digest()
        self._at += len(text)
        return True

    def feed(self, text: str) -> Sequence[Piece]:
        """What is certain now that the text goes on with `text`."""
        if self._held and not (self._region or self._trailers or self._fresh):
            text, self._held = self._held + text, ""
            self._steady = True
            if self.passes(text):
                return [text]
        self._run(text)
        return self._drained()

    def finish(self, *, cut: bool = False) -> Sequence[Piece]:
        """What is left, for the text is over; `cut`: it was not at its end."""
        while self._region is not None or self._held:
            region = self._region
            if region is None:
                text, self._held = self._held, ""
                self._run(self._step(text, True))
                continue
            found = None if cut else region.at_end()
            if found:
                self._call(region, found)
                self._run(region.rest)
            else:
                self._miss(region, too_long=False)
                self._run(self._refuted(region))
        self._trailers = ()
        return self._drained()

    def _drained(self) -> list[Piece]:
        waits = self._held or self._region or self._trailers
        self._steady = not waits and not self._fresh
        out, self._out = self._out, []
        return _joined(out) if len(out) > 1 else out

    def _run(self, text: str) -> None:
        todo = [text]
        while todo:
            text = todo.pop()
            if len(text) > _BLOCK:
                todo.append(text[_BLOCK:])
                text = text[:_BLOCK]
            again = self._step(text, False)
            if again:
                todo.append(again)

    def _step(self, text: str, final: bool) -> str:
        """Look at the next piece; what is to be looked at (again) after it."""
        if self._region is not None:
            return self._grow(self._region, text)
        text, self._held = self._held + text, ""
        if self._trailers:
            text = self._skip_trailers(text, final)
        return self._look(text, final) if text else ""

    def _grow(self, region: CallRegion, text: str) -> str:
        """The region goes on with `text`."""
        found = region.feed(text)
        if found:
            self._call(region, found)
            return region.rest
        if region.candidates:
            return ""
        if region.too_long:
            self._miss(region, too_long=True)
        return self._refuted(region)

    def _call(self, region: CallRegion, found: tuple[FoundCall, ...]) -> None:
        """The region is calls."""
        self._region = None
        name, text = region.accepted.name, region.text
        self._out.append(CallText(name, text, self._at, found))
        self._at += len(text)
        self._trailers = region.accepted.trailers + _TRAILERS
        self._fresh = self._bare = True

    def _refuted(self, region: CallRegion) -> str:
        """The region is text; what of it is to be looked at."""
        self._region = None
        self._say(region.word)
        self._bare = region.word.endswith("\n")
        text = region.text[len(region.word) :]
        if region.died is None:
            return text
        self._vain += region.died
        if self._vain <= _VAIN * (self._at + region.died) + _BLOCK:
            return text
        self._say(text[: region.died])
        self._bare = False
        return text[region.died :]

    def _miss(self, region: CallRegion, *, too_long: bool) -> None:
        if self._at >= self._told:
            self.missed.append(MissedCall(region.name, self._at, too_long))
            self._told = self._at + min(region.size, self._limit)

    def _skip_trailers(self, text: str, final: bool) -> str:
        """`text` without the end of a message; held back while it could be one."""
        at = 0
        while True:
            rest = text[at:].lstrip()
            trailer = next(filter(rest.startswith, self._trailers), None)
            if trailer is None:
                break
            end = len(text) - len(rest) + len(trailer)
            self._out.append(CallText("", text[at:end], self._at))
            self._at += end - at
            at = end
        text = text[at:]
        possible = len(text) <= _PATIENCE and not final
        if possible and any(each.startswith(rest) for each in self._trailers):
            self._held = text
            return ""
        self._trailers = ()
        return text

    def _say(self, text: str) -> None:
        """`text` is text."""
        if text:
            self._out.append(text)
            self._quoting.add(text)
            self._at += len(text)
            self._fresh = self._fresh and text.isspace()

    def _look(self, text: str, final: bool) -> str:
        """Say what comes before an opening word; what stands behind it."""
        openers = self._openers
        end = len(text) if final else len(text) - openers.reach(text)
        said = at = 0
        word = openers.search(text)
        while at < end:
            if self._bare:
                at = min(_BLANKS.match(text, at).end(), end)  # type: ignore[union-attr]  # it matches nothing too
                if at == end:
                    break
                opening = openers.line_word(text, at, final)
                if opening is HOLD:
                    end = at
                    break
                if word is not None and word.start() == at and opening is not None:
                    opening = opening if len(opening) >= len(word[0]) else None
                if opening:
                    self._say(text[said:at])
                    said = at
                    if self._opens(opening, openers.line[opening]):
                        return text[at + len(opening) :]
                self._bare = text[at] == "\n"
            newline = text.find("\n", at, end)
            while word is not None and word.start() < at:
                word = openers.search(text, at)
            if word is not None and word.start() < (end if newline < 0 else newline):
                self._say(text[said : word.start()])
                said, at = word.start(), word.start() + 1
                if self._opens(word[0], openers.anywhere[word[0]]):
                    return text[word.end() :]
                continue
            if newline < 0:
                break
            at = newline + 1
            self._bare = True
        self._say(text[said:end])
        self._held = text[end:]
        return ""

    def _opens(self, word: str, formats: Sequence[CallFormat]) -> bool:
        """Whether a region begins here."""
        if self._quoting.shows:
            return False
        start = self._fresh or self._quoting.last.endswith(_THOUGHT_ENDS)
        able = [each for each in formats if start or each.place != "start"]
        if able:
            self._region = CallRegion(word, able, self._tools, self._limit)
        return bool(able)


def _joined(pieces: Iterable[Piece]) -> list[Piece]:
    """`pieces`, with neighbouring texts as one."""
    joined: list[Piece] = []
    texts: list[str] = []
    for piece in pieces:
        if isinstance(piece, str):
            texts.append(piece)
            continue
        if texts:
            joined.append("".join(texts))
            texts.clear()
        joined.append(piece)
    return [*joined, "".join(texts)] if texts else joined
