"""The parts of a stream that is written: the whole life of every item.

An item's id and place are fixed when it is announced. Knows no event but those that
open, grow and close parts.
"""

from __future__ import annotations

from typing import Any

from msgspec import Raw
from msgspec.structs import replace

from llmwire.dialects import ReplyTarget
from llmwire.dialects.openai_responses import _content_write as contents
from llmwire.dialects.openai_responses import _items_write as items
from llmwire.dialects.openai_responses._content_write import Object
from llmwire.dialects.openai_responses._names import NAME
from llmwire.dialects.openai_responses._output import OutputWriter
from llmwire.dialects.openai_responses._response import (
    way_to,
)
from llmwire.dialects.openai_responses._stream_frames import (
    NOWHERE,
    Frames,
    Message,
    Open,
)
from llmwire.events import (
    Event,
    Extra,
    MessageEnd,
    PartStart,
)
from llmwire.limits import near
from llmwire.messages import (
    Base64,
    Extras,
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


class Parts(Frames):
    """Writes the items of one stream."""

    def __init__(self, target: ReplyTarget) -> None:
        super().__init__(target)
        self._way = way_to(target, None)
        self._ids = OutputWriter(self._way, target.seed, "choices[0]")
        self._parts: dict[int, Open] = {}
        self._counts: dict[int, int] = {}
        self._output: list[Object | Raw] = []
        self._messages: dict[int, Message] = {}
        self._stale: dict[int, Message] = {}
        """Messages with parts of which more was said after their end, by place."""
        self._pending: Message | None = None
        self._choice: int | None = None
        self._end: MessageEnd | None = None
        self._shown: list[Part] = []

    # Parts

    def _keeps(self, choice: int) -> bool:
        if self._choice is None:
            self._choice = choice
        if choice == self._choice:
            return True
        reason = "the dialect has one answer"
        self._way.losses.drop("choices", f"choices[{choice}]", reason)
        return False

    def _on_part(self, event: PartStart) -> bytes:
        if event.index in self._parts or self._end is not None:
            return b""
        if not self._keeps(event.choice):
            return b""
        count = self._counts.get(event.choice, 0)
        self._counts[event.choice] = count + 1
        part = event.part
        opened = Open(part, f"choices[{event.choice}].parts[{count}]")
        self._parts[event.index] = opened
        self._keep_extras(opened, part.extras)
        if self._ids.speaks(part):
            return self._open_content(opened)
        if isinstance(part, ReasoningPart):
            return self._open_thought(opened)
        if isinstance(part, ToolCallPart):
            return self._open_call(opened)
        if isinstance(part, (ServerToolCallPart, ServerToolResultPart, OpaquePart)):
            return self._open_server(opened)
        return b""  # media are written when they are whole

    def _keep_extras(self, opened: Open, extras: Extras | None) -> None:
        if not extras:
            return
        if not self._way.native:
            self._way.losses.drop_extras(extras, opened.path)
            return
        for name, value in extras.items():
            if name.startswith("event/"):
                opened.event[name] = value
            elif not name.startswith("item/"):
                opened.extras[name] = value

    def _add(self, opened: Open, item: Object | Raw) -> bytes:
        """Announce an item."""
        opened.output = len(self._output)
        self._output.append(item)
        members: Object = {"output_index": opened.output, "item": item}
        return self._frame("response.output_item.added", members)

    def _close_item(self, opened: Open, item: Object | Raw) -> bytes:
        self._output[opened.output] = item
        members: Object = {"output_index": opened.output, "item": item}
        return self._frame("response.output_item.done", members)

    # Messages

    def _continues(self, event: Event) -> bool:
        """Whether `event` belongs to the message that may be done."""
        message = self._pending
        if message is None or message.group is None:
            return False
        if isinstance(event, PartStart):
            same = event.part.group == message.group
            return same and self._ids.speaks(event.part)
        if isinstance(event, Extra) and event.index is not None:
            opened = self._parts.get(event.index)
            return opened is not None and opened.message is message
        return False

    def _open_content(self, opened: Open) -> bytes:
        part = opened.part
        group = part.group
        message = None if group is None else self._messages.get(group)
        due = b""
        if message is None or message.open:
            # Readers take a part of a message to end where the next one begins.
            message = self._new_message(opened)
            due = self._announce_message(message, part)
        self._pending = None
        opened.message = message
        opened.id, opened.output = message.id, message.output
        opened.content = len(message.parts)
        message.open += 1
        message.parts.append(part)
        message.content.append({})
        empty = self._content(opened, part)
        self._prepare_content(opened)
        place = self._place(opened, content_index=opened.content, part=empty)
        due += self._frame("response.content_part.added", place)
        if isinstance(part, (TextPart, RefusalPart)) and part.text:
            opened.pieces.append(part.text)
            due += self._delta(opened, part.text)
        return due

    def _new_message(self, opened: Open) -> Message:
        part = opened.part
        native = part.id if self._way.native else None
        id = native or self._ids.minted("msg_")
        message = Message(id, len(self._output), part.group)
        if part.group is not None:
            self._messages[part.group] = message
        if self._way.native:
            for name, value in (part.extras or {}).items():
                if name.startswith("item/"):
                    message.extras[name] = value
        return message

    def _announce_message(self, message: Message, part: Part) -> bytes:
        item: Object = {
            "id": message.id,
            "type": "message",
            "status": "in_progress",
            "role": "assistant",
            "content": [],
        }
        if isinstance(part, TextPart) and part.phase is not None:
            item["phase"] = part.phase
        contents.merge(item, message.extras, "item")
        self._output.append(item)
        members: Object = {"output_index": message.output, "item": item}
        return self._frame("response.output_item.added", members)

    def _content(self, opened: Open, part: Part) -> Object | Raw:
        """`part` inside its message."""
        written: Object | Raw | None = None
        if isinstance(part, (TextPart, RefusalPart)):
            plain = replace(part, extras=opened.own_extras(), signature=None)
            written = contents.write_content(plain, "assistant", self._way, opened.path)
        elif isinstance(part, OpaquePart):
            written = part.raw
        else:
            written = contents.write_content(part, "assistant", self._way, opened.path)
        return {} if written is None else written

    def _close_content(self, opened: Open, incomplete: bool) -> bytes:
        message = opened.message
        assert message is not None
        part = self._grown(opened, incomplete)
        written = self._content(opened, part)
        at = opened.content
        message.parts[at], message.content[at] = part, written
        due = b""
        if isinstance(part, TextPart):
            octets = self._way.native
            told = contents.write_logprobs(
                part.logprobs, self._way, opened.path, octets=octets
            )
            place = self._place(opened, content_index=at, text=part.text, logprobs=told)
            due = self._frame("response.output_text.done", place)
        elif isinstance(part, RefusalPart):
            place = self._place(opened, content_index=at, refusal=part.text)
            due = self._frame("response.refusal.done", place)
        place = self._place(opened, content_index=at, part=written)
        due += self._frame("response.content_part.done", place)
        message.open -= 1
        self._shown.append(part)
        carried = b""
        if opened.signature is not None:
            carried = self._finish_message(message)
            carried += self._carry(part, opened.signature, "prev")
        else:
            self._pending = message
        return due + carried

    def _grown(self, opened: Open, incomplete: bool) -> Part:
        """`opened` with all that was said in it."""
        part = opened.part
        text = "".join(opened.pieces)
        common: Any = {"incomplete": incomplete}
        if isinstance(part, TextPart):
            return replace(
                part,
                text=text,
                citations=(*part.citations, *opened.citations),
                logprobs=(*part.logprobs, *opened.logprobs),
                **common,
            )
        if isinstance(part, RefusalPart):
            return replace(part, text=text, **common)
        return replace(opened.final or part, **common)

    def _finish_message(self, message: Message | None = None) -> bytes:
        """The done of a message's item."""
        message = message or self._pending
        self._pending = None
        if message is None:
            return b""
        if message.group is not None:
            self._messages.pop(message.group, None)
        item = self._message_item(message)
        self._output[message.output] = item
        members: Object = {"output_index": message.output, "item": item}
        return self._frame("response.output_item.done", members)

    def _note_late(self, opened: Open) -> None:
        """More was said of a text that is done: its item is not what it was."""
        message = opened.message
        assert message is not None
        message.stale[opened.content] = opened
        self._stale[message.output] = message

    def _whole_output(self) -> list[Object | Raw]:
        """Every item, with what came late."""
        for message in self._stale.values():
            self._output[message.output] = self._message_item(message)
        self._stale.clear()
        return self._output

    def _message_item(self, message: Message) -> Object:
        for at, opened in message.stale.items():
            part = self._grown(opened, message.parts[at].incomplete)
            message.parts[at] = part
            message.content[at] = self._content(opened, part)
        message.stale.clear()
        first = message.parts[0]
        parts = [replace(first, extras=message.extras or None), *message.parts[1:]]
        content = list(message.content)
        return items.write_message(parts, content, self._way, message.id)

    # Reasoning

    def _open_thought(self, opened: Open) -> bytes:
        part = opened.part
        assert isinstance(part, ReasoningPart)
        native = part.id if self._way.native else None
        opened.id = native or self._ids.minted("rs_")
        item: Object = {"id": opened.id, "type": "reasoning", "summary": []}
        if not self._way.native:
            item["status"] = "in_progress"
        contents.merge(item, opened.extras)
        due = self._add(opened, item)
        for at, text in enumerate(part.summary):
            due += self._think(opened, text, at)
        if part.text:
            due += self._think(opened, part.text, None)
        return due

    def _think(self, opened: Open, text: str, summary: int | None) -> bytes:
        due = b""
        if opened.current != (summary,):
            if summary is not None:
                summary = near(summary, opened.segments)
            due = self._close_segment(opened)
            known = opened.segments.get(summary)
            if known is None:
                at = self._next_summary(opened, summary)
                known = opened.segments[summary] = (at, [])
                due += self._open_segment(opened, at, self._is_raw(summary))
            opened.current = (summary,)
            self._thought_frames(opened)
        opened.segments[summary][1].append(text)
        return due + (self._delta(opened, text) if text else b"")

    def _is_raw(self, summary: int | None) -> bool:
        """Whether a segment is written as raw reasoning."""
        return summary is None and self._way.native

    def _next_summary(self, opened: Open, summary: int | None) -> int:
        """The place of a new segment: natively its own, else the next."""
        if self._way.native:
            return summary or 0
        return len(opened.segments)

    def _open_segment(self, opened: Open, at: int, raw: bool) -> bytes:
        if raw:
            blank: Object = {"type": "reasoning_text", "text": ""}
            place = self._place(opened, content_index=at, part=blank)
            return self._frame("response.content_part.added", place)
        blank = {"type": "summary_text", "text": ""}
        place = self._place(opened, summary_index=at, part=blank)
        return self._frame("response.reasoning_summary_part.added", place)

    def _thought_frames(self, opened: Open) -> None:
        """Prepare prefix and suffix of the open segment's deltas."""
        assert opened.current is not None
        (summary,) = opened.current
        raw = self._is_raw(summary)
        at = opened.segments[summary][0]
        kind = "reasoning_text" if raw else "reasoning_summary_text"
        position = "content_index" if raw else "summary_index"
        self._prepare(opened, f"response.{kind}.delta", {position: at})

    def _close_segment(self, opened: Open) -> bytes:
        if opened.current is None:
            return b""
        (summary,) = opened.current
        opened.current = None
        at, pieces = opened.segments[summary]
        text = "".join(pieces)
        if self._is_raw(summary):
            whole: Object = {"type": "reasoning_text", "text": text}
            told = self._place(opened, content_index=at, text=text)
            done = self._place(opened, content_index=at, part=whole)
            due = self._frame("response.reasoning_text.done", told)
            return due + self._frame("response.content_part.done", done)
        whole = {"type": "summary_text", "text": text}
        told = self._place(opened, summary_index=at, text=text)
        done = self._place(opened, summary_index=at, part=whole)
        due = self._frame("response.reasoning_summary_text.done", told)
        return due + self._frame("response.reasoning_summary_part.done", done)

    def _close_thought(self, opened: Open, incomplete: bool) -> bytes:
        due = self._close_segment(opened)
        part = opened.part
        assert isinstance(part, ReasoningPart)
        by_place: dict[int, str] = {}
        text: str | None = None
        for key, (at, pieces) in opened.segments.items():
            if key is None and self._way.native:
                text = "".join(pieces)
            else:
                by_place[at] = "".join(pieces)
        count = max(by_place, default=-1) + 1
        whole = replace(
            part,
            summary=tuple(by_place.get(at, "") for at in range(count)),
            text=text,
            signature=opened.signature,
            incomplete=incomplete,
            extras=opened.own_extras() or part.extras,
        )
        told = None in opened.segments or part.text is not None
        if told and not self._way.native:
            reason = "thinking is shown as summaries"
            self._way.losses.approximate("reasoning.segments", opened.path, reason)
        sealed = None
        if opened.signature is not None:
            sealed = items.seal(whole, opened.signature)
        item = items.write_thought(
            whole, self._way, opened.id, sealed, as_summary=False
        )
        self._shown.append(whole)
        return due + self._close_item(opened, item)

    def _carry(self, part: Part, signature: Signature, placement: str) -> bytes:
        """A reasoning item that holds the signature of its neighbour."""
        item = self._ids.carried(replace(part, signature=signature), placement)
        blank = {**item, "status": "in_progress"}
        blank.pop("encrypted_content", None)
        carrier = Open(part, "")
        return self._add(carrier, blank) + self._close_item(carrier, item)

    # Calls

    def _open_call(self, opened: Open) -> bytes:
        part = opened.part
        assert isinstance(part, ToolCallPart)
        due = b""
        if opened.signature is not None:
            due = self._carry(part, opened.signature, "next")
            opened.carried, opened.signature = opened.signature, None
        call_id, id = self._ids.call_ids(part, opened.path)
        opened.id = id or items.call_item_id(call_id, part.kind)
        part = opened.part = replace(part, call_id=call_id, signature=None)
        empty = replace(part, arguments="", extras=opened.own_extras())
        item = self._call_item(opened, empty)
        if "status" in item:
            item["status"] = "in_progress"
        due += self._add(opened, item)
        self._call_frames(opened)
        if part.arguments:
            due += self._argue(opened, part.arguments)
        return due

    def _call_frames(self, opened: Open) -> None:
        kind = "response.function_call_arguments.delta"
        if getattr(opened.part, "kind", "") == "custom":
            kind = "response.custom_tool_call_input.delta"
        self._prepare(opened, kind, {})

    def _call_item(self, opened: Open, part: ToolCallPart) -> Object:
        return items.write_call(
            part, self._way, opened.id, call_id=part.call_id, name=part.name
        )

    def _argue(self, opened: Open, text: str) -> bytes:
        opened.pieces.append(text)
        return self._delta(opened, text)

    def _close_call(self, opened: Open, incomplete: bool) -> bytes:
        part = opened.part
        assert isinstance(part, ToolCallPart)
        text = "".join(opened.pieces)
        due = b""
        custom = part.kind == "custom"
        if not text.strip() and not custom and not self._way.native:
            due = self._argue(opened, "{}")
            text = "".join(opened.pieces)
        if custom:
            done = self._place(opened, input=text)
            due += self._frame("response.custom_tool_call_input.done", done)
        else:
            done = self._place(opened, arguments=text)
            due += self._frame("response.function_call_arguments.done", done)
        extras = opened.own_extras()
        whole = replace(part, arguments=text, incomplete=incomplete, extras=extras)
        self._ids.report_call(whole, opened.path)
        self._shown.append(whole)
        due += self._close_item(opened, self._call_item(opened, whole))
        if opened.signature is not None:
            due += self._carry(part, opened.signature, "prev")
        return due

    # Hosted and opaque items, media

    def _open_server(self, opened: Open) -> bytes:
        part = opened.part
        raw = self._native_raw(part, opened.path)
        if raw is None:
            return b""
        opened.id = part.id or ""
        return self._add(opened, raw)

    def _native_raw(self, part: Part, path: str) -> Raw | None:
        """The item as it is known; None where it cannot be told."""
        if isinstance(part, OpaquePart):
            if part.dialect == NAME:
                return part.raw
            reason = f"only {part.dialect} knows this part"
            self._way.losses.drop("opaque", path, reason)
            return None
        if self._way.native and isinstance(
            part, (ServerToolCallPart, ServerToolResultPart)
        ):
            return part.payload
        reason = "another server's own tool"
        self._way.losses.drop("tool.server_part", path, reason)
        return None

    def _close_server(self, opened: Open, final: Part | None) -> bytes:
        if opened.output == NOWHERE:
            return b""
        part = final if type(final) is type(opened.part) else opened.part
        raw = self._native_raw(part or opened.part, opened.path)
        self._shown.append(opened.part)
        return b"" if raw is None else self._close_item(opened, raw)

    def _close_media(self, opened: Open, incomplete: bool, final: Part | None) -> bytes:
        part = final if isinstance(final, MediaPart) else opened.part
        if (
            opened.pieces
            and not isinstance(final, MediaPart)
            and isinstance(part, MediaPart)
            and isinstance(part.source, Base64)
        ):
            data = part.source.data + "".join(opened.pieces)
            part = replace(part, source=Base64(data))
        part = replace(part, incomplete=incomplete)
        due = b""
        for item in self._ids.item(part, opened.path):
            assert isinstance(item, dict)
            blank = {**item, "status": "in_progress", "result": None}
            shown = Open(part, "")
            due += self._add(shown, blank) + self._close_item(shown, item)
        return due
