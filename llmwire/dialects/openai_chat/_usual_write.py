"""The usual turns of a request, written at once: nothing of them needs a decision.

What is written here is what `_messages_write` writes the long way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from llmwire._plain import is_bare_call, is_bare_result
from llmwire._turns import Placed
from llmwire.dialects.openai_chat._pieces_write import Members, write_bare_call
from llmwire.dialects.openai_chat._turn_losses import (
    drop_thought,
    own_thought,
    report_neighbours,
    report_top,
)
from llmwire.dialects.openai_chat._writing import Writing
from llmwire.messages import (
    Extras,
    Message,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)


class UsualWriter:
    """Writes the turns of one request that are usual."""

    def __init__(self, to: Writing, names: Mapping[str, str]) -> None:
        self._to = to
        self._names = names
        self._anywhere = to.exact or to.profile.system_in_place
        self._thoughtful = to.native or to.profile.replay_reasoning != "never"
        """Thoughts may be wanted back, or stand where others have texts."""
        self._bare: Extras | None = None
        """Extras that are bare: most share one object."""

    def write(
        self, messages: tuple[Message, ...], start: int, found: list[Members]
    ) -> int:
        """Add the messages from `start` on that are usual; gives where the first stands
        that is not.

        Usual are texts, calls, results of texts, and thoughts that nobody wants:
        nothing else can be lost of them but where they stood.
        """
        for at in range(start, len(messages)):
            message = messages[at]
            role, parts, extras = message.role, message.parts, message.extras
            if not parts or (extras is not None and not self._is_bare(extras)):
                return at
            first = parts[0]
            if type(first) is TextPart and len(parts) == 1:
                text = first.text
                if first != TextPart(text) and not self._is_noted(first):
                    return at
                if message.top or (
                    role != "user" and (role != "assistant" or not text)
                ):
                    if role != "system" or not (at == 0 or self._anywhere):
                        return at
                    report_top(message, f"messages[{at}]", self._to)
                found.append({"role": role, "content": text})
                continue
            if message.top:
                return at
            if role == "assistant":
                spoken = self._turn(parts, at)
                if spoken is None:
                    return at
                found.append(spoken)
            elif role != "user":
                return at
            elif type(first) is TextPart:
                texts = self._texts(parts)
                if not texts:
                    return at
                found.append({"role": role, "content": texts})
            else:
                results = self._results(parts)
                if not results:
                    return at
                if found and found[-1]["role"] == "tool":
                    report_neighbours(self._to)
                found += results
        return len(messages)

    def _texts(self, parts: tuple[Part, ...]) -> Sequence[Members]:
        """`content` of several bare texts; nothing for others."""
        if self._to.profile.string_content and not self._to.exact:
            return ()
        found: list[Members] = []
        for part in parts:
            if type(part) is not TextPart:
                return ()
            if part != TextPart(part.text) and not self._is_noted(part):
                return ()
            found.append({"type": "text", "text": part.text})
        return found

    def _turn(self, parts: tuple[Part, ...], at: int) -> Members | None:
        """The assistant's thoughts, if nobody wants them, a text and usual calls."""
        start = 0
        if type(parts[0]) is ReasoningPart:
            if self._thoughtful:
                return None
            for part in parts:
                if type(part) is not ReasoningPart:
                    break
                if part.logprobs or part.cache is not None:
                    return None
                start += 1
        behind, content = start, None
        if behind < len(parts):
            part = parts[behind]
            if type(part) is TextPart:
                content = part.text
                if not content:
                    return None
                if part != TextPart(content) and not self._is_noted(part):
                    return None
                behind += 1
        calls = self._calls(parts, behind)
        if calls is None or (content is None and not calls):
            return None
        if start:
            self._drop_thoughts(parts[:start], f"messages[{at}]")
        if calls:
            return {"role": "assistant", "content": content, "tool_calls": calls}
        return {"role": "assistant", "content": content}

    def _drop_thoughts(self, parts: tuple[Part, ...], path: str) -> None:
        placed = [Placed(f"{path}.parts[{at}]", part) for at, part in enumerate(parts)]
        for each in [own_thought(each, self._to) for each in placed]:
            drop_thought(each, self._to)

    def _results(self, parts: tuple[Part, ...]) -> Sequence[Members]:
        """Messages for parts that are all results of one text; none for others."""
        found: list[Members] = []
        for part in parts:
            if type(part) is not ToolResultPart or len(part.parts) != 1:
                return ()
            inner, extras = part.parts[0], part.extras
            if extras is not None and not self._is_bare(extras):
                return ()
            if not is_bare_result(part):
                return ()
            if part.kind == "custom" and not self._to.exact:
                return ()
            if type(inner) is not TextPart:
                return ()
            text = inner.text
            if not text or (inner != TextPart(text) and not self._is_noted(inner)):
                return ()
            found.append(
                {"role": "tool", "tool_call_id": part.call_id, "content": text}
            )
        return found

    def _calls(self, parts: tuple[Part, ...], start: int) -> list[Members] | None:
        """`tool_calls` if the parts from `start` on are all usual; None for others."""
        calls: list[Members] = []
        for part in parts[start:]:
            if type(part) is not ToolCallPart or not is_bare_call(part):
                return None
            if not part.arguments or part.arguments.isspace():
                return None
            calls.append(write_bare_call(part, self._names))
        if calls and not self._to.exact and self._to.profile.require_reasoning:
            return None
        return calls

    def _is_noted(self, part: TextPart) -> bool:
        """Whether `part` is its text, and notes that say nothing."""
        extras = part.extras
        if extras is None or part != TextPart(part.text, extras=extras):
            return False
        return self._is_bare(extras)

    def _is_bare(self, extras: Extras) -> bool:
        """Whether `extras` are notes of another dialect, which say nothing."""
        if extras is self._bare:
            return True
        if self._to.native:
            return False
        for key in extras:
            if key[:1] != "@":
                return False
        self._bare = extras
        return True
