"""What the response side must remember of the request side.

A `Context` is plain data: frozen, picklable, small. It is made when a request is
encoded and given to whatever reads the answer, in the same process or another.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from llmwire.filters import Filter
from llmwire.filters.stops import StopFilter
from llmwire.filters.think import ThinkTagFilter
from llmwire.filters.unwrap import UnwrapFilter
from llmwire.messages import Extras
from llmwire.profiles import Profile

__all__ = ("Context",)


class Context(Struct, frozen=True, kw_only=True):
    """One request, as far as its answer depends on it."""

    source: str | None = None
    """Dialect of the client."""
    target: str
    """Dialect of the server."""
    model: str | None = None
    """Model that the client asked for."""
    upstream_model: str | None = None
    """Model that the server was asked for: whose signatures the answer holds."""
    stream: bool = False
    """The client wants a stream."""
    include_usage: bool = False
    """A Chat client wants the usage in its stream."""
    profile: Profile
    """Of the server."""
    tag: str | None = None
    """Opaque mark of the backend."""
    names: Mapping[str, str] = {}
    """Tool name as sent -> as the client knows it, where they differ."""
    custom: tuple[str, ...] = ()
    """Names as sent of custom tools that went as functions."""
    json_tool: str | None = None
    """Name as sent of the tool that stands for structured output."""
    stops: tuple[str, ...] = ()
    """Stop sequences to cut at."""
    choices: int = 1
    """Answers asked for."""
    echo: Extras | None = None
    """Members of the client's request that its dialect repeats in answers."""

    def filters(self) -> tuple[Filter, ...]:
        """Fresh filters that undo what the translation of the request did.

        Think tags become reasoning, names and emulated tools become what the client
        declared, text is cut at stop sequences; in this order. Often empty.
        """
        filters: list[Filter] = []
        if self.profile.think_tags:
            filters.append(ThinkTagFilter(self.profile.think_tags))
        if self.names or self.custom or self.json_tool:
            filters.append(UnwrapFilter(self.names, self.custom, self.json_tool))
        if self.stops:
            filters.append(StopFilter(self.stops, choices=self.choices))
        return tuple(filters)
