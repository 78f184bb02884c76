"""The second suite: recorded traffic of real providers, where it is at hand.

It lies beside the project (`../shared/corpus`) and is never copied into it; where it is
absent these tests say that they are skipped. `python -m tests.corpus FOLDER` prints the
table that they assert.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

from llmwire.filters.loops import LoopDetector
from tests import (
    corpus,
    corpus_calls,
    corpus_json_repair,
    corpus_tool_loops,
    corpus_tool_text,
    sse_conformance,
)
from tests.sentences import anthropic, gemini, openai_chat, openai_responses

FOLDER: Final = Path(__file__).resolve().parent.parent.parent / "shared" / "corpus"
pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="no recorded traffic beside the project"
)
DIALECTS: Final = tuple(corpus.DIALECTS.values())
PAIRS: Final = [(a, b) for a in DIALECTS for b in DIALECTS]


@pytest.fixture(scope="module")
def result() -> corpus.Result:
    """The whole corpus through every pair, once."""
    return corpus.run(FOLDER)


@pytest.mark.parametrize("kind", ["request", "response", "stream"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_own_traffic_is_exact(result: corpus.Result, dialect: str, kind: str) -> None:
    """R2, and its form for streams: 100 %, with no loss and no refusal."""
    cell = result.cell(kind, dialect, dialect)
    assert cell.tried > 100
    assert cell.failures == []
    assert cell.through == cell.tried


@pytest.mark.parametrize("kind", ["request", "response", "stream", "error"])
@pytest.mark.parametrize("pair", PAIRS, ids=" to ".join)
def test_every_pair_comes_through(
    result: corpus.Result, pair: tuple[str, str], kind: str
) -> None:
    """Valid for the vendor's SDK, nothing lost unsaid; hardly anything refused.

    Of requests 2 % may be, and what refers to state that only its server keeps must be.
    """
    cell = result.cell(kind, *pair)
    assert cell.tried > 0
    assert cell.failures == []
    refused = sum(cell.refusals.values())
    allowed = max(0.02 * cell.tried, cell.refusals["state"])
    assert refused <= (allowed if kind == "request" else 0)


def test_what_is_invalid_is_listed(result: corpus.Result) -> None:
    """Few records are no messages of their dialect, and each is named."""
    assert len(result.invalid) <= 60
    assert all(": " in line for line in result.invalid)


def test_raw_streams_pass_through_unchanged() -> None:
    """R0: whatever the division, the bytes of a stream passed through are its own."""
    count = 0
    for dialect, record in corpus.records(FOLDER):
        if record.get("sse") and (record.get("status") or 200) < 400:
            assert corpus.passes_through(dialect, record["sse"].encode()), record["id"]
            count += 1
    assert count > 1000


def _conformance() -> list[Any]:
    file = FOLDER / "sse_conformance.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("record", _conformance(), ids=lambda record: record["id"])
def test_sse_conformance(record: dict[str, Any]) -> None:
    """Every public case that does not itself deviate from WHATWG."""
    found = sse_conformance.check(record)
    assert (found is not None) == bool(record.get("deviation")), found


SENTENCES: Final = {
    "openai-chat": openai_chat.CASES,
    "openai-responses": openai_responses.CASES,
    "anthropic": anthropic.CASES,
    "gemini": gemini.CASES,
}


def test_hand_written_sentences_have_their_recordings() -> None:
    """Each hand-written stream is like a recording that exists."""
    known = {record["id"] for _, record in corpus.records(FOLDER)}
    for cases in SENTENCES.values():
        assert {case.like for case in cases} <= known


def _loops() -> dict[str, list[tuple[str, bool, str | None]]]:
    """By source: id, whether it is a loop, and the level that the detector says."""
    found: dict[str, list[tuple[str, bool, str | None]]] = {}
    for line in (FOLDER / "loops.jsonl").read_text("utf-8").splitlines():
        record = json.loads(line)
        if record["kind"] == "text":
            detector = LoopDetector()
            for chunk in record["chunks"]:
                detector.feed(chunk)
            level = detector.loop.level if detector.loop else None
            source = record["source"].split(":")[0]
            row = (record["id"], record["expected_loop"], level)
            found.setdefault(source, []).append(row)
    return found


def test_loops_are_found() -> None:
    """Every loop of the collection is confirmed, no other text is even suspect.

    One source's own tests, with its threshold of ten times 50 characters, and answers
    that were recorded whole. Cases of tool calls and of token numbers hold no text.
    """
    wrong = {
        source: [row for row in rows if (row[2] == "confirmed") != row[1]]
        for source, rows in _loops().items()
    }
    assert not any(wrong.values()), wrong
    rows = [row for each in _loops().values() for row in each]
    assert sum(looping for _, looping, _ in rows) == 5
    assert len(rows) > 80
    assert [row for row in rows if row[2] == "suspect"] == []


def test_recorded_calls_and_texts_are_what_was_asked_for() -> None:
    """Nothing is touched but what is wrong; what was cut off is never repaired."""
    rows = list(corpus_calls.rows(FOLDER))
    valid = [row for row in rows if not row.status]
    assert len(valid) > 1500 and all(row.unchanged for row in valid)
    repaired = {row.id for row in rows if row.status == "repaired"}
    assert repaired == set(corpus_calls.REPAIRED)
    left = [row for row in rows if row.status and row.id not in repaired]
    assert all(row.unchanged for row in left)
    unfit = {row.id for row in left if row.status != "truncated" and not row.cut}
    assert unfit == set(corpus_calls.UNFIT)
    assert "calls anthropic valid" in corpus_calls.table(FOLDER)


def test_tool_loops_are_found() -> None:
    """With the thresholds of each source, and with ours; what differs is listed."""
    rows = list(corpus_tool_loops.rows(FOLDER))
    assert len(rows) >= 3
    wrong = [
        row.id
        for row in rows
        if not row.expected == row.with_its_policy == row.with_ours
    ]
    assert wrong == list(corpus_tool_loops.DISAGREE)
    assert "3 of 3 with its thresholds, 3 with ours" in corpus_tool_loops.table(FOLDER)


def test_json_repair() -> None:
    """Each library's own cases apart; every disagreement has its reason."""
    scores = corpus_json_repair.run(FOLDER)
    known = {each["id"] for each in corpus_json_repair.records(FOLDER)}
    told = [each for ids in corpus_json_repair.REASONS.values() for each in ids]
    missed = {
        each for score in scores.values() for each in (*score.refused, *score.other)
    }
    assert len(told) == len(set(told)) and set(told) == missed <= known
    agreed = {source.split("/")[1]: s.agreed for source, s in scores.items()}
    assert agreed["json_repair"] >= 88
    assert agreed["jsonrepair"] >= 152
    assert agreed["partial-json-parser"] >= 25
    assert sum(len(score.other) for score in scores.values()) <= 20
    shown = corpus_json_repair.previews(FOLDER).values()
    assert sum(score["agreed"] for score in shown) >= 25


def test_calls_in_texts_are_found() -> None:
    """Each source apart; what we read in another way has its reason."""
    scores = corpus_tool_text.scores(FOLDER / "tool_text.jsonl")
    failed = {each for score in scores.values() for each in score.failed}
    assert failed == set(corpus_tool_text.OTHERWISE), corpus_tool_text.table(scores)
    assert sum(score.tried for score in scores.values()) >= 297
