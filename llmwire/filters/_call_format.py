"""What is to be known of one way to write calls as text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

from msgspec import Struct

from llmwire.filters._call_bodies._ending import Ending
from llmwire.filters._call_bodies._found import FoundCall, Tools

__all__ = ("CallFormat",)

Parse: TypeAlias = Callable[[str, Tools], "Sequence[FoundCall] | None"]


class CallFormat(Struct, frozen=True, kw_only=True):
    """One way to write calls."""

    name: str
    openers: tuple[str, ...]
    parse: Parse
    """Reads what stands between the opening and the closing word."""
    closers: tuple[str, ...] = ()
    """Any of them ends it; none: it ends with the value that it is."""
    value: str = ""
    """Brackets with which that value may begin."""
    ending: Callable[[str, Tools], Ending] | None = None
    """Tells where the text ends that `parse` reads, the closing word behind it; None:
    every closing word is tried, or the value ends it."""
    begins: tuple[str, ...] = ()
    """What may stand behind the opening word; none: anything."""
    kept: bool = False
    """The opening word belongs to what is read."""
    place: Literal["anywhere", "line", "start"] = "anywhere"
    open_ended: bool = False
    """The closing word may be missing at the end of the text."""
    trailers: tuple[str, ...] = ()
    """What belongs to it where it follows."""
    reasoning: bool = False
    """Models write it in their thoughts and mean it."""
    opt_in: bool = False
