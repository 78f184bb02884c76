"""The chain of filters between the events that are read and those that are written.

Knows the events and their grammar; knows nothing of what a filter does.

Rules:
1. What filter k gives goes on at filter k+1. An event that no filter (from there on)
   wants passes by; `FilterChain.passes` tells for which types that is so from the
   start.
2. The terminal event passes through every filter, wanted or not: the moment to release
   what is held. A filter that does not give it back cannot keep it: it goes on.
3. After a terminal event the chain is dead: it returns nothing any more.
4. A filter with an attribute `ended` may end the answer by `StreamEnd` alone, or one
   choice of it by `MessageEnd` alone. The chain closes the parts that are open, as
   incomplete (a function call by what its arguments are), and writes from `ended` the
   `MessageEnd` of every choice that has none. `ended` is None until then.

Theory of operation: the filters become stages. Behind a filter that may end stands a
`_Closer`, behind every filter of a checked chain a `_Proof`; both are filters
themselves. Per position one table says, for each type of event, which stage from there
on is the first to want it; an event is pushed from stage to stage by these tables.
Nearly every event comes back from a stage alone and of the same type: as long as it
does, it goes straight along the path of its type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Literal, Protocol, TypeAlias

from msgspec.structs import replace

from llmwire._fold import Folder, unfold
from llmwire._parts import whole_arguments
from llmwire.errors import LocalProtocolError
from llmwire.events import (
    EVENT_TYPES,
    ArgumentsDelta,
    Event,
    MessageEnd,
    MessageStart,
    PartEnd,
    PartStart,
    StreamEnd,
    StreamError,
    UsageUpdate,
)
from llmwire.grammar import GrammarChecker
from llmwire.losses import Loss
from llmwire.messages import Response, ToolCallPart
from llmwire.requests import Request

__all__ = ("Filter", "FilterChain", "FilterFactory", "run")

TERMINAL: Final[frozenset[type[Event]]] = frozenset({StreamEnd, StreamError})


class Filter(Protocol):
    """A pure stage: takes an event, gives the events that are due now.

    Three attributes are optional. `events` (`frozenset[type[Event]]`) names what it
    wants, and is read once; without it everything comes. `ended` (`MessageEnd | None`)
    says that it may end the answer (rule 4). `losses` (`tuple[Loss, ...]`) tells what
    it could not keep.
    """

    def __call__(self, event: Event, /) -> Sequence[Event]:
        """The events that are due now that `event` has come."""
        ...


_Path: TypeAlias = "tuple[tuple[int, Filter], ...]"
FilterFactory: TypeAlias = Callable[[Request], Filter | None]
"""Makes the filter for one attempt at a request; None: there is nothing to do."""


class FilterChain:
    """Sends events through filters, one after the other.

    Args:
        filters: First to last.
        checked: Prove the grammar of what comes in and of what every filter gives.
    """

    def __init__(self, filters: Iterable[Filter], *, checked: bool = False) -> None:
        self._filters = tuple(filters)
        self._stages = _stages(self._filters, checked)
        self._routes = _routes(self._stages) if self._stages else _NO_ROUTES
        self._last = len(self._stages)
        self._passing = _passing(self._routes) if self._stages else _ALL_PASS
        self._paths: dict[type[Event], _Path] = {}
        self._done = False

    @property
    def done(self) -> bool:
        """The terminal event was given."""
        return self._done

    @property
    def ended(self) -> MessageEnd | None:
        """How a filter ended the answer; None where none has."""
        ends = (getattr(each, "ended", None) for each in self._filters)
        return next((end for end in ends if end is not None), None)

    @property
    def losses(self) -> tuple[Loss, ...]:
        """What the filters could not keep, filter by filter."""
        return tuple(
            loss for each in self._filters for loss in getattr(each, "losses", ())
        )

    def passes(self, kind: type[Event]) -> bool:
        """Whether events of type `kind` need not be sent: they would come back alone.

        The answer stays the same until the chain is done.
        """
        return kind in self._passing and not self._done

    def send(self, event: Event) -> list[Event]:
        """The events that are due now; nothing after the terminal one.

        Raises:
            LocalProtocolError: Checked, and the grammar is broken; names the filter.
        """
        if self._done:
            return []
        kind = type(event)
        path = self._paths.get(kind)
        if path is None:
            path = self._path(kind)
            if kind not in TERMINAL:  # asked for once; it holds the chain itself
                self._paths[kind] = path
        for behind, take in path:
            given = take(event)
            if len(given) == 1:
                only = given[0]
                if only is event:
                    continue
                if type(only) is kind:
                    event = only
                    continue
            return self._spread(event, given, behind)
        return [event]

    def _path(self, kind: type[Event]) -> _Path:
        """The stages that want `kind`, each with the position behind it."""
        path: list[tuple[int, Filter]] = []
        at = self._routes[0][kind]
        while at != self._last:
            path.append((at + 1, self._stages[at].__call__))
            at = self._routes[at + 1][kind]
        if kind in TERMINAL:
            path.append((self._last, self._end))
        return tuple(path)

    def _end(self, event: Event) -> Sequence[Event]:
        self._done = True
        return (event,)

    def _spread(self, event: Event, given: Sequence[Event], behind: int) -> list[Event]:
        """A stage made `given` of `event`: send it on from position `behind`."""
        due: list[Event] = []
        for each in given:
            self._push(each, behind, due)
            if self._done:
                return due
        if type(event) in TERMINAL:
            self._push(event, behind, due)
        return due

    def _push(self, event: Event, at: int, due: list[Event]) -> None:
        """Send `event` on from stage `at`; what leaves the last one is due."""
        kind = type(event)
        at = self._routes[at][kind]
        if at == self._last:
            due.append(event)
            self._done = kind in TERMINAL
            return
        for given in self._stages[at](event):
            self._push(given, at + 1, due)
            if self._done:
                return
        if kind in TERMINAL:
            self._push(event, at + 1, due)


def run(filters: Iterable[Filter], response: Response) -> Response:
    """A complete answer sent through filters: the fold of what they give.

    Usage goes first, so that a filter that cuts the answer does not cut it too.

    Raises:
        RemoteProtocolError: A filter made a `StreamError` of it.
    """
    chain = FilterChain(filters)
    folder = Folder()
    events = unfold(replace(response, usage=None))
    if response.usage is not None:
        events.insert(1, UsageUpdate(response.usage))
    for event in events:
        for given in chain.send(event):
            folder.add(given)
    return folder.response()


def _stages(filters: Sequence[Filter], checked: bool) -> tuple[Filter, ...]:
    stages: list[Filter] = [_Proof("what is sent to the filters")] if checked else []
    for each in filters:
        stages.append(each)
        if hasattr(each, "ended"):
            stages.append(_Closer(each))
        if checked:
            name = getattr(each, "__name__", type(each).__name__)
            stages.append(_Proof(f"filter {name}"))
    return tuple(stages)


def _routes(stages: Sequence[Filter]) -> tuple[Mapping[type[Event], int], ...]:
    """Per position: event type -> the first stage from there on that wants it."""
    last = len(stages)
    following: dict[type[Event], int] = dict.fromkeys(EVENT_TYPES, last)
    routes = [following]
    for at in range(last - 1, -1, -1):
        wanted = getattr(stages[at], "events", None)
        wants = TERMINAL.union(EVENT_TYPES if wanted is None else wanted)
        following = {**following, **dict.fromkeys(wants, at)}
        routes.append(following)
    return tuple(reversed(routes))


def _passing(routes: Sequence[Mapping[type[Event], int]]) -> frozenset[type[Event]]:
    """What no stage wants, but for what ends the answer."""
    last = len(routes) - 1
    unwanted = {kind for kind, at in routes[0].items() if at == last}
    return frozenset(unwanted - TERMINAL)


_NO_ROUTES: Final = _routes(())
_ALL_PASS: Final = _passing(_NO_ROUTES)


_NONE: Final = -1


class _Closer:
    """Closes what the filter before it left open (rule 4).

    Holds the arguments of open function calls, within the limit that whoever reads the
    stream sets.
    """

    events: Final = frozenset(
        {MessageStart, PartStart, PartEnd, ArgumentsDelta, MessageEnd}
    )

    def __init__(self, ending: Filter) -> None:
        self._ending = ending
        self._started = False
        self._choice_of: dict[int, int] = {}
        self._open: dict[int, dict[int, None]] = {}
        """By choice: its parts that are open."""
        self._arguments: dict[int, list[str]] = {}
        self._over: dict[int, bool] = {}

    def __call__(self, event: Event) -> Sequence[Event]:
        """`event`, behind the ends that it lacks."""
        if type(event) is ArgumentsDelta:
            pieces = self._arguments.get(event.index)
            if pieces is not None:
                pieces.append(event.text)
        elif isinstance(event, PartStart):
            self._start(event)
        elif isinstance(event, PartEnd):
            choice = self._choice_of.pop(event.index, _NONE)
            self._open.get(choice, {}).pop(event.index, None)
            self._arguments.pop(event.index, None)
        elif isinstance(event, MessageEnd):
            return [*self._closed(event.choice), event]
        elif isinstance(event, StreamEnd):
            return [*self._missing(), event]
        elif isinstance(event, MessageStart):
            self._started = True
        return (event,)

    def _start(self, event: PartStart) -> None:
        self._choice_of[event.index] = event.choice
        self._open.setdefault(event.choice, {})[event.index] = None
        self._over.setdefault(event.choice, False)
        part = event.part
        if isinstance(part, ToolCallPart) and part.kind == "function":
            self._arguments[event.index] = [part.arguments]

    def _closed(self, choice: int) -> list[Event]:
        """The ends of the open parts of `choice`, which is over with them."""
        self._over[choice] = True
        ends: list[Event] = []
        for index in self._open.pop(choice, {}):
            del self._choice_of[index]
            pieces = self._arguments.pop(index, None)
            whole = pieces is not None and whole_arguments("".join(pieces))
            status: Literal["complete", "incomplete"]
            status = "complete" if whole else "incomplete"
            ends.append(PartEnd(index, status))
        return ends

    def _missing(self) -> list[Event]:
        """What must stand before the `StreamEnd` of a filter that ended the answer."""
        end: MessageEnd | None = getattr(self._ending, "ended", None)
        if end is None:
            return []
        ends: list[Event] = [] if self._started else [MessageStart()]
        over = self._over or {end.choice: False}
        for choice in [at for at, done in over.items() if not done]:
            ends += self._closed(choice)
            ends.append(replace(end, choice=choice))
        return ends


class _Proof:
    """Lets everything by, and raises where it is no sentence."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._checker = GrammarChecker()

    def __call__(self, event: Event) -> Sequence[Event]:
        """`event` as it is."""
        try:
            self._checker.check(event)
        except LocalProtocolError as error:
            raise LocalProtocolError(f"{self._name}: {error}") from None
        return (event,)
