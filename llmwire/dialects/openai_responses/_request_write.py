"""Requests, from the neutral conversation onto the wire: the conversation itself.

A native request goes back as it came. Of any other every loss is reported by its path
in the neutral request. Parameters and tools are `_request_params`' business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Raw, Struct
from msgspec.structs import replace

from llmwire import _json, _seal
from llmwire._ids import digest
from llmwire._plain import PlainMessage
from llmwire._turns import (
    answered,
    call_names,
    legal_names,
    with_legal_call_ids,
    with_words,
)
from llmwire.dialects import Encoded, RequestTarget
from llmwire.dialects.openai_responses import _content_write as contents
from llmwire.dialects.openai_responses import _items_write as items
from llmwire.dialects.openai_responses import _names
from llmwire.dialects.openai_responses._content_write import Object, Way
from llmwire.dialects.openai_responses._items_read import is_plain
from llmwire.dialects.openai_responses._names import NAME
from llmwire.dialects.openai_responses._plain_items import (
    report_boundary,
    report_torn,
    sendable,
    write_plain,
)
from llmwire.dialects.openai_responses._request_params import write_parameters
from llmwire.dialects.openai_responses._request_tools import legal_name
from llmwire.http import HTTPRequest
from llmwire.losses import LossRecorder
from llmwire.messages import (
    Extras,
    Message,
    OpaquePart,
    Part,
    ReasoningPart,
    ServerToolCallPart,
    ServerToolResultPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from llmwire.profiles import Profile
from llmwire.requests import Request

PATH: Final = "/v1/responses"
COUNT_PATH: Final = "/v1/responses/input_tokens"
_COUNTED: Final = (
    "model",
    "input",
    "instructions",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "reasoning",
    "text",
    "truncation",
    "conversation",
    "previous_response_id",
)
"""Members of a request that a count of its tokens takes."""


def encode_request(request: Request, target: RequestTarget) -> Encoded:
    """`request` for a server of this dialect.

    Raises:
        UnsupportedFeature: The dialect cannot say something that matters.
    """
    body, encoded = _encode(request, target)
    accept = "text/event-stream" if request.stream else "application/json"
    headers = [("content-type", "application/json"), ("accept", accept)]
    if request.dialect == NAME and request.betas:
        headers.append(("openai-beta", ",".join(request.betas)))
    http = HTTPRequest(
        method="POST",
        path=PATH,
        headers=tuple(headers),
        body=_json.encode(body),
    )
    return replace(encoded, http=http)


def encode_count_request(request: Request, target: RequestTarget) -> HTTPRequest:
    """`request` as a question for its size. Raises like `encode_request`."""
    body, _ = _encode(request, target)
    if request.dialect != NAME:
        body = {name: body[name] for name in _COUNTED if name in body}
    return HTTPRequest(
        method="POST",
        path=COUNT_PATH,
        headers=(("content-type", "application/json"), ("accept", "application/json")),
        body=_json.encode(body),
    )


def _encode(request: Request, target: RequestTarget) -> tuple[Object, Encoded]:
    native = request.dialect == NAME
    way = Way(
        native=native,
        answer=False,
        losses=target.losses,
        profile=target.profile,
        model=target.model or request.model,
        tag=target.tag,
        same_vendor=request.dialect in ("openai-chat", NAME),
    )
    names: Mapping[str, str] = {}
    messages = request.messages
    plain: list[PlainMessage] = []
    if not native:
        limit = target.profile.max_tool_name
        names = legal_names(request, lambda name: legal_name(name, limit), limit)
        plain = sendable(messages, names, target.profile)
        if not plain:
            messages = _settled(messages, target)
    conversation = _Conversation(messages[: len(messages) - len(plain)], way, names)
    conversation.write()
    conversation.items += write_plain(plain)
    report_torn(plain, target.losses)
    body: Object = {}
    if way.model is not None:
        body["model"] = way.model
    if conversation.instructions is not None:
        body["instructions"] = conversation.instructions
    _write_input(request, conversation.items, body)
    encoded = write_parameters(request, body, way, names)
    return body, encoded


def _settled(
    messages: tuple[Message, ...], target: RequestTarget
) -> tuple[Message, ...]:
    """`messages` with a result for every call, and legal ids."""
    profile = target.profile
    messages = answered(messages, target.losses)
    rule = "any" if profile.call_ids == "omitted" else profile.call_ids
    return with_legal_call_ids(messages, rule, profile.max_call_id)


def echo(request: Request) -> Extras | None:
    """Members of a client's request that answers repeat. Never raises."""
    target = RequestTarget(losses=LossRecorder(response=True), profile=Profile())
    body, _ = _encode(request, target)
    repeated: Extras = {
        name: Raw(_json.encode(value))
        for name, value in body.items()
        if name in _names.REPEATED - _names.UNTYPED and value is not None
    }
    settings = repeated.get("text")
    if settings is not None and bytes(settings)[:1] == b"{":
        members = _json.decode_object(bytes(settings))
        members.setdefault("format", Raw(b'{"type":"text"}'))
        repeated["text"] = Raw(_json.encode(members))
    talk = repeated.get("conversation")
    if talk is not None and bytes(talk)[:1] == b'"':
        repeated["conversation"] = Raw(b'{"id":%b}' % bytes(talk))
    return {n: v for n, v in repeated.items() if bytes(v) != b"null"} or None


def _write_input(request: Request, written: list[Object | Raw], body: Object) -> None:
    extras = request.extras if request.dialect == NAME else None
    words = _names.form(extras)
    if not written and ("no-input" in words or (extras and "input" in extras)):
        return
    if "string-input" in words and len(written) == 1:
        last = request.messages[-1]
        if last.role == "user" and is_plain(last.parts):
            body["input"] = getattr(last.parts[0], "text", "")
            return
    body["input"] = written


class _Unit(Struct, frozen=True):
    """What one item of `input` will be read as."""

    message: int
    """The message it was written for."""
    side: str
    """`assistant`, `outputs`: runs of these are one message; else its own role."""


class _Conversation:
    """Messages as items, one after another."""

    def __init__(
        self, messages: tuple[Message, ...], way: Way, names: Mapping[str, str]
    ) -> None:
        self.items: list[Object | Raw] = []
        self.instructions: str | None = None
        self._messages = messages
        self._way = way
        self._names = names
        self._units: list[_Unit] = []
        self._at = 0
        self._side = ""
        self._custom = not way.native and not way.profile.custom_tools
        self._kinds: dict[str, str] = {}
        self._call_names = {} if way.native else call_names(messages)
        if not way.native:
            self._kinds = {
                part.call_id: part.kind
                for message in messages
                for part in message.parts
                if isinstance(part, ToolCallPart)
            }

    def write(self) -> None:
        """Fill `items` and `instructions`."""
        start = self._write_instructions()
        for at, message in enumerate(self._messages[start:], start):
            self._at = at
            if not self._way.native:
                self._report_message(message)
            before = len(self._units)
            if message.role == "assistant":
                self._write_assistant(message)
            else:
                self._write_other(message)
            if len(self._units) == before and not self._way.native:
                reason = "nothing of the turn can be said"
                self._way.losses.drop("message.empty", f"messages[{at}]", reason)
        if not self._way.native:
            self._report_boundaries(start)

    # Instructions

    def _write_instructions(self) -> int:
        """Write the first message as `instructions` if it may; how many were used."""
        if not self._messages or not self._messages[0].top:
            return 0
        way, first = self._way, self._messages[0]
        texts = [part for part in first.parts if isinstance(part, TextPart)]
        marked = any(part.cache for part in texts) and way.profile.cache_marks
        if len(texts) != len(first.parts) or not texts or (marked and not way.native):
            return 0
        self._report_top(first, texts)
        self.instructions = "\n\n".join(part.text for part in texts)
        return 1

    def _report_top(self, first: Message, texts: list[TextPart]) -> None:
        way, losses = self._way, self._way.losses
        if way.native:
            return
        self._report_message(first)
        if first.role != "system":
            reason = "instructions are given without a role"
            losses.approximate("instructions.top", "messages[0].role", reason)
        if len(texts) > 1:
            reason = "instructions are one text: joined by a blank line"
            losses.approximate("part.boundary", "messages[0].parts", reason)
        for at, part in enumerate(texts):
            path = f"messages[0].parts[{at}]"
            items.drop_text_details(part, way, path)
            losses.drop_extras(part.extras, path)
            if part.cache is not None:
                reason = "the target's instructions cannot be marked"
                losses.drop("cache.mark", f"{path}.cache", reason)

    def _report_message(self, message: Message) -> None:
        self._way.losses.drop_extras(message.extras, f"messages[{self._at}]")

    # Messages of users and of instructions

    def _write_other(self, message: Message) -> None:
        way, path = self._way, f"messages[{self._at}]"
        role = message.role
        if message.top and not way.native:
            reason = "these instructions stand in the conversation"
            way.losses.approximate("instructions.top", f"{path}.top", reason)
        content: list[Object | Raw] = []
        alone = not message.parts
        for index, part in enumerate(message.parts):
            place = f"{path}.parts[{index}]"
            if _is_item(part):
                self._flush(message, content)
                content = []
                self._write_item(part, place)
                continue
            written = self._content(part, role, place)
            if written is not None:
                content.append(written)
        if alone:
            self._message(message, content)
        else:
            self._flush(message, content)

    def _content(self, part: Part, role: str, place: str) -> Object | Raw | None:
        if not self._way.native:
            items.report_part(part, self._way, place)
        return contents.write_content(part, role, self._way, place)

    def _flush(self, message: Message, content: list[Object | Raw]) -> None:
        if content:
            self._message(message, content)

    def _message(self, message: Message, content: list[Object | Raw]) -> None:
        extras = message.extras if self._way.native else None
        words = _names.form(extras)
        written: Object = {}
        if "type" not in words:
            written["type"] = "message"
        written["role"] = message.role
        if "content" in words and is_plain(message.parts):
            written["content"] = getattr(message.parts[0], "text", "")
        else:
            written["content"] = content
        if message.id is not None and self._way.native:
            written["id"] = message.id
        contents.merge(written, extras)
        self.items.append(written)
        self._units.append(_Unit(self._at, message.role))

    # The assistant's

    def _write_assistant(self, message: Message) -> None:
        path = f"messages[{self._at}]"
        run: list[tuple[Part, Object | Raw]] = []
        for index, part in enumerate(message.parts):
            place = f"{path}.parts[{index}]"
            if _is_item(part):
                self._flush_run(run)
                self._write_item(part, place)
                continue
            written = self._content(part, "assistant", place)
            if written is None:
                continue
            if run and (part.group is None or part.group != run[0][0].group):
                self._flush_run(run)
            run.append((part, written))
        self._flush_run(run)

    def _flush_run(self, run: list[tuple[Part, Object | Raw]]) -> None:
        if not run:
            return
        parts = [part for part, _ in run]
        content = [written for _, written in run]
        id = parts[0].id
        if not self._way.native:
            id = None
            if not items.is_plain_text(content):
                id = "msg_" + digest("message", self._at, len(self.items))
        self._add(items.write_message(parts, content, self._way, id), "assistant")
        run.clear()

    def _add(self, item: Object | Raw, side: str) -> None:
        self.items.append(item)
        self._units.append(_Unit(self._at, side))

    # Items

    def _write_item(self, part: Part, place: str) -> None:
        if not self._way.native:
            items.report_part(part, self._way, place)
        _ITEM_WRITERS[type(part)](self, part, place)

    def _write_thought(self, part: ReasoningPart, place: str) -> None:
        way, losses = self._way, self._way.losses
        sealed: str | None = None
        signature = part.signature
        if signature is not None:
            if _seal.fits(signature, NAME, way.model, way.tag):
                sealed = signature.value
            else:
                reason = "the state of another origin, which the target cannot verify"
                losses.drop("reasoning.signature", f"{place}.signature", reason)
        plain = way.native and signature is None
        open_models = way.profile.replay_reasoning in ("always", "tool_turns")
        if sealed is None and not plain and not open_models:
            reason = "the target takes thinking only with its own proof"
            losses.drop("reasoning.text", place, reason)
            return
        if part.redacted and not way.native:
            reason = "a thought without text needs no such mark"
            losses.approximate("reasoning.text", f"{place}.redacted", reason)
        own = way.native or (part.id or "").startswith("rs_")
        id = part.id if own else None
        item = items.write_thought(part, way, id, sealed, as_summary=False)
        self._add(item, "assistant")

    def _write_call(self, part: ToolCallPart, place: str) -> None:
        way = self._way
        name = self._names.get(part.name, part.name)
        if name != part.name:
            reason = "the target rejects the name"
            way.losses.emulate("tool.name", f"{place}.name", reason)
        if not way.native:
            if part.kind == "custom" and self._custom:
                reason = "the target has no tools with free text"
                way.losses.emulate("tool.custom", place, reason)
                wrapped = _json.encode({"input": part.arguments}).decode("utf-8")
                part = replace(part, kind="function", arguments=wrapped)
            if part.kind == "function" and not part.arguments.strip():
                part = replace(part, arguments="{}")
        id = part.id if way.native else None
        written = items.write_call(part, way, id, call_id=part.call_id, name=name)
        self._add(written, "assistant")

    def _write_result(self, part: ToolResultPart, place: str) -> None:
        way = self._way
        part = with_words(part, place, NAME, way.losses)
        extras = part.extras if way.native else None
        words = _names.form(extras)
        kind = part.kind if way.native else self._kinds.get(part.call_id, part.kind)
        if kind == "custom" and self._custom:
            kind = "function"
        if kind != part.kind:
            reason = "results are of the kind of their calls"
            way.losses.approximate("tool.custom", f"{place}.kind", reason)
        written: Object = {
            "type": "custom_tool_call_output"
            if kind == "custom"
            else "function_call_output",
            "call_id": part.call_id,
            "output": self._output(part, words, place),
        }
        if way.native:
            if part.id is not None:
                written["id"] = part.id
            if part.name is not None:
                written["name"] = part.name
            items.write_status(written, part.incomplete, False, extras)
            contents.merge(written, extras)
        elif part.name is not None:
            # Results are matched by their id; the name is that of the call.
            if self._call_names.get(part.call_id) != part.name:
                reason = "results are told apart by their calls' ids"
                way.losses.drop("tool.name", f"{place}.name", reason)
            else:
                reason = "the call says it"
                way.losses.approximate("tool.name", f"{place}.name", reason)
        self._add(written, "outputs")

    def _output(
        self, part: ToolResultPart, words: frozenset[str], place: str
    ) -> str | list[Object | Raw]:
        way = self._way
        parts = part.parts
        if part.error and not way.native:
            reason = "there is no flag for failure: the text says so"
            way.losses.emulate("tool_result.error", place, reason)
            parts = _as_error(parts)
        if not parts and "output" not in words:
            if not way.native:
                reason = "an output without content is an empty text"
                way.losses.emulate("message.empty", f"{place}.parts", reason)
            return ""
        text = _only_text(parts, way)
        if text is not None and "output" not in words:
            if not way.native:
                items.report_part(text, way, f"{place}.parts[0]")
            items.drop_text_details(text, way, f"{place}.parts[0]")
            return text.text
        written: list[Object | Raw] = []
        before = len(part.parts) - len(parts)
        for index, inner in enumerate(parts, before):
            path = f"{place}.parts[{max(index, 0)}]"
            content = None if _is_item(inner) else self._content(inner, "user", path)
            if content is not None:
                written.append(content)
            elif _is_item(inner):
                way.losses.drop("opaque", path, "no part of an output")
        return written

    def _write_server(
        self, part: ServerToolCallPart | ServerToolResultPart, place: str
    ) -> None:
        if not self._way.native:
            reason = "what another server's own tool did cannot be replayed"
            self._way.losses.drop("tool.server_part", place, reason)
            return
        inputs = part.name in _names.INPUT_ONLY
        self._add(part.payload, "outputs" if inputs else "assistant")

    def _write_opaque(self, part: OpaquePart, place: str) -> None:
        if part.dialect != NAME:
            reason = f"only {part.dialect} knows this part"
            self._way.losses.drop("opaque", place, reason)
            return
        self._add(part.raw, "assistant")

    # Boundaries

    def _report_boundaries(self, start: int) -> None:
        """Say which messages will be read as another number of messages."""
        runs: list[set[int]] = []
        before = ""
        shares: dict[int, int] = {}
        for unit in self._units:
            joined = unit.side == before and unit.side in ("assistant", "outputs")
            if joined:
                runs[-1].add(unit.message)
            if not joined or unit.message not in shares:
                shares[unit.message] = shares.get(unit.message, 0) + 1
            if not joined:
                runs.append({unit.message})
            before = unit.side
        torn = {at for at, count in shares.items() if count > 1}
        for run in runs:
            if len(run) > 1:
                torn |= run
        for at in sorted(torn):
            report_boundary(at, self._way.losses)


def _is_item(part: Part) -> bool:
    """Whether `part` stands by itself, not in a message."""
    if isinstance(part, OpaquePart):
        return _names.CONTENT not in (part.extras or {})
    return type(part) in _ITEM_WRITERS


def _only_text(parts: tuple[Part, ...], way: Way) -> TextPart | None:
    """The one text of `parts` where a string says it."""
    if len(parts) != 1 or not isinstance(parts[0], TextPart):
        return None
    plain = is_plain(parts) if way.native else parts[0].cache is None
    return parts[0] if plain else None


def _as_error(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """`parts` that begin with the word that something failed."""
    first = parts[0] if parts else TextPart("")
    if not isinstance(first, TextPart):
        return (TextPart("Error:"), *parts)
    if first.text.startswith("Error:"):
        return parts
    return (replace(first, text=f"Error: {first.text}"), *parts[1:])


_ITEM_WRITERS: Final[dict[type, Callable[[_Conversation, Any, str], None]]] = {
    ReasoningPart: _Conversation._write_thought,
    ToolCallPart: _Conversation._write_call,
    ToolResultPart: _Conversation._write_result,
    ServerToolCallPart: _Conversation._write_server,
    ServerToolResultPart: _Conversation._write_server,
    OpaquePart: _Conversation._write_opaque,
}
