"""The chunks of a stream that is written: what every one of them says, and how they
are cut apart.

Knows candidates, annotations that wait and the root's members; nothing of parts and
events.
"""

from __future__ import annotations

from typing import Any, Final

from llmwire._json import encode, level
from llmwire.dialects.gemini._parts_write import Members
from llmwire.dialects.gemini._usage import write_usage
from llmwire.messages import Extras, Usage

_ONE_LINE: Final = bytes.maketrans(b"\r\n", b"  ")


def event(document: bytes) -> bytes:
    """`document` as a server-sent event, on one line as Google's clients want it.

    Islands may stand on several lines: white space between tokens, for in strings JSON
    has no line's end.
    """
    if b"\n" in document or b"\r" in document:
        document = document.translate(_ONE_LINE)
    return b"data: %b\r\n\r\n" % document


class Chunks:
    """Puts candidates into framed chunks.

    Args:
        array: The stream is a JSON array instead of server-sent events.
    """

    __slots__ = (
        "array",
        "first",
        "members",
        "native",
        "root",
        "tier",
        "tier_due",
        "usage",
        "waiting",
        "written",
    )

    def __init__(self, *, array: bool) -> None:
        self.array = array
        self.first = True
        self.written = False
        """Some chunk went out."""
        self.native = False
        self.members: dict[str, Any] = {}
        """What the root of every chunk says: model, id, time."""
        self.usage: Usage | None = None
        self.tier: str | None = None
        self.tier_due = False
        """The tier is told with the next chunk."""
        self.root: Extras = {}
        """Members of the root that wait for the next chunk."""
        self.waiting: dict[int, Extras] = {}
        """Annotations that wait for the next chunk of their candidate."""

    def framed(self, document: bytes) -> bytes:
        """`document` as one chunk of the stream."""
        self.written = True
        if not self.array:
            return event(document)
        start = b"[" if self.first else b",\r\n"
        self.first = False
        return start + document

    def closing(self) -> bytes:
        """What ends the stream."""
        if not self.array:
            return b""
        return b"[]" if self.first else b"]"

    def document(self, candidates: bytes, *, last: bool = False) -> bytes:
        """A chunk's JSON: `candidates` (may be empty) and all that the root has."""
        members: dict[str, Any] = {**self.root, **self.members}
        self.root = {}
        if last:
            metadata = write_usage(self.usage, self.tier, self.native)
            if metadata or self.usage is not None:
                members["usageMetadata"] = metadata
        elif self.tier_due:
            members["usageMetadata"] = {"serviceTier": self.tier}
        self.tier_due = False
        tail = encode(members)[1:]
        if not candidates:
            return b"{" + tail
        joint = b"" if tail == b"}" else b","
        return b'{"candidates":[%b]%b%b' % (candidates, joint, tail)

    def chunk(self, choice: int, content: Any, more: Members | None = None) -> bytes:
        """One chunk with one candidate, after those of others that wait."""
        out = self.flush(but=choice)
        candidate = self.candidate(choice, content)
        candidate.update(more or {})
        return out + self.framed(self.document(encode(candidate)))

    def candidate(self, choice: int, content: Any) -> Members:
        """One candidate with the part `content` and the annotations that wait."""
        candidate: Members = {}
        extras = self.waiting.pop(choice, None)
        if content is not None:
            candidate["content"] = {"parts": [content], "role": "model"}
        inner = level(extras, "content")
        if inner:
            whole = candidate.get("content", {"role": "model"})
            candidate["content"] = {**inner, **whole}
        candidate["index"] = choice
        for name, value in level(extras).items():
            candidate.setdefault(name, value)
        return candidate

    def flush(self, *, but: int | None = None) -> bytes:
        """Write annotations that wait, each candidate's in a chunk of its own."""
        out = b""
        for choice in [choice for choice in self.waiting if choice != but]:
            candidate = encode(self.candidate(choice, None))
            out += self.framed(self.document(candidate))
        return out

    def around(self, choice: int, thought: bool) -> tuple[bytes, bytes]:
        """What stands before and behind the text of a chunk that says nothing else."""
        start, end = (b",\r\n", b"") if self.array else (b"data: ", b"\r\n\r\n")
        flag = b',"thought":true' if thought else b""
        tail = encode(self.members)[1:]
        joint = b"" if tail == b"}" else b","
        prefix = start + b'{"candidates":[{"content":{"parts":[{"text":'
        suffix = b'%b}],"role":"model"},"index":%d}]%b%b%b' % (
            flag,
            choice,
            joint,
            tail,
            end,
        )
        return prefix, suffix
