"""Which tool a model means by a name that it got wrong.

Knows names, and nothing of arguments. Exact first, then without what models put around
names, then without case and separators, then with one slip of the pen; a step counts
only if it leads to one tool.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final, Literal, TypeAlias

from llmwire._coercion import folded

NameRule: TypeAlias = Literal["exact", "name-debris", "name-case", "name-typo"]

_LONGEST: Final = 256
_SHORTEST_TYPO: Final = 6
_PREFIX: Final = re.compile(
    r"(?:functions?|tools?|default_api|multi_tool_use|proxy)[.:/]|mcp__[^_]+(?:_[^_]+)*__|proxy_"
)
_DEBRIS: Final = re.compile(r"<\||\(|\s|[\"'`]")
_SUFFIX: Final = re.compile(r":[0-9]{1,4}\Z")


class ToolNames:
    """The names of the tools that there are."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = tuple(dict.fromkeys(names))
        self._known = frozenset(self._names)
        self._folded: dict[str, list[str]] = {}
        for name in self._names:
            self._folded.setdefault(folded(name), []).append(name)

    def meant(self, name: str) -> tuple[str, NameRule] | None:
        """The tool that `name` means, and by which rule; None: none for certain."""
        if name in self._known:
            return name, "exact"
        if len(name) > _LONGEST:
            return None
        forms = list(dict.fromkeys(_stripped(name)))
        for form in forms:
            if form in self._known:
                return form, "name-debris"
        for form in forms:
            alike = self._folded.get(folded(form), []) if folded(form) else []
            if alike:
                return (alike[0], "name-case") if len(alike) == 1 else None
        near = {n for form in forms for n in self._names if is_slip(form, n)}
        return (near.pop(), "name-typo") if len(near) == 1 else None


def _stripped(name: str) -> Iterator[str]:
    """`name`, with less and less of what does not belong to it."""
    name = name.strip().strip("\"'`")
    yield name
    name = _DEBRIS.split(name, maxsplit=1)[0]
    yield name
    name = _SUFFIX.sub("", name)
    yield name
    while (prefix := _PREFIX.match(name)) is not None:
        name = name[prefix.end() :]
        yield name


def is_slip(written: str, meant: str) -> bool:
    """Whether one letter was left out, added, changed, or two exchanged.

    Names shorter than 6 are too easily others; digits tell things apart.
    """
    if min(len(written), len(meant)) < _SHORTEST_TYPO or written == meant:
        return False
    start = 0
    for left, right in zip(written, meant, strict=False):
        if left != right:
            break
        start += 1
    end = 0
    for left, right in zip(
        reversed(written[start:]), reversed(meant[start:]), strict=False
    ):
        if left != right:
            break
        end += 1
    one, other = written[start : len(written) - end], meant[start : len(meant) - end]
    if any(letter.isdigit() for letter in one + other):
        return False
    return max(len(one), len(other)) == 1 or (len(one) == 2 and one == other[::-1])
