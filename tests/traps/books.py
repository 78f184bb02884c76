"""A client of the Responses dialect that keeps the books of every item."""

from __future__ import annotations

from tests.traps import Object

__all__ = ("Books",)


class Books:
    """A client that keeps the books of a Responses stream and fails at any gap."""

    def __init__(self) -> None:
        self.number = 0
        self.items: dict[int, Object] = {}
        self.done: dict[int, Object] = {}
        self.parts: dict[tuple[int, str, int], str] = {}
        """Announced parts of open items, and their text so far."""
        self.told: set[tuple[int, str, int]] = set()
        """Parts whose text was told as a whole."""

    def take(self, event: Object) -> None:
        assert event["sequence_number"] == self.number
        self.number += 1
        kind = event["type"].removeprefix("response.")
        if kind in ("created", "in_progress"):
            assert self.number == (1 if kind == "created" else 2)
            assert event["response"]["output"] == []
        elif kind in ("completed", "incomplete"):
            self._end(event["response"])
        elif kind == "output_item.added":
            at = event["output_index"]
            assert at == len(self.items)
            self.items[at] = event["item"]
            if event["item"]["type"] == "function_call":
                self.parts[at, "function_call_arguments", 0] = ""
        elif kind == "output_item.done":
            self._item_done(event["output_index"], event["item"])
        else:
            self._inside(kind, event)

    def _inside(self, kind: str, event: Object) -> None:
        at = event["output_index"]
        assert at in self.items, "inside an item that was never announced"
        assert at not in self.done, "inside an item that is done"
        assert event["item_id"] == self.items[at]["id"]
        part = event.get("content_index") or event.get("summary_index") or 0
        name, _, step = kind.rpartition(".")
        if name in ("content_part", "reasoning_summary_part"):
            text = {
                "output_text": "output_text",
                "refusal": "refusal",
                "summary_text": "reasoning_summary_text",
                "reasoning_text": "reasoning_text",
            }[event["part"]["type"]]
            key = (at, text, part)
            if step == "added":
                assert key not in self.parts
                self.parts[key] = ""
            else:
                assert key in self.told, "the part is done before its text"
                said = event["part"].get("text", event["part"].get("refusal"))
                assert said == self.parts.pop(key)
            return
        key = (at, name, part)
        assert key in self.parts, f"{kind} without its part"
        if step == "delta":
            assert key not in self.told
            self.parts[key] += event["delta"]
        else:
            said = event.get("text", event.get("refusal", event.get("arguments")))
            assert said == self.parts[key]
            self.told.add(key)
            if name == "function_call_arguments":
                del self.parts[key]

    def _item_done(self, at: int, item: Object) -> None:
        assert at not in self.done
        assert item["id"] == self.items[at]["id"]
        assert item["type"] == self.items[at]["type"]
        assert not [key for key in self.parts if key[0] == at], "a part is open"
        self.done[at] = item

    def _end(self, response: Object) -> None:
        assert response["output"] == list(self.done.values())
        assert self.items.keys() == self.done.keys()
        assert not self.parts
