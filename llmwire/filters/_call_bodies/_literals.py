r"""Literals of Python and JSON, read into the text of JSON. Nothing is evaluated.

Knows strings (raw ones and such in three quotes too), numbers, the words for truth and
nothing in both languages, lists and dictionaries. Escapes are those of Python, which
hold those of JSON except `\/`; two that stand for one character beyond U+FFFF are
joined. A line feed may stand in a string, for models forget to escape it. What else a
literal of Python can be (tuples, sets, bytes, complex numbers, texts side by side) has
no like in JSON and is refused.
"""

from __future__ import annotations

import json
import re
from typing import Final

__all__ = ("blank_end", "json_string", "read_literal")

_DEEPEST: Final = 128
"""Lists and dictionaries in each other; deeper ones are refused."""
_BLANK: Final = re.compile(r"[ \t\r\n\f]*+")
_QUOTE: Final = re.compile(r"([rR]?)('''|\"\"\"|'|\")")
_STRINGS: Final = {
    '"': re.compile(r'[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL),
    "'": re.compile(r"[^'\\]*+(?:\\.[^'\\]*+)*+'", re.DOTALL),
    '"""': re.compile(r'(?:[^"\\]++|\\.|"(?!""))*+"""', re.DOTALL),
    "'''": re.compile(r"(?:[^'\\]++|\\.|'(?!''))*+'''", re.DOTALL),
}
_ESCAPE: Final = re.compile(
    r"\\(?:\r\n|[0-7]{1,3}|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)",
    re.DOTALL,
)
_LETTERS: Final = {
    "\n": "",
    "\r": "",
    "\r\n": "",
    "\\": "\\",
    "'": "'",
    '"': '"',
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
}
_UNFINISHED: Final = re.compile(r"[xuUN]")
_NUMBER: Final = re.compile(
    r"([-+]?)(?:(0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][01]+)"
    r"|((?:0|[1-9][0-9]*(?:_[0-9]+)*)?)(?:\.([0-9]*))?([eE][-+]?[0-9]+)?)(?![\w.])"
)
_LONGEST: Final = 4000
"""Digits of a whole number that is not decimal."""
_WORD: Final = re.compile(r"(?:True|False|None|true|false|null)\b")
_WORDS: Final = {"True": "true", "False": "false", "None": "null"}
_CLOSERS: Final = {"[": "]", "{": "}"}


def json_string(text: str) -> str:
    """`text` as a JSON string; half of a surrogate pair stays an escape."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(text)
    return json.dumps(text, ensure_ascii=False)


def blank_end(text: str, at: int) -> int:
    """Where the white space at `at` ends."""
    return _BLANK.match(text, at).end()  # type: ignore[union-attr]  # it matches nothing too


def read_literal(text: str, at: int) -> tuple[str, int] | None:
    """The JSON of the literal at `at`, and where it ends. None: it is none."""
    pieces: list[str] = []
    open_: list[str] = []
    at = blank_end(text, at)
    wanted = "value"
    while True:
        mark = text[at : at + 1]
        if open_ and mark == open_[-1] and (wanted == "next" or _closable(pieces[-1])):
            if pieces[-1] == ",":
                pieces.pop()
            pieces.append(open_.pop())
            at, wanted = at + 1, "next"
        elif wanted == "next":
            if mark != ",":
                return None
            pieces.append(",")
            at, wanted = at + 1, "key" if open_[-1] == "}" else "value"
        elif wanted == "value" and mark in _CLOSERS:
            if len(open_) == _DEEPEST:
                return None
            pieces.append(mark)
            open_.append(_CLOSERS[mark])
            at, wanted = at + 1, "key" if mark == "{" else "value"
        else:
            scalar = _string(text, at) if wanted == "key" else _scalar(text, at)
            if scalar is None:
                return None
            pieces.append(scalar[0])
            at = scalar[1]
            if wanted == "key":
                at = blank_end(text, at)
                if text[at : at + 1] != ":":
                    return None
                pieces.append(":")
                at, wanted = at + 1, "value"
            else:
                wanted = "next"
        if not open_:
            return "".join(pieces), at
        at = blank_end(text, at)


def _closable(last: str) -> bool:
    return last in (",", "[", "{")


def _scalar(text: str, at: int) -> tuple[str, int] | None:
    word = _WORD.match(text, at)
    if word is not None:
        return _WORDS.get(word[0], word[0]), word.end()
    return _string(text, at) or _number(text, at)


def _number(text: str, at: int) -> tuple[str, int] | None:
    found = _NUMBER.match(text, at)
    if found is None:
        return None
    sign, other, whole, fraction, power = found.groups()
    minus = sign.removeprefix("+")
    if other is not None:
        if len(other) > _LONGEST:
            return None
        return f"{minus}{int(other, 0)}", found.end()
    if not whole and not fraction:
        return None
    written = minus + (whole.replace("_", "") or "0")
    if fraction is not None:
        written += "." + (fraction or "0")
    return written + (power or ""), found.end()


def _string(text: str, at: int) -> tuple[str, int] | None:
    opening = _QUOTE.match(text, at)
    if opening is None:
        return None
    raw, quote = opening.groups()
    closing = _STRINGS[quote].match(text, opening.end())
    if closing is None:
        return None
    inner = text[opening.end() : closing.end() - len(quote)]
    if not raw and "\\" in inner:
        if any(_broken(escape[0]) for escape in _ESCAPE.finditer(inner)):
            return None
        inner = _joined(_ESCAPE.sub(_unescaped, inner))
    return json_string(inner), closing.end()


def _broken(escape: str) -> bool:
    """Whether Python refuses the escape, or needs a table of names for it."""
    if escape[1] == "U" and len(escape) > 2:
        return int(escape[2:], 16) > 0x10FFFF
    return len(escape) == 2 and _UNFINISHED.match(escape[1]) is not None


def _unescaped(found: re.Match[str]) -> str:
    what = found[0][1:]
    if what in _LETTERS:
        return _LETTERS[what]
    if what[0] in "xuU":
        return chr(int(what[1:], 16))
    if what[0] in "01234567":
        return chr(int(what, 8))
    return found[0]


def _joined(text: str) -> str:
    """`text` with its surrogate pairs as the characters that they stand for."""
    return text.encode("utf-16-le", "surrogatepass").decode(
        "utf-16-le", "surrogatepass"
    )
