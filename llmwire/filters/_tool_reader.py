"""Reads calls of tools out of text with markup, while the text comes.

Knows the markup of `_tool_markup` and fences; knows no events.

Rules:
1. A call begins with the opening tag of a declared tool that stands first on its line,
   white space aside, or behind the end of another call, outside fenced code, if the
   next that follows is the opening tag of one of its parameters or its closing tag.
   Everything else is text, and comes out as it went in.
2. A value ends at the first of its closing tags that is followed by the opening tag of
   a declared parameter that the call does not have yet, or by the end of the call;
   every other one is part of the value, and so are all other tags.
3. White space that stands alone before, between or behind calls is no text.
4. A string is given as it grows. Any other value waits for its end; one longer than
   `MOST_WAITING` characters is taken as a string.
5. A call of an MCP server's tool waits for its end. One whose tool is not declared is
   text, and so is one longer than that.
6. What the text breaks off in is an incomplete call: its arguments are no JSON.

Theory of operation: between tags stand at most `_MOST_BLANK` white characters, so that
less is held back than three tags and these have. In text and in a value the reader
takes what it can from the front of what is held, and says whether it got on; a `Call`
makes arguments of it.
"""

from __future__ import annotations

from itertools import groupby
from typing import Final

from llmwire.filters._fences import Fences
from llmwire.filters._tool_call import Arguments, Call, Token
from llmwire.filters._tool_tags import Markup, Opening, Tags

_MOST_BLANK: Final = 256
_BATCH: Final = 256
"""Pieces of text after which their lines are followed."""
_SLICE: Final = 1024
"""Characters that are taken at once, for what is held is copied at every step."""
_BLANK: Final = " \t\r\n"


class MarkupReader:
    """Reads one text.

    Args:
        markup: The tags to look for.
    """

    __slots__ = (
        "_blocked",
        "_call",
        "_called",
        "_due",
        "_fences",
        "_gap",
        "_held",
        "_indent",
        "_markup",
        "_said",
    )

    def __init__(self, markup: Markup) -> None:
        self._markup = markup
        self._held = ""
        self._due: list[Token] = []
        self._said: list[str] = []
        """Text whose lines were not followed yet."""
        self._fences = Fences()
        self._indent = True
        """The line of the text has nothing but white space so far."""
        self._gap: str | None = ""
        """White space before the next text or call; None: there was text."""
        self._called = False
        self._blocked = False
        """A block of invocations is open."""
        self._call: Call | None = None

    @property
    def held(self) -> int:
        """Characters held back now, but for those of values that wait."""
        return len(self._held) + len(self._gap or "")

    def passes(self, text: str) -> bool:
        """Whether `text` is nothing but text; then it is taken as said."""
        if "<" in text or self._held or self._call or self._gap is not None:
            return False
        self._said.append(text)
        if len(self._said) > _BATCH:
            self._follow_lines()
        return True

    def feed(self, text: str) -> list[Token]:
        """What is certain now that the text goes on with `text`."""
        if self.passes(text):
            return [text] if text else []
        for at in range(0, len(text), _SLICE):
            self._held += text[at : at + _SLICE]
            going = True
            while self._held and going:
                call = self._call
                going = self._in_text() if call is None else self._in_value(call)
        due, self._due = self._due, []
        return due if len(due) < 2 else _joined(due)

    def finish(self) -> list[Token]:
        """What is left now that the text has ended."""
        left, self._held = self._held, ""
        call, self._call = self._call, None
        if call is not None:
            self._due += call.break_off(left)
            left = call.refused
        if left:
            self._say(left)
        if self._gap and not self._called:
            self._due.append(self._gap)
        self._gap = None
        due, self._due = self._due, []
        return _joined(due)

    # Text

    def _in_text(self) -> bool:
        """Say what is text, or begin a call; False: more must come."""
        text = self._held
        if self._blocked and self._gap is not None:
            ends = self._at(0, self._markup.close)
            if ends is None:
                return False
            if ends:
                self._held = text[ends[1] :]
                self._blocked, self._gap = False, ""
                return True
        at = text.find("<")
        if at == 0 and self._begins_line():
            found = self._opening()
            if found is None:
                return False
            if found:
                self._begin(*found)
                return True
        at = text.find("<", 1) if at == 0 else at
        self._held = text[at:] if at > 0 else ""
        self._say(text[:at] if at > 0 else text)
        return True

    def _opening(self) -> tuple[()] | tuple[Opening, int, str, int, bool] | None:
        """What opens here: where its tag ends, what follows, where that ends.

        () if nothing does, None if that is not clear yet.
        """
        openings = self._markup.openings
        found = self._at(0, self._markup.starts)
        if not found:
            return found
        tag, end = found
        blocks = tag not in openings
        if blocks:
            found = self._at(end, self._markup.tags)
            if not found:
                return found
            tag, end = found
        opening = openings[tag]
        follows = self._at(end, opening.following)
        return (opening, end, *follows, blocks) if follows else follows

    def _at(self, at: int, tags: Tags) -> tuple[()] | tuple[str, int] | None:
        """Which of `tags` stands at `at`, white space aside, and where it ends.

        () if none does, None if that is not clear yet.
        """
        text = self._held
        near = text[at : at + _MOST_BLANK + 1]
        blank = len(near) - len(near.lstrip(_BLANK))
        if blank > _MOST_BLANK:
            return ()
        start = at + blank
        near = text[start : start + tags.longest]
        end = near.find(">") + 1
        word = near[:end] if end else near[:1]
        if word in tags.words:
            return word, start + len(word)
        return None if near in tags.beginnings else ()

    def _say(self, text: str) -> None:
        """`text` is text."""
        self._said.append(text)
        if self._gap is not None:
            text = self._gap + text
            if len(text) <= _MOST_BLANK and not text.strip():
                self._gap = text
                return
            self._gap = None
        self._due.append(text)

    def _begins_line(self) -> bool:
        """Whether a line of the text begins here, outside fenced code."""
        self._follow_lines()
        return self._indent and self._fences.since is None

    def _follow_lines(self) -> None:
        """Look at what was said."""
        text = "".join(self._said)
        self._said.clear()
        self._fences.feed(text)
        newline = text.rfind("\n")
        if newline >= 0 or self._indent:
            self._indent = not text[newline + 1 :].strip()

    # Calls

    def _begin(
        self, opening: Opening, end: int, tag: str, behind: int, blocks: bool
    ) -> None:
        self._blocked = self._blocked or blocks
        self._call = call = Call(opening, self._markup.mcp)
        self._due += call.start()
        if opening.whole:
            self._take(call, end)
        else:
            self._follow(call, tag, behind)

    def _take(self, call: Call, size: int) -> None:
        """The first `size` characters held are markup."""
        call.keep(self._held[:size])
        self._held = self._held[size:]

    def _follow(self, call: Call, tag: str, behind: int) -> None:
        """The next value begins, or the call ends."""
        self._take(call, behind)
        if tag != call.end:
            self._due += call.open(tag)
            return
        self._due += call.close()
        self._call = None
        if call.refused:
            self._say(call.refused)
            return
        self._called = True
        self._gap = ""

    def _in_value(self, call: Call) -> bool:
        """Let the value grow up to its end."""
        text, end = self._held, call.value_end
        at = text.find(end)
        if at < 0:
            self._grow(call, _safe(text, end))
            return False
        behind = at + len(end)
        follows = (end, behind) if call.whole else self._at(behind, call.following)
        if follows is None:
            self._grow(call, _without_newline(text[:at]))
            return False
        if not follows or call.has(follows[0]):
            self._grow(call, at + 1)
            return True
        size = _without_newline(text[:at])
        self._grow(call, size)
        if not call.refused:
            self._due += call.close_value()
            self._follow(call, follows[0], follows[1] - size)
        return True

    def _grow(self, call: Call, size: int) -> None:
        """The first `size` characters held belong to the value."""
        if not size:
            return
        piece, self._held = self._held[:size], self._held[size:]
        self._due += call.grow(piece)
        if call.refused:
            self._call = None
            self._say(call.refused)


def _joined(tokens: list[Token]) -> list[Token]:
    """`tokens` with neighbours of the same kind made one."""
    joined: list[Token] = []
    for kind, group in groupby(tokens, type):
        if kind is str:
            joined.append("".join(str(text) for text in group))
        elif kind is Arguments:
            grown = (each.text for each in group if isinstance(each, Arguments))
            joined.append(Arguments("".join(grown)))
        else:
            joined += group
    return joined


def _safe(text: str, end: str) -> int:
    """How much of `text` is certainly inside a value.

    Left out are what could become `end`, and a line feed that could stand before it.
    """
    size = len(text)
    at = text.rfind("<", max(0, size - len(end) + 1))
    if at >= 0 and end.startswith(text[at:]):
        text = text[:at]
    return _without_newline(text)


def _without_newline(text: str) -> int:
    return len(text) - text.endswith("\n")
