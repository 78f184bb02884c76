"""Run the inputs, in parallel, and tell what became of them.

Theory of operation: the inputs of a target are cut into shards, each with its own
random numbers made of seed, target and number, so that the same seed gives the same
inputs with any count of workers. The first shard also counts branches, which slows it
down; the others run as they are. A shard ends an input that computes for too long.
"""

from __future__ import annotations

import argparse
import json
import signal
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Final

import coverage
from msgspec import Struct, field

from bench.fuzz.feeds import Feed
from bench.fuzz.targets import Target, targets

__all__ = ("Failure", "Result", "fuzz", "main", "report")

ROOT: Final = Path(__file__).resolve().parent.parent.parent
SHARD: Final = 20_000
"""Inputs of one shard."""
SECONDS: Final = 5.0
"""Of computing that one input may take: inputs are small, this is thousands of times
what they need."""
_SHRINKS: Final = 400
"""Attempts to make a failing input smaller."""


class Failure(Struct, frozen=True):
    """One way in which the contract was broken."""

    where: str
    """Exception and innermost place of ours."""
    trace: str
    data: bytes
    mark: int
    """Seed of the choices that the check itself makes."""


class Result(Struct):
    """What became of some inputs of one target."""

    inputs: int = 0
    seconds: float = 0.0
    """Of computing, in all processes together."""
    slowest: float = 0.0
    outcomes: Counter[str] = field(default_factory=Counter)
    failures: dict[str, Failure] = field(default_factory=dict)
    measured: int = 0
    """Inputs for which branches were counted."""
    branches: tuple[int, int] = (0, 0)
    """Reached, of all."""

    def add(self, other: Result) -> None:
        """Count `other` in."""
        self.inputs += other.inputs
        self.seconds += other.seconds
        self.slowest = max(self.slowest, other.slowest)
        self.outcomes += other.outcomes
        for where, failure in other.failures.items():
            self.failures.setdefault(where, failure)
        if other.measured:
            self.measured, self.branches = other.measured, other.branches


class TooSlow(Exception):
    """An input took more than `SECONDS` of computing."""


@contextmanager
def _bounded() -> Iterator[None]:
    """Ends what computes for too long, where the system can."""
    if not hasattr(signal, "setitimer"):
        yield
        return

    def stop(number: int, frame: object) -> None:
        raise TooSlow(f"more than {SECONDS} s of computing")

    before = signal.signal(signal.SIGVTALRM, stop)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _wind() -> None:
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)


def fuzz(target: Target, feed: Feed, rng: Random, count: int) -> Result:
    """Run `count` inputs through `target`."""
    result = Result(inputs=count)
    dice = Random()
    began = before = time.thread_time()
    with _bounded():
        for _ in range(count):
            data = feed.draw(rng)
            mark = rng.getrandbits(32)
            dice.seed(mark)
            _wind()
            try:
                result.outcomes[target.run(data, dice)] += 1
            except Exception as error:
                _note(result, target, error, data, mark)
            now = time.thread_time()
            result.slowest = max(result.slowest, now - before)
            before = now
    result.seconds = before - began
    return result


def _note(
    result: Result, target: Target, error: Exception, data: bytes, mark: int
) -> None:
    result.outcomes["CONTRACT BROKEN"] += 1
    where = _place(error)
    if where not in result.failures:
        data = _shrunk(target, where, data, mark)
        trace = "".join(traceback.format_exception(error))
        result.failures[where] = Failure(where, trace, data, mark)


def _place(error: Exception) -> str:
    """What makes two failures one: the exception, and where in our code it arose."""
    steps = traceback.extract_tb(error.__traceback__)
    ours = [step for step in steps if step.filename.startswith(str(ROOT))]
    last = (ours or steps)[-1]
    return f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}"


def _shrunk(target: Target, where: str, data: bytes, mark: int) -> bytes:
    """`data` without what the failure does not need."""
    size, left = len(data) // 2, _SHRINKS
    while size and left:
        at = 0
        while at < len(data) and left:
            shorter = data[:at] + data[at + size :]
            left -= 1
            if _fails(target, where, shorter, mark):
                data = shorter
            else:
                at += size
        size //= 2
    return data


def _fails(target: Target, where: str, data: bytes, mark: int) -> bool:
    _wind()
    try:
        target.run(data, Random(mark))
    except Exception as error:
        return _place(error) == where
    return False


@cache
def _prepared(name: str, corpus: Path | None) -> tuple[Target, Feed]:
    target = next(one for one in targets() if one.name == name)
    return target, target.feed(corpus)


def _shard(
    name: str, corpus: Path | None, seed: int, number: int, count: int, measure: bool
) -> Result:
    target, feed = _prepared(name, corpus)
    rng = Random(f"{seed} {name} {number}")
    if not measure:
        return fuzz(target, feed, rng, count)
    files = [str(ROOT / module) for module in target.modules]
    counter = coverage.Coverage(
        branch=True, data_file=None, config_file=False, include=files
    )
    with counter.collect():
        result = fuzz(target, feed, rng, count)
    result.measured = count
    result.slowest = 0.0
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "branches.json"
        counter.json_report(outfile=str(told))
        totals = json.loads(told.read_text())["totals"]
    result.branches = (totals["covered_branches"], totals["num_branches"])
    return result


def _shards(inputs: int, sample: int) -> Iterator[tuple[int, int, bool]]:
    """Number, inputs, and whether to count branches."""
    sample = min(sample, inputs)
    if sample:
        yield 0, sample, True
    for number, start in enumerate(range(sample, inputs, SHARD), 1):
        yield number, min(SHARD, inputs - start), False


def report(name: str, result: Result, elapsed: float) -> str:
    """One target, for people."""
    reached, branches = result.branches
    lines = [
        f"{name}: {result.inputs} inputs, {result.inputs / elapsed:.0f}/s, "
        f"slowest {result.slowest * 1e3:.1f} ms, branches {reached} of {branches} "
        f"({result.measured} inputs measured)"
    ]
    told = ", ".join(f"{n} {what}" for what, n in result.outcomes.most_common())
    lines.append(f"    {told}")
    for failure in result.failures.values():
        lines += [f"  FAILED {failure.where}", f"    input {failure.data!r}"]
        lines.append(f"    choices seeded by {failure.mark}")
        lines += [f"    {line}" for line in failure.trace.splitlines()]
    return "\n".join(lines)


def _options(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench fuzz", description="Hostile bytes into every decoder."
    )
    add = parser.add_argument
    add("words", nargs="*", help="only targets whose name holds one of these")
    add("--inputs", type=int, default=1_000_000, help="for each target")
    add("--dialect", help="only this dialect")
    add("--seed", type=int, default=0, help="another seed, other inputs")
    add("--workers", type=int, default=1, help="processes")
    add("--sample", type=int, default=10_000, help="inputs to count branches for")
    add("--corpus", type=Path, help="folder of recordings to start from as well")
    return parser.parse_args(words)


def main(words: Sequence[str]) -> int:
    """Fuzz and report; 1 if a contract was broken."""
    options = _options(words)
    broken = 0
    with ProcessPoolExecutor(options.workers, get_context("spawn")) as pool:
        for target in targets():
            name = target.name
            if options.dialect and not name.startswith(f"{options.dialect}/"):
                continue
            if options.words and not any(word in name for word in options.words):
                continue
            began = time.perf_counter()
            result = Result()
            given = [
                pool.submit(_shard, name, options.corpus, options.seed, *shard)
                for shard in _shards(options.inputs, options.sample)
            ]
            for one in given:
                result.add(one.result())
            print(report(name, result, time.perf_counter() - began), flush=True)
            broken += len(result.failures)
    print(f"\n{broken} ways to break a contract" if broken else "\nEvery contract held")
    return 1 if broken else 0
