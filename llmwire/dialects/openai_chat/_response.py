"""Whole answers: `chat.completion` to a response and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from msgspec import UNSET, MsgspecError, Raw, UnsetType
from msgspec.structs import replace

from llmwire._ids import digest, mint, mint_call
from llmwire._json import (
    NULL,
    LearnedSchema,
    decode_any,
    decoder,
    encode,
    level,
    nested,
    strangers,
    unlearned,
)
from llmwire._turns import Placed
from llmwire.dialects import ReplyTarget, ResponseSource
from llmwire.dialects.openai_chat._content_read import plain_wire
from llmwire.dialects.openai_chat._errors import find_error
from llmwire.dialects.openai_chat._logprobs import (
    LISTS,
    read_lists,
    read_tokens,
    write_tokens,
)
from llmwire.dialects.openai_chat._message_read import read_spoken
from llmwire.dialects.openai_chat._message_write import (
    Sorted,
    answer_thinking,
    sort_parts,
    write_spoken,
)
from llmwire.dialects.openai_chat._notes import (
    FIELD,
    Kept,
    absent,
    noted,
    said,
    spelling,
)
from llmwire.dialects.openai_chat._pieces_write import Members
from llmwire.dialects.openai_chat._plain_answer import read_plain, write_plain
from llmwire.dialects.openai_chat._reasoning import FIELDS
from llmwire.dialects.openai_chat._stop import read_stop, stop_of, write_stop
from llmwire.dialects.openai_chat._text import validated
from llmwire.dialects.openai_chat._usage import read_usage, write_usage
from llmwire.dialects.openai_chat._wire import Answer, AnswerChoice
from llmwire.dialects.openai_chat._writing import NAME, Writing
from llmwire.errors import LimitExceeded, RemoteProtocolError
from llmwire.losses import LossRecorder
from llmwire.messages import (
    APIError,
    Choice,
    Extras,
    Part,
    ReasoningPart,
    RefusalPart,
    Response,
    TextPart,
    ToolCallPart,
)

_SCHEMA: Final = LearnedSchema(Answer)
_CHOICES: Final = "@choices"
"""`choices` as it came, where several have one index."""
STOP_SEQUENCES: Final = ("stop_reason", "matched_stop")
"""vLLM's and SGLang's word for the stop sequence that was met."""
PADDING: Final = ("obfuscation", "p", "padding")


# --- reading -----------------------------------------------------------------------


def decode_response(body: bytes, source: ResponseSource) -> Response:
    """Read `chat.completion`.

    Raises:
        RemoteProtocolError: It is none (status 502).
    """
    return read_plain(body, source) or _decode_other(body, source)


def decode_reply(body: bytes, source: ResponseSource) -> Response | APIError:
    """The error that `find_error` finds, else the answer.

    Raises:
        RemoteProtocolError: It is neither (status 502).
    """
    plain = read_plain(body, source)
    return plain or find_error(body) or _decode_other(body, source)


def _decode_other(body: bytes, source: ResponseSource) -> Response:
    if len(body) > source.limits.body:
        raise LimitExceeded(f"more than {source.limits.body} bytes", status=502)
    try:
        wire = _decoded(validated(body))
        return _response(wire, source)
    except RemoteProtocolError as error:
        error.status = 502
        raise


def _decoded(body: bytes) -> Answer:
    try:
        wire: Answer = decoder(Answer).decode(body)
        return wire
    except (MsgspecError, UnicodeError, RecursionError):
        plain: Answer = unlearned(_SCHEMA.decode(body))
        return plain


def _response(wire: Answer, source: ResponseSource) -> Response:
    found = strangers(wire)
    kept = Kept({n: v for n, v in found.items() if n not in PADDING} if found else None)
    if not isinstance(wire.system_fingerprint, UnsetType):
        kept.extras["system_fingerprint"] = wire.system_fingerprint
    usual = wire.id and wire.model and wire.created and wire.service_tier
    for name in () if usual else ("id", "model", "created", "service_tier"):
        value = getattr(wire, name)
        if not value:
            if value is not UNSET:
                kept.empty(name, value)
            elif name != "service_tier":
                kept.absent.append(name)
    if isinstance(wire.object, UnsetType):
        kept.absent.append("object")
    elif wire.object != "chat.completion":
        kept.extras["object"] = Raw(encode(wire.object))
    usage = None
    if not isinstance(wire.usage, UnsetType):
        outside = source.profile.reasoning_outside_output
        usage = read_usage(wire.usage, outside=outside)
        if usage is None:
            kept.extras["usage"] = wire.usage
    minted = 0

    def mint_next() -> str:
        nonlocal minted
        minted += 1
        return mint_call(source.seed, minted - 1)

    if isinstance(wire.created, int) and int(float(wire.created)) != wire.created:
        kept.extras["created"] = Raw(encode(wire.created))
    choices = [
        _choice(choice, at, source, mint_next) for at, choice in enumerate(wire.choices)
    ]
    created = wire.created
    return Response(
        id=wire.id or None,
        model=wire.model or None,
        created=float(created) if isinstance(created, int | float) else None,
        choices=_merged(choices, wire, kept),
        usage=usage,
        service_tier=wire.service_tier or None,
        dialect=NAME,
        extras=kept.done(),
    )


def _choice(
    wire: AnswerChoice, at: int, source: ResponseSource, mint_next: Any
) -> Choice:
    kept = Kept(strangers(wire))
    index = wire.index
    if isinstance(index, UnsetType):
        kept.absent.append("index")
    elif index is None:
        kept.said["index"] = NULL
    parts: tuple[Part, ...] = ()
    message = wire.message
    if message:
        inner = Kept(strangers(message))
        if isinstance(message.role, UnsetType):
            inner.absent.append("role")
        elif message.role != "assistant":
            inner.extras["role"] = Raw(encode(message.role))
        path = f"$.choices[{at}].message"
        parts = read_spoken(message, path, mint_next, inner, answer=True)
        for name in ("content", "refusal"):
            if getattr(message, name) is UNSET:
                inner.absent.append(name)
        extras = inner.done()
        if extras:
            kept.extras |= _below_message(extras)
    elif message is None:
        kept.said["message"] = NULL
    else:
        kept.absent.append("message")
    if len(parts) > source.limits.parts:
        raise LimitExceeded(f"more than {source.limits.parts} parts", path="$")
    parts = _read_logprobs(wire, _asked(parts, source), kept)
    word = wire.finish_reason
    if isinstance(word, UnsetType):
        kept.absent.append("finish_reason")
    elif not word:
        kept.empty("finish_reason", word)
    sequence = sequence_of(kept.extras)
    stop = stop_of(word or None, parts, sequence is not None)
    return Choice(
        index=at if not isinstance(index, int) else index,
        parts=parts,
        stop=stop,
        raw=word or None,
        stop_sequence=sequence if stop == "stop_sequence" else None,
        extras=kept.done(),
    )


def _asked(parts: tuple[Part, ...], source: ResponseSource) -> tuple[Part, ...]:
    """`parts` whose signatures of this server's own say whose they are."""
    own = [part for part in parts if part.signature is not None]
    if not own or (source.model is None and source.tag is None):
        return parts
    return tuple(
        part
        if part.signature is None or part.signature.origin != NAME
        else replace(
            part,
            signature=replace(part.signature, model=source.model, tag=source.tag),
        )
        for part in parts
    )


def sequence_of(extras: Extras) -> str | None:
    """The stop sequence that the server says was met."""
    for name in STOP_SEQUENCES:
        value = extras.get(name)
        if value is not None and bytes(value)[:1] == b'"':
            text: str = decode_any(bytes(value))
            return text or None
    return None


def _below_message(extras: Extras) -> Extras:
    """Keys of a message as those of its choice: strangers and notes."""
    return {
        ("@message" if key[:1] == "@" else "message/") + key: value
        for key, value in extras.items()
    }


def message_extras(extras: Extras | None) -> Extras | None:
    """The extras of the message inside those of its choice."""
    return {
        key[8:]: value
        for key, value in (extras or {}).items()
        if key.startswith(("@message@", "message/"))
    } or None


def _merged(choices: list[Choice], wire: Answer, kept: Kept) -> tuple[Choice, ...]:
    """Choices of one index as one: Copilot gives text and calls apart."""
    if len(choices) == 1 or len({each.index for each in choices}) == len(choices):
        return tuple(choices)
    merged: dict[int, Choice] = {}
    for choice in choices:
        known = merged.get(choice.index)
        if known is None:
            merged[choice.index] = choice
            continue
        parts = known.parts + choice.parts
        raw = choice.raw or known.raw
        merged[choice.index] = replace(
            known,
            parts=parts,
            stop=stop_of(raw, parts, False),
            raw=raw,
            extras={**(choice.extras or {}), **(known.extras or {})} or None,
        )
    kept.extras[_CHOICES] = Raw(encode(plain_wire(wire.choices)))
    return tuple(merged.values())


def _read_logprobs(
    wire: AnswerChoice, parts: tuple[Part, ...], kept: Kept
) -> tuple[Part, ...]:
    raw = wire.logprobs
    if isinstance(raw, UnsetType):
        kept.absent.append("logprobs")
        return parts
    if bytes(raw) == b"null":
        return parts
    try:
        lists, others = read_lists(raw)
    except RemoteProtocolError:
        kept.extras["logprobs"] = raw
        return parts
    changed = list(parts)
    places: dict[str, int] = {}
    for name in LISTS:
        entries = getattr(lists, name)
        if not entries:
            continue
        place = logprob_place(parts, name)
        if place is None or place in places.values():
            kept.extras["logprobs"] = raw
            return parts
        places[name] = place
        changed[place] = replace(changed[place], logprobs=read_tokens(entries))
    for name in LISTS:
        value = getattr(lists, name)
        if not value and not isinstance(value, UnsetType):
            kept.empty(f"logprobs/{name}", value)
    kept.extras = nested("logprobs", others, kept.extras) or {}
    if not places:
        kept.absent.append("logprobs")
        kept.said = {k: v for k, v in kept.said.items() if k[:9] != "logprobs/"}
        kept.extras = {k: v for k, v in kept.extras.items() if k[:9] != "logprobs/"}
        kept.extras["logprobs"] = raw
    return tuple(changed)


def logprob_place(parts: Iterable[Part], name: str) -> int | None:
    """Which part the tokens of list `name` belong to: the last that could."""
    found: dict[str, int] = {}
    for at, part in enumerate(parts):
        if isinstance(part, ReasoningPart):
            found["thought"] = at
            found[noted(part.extras, FIELD) or "thought"] = at
        elif isinstance(part, RefusalPart):
            found["refusal"] = at
        elif isinstance(part, TextPart):
            found["text"] = at
        elif isinstance(part, ToolCallPart):
            found["call"] = at
    if name == "content":
        return found.get("text", found.get("call"))
    return found.get(name)


# --- writing -----------------------------------------------------------------------


def encode_response(response: Response, target: ReplyTarget) -> bytes:
    """Write `chat.completion`. Never raises."""
    native = response.dialect == NAME
    losses = target.losses
    root: Members = {
        "id": response_id(response.id, native, target.seed),
        "object": "chat.completion",
        "created": int(created_at(response.created, target.created)),
        "model": target.model or response.model or "",
        "choices": _write_choices(response, target, native),
    }
    if response.usage is not None:
        root["usage"] = write_usage(response.usage, losses, native=native)
    if response.service_tier is not None:
        tier = write_tier(response.service_tier, losses, native=native)
        if tier is not None:
            root["service_tier"] = tier
    if native:
        _restore(root, response, target)
    elif response.extras:
        losses.drop_extras(response.extras, "")
    return encode(root)


def _restore(root: Members, response: Response, target: ReplyTarget) -> None:
    """Give a native answer back what it had and had not."""
    created, extras = response.created, response.extras
    if isinstance(created, float) and created % 1:
        root["created"] = created
    if not extras:
        return
    missing, quiet = spelling(extras)
    given = {
        "id": response.id,
        "created": created,
        "model": response.model or target.model,
    }
    for name in (*given, "object"):
        if given.get(name) is None and (name in missing or name in quiet):
            del root[name]
    for name, value in {**quiet, **level(extras)}.items():
        kept = name in ("object", "created")
        root[name] = value if kept else root.get(name, value)


def created_at(native: float | None, given: float | None) -> float:
    """Seconds since the epoch: as the source said, else as we were told."""
    if native is not None:
        return native
    return given if given is not None else 0


def response_id(native_id: str | None, native: bool, seed: str) -> str:
    """The id to show: kept where this dialect made it, else derived."""
    if native_id is None:
        return mint("chatcmpl-", seed, "response", 0)
    if native or native_id.startswith("chatcmpl-"):
        return native_id
    return "chatcmpl-" + digest(native_id)


_TIERS: Final = {"standard": "default"}
_KNOWN_TIERS: Final = ("auto", "default", "flex", "scale", "priority", "fast")


def write_tier(tier: str | None, losses: LossRecorder, *, native: bool) -> str | None:
    """The tier in this dialect's words."""
    if tier is None or native or tier in _KNOWN_TIERS:
        return tier
    word = _TIERS.get(tier.lower())
    if word is None:
        losses.drop("service_tier", "service_tier", "not a tier of the dialect")
    else:
        losses.approximate("service_tier", "service_tier", "the dialect's own word")
    return word


def _write_choices(response: Response, target: ReplyTarget, native: bool) -> Any:
    choices = response.choices
    plain = [] if native else [write_plain(choice) for choice in choices]
    if plain and None not in plain:
        return plain
    to = Writing(
        profile=target.profile, losses=target.losses, native=native, extras=native
    )
    raw = (response.extras or {}).get(_CHOICES) if native else None
    if raw is not None and _rereads(raw, response, to):
        return raw
    return [
        _write_choice(choice, to, f"choices[{at}]") for at, choice in enumerate(choices)
    ]


def _rereads(raw: Raw, response: Response, to: Writing) -> bool:
    source = ResponseSource(profile=to.profile)
    again = decode_response(b'{"choices":' + bytes(raw) + b"}", source)
    return again.choices == response.choices


def _write_choice(choice: Choice, to: Writing, path: str) -> Members:
    extras = choice.extras if to.native else None
    missing, quiet = spelling(extras)
    written: Members = {}
    if "index" not in missing and "index" not in quiet:
        written["index"] = choice.index
    found = sort_parts(choice.parts, to, path, answer=True)
    inner = message_extras(extras) if extras else None
    message = _write_message(found, inner, to, path)
    if not (choice.parts == () and ("message" in missing or "message" in quiet)):
        written["message"] = message
    logprobs = write_logprobs(found, extras, to)
    if logprobs is not None:
        written["logprobs"] = logprobs
    elif "logprobs" not in missing:
        written["logprobs"] = None
    refusal = message.get("refusal") is not None
    if to.native and choice.raw is not None:
        written["finish_reason"] = choice.raw
    elif "finish_reason" not in missing and "finish_reason" not in quiet:
        calls = bool(found.calls)
        detail = choice.detail
        declined = choice.stop in ("refusal", "content_filter") and not refusal
        if declined and detail is not None and detail.explanation:
            message["refusal"] = detail.explanation
            refusal = choice.stop == "refusal"
        word = write_stop(choice.stop, calls=calls, refusal=refusal)
        written["finish_reason"] = word
        if not to.native:
            report_stop(choice, word, calls, refusal, to, path)
    if not to.native:
        to.losses.drop_extras(choice.extras, path)
    if not extras:
        return written
    for name, value in quiet.items():
        if "/" not in name:
            written.setdefault(name, value)
    for name, value in level(extras).items():
        written.setdefault(name, value)
    if "logprobs" in extras:
        written["logprobs"] = extras["logprobs"]
    return written


def _write_message(
    found: Sorted, inner: Extras | None, to: Writing, path: str
) -> Members:
    message: Members = {"role": "assistant"}
    message |= write_spoken(
        found, inner, to, path, answer=True, thinking=answer_thinking
    )
    if not inner:
        return message
    if "role" in absent(inner):
        del message["role"]
    for name, value in level(inner).items():
        if name == "role":
            message[name] = value
        message.setdefault(name, value)
    return message


def report_stop(
    choice: Choice, word: str, calls: bool, refusal: bool, to: Writing, path: str
) -> None:
    """Tell what the word cannot."""
    if read_stop(word, calls=calls, refusal=refusal) != choice.stop:
        reason = f"the nearest word is `{word}`"
        to.losses.approximate("stop_reason", f"{path}.stop", reason)
    if choice.stop_sequence is not None:
        reason = "the dialect does not say which"
        to.losses.drop("stop_sequence", f"{path}.stop_sequence", reason)
    if choice.detail is not None:
        reason = "an explanation is shown as a refusal at most"
        to.losses.drop("stop_detail", f"{path}.detail", reason)


def write_logprobs(found: Sorted, extras: Extras | None, to: Writing) -> Any:
    """`logprobs` of a choice from those of its parts; None where there are none."""
    lists: dict[str, Any] = {}
    placed: list[Placed] = [*found.contents, *found.calls, *found.refusals]
    for each in (*found.thoughts, *placed):
        part = each.part
        tokens = getattr(part, "logprobs", ())
        if not tokens:
            continue
        name = "content"
        if isinstance(part, RefusalPart):
            name = "refusal"
        elif isinstance(part, ReasoningPart):
            name = noted(part.extras, FIELD) or to.profile.reasoning_field
            if not to.native or name not in FIELDS:
                place = f"{each.path}.logprobs"
                to.losses.drop("logprobs", place, "thinking has none")
                continue
        written = write_tokens(tokens, native=to.native)
        if name in lists and not to.native:
            reason = "there is one list for the text and all calls"
            to.losses.approximate("logprobs", each.path.rpartition("[")[0], reason)
        lists.setdefault(name, []).extend(written)
        _report_tokens(part, each.path, to)
    if not lists:
        return None
    for key, value in said(extras).items():
        if key.startswith("logprobs/"):
            lists.setdefault(key[9:], value)
    lists.update(level(extras, "logprobs"))
    return lists


def _report_tokens(part: Part, path: str, to: Writing) -> None:
    if to.native:
        return
    for token in getattr(part, "logprobs", ()):
        if token.logprob is None:
            reason = "a log probability is a number"
            to.losses.approximate("logprobs", f"{path}.logprobs", reason)
