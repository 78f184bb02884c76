"""An assistant's parts to one Chat message, in requests and answers alike.

The wire has one text, one refusal and one list of calls, and no order among them: what
that loses is reported by place. Which thinking may be said is for the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from operator import is_
from typing import Any, TypeAlias, cast

from msgspec import Raw, Struct
from msgspec.structs import replace

from llmwire import _seal
from llmwire._json import decode_object, encode, level
from llmwire._turns import Placed, reasoning_text
from llmwire.dialects.openai_chat._content_write import write_element
from llmwire.dialects.openai_chat._message_read import thoughts_of
from llmwire.dialects.openai_chat._notes import (
    CONTENT,
    FIELD,
    LEGACY,
    THOUGHTS,
    noted,
    spelling,
)
from llmwire.dialects.openai_chat._pieces_write import (
    Members,
    write_audio,
    write_call,
    write_citation,
)
from llmwire.dialects.openai_chat._reasoning import (
    DETAILS,
    carrier_entry,
    is_detail,
    native_thoughts,
    own_entry,
    state_value,
)
from llmwire.dialects.openai_chat._writing import NAME, Writing
from llmwire.messages import (
    Base64,
    Extras,
    FileId,
    MediaPart,
    OpaquePart,
    Part,
    ReasoningPart,
    RefusalPart,
    ServerToolCallPart,
    ServerToolResultPart,
    TextPart,
    ToolCallPart,
)

Thinking: TypeAlias = Callable[["Sorted", Writing, "Extras | None"], Members]
"""How thinking is written: for an answer, or for a server of some profile."""


class Sorted(Struct, frozen=True):
    """The parts of a message by the member they go to."""

    contents: list[Placed]
    thoughts: list[Placed]
    refusals: list[Placed]
    sounds: list[Placed]
    calls: list[Placed]

    def order(self) -> list[Part]:
        """The parts in the order in which they will be read."""
        lists = (self.thoughts, self.contents, self.refusals, self.sounds, self.calls)
        return [placed.part for each in lists for placed in each]


def sort_parts(
    parts: tuple[Part, ...], to: Writing, path: str, *, answer: bool
) -> Sorted:
    """Sort `parts`; what no member takes is reported and left out."""
    found = Sorted([], [], [], [], [])
    for at, part in enumerate(parts):
        placed = Placed(f"{path}.parts[{at}]", part)
        chosen = _member(part, to, placed.path, found, answer)
        if chosen is not None:
            chosen.append(placed)
    if len(parts) <= 1:
        return found
    order = found.order()
    if len(order) == len(parts) and all(map(is_, order, parts)):
        return found
    known = set(map(id, order))
    kept = [part for part in parts if id(part) in known]
    if any(a is not b for a, b in zip(kept, order, strict=True)):
        reason = "thinking, text and calls have no order among them"
        to.losses.approximate("part.order", f"{path}.parts", reason)
    return found


def _member(
    part: Part, to: Writing, place: str, found: Sorted, answer: bool
) -> list[Placed] | None:
    if isinstance(part, TextPart):
        return found.contents
    if isinstance(part, ToolCallPart):
        return found.calls
    field = noted(part.extras, FIELD)
    if isinstance(part, ReasoningPart):
        return found.contents if to.native and field == "content" else found.thoughts
    if isinstance(part, RefusalPart):
        return found.contents if field == "content" and not answer else found.refusals
    if isinstance(part, OpaquePart) and part.dialect == NAME:
        if field == "tool_calls":
            return found.calls
        return found.thoughts if field == DETAILS else found.contents
    if isinstance(part, MediaPart):
        return _media_member(part, to, place, found, answer)
    if isinstance(part, ServerToolCallPart | ServerToolResultPart):
        reason = "the dialect does not show tools that the server runs"
        to.losses.drop("tool.server_part", place, reason)
    else:
        to.losses.drop("opaque", place, "no part of an assistant's message")
    return None


def _media_member(
    part: MediaPart, to: Writing, place: str, found: Sorted, answer: bool
) -> list[Placed] | None:
    fits = isinstance(part.source, Base64 if answer else FileId)
    if part.kind == "audio" and fits and (answer or to.native) and not found.sounds:
        return found.sounds
    if to.native and not answer:
        return found.contents
    reason = "an assistant's message holds no such medium"
    to.losses.drop(f"media.{part.kind}", place, reason)
    return None


def write_spoken(
    found: Sorted,
    extras: Extras | None,
    to: Writing,
    path: str,
    *,
    answer: bool,
    thinking: Thinking,
    names: Mapping[str, str] | None = None,
) -> Members:
    """The members of an assistant's message, `role` and strangers left to the caller.

    Raises:
        UnsupportedFeature: The policy is to refuse what cannot be said.
    """
    members: Members = {}
    missing, quiet = spelling(extras if to.native else None)
    content = _content(found, extras, to, path, answer)
    if content is not None:
        members["content"] = content
    elif "content" not in quiet and "content" not in missing:
        silent = not (found.calls or found.refusals or found.sounds)
        members["content"] = "" if silent else None
    refusal = _refusal(found, to, path) if found.refusals else ""
    if refusal:
        members["refusal"] = refusal
    elif answer and "refusal" not in quiet and "refusal" not in missing:
        members["refusal"] = None
    members |= thinking(found, to, extras)
    _write_annotations(found, members, to, answer)
    for placed in found.sounds:
        sound = cast(MediaPart, placed.part)
        members["audio"] = write_audio(sound, placed.path, to)
    calls = []
    for placed in found.calls:
        part = placed.part
        if (
            to.native
            and LEGACY in (part.extras or {})
            and "function_call" not in members
        ):
            members["function_call"] = write_call(placed, to, names)["function"]
        else:
            calls.append(write_call(placed, to, names))
    if calls:
        members["tool_calls"] = calls
    for name, value in quiet.items():
        members.setdefault(name, value)
    return members


def _refusal(found: Sorted, to: Writing, path: str) -> str:
    texts = []
    for placed in found.refusals:
        text = getattr(placed.part, "text", "")
        texts.append(text)
        if not text:
            to.losses.drop("message.empty", placed.path, "an empty text says nothing")
        _report_text(placed, to, True)
        to.losses.drop_extras(placed.part.extras, placed.path)
    _merged(found.refusals, to, path)
    return "".join(texts)


# --- text --------------------------------------------------------------------------


def _content(
    found: Sorted, extras: Extras | None, to: Writing, path: str, answer: bool
) -> Any:
    if not found.contents:
        return None
    texts = [p.part for p in found.contents if isinstance(p.part, TextPart)]
    for placed in found.contents:
        _report_text(placed, to, answer)
    only_texts = len(texts) == len(found.contents)
    noted_parts = noted(extras, CONTENT) == "parts"
    if only_texts and (not noted_parts or not to.native):
        joined = len(texts) > 1 and (
            answer or (to.profile.string_content and not to.exact)
        )
        if joined:
            _merged(found.contents, to, path)
        if joined or (len(texts) == 1 and is_plain(texts[0], to)):
            return _joined(found.contents, to)
    elements = [write_element(p.part, to, p.path) for p in found.contents]
    return [e for e in elements if e is not None] or None


def is_plain(part: TextPart, to: Writing) -> bool:
    """Whether `part` may be written as a mere string."""
    if part.cache is not None and (to.exact or to.profile.cache_marks):
        return to.profile.string_content and not to.exact
    return not (part.extras and to.extras and level(part.extras))


def _joined(contents: list[Placed], to: Writing) -> str | None:
    for placed in contents:
        part = placed.part
        if isinstance(part, TextPart) and not part.text:
            to.losses.drop("message.empty", placed.path, "an empty text says nothing")
        if part.cache is not None:
            place = f"{placed.path}.cache"
            to.losses.drop("cache.mark", place, "a mere text takes no cache mark")
        to.strangers(part.extras, placed.path)
    pieces = [gap + part.text for gap, _, part in _spaced(contents)]
    return "".join(pieces) or None


def gap_before(phase: str | None, last: str | None, length: int) -> str:
    """What stands before a text: a blank line where another phase begins.

    Args:
        phase: Of the text.
        last: Of the text before it.
        length: Characters of the texts before it.
    """
    return "\n\n" if length and phase != last else ""


def _spaced(contents: list[Placed]) -> Iterator[tuple[str, Placed, TextPart]]:
    """The texts among `contents`, each with what stands before it."""
    length, last = 0, None
    for placed in contents:
        part = placed.part
        if isinstance(part, TextPart):
            gap = gap_before(part.phase, last, length) if part.text else ""
            yield gap, placed, part
            if part.text:
                length, last = length + len(gap) + len(part.text), part.phase


def _report_text(placed: Placed, to: Writing, answer: bool) -> None:
    part = placed.part
    if part.incomplete:
        reason = "only a call can be seen to be broken off"
        to.losses.drop("part.incomplete", f"{placed.path}.incomplete", reason)
    if isinstance(part, TextPart):
        if part.phase is not None:
            to.losses.drop("phase", f"{placed.path}.phase", "texts have no phase")
        if part.signature is not None and not answer:
            reason = "a text takes no signature"
            place = f"{placed.path}.signature"
            to.losses.drop("reasoning.signature", place, reason)


def _merged(placed: list[Placed], to: Writing, path: str) -> None:
    if len(placed) > 1:
        reason = "the dialect has one text for the whole message"
        to.losses.approximate("part.boundary", f"{path}.parts", reason)


# --- citations ---------------------------------------------------------------------


def _write_annotations(
    found: Sorted, members: Members, to: Writing, answer: bool
) -> None:
    texts = [p.part for p in found.contents if isinstance(p.part, TextPart)]
    if not [text for text in texts if text.citations]:
        return
    annotations: list[Any] = []
    offset = 0
    for gap, placed, part in _spaced(found.contents):
        offset += len(gap)
        for at, citation in enumerate(part.citations):
            place = f"{placed.path}.citations[{at}]"
            if not answer and not to.native:
                reason = "texts of the history have no citations"
                to.losses.drop("citations", f"{placed.path}.citations", reason)
                continue
            written = write_citation(citation, offset, len(part.text), to, place)
            if written is not None:
                annotations.append(written)
        offset += len(part.text)
    if annotations:
        members["annotations"] = annotations


# --- thinking, of an answer --------------------------------------------------------


def answer_thinking(found: Sorted, to: Writing, extras: Extras | None) -> Members:
    """Everything that was thought, for a client."""
    parts = [p.part for p in found.thoughts]
    if to.native:
        kept = (extras or {}).get(THOUGHTS)
        if kept is not None and same_thoughts(kept, parts):
            return _verbatim(kept)
        field = to.profile.reasoning_field
        return native_thoughts([with_field(p, field) for p in parts])
    return _foreign_thinking(found, to)


def same_thoughts(kept: Raw, parts: list[Part]) -> bool:
    """Whether the members that were kept still say what `parts` do."""
    return thoughts_of(_verbatim(kept))[0] == [_anonymous(part) for part in parts]


def _anonymous(part: Part) -> Part:
    """`part` as it is read where nobody knows who was asked."""
    if part.signature is None or part.signature.origin != NAME:
        return part
    return replace(part, signature=replace(part.signature, model=None, tag=None))


def _verbatim(kept: Raw) -> dict[str, Raw]:
    return decode_object(bytes(kept))


def report_unread(placed: Placed, to: Writing) -> None:
    """Tell what a thought that was never read from the wire gets, or loses."""
    part = placed.part
    if not isinstance(part, ReasoningPart) or is_detail(part):
        return
    to.losses.drop_extras(part.extras, placed.path)
    if part.signature is not None and part.signature.origin == NAME:
        reason = "an entry has a type and an index"
        to.losses.default("extras", f"{placed.path}.extras", reason)
    if part.signature is None and not reasoning_text(part):
        to.losses.drop("reasoning.text", placed.path, "it has no text")
    else:
        signed = part.signature is not None
        report_segments(part, placed.path, to, signed=signed)
    if part.redacted and part.signature is None:
        reason = "what is withheld has a signature"
        to.losses.drop("reasoning.text", f"{placed.path}.redacted", reason)


def with_field(part: Part, field: str) -> Part:
    """`part` with a plain field to stand in, where it says none."""
    if not isinstance(part, ReasoningPart) or is_detail(part):
        return part
    if noted(part.extras, FIELD) is not None:
        return part
    return replace(part, extras={**(part.extras or {}), FIELD: Raw(encode(field))})


def _foreign_thinking(found: Sorted, to: Writing) -> Members:
    texts: list[str] = []
    entries: list[Members] = []
    for number, placed in enumerate(found.thoughts):
        part = placed.part
        if not isinstance(part, ReasoningPart):
            continue
        to.losses.drop_extras(part.extras, placed.path)
        text = reasoning_text(part)
        again = bool(texts)
        if text:
            texts.append(text)
        signed = part.signature is not None and to.profile.reasoning_details
        report_segments(part, placed.path, to, signed=signed)
        if part.signature is not None and signed:
            value = state_value(part.signature, redacted=part.redacted)
            entries.append(own_entry(part, value, number, again))
        elif part.signature is not None:
            place = f"{placed.path}.signature"
            to.losses.drop("reasoning.signature", place, "not shown to this client")
        if not text and not signed:
            to.losses.drop("reasoning.text", placed.path, "it has no text to show")
    if len(texts) > 1:
        place = found.thoughts[0].path.rpartition("[")[0]
        reason = "thoughts stand in one text"
        to.losses.approximate("part.boundary", place, reason)
    members: Members = {}
    if texts:
        members[to.profile.reasoning_field] = "\n\n".join(texts)
    entries += _carriers(found, to, len(found.thoughts))
    if entries:
        members[DETAILS] = entries
    return members


def report_segments(
    part: ReasoningPart, place: str, to: Writing, *, signed: bool
) -> None:
    """Tell what one text cannot say of a thought's segments."""
    count = len(part.summary) + bool(part.text)
    if count > 1 or (part.summary and not signed):
        reason = "thinking is one text"
        to.losses.approximate("reasoning.segments", place, reason)
    if part.incomplete:
        reason = "only a call can be seen to be broken off"
        to.losses.drop("part.incomplete", f"{place}.incomplete", reason)


def _carriers(found: Sorted, to: Writing, number: int) -> list[Members]:
    """Signatures of texts, which have no room for them themselves."""
    entries: list[Members] = []
    for placed in found.contents:
        signature = placed.part.signature
        if signature is None:
            continue
        if to.profile.reasoning_details and not entries:
            value = _seal.seal(signature, "next")
            entries.append(carrier_entry(value, number))
        else:
            place = f"{placed.path}.signature"
            to.losses.drop("reasoning.signature", place, "there is no room for it")
    return entries
