"""Choices that a filter ends before the model does.

Knows the events and how many choices are expected; not why one is cut.

Rules:
1. A choice that is cut ends as `max_tokens`. Where no other choice goes on, or is still
   expected, the answer ends with it.
2. What the upstream still says in such a choice is left out, but for `Extra`.
"""

from __future__ import annotations

from collections.abc import Sequence

from llmwire.events import Event, Extra, MessageEnd, PartEnd, PartStart, StreamEnd
from llmwire.filters._numbering import Numbering

__all__ = ("ChoiceCuts",)


class ChoiceCuts:
    """Follows the choices of one answer.

    Args:
        expected: How many choices were asked for.
    """

    __slots__ = (
        "_choice_of",
        "_cut",
        "_expected",
        "_going",
        "_numbering",
        "_open",
        "ended",
        "made",
    )

    def __init__(self, expected: int) -> None:
        self.ended: MessageEnd | None = None
        """Set once the whole answer was ended here."""
        self.made = False
        """A choice was cut: events do not go out as they come in any more."""
        self._expected = expected
        self._numbering = Numbering()
        self._choice_of: dict[int, int] = {}
        self._open: dict[int, dict[int, None]] = {}
        """By choice: its parts that are open."""
        self._going: set[int] = set()
        self._cut: dict[int, MessageEnd] = {}

    def start(self, event: PartStart) -> bool:
        """A part starts; False: its choice is cut, and it does not go out."""
        index, choice = event.index, event.choice
        self._choice_of[index] = choice
        if choice in self._cut:
            return False
        if choice not in self._open:
            self._open[choice] = {}
            self._going.add(choice)
        self._open[choice][index] = None
        self._numbering.start(index, choice)
        return True

    def end(self, event: PartEnd) -> None:
        """A part ends; it still goes through `moved`."""
        choice = self._choice_of.get(event.index)
        if choice is not None and choice not in self._cut:
            self._open[choice].pop(event.index, None)

    def choice_of(self, index: int) -> int:
        """The choice of a part that started."""
        return self._choice_of[index]

    def place(self, index: int) -> str:
        """Path in the neutral answer of the part that came in as `index`."""
        out = self._numbering.out(index)
        assert out is not None, "it went out"
        return self._numbering.place(out)

    def is_cut(self, index: int) -> bool:
        """Whether the choice of part `index` is cut."""
        return self._choice_of.get(index) in self._cut

    def open_parts(self, choice: int) -> list[int]:
        """The parts of `choice` that did not end."""
        return list(self._open[choice])

    def cut(self, choice: int) -> list[Event]:
        """`choice` is over: its end, or that of the answer."""
        self.made = True
        self._cut[choice] = end = MessageEnd("max_tokens", choice=choice)
        self._open[choice] = {}
        self._going.discard(choice)
        return self._finish() or [end]

    def _finish(self) -> list[Event]:
        """The end of the answer, if every choice that is expected is over."""
        if len(self._open) < self._expected or self._going:
            return []
        self.ended = next(iter(self._cut.values()))
        return [StreamEnd()]

    def message_end(self, event: MessageEnd) -> Sequence[Event]:
        """A choice ended by itself: what is due then."""
        choice = event.choice
        if choice in self._cut:
            return ()
        self._open.setdefault(choice, {})
        self._going.discard(choice)
        return [event, *self._finish()] if self.made else (event,)

    def moved(self, event: Event) -> Sequence[Event]:
        """`event` as it goes out; nothing of what is said in a choice that is cut."""
        if not self.made:
            return (event,)
        index: int | None = getattr(event, "index", None)
        if index is not None and self.is_cut(index) and not isinstance(event, Extra):
            return ()
        return self._numbering.moved(event)
