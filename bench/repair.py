"""`python -m bench repair [N [W]]`: broken arguments of calls, mended; and elsewhere.

N arguments (200 unless said otherwise) for every way to break them, and as many with
two defects for every way of framing; each also given to the public package
`json-repair`. *Exact* is what the model meant; *refused* is an error, or marked as
incomplete; all else is *wrong*, and nobody would have noticed. What is still JSON after
it was broken is not counted: nobody can tell that it is not meant.

Then: W (5,000 unless said otherwise) right arguments, and as many JSON documents of any
kind, which must come back byte for byte; and calls cut off at every character, none of
which may be completed, whether that is told or not.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from random import Random
from typing import Any, Final, TypeAlias

import json_repair as other

from llmwire.json_repair import (
    JSONRepairError,
    Repair,
    preview_json,
    repair_arguments,
    repair_json,
)
from tests.json_defects import (
    ESCAPES,
    FRAMING,
    LEXICAL,
    OPERATORS,
    STRUCTURAL,
    Call,
    Operator,
    broken,
    calls,
    same,
)

__all__ = ("main", "measured", "silently_wrong")

NUMBER: Final = 200
WHOLE: Final = 5000
"""Right arguments, and documents, that are tried."""
_LETTERS: Final = "ab \"\\/'`{}[]:,#\n\t\x00\x7fé“’\u2028中\U0001f600\ud83d"
_DEPTH: Final = 5
CUT: Final = 200
"""Calls that are cut off at every character."""
_ATTEMPTS: Final = 100
"""Calls that are tried for one that can be broken in a certain way."""
_KINDS: Final = ("exact", "refused", "wrong")

Mender: TypeAlias = Callable[[str, Call], object]
Case: TypeAlias = tuple[str, Call]


def ours(text: str, call: Call) -> object:
    """What llmwire makes of it; None: refused."""
    try:
        repair = repair_arguments(text, call.schema, name=call.name)
    except JSONRepairError:
        return None
    return json.loads(repair.text) if repair.complete else None


def theirs(text: str, call: Call) -> object:
    """What the public package makes of it; None where that is no object."""
    value: Any = other.loads(text)
    return value if isinstance(value, dict) else None


def cases(name: str, operator: Operator, number: int) -> Iterator[Case]:
    """Broken arguments, the same in every run."""
    random = Random(name)
    source = islice(calls(random), number * _ATTEMPTS)
    found = ((broken(call.text, operator, random), call) for call in source)
    return islice(((text, call) for text, call in found if text is not None), number)


def two(first: Operator, second: Operator) -> Operator:
    """Both defects, if each of them shows."""

    def operator(text: str, random: Random) -> str | None:
        once = broken(text, first, random)
        return None if once is None else second(once, random)

    return operator


def doubles() -> Iterator[tuple[str, Operator]]:
    """A defect inside and one around it."""
    inside = {**LEXICAL, **ESCAPES, "inner quotes": STRUCTURAL["inner quotes"]}
    for outer in ("fenced", "trailing </tool_call>", "byte order mark"):
        for name, operator in inside.items():
            yield f"{name} + {outer}", two(operator, FRAMING[outer])


def scored(found: Sequence[Case], mend: Mender) -> Counter[str]:
    """How often what comes back is exact, refused or wrong."""
    score: Counter[str] = Counter()
    for text, call in found:
        value = mend(text, call)
        exact = value is not None and same(value, call.arguments)
        score["refused" if value is None else "exact" if exact else "wrong"] += 1
    return score


def measured(number: int) -> Iterator[tuple[str, Counter[str], Counter[str]]]:
    """Every way to break, with both scores; those with two defects as one row."""
    for name, operator in OPERATORS.items():
        found = list(cases(name, operator, number))
        yield name, scored(found, ours), scored(found, theirs)
    found = []
    for name, operator in doubles():
        found += cases(name, operator, max(number // 4, 1))
    yield "two defects", scored(found, ours), scored(found, theirs)


def silently_wrong(scores: Sequence[Counter[str]]) -> float:
    """The share that is wrong, in per cent."""
    total = sum(score.total() for score in scores)
    return 100 * sum(score["wrong"] for score in scores) / max(total, 1)


def unchanged(number: int) -> int:
    """How many of so many right arguments come back byte for byte."""
    found = islice(calls(Random("right")), number)
    return sum(
        repair_arguments(call.text, call.schema, name=call.name).text == call.text
        for call in found
    )


def documents(random: Random) -> Iterator[str]:
    """JSON texts of every kind, spelled in many ways."""
    while True:
        text = json.dumps(
            _value(random, 0),
            indent=random.choice((None, None, 0, 2, "\t")),
            ensure_ascii=random.random() < 0.5,
            separators=random.choice(((",", ":"), (", ", ": "), (" , ", " : "))),
        )
        yield random.choice(("", "", " ", "\r\n")) + text + random.choice(("", "\n"))


def _value(random: Random, depth: int) -> object:
    kind = random.randrange(8 if depth < _DEPTH else 6)
    size = range(random.randrange(6))
    if kind == 6:
        return [_value(random, depth + 1) for _ in size]
    if kind == 7:
        return {_string(random): _value(random, depth + 1) for _ in size}
    number = random.randrange(-(10 ** random.randrange(1, 25)), 10**6)
    scalars = (None, True, False, number, random.gauss(0, 1e9), _string(random))
    return scalars[kind]


def _string(random: Random) -> str:
    return "".join(random.choices(_LETTERS, k=random.randrange(12)))


def untouched(number: int) -> int:
    """How many of so many documents come back byte for byte, whoever is asked."""
    return sum(map(_is_untouched, islice(documents(Random("documents")), number)))


def _is_untouched(text: str) -> bool:
    repair = Repair(text)
    found = [repair_json(text), repair_json(text, loose=True)]
    bare = text.lstrip()[0]
    if bare == "{":
        found.append(repair_arguments(text, None))
    previewed = bare not in "{[" or preview_json(text).text == text.rstrip()
    return previewed and all(each == repair for each in found)


def executed(number: int, *, told: bool) -> Counter[str]:
    """What becomes of calls cut off at every character.

    `whole`: only closing brackets were missing, and what came back is what was meant.
    """
    score: Counter[str] = Counter()
    for call in islice(calls(Random("cut")), number):
        for end in range(len(call.text)):
            score["cut"] += 1
            try:
                repair = repair_arguments(call.text[:end], call.schema, truncated=told)
            except JSONRepairError:
                continue
            if repair.complete:
                whole = same(json.loads(repair.text), call.arguments)
                score["whole" if whole else "executed"] += 1
    return score


def _shown(score: Counter[str]) -> str:
    total = max(score.total(), 1)
    return " / ".join(f"{100 * score[kind] / total:5.1f}" for kind in _KINDS)


def main(words: Sequence[str]) -> int:
    """Measure and report; 1 where a goal is missed."""
    number = int(words[0]) if words else NUMBER
    whole = int(words[1]) if words[1:] else WHOLE
    began = time.perf_counter()
    print("exact / refused / wrong, in per cent")
    print(f"{'defect':26} {'n':>5}  {'llmwire':>21}  {'json-repair':>21}")
    rows = []
    for row in measured(number):
        rows.append(row)
        name, mine, others = row
        line = f"{name:26} {mine.total():5}  {_shown(mine):>21}  {_shown(others):>21}"
        print(line, flush=True)
    strict = [mine for name, mine, _ in rows if name in {**FRAMING, **LEXICAL}]
    wrong = silently_wrong([mine for _, mine, _ in rows])
    wrong_there = silently_wrong([others for _, _, others in rows])
    print(f"\nsilently wrong of all: {wrong:.2f} %, json-repair {wrong_there:.2f} %")
    print(f"silently wrong, framing and lexical: {silently_wrong(strict):.2f} %")
    kept, same_documents = unchanged(whole), untouched(whole)
    print(f"right arguments, byte for byte: {kept} of {whole}")
    print(f"JSON documents, byte for byte: {same_documents} of {whole}")
    told, untold = executed(CUT, told=True), executed(CUT, told=False)
    print(f"cut off and told so: {told['executed']} of {told['cut']:,} executed")
    print(
        f"cut off, not told: {untold['executed']} of {untold['cut']:,} executed"
        f" ({untold['whole']} whole but for closers)"
    )
    print(f"{time.perf_counter() - began:.0f} s")
    missed = wrong > 0.5 or silently_wrong(strict) or told["executed"]
    return 1 if missed or min(kept, same_documents) < whole else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
