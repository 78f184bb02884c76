"""Broken JSON made JSON, where there is one way to read it, and every change told.

For the arguments of tool calls (`repair_arguments`) and for texts that hold a document
(`repair_json`). What is JSON already comes back as it is, byte for byte. Where nothing
is sure `JSONRepairError` is raised; a text that was cut off is never completed. Knows
JSON and JSON schemas; no events, no dialects. No value is changed by the schema here:
it only decides between readings.

The rules stand in `RULES`, in their order of safety.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

from msgspec import Struct

from llmwire._json_edits import Edit, kept, patched, source_offset
from llmwire._json_evidence import Evidence, read, repeated_keys
from llmwire._json_framing import (
    carried,
    documents_in,
    encoded_object,
    fenced_spans,
    head_end,
    member_span,
    prose_span,
)
from llmwire._json_loose import LooseScanner
from llmwire._json_preview import Allow, Preview, preview_of
from llmwire._json_readings import MAX_FIXES, Reading, Stuck
from llmwire._json_scanner import Scanner
from llmwire.errors import JSONRepairError

__all__ = (
    "MAX_FIXES",
    "RULES",
    "Allow",
    "Edit",
    "JSONRepairError",
    "Preview",
    "Repair",
    "preview_json",
    "repair_arguments",
    "repair_json",
)

RULES: Final[Mapping[str, int]] = {
    "framing": 1,
    "empty": 1,
    "double-encoded": 1,
    "wrapper": 1,
    "control-character": 2,
    "trailing-comma": 2,
    "surplus-comma": 2,
    "comment": 2,
    "blank": 2,
    "literal": 2,
    "undefined": 2,
    "quotes": 2,
    "unquoted-key": 2,
    "colon": 2,
    "comma": 2,
    "missing-comma": 2,
    "escape": 2,
    "number": 2,
    "surplus-closer": 2,
    "inner-quote": 3,
    "missing-closer": 3,
    "concatenated": 3,
    "duplicate": 3,
    "unquoted-string": 4,
    "opening-quote": 4,
    "missing-colon": 4,
    "missing-item-comma": 4,
    "joined-strings": 4,
    "function-call": 4,
    "tuple": 4,
    "ellipsis": 4,
}
"""Every rule and its tier, lower is safer: 1 framing, 2 lexical, 3 structural, 4 loose
(with `loose=True` only, never in arguments)."""


class Repair(Struct, frozen=True):
    """What became of a text."""

    text: str
    """JSON, if `complete`; otherwise the text as it was given."""
    edits: tuple[Edit, ...] = ()
    """Every change, in order; made in the text that was given they give `text`."""
    complete: bool = True
    """Whether `text` is whole. What is not must never be executed."""
    documents: tuple[str, ...] = ()
    """Several documents that stood one behind the other, each of them JSON; then
    `text` is none, and not `complete`."""

    @property
    def tier(self) -> int:
        """The highest tier of a rule that was needed; 0: untouched."""
        return max((RULES[edit.rule] for edit in self.edits), default=0)

    @property
    def duplicate_keys(self) -> tuple[str, ...]:
        """Keys that stand more than once in one object of `text`, which keeps them all.

        Readers differ in which value counts, most take the last. Looked for when asked,
        in time that grows with the text. Empty where nesting is too deep to be told.
        """
        return repeated_keys(self.text)


def repair_json(
    text: str,
    schema: Mapping[str, Any] | None = None,
    *,
    truncated: bool = False,
    loose: bool = False,
) -> Repair:
    """The JSON document in `text`: alone, in a code fence, or within prose.

    Any JSON value counts where nothing else stands; within prose only an object, or an
    array. Work and memory grow with the text and no faster; nesting is no limit.

    Args:
        text: Of any length.
        schema: What the document should be. Only used to choose between readings.
        truncated: The text was cut off. It is then mended only if its document was
            closed before that; if not it comes back unchanged and not `complete`.
        loose: Where all else fails, and nothing was cut off, the rules of tier 4 are
            tried too. Not for what is executed.

    Raises:
        JSONRepairError: No document, or no reading that is sure.
    """
    evidence = Evidence(schema)
    try:
        if _is_json(text, evidence):
            return Repair(text, complete=not (truncated and _may_grow(text)))
        try:
            return _framed(text, evidence, truncated, arguments=False)
        except Stuck:
            found = _in_prose(text, evidence, truncated)
            if found is None:
                raise
            return found
    except Stuck as stuck:
        if truncated:
            return Repair(text, complete=False)
        repair = _loosely(text, evidence) if loose else None
        if repair is None:
            raise _error(text, stuck) from None
        return repair


def preview_json(text: str, *, allow: Allow = Allow.OPEN) -> Preview:
    """What there is of a JSON document that is still coming, or was cut off.

    For showing only: what it gives must never be executed. Work and memory grow with
    the text. Open strings, arrays and objects are closed; numbers and literals that may
    go on are left out, with their keys. A text that is JSON as it is stays as it is. A
    document within prose is not looked for.

    Args:
        text: From its beginning; may stand in a fence.
        allow: What may be shown though it is not all there.

    Raises:
        JSONRepairError: It is broken, not only unfinished.
    """
    try:
        return preview_of(text, allow)
    except Stuck as stuck:
        raise _error(text, stuck) from None


def repair_arguments(
    text: str,
    schema: Mapping[str, Any] | None,
    *,
    truncated: bool = False,
    name: str | None = None,
) -> Repair:
    """The arguments of a tool call: always one JSON object.

    Fences, markup and envelopes around it are taken off; prose is not looked through.
    An object that does not fit its schema is left as it is: that is no defect of JSON.

    Args:
        text: As the model wrote it.
        schema: Of the tool's arguments; None: nothing is known.
        truncated: The answer was cut off. The text is then mended only if its object
            was closed before that; if not it comes back unchanged and not `complete`.
        name: The tool's name, for envelopes that name it.

    Raises:
        JSONRepairError: No object, or no reading that is sure.
    """
    evidence = Evidence(schema)
    try:
        if not text.strip():
            return _empty(text, evidence, truncated)
        if _is_json(text, evidence):
            repair = Repair(text)
        else:
            repair = _mended_arguments(text, evidence, truncated)
        return _as_object(text, repair, evidence, name)
    except Stuck as stuck:
        if truncated:
            return Repair(text, complete=False)
        raise _error(text, stuck) from None


def _is_json(text: str, evidence: Evidence) -> bool:
    try:
        read(text)
    except ValueError:
        return False
    except RecursionError:
        try:
            reading = Scanner(text, 0, evidence).read()
        except Stuck:
            return False
        return not reading.edits and reading.rest is None
    return True


def _loosely(text: str, evidence: Evidence) -> Repair | None:
    """The document that `text` is, or fences, by the rules of tier 4; None: none."""
    spans = [(head_end(text), len(text))]
    if text[spans[0][0] :].lstrip()[:1] not in set("{[(\"'"):
        spans = fenced_spans(text) or spans
    start, end = spans[0]
    edits = [Edit(0, "framing", text[:start], "")] if start else []
    try:
        reading = LooseScanner(text[:end], start, evidence, edits).read()
    except Stuck:
        return None
    behind = [Edit(end, "framing", text[end:], "")] if end < len(text) else []
    edits = [*reading.edits, *behind]
    mended = patched(text, edits)
    sure = evidence.faults(mended) is not None and reading.rest is None
    return Repair(mended, tuple(edits)) if sure and len(spans) == 1 else None


def _may_grow(text: str) -> bool:
    """Whether a JSON text may be the beginning of another one: a number."""
    return text[-1:] in set("0123456789")


# Arguments


def _empty(text: str, evidence: Evidence, truncated: bool) -> Repair:
    if truncated or evidence.required():
        raise Stuck(0, "an object")
    return Repair("{}", (Edit(0, "empty", text, "{}"),))


def _mended_arguments(text: str, evidence: Evidence, truncated: bool) -> Repair:
    try:
        return _framed(text, evidence, truncated, arguments=True)
    except Stuck:
        bare = text.strip()
        quoted = [f'"{bare}"'] if bare[:1] == "{" else []
        inner = bare[1:-1] if bare[:2] == '"{' and bare[-2:] == '}"' else ""
        if encoded_object(inner) is not None:
            quoted = []
            return Repair(inner, (Edit(0, "double-encoded", text, inner),))
        for candidate in quoted:
            decoded = _decoded(candidate)
            if encoded_object(decoded) is not None:
                return Repair(decoded, (Edit(0, "double-encoded", text, decoded),))
        raise


def _decoded(text: str) -> str:
    """The string that `text` is the JSON of; empty: it is none."""
    try:
        value = read(text)
    except (ValueError, RecursionError):
        return ""
    return value if isinstance(value, str) else ""


def _as_object(
    source: str, repair: Repair, evidence: Evidence, name: str | None
) -> Repair:
    """`repair` if its text is an object, or what it carries."""
    if not repair.complete:
        return repair
    try:
        value = read(repair.text)
    except RecursionError:
        value = {} if repair.text.lstrip()[:1] == "{" else []
    if value is None and not evidence.required():
        return Repair("{}", (Edit(0, "empty", source, "{}"),))
    if isinstance(value, str):
        repair = Repair(value, (Edit(0, "double-encoded", source, value),))
        value = encoded_object(value)
    if not isinstance(value, dict):
        raise Stuck(head_end(source), "an object")
    carrier = carried(value, evidence, name)
    return repair if carrier is None else _unwrapped(source, repair, evidence, carrier)


def _unwrapped(source: str, repair: Repair, evidence: Evidence, carrier: str) -> Repair:
    """What the envelope carries, where that fits the schema better."""
    start, end = member_span(repair.text, carrier)
    inner = repair.text[start:end]
    first = source_offset(start, repair.edits)
    last = source_offset(end - 1, repair.edits) + 1
    edits = kept(source, repair.edits, first, last, "wrapper")
    inner = _decoded(inner) or inner
    if patched(source, edits) != inner:  # brackets were added, or it was a string
        rules = [edit.rule for edit in repair.edits]
        edits = [Edit(0, "wrapper", source, inner)]
        if rules:  # the farthest of what went before, and then what it carried
            farthest = max(rules, key=RULES.__getitem__)
            whole = Edit(0, farthest, source, "")
            edits = [whole, Edit(len(source), "wrapper", "", inner)]
    before, after = evidence.faults(repair.text), evidence.faults(inner)
    if after is None or before is None or after >= before:
        return repair
    return Repair(inner, tuple(edits))


# Reading


def _framed(
    text: str, evidence: Evidence, truncated: bool, *, arguments: bool
) -> Repair:
    """The document that `text` is, but for framing."""
    start = head_end(text)
    edits = [Edit(0, "framing", text[:start], "")] if start else []
    scanner = Scanner(text, start, evidence, edits)
    reading = _chosen(text, scanner, evidence, truncated)
    if reading.rest is not None:
        return _several(text, reading, evidence, arguments=arguments)
    mended = patched(text, reading.edits)
    if truncated and _may_grow(mended):
        raise Stuck(len(text), "the end of a number")
    return Repair(mended, reading.edits)


def _chosen(
    text: str, scanner: Scanner, evidence: Evidence, truncated: bool
) -> Reading:
    """The one reading of a document that is sure."""
    try:
        return scanner.read()
    except Stuck:
        if truncated:
            raise
        best = _best(text, scanner.readings(), evidence)
        if best is None:
            raise
        return best


def _best(text: str, readings: Sequence[Reading], evidence: Evidence) -> Reading | None:
    """The one reading that fits the schema best; None where it is not sure.

    Of those that fit as well one wins that takes fewer quotes for content than any
    other, and leaves no more quotations open.
    """
    fitting: dict[str, tuple[tuple[int, int], Reading]] = {}
    for reading in readings:
        mended = patched(text, reading.edits)
        faults = evidence.faults(mended)
        if mended in fitting or reading.rest is not None or faults is None:
            continue
        rules = {edit.rule for edit in reading.edits}
        if "inner-quote" in rules and faults != (0, 0):
            continue
        if "missing-closer" in rules and evidence.missing(mended):
            continue
        fitting[mended] = (faults, reading)
    if not fitting:
        return None
    least = min(faults for faults, _ in fitting.values())
    equal = [reading for faults, reading in fitting.values() if faults == least]
    marks = [(_inner_quotes(reading), reading.odd) for reading in equal]
    least_marks = min(count for count, _ in marks), min(odd for _, odd in marks)
    if marks.count(least_marks) != 1:
        return None
    return equal[marks.index(least_marks)]


def _inner_quotes(reading: Reading) -> int:
    return sum(edit.rule == "inner-quote" for edit in reading.edits)


def _several(
    text: str, first: Reading, evidence: Evidence, *, arguments: bool
) -> Repair:
    """Documents one behind the other: one of them, all in one, or each of them."""
    readings = [first]
    while (rest := readings[-1].rest) is not None:
        if len(readings) >= MAX_FIXES:
            raise Stuck(rest, f"no more than {MAX_FIXES} documents")
        readings.append(Scanner(text, rest, evidence).read())
    spans = [kept(text, r.edits, r.start, r.end, "concatenated") for r in readings]
    texts = [patched(text, edits) for edits in spans]
    try:
        values = list(map(read, texts))
        full = [at for at, value in enumerate(values) if value] or [0]
        one = full[0]
        equal = all(values[at] == values[one] for at in full)
    except RecursionError:
        raise Stuck(readings[1].start, "less nesting") from None
    if equal:
        rule = "duplicate" if len(full) > 1 else "concatenated"
        alone = readings[one]
        edits = kept(text, alone.edits, alone.start, alone.end, rule)
        return Repair(texts[one], tuple(edits))
    if arguments and any(evidence.faults(texts[at]) != (0, 0) for at in full):
        return _merged(text, [readings[at] for at in full], evidence)
    return Repair(text, complete=False, documents=tuple(texts[at] for at in full))


def _merged(text: str, readings: Sequence[Reading], evidence: Evidence) -> Repair:
    """Objects with different keys that are valid as one only."""
    first, last = readings[0], readings[-1]
    edits = [
        edit for r in readings for edit in r.edits if r.start <= edit.offset < r.end
    ]
    for left, right in pairwise(readings):
        start, end = left.end - 1, right.start + 1
        edits.append(Edit(start, "concatenated", text[start:end], ","))
    edits.sort(key=lambda edit: edit.offset)
    edits = kept(text, edits, first.start, last.end, "framing")
    mended = patched(text, edits)
    if encoded_object(mended) is None or evidence.faults(mended) != (0, 0):
        raise Stuck(readings[1].start, "the end of the text")
    return Repair(mended, tuple(edits))


# Prose


def _in_prose(text: str, evidence: Evidence, truncated: bool) -> Repair | None:
    """The document that stands somewhere in `text`; None: no single one."""
    if text[head_end(text) :].lstrip()[:1] in set("{[\"'"):
        return None
    fenced = fenced_spans(text)
    spans = documents_in(text)
    if len(fenced) > max(len(spans), 1):
        return None
    if len(spans) > 1:
        texts = tuple(text[slice(*span)] for span in spans)
        return Repair(text, complete=False, documents=texts)
    if spans:
        edits = kept(text, (), *spans[0], "framing")
        return Repair(text[slice(*spans[0])], tuple(edits))
    if truncated:
        return None
    span = fenced[0] if fenced else prose_span(text)
    if span is None:
        return None
    start, end = span
    edits = [Edit(0, "framing", text[:start], "")] if start else []
    scanner = Scanner(text[:end], start, evidence, edits)
    reading = _chosen(text[:end], scanner, evidence, truncated)
    if reading.rest is not None:
        return None
    behind = [Edit(end, "framing", text[end:], "")] if end < len(text) else []
    edits = [*reading.edits, *behind]
    return Repair(patched(text, edits), tuple(edits))


def _error(text: str, stuck: Stuck) -> JSONRepairError:
    offset = min(stuck.offset, len(text))
    line = text.count("\n", 0, offset) + 1
    column = offset - (text.rfind("\n", 0, offset) + 1) + 1
    return JSONRepairError(
        stuck.expected, _kind(text[offset : offset + 1]), offset, line, column
    )


def _kind(mark: str) -> str:
    """What a character is, without telling more of the content than punctuation."""
    if not mark:
        return "the end of the text"
    if mark.isalpha():
        return "a letter"
    if mark.isdigit():
        return "a digit"
    return f"`{mark}`" if mark.isascii() and mark.isprintable() else "a character"
