"""How a written stream ends: what is remembered of its parts and candidates, and the
last chunk that is made of it.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from llmwire.dialects.gemini._chunks import Chunks
from llmwire.dialects.gemini._grounding import write_grounding
from llmwire.dialects.gemini._parts_write import Members
from llmwire.dialects.gemini._response import (
    report_citations,
    report_grounding,
    report_stop,
)
from llmwire.dialects.gemini._stops import read_stop, spelled_stop, written_stop
from llmwire.events import MessageEnd
from llmwire.losses import LossRecorder
from llmwire.messages import Choice, Citation, Extras, Part


class OpenPart(Struct):
    """One part while its events come, and after."""

    part: Part
    choice: int
    path: str
    pieces: list[str]
    written: int = -1
    """Its place among the parts that a reader sees; -1: nothing of it was written."""
    ended: bool = False
    signed: bool = False
    citations: list[Citation] | None = None
    tokens: int = 0
    """Log probabilities so far."""
    segment: int | None = -1
    """The segment of reasoning that grows; -1: none yet."""
    extras: Extras | None = None
    """Members that its next chunk carries."""


class Answer(Struct):
    """One candidate while it is written."""

    choice: int
    at: int
    """Its place among the choices, for paths."""
    parts: int = 0
    """Parts so far, for paths."""
    seen: int = 0
    """Parts that a reader has seen so far."""
    joins: int = -1
    """Part whose text a reader would continue; -1: none."""
    calls: bool = False
    cut: bool = False
    """A call was written without its arguments."""
    end: MessageEnd | None = None
    known: frozenset[str] = frozenset()
    """Names of its extras so far."""


def blocked(answers: list[Answer], chunks: Chunks) -> Choice | None:
    """The choice of a blocked prompt: filtered, alone, and without a word."""
    if len(answers) != 1:
        return None
    answer = answers[0]
    end = answer.end
    if end is None or end.stop != "content_filter" or answer.parts:
        return None
    if answer.choice or answer.choice in chunks.waiting:
        return None
    detail = end.detail
    if chunks.native and (detail is None or detail.raw is None):
        return None
    return Choice(stop=end.stop, raw=end.raw, detail=detail)


def finished(
    answer: Answer, parts: Iterable[OpenPart], chunks: Chunks, losses: LossRecorder
) -> Members:
    """The last chunk's candidate: stop word, grounding, and an empty text.

    Args:
        answer: The candidate.
        parts: Its parts.
        chunks: How chunks are written.
        losses: Where what cannot be said is told.
    """
    end = answer.end or MessageEnd("other", choice=answer.choice)
    word = _stop_word(answer, end, chunks.native, losses)
    filtered = end.stop in ("content_filter", "malformed_tool_call")
    filtered = filtered or (end.stop == "refusal" and not answer.parts)
    members = chunks.candidate(answer.choice, None if filtered else {"text": ""})
    members["finishReason"] = word
    if end.detail is not None and end.detail.explanation is not None:
        members["finishMessage"] = end.detail.explanation
    if "groundingMetadata" not in answer.known:
        grounding = write_grounding(_cited(parts, losses))
        if grounding is not None:
            report_grounding(f"choices[{answer.at}]", losses)
            members["groundingMetadata"] = grounding
    return members


def _cited(
    parts: Iterable[OpenPart], losses: LossRecorder
) -> list[tuple[int, str, list[Citation]]]:
    """Place, text and citations of the texts that cite."""
    cited: list[tuple[int, str, list[Citation]]] = []
    texts: dict[int, str] = {}
    for opened in parts:
        if opened.written < 0:
            continue
        before = texts.get(opened.written, "")
        text = "".join(opened.pieces)
        texts[opened.written] = before + text
        if opened.citations:
            report_citations(opened.citations, len(text), opened.path, losses)
            moved = [_moved(c, len(before)) for c in opened.citations]
            cited.append((opened.written, before + text, moved))
    return cited


def _moved(citation: Citation, by: int) -> Citation:
    """`citation` of a text that follows `by` characters of the part it joined."""
    if not by or citation.start is None or citation.end is None:
        return citation
    return replace(citation, start=citation.start + by, end=citation.end + by)


def _stop_word(
    answer: Answer, end: MessageEnd, native: bool, losses: LossRecorder
) -> str | int:
    if native and end.raw and not answer.cut:
        return spelled_stop(end.raw)
    word = "MAX_TOKENS" if answer.cut else written_stop(end.stop, answer.parts > 0)
    choice = Choice(
        index=answer.choice,
        stop=end.stop,
        stop_sequence=end.stop_sequence,
        detail=end.detail,
    )
    path = f"choices[{answer.at}]"
    report_stop(choice, read_stop(word, answer.calls), losses, path)
    return word
