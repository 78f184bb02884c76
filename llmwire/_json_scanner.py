"""Reads JSON strictly, and mends it where it fails, only there.

Knows tokens, containers and where a reading is stuck; knows no framing around the text
and no tools. One pass, without recursion; what is not broken is kept byte for byte.

Theory of operation: the scanner is a pushdown automaton. Where the next token is none
that JSON allows, the few fixes that make sense at that point are tried in a fixed
order; if none does, it is *stuck*. Up to there nothing was guessed, so there is one
reading (`read`). Only unescaped quotes inside a string can be read in several ways:
`readings` goes back to the last strings before the point where it is stuck, lets each
go on to the next quote behind which the text could go on, and collects every reading
that comes to the end, within a budget of work that grows with the text and no faster.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from copy import copy
from typing import Any, Final

from llmwire._json_edits import Edit
from llmwire._json_evidence import Evidence
from llmwire._json_readings import Mode, Reading, Spans, State, Stuck
from llmwire._json_strings import are_meant, holds_quotations, respelled
from llmwire._json_tokens import (
    BARE_KEY,
    BLANK,
    BODIES,
    CLOSER_AHEAD,
    CLOSING_QUOTES,
    COLON,
    COMMENT,
    FOREIGN_LITERALS,
    ITEM_AHEAD,
    KEY_AHEAD,
    KEY_SHAPED,
    LITERALS,
    LOOSE_NUMBER,
    NUMBER,
    QUOTES,
    STRANGE_BLANK,
    STRING,
    TAIL,
    VALUE_AHEAD,
    WORD,
    number,
)

_MAX_READINGS: Final = 32
_RECENT: Final = 3
"""Strings before a failure whose ends are doubted."""
_EFFORT: Final = 12
"""Characters that `readings` looks at for each one of the text."""


class Scanner:
    """Reads one document of `text`, which begins at `start`.

    Args:
        text: All of it.
        start: Where the value begins, or white space in front of it.
        evidence: What is known of the value.
        edits: Made already, in front of `start`.
        framed: Whether what stands behind the document must be mere framing.
    """

    def __init__(
        self,
        text: str,
        start: int,
        evidence: Evidence,
        edits: Sequence[Edit] = (),
        *,
        framed: bool = True,
    ) -> None:
        self._text = text
        self._start = start
        self._evidence = evidence
        self._first_edits = edits
        self._framed = framed
        self._structural = False
        self._recent: deque[State] = deque(maxlen=_RECENT)
        self._waiting: list[State] = []
        self._effort = 0

    def read(self) -> Reading:
        """The one reading without doubt.

        Raises:
            Stuck: There is none.
        """
        self._structural = False
        state = self._new()
        self._run(state)
        return self._reading(state)

    def readings(self) -> list[Reading]:
        """Every reading, also with unescaped quotes and without the last closers.

        Empty where there is none, or too many to be told apart.
        """
        self._structural = True
        self._effort = _EFFORT * len(self._text) + 4096
        self._waiting = [self._new()]
        found: list[Reading] = []
        while self._waiting:
            state = self._waiting.pop()
            self._recent.clear()
            began = state.at
            try:
                self._run(state)
                found.append(self._reading(state))
            except Stuck:
                self._waiting.extend(self._recent)
            self._effort -= state.at - began + 16
            if self._effort < 0 or len(found) > _MAX_READINGS:
                return []
        return found

    def _new(self) -> State:
        state = State(self._start, self._first_edits)
        state.place = self._evidence.schema
        return state

    def _reading(self, state: State) -> Reading:
        if state.undoubled:
            self._check_escapes(state.escapes)
        edits = state.in_order()
        return Reading(state.start, state.value_end, edits, state.rest, state.odd)

    def _check_escapes(self, spans: Spans) -> None:
        """No string may hold an escape that could be a backslash, not doubled."""
        while spans is not None:
            start, end, spans = spans
            if not are_meant(self._text[start:end]):
                raise Stuck(start, _BACKSLASHES)

    def _run(self, state: State) -> None:
        steps = (
            self._value,
            self._item,
            self._key,
            self._colon,
            self._after,
            self._tail,
        )
        while state.mode != Mode.DONE:
            mark = self._skip(state)
            steps[state.mode](state, mark)

    def _skip(self, state: State) -> str:
        """Go on to the next token; its first character, empty at the end."""
        text = self._text
        while True:
            blank = BLANK.match(text, state.at)
            state.at = blank.end() if blank else state.at
            mark = text[state.at : state.at + 1]
            found = None
            rule = space = ""
            if mark in ("/", "#"):
                found, rule = self._comment(state), "comment"
            elif mark and STRANGE_BLANK.match(mark):
                found = STRANGE_BLANK.match(text, state.at)
                rule, space = "blank", " "
            if found is None or (state.mode == Mode.TAIL and not self._framed):
                return mark
            state.fix(Edit(state.at, rule, found[0], space))
            state.at = found.end()

    def _comment(self, state: State) -> re.Match[str] | None:
        """A comment that may be one.

        One to the end of its line does not touch a quote, which could stand inside a
        string, and does not reach to the end of a text whose document is still open.
        """
        text, at = self._text, state.at
        found = COMMENT.match(text, at)
        if found is None or found[0][:2] == "/*":
            return found
        swallows = found.end() == len(text) and state.mode != Mode.TAIL
        return None if swallows or text[at - 1 : at] in QUOTES else found

    # Values

    def _value(self, state: State, mark: str) -> None:
        if state.start < 0:
            state.start = state.at
        if mark == '"' or mark in CLOSING_QUOTES:
            self._string(state, mark, as_key=False)
            self._close_value(state)
        elif mark in ("{", "["):
            state.stack = (mark, state.place, state.stack)
            state.at += 1
            state.mode = Mode.KEY if mark == "{" else Mode.ITEM
            state.comma = -1
            if mark == "[":
                state.place = self._evidence.item(state.place)
        elif mark and mark in "+-.0123456789":
            self._number(state)
        else:
            self._literal(state)

    def _item(self, state: State, mark: str) -> None:
        """A value of an array, or its end."""
        if mark == "]":
            self._drop_comma(state)
            self._close(state)
        else:
            self._value(state, mark)

    def _number(self, state: State) -> None:
        text = self._text
        found = NUMBER.match(text, state.at)
        if found is None:
            found = LOOSE_NUMBER.match(text, state.at)
            types = self._evidence.types(state.place)
            spelled = number(found[0], types) if found else None
            if found is None or spelled is None:
                raise Stuck(state.at, "a number")
            state.fix(Edit(state.at, "number", found[0], spelled))
        state.at = found.end()
        self._close_value(state)

    def _literal(self, state: State) -> None:
        found = WORD.match(self._text, state.at)
        word = found[0] if found else ""
        if word not in LITERALS and word not in FOREIGN_LITERALS:
            raise Stuck(state.at, "a value")
        if word == "undefined" and state.stack and state.stack[0] == "{":
            self._drop_member(state, state.at + len(word))
            return
        if word not in LITERALS:
            state.fix(Edit(state.at, "literal", word, FOREIGN_LITERALS[word]))
        state.at += len(word)
        self._close_value(state)

    def _drop_member(self, state: State, end: int) -> None:
        """Leave out a member that has no value, and the comma behind it."""
        while state.edits is not None and state.edits[0].offset >= state.member:
            state.edits = state.edits[1]
        state.at = end
        before = state.edits
        if self._skip(state) == ",":
            end = state.at + 1
        state.edits = before
        state.at = end
        gone = self._text[state.member : end]
        state.fix(Edit(state.member, "undefined", gone, ""))
        state.comma = state.member_comma
        state.mode = Mode.KEY

    def _close_value(self, state: State) -> None:
        state.value_end = state.at
        state.comma = -1
        state.mode = Mode.AFTER if state.stack else Mode.TAIL

    # Objects

    def _key(self, state: State, mark: str) -> None:
        text = self._text
        if mark == "}":
            self._drop_comma(state)
            self._close(state)
            return
        if mark == "," and state.stack and state.at > 0:
            state.fix(Edit(state.at, "surplus-comma", ",", ""))
            state.at += 1
            return
        state.member = start = state.at
        name: str | None
        if mark in CLOSING_QUOTES:
            name = self._string(state, mark, as_key=True)
        else:
            found = BARE_KEY.match(text, start)
            if found is None:
                raise Stuck(start, "a key")
            name = found[0]
            state.fix(Edit(start, "unquoted-key", name, f'"{name}"'))
            state.at = found.end()
        self._keyed(state, name)

    def _keyed(self, state: State, name: str | None) -> None:
        state.member_comma, state.comma = state.comma, -1
        place = state.stack[1] if state.stack else None
        state.place = self._evidence.member(place, name) if name is not None else None
        state.mode = Mode.COLON

    def _colon(self, state: State, mark: str) -> None:
        found = COLON.match(self._text, state.at)
        if found is None:
            raise Stuck(state.at, "a colon")
        if found[0] != ":":
            state.fix(Edit(state.at, "colon", found[0], ":"))
        state.at = found.end()
        state.mode = Mode.VALUE

    # What follows a value

    def _after(self, state: State, mark: str) -> None:
        assert state.stack is not None
        kind, place, _ = state.stack
        if mark in (",", "，"):
            if mark != ",":
                state.fix(Edit(state.at, "comma", mark, ","))
            self._next(state, kind, place, state.at)
            state.at += 1
        elif mark == ("}" if kind == "{" else "]"):
            self._close(state)
        elif self._lacks_comma(state, kind, mark):
            state.fix(Edit(state.value_end, "missing-comma", "", ","))
            self._next(state, kind, place, -1)
        elif self._structural and not state.doubted and self._lacks_closer(state, mark):
            state.fix()
        else:
            raise Stuck(state.at, f"a comma or the end of the {_NAMES[kind]}")

    def _next(self, state: State, kind: str, place: object, comma: int) -> None:
        state.comma = comma
        state.mode = Mode.KEY if kind == "{" else Mode.ITEM
        if kind == "[":
            state.place = self._evidence.item(place)

    def _lacks_comma(self, state: State, kind: str, mark: str) -> bool:
        text, at = self._text, state.at
        gap = text[state.value_end : at]
        before = text[state.value_end - 1]
        if kind == "{":
            found = KEY_AHEAD.match(text, at)
            if found is None or not mark:
                return False
            quoted = found[4] is None
            return quoted or "\n" in gap or (bool(gap) and before not in QUOTES)
        if mark in ("{", "[") and before in "}]":
            return True
        return "\n" in gap and VALUE_AHEAD.match(text, at) is not None

    def _lacks_closer(self, state: State, mark: str) -> bool:
        """Whether closers are missing here; they are added."""
        assert state.stack is not None
        kind, _, outer = state.stack
        if mark in ("}", "]"):
            if outer is None or outer[0] == kind:
                return False
            self._insert(state, _CLOSERS[kind])
            state.stack = outer
            return True
        if mark and not (mark in "`~<" and TAIL.match(self._text, state.at)):
            return False
        closers = []
        stack: Any = state.stack
        while stack is not None:
            closers.append(_CLOSERS[stack[0]])
            stack = stack[2]
        self._insert(state, "".join(closers))
        state.stack = None
        state.mode = Mode.TAIL
        return True

    def _insert(self, state: State, closers: str) -> None:
        """Add closers behind the last value."""
        added = Edit(state.value_end, "missing-closer", "", closers)
        state.edits = (added, state.edits)

    def _close(self, state: State) -> None:
        assert state.stack is not None
        state.stack = state.stack[2]
        state.at += 1
        self._close_value(state)

    def _drop_comma(self, state: State) -> None:
        if state.comma >= 0:
            mark = self._text[state.comma]
            if mark != ",":
                state.withdraw(state.comma)
            state.fix(Edit(state.comma, "trailing-comma", mark, ""))
            state.comma = -1

    def _tail(self, state: State, mark: str) -> None:
        """What stands behind the document."""
        text = self._text
        if not mark or not self._framed:
            state.mode = Mode.DONE
        elif mark in "{[" and not TAIL.match(text, state.at):
            state.rest = state.at
            state.mode = Mode.DONE
        elif mark in "}]":
            self._drop(state, "surplus-closer", mark)
        elif mark == ",":
            self._drop(state, "trailing-comma", mark)
        else:
            found = TAIL.match(text, state.at)
            if found is None:
                raise Stuck(state.at, "the end of the text")
            self._drop(state, "framing", found[0])

    def _drop(self, state: State, rule: str, piece: str) -> None:
        state.fix(Edit(state.at, rule, piece, ""))
        state.at += len(piece)

    # Strings

    def _string(self, state: State, quote: str, *, as_key: bool) -> str | None:
        """Read a string; its text, if that is what stands there.

        With `search` it goes on beyond its first quote to one behind which the text
        can go on.
        """
        text, start = self._text, state.at
        origin = copy(state) if self._structural and not as_key else None
        found = STRING.match(text, start) if not state.search else None
        if found is not None:
            end = found.end() - 1
        else:
            end = self._closing_quote(state, quote)
        content = text[start + 1 : end]
        if found is None:
            self._respell(state, quote, content, end)
        elif "\\" in content:
            state.escapes = (start + 1, end, state.escapes)
        state.at = end + 1
        if origin is not None:
            searched, origin.search = origin.search, end + 1
            origin.doubted = True
            (self._waiting if searched else self._recent).append(origin)
        state.search = 0
        return None if "\\" in content else content

    def _closing_quote(self, state: State, quote: str) -> int:
        text = self._text
        at = state.search or state.at + 1
        while True:
            body = BODIES[quote].match(text, at)
            end = body.end() if body else len(text)
            self._effort -= end - at
            if end >= len(text) or text[end] == "\\":
                raise Stuck(len(text), "the end of a string")
            if not state.search or self._could_go_on(state, end + 1):
                return end
            at = end + 1

    def _respell(self, state: State, quote: str, content: str, end: int) -> None:
        start = state.at
        if quote == "'":
            state.pythonic = True
        closing = self._text[end]
        if state.search and not holds_quotations(content, closing, self._evidence.keys):
            raise Stuck(start, "a string without quotes in it")
        self._effort -= len(content)
        edits = respelled(content, quote, start + 1, state.pythonic)
        if edits is None:
            raise Stuck(start, _BACKSLASHES)
        by_rule: dict[str, list[Edit]] = {}
        for edit in edits:
            by_rule.setdefault(edit.rule, []).append(edit)
        for same in by_rule.values():
            state.fix(*same)
        state.odd += len(by_rule.get("inner-quote", ())) % 2
        if any(edit.inserted == "\\\\" for edit in by_rule.get("escape", ())):
            state.undoubled = state.undoubled or not state.pythonic
        elif "\\" in content and not state.pythonic:
            state.escapes = (start + 1, end, state.escapes)
        if quote != '"':
            rule = "inner-quote" if state.search else "quotes"
            opened = Edit(start, "quotes", quote, '"')
            state.fix(opened, Edit(end, rule, closing, '"'))

    def _could_go_on(self, state: State, at: int) -> bool:
        """Whether a string may have ended before `at`, by what follows."""
        text = self._text
        blank = BLANK.match(text, at)
        at = blank.end() if blank else at
        mark = text[at : at + 1]
        if state.stack is None:
            return not mark
        if mark == _CLOSERS[state.stack[0]]:
            return True
        if state.stack[0] == "[":
            return mark == "," and ITEM_AHEAD.match(text, at + 1) is not None
        if mark == "," and CLOSER_AHEAD.match(text, at + 1):
            return True
        found = KEY_AHEAD.match(text, at + 1 if mark == "," else at)
        if found is None:
            return False
        name = next(filter(None, found.groups()), "")
        keys = self._evidence.keys
        if keys or mark != ",":
            return name in keys
        return KEY_SHAPED.fullmatch(name) is not None


_BACKSLASHES: Final = "a string whose backslashes can mean one thing only"
_CLOSERS: Final = {"{": "}", "[": "]"}
_NAMES: Final = {"{": "object", "[": "array"}
