"""The content of a string that is no JSON, respelled as JSON without changing it.

Knows escapes and what writers get wrong about them; knows no structure. Where a
backslash can mean two things the answer is None, never a guess.

Theory of operation: a writer who forgot to double the backslashes of a string forgot
all of them. So one escape that JSON does not have (`\\d`) makes every single backslash
of its string a literal one. `\\n`, `\\r`, `\\t` and `\\u0041` could still be meant as
escapes: they are kept where the string is plainly several lines of text, taken
literally where the string is a path with a drive, and undecided everywhere else.
"""

from __future__ import annotations

import re
from typing import Final

from llmwire._json_edits import Edit

_MARK: Final = re.compile(r'\\(u[0-9a-fA-F]{4}|.|\Z)|["\x00-\x1f]', re.DOTALL)
_KNOWN: Final = frozenset('"\\/bfnrtu')
_CONTROLS: Final = {"\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_DRIVE_PATH: Final = re.compile(r'[A-Za-z]:(?:\\[^\\/:*?"<>|\x00-\x1f]++)++\\?+')
_ENDS_LIKE_LINE: Final = re.compile(r"\\[nrt]\\?\Z")
_IN_PATTERN: Final = re.compile(r"[/\[(|^]\\[nrt]|\\[nrt][*+?\])|{/]")
_TABS: Final = re.compile(r"(?:\\t)*+")
_ESCAPE_OR: Final = {
    quote: re.compile(rf"\\.|{quote}", re.DOTALL) for quote in "\"'”“’＂"
}
_MEMBERS: Final = {
    quote: re.compile(rf"(?<![\w$.\-])([\w$.\-]++){quote}\s*+:") for quote in _ESCAPE_OR
}
"""A word that is followed by this quote and a colon."""
_ADDED: Final = re.compile(r"\s*+\+\s*+(?:[\"'“”‘’„＂]|[^\W\d])")
"""A plus and a string or a name: what stands in front of it was a string of its own."""
_OPENED: Final = re.compile("[„“«]")
"""A quotation that a straight quote may end."""
_PYTHON: Final = re.compile(
    r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL
)
_PYTHON_SHORT: Final = {"a": "\\u0007", "v": "\\u000b", "0": "\\u0000", "'": "'"}


def respelled(
    content: str, quote: str, offset: int, pythonic: bool
) -> list[Edit] | None:
    """The edits that make `content` that of a JSON string.

    Args:
        content: What stands between two quotes.
        quote: The quote in front of it.
        offset: Where it stands, for the edits.
        pythonic: Escapes are those of a Python (or JavaScript) literal.

    Returns:
        The edits in order; None where it could mean two things.
    """
    marks = list(_MARK.finditer(content))
    spelled = dict[int, tuple[str, str]]()
    escapes = [mark for mark in marks if mark[0][0] == "\\"]
    if pythonic or quote == "'":
        for escape in escapes:
            changed = _python_escape(content, escape.start())
            if changed is None:
                return None
            spelled[escape.start()] = changed
    else:
        doubled = _doubled(content, escapes)
        if doubled is None:
            return None
        for escape in escapes:
            if escape.start() in doubled:
                spelled[escape.start()] = ("\\", doubled[escape.start()])
    edits: list[Edit] = []
    for mark in marks:
        at = mark.start()
        if at in spelled:
            removed, inserted = spelled[at]
            if removed != inserted:
                edits.append(Edit(offset + at, "escape", removed, inserted))
        elif mark[0] == '"':
            rule = "inner-quote" if quote == '"' else "quotes"
            edits.append(Edit(offset + at, rule, '"', '\\"'))
        elif mark[0][0] != "\\":
            inserted = _CONTROLS.get(mark[0]) or f"\\u{ord(mark[0]):04x}"
            edits.append(Edit(offset + at, "control-character", mark[0], inserted))
    return edits


def _python_escape(content: str, at: int) -> tuple[str, str] | None:
    """The escape at `at` of a Python literal, and the same for JSON."""
    found = _PYTHON.match(content, at)
    if found is None:
        return None
    byte, short, long, letter = found.groups()
    if byte:
        return found[0], f"\\u00{byte}"
    if long:
        code = int(long, 16)
        return (found[0], chr(code)) if 0x20 <= code <= 0x10FFFF else None
    if short or letter in '"\\bfnrt':
        return found[0], found[0]
    if letter in _PYTHON_SHORT and not content[at + 2 : at + 3].isdigit():
        return found[0], _PYTHON_SHORT[letter]
    if letter < " " or letter.isdigit() or letter in "xuUN/":
        return None
    return "\\", "\\\\"


def _doubled(content: str, escapes: list[re.Match[str]]) -> dict[int, str] | None:
    """What stands for the backslash at these places; None where it is not sure."""
    letters = {escape[1][:1] for escape in escapes}
    wrong = {
        escape[1][:1]
        for escape in escapes
        if escape[1][:1] not in _KNOWN or escape[1] == "u"
    }
    if not wrong:
        return {}
    if "\\" in letters or any(not w or w < " " for w in wrong):
        return None
    if wrong == {"'"}:
        return _apostrophes(content, escapes)
    if "'" in wrong:
        return None
    kept = _kept_escapes(content, escapes)
    if kept is None:
        return None
    return {e.start(): "\\\\" for e in escapes if e[1][:1] not in kept}


def _apostrophes(content: str, escapes: list[re.Match[str]]) -> dict[int, str] | None:
    """Of a string whose only wrong escape is `\\'`."""
    places = [escape.start() for escape in escapes if escape[1] == "'"]
    if content.count("'") == len(places):  # escaped though it need not be
        return dict.fromkeys(places, "")
    if content.count("'\\''") == len(places) and len(places) == len(escapes):
        return dict.fromkeys(places, "\\\\")  # how a shell writes an apostrophe
    return None


def _kept_escapes(content: str, escapes: list[re.Match[str]]) -> frozenset[str] | None:
    """Letters whose escapes are meant, in a string that has wrong ones too."""
    hard = {e[1][:1] for e in escapes if e[1][:1] in "nrt" or len(e[1]) == 5}
    if not hard:
        return frozenset('"')
    if _DRIVE_PATH.fullmatch(content) and not _ENDS_LIKE_LINE.search(content):
        return frozenset('"')
    if "u" not in hard and _is_lines(content):
        return frozenset('"nrt')
    return None


def holds_quotations(content: str, quote: str, keys: frozenset[str]) -> bool:
    """Whether the unescaped quotes inside `content` look like content.

    They do not where another mistake explains them as well: a key stands in front of
    one, so that a member was swallowed; the first one ends a word, as the end of the
    string would, or something is added behind it; or the last of an odd number opens
    behind a comma, or at the start.

    Args:
        content: What stands between two quotes.
        quote: What the string was closed with.
        keys: Keys that could have been swallowed; empty: any.
    """
    marks = _ESCAPE_OR[quote].finditer(content)
    places = [found.start() for found in marks if found[0] == quote]
    if not places:
        return True
    for member in _MEMBERS[quote].finditer(content):
        if not keys or member[1] in keys:
            return False
    first = places[0]
    if _ADDED.match(content, first + 1):
        return False
    before, behind = content[max(first - 1, 0) : first], content[first + 1 : first + 3]
    ends_word = before.isalnum() and not before.isdigit()
    ends_word = ends_word and not _OPENED.search(content, 0, first)
    if ends_word and (behind[:1] in " \t\n,]}:+" or behind in ("\\n", "\\t")):
        return False
    opened = content[max(0, places[-1] - 8) : places[-1]].rstrip()
    return len(places) % 2 == 0 or opened[-1:] not in ("", *",:[{")


def are_meant(content: str) -> bool:
    """Whether the escapes of a string are surely such.

    Asked where another string of the same text shows that its writer does not double
    backslashes.
    """
    letters = {escape[1] for escape in _MARK.finditer(content) if escape[1]}
    if not letters <= frozenset('"/nrt'):
        return False
    return not letters & frozenset("nrt") or _is_lines(content, indented=False)


def _is_lines(content: str, *, indented: bool = True) -> bool:
    """Whether every `\\n` of `content` ends a line and every `\\t` indents one.

    A line in which a quotation stays open could be the first half of a literal with
    an escape in it, and what stands beside signs of a pattern could belong to one.
    With `indented` at least one line must be, as in the sources of programs.
    """
    if _IN_PATTERN.search(content):
        return False
    plain = content.replace("\\r\\n", "\\n")
    lines = plain.split("\\n")
    if len(lines) < 2 or "\\r" in plain:
        return False
    for line in lines:
        text = line[_TABS.match(line).end() :]  # type: ignore[union-attr]  # matches
        if "\\t" in text or any(text.count(quote) % 2 for quote in "\"'`"):
            return False
    if not indented:
        return True
    return any(line[:1] == " " or line[:2] == "\\t" for line in lines[1:])
