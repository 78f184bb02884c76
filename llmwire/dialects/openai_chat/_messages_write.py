"""The turns of a request: neutral messages to Chat's, for a server of some profile.

Rules: results are messages of their own, directly behind the calls; what else a user
turn holds follows. Instructions keep their place, or go to the front where the server
knows no other. Thinking is sent back only to servers that want it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from msgspec import Raw

from llmwire._json import decode_object
from llmwire._turns import (
    ATTACHED,
    REMINDER,
    Placed,
    call_names,
    reasoning_text,
    with_words,
)
from llmwire.dialects.openai_chat._content_write import write_element
from llmwire.dialects.openai_chat._message_write import (
    Sorted,
    is_plain,
    report_segments,
    report_unread,
    same_thoughts,
    sort_parts,
    with_field,
    write_spoken,
)
from llmwire.dialects.openai_chat._notes import (
    CONTENT,
    LEGACY,
    THOUGHTS,
    absent,
    noted,
    said,
)
from llmwire.dialects.openai_chat._pieces_write import Members
from llmwire.dialects.openai_chat._reasoning import native_thoughts
from llmwire.dialects.openai_chat._templates import (
    INSTRUCTIONS,
    alternating,
    results_behind_calls,
    system_first,
)
from llmwire.dialects.openai_chat._turn_losses import (
    drop_thought,
    own_thought,
    report_neighbours,
    report_top,
)
from llmwire.dialects.openai_chat._usual_write import UsualWriter
from llmwire.dialects.openai_chat._writing import NAME, Writing
from llmwire.messages import (
    Extras,
    MediaPart,
    Message,
    OpaquePart,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from llmwire.requests import Request


class MessageWriter:
    """Writes the turns of one request."""

    def __init__(self, to: Writing, names: Mapping[str, str], request: Request) -> None:
        self._to = to
        self._names = names
        self._request = request

    @cached_property
    def _calls(self) -> dict[str, str]:
        return call_names(self._request.messages)

    def written(
        self, messages: tuple[Message, ...], *, adjoining: bool = False
    ) -> list[Any]:
        """The member `messages`.

        Args:
            messages: With ids that the server takes, and all calls answered.
            adjoining: Results are known to stand right behind their calls.

        Raises:
            UnsupportedFeature: Something cannot be said and must not be dropped.
        """
        to = self._to
        usual = UsualWriter(to, self._names)
        found: list[Members] = []
        at = usual.write(messages, 0, found)
        while at < len(messages):
            written = self._message(messages[at], f"messages[{at}]", at, messages)
            if found and written[0]["role"] == "tool" == found[-1]["role"]:
                report_neighbours(to)
            found += written
            at = usual.write(messages, at + 1, found)
        if not to.exact:
            if not adjoining:
                found = results_behind_calls(found, to.losses)
            if to.profile.merge_system:
                found = system_first(found, to.losses)
            if to.profile.strict_alternation:
                found = alternating(found, to.losses)
        return found

    def _message(
        self, message: Message, path: str, at: int, messages: tuple[Message, ...]
    ) -> list[Members]:
        if message.role == "assistant":
            return [self._assistant(message, path)]
        if message.role in INSTRUCTIONS:
            return [self._instructions(message, path, at, messages)]
        return self._user(message, path)

    # --- instructions --------------------------------------------------------------

    def _instructions(
        self, message: Message, path: str, at: int, messages: tuple[Message, ...]
    ) -> Members:
        to = self._to
        role = message.role
        if role == "developer" and not (to.exact or to.profile.developer_role):
            reason = "the server knows `system` only"
            to.losses.approximate("instructions", f"{path}.role", reason)
            role = "system"
        report_top(message, path, self._to)
        late = any(m.role not in INSTRUCTIONS for m in messages[:at])
        if late and not (to.exact or to.profile.system_in_place):
            reason = "instructions stand in front only"
            to.losses.emulate("instructions", path, reason)
            role = "user"
        written = self._told(message, role, path)
        if role == "user" and isinstance(written.get("content"), str):
            written["content"] = REMINDER.format(written["content"])
        return written

    def _told(self, message: Message, role: str, path: str) -> Members:
        """A message that holds content and nothing else."""
        placed = [
            Placed(f"{path}.parts[{at}]", part) for at, part in enumerate(message.parts)
        ]
        written: Members = {"role": role}
        content = self._content(placed, message.extras, path)
        if content is None:
            self._report_empty(message, path)
        self._finish(written, content, message.extras)
        return self._with_extras(written, message.extras, path)

    def _report_empty(self, message: Message, path: str) -> None:
        extras = message.extras
        silent = "content" in said(extras) or "content" in absent(extras)
        if self._to.native and silent and not message.parts:
            return
        reason = "a turn has a text, an empty one at least"
        self._to.losses.default("message.empty", f"{path}.parts", reason)

    def _finish(self, written: Members, content: Any, extras: Extras | None) -> None:
        """Content, or what stands for none."""
        quiet: Mapping[str, Raw] = said(extras) if self._to.native else {}
        if content is not None:
            written["content"] = content
        elif "content" in quiet:
            written["content"] = quiet["content"]
        elif not (self._to.native and "content" in absent(extras)):
            written["content"] = ""
        for name, value in quiet.items():
            written.setdefault(name, value)

    def _with_extras(
        self, written: Members, extras: Extras | None, path: str
    ) -> Members:
        to = self._to
        if extras:
            rejected = not to.exact and "message_name" in to.profile.rejects
            for name, value in to.strangers(extras, path).items():
                if name == "name" and rejected:
                    place = f"{path}.extras[name]"
                    to.losses.drop("extras", place, "the server knows no names")
                else:
                    written.setdefault(name, value)
        return written

    def _content(self, placed: list[Placed], extras: Extras | None, path: str) -> Any:
        """`content` of a message that is no assistant's; None where there is none."""
        to = self._to
        kept: list[Placed] = []
        for each in placed:
            part = each.part
            if part.signature is not None:
                place = f"{each.path}.signature"
                to.losses.drop("reasoning.signature", place, "no room for it here")
            if isinstance(part, TextPart):
                self._report_text(part, each.path)
                kept.append(each)
            elif isinstance(part, MediaPart | OpaquePart):
                kept.append(each)
            elif isinstance(part, ToolResultPart):
                feature = "tool_result.orphan"
                to.losses.drop(feature, each.path, "results answer calls")
            elif isinstance(part, ReasoningPart):
                feature = "reasoning.text"
                to.losses.drop(feature, each.path, "only assistants think")
            elif isinstance(part, ToolCallPart):
                to.losses.drop("call.order", each.path, "only assistants call")
            else:
                self._odd(each)
                if getattr(part, "text", ""):
                    text = TextPart(getattr(part, "text"))  # noqa: B009  a refusal
                    kept.append(Placed(each.path, text))
        return self._elements(kept, extras)

    def _odd(self, each: Placed) -> None:
        losses = self._to.losses
        if getattr(each.part, "text", ""):
            losses.approximate("refusal", each.path, "a text like others here")
        else:
            reason = "the dialect does not show tools that the server runs"
            losses.drop("tool.server_part", each.path, reason)

    def _elements(self, kept: list[Placed], extras: Extras | None) -> Any:
        to = self._to
        if not kept:
            return None
        texts = [p.part for p in kept if isinstance(p.part, TextPart)]
        only_texts = len(texts) == len(kept)
        strings = to.profile.string_content and not to.exact
        parts = to.native and noted(extras, CONTENT) == "parts" and not strings
        if only_texts and not parts:
            if len(texts) == 1 and is_plain(texts[0], to):
                self._report_cache(kept)
                to.strangers(texts[0].extras, kept[0].path)
                return texts[0].text
            if strings:
                self._report_cache(kept)
                if len(kept) > 1:
                    place = kept[0].path.rpartition("[")[0]
                    reason = "the server takes one text"
                    to.losses.approximate("part.boundary", place, reason)
                return "\n\n".join(text.text for text in texts)
        elements = [write_element(p.part, to, p.path) for p in kept]
        return [e for e in elements if e is not None] or None

    def _report_cache(self, kept: list[Placed]) -> None:
        for each in kept:
            if each.part.cache is not None:
                place = f"{each.path}.cache"
                reason = "a mere text takes no cache mark"
                self._to.losses.drop("cache.mark", place, reason)

    def _report_text(self, part: TextPart, path: str) -> None:
        losses = self._to.losses
        if part.citations:
            reason = "texts of the history have no citations"
            losses.drop("citations", f"{path}.citations", reason)
        if part.phase is not None:
            losses.drop("phase", f"{path}.phase", "texts have no phase")
        if part.logprobs:
            losses.drop("logprobs", f"{path}.logprobs", "requests have none")
        if part.incomplete:
            reason = "only a call can be seen to be broken off"
            losses.drop("part.incomplete", f"{path}.incomplete", reason)

    # --- users and results ---------------------------------------------------------

    def _user(self, message: Message, path: str) -> list[Members]:
        to = self._to
        found: list[Members] = []
        others: list[Placed] = []
        hoisted: list[Any] = []
        mixed = False
        for at, part in enumerate(message.parts):
            place = f"{path}.parts[{at}]"
            if isinstance(part, ToolResultPart):
                mixed = mixed or bool(others)
                written, media = self._result(part, place)
                found.append(written)
                hoisted += media
            else:
                others.append(Placed(place, part))
        if found and (others or hoisted):
            reason = "results are messages of their own"
            to.losses.approximate("message.boundary", "messages", reason)
        if mixed:
            reason = "results stand directly behind their calls"
            to.losses.approximate("part.order", f"{path}.parts", reason)
        if hoisted:
            found.append({"role": "user", "content": hoisted})
        if others or not found:
            written = {"role": "user"}
            content = self._content(others, message.extras, path)
            if content is None:
                self._report_empty(message, path)
            self._finish(written, content, message.extras)
            found.append(self._with_extras(written, message.extras, path))
        elif message.extras and not to.native:
            to.losses.drop_extras(message.extras, path)
        return found

    def _result(self, part: ToolResultPart, path: str) -> tuple[Members, list[Any]]:
        """A message for the result, and elements that only a user's may hold."""
        to = self._to
        part = with_words(part, path, NAME, to.losses)
        extras = part.extras
        legacy = to.native and LEGACY in (extras or {})
        written: Members = {"role": "function" if legacy else "tool"}
        if not legacy:
            written["tool_call_id"] = part.call_id
        if part.name is not None:
            if to.native:
                written["name"] = part.name
            else:
                reason = "a result has the name of its call, unsaid"
                to.losses.drop("tool.name", f"{path}.name", reason)
        placed = [
            Placed(f"{path}.parts[{at}]", inner) for at, inner in enumerate(part.parts)
        ]
        hoisted: list[Any] = []
        if to.exact:
            inside = placed
        else:
            inside, hoisted = self._hoisted(part, placed, path)
        content = self._content(inside, extras, path)
        if content == "":
            for each in inside:
                reason = "an empty text says nothing"
                to.losses.drop("message.empty", each.path, reason)
        if hoisted and not content:
            content = ATTACHED
        if part.error:
            to.losses.emulate("tool_result.error", path, "an error is told in words")
            content = self._as_error(content)
        if part.kind == "custom" and not (to.exact or to.profile.custom_tools):
            to.losses.emulate("tool.custom", f"{path}.kind", "called as a function")
        if part.cache is not None:
            place = f"{path}.cache"
            to.losses.drop("cache.mark", place, "results take no cache mark")
        self._finish(written, content, extras)
        return self._with_extras(written, extras, path), hoisted

    @staticmethod
    def _as_error(content: Any) -> Any:
        if isinstance(content, list):
            return [{"type": "text", "text": "Error:"}, *content]
        return f"Error: {content or ''}".strip()

    def _hoisted(
        self, part: ToolResultPart, placed: list[Placed], path: str
    ) -> tuple[list[Placed], list[Any]]:
        """What of a result must stand in a user message behind it."""
        to = self._to
        if to.profile.tool_message_media:
            return placed, []
        inside = [p for p in placed if not isinstance(p.part, MediaPart)]
        media = [p for p in placed if isinstance(p.part, MediaPart)]
        if not media:
            return inside, []
        to.losses.emulate("tool_result.media", path, "shown in a user message")
        name = part.name or self._calls.get(part.call_id, "")
        head = f"Attachment from tool {name} ({part.call_id})"
        elements: list[Any] = [{"type": "text", "text": head}]
        for each in media:
            element = write_element(each.part, to, each.path)
            if element is not None:
                elements.append(element)
        return inside, elements if len(elements) > 1 else []

    # --- assistants ----------------------------------------------------------------

    def _assistant(self, message: Message, path: str) -> Members:
        to = self._to
        found = sort_parts(message.parts, to, path, answer=False)
        written: Members = {"role": "assistant"}
        written |= write_spoken(
            found,
            message.extras,
            to,
            path,
            answer=False,
            thinking=self._thinking,
            names=self._names,
        )
        self._report_calls(found)
        return self._with_extras(written, message.extras, path)

    def _report_calls(self, found: Sorted) -> None:
        losses = self._to.losses
        for each in (*found.calls, *found.contents, *found.refusals, *found.thoughts):
            if getattr(each.part, "logprobs", ()):
                place = f"{each.path}.logprobs"
                losses.drop("logprobs", place, "requests have none")
            if each.part.cache is not None and not isinstance(each.part, TextPart):
                place = f"{each.path}.cache"
                losses.drop("cache.mark", place, "only texts and media are marked")

    def _thinking(self, found: Sorted, to: Writing, extras: Extras | None) -> Members:
        """What was thought, as far as the server wants it back."""
        thoughts = [own_thought(placed, self._to) for placed in found.thoughts]
        if to.exact:
            kept = (extras or {}).get(THOUGHTS)
            if kept is not None and same_thoughts(kept, [p.part for p in thoughts]):
                return decode_object(bytes(kept))
            for placed in thoughts:
                report_unread(placed, to)
            field = to.profile.reasoning_field
            return native_thoughts([with_field(p.part, field) for p in thoughts])
        policy = to.profile.replay_reasoning
        wanted = policy != "never" and (policy != "tool_turns" or bool(found.calls))
        members: Members = {}
        if wanted and policy == "details" and to.native:
            members = native_thoughts(
                [with_field(p.part, to.profile.reasoning_field) for p in thoughts]
            )
        elif wanted:
            members = self._plain_thinking(thoughts)
        else:
            for placed in thoughts:
                drop_thought(placed, self._to)
        if to.profile.require_reasoning and found.calls:
            members.setdefault(to.profile.reasoning_field, "")
        return members

    def _plain_thinking(self, thoughts: list[Placed]) -> Members:
        to = self._to
        texts: list[str] = []
        for placed in thoughts:
            part = placed.part
            if not isinstance(part, ReasoningPart):
                continue
            text = reasoning_text(part)
            if not text:
                to.losses.drop("reasoning.text", placed.path, "it has no text")
                continue
            texts.append(text)
            report_segments(part, placed.path, to, signed=False)
            if not to.native:
                to.losses.drop_extras(part.extras, placed.path)
        if len(texts) > 1:
            place = thoughts[0].path.rpartition("[")[0]
            reason = "thoughts stand in one text"
            to.losses.approximate("part.boundary", place, reason)
        return {to.profile.reasoning_field: "\n\n".join(texts)} if texts else {}
