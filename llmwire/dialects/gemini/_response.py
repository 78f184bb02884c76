"""Whole answers, both ways; and what the stream shares with them.

An answer is one object with `candidates`. Prompts that were blocked have none: then
`promptFeedback` says why.

https://ai.google.dev/api/generate-content#generatecontentresponse
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, Final

from msgspec import UNSET, Raw, convert
from msgspec import ValidationError as MsgspecError

from llmwire import _seal
from llmwire._ids import is_minted_call, mint, mint_call
from llmwire._json import (
    NULL,
    LearnedSchema,
    decode_any,
    encode,
    level,
    nested,
    strangers,
)
from llmwire._nesting import check_nesting
from llmwire.dialects import ReplyTarget, ResponseSource
from llmwire.dialects.gemini import _wire
from llmwire.dialects.gemini._grounding import read_citations, write_grounding
from llmwire.dialects.gemini._logprobs import (
    read_logprobs,
    report_logprobs,
    write_logprobs,
)
from llmwire.dialects.gemini._notes import kept, parsed, raw
from llmwire.dialects.gemini._parts_read import NAME, Reader
from llmwire.dialects.gemini._parts_write import Writer
from llmwire.dialects.gemini._stops import (
    WRITTEN,
    read_stop,
    spelled_stop,
    written_stop,
)
from llmwire.dialects.gemini._usage import (
    drop_tier,
    read_usage,
    report_usage,
    write_usage,
)
from llmwire.dialects.gemini._wire import CARRIED
from llmwire.errors import LimitExceeded, RemoteProtocolError
from llmwire.losses import LossRecorder
from llmwire.messages import (
    Choice,
    Citation,
    Extras,
    Part,
    ReasoningPart,
    RefusalPart,
    Response,
    StopDetail,
    StopReason,
    TextPart,
    TokenLogprob,
    ToolCallPart,
)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)  # noqa: UP017  mypy knows both
_CARRIED: Final = CARRIED[_wire.Candidate]
_TEXTS: Final = (TextPart, RefusalPart)
"""What a reader takes for text."""
_schema: Final = LearnedSchema(_wire.Chunk)


def reader(source: ResponseSource) -> Reader:
    """A reader of a server's parts: calls without an id get one from the seed."""
    calls = 0

    def call_id(native: str | None, name: str) -> tuple[str, Extras | None]:
        nonlocal calls
        if native is None:
            calls += 1
            return mint_call(source.seed, calls - 1), None
        return native, {"@id": raw(native)} if is_minted_call(native) else None

    return Reader(
        client=False,
        call_id=call_id,
        result_id=call_id,  # a server gives none
        model=source.model,
        tag=source.tag,
    )


def read_time(text: str) -> float | None:
    """Seconds since the epoch of an RFC 3339 time, to the microsecond."""
    try:
        moment: datetime = convert(text, datetime)
    except MsgspecError:
        return None
    if moment.tzinfo is None:
        return None
    return (moment - _EPOCH) / timedelta(microseconds=1) / 1e6


def write_time(created: float) -> str | None:
    """RFC 3339 of `created`, None where there is no such year."""
    try:
        moment = _EPOCH + timedelta(microseconds=round(created * 1e6))
    except (OverflowError, ValueError):
        return None
    text = moment.strftime("%Y-%m-%dT%H:%M:%S.%f").zfill(26)
    return f"{text}Z"


def decode_response(body: bytes, source: ResponseSource) -> Response:
    """A whole body as an answer.

    Raises:
        RemoteProtocolError: It is no answer of Gemini's (status 502).
    """
    if len(body) > source.limits.body:
        raise LimitExceeded(f"found more than {source.limits.body} bytes", status=502)
    try:
        body.decode("utf-8")
        check_nesting(body, source.limits.nesting)
        chunk = _schema.decode(body)
    except UnicodeDecodeError as error:
        what = f"invalid UTF-8 at byte {error.start}"
        raise RemoteProtocolError(what, status=502) from None
    except RemoteProtocolError as error:
        error.status = 502
        raise
    if chunk.candidates is UNSET and chunk.prompt_feedback is UNSET:
        known = chunk.usage_metadata is not UNSET or chunk.response_id is not UNSET
        if not known:
            what = "found neither candidates nor promptFeedback"
            raise RemoteProtocolError(what, status=502)
    return _response(chunk, source)


def _response(chunk: _wire.Chunk, source: ResponseSource) -> Response:
    extras: Extras = kept(strangers(chunk))
    parts = reader(source)
    candidates = chunk.candidates if chunk.candidates is not UNSET else []
    choices = tuple(
        _choice(candidate, parts, f"$.candidates[{at}]", source)
        for at, candidate in enumerate(candidates)
    )
    if chunk.candidates is not UNSET and not candidates:
        extras["candidates"] = Raw(b"[]")
    if chunk.prompt_feedback is not UNSET:
        detail = None if choices else read_block(chunk.prompt_feedback)
        if detail is None:
            extras["promptFeedback"] = chunk.prompt_feedback
        else:
            word = block_word(detail)
            choices = (Choice(stop="content_filter", raw=word, detail=detail),)
    if chunk.error is not UNSET:
        extras["error"] = chunk.error
    created = None
    if chunk.create_time is not UNSET:
        created = read_time(chunk.create_time)
        if created is None:
            extras["createTime"] = raw(chunk.create_time)
        elif write_time(created) != chunk.create_time:
            extras["@createTime"] = raw(chunk.create_time)
    usage = tier = None
    if chunk.usage_metadata is not UNSET:
        usage = read_usage(chunk.usage_metadata)
        tier = chunk.usage_metadata.service_tier or None
    return Response(
        id=chunk.response_id or None,
        model=chunk.model_version or None,
        created=created,
        choices=choices,
        usage=usage,
        service_tier=tier,
        dialect=NAME,
        extras=extras or None,
    )


def read_block(feedback: Raw) -> StopDetail | None:
    """Why a prompt was blocked, None where `feedback` says nothing of the kind."""
    members = parsed(feedback)
    reason = members.get("blockReason") if isinstance(members, dict) else None
    if not isinstance(reason, str | int) or isinstance(reason, bool):
        return None
    message = members.get("blockReasonMessage")
    explanation = message if isinstance(message, str) else str(reason)
    return StopDetail(explanation=explanation, raw=feedback)


def block_word(detail: StopDetail) -> str:
    """The `blockReason` of a prompt's feedback."""
    members = decode_any(bytes(detail.raw or b"{}"))
    return str(members["blockReason"])


def _choice(
    wire: _wire.Candidate, parts: Reader, path: str, source: ResponseSource
) -> Choice:
    extras = candidate_extras(wire)
    found: list[Part] = []
    content = wire.content
    if content is not UNSET:
        extras.update(_content_extras(content))
        if content.parts is not UNSET:
            if len(content.parts) > source.limits.parts:
                what = f"found more than {source.limits.parts} parts"
                raise LimitExceeded(what, path=path, status=502)
            for at, part in enumerate(content.parts):
                found.append(parts.part(part, f"{path}.content.parts[{at}]"))
    else:
        extras["@content"] = NULL
    if wire.index is UNSET:
        extras["@index"] = NULL
    if wire.logprobs_result is not UNSET:
        _put_logprobs(wire.logprobs_result, found, extras)
    if wire.grounding_metadata is not UNSET:
        _put_citations(wire.grounding_metadata, found)
    word = None if wire.finish_reason is UNSET else str(wire.finish_reason)
    calls = any(isinstance(part, ToolCallPart) for part in found)
    message = wire.finish_message
    return Choice(
        index=wire.index or 0,
        parts=tuple(found),
        stop=read_stop(word, calls) if word is not None else "other",
        raw=word,
        detail=StopDetail(explanation=message) if message is not UNSET else None,
        extras=extras or None,
    )


def candidate_extras(wire: _wire.Candidate) -> Extras:
    """The members of a candidate that are not modelled."""
    extras: Extras = {}
    if wire.extras or wire.learned:
        extras = kept(strangers(wire))
    for attribute, name in _CARRIED:
        value = getattr(wire, attribute)
        if value is not UNSET:
            extras[name] = value
    return extras


def _content_extras(content: _wire.Content) -> Extras:
    """Strangers of the content, and notes of what it left out."""
    extras: Extras = nested("content", strangers(content), None) or {}
    if content.role is UNSET:
        extras["@role"] = NULL
    elif content.role != "model":
        extras["@role"] = raw(content.role)
    if content.parts is UNSET:
        extras["@parts"] = NULL
    return extras


def _put_logprobs(result: Raw, parts: list[Part], extras: Extras) -> None:
    """Put tokens on the last text, or the raw result among the extras."""
    tokens = read_logprobs(result)
    for at in range(len(parts) - 1, -1, -1):
        part = parts[at]
        if isinstance(part, TextPart) and tokens is not None:
            parts[at] = _with(part, logprobs=tokens)
            return
    extras["logprobsResult"] = result


def _put_citations(grounding: Raw, parts: list[Part]) -> None:
    texts = [p.text if isinstance(p, TextPart) else None for p in parts]
    cited: dict[int, list[Citation]] = {}
    for at, citation in read_citations(grounding, texts):
        cited.setdefault(at, []).append(citation)
    for at, citations in cited.items():
        part = parts[at]
        assert isinstance(part, TextPart)  # nothing else is cited for
        parts[at] = _with(part, citations=(*part.citations, *citations))


def _with(part: TextPart, **changes: Any) -> TextPart:
    fields = {name: getattr(part, name) for name in part.__struct_fields__}
    return TextPart(**{**fields, **changes})


# --- writing -----------------------------------------------------------------------


def signer(losses: LossRecorder) -> Callable[[Part, str], str | None]:
    """How signatures are shown to a client: native ones as they are, others sealed."""

    def sign(part: Part, path: str) -> str | None:
        signature = part.signature
        if signature is None:
            return None
        redacted = isinstance(part, ReasoningPart) and part.redacted
        if signature.origin == NAME and not redacted:
            return signature.value
        envelope = _seal.seal(signature, redacted=redacted)
        return base64.b64encode(envelope.encode("ascii")).decode("ascii")

    return sign


def sent_call_id(call_id: str) -> str | None:
    """The id of a call as a client sees it: none where it was made up here."""
    return None if is_minted_call(call_id) else call_id


def part_writer(native: bool, losses: LossRecorder) -> Writer:
    """A writer of an answer's parts."""
    return Writer(
        losses=losses, native=native, sign=signer(losses), call_id=sent_call_id
    )


def encode_response(response: Response, target: ReplyTarget) -> bytes:
    """An answer as a whole body. Never raises."""
    native = response.dialect == NAME
    losses = target.losses
    body: dict[str, Any] = {}
    blocked = _blocked(response, native)
    if blocked is not None:
        body["promptFeedback"] = write_block(blocked, native, losses)
    else:
        writer = part_writer(native, losses)
        body["candidates"] = [
            _candidate(choice, f"choices[{at}]", writer)
            for at, choice in enumerate(response.choices)
        ]
    tier = response.service_tier
    if tier is not None and not native:
        drop_tier(losses)
        tier = None
    members = write_usage(response.usage, tier, native)
    if members or response.usage is not None:
        body["usageMetadata"] = members
    if response.usage is not None and not native:
        report_usage(response.usage, losses)
    _write_root(body, response, target, native)
    if not native:
        losses.drop_extras(response.extras, "")
    return encode(body)


def _write_root(
    body: dict[str, Any], response: Response, target: ReplyTarget, native: bool
) -> None:
    """Model, id, time and what the root has beside."""
    model = target.model or response.model
    if model is not None:
        body["modelVersion"] = model
    if response.id is not None:
        body["responseId"] = response.id
    elif not native:
        body["responseId"] = mint("", target.seed, "response", 0)
    if not native:
        return
    extras = response.extras or {}
    if response.created is not None:
        text = write_time(response.created)
        note = extras.get("@createTime")
        if note is not None:
            spelled = decode_any(bytes(note))
            text = spelled if read_time(spelled) == response.created else text
        if text is not None:
            body["createTime"] = text
    no_choices = not response.choices
    for name, value in level(response.extras).items():
        if name == "candidates" and not no_choices and "candidates" in body:
            continue
        body[name] = value
    if no_choices and "candidates" not in extras:
        body.pop("candidates", None)


def _blocked(response: Response, native: bool) -> Choice | None:
    """The choice of a blocked prompt: filtered, alone, and without a word."""
    if len(response.choices) != 1:
        return None
    choice = response.choices[0]
    if choice.stop != "content_filter" or choice.parts or choice.index:
        return None
    if native and (choice.detail is None or choice.detail.raw is None):
        return None
    return choice


def write_block(choice: Choice, native: bool, losses: LossRecorder) -> Any:
    """The `promptFeedback` of a blocked prompt."""
    detail = choice.detail
    if native and detail is not None and detail.raw is not None:
        return detail.raw
    place = f"choices[{choice.index}]"
    feedback: dict[str, Any] = {"blockReason": "SAFETY"}
    if detail is not None and detail.explanation is not None:
        feedback["blockReasonMessage"] = detail.explanation
    else:
        reason = "the feedback of a prompt names a reason"
        losses.default("stop_detail", f"{place}.detail", reason)
    report_stop(choice, "content_filter", losses)
    losses.drop_extras(choice.extras, place)
    return feedback


def _candidate(choice: Choice, path: str, writer: Writer) -> dict[str, Any]:
    """One candidate with its parts, stop word and annotations."""
    native, losses = writer.native, writer.losses
    writer.cut = False
    extras = (choice.extras or {}) if native else {}
    wires: list[Any] = []
    cited: list[tuple[int, str, Sequence[Citation]]] = []
    tokens: list[TokenLogprob] = []
    for at, part in enumerate(choice.parts):
        place = f"{path}.parts[{at}]"
        wire = writer.part(part, place)
        if wire is None:
            continue
        if isinstance(part, TextPart):
            if part.logprobs and not native:
                report_logprobs(part.logprobs, place, losses)
                if tokens or any(isinstance(p, _TEXTS) for p in choice.parts[at + 1 :]):
                    reason = "told for the whole answer, with its last text"
                    losses.approximate("logprobs", f"{path}.parts", reason)
            tokens += part.logprobs
            if "groundingMetadata" not in extras:
                cited.append((len(wires), part.text, part.citations))
                report_citations(part.citations, len(part.text), place, losses)
        wires.append(wire)
    members: dict[str, Any] = {}
    if "@content" not in extras or wires:
        members["content"] = _content(wires, extras)
    word = _stop_word(choice, path, writer)
    if word is not None:
        members["finishReason"] = word
    if "@index" not in extras or choice.index:
        members["index"] = choice.index
    if choice.detail is not None and choice.detail.explanation is not None:
        members["finishMessage"] = choice.detail.explanation
    if tokens:
        members["logprobsResult"] = write_logprobs(tokens, native)
    grounding = write_grounding(cited)
    if grounding is not None:
        report_grounding(path, losses)
        members["groundingMetadata"] = grounding
    if native:
        members.update(level(choice.extras))
    else:
        losses.drop_extras(choice.extras, path)
    return members


def _content(wires: list[Any], extras: Extras) -> dict[str, Any]:
    content: dict[str, Any] = {}
    if wires or "@parts" not in extras:
        content["parts"] = wires
    role = extras.get("@role")
    if role is None:
        content["role"] = "model"
    elif role != NULL:
        content["role"] = role
    content.update(level(extras, "content"))
    return content


def _stop_word(choice: Choice, path: str, writer: Writer) -> str | int | None:
    if writer.native and not writer.cut:
        if choice.raw is not None:
            return spelled_stop(choice.raw)
        if choice.stop == "other":
            return None
    spoken = bool(choice.parts)
    word = "MAX_TOKENS" if writer.cut else written_stop(choice.stop, spoken)
    calls = any(isinstance(part, ToolCallPart) for part in choice.parts)
    report_stop(choice, read_stop(word, calls), writer.losses, path)
    return word


def report_stop(
    choice: Choice, read: StopReason, losses: LossRecorder, path: str | None = None
) -> None:
    """Losses of how a choice ended, where it will be read as `read`."""
    place = path or f"choices[{choice.index}]"
    if read != choice.stop:
        reason = f"written as `{WRITTEN[read]}`"
        losses.approximate("stop_reason", f"{place}.stop", reason)
    if choice.stop_sequence is not None:
        reason = "answers do not tell which sequence it was"
        losses.drop("stop_sequence", f"{place}.stop_sequence", reason)
    detail = choice.detail
    if detail is not None and (detail.category or detail.explanation is None):
        reason = "only an explanation can be told"
        what = "detail" if detail.explanation is None else "detail.category"
        losses.drop("stop_detail", f"{place}.{what}", reason)


def report_grounding(path: str, losses: LossRecorder) -> None:
    """The loss of citations that become a member beside the parts."""
    reason = "told as `groundingMetadata`"
    losses.emulate("citations", f"{path}.extras[groundingMetadata]", reason)


def report_citations(
    citations: Iterable[Citation], size: int, path: str, losses: LossRecorder
) -> None:
    """Losses of citations that grounding cannot say."""
    for at, citation in enumerate(citations):
        place = f"{path}.citations[{at}]"
        start, end = citation.start, citation.end
        whole = start is not None and end is not None and 0 <= start <= end <= size
        if citation.url is None:
            losses.drop("citations", place, "only web pages are cited")
        elif (
            citation.kind != "url"
            or citation.file_id is not None
            or not (whole or (start is None and end is None))
        ):
            reason = "grounding tells the page and the words"
            losses.approximate("citations", place, reason)
