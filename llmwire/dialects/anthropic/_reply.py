"""Parts of another dialect's answer as blocks, with what could not be said.

Shared by whole answers and streams: ids, how foreign reasoning state rides in
`signature`, which parts have no block here.
"""

from __future__ import annotations

from typing import Final

from msgspec import Raw
from msgspec.structs import replace

from llmwire import _seal
from llmwire._ids import digest, mint
from llmwire._json import encode, is_json, is_json_object
from llmwire._plain import plain_object
from llmwire._turns import legal_call_id, reasoning_text
from llmwire.dialects import ReplyTarget
from llmwire.dialects.anthropic._blocks_write import (
    Members,
    add_extras,
    signature_value,
    write_block,
)
from llmwire.dialects.anthropic._wire import NAME
from llmwire.losses import LossRecorder
from llmwire.messages import (
    MediaPart,
    OpaquePart,
    Part,
    ReasoningPart,
    RefusalPart,
    ServerToolCallPart,
    ServerToolResultPart,
    Signature,
    TextPart,
    ToolCallPart,
)

_MAX_CALL_ID: Final = 64
_UNKNOWN: Final = "unknown"
"""Origin of plain thoughts that were read from no dialect."""


def message_id(native_id: str | None, native: bool, seed: str) -> str:
    """The id of the message: `msg_…` for clients that look at the prefix."""
    if native_id is None:
        return mint("msg_", seed, "message", 0)
    return native_id if native else "msg_" + digest("message", native_id)


def call_id(value: str, native: bool) -> str:
    """The id of a call, legal here."""
    return value if native else legal_call_id(value, "safe", _MAX_CALL_ID)


def signature_text(
    signature: Signature, placement: _seal.Placement = "here", *, redacted: bool = False
) -> str:
    """A signature as it stands in a block: our own as it is, others sealed."""
    if signature.origin == NAME and placement == "here":
        return signature.value
    return _seal.seal(signature, placement, redacted=redacted)


def thinking_block(text: str, signature: str) -> Members:
    """A thought; an empty one carries nothing but its signature.

    Without a signature there is no such member: strict clients reject an empty one.
    """
    block: Members = {"type": "thinking", "thinking": text}
    return {**block, "signature": signature} if signature else block


def plain_signature(dialect: str | None, target: ReplyTarget) -> str:
    """What stands for the signature of a thought that has none."""
    if dialect == NAME or not target.profile.seal_plain:
        return ""
    return _seal.seal(Signature(origin=dialect or _UNKNOWN, value=""))


def whole_call(part: ToolCallPart) -> str | None:
    """The arguments as a JSON object, None where they are none."""
    text = part.arguments.strip()
    if text in ("", "null"):
        return "{}"
    return text if is_json_object(text) else None


def custom_input(text: str) -> str:
    """The arguments of a function that stands for a custom tool."""
    return '{"input":' + encode(text).decode() + "}"


def reply_blocks(
    parts: tuple[Part, ...], path: str, dialect: str | None, target: ReplyTarget
) -> tuple[list[Members | Raw], bool]:
    """The blocks for `parts`, and whether a call had to be emptied."""
    blocks: list[Members | Raw] = []
    native = dialect == NAME
    cut = False
    for at, part in enumerate(parts):
        plain = _plain_block(part, native)
        if plain is not None:
            blocks.append(plain)
            continue
        place = f"{path}.parts[{at}]"
        report_part(part, place, native, target.losses)
        if isinstance(part, ReasoningPart):
            blocks += _reasoning(part, place, dialect, target)
            continue
        if drops(part, place, native, target.losses):
            continue
        if isinstance(part, ToolCallPart):
            block, broken = _call(part, place, native, target.losses)
            cut = cut or broken
            if part.signature is not None:
                blocks.append(carrier_block(part.signature, "next"))
            blocks.append(block)
            continue
        said = not isinstance(part, TextPart) or bool(part.text) or native
        written = write_block(part if native else _bare(part)) if said else None
        if written is not None:
            blocks.append(written)
        if part.signature is not None:
            behind = said or _joins_text(parts, at, path, target.losses)
            blocks.append(carrier_block(part.signature, "prev" if behind else "here"))
    return blocks, cut


def _plain_block(part: Part, native: bool) -> Members | None:
    """The block of a text or a call that is nothing more; None for all others."""
    if (
        part.incomplete
        or part.signature is not None
        or part.cache is not None
        or part.extras is not None
    ):
        return None
    if type(part) is TextPart:
        bare = part.text and part.phase is None
        more = part.citations or part.logprobs
        return {"type": "text", "text": part.text} if bare and not more else None
    if type(part) is not ToolCallPart or part.kind == "custom" or part.logprobs:
        return None
    arguments = plain_object(part.arguments)
    if arguments is None:
        return None
    return {
        "type": "tool_use",
        "id": call_id(part.call_id, native),
        "name": part.name,
        "input": arguments,
    }


def _joins_text(
    parts: tuple[Part, ...], at: int, path: str, losses: LossRecorder
) -> bool:
    """Whether the signature of an empty text can stand at the text before it."""
    before = parts[at - 1] if at else None
    if not isinstance(before, TextPart) or before.signature or not before.text:
        return False
    place = f"{path}.parts[{at - 1}].signature"
    losses.approximate("part.boundary", place, "that of the empty text behind it")
    return True


def carrier_block(signature: Signature, placement: _seal.Placement) -> Members:
    """An empty thought that carries the signature of its neighbour."""
    return thinking_block("", _seal.seal(signature, placement))


def _bare(part: Part) -> Part:
    return TextPart(text=part.text) if isinstance(part, TextPart) else part


def drops(
    part: Part, path: str, native: bool, losses: LossRecorder, *, whole: bool = True
) -> bool:
    """Whether `part` has no block here; says so.

    Of a part that is not `whole` yet more may come.
    """
    if isinstance(part, ToolCallPart):
        return False
    if isinstance(part, TextPart):
        if part.text or native:
            return False
        if part.signature is not None:
            reason = "its signature stands in a thought of its own"
            losses.approximate("part.boundary", path, reason)
            return False
        losses.drop("message.empty", path, "texts must not be empty")
        return True
    if isinstance(part, RefusalPart):
        losses.emulate("refusal", path, "written as text")
        if not part.text and whole:
            losses.drop("message.empty", path, "texts must not be empty")
        return whole and not part.text
    if isinstance(part, MediaPart):
        if native and part.kind in ("image", "document"):
            return False
        feature = f"media.{part.kind}"
        losses.drop(feature, path, "answers hold no media in this dialect")
        return True
    if isinstance(part, (ServerToolCallPart, ServerToolResultPart)):
        if not native:
            reason = "a tool that another vendor's server ran"
            losses.drop("tool.server_part", path, reason)
        return not native
    if isinstance(part, OpaquePart) and part.dialect == NAME:
        return False
    losses.drop("opaque", path, "not a part of this dialect")
    return True


def report_part(part: Part, path: str, native: bool, losses: LossRecorder) -> None:
    """Say what of `part` has no member here, whatever its block."""
    if isinstance(part, TextPart):
        if part.citations and (
            not native or any(c.raw is None for c in part.citations)
        ):
            reason = "the dialect's citations cannot be made up"
            losses.drop("citations", f"{path}.citations", reason)
        if part.phase is not None:
            losses.drop("phase", f"{path}.phase", "the dialect has no phases")
    if getattr(part, "logprobs", ()):
        reason = "the dialect has no log probabilities"
        losses.drop("logprobs", f"{path}.logprobs", reason)
    if part.incomplete:
        reason = "the dialect cannot say that a part broke off"
        losses.drop("part.incomplete", f"{path}.incomplete", reason)
    if not native:
        losses.drop_extras(part.extras, path)


def _reasoning(
    part: ReasoningPart, path: str, dialect: str | None, target: ReplyTarget
) -> list[Members | Raw]:
    native = dialect == NAME
    if part.summary:
        reason = "segments are joined by a blank line"
        target.losses.emulate("reasoning.segments", path, reason)
    text = reasoning_text(part)
    if part.text == "":
        target.losses.default("reasoning.text", f"{path}.text", "nothing was said")
    value = signature_value(part)
    if value is None and not native:
        if not text:
            target.losses.drop("message.empty", path, "a thought that says nothing")
            return []
        return [thinking_block(text, plain_signature(dialect, target))]
    made_here = part.signature is not None and part.signature.origin == NAME
    if part.redacted or (value is not None and not text and not made_here):
        if text:
            target.losses.drop("reasoning.text", path, "the thought is withheld")
        if value is None:
            target.losses.drop("message.empty", path, "a thought that says nothing")
            return []
        block: Members = {"type": "redacted_thinking", "data": value}
        return [add_extras(block, part.extras) if native else block]
    if native:
        written = write_block(part)
        return [written] if written is not None else []
    return [thinking_block(text, value or "")]


def _call(
    part: ToolCallPart, path: str, native: bool, losses: LossRecorder
) -> tuple[Members | Raw, bool]:
    if part.kind == "custom":
        reason = "written as a function with one input"
        losses.emulate("tool.custom", path, reason)
        part = replace(part, arguments=custom_input(part.arguments))
    text = part.arguments.strip()
    whole = is_json(text) if native and text else whole_call(part) is not None
    if not whole:
        reason = "no JSON object; left empty"
        losses.drop("call.arguments", f"{path}.arguments", reason)
    if native:
        written = write_block(part)
        assert written is not None
        return written, not whole
    arguments = whole_call(part) or "{}"
    block: Members = {
        "type": "tool_use",
        "id": call_id(part.call_id, native),
        "name": part.name,
        "input": Raw(arguments.encode("utf-8", "replace")),
    }
    return block, not whole
