"""The conversation of a request, as `systemInstruction` and `contents`.

A native conversation is written as it stands. Any other is put together turn by turn;
its rules are Google's: roles alternate, a call is answered by results that stand alone
in the next content, one for each call and in their order, and from Gemini 3 on the
first call of every step since the last word of the user carries a signature.

https://ai.google.dev/gemini-api/docs/function-calling
https://ai.google.dev/gemini-api/docs/thought-signatures
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from msgspec import Raw, Struct
from msgspec.structs import replace

from llmwire import _seal
from llmwire._json import NULL, decode_raw, level
from llmwire._turns import (
    ATTACHED,
    NO_RESULT,
    REMINDER,
    Placed,
    Turn,
    drop_orphan,
    legal_call_id,
    reasoning_text,
    sent_call_id,
    served_calls,
    turns,
    with_words,
)
from llmwire.dialects.gemini._config_write import Aim
from llmwire.dialects.gemini._ends import (
    leading_messages,
    settle_ends,
    speaks,
    turn_start,
)
from llmwire.dialects.gemini._names import SINGLE
from llmwire.dialects.gemini._notes import noted
from llmwire.dialects.gemini._parts_read import NAME
from llmwire.dialects.gemini._parts_write import Members, Writer
from llmwire.dialects.gemini._plain_contents import (
    plain_contents,
    report_apart,
    report_merged,
    report_unnamed,
    stand_in,
)
from llmwire.dialects.gemini._request_read import WIRE_ROLES
from llmwire.errors import RemoteProtocolError
from llmwire.messages import (
    MediaPart,
    Message,
    OpaquePart,
    Part,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from llmwire.requests import Request

PLACEHOLDER: Final = "(empty)"
_AUTHORS: Final = ("user", "assistant")


class _Call(Struct):
    """A call that waits for its result."""

    call_id: str
    name: str
    path: str


def write_history(
    request: Request, aim: Aim, names: dict[str, str]
) -> tuple[Any, list[Any]]:
    """`systemInstruction` (None without any) and `contents`.

    Raises:
        UnsupportedFeature: Something cannot be said and must not be left out.
    """
    history = _History(request, aim, names)
    return history.native() if aim.native else history.foreign()


class _Marks:
    """Signatures and ids of calls, as far as the target may be shown them.

    Apart from the history, so that its writer, which asks for them, holds no history.
    """

    __slots__ = ("_aim", "unsigned")

    def __init__(self, aim: Aim) -> None:
        self._aim = aim
        self.unsigned = False
        """A signature was left out."""

    def sign(self, part: Part, path: str) -> str | None:
        """The signature that the target's verifier may be shown."""
        signature = part.signature
        if signature is None:
            return None
        if _seal.fits(signature, NAME, self._aim.model, self._aim.tag):
            return signature.value
        reason = "a signature of another model"
        self._aim.losses.drop("reasoning.signature", f"{path}.signature", reason)
        self.unsigned = True
        return None

    def call_id(self, call_id: str) -> str | None:
        """The id to write for a call; None: without."""
        rule = self._aim.profile.call_ids
        if self._aim.native or rule == "omitted":
            return sent_call_id(call_id)
        return legal_call_id(call_id, rule, self._aim.profile.max_call_id)


class _History:
    """One conversation being written."""

    def __init__(self, request: Request, aim: Aim, names: dict[str, str]) -> None:
        self._request = request
        self._aim = aim
        self._losses = aim.losses
        self._names = names
        self._calls: list[_Call] = []
        self._known: dict[str, str] = {}
        self._served = served_calls(request.messages)
        self._moved: list[Any] = []
        """Media of results that follow in the next content."""
        self._empty: list[str] = []
        """Empty texts of the content that is being written."""
        self._marks = marks = _Marks(aim)
        profile = aim.profile
        self._writer = Writer(
            losses=aim.losses,
            native=aim.native,
            sign=marks.sign,
            call_id=marks.call_id,
            names=names,
            resolutions=profile.requires_signatures,
            urls=profile.media_urls,
        )

    # --- Gemini's own --------------------------------------------------------------

    def native(self) -> tuple[Any, list[Any]]:
        """A conversation that a client of Gemini wrote."""
        instruction: Any = None
        contents: list[Any] = []
        start = turn_start(self._request.messages)
        for at, message in enumerate(self._request.messages):
            if message.role in _AUTHORS:
                contents.append(self._native_content(message, at, at >= start))
            elif instruction is None and message.top:
                instruction = self._native_content(message, at, False)
            else:
                wrapped = self._wrapped(message, at)
                contents.append(self._native_content(wrapped, at, False))
        return instruction, contents

    def _native_content(self, message: Message, at: int, current: bool) -> Members:
        extras = message.extras
        wires: list[Any] = []
        first = True
        for index, part in enumerate(message.parts):
            if type(part) is TextPart and part == TextPart(text=part.text):
                wires.append({"text": part.text})
                continue
            path = f"messages[{at}].parts[{index}]"
            self._marks.unsigned = False
            if isinstance(part, ToolResultPart):
                wires.append(self._result(part, path))
                continue
            wire = self._writer.part(part, path)
            if wire is None:
                continue
            if isinstance(part, ToolCallPart):
                if first and current and self._marks.unsigned:
                    self._stand_in(wire, path)
                first = False
            wires.append(wire)
        if extras is None and message.role in _AUTHORS:
            return {"parts": wires, "role": WIRE_ROLES[message.role]}
        content: Members = {}
        parts = noted(extras, "parts")
        if parts == SINGLE and len(wires) == 1:
            content["parts"] = wires[0]
        elif wires or parts != NULL:
            content["parts"] = wires
        role = noted(extras, "role")
        if role is not None and role != NULL:
            content["role"] = role
        elif role is None and message.role in ("user", "assistant"):
            content["role"] = WIRE_ROLES[message.role]
        for name, value in level(extras).items():
            content.setdefault(name, value)
        return content

    def _stand_in(self, wire: Members | Raw, path: str) -> None:
        """Put the sentinel where a signature is due and there is none."""
        if not self._aim.profile.requires_signatures or isinstance(wire, Raw):
            return
        stand_in(wire, f"{path}.signature", self._losses)

    # --- results -------------------------------------------------------------------

    def _result(self, part: ToolResultPart, path: str) -> Members:
        """One `functionResponse`."""
        native = self._aim.native
        part = with_words(part, path, NAME, self._losses)
        result: Members = {}
        note = noted(part.extras, "id") if native else None
        call_id = self._marks.call_id(part.call_id) if note is None else note
        if call_id is not None and call_id != NULL:
            result["id"] = call_id
        name = part.name or self._known.get(part.call_id)
        if name is not None:
            result["name"] = self._names.get(name, name)
        texts, media, moved = self._contents(part, path)
        if moved and not any(texts):
            texts = [ATTACHED]
        response = self._response(part, texts)
        if response is not None:
            result["response"] = response
        if media:
            result["parts"] = media
        if native and part.extras:
            for key, value in level(part.extras, "functionResponse").items():
                result.setdefault(key, value)
        elif part.kind == "custom":
            reason = "results tell no kind"
            self._losses.emulate("tool.custom", f"{path}.kind", reason)
        self._moved += moved
        members = {"functionResponse": result}
        return self._writer.finished(members, part, path)

    def _contents(
        self, part: ToolResultPart, path: str
    ) -> tuple[list[str], list[Any], list[Any]]:
        """Texts, media beside them, and media that must follow the result."""
        texts: list[str] = []
        media: list[Any] = []
        moved: list[Any] = []
        for at, inner in enumerate(part.parts):
            place = f"{path}.parts[{at}]"
            if isinstance(inner, TextPart):
                self._report_text(inner, place, at, bool(media))
                texts.append(inner.text)
            elif isinstance(inner, MediaPart):
                wire = self._writer.media(inner, place)
                if wire is None:
                    continue
                if self._aim.native or self._aim.profile.requires_signatures:
                    media.append(wire)
                else:
                    reason = "media follow the results"
                    self._losses.emulate("tool_result.media", place, reason)
                    moved.append(wire)
            elif isinstance(inner, OpaquePart) and inner.dialect == NAME:
                media.append(inner.raw)
            else:
                reason = "results are text and media"
                self._losses.drop("opaque", place, reason)
        return texts, media, moved

    def _report_text(
        self, part: TextPart, path: str, at: int, after_media: bool
    ) -> None:
        if self._aim.native:
            return
        self._writer.report(part, path)
        self._report_beside(part, path)
        if after_media:
            reason = "the text of a result stands before its media"
            self._losses.approximate("part.order", path.rpartition("[")[0], reason)
        elif at:
            reason = "the texts of a result are one"
            self._losses.approximate("part.boundary", path.rpartition("[")[0], reason)
        elif not part.text:
            reason = "an empty result has no text"
            self._losses.drop("message.empty", path, reason)

    def _response(self, part: ToolResultPart, texts: list[str]) -> Any:
        """The object of a result, in the form its client gave it where noted."""
        text = "\n\n".join(texts)
        key = "error" if part.error else "output"
        note = noted(part.extras, "form") if self._aim.native else None
        form = bytes(note).decode().strip('"') if note is not None else ""
        if form == "absent" and not texts:
            return None
        if form:
            try:
                island = decode_raw(text)
            except RemoteProtocolError:
                return {key: text}
            return island if form == "whole" else {form: island}
        return {key: text}

    # --- other dialects ------------------------------------------------------------

    def foreign(self) -> tuple[Any, list[Any]]:
        """A conversation of another dialect."""
        messages = self._request.messages
        leading = leading_messages(messages)
        instruction = self._instruction(messages[:leading])
        plain = plain_contents(messages, leading, self._aim, self._names)
        if plain is not None:
            return instruction, plain
        contents: list[Any] = []
        kept: list[Message] = []
        for at, message in enumerate(messages):
            if at < leading:
                message = Message(role="system")
            elif message.role in _AUTHORS or speaks(message):
                message = self._wrapped(message, at)
            else:  # nothing to wrap: it goes with the turn before it
                self._report_message(message, f"messages[{at}]")
                message = Message(role=kept[-1].role)
            kept.append(message)
        start = turn_start(kept)
        conversation = turns(kept)
        for turn in conversation:
            if turn.messages[-1] < leading:
                continue
            self._report_merged(turn)
            if turn.role == "assistant":
                self._model_turn(turn, contents, turn.messages[0] > start)
            else:
                self._user_turn(turn, contents)
        self._settle(contents, ended=True)
        settle_ends(contents, len(messages), self._aim)
        return instruction, contents

    def _instruction(self, messages: Sequence[Message]) -> Any:
        """The instructions at the front, as one content."""
        wires: list[Any] = []
        for at, message in enumerate(messages):
            path = f"messages[{at}]"
            if not message.top:
                reason = "instructions stand at the top"
                self._losses.approximate("instructions.top", f"{path}.top", reason)
            if message.role != "system":
                reason = "instructions have one author"
                self._losses.approximate("instructions.top", f"{path}.role", reason)
            if at:
                reason = "instructions are one content"
                self._losses.approximate("message.boundary", path, reason)
            self._report_message(message, path)
            for index, part in enumerate(message.parts):
                wire = self._foreign_part(part, f"{path}.parts[{index}]")
                if wire is not None:
                    wires.append(wire)
        silent = [at for at, m in enumerate(messages) if not (wires and m.parts)]
        self._drop_empty(silent)
        return {"parts": wires} if wires else None

    def _wrapped(self, message: Message, at: int) -> Message:
        """Instructions in the middle as a reminder in the user's turn."""
        path = f"messages[{at}]"
        self._report_message(message, path)
        if message.role not in ("system", "developer"):
            return message
        reason = "wrapped as a reminder in the user's turn"
        self._losses.emulate("instructions", path, reason)
        parts = tuple(
            replace(part, text=REMINDER.format(part.text))
            if isinstance(part, TextPart) and part.text
            else part
            for part in message.parts
        )
        return Message(role="user", parts=parts)

    def _report_message(self, message: Message, path: str) -> None:
        if self._aim.native:
            return
        self._losses.drop_extras(message.extras, path)
        if message.id is not None:
            self._losses.drop("part.id", f"{path}.id", "contents have no id")

    def _report_merged(self, turn: Turn) -> None:
        for at in turn.messages[1:]:
            report_merged(at, self._losses)

    def _model_turn(self, turn: Turn, contents: list[Any], current: bool) -> None:
        self._settle(contents)
        wires: list[Any] = []
        first = True
        for placed in turn.parts:
            part = placed.part
            wire = self._foreign_part(part, placed.path)
            if wire is None:
                continue
            if isinstance(part, ToolCallPart):
                self._calls.append(_Call(part.call_id, part.name, placed.path))
                self._known[part.call_id] = part.name
                unsigned = isinstance(wire, dict) and "thoughtSignature" not in wire
                if first and current and unsigned:
                    self._stand_in(wire, placed.path)
                first = False
            wires.append(wire)
        self._put("model", wires, turn, contents)

    def _user_turn(self, turn: Turn, contents: list[Any]) -> None:
        results = self._results(turn)
        others, self._moved = self._moved, []
        if results:
            contents.append({"parts": results, "role": "user"})
        elif self._calls:
            self._settle(contents)
        said = False
        for placed in turn.parts:
            if isinstance(placed.part, ToolResultPart):
                continue
            said = True
            wire = self._foreign_part(placed.part, placed.path)
            if wire is not None:
                others.append(wire)
        if others or (said and not results) or not turn.parts:
            if results:
                report_apart(turn.messages[-1], self._losses)
            self._put("user", others, turn, contents)
        else:
            self._drop_empty(self._silent(turn))

    def _results(self, turn: Turn) -> list[Any]:
        """The results of a turn in the order of their calls, each call with one."""
        given: dict[str, list[Placed]] = {}
        order: list[str] = []
        for placed in turn.parts:
            part = placed.part
            if isinstance(part, ToolResultPart):
                given.setdefault(part.call_id, []).append(placed)
                order.append(part.call_id)
        if not given:
            return []
        wires: list[Any] = []
        moved: list[Any] = []
        self._moved = moved
        for call in self._calls:
            found = given.get(call.call_id)
            if found:
                placed = found.pop(0)
                wires.append(self._answer(placed))
            else:
                made = self._made_up(call)
                if made is not None:
                    wires.append(made)
        self._moved = moved
        self._report_order(turn, [call.call_id for call in self._calls], order)
        self._calls.clear()
        for call_id, orphans in given.items():
            for placed in orphans:
                drop_orphan(call_id in self._served, placed.path, self._losses)
        return wires

    def _answer(self, placed: Placed) -> Members:
        part = placed.part
        assert isinstance(part, ToolResultPart)  # the caller has looked
        known = self._known.get(part.call_id)
        if part.name is not None and known is not None and part.name != known:
            reason = "the call names the function"
            self._losses.approximate("tool.name", f"{placed.path}.name", reason)
            part = replace(part, name=known)
        elif part.name is None:
            report_unnamed(placed.path, self._losses)
        elif part.name in self._names:
            reason = f"sent as `{self._names[part.name]}`"
            self._losses.emulate("tool.name", f"{placed.path}.name", reason)
        return self._result(part, placed.path)

    def _report_order(self, turn: Turn, calls: list[str], given: list[str]) -> None:
        first = [isinstance(p.part, ToolResultPart) for p in turn.parts]
        sorted_ = first == sorted(first, reverse=True)
        known = frozenset(given)
        if not sorted_ or [c for c in calls if c in known] != given:
            reason = "results come first, in the order of their calls"
            last = max(at for at, result in enumerate(first) if result)
            moved = {p.path.rpartition("[")[0] for p in turn.parts[: last + 1]}
            for place in sorted(moved):
                self._losses.approximate("part.order", place, reason)

    def _settle(self, contents: list[Any], *, ended: bool = False) -> None:
        """Answer the calls that nothing answers; the last turn's may wait."""
        if self._calls and not (ended and contents[-1]["role"] == "model"):
            made = [self._made_up(call) for call in self._calls]
            results = [wire for wire in made if wire is not None]
            if results:
                contents.append({"parts": results, "role": "user"})
        self._calls.clear()

    def _made_up(self, call: _Call) -> Members | None:
        if self._losses.choice("call.unanswered") != "emulate":
            self._losses.drop("call.unanswered", call.path, "it has no result")
            return None
        self._losses.emulate("call.unanswered", call.path, "a result was made up")
        part = ToolResultPart(call_id=call.call_id, error=True, name=call.name)
        made = replace(part, parts=(TextPart(text=NO_RESULT),))
        return self._result(made, call.path)

    def _put(
        self, role: str, wires: list[Any], turn: Turn, contents: list[Any]
    ) -> None:
        """One more content; one without parts would be refused."""
        if wires and not self._empty and len(turn.messages) == 1:
            contents.append({"parts": wires, "role": role})
            return
        silent = self._silent(turn)
        if not wires and self._losses.emulates("message.empty"):
            if self._empty:
                place = self._empty.pop(0)
            else:
                at = silent.pop(0) if silent else turn.messages[0]
                place = f"messages[{at}]"
            reason = "a turn needs words"
            self._losses.emulate("message.empty", place, reason)
            wires = [{"text": PLACEHOLDER}]
        self._drop_empty(silent)
        if wires:
            contents.append({"parts": wires, "role": role})

    def _silent(self, turn: Turn) -> list[int]:
        """The messages of `turn` that have no parts, or all if none has."""
        spoken = {placed.path.partition(".")[0] for placed in turn.parts}
        silent = [at for at in turn.messages if f"messages[{at}]" not in spoken]
        return silent or ([] if spoken else list(turn.messages))

    def _drop_empty(self, silent: list[int]) -> None:
        """Report what is left out because it says nothing."""
        for path in (*self._empty, *(f"messages[{at}]" for at in silent)):
            reason = "it says nothing, and would be refused"
            self._losses.drop("message.empty", path, reason)
        self._empty.clear()

    def _foreign_part(self, part: Part, path: str) -> Members | Raw | None:
        if type(part) is TextPart and part.text and part == TextPart(text=part.text):
            return {"text": part.text}  # what most parts are
        if isinstance(part, ReasoningPart):
            return self._thought(part, path)
        if isinstance(part, ToolResultPart):
            reason = "results are the user's"
            self._losses.drop("tool_result.orphan", path, reason)
            return None
        if isinstance(part, (TextPart, RefusalPart)):
            if not part.text and part.signature is None:
                self._empty.append(path)
                return None
            if isinstance(part, TextPart):
                self._report_beside(part, path)
        if isinstance(part, ToolCallPart) and part.name in self._names:
            reason = f"sent as `{self._names[part.name]}`"
            self._losses.emulate("tool.name", f"{path}.name", reason)
        return self._writer.part(part, path)

    def _report_beside(self, part: TextPart, path: str) -> None:
        if part.citations:
            reason = "texts are sent without their sources"
            self._losses.drop("citations", f"{path}.citations", reason)
        if part.logprobs:
            reason = "texts are sent without log probabilities"
            self._losses.drop("logprobs", f"{path}.logprobs", reason)

    def _thought(self, part: ReasoningPart, path: str) -> Members | Raw | None:
        """A thought goes back to the model that made it, and to no other."""
        signature = part.signature
        aim = self._aim
        if signature is not None and _seal.fits(signature, NAME, aim.model, aim.tag):
            if part.redacted:
                reason = "thoughts do not tell that they are withheld"
                place = f"{path}.redacted"
                self._losses.approximate("reasoning.text", place, reason)
            return self._writer.part(part, path)
        self._marks.sign(part, path)
        if reasoning_text(part) or signature is None:
            reason = "a thought of another model"
            self._losses.drop("reasoning.text", path, reason)
        else:
            reason = "a thought without words"
            self._losses.drop("reasoning.signature", path, reason)
        return None
