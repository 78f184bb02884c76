"""Part indices of a filter that adds or leaves out parts: 0, 1, 2 … as they go out.

A record of numbers, nothing more. The filter says which part starts when; every other
event is moved to the index that its part has on the way out.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec.structs import replace

from llmwire.events import ArgumentsDelta, Event, TextDelta


class Numbering:
    """Maps the indices of the parts that come in to those that go out.

    Grows with the number of parts, which whoever reads the stream limits.
    """

    __slots__ = ("_counts", "_out", "_places", "out")

    def __init__(self) -> None:
        self._out: dict[int, int] = {}
        self.out: Final = self._out.get
        """Where the part that came in as an index goes out; None: it does not."""
        self._places: list[str] = []
        self._counts: dict[int, int] = {}

    def start(self, index: int, choice: int) -> int:
        """The part that came in as `index` goes out now: its index from here on."""
        self._out[index] = out = self.add(choice)
        return out

    def add(self, choice: int) -> int:
        """A part that did not come in goes out now: its index."""
        at = self._counts.get(choice, 0)
        self._counts[choice] = at + 1
        self._places.append(f"choices[{choice}].parts[{at}]")
        return len(self._places) - 1

    def alias(self, index: int, out: int) -> None:
        """What names the incoming part `index` is meant for the outgoing `out`."""
        self._out[index] = out

    def place(self, out: int) -> str:
        """Path of the outgoing part `out` in the neutral answer, for a `Loss`."""
        return self._places[out]

    def moved(self, event: Event) -> tuple[Event, ...]:
        """`event` with the index on the way out; nothing where its part has none."""
        index: int | None = getattr(event, "index", None)
        if index is None:
            return (event,)
        out = self._out.get(index)
        if out == index:
            return (event,)
        if out is None:
            return ()
        if isinstance(event, (TextDelta, ArgumentsDelta)):
            return (type(event)(out, event.text),)
        changed: Any = replace(event, index=out)
        return (changed,)
