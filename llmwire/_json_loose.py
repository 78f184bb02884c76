"""Reads what people write instead of JSON: words without quotes, tuples, calls, `…`.

For texts that are shown or stored, never for what is executed. Only what the scanner
cannot read is read here, and each in one way: what could be two things is refused.

Theory of operation: the scanner's automaton with more transitions, one reading, no
search. Parentheses are containers of their own; what they are is known where they end.
"""

from __future__ import annotations

import re
from typing import Final

from llmwire._json_edits import Edit
from llmwire._json_readings import Mode, State, Stuck
from llmwire._json_scanner import Scanner
from llmwire._json_tokens import (
    CLOSING_QUOTES,
    COMMENT,
    FOREIGN_LITERALS,
    LITERALS,
    NUMBER,
    QUOTES,
    VALUE_AHEAD,
    number,
)

_QUOTE: Final = "".join(sorted(QUOTES))
_TEXT: Final = re.compile(
    rf"(?=[\w/@$])(?:[^,:\[\]{{}}()=<>|*^~;`\\\x00-\x1f{_QUOTE}]|:(?=//)"
    r"|(?<=[0-9]):(?=[0-9])|\([\w ]*+\))++"
    r'(?=[,\]}\n\r]|(?<=[ \t])"\w++"\s*+:)'
)
"""A text without quotes, up to the end of its line, a comma, a closer or a key."""
_NOT_TEXT: Final = re.compile(r"(?<!:)//|/\*|\s[#+]|\.\.|…|\?\?|\A[\w.$]++\(")
"""What makes it an expression, a call, or a comment."""
_NUMERIC: Final = re.compile(r"[0-9][0-9.eE+\-_ ]*+")
_VERSION_OR_RANGE: Final = re.compile(r"[0-9]++(?:(?:\.[0-9]++){2,}+|(?:-[0-9]++)++)")
_NO_VALUES: Final = frozenset(
    {"nan", "inf", "infinity", "nil", "none", "null", "true", "false", "undefined"}
)
"""Words that stand for a value, however they are spelled."""
_KEY_UNOPENED: Final = re.compile(r'([A-Za-z_$][\w$\-]*+)"(?=\s*+:)')
_TEXT_UNOPENED: Final = re.compile(r'[A-Za-z_$][\w$.\-]*+"(?=\s*+[,}])')
_CALL: Final = re.compile(r"([A-Za-z_$][\w$.]*+)[ \t]*+\(")
_CONSTRUCTORS: Final = frozenset(
    {
        *("ObjectId", "ISODate", "NumberLong", "NumberInt", "NumberDecimal", "UUID"),
        *("Decimal", "tuple", "list"),
    }
)
"""Functions that name the type of what they are given, and change nothing."""
_ELLIPSIS: Final = re.compile(r"\.{3}(?!\.)|…")
_GAP: Final = re.compile(rf"(?:[ \t\n\r]++|{COMMENT.pattern})*+")
_ONE_WORD: Final = re.compile(r"[\w.\-]++[ \t]*+(?=[,\]\n\r])")


class _Parenthesis:
    """One that is open."""

    def __init__(self, start: int, end: int, function: str, top: bool) -> None:
        self.start, self.end = start, end
        self.function = function
        """What is called; empty: nothing is."""
        self.top = top
        self.commas = 0
        self.holds_container = False


class LooseScanner(Scanner):
    """Reads one document, with all that the scanner mends."""

    _parentheses: list[_Parenthesis]
    _called = False
    """Whether the document was the argument of a function."""

    def _new(self) -> State:
        self._parentheses = []
        return super()._new()

    # Values

    def _value(self, state: State, mark: str) -> None:
        call = _CALL.match(self._text, state.at) if mark else None
        if mark == "(" or (call is not None and self._is_call(state, call[1])):
            self._open(state, call)
        else:
            if mark in ("{", "[") and self._parentheses:
                self._parentheses[-1].holds_container = True
            super()._value(state, mark)

    def _is_call(self, state: State, name: str) -> bool:
        return state.stack is None or name in _CONSTRUCTORS

    def _open(self, state: State, call: re.Match[str] | None) -> None:
        if state.start < 0:
            state.start = state.at
        start, end = call.span() if call else (state.at, state.at + 1)
        name, top = call[1] if call else "", state.stack is None
        self._parentheses.append(_Parenthesis(start, end, name, top))
        state.stack = ("(", state.place, state.stack)
        state.at = end
        state.mode = Mode.ITEM
        state.comma = -1
        if not call:
            state.place = self._evidence.item(state.place)

    def _close_parenthesis(self, state: State, *, empty: bool) -> None:
        opened = self._parentheses.pop()
        is_tuple = empty or opened.commas > 0
        if opened.function and empty:
            raise Stuck(state.at, "a value")
        if opened.function and opened.top:
            self._called = True
            ended = self._text[state.at + 1 : state.at + 2] == ";"
            known = opened.function in _CONSTRUCTORS
            if not (opened.holds_container or ended or known):
                raise Stuck(opened.start, "a value")
        self._drop_comma(state)
        rule = "function-call" if opened.function else "tuple"
        piece = self._text[opened.start : opened.end]
        state.fix(
            Edit(opened.start, rule, piece, "[" if is_tuple else ""),
            Edit(state.at, rule, ")", "]" if is_tuple else ""),
        )
        self._close(state)

    def _number(self, state: State) -> None:
        if not self._unquoted(state):
            super()._number(state)

    def _literal(self, state: State) -> None:
        text, at = self._text, state.at
        found = _TEXT_UNOPENED.match(text, at) if state.mode == Mode.VALUE else None
        if found is not None and state.stack is not None:
            state.fix(Edit(at, "opening-quote", "", '"'))
            state.at = found.end()
            self._close_value(state)
        elif not self._unquoted(state):
            super()._literal(state)

    def _unquoted(self, state: State) -> bool:
        """Read a text without quotes, where one surely stands."""
        found = _TEXT.match(self._text, state.at)
        if found is None or state.stack is None or state.stack[0] == "(":
            return False
        word = found[0].rstrip()
        types = self._evidence.types(state.place)
        if not _is_text(word, types):
            return False
        state.fix(Edit(state.at, "unquoted-string", word, f'"{word}"'))
        state.at += len(word)
        self._close_value(state)
        return True

    # Items and members

    def _item(self, state: State, mark: str) -> None:
        assert state.stack is not None
        in_parenthesis = state.stack[0] == "("
        if mark == ")" and in_parenthesis:
            empty = self._parentheses[-1].commas == 0
            self._close_parenthesis(state, empty=empty)
        elif mark == "]" and in_parenthesis:
            raise Stuck(state.at, "a value")
        elif not self._ellipsis(state):
            super()._item(state, mark)

    def _key(self, state: State, mark: str) -> None:
        if self._ellipsis(state):
            return
        found = _KEY_UNOPENED.match(self._text, state.at)
        if found is None:
            super()._key(state, mark)
            return
        state.member = state.at
        state.fix(Edit(state.at, "opening-quote", "", '"'))
        state.at = found.end()
        self._keyed(state, found[1])

    def _ellipsis(self, state: State) -> bool:
        """Leave out an ellipsis, and one comma, beside other items or members."""
        found = _ELLIPSIS.match(self._text, state.at)
        if found is None:
            return False
        state.fix(Edit(state.at, "ellipsis", found[0], ""))
        state.at = found.end()
        mark = self._skip(state)
        first = state.comma < 0
        if mark == ",":
            state.edits = (Edit(state.at, "ellipsis", ",", ""), state.edits)
            state.at += 1
            mark = self._skip(state) if first else ""
        elif not first and mark in ("]", "}", ")"):
            return True
        else:
            raise Stuck(state.at, "a comma behind the ellipsis")
        if mark in ("]", "}", ")"):
            raise Stuck(state.at, "a value")
        return True

    def _colon(self, state: State, mark: str) -> None:
        text, at = self._text, state.at
        if text[at - 1] in " \t\n\r" and VALUE_AHEAD.match(text, at):
            state.fix(Edit(at, "missing-colon", "", ":"))
            state.mode = Mode.VALUE
        else:
            super()._colon(state, mark)

    # What follows a value

    def _after(self, state: State, mark: str) -> None:
        assert state.stack is not None
        kind = state.stack[0]
        if mark == "+":
            self._join(state)
        elif kind == "(" and mark == ")":
            self._close_parenthesis(state, empty=False)
        elif kind == "(" and (mark != "," or self._parentheses[-1].function):
            raise Stuck(state.at, "the end of the parenthesis")
        elif kind == "[" and self._lacks_item_comma(state, mark):
            state.fix(Edit(state.value_end, "missing-item-comma", "", ","))
            self._next(state, kind, state.stack[1], -1)
        else:
            if kind == "(":
                self._parentheses[-1].commas += 1
            super()._after(state, mark)

    def _lacks_item_comma(self, state: State, mark: str) -> bool:
        """Whether a comma is missing behind a string, or between words on lines."""
        text, at = self._text, state.at
        gap = text[state.value_end : at]
        if "\n" in gap:
            return _ONE_WORD.match(text, at) is not None and self._is_word(state)
        behind_string = text[state.value_end - 1] in QUOTES
        return bool(gap) and behind_string and VALUE_AHEAD.match(text, at) is not None

    def _is_word(self, state: State) -> bool:
        """Whether what was read last is one word without quotes."""
        last = state.edits[0] if state.edits is not None else None
        if last is None or last.rule != "unquoted-string":
            return False
        ends = last.offset + len(last.removed) == state.value_end
        return ends and " " not in last.removed

    def _tail(self, state: State, mark: str) -> None:
        if mark == "+":
            self._join(state)
        elif mark == ";" and self._called:
            self._drop(state, "function-call", mark)
        else:
            super()._tail(state, mark)

    def _join(self, state: State) -> None:
        """Read the string behind a plus, and make it one with that in front of it."""
        text, end = self._text, state.value_end - 1
        gap = _GAP.match(text, state.at + 1)
        start = gap.end() if gap else state.at
        quote = text[start : start + 1]
        if text[end] not in QUOTES or quote not in CLOSING_QUOTES:
            raise Stuck(state.at, "a string on both sides of the plus")
        while state.edits is not None and state.edits[0].offset >= end:
            state.edits = state.edits[1]
        state.fix(Edit(end, "joined-strings", text[end : start + 1], ""))
        state.at = start
        self._string(state, quote, as_key=False)
        state.withdraw(start)
        self._close_value(state)


def _is_text(word: str, types: frozenset[str]) -> bool:
    """Whether `word` is a text, not a value or an expression that was misspelled."""
    if types and "string" not in types:
        return False
    if word.lower() in _NO_VALUES or word in LITERALS or word in FOREIGN_LITERALS:
        return False
    if _NOT_TEXT.search(word) or NUMBER.fullmatch(word) or number(word, types):
        return False
    if _NUMERIC.fullmatch(word):
        return _VERSION_OR_RANGE.fullmatch(word) is not None
    return True
