"""A slow judge of think tags: reads the definition literally, over the whole text."""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import Struct

from llmwire.filters.think import ThinkTags, Thought, Thoughts

PATIENCE = 256
ATTRIBUTES = 256


class Options(Struct, frozen=True):
    """How a text is read."""

    rows: tuple[ThinkTags, ...]
    implicit: bool = False
    retroactive: int = 0
    tools: tuple[str, ...] = ()
    trim: bool = False


class _Opening(Struct):
    row: ThinkTags
    literal: str
    answer: bool

    def size(self, text: str) -> int:
        """How much of the beginning of `text` it is."""
        flags = re.ASCII | (re.IGNORECASE if self.row.ignore_case else 0)
        found = re.match(re.escape(self.literal), text, flags)
        if found:
            return found.end()
        if self.row.attributes:
            stem = re.match(re.escape(self.literal[:-1]), text, flags)
            if stem:
                rest = text[stem.end() : stem.end() + ATTRIBUTES]
                inside, end, _ = rest.partition(">")
                plain = "<" not in inside and not inside.endswith("/")
                if inside[:1].isspace() and end and plain:
                    return stem.end() + len(inside) + 1
        return 0


def _openings(options: Options) -> list[_Opening]:
    found = [_Opening(r, word, False) for r in options.rows for word in r.openings]
    found += [_Opening(r, word, True) for r in options.rows for word in r.answers]
    return sorted(found, key=lambda each: len(each.literal))


def _opened(options: Options, text: str) -> tuple[_Opening | None, int]:
    """The opening in front of `text`, and where what follows it begins."""
    bare = text.lstrip()
    blank = len(text) - len(bare)
    if blank <= PATIENCE:
        for opening in _openings(options):
            size = opening.size(bare)
            if size:
                return opening, blank + size
    return None, 0


def _first(words: Sequence[str], text: str, *, ignore_case: bool) -> tuple[int, int]:
    """Where the first of `words` stands, the longest there; -1: none does."""
    flags = re.ASCII | (re.IGNORECASE if ignore_case else 0)
    longest = sorted((w for w in words if w), key=len, reverse=True)
    found = re.search("|".join(map(re.escape, longest)) or "(?!)", text, flags)
    return (found.start(), found.end()) if found else (-1, 0)


def judged(text: str, options: Options) -> Thoughts:
    """The thoughts in `text`, and the text without them."""
    exact = [r for r in options.rows if not r.ignore_case]
    closings = [word for row in exact for word in row.closings]
    thoughts: list[Thought] = []
    rest, fresh = text, True
    while True:
        opening, behind = _opened(options, rest)
        row: ThinkTags | None = None
        seen = len(rest)
        if opening is not None and opening.answer:
            return Thoughts(tuple(thoughts), _without(rest[behind:], opening.row))
        if opening is not None:
            row, rest = opening.row, rest[behind:]
        elif fresh and options.implicit and (rest.strip() or len(rest) > PATIENCE):
            pass
        elif fresh and _closes_early(rest, closings, options):
            seen = options.retroactive
        else:
            break
        fresh = False
        ends = list(row.closings) if row else closings
        case = bool(row and row.ignore_case)
        start, end = _first([*ends, *options.tools], rest[:seen], ignore_case=case)
        inside = rest if start < 0 else rest[:start]
        by_call = start >= 0 and _is_tool(rest[start:end], options, case)
        if options.trim:
            inside = _once(inside, row, options)
        if inside.strip() or len(inside) > PATIENCE:
            if options.trim:
                inside = inside.removeprefix("\n")
            if options.trim and start >= 0 and not by_call:
                inside = inside.removesuffix("\n")
            thoughts.append(Thought(inside, start >= 0))
        if start < 0:
            return Thoughts(tuple(thoughts), "")
        if by_call:
            at, behind = _first(ends, rest[start:], ignore_case=case)
            said = rest[start:]
            said = said if at < 0 else said[:at] + said[behind:]
            return Thoughts(tuple(thoughts), said)
        rest = rest[end:]
    if fresh:
        return Thoughts((), rest)
    if not rest.strip() and len(rest) <= PATIENCE:
        return Thoughts(tuple(thoughts), "")
    if options.trim:
        rest = re.sub(r"\A\n{1,2}", "", rest)
    return Thoughts(tuple(thoughts), rest)


def _is_tool(word: str, options: Options, case: bool) -> bool:
    if case:
        return word.lower() in [tool.lower() for tool in options.tools]
    return word in options.tools


def _closes_early(text: str, closings: Sequence[str], options: Options) -> bool:
    held = text[: options.retroactive]
    start, end = _first([*closings, *options.tools], held, ignore_case=False)
    return start >= 0 and held[start:end] not in options.tools


def _without(text: str, row: ThinkTags) -> str:
    start, end = _first(row.answer_ends, text, ignore_case=False)
    return text if start < 0 else text[:start] + text[end:]


def _once(text: str, row: ThinkTags | None, options: Options) -> str:
    """`text` without the tags that say again that it is a thought."""
    while row is not None:
        opening, behind = _opened(options, text)
        if opening is None or opening.answer or opening.row != row:
            break
        text = text[behind:]
    return text
