"""Where a text comes from: Gemini's grounding as citations, and back.

Grounding names sources (`groundingChunks`) and which stretch of which part rests on
which of them (`groundingSupports`). Its offsets count the bytes of the part's UTF-8;
citations count characters.

https://ai.google.dev/gemini-api/docs/google-search#attributing_sources_with_inline_citations
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Raw

from llmwire.dialects.gemini._notes import parsed
from llmwire.dialects.gemini._offsets import Offsets
from llmwire.messages import Citation


def read_citations(
    grounding: Raw, texts: Sequence[str | None]
) -> list[tuple[int, Citation]]:
    """The citations that `grounding` gives, each with the index of its part.

    Args:
        grounding: A `groundingMetadata`, checked by nobody yet.
        texts: Text of every part of the answer, None of those that are no text.

    Never raises.
    """
    if b'"groundingSupports"' not in bytes(grounding):
        return []
    metadata = parsed(grounding)
    if not isinstance(metadata, dict):
        return []
    sources = [_web(c) for c in _list(metadata.get("groundingChunks"))]
    found: list[tuple[int, Citation]] = []
    last = max((at for at, text in enumerate(texts) if text is not None), default=None)
    counts: dict[int, Offsets] = {}
    for support in _list(metadata.get("groundingSupports")):
        if not isinstance(support, dict):
            continue
        segment = support.get("segment")
        segment = segment if isinstance(segment, dict) else {}
        at = _part_of(segment, texts, last)
        if at is None:
            continue
        if at not in counts:
            counts[at] = Offsets(texts[at] or "")
        for number in _list(support.get("groundingChunkIndices")):
            known = isinstance(number, int) and 0 <= number < len(sources)
            web = sources[number] if known else None
            if web is not None:
                found.append((at, _citation(web, segment, counts[at])))
    return found


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _web(chunk: Any) -> dict[str, Any] | None:
    web = chunk.get("web") if isinstance(chunk, dict) else None
    known = isinstance(web, dict) and isinstance(web.get("uri"), str)
    return web if known else None


def _part_of(
    segment: dict[str, Any], texts: Sequence[str | None], last: int | None
) -> int | None:
    """The part a segment is of: the one it names, else the last text."""
    given = segment.get("partIndex", 0)
    if isinstance(given, int) and 0 <= given < len(texts) and texts[given] is not None:
        return given
    return last


def _citation(web: dict[str, Any], segment: dict[str, Any], text: Offsets) -> Citation:
    title = web.get("title")
    words = segment.get("text")
    start, end = _characters(segment, text)
    return Citation(
        kind="url",
        url=web["uri"],
        title=title if isinstance(title, str) else None,
        text=words if isinstance(words, str) else None,
        start=start,
        end=end,
    )


def _characters(
    segment: dict[str, Any], text: Offsets
) -> tuple[int, int] | tuple[None, None]:
    """Byte offsets as character offsets, None where they lie outside of `text`."""
    end = segment.get("endIndex")
    start = segment.get("startIndex", 0 if end is not None else None)
    if not isinstance(start, int) or not isinstance(end, int):
        return None, None
    return text.characters(start, end) or (None, None)


def write_grounding(
    cited: Sequence[tuple[int, str, Sequence[Citation]]],
) -> dict[str, Any] | None:
    """A `groundingMetadata` with the URL citations of some parts, None without any.

    Args:
        cited: Index of a part among all parts of the answer, its text, its citations.
    """
    chunks: list[dict[str, Any]] = []
    supports: list[dict[str, Any]] = []
    numbers: dict[tuple[str, str | None], int] = {}
    for at, text, citations in cited:
        counts = Offsets(text)
        for citation in citations:
            if citation.url is None:
                continue
            key = (citation.url, citation.title)
            if key not in numbers:
                numbers[key] = len(chunks)
                web = {"uri": citation.url}
                if citation.title is not None:
                    web["title"] = citation.title
                chunks.append({"web": web})
            segment = _segment(at, text, counts, citation)
            supports.append(
                {"segment": segment, "groundingChunkIndices": [numbers[key]]}
            )
    if not supports:
        return None
    return {"groundingChunks": chunks, "groundingSupports": supports}


def _segment(at: int, text: str, counts: Offsets, citation: Citation) -> dict[str, Any]:
    segment: dict[str, Any] = {"partIndex": at} if at else {}
    start, end = citation.start, citation.end
    if start is not None and end is not None and 0 <= start <= end <= len(text):
        first = counts.bytes(start)
        if first:
            segment["startIndex"] = first
        segment["endIndex"] = counts.bytes(end)
    if citation.text is not None:
        segment["text"] = citation.text
    return segment
