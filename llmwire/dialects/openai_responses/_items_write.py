"""Parts of the neutral conversation as items of `input` and `output`.

Shared by requests, whole bodies and streams. `Way` says for whom is written: native
nodes go back as they came, extras and spelling included; of the others what the
dialect cannot say is reported by its path in the node.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Raw

from llmwire import _json, _seal
from llmwire._ids import digest
from llmwire._turns import PLACEMENT
from llmwire.dialects.openai_responses import _names
from llmwire.dialects.openai_responses._content_write import (
    Object,
    Way,
    drop_annotations,
    is_written,
    merge,
)
from llmwire.dialects.openai_responses._items_read import read_segments
from llmwire.dialects.openai_responses._names import NAME
from llmwire.messages import (
    Extras,
    MediaPart,
    Part,
    ReasoningPart,
    RefusalPart,
    Signature,
    TextPart,
    ToolCallPart,
)

# --- items --------------------------------------------------------------------------


def write_status(
    written: Object,
    incomplete: bool,
    present: bool,
    extras: Extras | None,
    prefix: str = "",
) -> None:
    """The item's status, where it is written."""
    if extras is None and not present and not incomplete:
        return
    key = prefix + "status"
    told = is_written(present, key, _names.form(extras), extras)
    if told or (incomplete and not present):
        written["status"] = "incomplete" if incomplete else "completed"


def _broken(way: Way, *parts: Part) -> bool:
    """Whether an item is written as incomplete: foreign input never is."""
    return (way.native or way.answer) and any(part.incomplete for part in parts)


def write_message(
    parts: Sequence[Part], content: list[Object | Raw], way: Way, id: str | None
) -> Object:
    """The assistant's message made of `parts`, which are `content` on the wire."""
    first = parts[0]
    extras = first.extras if way.native else None
    words = _names.form(extras)
    plain = not way.answer and is_plain_text(content)
    written: Object = {}
    if id is not None:
        written["id"] = id
    if "item/type" not in words:
        written["type"] = "message"
    strict = not way.native and not plain and not way.answer
    present = way.answer or strict
    write_status(written, _broken(way, *parts), present, extras, "item/")
    written["role"] = "assistant"
    phase = next((p.phase for p in parts if isinstance(p, TextPart) and p.phase), None)
    if phase is not None:
        written["phase"] = phase
    written["content"] = content
    noted = "item/content" in words
    as_string = noted if way.answer else plain and not noted
    if as_string and len(content) == 1 and isinstance(content[0], dict):
        written["content"] = content[0].get("text", "")
    if strict:
        _complete(content)
    merge(written, extras, "item")
    return written


def is_plain_text(content: Sequence[Object | Raw]) -> bool:
    """Whether a string says all of `content`."""
    return (
        len(content) == 1
        and isinstance(content[0], dict)
        and content[0].keys() == {"type", "text"}
        and content[0]["type"] == "output_text"
    )


def _complete(content: Sequence[Object | Raw]) -> None:
    """Give texts the members that the official types want."""
    for said in content:
        if isinstance(said, dict) and said.get("type") == "output_text":
            said.setdefault("annotations", [])


def write_thought(
    part: ReasoningPart,
    way: Way,
    id: str | None,
    sealed: str | None,
    *,
    as_summary: bool,
) -> Object:
    """A reasoning item.

    Args:
        part: What was thought.
        way: For whom.
        id: The item's, None to leave it out.
        sealed: The encrypted content.
        as_summary: Raw text goes as one more summary, which every client reads.
    """
    extras = part.extras if way.native else None
    words = _names.form(extras)
    summary = [*part.summary]
    if part.text and as_summary:
        summary.append(part.text)
    written: Object = {}
    if id is not None:
        written["id"] = id
    written["type"] = "reasoning"
    present = way.answer and not way.native
    write_status(written, _broken(way, part), present, extras)
    if summary or is_written(True, "summary", words, extras):
        written["summary"] = _segments(summary, "summary", "summary_text", extras)
    if part.text is not None and not as_summary:
        texts = (part.text,)
        written["content"] = _segments(texts, "content", "reasoning_text", extras)
    elif "content" in words:
        written["content"] = []
    if sealed is not None:
        written["encrypted_content"] = sealed
    merge(written, extras)
    return written


def _segments(
    texts: Iterable[str], name: str, kind: str, extras: Extras | None
) -> list[Object] | Raw:
    """The segments, as they came where they say more than their texts do."""
    texts = tuple(texts)
    came = extras.get(name) if extras else None
    if came is not None and bytes(came) != b"null":
        told, _ = read_segments(_json.decode_as(list[Raw], bytes(came)), kind)
        if "".join(told) == "".join(texts):
            return came
    return [{"type": kind, "text": text} for text in texts]


def seal(part: ReasoningPart, signature: Signature) -> str:
    """`signature` as encrypted content in an answer."""
    if signature.origin == NAME:
        return signature.value
    note = bytes((part.extras or {}).get(PLACEMENT, b""))
    placement: _seal.Placement = (
        "next" if note == b'"next"' else "prev" if note == b'"prev"' else "here"
    )
    return _seal.seal(signature, placement, redacted=part.redacted)


def write_call(
    part: ToolCallPart, way: Way, id: str | None, *, call_id: str, name: str
) -> Object:
    """A call that the client runs, under the id and name to be sent."""
    extras = part.extras if way.native else None
    written: Object = {}
    if id is not None:
        written["id"] = id
    custom = part.kind == "custom"
    written["type"] = "custom_tool_call" if custom else "function_call"
    # Custom calls have a status on the wire and none in the official types.
    told = way.answer and (way.native or not custom)
    broken = _broken(way, part) and (way.native or not custom)
    write_status(written, broken, told, extras)
    # An id that the server did not give was minted by the reader.
    if is_written(True, "call_id", _names.form(extras), extras):
        written["call_id"] = call_id
    written["name"] = name
    written["input" if custom else "arguments"] = part.arguments
    merge(written, extras)
    return written


def call_item_id(call_id: str, kind: str) -> str:
    """The id of the item of a call: it only depends on the call's."""
    return ("ctc_" if kind == "custom" else "fc_") + digest("item", call_id)


# --- what foreign parts lose wherever they stand ------------------------------------


def drop_text_details(part: TextPart, way: Way, path: str) -> None:
    """Say what a text loses where only its words are written."""
    if not way.native:
        drop_annotations(part, way, path)


def report_part(part: Part, way: Way, path: str) -> None:
    """Say what every foreign part of a request loses: extras, marks that it broke."""
    losses = way.losses
    if part.extras:
        losses.drop_extras(part.extras, path)
    if part.incomplete:
        reason = "input is complete"
        losses.drop("part.incomplete", f"{path}.incomplete", reason)
    if part.signature is not None and not isinstance(part, ReasoningPart):
        reason = "only thoughts have encrypted state"
        losses.drop("reasoning.signature", f"{path}.signature", reason)
    if part.cache is not None and type(part) not in (TextPart, MediaPart, RefusalPart):
        losses.drop("cache.mark", f"{path}.cache", "the target marks no such part")
    if getattr(part, "logprobs", ()) and type(part) not in (TextPart, RefusalPart):
        losses.drop("logprobs", f"{path}.logprobs", "only texts have them")
