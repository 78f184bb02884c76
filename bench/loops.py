"""`python -m bench loops [FOLDER …]`: how well loops are found, and how seldom falsely.

Recall: for every period from 1 to 2000, in four kinds of text, exactly 3 p + 250
characters of it behind something else. False alarms: every readable text below the
folders (by default the sources and documentation that this machine has), each file one
text, all of it read as prose, which has the lowest thresholds. A file counts once, for
the first alarm ends an answer; all alarms are counted beside. Four characters are
counted as one token.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import sys
import sysconfig
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from llmwire.filters.loops import Loop, LoopDetector

LONGEST: Final = 2000
TOKEN: Final = 4
LARGEST: Final = 8_000_000
"""Bytes of one file that are read."""
_SUFFIXES: Final = """.py .pyi .md .rst .txt .c .h .hpp .cpp .js .ts .tsx .html .css
.json .yaml .yml .toml .go .rs .sh .pl .pm .xml .tex .gz"""
SUFFIXES: Final = frozenset(_SUFFIXES.split())
HANZI: Final = (
    "我们现在需要检查这个文件然后再运行测试看看结果是否正确如果不对就修改代码直到通过为止用户说的问题"
    "可能在另一个地方所以先读取配置并记录日志因为没有错误信息不能确定原因"
)


def folders() -> list[Path]:
    """Where sources and documentation lie on this machine."""
    found = [Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib")]
    found.append(Path(sys.base_prefix) / "lib")
    found += [Path("/usr/share/doc"), *Path("/usr/lib").glob("python3*")]
    return [folder for folder in dict.fromkeys(found) if folder.is_dir()]


def texts(roots: Iterable[Path]) -> Iterator[tuple[Path, str]]:
    """Every text below `roots`, equal ones once."""
    seen: set[bytes] = set()
    for root in roots:
        for file in sorted(root.rglob("*")):
            known = file.suffix in SUFFIXES or (not file.suffix and "doc" in file.parts)
            if not known or file.is_symlink() or not file.is_file():
                continue
            data = _content(file)
            digest = hashlib.blake2b(data).digest()
            if data and digest not in seen:
                seen.add(digest)
                try:
                    yield file, data.decode()
                except UnicodeDecodeError:
                    continue


def _content(file: Path) -> bytes:
    """What is in `file`; nothing where that is no text."""
    try:
        with file.open("rb") as opened:
            data = opened.read(LARGEST)
        if file.suffix == ".gz":
            data = gzip.decompress(data)
    except (OSError, EOFError):
        return b""
    return b"" if b"\0" in data else data


def _kinds() -> dict[str, str]:
    """A long text of each kind to take units from."""
    source = random.Random(7)
    library = Path(sysconfig.get_path("stdlib"))
    code = "".join(
        file.read_text("utf-8", "replace") for file in sorted(library.glob("a*.py"))
    )
    words = [word for word in code.split() if word.isalpha()]
    prose = " ".join(source.choice(words) for _ in range(60_000))
    rows = [
        {"id": source.randrange(10**6), "name": source.choice(words), "tags": [at % 7]}
        for at in range(9000)
    ]
    hanzi = "".join(source.choice(HANZI) for _ in range(200_000))
    return {"prose": prose, "code": code, "JSON": json.dumps(rows), "Chinese": hanzi}


def _unit(text: str, period: int, source: random.Random) -> str:
    """`period` characters of `text`, with a letter, that do not repeat themselves."""
    while True:
        at = source.randrange(len(text) - period)
        unit = text[at : at + period]
        primitive = (unit + unit).find(unit, 1) == period
        if primitive and any(map(str.isalpha, unit)):
            return unit


def found_at(text: str) -> Loop | None:
    """The first loop in `text` that is confirmed."""
    for loop in LoopDetector().feed(text):
        if loop.level == "confirmed":
            return loop
    return None


def recall() -> None:
    """Print the share of loops that are found."""
    source = random.Random(11)
    print(f"\nrecall at 3 p + 250 characters, periods 1 to {LONGEST}")
    for name, text in _kinds().items():
        found = exact = 0
        for period in range(1, LONGEST + 1):
            unit = _unit(text, period, source)
            size = 3 * period + 250
            before = text[: source.randrange(500)] + "\x00"
            loop = found_at(before + (unit * (size // period + 1))[:size])
            found += loop is not None
            exact += loop is not None and loop.period == period
        print(
            f"  {name:8} {found / LONGEST:.4f} ({LONGEST - found} missed),"
            f" {exact} with the very period"
        )


def near() -> None:
    """Print the share of near loops that are suspect within 12,000 characters."""
    source = random.Random(13)
    text = _kinds()["prose"]
    words = text.split()
    print("\nnear loops that are suspect, 50 each")
    for period in (40, 60, 100, 150, 250, 400):
        line = f"  period {period:4}"
        for name in ("counter", "noise 1 %", "noise 3 %", "noise 10 %"):
            found = sum(
                bool(LoopDetector().feed(_near(name, period, text, words, source)))
                for _ in range(50)
            )
            line += f"  {name} {found / 50:.2f}"
        print(line)


def _near(
    kind: str, period: int, text: str, words: list[str], source: random.Random
) -> str:
    unit = _unit(text, period, source)
    pieces: list[str] = []
    for at in range(12_000 // period + 1):
        if kind == "counter":
            pieces.append(f"{unit[:-6]} {at}.\n")
            continue
        rate = int(kind.split()[1]) / 100
        pieces += [
            source.choice(words) if source.random() < rate else word
            for word in unit.split()
        ]
    return ("" if kind == "counter" else " ").join(pieces)


def false_alarms(roots: list[Path]) -> None:
    """Print how often clean text is said to loop."""
    files = size = suspects = alarms = 0
    alarmed: list[str] = []
    spent = 0.0
    for file, text in texts(roots):
        started = time.perf_counter()
        found = LoopDetector().feed(text)
        spent += time.perf_counter() - started
        files += 1
        size += len(text)
        sure = [loop for loop in found if loop.level == "confirmed"]
        alarms += len(sure)
        suspects += bool(found) and not sure
        if sure:
            alarmed.append(f"  {file}: {sure[0]}")
    millions = size / TOKEN / 1e6
    print(f"\nfalse alarms in {files} files, {size:,} characters below")
    print("\n".join(f"  {root}" for root in roots))
    rate = len(alarmed) / max(millions, 1e-9)
    print(f"confirmed in {len(alarmed)} files: {rate:.3f} for a million tokens")
    print(f"  ({alarms} alarms: {alarms / max(millions, 1e-9):.3f})")
    print(f"suspect only, {suspects} files: {suspects / max(millions, 1e-9):.3f}")
    print("\n".join(alarmed))
    print(f"{spent / max(millions, 1e-9):.3f} µs for a token, in whole files")


def speed() -> None:
    """Print what a token of four characters costs, the best of five."""
    text = _kinds()["code"][:800_000]
    pieces = [text[at : at + TOKEN] for at in range(0, len(text), TOKEN)]
    best = float("inf")
    for _ in range(5):
        feed = LoopDetector().feed
        started = time.perf_counter()
        for piece in pieces:
            feed(piece)
        best = min(best, time.perf_counter() - started)
    print(f"{best / len(pieces) * 1e6:.3f} µs for a token of 4 characters, fed alone")


def main(words: list[str]) -> int:
    """Measure everything; `words` are folders to look for clean text in."""
    speed()
    recall()
    near()
    false_alarms([Path(word) for word in words] or folders())
    return 0
