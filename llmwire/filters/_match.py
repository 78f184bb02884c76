"""Finding words in text that comes in pieces.

Knows text only. A word is found where it first stands, the longest of those that stand
there, and the answer does not depend on how the text was cut.

Theory of operation: for every word the table of Knuth, Morris and Pratt says how much
of it the end of the text could still become, so each character is looked at once per
word, whatever the words are. The text is held back from where the first word that is
still possible would begin, and no further: fewer characters than the longest word has.
A word that was found is given only when no other could begin before it, or at its
place and be longer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_OUT: Final = -1
"""State of a word that can no longer be the first."""


class Words:
    """What to look for. Empty words are left out, equal ones taken once."""

    __slots__ = ("begins", "tables", "words")

    def __init__(self, words: Iterable[str]) -> None:
        self.words: Final = tuple(dict.fromkeys(word for word in words if word))
        self.tables: Final = tuple(map(_borders, self.words))
        self.begins: Final = re.compile(beginnings(self.words)).search
        """Whether one of them may begin in a text, by its first two letters."""


def beginnings(words: Iterable[str]) -> str:
    """A pattern of how `words` begin: two letters, or one at the end of a text."""
    seconds: dict[str, set[str]] = {}
    for word in words:
        seconds.setdefault(word[0], set()).add(re.escape(word[1:2]))
    starts = [
        re.escape(first)
        if "" in then
        else f"{re.escape(first)}(?:[{''.join(sorted(then))}]|\\Z)"
        for first, then in seconds.items()
    ]
    return "|".join(starts) or "(?!)"


def _borders(word: str) -> list[int]:
    """Length of the longest border of every beginning of `word`."""
    borders = [0]
    length = 0
    for letter in word[1:]:
        while length and word[length] != letter:
            length = borders[length - 1]
        length += word[length] == letter
        borders.append(length)
    return borders


class Finder:
    """Looks for the first of some words in one text."""

    __slots__ = ("_best", "_states", "_words", "held")

    def __init__(self, words: Words) -> None:
        self._words = words
        self._states = [0] * len(words.words)
        self._best: tuple[int, str] | None = None
        self.held = ""
        """The end of the text so far, where it could become a word."""

    def feed(self, text: str) -> tuple[str, str | None, str]:
        """Take the next piece of the text.

        Returns:
            What is certainly before any word, the word that was found or None, and the
            text behind it. Once a word was found the finder starts anew.
        """
        base = len(self.held)
        if base:
            text = self.held + text
        elif self._words.begins(text) is None:
            return text, None, ""
        reach = 0
        for at, state in enumerate(self._states):
            if state == _OUT:
                continue
            word = self._words.words[at]
            state, end = self._advance(at, text, base)
            if end is not None:
                self._improve(end - len(word), word)
                state = _OUT
            self._states[at] = state
            reach = max(reach, state)
        best = self._best
        if best is None:
            clear = len(text) - reach
        elif not self._contested(len(text), *best):
            return self._settle(text, *best)
        else:
            clear = min(best[0], len(text) - max(self._states))
            self._best = (best[0] - clear, best[1])
        self.held = text[clear:]
        return text[:clear] if clear < len(text) else text, None, ""

    def finish(self) -> tuple[str, str | None, str]:
        """The text has ended: what `feed` would return, with nothing held back."""
        if self._best is not None:
            return self._settle(self.held, *self._best)
        text, self.held = self.held, ""
        self._states = [0] * len(self._states)
        return text, None, ""

    def _advance(self, at: int, text: str, start: int) -> tuple[int, int | None]:
        """How much of a word the end of `text` is; where the word ends if it does."""
        word, borders = self._words.words[at], self._words.tables[at]
        state = self._states[at]
        size = len(text)
        while start < size:
            if not state:
                start = text.find(word[0], start)
                if start < 0:
                    return 0, None
                state = 1
            else:
                while state and word[state] != text[start]:
                    state = borders[state - 1]
                if not state:
                    continue
                state += 1
            start += 1
            if state == len(word):
                return state, start
        return state, None

    def _improve(self, start: int, word: str) -> None:
        best = self._best
        if best is None or (start, -len(word)) < (best[0], -len(best[1])):
            self._best = (start, word)

    def _contested(self, size: int, start: int, best: str) -> bool:
        """Whether another word could still be first; drops those that cannot."""
        for at, state in enumerate(self._states):
            word = self._words.words[at]
            if state != _OUT and (size - state, -len(word)) > (start, -len(best)):
                self._states[at] = _OUT
        return any(state != _OUT for state in self._states)

    def _settle(self, text: str, start: int, word: str) -> tuple[str, str, str]:
        self._best, self.held = None, ""
        self._states = [0] * len(self._states)
        return text[:start], word, text[start + len(word) :]
