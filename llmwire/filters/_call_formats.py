"""The formats in which models write calls as text, and what they are for given tools.

Sources: the chat templates of the models, and the parsers of the engines that serve
them. `{tool}` in a mark stands for the name of every tool that was declared. Words of
`begins` are compared with what stands behind the opening word, white space left out of
both.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from msgspec.structs import replace

from llmwire.errors import LocalProtocolError
from llmwire.filters._call_bodies._found import PREFIXES
from llmwire.filters._call_format import CallFormat
from llmwire.filters._json_call_formats import JSON_FORMATS
from llmwire.filters._tagged_call_formats import TAGGED_FORMATS

__all__ = ("FORMATS", "CallFormat", "chosen", "expanded", "for_reasoning")

FORMATS: Final = JSON_FORMATS + TAGGED_FORMATS
"""Every format; several entries of one name are its variants."""


def chosen(names: Iterable[str] | None) -> tuple[CallFormat, ...]:
    """The formats of these names; None: all but those that must be asked for.

    Raises:
        LocalProtocolError: There is no such format.
    """
    if names is None:
        return tuple(form for form in FORMATS if not form.opt_in)
    wanted = frozenset(names)
    known = {form.name for form in FORMATS}
    for name in sorted(wanted - known):
        raise LocalProtocolError(
            f"there is no format `{name}` of calls, but {', '.join(sorted(known))}"
        )
    return tuple(form for form in FORMATS if form.name in wanted)


def for_reasoning(formats: Iterable[CallFormat]) -> tuple[CallFormat, ...]:
    """Those that models mean where they think; but for Kimi's only at line starts."""
    return tuple(
        form if form.name == "kimi-k2" else replace(form, place="line")
        for form in formats
        if form.reasoning
    )


def expanded(form: CallFormat, names: Sequence[str]) -> list[CallFormat]:
    """`form` with the names of the tools in its marks."""
    spelled = [*names, *(f"{prefix}{name}" for prefix in PREFIXES for name in names)]
    begins = tuple(dict.fromkeys(_filled(form.begins, spelled)))
    if not any("{tool}" in word for word in (*form.openers, *form.closers)):
        return [replace(form, begins=begins)]
    return [
        replace(
            form,
            openers=tuple(_filled(form.openers, [name])),
            closers=tuple(_filled(form.closers, [name])),
            begins=tuple(_filled(form.begins, [name])),
        )
        for name in names
    ]


def _filled(words: Iterable[str], names: Sequence[str]) -> Iterable[str]:
    for word in words:
        if "{tool}" in word:
            for name in names:
                yield word.replace("{tool}", name)
        else:
            yield word
