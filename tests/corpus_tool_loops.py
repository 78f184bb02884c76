"""Recorded cases of tool-call loops, source by source.

A record holds calls without results, what its source says of them and the thresholds
that the source says it with (`policy`). Each is read twice: with those thresholds, and
with our own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from llmwire.filters.tool_loops import ToolLoopDetector, ToolLoopPolicy

DISAGREE: Mapping[str, str] = {}
"""Records that we read otherwise, by id, and why: none."""


class Row(Struct, frozen=True):
    """One record."""

    id: str
    source: str
    expected: bool
    with_its_policy: bool
    with_ours: bool


def rows(folder: Path) -> Iterator[Row]:
    """Every record of calls in `folder`."""
    for line in (folder / "loops.jsonl").read_text("utf-8").splitlines():
        record = json.loads(line)
        if record["kind"] == "tool_calls":
            yield Row(
                record["id"],
                record["source"].split(":")[0],
                record["expected_loop"],
                _found(record["calls"], _policy_of(record["policy"])),
                _found(record["calls"], ToolLoopPolicy()),
            )


def _policy_of(policy: Mapping[str, int]) -> ToolLoopPolicy:
    """The source's thresholds: so many equal calls, or cycles of up to five calls."""
    threshold = policy["identical_call_threshold"]
    return ToolLoopPolicy(
        cycle=5,
        single=threshold,
        single_errors=threshold,
        several=threshold,
        unknown=0,
    )


def _found(calls: list[dict[str, Any]], policy: ToolLoopPolicy) -> bool:
    """Whether a loop was confirmed at any of `calls`."""
    detector = ToolLoopDetector(policy)
    loops = [
        detector.add(call["name"], json.dumps(call["arguments"])) for call in calls
    ]
    return any(loop is not None and loop.level == "confirmed" for loop in loops)


def table(folder: Path) -> str:
    """The score of each source, and each record that is read otherwise."""
    lines = []
    by_source: dict[str, list[Row]] = {}
    for row in rows(folder):
        by_source.setdefault(row.source, []).append(row)
    for source, found in sorted(by_source.items()):
        its = sum(row.with_its_policy == row.expected for row in found)
        ours = sum(row.with_ours == row.expected for row in found)
        lines.append(
            f"tool-call loops of {source}: {its} of {len(found)} with its thresholds, "
            f"{ours} with ours"
        )
        lines += [
            f"{'':12}{row.id}: {DISAGREE.get(row.id, 'FAILED')}"
            for row in found
            if row.with_its_policy != row.expected or row.with_ours != row.expected
        ]
    return "\n".join(lines)
