"""The table of keys in docs/configuration.md, made from the tree.

`python -m tests.configuration_keys` writes it anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from msgspec import NODEFAULT

from llmwire_server.config import SHAPE
from llmwire_server.config.rules import RULES
from llmwire_server.config.shapes import Many, Map, Record, Scalar, Shape

PAGE = Path(__file__).resolve().parent.parent / "docs" / "configuration.md"
BEGIN = "<!-- keys: written by python -m tests.configuration_keys -->\n"
END = "<!-- end of keys -->\n"


_GENERAL = {
    key.shape.type: key.name for key in SHAPE.keys if isinstance(key.shape, Record)
}
"""Records that stand at the top, and elsewhere with the same keys."""


def table() -> str:
    """The table, one row for every key."""
    head = "| key | value | default | |\n|---|---|---|---|\n"
    return head + "".join(f"| {' | '.join(row)} |\n" for row in _rows(SHAPE, ""))


def _rows(shape: Record, above: str) -> Iterator[tuple[str, str, str, str]]:
    for key in shape.keys:
        path = above + key.name
        about = key.description.replace("|", "\\|")
        inner = _inner(key.shape)
        told = inner is not None and above and inner.type in _GENERAL
        if not isinstance(key.shape, Record) and not told:
            default = "needed" if key.default is NODEFAULT else _default(key)
            name = f"{path}.NAME" if isinstance(key.shape, Map) else path
            yield f"`{name}`", _value(key.shape), default, about
        if inner is not None and above and inner.type in _GENERAL:
            name, general = f"{path}{_joint(key.shape)}…", _GENERAL[inner.type]
            yield f"`{name}`", "", "", f"{about}; keys as `{general}`"
        elif inner is not None:
            yield from _rows(inner, path + _joint(key.shape))


def _inner(shape: Shape) -> Record | None:
    entry = shape.item if isinstance(shape, Many) else shape
    entry = entry.value if isinstance(entry, Map) else entry
    return entry if isinstance(entry, Record) else None


def _joint(shape: Shape) -> str:
    return {Many: "[].", Map: ".NAME."}.get(type(shape), ".")


def _value(shape: Shape) -> str:
    if isinstance(shape, Many):
        item = "records" if isinstance(shape.item, Record) else _value(shape.item)
        return f"list of {item}"
    if isinstance(shape, Map):
        return "record" if isinstance(shape.value, Record) else _value(shape.value)
    assert isinstance(shape, Scalar)
    if shape.choices:
        return ", ".join(f"`{choice}`" for choice in shape.choices)
    rule = RULES[shape.rule] if shape.rule else None
    if rule is not None and rule.known is not None and shape.rule == "dialect":
        return ", ".join(f"`{name}`" for name in rule.known())
    words = {"bytes": "size", "seconds": "time", None: shape.kind}
    return words[shape.unit] + _bounds(shape)


def _bounds(shape: Scalar) -> str:
    low, high = shape.least, shape.most
    if low is None:
        return ""
    return f", {low}–{high}" if high is not None else f", {low} or more"


def _default(key: Any) -> str:
    value = key.default
    if value is None or value in ((), {}, ""):
        return ""
    if isinstance(value, bool):
        return "`true`" if value else "`false`"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if key.shape.unit == "bytes":
        for unit, size in (("MiB", 2**20), ("KiB", 2**10)):
            if value % size == 0:
                return f"`{value // size}{unit}`"
    return f"`{value}`"


def written(page: str) -> str:
    """The page with the table as it is now."""
    before, _, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    assert end, "the page has no place for the table"
    return before + BEGIN + "\n" + table() + "\n" + END + after


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
