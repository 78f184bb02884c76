"""`python -m bench [WORD …]`: measure, and print each path as a ratio to its limit.

`python -m bench fuzz`, `… linear`, `… load`, `… loops` and `… repair` are commands of
their own. All else runs the suites of this folder under pytest-benchmark; words select
tests (`-k`). Every group holds a *limit*: the least that the same work could cost with
the same libraries (decode into typed structs and encode them again); `more` is what
lies above it. Times are medians of one run, or its least where a suite says so.
"""

from __future__ import annotations

import json
import sys
import tempfile
from importlib import import_module
from pathlib import Path

import pytest

HERE = Path(__file__).parent
COMMANDS = {
    "fuzz": "bench.fuzz.run",
    "linear": "bench.linear",
    "load": "bench.load",
    "loops": "bench.loops",
    "repair": "bench.repair",
}
"""First words that are no words of suites."""


def main(words: list[str]) -> int:
    """Run and report; the exit status of the run."""
    if words and words[0] in COMMANDS:
        command = import_module(COMMANDS[words[0]])
        return int(command.main(words[1:]))
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        options = [
            str(HERE),
            "-q",
            "--override-ini=python_files=suite_*.py",
            "--override-ini=addopts=",
            "--benchmark-disable-gc",
            "--benchmark-warmup=on",
            f"--benchmark-json={report}",
            "--benchmark-columns=median,iqr,rounds",
            "-p",
            "no:cacheprovider",
        ]
        if words:
            options += ["-k", " or ".join(words)]
        status = pytest.main(options)
        if report.exists() and report.stat().st_size:
            print(table(json.loads(report.read_text())["benchmarks"]))
    return int(status)


def table(benchmarks: list[dict[str, object]]) -> str:
    """Every measurement, by group, with its ratio to the group's limit."""
    limits: dict[object, float] = {}
    rows: list[tuple[str, str, float, float, str]] = []
    for one in benchmarks:
        info = one["extra_info"]
        stats = one["stats"]
        assert isinstance(info, dict) and isinstance(stats, dict)
        counted = "min" if info.get("least") else "median"
        each = float(stats[counted]) / int(info.get("units", 1)) * 1e6
        rows.append(
            (str(one["group"]), str(one["name"]), each, 0.0, str(info.get("per", "")))
        )
        if info.get("limit"):
            limits[one["group"]] = each
    lines = [
        "",
        f"{'group':34} {'what':44} {'µs':>9}  {'× limit':>8}  {'more':>6}  per",
    ]
    for group, name, each, _, per in rows:
        limit = limits.get(group)
        ratio = f"{each / limit:8.2f}  {each - limit:6.2f}" if limit else " " * 16
        lines.append(f"{group:34} {name:44} {each:9.3f}  {ratio}  {per}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
