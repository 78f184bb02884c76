"""Parts of an answer as items, with ids that are minted once.

Shared by whole bodies and streams. What only another dialect knows is left out, with a
loss; a signature without room rides in a reasoning item beside its part.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Raw
from msgspec.structs import replace

from llmwire._ids import digest, mint
from llmwire._turns import carrier, legal_call_id
from llmwire.dialects.openai_responses import _content_write as contents
from llmwire.dialects.openai_responses import _items_write as items
from llmwire.dialects.openai_responses import _names
from llmwire.dialects.openai_responses._content_write import Object, Way
from llmwire.dialects.openai_responses._names import NAME
from llmwire.messages import (
    Base64,
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


class OutputWriter:
    """Parts of an answer as items, with ids that are minted once.

    Args:
        way: For whom.
        seed: Of minted ids.
        path: Of the choice, for losses.
    """

    def __init__(self, way: Way, seed: str, path: str) -> None:
        self._way = way
        self._seed = seed
        self._path = path
        self._minted = 0
        self._call_ids: set[str] = set()

    def write(self, parts: Sequence[Part]) -> list[Object | Raw]:
        """The items that `parts` are on the wire."""
        written: list[Object | Raw] = []
        run: list[Part] = []
        content: list[Object | Raw] = []
        for index, part in enumerate(parts):
            place = f"{self._path}.parts[{index}]"
            if self.speaks(part):
                if run and (part.group is None or part.group != run[0].group):
                    written += self._flush(run, content)
                said = self.content(part, place)
                if said is not None:
                    run.append(part)
                    content.append(said)
                continue
            written += self._flush(run, content)
            written += self.item(part, place)
        written += self._flush(run, content)
        return written

    def speaks(self, part: Part) -> bool:
        """Whether `part` stands inside a message."""
        if isinstance(part, OpaquePart):
            return _names.CONTENT in (part.extras or {}) and part.dialect == NAME
        return isinstance(part, (TextPart, RefusalPart)) or (
            self._way.native and isinstance(part, MediaPart)
        )

    def content(self, part: Part, place: str) -> Object | Raw | None:
        """`part` inside its message."""
        if not self._way.native:
            self._way.losses.drop_extras(part.extras, place)
        return contents.write_content(part, "assistant", self._way, place)

    def _flush(
        self, run: list[Part], content: list[Object | Raw]
    ) -> list[Object | Raw]:
        if not run:
            return []
        id = self.message_id(run[0])
        written: list[Object | Raw] = [
            items.write_message(run, list(content), self._way, id)
        ]
        carried = [part for part in run if part.signature is not None]
        run.clear()
        content.clear()
        for part in carried:
            written.append(self.carried(part, "prev"))
        return written

    def message_id(self, part: Part) -> str | None:
        """The id of the message that begins with `part`."""
        return part.id if self._way.native else self.minted("msg_")

    def minted(self, prefix: str) -> str:
        """The id of the next item of our own."""
        self._minted += 1
        return mint(prefix, self._seed, "item", self._minted - 1)

    def carried(self, part: Part, placement: str) -> Object:
        """An item that carries the signature of its neighbour `part`."""
        assert part.signature is not None
        thought = carrier(part.signature, placement)
        sealed = items.seal(thought, part.signature)
        plain = replace(thought, extras=None)
        id = self.minted("rs_")
        return items.write_thought(plain, self._way, id, sealed, as_summary=True)

    def item(self, part: Part, place: str) -> list[Object | Raw]:
        """The items that `part`, which stands by itself, is on the wire."""
        way = self._way
        if isinstance(part, (ServerToolCallPart, ServerToolResultPart)):
            if way.native:
                return [part.payload]
            reason = "another server's own tool"
            way.losses.drop("tool.server_part", place, reason)
            return []
        if isinstance(part, OpaquePart):
            if part.dialect == NAME:
                return [part.raw]
            reason = f"only {part.dialect} knows this part"
            way.losses.drop("opaque", place, reason)
            return []
        if not way.native:
            way.losses.drop_extras(part.extras, place)
        if isinstance(part, ReasoningPart):
            return [self.thought(part, place)]
        if isinstance(part, ToolCallPart):
            return self._call(part, place)
        return self._media(part, place)

    def thought(self, part: ReasoningPart, place: str) -> Object:
        """A reasoning item."""
        way = self._way
        id = part.id if way.native else self.minted("rs_")
        sealed = None
        if part.signature is not None:
            sealed = items.seal(part, part.signature)
        if not way.native:
            if part.text is not None:
                reason = "thinking is shown as summaries"
                way.losses.approximate("reasoning.segments", place, reason)
            if part.logprobs:
                reason = "only texts have them"
                way.losses.drop("logprobs", f"{place}.logprobs", reason)
        return items.write_thought(part, way, id, sealed, as_summary=not way.native)

    def call_ids(self, part: ToolCallPart, place: str) -> tuple[str, str | None]:
        """The call's id and its item's."""
        if self._way.native:
            return part.call_id, part.id
        call_id = legal_call_id(part.call_id, "any", 64)
        if call_id in self._call_ids:
            # Clients tell the calls of an answer apart by their ids.
            call_id = "tc_" + digest("call", part.call_id, len(self._call_ids))
        self._call_ids.add(call_id)
        return call_id, items.call_item_id(call_id, part.kind)

    def report_call(self, part: ToolCallPart, place: str) -> None:
        """Say what a foreign call loses."""
        losses = self._way.losses
        if self._way.native:
            return
        if part.logprobs:
            reason = "only texts have them"
            losses.drop("logprobs", f"{place}.logprobs", reason)
        if part.kind == "custom" and part.incomplete:
            reason = "calls with free text have no status"
            losses.drop("part.incomplete", f"{place}.incomplete", reason)

    def _call(self, part: ToolCallPart, place: str) -> list[Object | Raw]:
        way = self._way
        written: list[Object | Raw] = []
        if part.signature is not None:
            written.append(self.carried(part, "next"))
        call_id, id = self.call_ids(part, place)
        self.report_call(part, place)
        blank = part.kind == "function" and not part.arguments.strip()
        if blank and not way.native:
            part = replace(part, arguments=part.arguments + "{}")
        call = items.write_call(part, way, id, call_id=call_id, name=part.name)
        return [*written, call]

    def _media(self, part: Part, place: str) -> list[Object | Raw]:
        """An image as what the image tool gives; nothing else can be shown."""
        way = self._way
        if (
            isinstance(part, MediaPart)
            and part.kind == "image"
            and isinstance(part.source, Base64)
        ):
            reason = "images come from the server's image tool"
            way.losses.approximate("media.image", place, reason)
            status = "failed" if part.incomplete else "completed"
            return [
                {
                    "id": self.minted("ig_"),
                    "type": "image_generation_call",
                    "status": status,
                    "result": part.source.data,
                }
            ]
        feature = (
            contents.MEDIA_FEATURES[part.kind]
            if isinstance(part, MediaPart)
            else "tool_result.orphan"
        )
        way.losses.drop(feature, place, "answers hold text, thoughts and calls")
        return []
