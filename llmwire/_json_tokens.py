"""The tokens of JSON, and those that writers mistake for them.

Regular expressions and tables; none backtracks beyond what it reads.
"""

from __future__ import annotations

import re
from typing import Final

STRING: Final = re.compile(
    r'"[^"\\\x00-\x1f]*+(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*+)*+"'
)
NUMBER: Final = re.compile(
    r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][+-]?[0-9]++)?+(?![\w.+\-])"
)
BLANK: Final = re.compile(r"[ \t\n\r]*+")
STRANGE_BLANK: Final = re.compile(
    "[\x0b\x0c\x85\xa0\u1680\u180e\u2000-\u200d\u2028\u2029\u202f\u205f\u2060\u3000\ufeff]++"
)
"""White space that JSON does not know."""
COMMENT: Final = re.compile(r"//[^\n\r]*+|\#[^\n\r]*+|/\*(?:[^*]++|\*(?!/))*+\*/")
WORD: Final = re.compile(r"[A-Za-z_$][\w$\-]*+", re.ASCII)
LITERALS: Final = frozenset({"true", "false", "null"})
FOREIGN_LITERALS: Final = {
    "None": "null",
    "True": "true",
    "False": "false",
    "NULL": "null",
    "TRUE": "true",
    "FALSE": "false",
    "Null": "null",
    "undefined": "null",
}
"""What other languages write for them."""
LOOSE_NUMBER: Final = re.compile(r"[+\-.0-9][\w.+\-]*+", re.ASCII)
BARE_KEY: Final = re.compile(
    r"(?:[A-Za-z_$][\w$\-]*+(?=\s*+(?:[:=]|：))|[0-9]{1,15}+(?=\s*+:))", re.ASCII
)
"""A key without quotes, and what makes it one."""
CLOSING_QUOTES: Final = {
    '"': '"',
    "'": "'",
    "“": "”",
    "”": "”",
    "„": "“”",
    "‘": "’",
    "’": "’",
    "＂": "＂",
}
"""What may close a string that one of these opens."""
QUOTES: Final = frozenset("".join(CLOSING_QUOTES) + "".join(CLOSING_QUOTES.values()))
BODIES: Final = {
    quote: re.compile(rf"[^{closing}\\]*+(?:\\.[^{closing}\\]*+)*+", re.DOTALL)
    for quote, closing in CLOSING_QUOTES.items()
}
"""From behind an opening quote to the first that may close it."""
KEY_AHEAD: Final = re.compile(
    r"""\s*+(?:"((?:[^"\\]|\\.){0,128}+)"|'([^'\\"\n]{0,128}+)'"""
    r"""|“([^”\n]{0,128}+)”|([A-Za-z_$][\w$\-]{0,128}+))\s*+(?::|=>?|：)"""
)
"""A key, and what separates it from its value."""
KEY_SHAPED: Final = re.compile(r"[A-Za-z_$][\w$.\-]*")
VALUE_AHEAD: Final = re.compile(r"""\s*+(?:["'{\[“]|-?[0-9]|(?:true|false|null)\b)""")
ITEM_AHEAD: Final = re.compile(rf"{VALUE_AHEAD.pattern}|\s*+\]")
CLOSER_AHEAD: Final = re.compile(r"\s*+\}")
COLON: Final = re.compile(r":|=>?|：")
HEAD: Final = re.compile(
    r"\s*+(?:```[\w+\-]*+|~~~[\w+\-]*+|<\|[^|<>]{1,64}\|>|<｜[^｜<>]{1,64}｜>"
    r"|<[A-Za-z_][\w:.\-]{0,63}(?:[ =][^<>\n]{0,128})?>|\ufeff|(?i:json)(?=[ \t]*\n))"
)
"""What may stand in front of a document without being part of it."""
TAIL: Final = re.compile(
    r"```|~~~|<\|[^|<>]{1,64}\|>|<｜[^｜<>]{1,64}｜>|</?[A-Za-z_][\w:.\-]{0,63}>"
    r"|\[/[A-Z_]{1,32}\]"
)
"""What may stand behind it."""


def number(token: str, types: frozenset[str]) -> str | None:
    """The JSON spelling of what nearly is a number; None where nothing is sure."""
    if re.fullmatch(r"0[xX][0-9a-fA-F]{1,16}", token):
        return str(int(token, 16)) if "integer" in types else None
    if re.fullmatch(r"-?0+[0-9]+", token):
        if "string" in types:
            return f'"{token}"'
        sign = "-" if token[0] == "-" else ""
        if not types & {"integer", "number"}:
            return None
        return sign + (token.lstrip("-0") or "0")
    plain = token.removeprefix("+")
    if re.fullmatch(r"-?[0-9]+(_[0-9]+)+", plain):
        plain = plain.replace("_", "")
    if re.match(r"-?\.[0-9]", plain):
        plain = plain.replace(".", "0.", 1)
    plain = re.sub(r"(?<=[0-9])\.(?![0-9])", ".0", plain, count=1)
    return plain if plain != token and NUMBER.fullmatch(plain) else None
