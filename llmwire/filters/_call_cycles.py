"""Whether a sequence of tool calls goes round in a circle.

Knows calls and their results by what `_call_prints` makes of them; nothing of requests
or streams.

Rules:
1. A *loop* is an end of the sequence that is a cycle of 1 to `cycle` calls, several
   times over, where each call had the same result every time. One call alone must come
   `single` times, or `single_errors` times if it failed every time; a longer cycle
   `several` times.
2. A result that is not known contradicts none, but then the cycle must come `unknown`
   times more.
3. A loop is *confirmed* if calls and results are equal, *suspect* if only their shapes
   are.
4. Tools that are there to be asked again (`exempt`) are no part of a loop: such a call
   begins the sequence anew.
5. Whatever else comes in between is progress: only the end of the sequence counts.

Theory of operation: at most `_KEPT` calls are kept, as hashes. For each length of a
cycle the latest calls are compared with those one cycle before, as far back as they are
equal: not at all in a sequence that gets on, and never further than is kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from llmwire.errors import LocalProtocolError
from llmwire.filters._call_prints import (
    VOLATILE_KEYS,
    fingerprint,
    print_of_result,
)

__all__ = (
    "POLL_TOOLS",
    "ToolLoop",
    "ToolLoopDetector",
    "ToolLoopLevel",
    "ToolLoopPolicy",
    "Verdict",
)

ToolLoopLevel: TypeAlias = Literal["suspect", "confirmed"]
Verdict: TypeAlias = Literal["watch", "steer", "error"]

POLL_TOOLS: Final = frozenset(
    {
        "await",
        "bash_output",
        "bashoutput",
        "check_status",
        "command_status",
        "get_status",
        "poll",
        "read_terminal",
        "sleep",
        "taskoutput",
        "wait",
        "wait_for",
    }
)
"""Names, in small letters, of tools that wait for something or ask how it goes."""
_MOST_CYCLE: Final = 16
_MOST_TIMES: Final = 20
_KEPT: Final = 1024
"""Calls that are kept, and counted: as many as the longest loop needs."""
_EXACT: Final = 0
_SHAPE: Final = 1


class ToolLoopPolicy(Struct, frozen=True, kw_only=True):
    """When a sequence of calls is a loop."""

    cycle: int = 8
    """Calls of the longest cycle; 1 to 16."""
    single: int = 4
    """How often one call alone must come; 2 to 20, as the next two numbers."""
    single_errors: int = 3
    """The same where it failed every time."""
    several: int = 3
    """How often a cycle of two or more calls must come."""
    unknown: int = 1
    """How much oftener where results are not known; 0 to 20."""
    patience: int = 2
    """How much oftener until the verdict is `error` instead of `steer`; 1 to 20."""
    exempt: frozenset[str] = POLL_TOOLS
    """Tools, in small letters, that may be asked again and again."""
    volatile: frozenset[str] = VOLATILE_KEYS
    """Members of arguments that the shape of a call leaves out."""

    def check(self) -> None:
        """See that the numbers make sense.

        Raises:
            LocalProtocolError: One of them is out of its range.
        """
        ranges = {
            "cycle": (1, _MOST_CYCLE),
            "single": (2, _MOST_TIMES),
            "single_errors": (2, _MOST_TIMES),
            "several": (2, _MOST_TIMES),
            "unknown": (0, _MOST_TIMES),
            "patience": (1, _MOST_TIMES),
        }
        for name, (least, most) in ranges.items():
            if not least <= getattr(self, name) <= most:
                raise LocalProtocolError(f"`{name}` is {least} to {most}")


class ToolLoop(Struct, frozen=True, gc=False):
    """Calls that come again and again with the same results."""

    level: ToolLoopLevel
    names: tuple[str, ...]
    """The tools of one cycle, in the order of the calls."""
    times: int
    """How often the whole cycle came; counted over the last 1024 calls at most."""
    needed: int
    """How often it had to come to be a loop."""
    known: bool
    """All results are known."""
    failed: bool
    """Every call failed."""
    verdict: Verdict
    """`watch` for a suspect; `steer` until the cycle came `patience` times more than it
    had to, then `error`."""

    def __str__(self) -> str:
        """What was found, for people; none of the arguments."""
        tools = ", ".join(name[:64] for name in self.names)
        result = "the same error" if self.failed else "the same result"
        if not self.known:
            result = "nothing new in between"
        what = "call of" if len(self.names) == 1 else "cycle of calls of"
        return f"the {what} {tools} came {self.times} times with {result}"


class _Call(Struct, frozen=True, gc=False):
    """A call as it is compared: by value and by shape."""

    name: str
    calls: tuple[str, str]
    results: tuple[str | None, str | None]
    error: bool


class ToolLoopDetector:
    """Tells when a sequence of calls goes round in a circle.

    Keeps hashes of the last 1024 calls, and none of what they hold.

    Raises:
        LocalProtocolError: A number of `policy` is out of its range.
    """

    __slots__ = ("_calls", "policy")

    def __init__(self, policy: ToolLoopPolicy | None = None) -> None:
        self.policy: Final = policy or ToolLoopPolicy()
        self.policy.check()
        self._calls: deque[_Call] = deque(maxlen=_KEPT)

    def copy(self) -> ToolLoopDetector:
        """Another that knows the same calls."""
        other = ToolLoopDetector(self.policy)
        other._calls.extend(self._calls)
        return other

    def reset(self) -> None:
        """Forget all calls: somebody said something new."""
        self._calls.clear()

    def add(
        self,
        name: str,
        arguments: str,
        result: str | None = None,
        *,
        error: bool = False,
    ) -> ToolLoop | None:
        """Take the next call.

        Args:
            name: Of the tool.
            arguments: As for `fingerprint`.
            result: All of its text; None: not known.
            error: The tool failed.

        Returns:
            The loop that the sequence ends in, the shortest that is confirmed, else the
            shortest that is suspect; None: it gets on.
        """
        self.note(name, arguments, result, error=error)
        return self.loop()

    def note(
        self,
        name: str,
        arguments: str,
        result: str | None = None,
        *,
        error: bool = False,
    ) -> None:
        """As `add`, without asking whether it is a loop."""
        if name.lower() in self.policy.exempt:
            self.reset()
            return
        shape = fingerprint(name, arguments, leave_out=self.policy.volatile)
        results: tuple[str | None, str | None] = (None, None)
        if result is not None:
            results = (
                print_of_result(result, error=error),
                print_of_result(result, error=error, shape=True),
            )
        calls = (fingerprint(name, arguments), shape)
        self._calls.append(_Call(name, calls, results, error and result is not None))

    def loop(self) -> ToolLoop | None:
        """The loop that the calls end in, as `add` returns it. Never raises."""
        latest = list(reversed(self._calls))
        for lane in (_EXACT, _SHAPE):
            runs: dict[int, int] = {}
            for size in range(1, self.policy.cycle + 1):
                runs[size] = _run(latest, size, lane)
                run = runs[size]
                inner = any(size % d == 0 and runs[d] >= run for d in range(1, size))
                found = None if inner else self._judge(latest, size, run, lane)
                if found is not None:
                    return found
        return None

    def _judge(
        self, latest: Sequence[_Call], size: int, run: int, lane: int
    ) -> ToolLoop | None:
        """Whether the last `run` calls are enough cycles of `size` calls."""
        policy, times = self.policy, run // size
        alone = size == 1
        known = _leading(latest[:run], lambda call: call.results[lane] is not None)
        failed = _leading(latest[:run], lambda call: call.error)
        needed = policy.single if alone else policy.several
        if alone and failed >= policy.single_errors:
            needed = min(policy.single_errors, needed)
        elif known < needed * size:
            needed += policy.unknown
        if times < needed:
            return None
        verdict: Verdict = "steer" if times < needed + policy.patience else "error"
        return ToolLoop(
            level="confirmed" if lane == _EXACT else "suspect",
            names=tuple(call.name for call in reversed(latest[:size])),
            times=times,
            needed=needed,
            known=known >= needed * size,
            failed=failed >= needed * size,
            verdict=verdict if lane == _EXACT else "watch",
        )


def _run(latest: Sequence[_Call], size: int, lane: int) -> int:
    """How many calls, from the latest back, are a cycle of `size`: at least those."""
    results = [call.results[lane] for call in latest[:size]]
    run = size
    for at in range(size, len(latest)):
        call, place = latest[at], at % size
        if call.calls[lane] != latest[place].calls[lane]:
            break
        result = call.results[lane]
        if results[place] is None:
            results[place] = result
        if result is not None and result != results[place]:
            break
        run += 1
    return run


def _leading(calls: Sequence[_Call], holds: Callable[[_Call], bool]) -> int:
    """How many of `calls`, from the first on, have a property."""
    for at, call in enumerate(calls):
        if not holds(call):
            return at
    return len(calls)
