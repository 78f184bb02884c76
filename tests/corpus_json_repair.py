"""The test cases of three public libraries that mend JSON, and where we disagree.

They disagree with one another too: two of them always give something, the third gives
what there is of a text that is still coming. Here nothing is guessed, though the rules
of tier 4 are on: most disagreements are texts that are refused. Each has its reason in
`REASONS`, and none is left out. Those that were cut off are counted once more, as
previews.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from msgspec import Struct, field

from llmwire.json_repair import Allow, JSONRepairError, preview_json, repair_json
from tests.json_defects import same


def _ids(text: str) -> frozenset[str]:
    return frozenset(text.split())


REASONS: Final[dict[str, frozenset[str]]] = {
    "text without quotes: prose is no document, or its end is a guess": _ids(
        """
        cc4bc4f67e9596ce 44374dcaa1221e6c ed74b2ead7dd7d49 8a3ecf96611ce7d7
        70395227acccbd4c b07005c89ac1ec40 84fde9fef68e6ff0 d4ae566e1198d917
        9aef0f357497fd1b ef8dea26444e7ab9 feea832b15e1ad08 1105b6d41973d2fe
        365580c8a97cf72b afecc705dba6f56d d6cca8a0c0d8c58d 73009354c4a33032
        fcd706672a425323 064c1a14fbbad637
        """
    ),
    "ends inside a string: cut off": _ids(
        """
        4ed011eac98e8e01 97998f2ec346fd69 3d83caa86819d31b 71b11b2c5782b1d0
        7a4920785f850c15 ac59365168f1a6b5 1e0707da368aff5c 3b27d86870fb28b2
        b27138bf4eff1cfc 98fbe19ad3937c36 93133c50b11e93f5 97121c1c409f3f83
        92ef8ed9330c7be1 0165a4c4f0ddb453 8a6e38196de0c17a 5dbbc9199334f658
        1640b56f0654032a aea1e5b76658e2d8 8406e7bc6650284c 8ef95b929e6c0b1c
        0eb732a11f848c75 97a66d5a3244de87 f67cabecf40be5e2 b21d8be63e68e6c8
        """
    ),
    "quotes or words behind a value: more than one mistake explains them": _ids(
        """
        58831f6129a06743 30d41f4c3753ddc4 42a72178e83bdbab 69bad3e667dea4d7
        2b12fc2ab7bf5670 1cf459520b791b49 bbd9d4e9d93cffd6 7794802dcb6a87a3
        5b7135dcbb7485f6 364d25461b817c6f 6792b54d06704d8c e381c0d34467ed7e
        f9116fcfc5fac2d2 5ce1fe860ef839d4 cdbb8d310412d7c4 5980a264fbec53d9
        60a226ac86457c03 310159a5c590475b 1446202bfc7e30f1
        """
    ),
    "ends in the midst of a container: cut off": _ids(
        """
        570262fbb93e4c3d 20f4c05ba8deddbe ec1d052646365334 a3a31fb8673b9007
        85aee530128417fd 40d3538f894b368b ca4e2951bc3a9584 4d6b9044edc46d6f
        2c11133b0218c304 e5be9f40bffc68ee 082523f1e8c438a4 55a44eb0c18997c5
        d8ef0a8e6b5bdd09 00c6fd6990da7565 4d1dcc64fb5c624c d60225de3c093bb7
        """
    ),
    "no key where one is due": _ids(
        """
        c291c445188dc587 090aa0b9cec8bc9e f72d03758901896e 7896d980c086ef48
        cf3b00bf540f5f85 e2ee66674bb47a69 fa583b8f31855b83 d258271ed4dc7d9a
        79eb04f4688c5051 d2d2930d5ef82a17 2feac0b4f097c84c a73ee0017548b247
        """
    ),
    "no number: a text, or a number that is not sure": _ids(
        """
        35442b4260051daa c2b9eb9f7ef41a60 d87505aa1dfda161 d3dc33e748ea0ac1
        72fcf816e40d58ff 67b53d4bc899e2f0 7364746d3fba6b40 4b43ecf2b7d7b649
        631cae6ab3f26b36 eda39fa22aa7b21e 2e1ea4bb7a24e2a6
        """
    ),
    "a closing quote is missing: where, is a guess": _ids(
        """
        312c4e53468cb0fa 9e7152f5b63dde62 e222cb12a2414a50 96c6ed53973a71d2
        cf135b98af6faa22 ed087ece56ffb73e c0622e852f1c4b96 437aff94462022fc
        b6135980c0202ccb 949e32d4b6723703 25d04e30fc653abc 1b61cccad19da353
        8a1ef33f7c111608 1b787bd0e91a895d
        """
    ),
    "a key without a value": _ids(
        """
        e085aa9cd4c87c52 5c54983275af4a51 3723c01c031ba43c 4baee4a71bf19b81
        c6eb7205a2021ad4
        """
    ),
    "a value or an item is missing": _ids(
        """
        3e6054ccbeeb634b c913cf7b10da0b87 e1a96991d69b12a5 5ea55ef05d78c40e
        94195c57524df767 9e576500e3f69db0 6f902575b1a23d53 c50993fa6cc7e8fd
        f4fd1a09ec5b3382
        """
    ),
    "a line feed at the end of a string is content, and kept": _ids(
        """
        66c384cf5c348010 1497d5fe3845aed8 42e37ad6b8358f03 28113cac7c7773a2
        1c1395210de477e1 4e7eb1c652b47bef acddcee9c10ecfdc 8ee2fbe33bad24d8
        460425ffaa186b5a
        """
    ),
    "a tuple within prose is not looked for": _ids(
        """
        38cb34d73523aa5b
        """
    ),
    "more text behind a document, or no brackets around it": _ids(
        """
        3d6ad10d36a6703e a7d837f79771f0d0 4682d9e8b021272e 2c237cf93434bbd9
        2c01f4f95adfc0cd 1f76029df292c85b
        """
    ),
    "True, False and an empty string are documents": _ids(
        """
        30498129b41d3159 22712ec180fc4617 15aab5be3edb95fb
        """
    ),
    "expects one member of what was found, which is the same": _ids(
        """
        e0f0c6845b6c0c88 c5bb990b3d7b65de
        """
    ),
    "unescaped quotes: kept where they stand, none added": _ids(
        """
        9dd8e9fcbbdd019f
        """
    ),
    "a backslash that is no escape is kept, not dropped": _ids(
        """
        d102bac5cc28b6c3
        """
    ),
    "a backslash before a line feed can mean two things": _ids(
        """
        da2b1aae71284737
        """
    ),
    "undefined: the member is left out, as JSON.stringify does": _ids(
        """
        d7194f30cc7566e9
        """
    ),
    "a digit may begin a key that has no quotes": _ids(
        """
        96bbbcdf28e65b57
        """
    ),
}
"""Why we disagree, and on which records."""


class Score(Struct):
    """What became of the records of one source."""

    agreed: int = 0
    refused: dict[str, str] = field(default_factory=dict)
    """Where something is expected and nothing given: id, reason."""
    other: dict[str, str] = field(default_factory=dict)
    """Where something else is given: id, reason."""

    @property
    def total(self) -> int:
        """All records of the source."""
        return self.agreed + len(self.refused) + len(self.other)


def records(folder: Path) -> Iterator[dict[str, Any]]:
    """The records of the collection."""
    for line in (folder / "json_repair.jsonl").read_text("utf-8").splitlines():
        yield json.loads(line)


def outcome(record: dict[str, Any]) -> str:
    """`agreed`, `refused`, or `other`.

    Expected is a value; an error where nothing is to be found. White space and the
    spelling of numbers do not count. What is only a beginning is previewed.
    """
    if record.get("suite") == "partial":
        return previewed(record, allowed(record["allow"]))
    expected, fails = _expected(record)
    try:
        repair = repair_json(record["input"], loose=True)
    except JSONRepairError:
        return "agreed" if fails else "refused"
    if not repair.complete and not repair.documents:
        return "agreed" if fails else "refused"
    value: Any = [json.loads(each) for each in repair.documents]
    value = value or json.loads(repair.text)
    return "agreed" if not fails and same(value, expected) else "other"


def previewed(record: dict[str, Any], allow: Allow) -> str:
    """The outcome of the preview of a record."""
    expected, fails = _expected(record)
    try:
        text = preview_json(record["input"], allow=allow).text
    except JSONRepairError:
        text = ""
    if not text:
        return "agreed" if fails else "refused"
    return "agreed" if not fails and same(json.loads(text), expected) else "other"


CUT_OFF: Final = (
    "ends inside a string: cut off",
    "ends in the midst of a container: cut off",
)
"""Reasons whose records are refused as documents, but can be shown."""


def previews(folder: Path) -> dict[str, Counter[str]]:
    """What becomes of the records that were cut off where they are only shown."""
    counts: dict[str, Counter[str]] = {reason: Counter() for reason in CUT_OFF}
    for record in records(folder):
        for reason in CUT_OFF:
            if record["id"] in REASONS[reason]:
                counts[reason][previewed(record, Allow.OPEN)] += 1
    return counts


def allowed(mask: str) -> Allow:
    """What a mask of the collection allows; what is no JSON is never shown."""
    names = {
        **{"STR": Allow.STRING, "NUM": Allow.NUMBER, "ARR": Allow.ARRAY},
        **{"OBJ": Allow.OBJECT, "NULL": Allow.NULL, "BOOL": Allow.BOOLEAN},
        **{"NAN": Allow(0), "INFINITY": Allow(0), "ALL": Allow.ALL},
    }
    if mask.startswith("~"):
        return Allow.ALL & ~names[mask[1:]]
    allow = Allow(0)
    for name in mask.split(" | "):
        allow |= names[name]
    return allow


def _expected(record: dict[str, Any]) -> tuple[Any, bool]:
    """What a record expects, and whether that is nothing."""
    expected = record["expected"]
    nothing = expected == "" and record.get("suite") != "partial"
    fails = record["expected_kind"] == "error" or nothing
    if record["expected_kind"] == "text" and not fails:
        expected = json.loads(expected)
    return expected, fails


def run(folder: Path) -> dict[str, Score]:
    """Every record, by the name of its source.

    Raises:
        KeyError: A record that we disagree on has no reason.
    """
    reasons = {each: reason for reason, ids in REASONS.items() for each in ids}
    scores: dict[str, Score] = {}
    for record in records(folder):
        score = scores.setdefault(record["source"].split(":")[0], Score())
        found = outcome(record)
        if found == "agreed":
            score.agreed += 1
        else:
            getattr(score, found)[record["id"]] = reasons[record["id"]]
    return scores


def table(scores: dict[str, Score]) -> str:
    """The scores, for people."""
    lines = []
    for source, score in scores.items():
        lines.append(
            f"{source}: {score.agreed} of {score.total} agreed,"
            f" {len(score.refused)} refused, {len(score.other)} another reading"
        )
        counted = Counter([*score.refused.values(), *score.other.values()])
        lines += [
            f"{'':12}{count:4} {reason}" for reason, count in counted.most_common()
        ]
    return "\n".join(lines)
