"""Server-sent events: bytes to frames and back, by the WHATWG event-stream grammar.

Knows lines, fields and blank lines, and nothing of what the data means: no JSON, no
dialect, no socket. A *frame* is one block of the stream, up to and including the blank
line that ends it; the word *event* stays free for the steps of a message.

Rules (https://html.spec.whatwg.org/multipage/server-sent-events.html, section 9.2):

1. Lines end with LF, CR or CRLF, in any mixture. One BOM at the very start is skipped.
2. Fields are `data` (several are joined with LF), `event` (the last one counts), `id`
   (ignored if it holds NUL) and `retry` (ASCII digits only). One space after the colon
   is dropped. A field without a colon has an empty value. `:` starts a comment.
3. A block that has ended sets `last_event_id` and `retry`, whether it has data or not.
4. Every byte lies in the `raw` of exactly one frame: after `receive_eof` the raws, put
   together, are the input. A blank line without a block is a frame of its own.
5. The frames are the same for every division of the input into chunks. If a block
   exceeds the limit, the frames before it are returned first and the next call raises.

Where this differs from WHATWG, on purpose:

- A block without `data`, which a browser swallows, is returned with `data` None, for
  the sake of rule 4 and of lines that are no fields at all (`Frame.stray`): raw JSON
  where a peer forgot the framing. Clients that take such a block for an event with
  empty data must do so themselves.
- A last block without its blank line, which a browser discards, is returned by
  `receive_eof` with `complete` False. The caller decides; it sets neither
  `last_event_id` nor `retry`.
- Values stay bytes and are not decoded, so invalid UTF-8 stays as it came. WHATWG
  decodes with replacement; `event` and `last_event_id`, which are text, do so too.
- A CR at the end of a chunk waits for one more byte (or the end), since an LF would
  belong to it. A peer that ends its lines with CR alone is thus dispatched one byte
  late. LF and CRLF streams never wait.
- `retry` takes effect when its block ends, not when its line does, and a number of
  more than 18 digits is ignored.
- A block may not exceed the limit (a BOM is not counted).

Theory of operation. What is held ends no block, so a new chunk can end one only by
itself or together with the last two bytes held: looking at these decides whether to
append it (nothing of what is held is touched) or to cut all. A cut makes at least one
frame and leaves a rest that lies within the newest chunk, so each byte is cut at most
twice and the work is linear for any chunking. (A CR that ends a chunk may cause one cut
in vain; the very next byte then ends that block.)

Cutting has a fast lane. A stream repeats itself: `data: {` or `event: x`, `data: {`,
one line, a blank line. How the last such block started, up to the first byte of its
data, is remembered, and where the buffer goes on with just these bytes, one search for
the line's end and one comparison for the blank line make a frame. All else is read line
by line. Both ways give the same frames.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import NoReturn, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from llmwire.errors import LimitExceeded, LocalProtocolError
from llmwire.limits import Limits

__all__ = ("Frame", "FrameDecoder", "encode_comment", "encode_frame")

_BOM = b"\xef\xbb\xbf"
_FRAME_LIMIT = Limits().frame
_NUL, _LF, _CR = b"\0\n\r"
_LINE_ENDS = (b"\n", b"\r\n", b"\r")
_RETRY_DIGITS = 18
"""More than any clock needs, and far below what `int` refuses to convert."""

_LINE_END = re.compile(rb"\r\n?|\n")
_BLANK_LINE = re.compile(rb"(?:\n|\r(?=\r))(?:\r\n?|\n)")
"""The last byte of a line's end, and the blank line behind it."""
_USUAL = re.compile(rb"(?:event: ?([^\r\n]{0,99})\r?\n)?data: ?[^ \r\n]")
"""How a usual block starts: perhaps its event's name, and the first byte of data."""

_Shape: TypeAlias = tuple[bytes, int, str]
"""What a block starts with, up to the first byte of its data; where its data starts;
the name of the event that this means."""


class Frame(Struct, frozen=True, gc=False):
    """One block of an event stream."""

    data: bytes | None
    """The `data` lines joined with LF; None if the block had no such line."""
    raw: bytes
    """Every byte of the block, the blank line that ended it included."""
    event: str = ""
    """The event's name, "" if it has none (WHATWG then says `message`)."""
    stray: tuple[bytes, ...] = ()
    """Lines that are neither a known field nor a comment, without their ends."""
    complete: bool = True
    """False if the input ended before the block's blank line did."""


class _State(Enum):
    FRESH = auto()
    """No frame was returned yet: a BOM may come, or waits for the first raw."""
    OPEN = auto()
    DEAD = auto()
    """A block exceeded the limit."""
    CLOSED = auto()


_FRESH, _OPEN, _DEAD, _CLOSED = _State
# Names of this module, since looking up a member of an Enum costs the hot path dearly.

_BLANKS = {end: Frame(None, end) for end in _LINE_ENDS}
"""Blank lines without a block; frozen, so one of each is enough."""


class FrameDecoder:
    """Cuts the bytes of an event stream into frames, whatever its chunks are.

    Args:
        limit: Bytes that one block may have, its blank line included.
    """

    __slots__ = (
        "_bom",
        "_held",
        "_limit",
        "_shape",
        "_state",
        "_tail",
        "last_event_id",
        "retry",
    )

    last_event_id: str
    """The last `id` of a block that has ended, "" if there was none."""
    retry: int | None
    """The last reconnection time in milliseconds that the peer asked for."""

    def __init__(self, *, limit: int = _FRAME_LIMIT) -> None:
        self.last_event_id = ""
        self.retry = None
        self._limit = limit
        self._state: _State = _FRESH
        self._bom = b""
        # The bytes that end no block, and the last two of them (before a single byte
        # stands a line's end, for a block starts behind one).
        self._held = bytearray()
        self._tail = b""
        # For the fast lane: how the last usual block started.
        self._shape: _Shape = (b"data: {", 6, "")

    @property
    def buffered(self) -> int:
        """Bytes held for a block that has not ended yet."""
        return len(self._bom) + len(self._held)

    def receive_data(self, chunk: bytes) -> list[Frame]:
        """Take the next bytes and return the frames that they end.

        Args:
            chunk: Bytes as they came, of any length, also none.

        Returns:
            The frames in their order; none if no block has ended.

        Raises:
            LimitExceeded: A block has more bytes than the limit, here or earlier.
            LocalProtocolError: The end of the input was received before.
        """
        if self._state is not _OPEN:
            return self._receive_unusual(chunk)
        if not chunk:
            return []
        held = self._held
        if held:
            held += chunk
            probe = self._tail + chunk
            if not _may_end(probe):
                self._tail = probe[-2:]
                if len(held) > self._limit:
                    self._refuse()
                return []
            chunk = bytes(held)
        elif self._is_one(chunk):
            _, offset, event = self._shape
            return [Frame(chunk[offset:-2], chunk, event)]
        frames = self._cut(chunk)
        if self._state is _DEAD and not frames:
            self._refuse()
        return frames

    def receive_eof(self) -> list[Frame]:
        """Take the end of the input; a second call does nothing.

        Returns:
            What is still held as one frame, if there is any: the last block, with
            `complete` False, or a block whose blank line was a CR that waited.

        Raises:
            LimitExceeded: A block has more bytes than the limit.
        """
        if self._state is _DEAD:
            self._refuse()
        self._state = _CLOSED
        rest = bytes(self._held)
        raw = self._bom + rest
        self._release()
        if not raw:
            return []
        # What is held ends no block, but for a CR that could have become a CRLF.
        frame = self._parse(rest, complete=_find_end(rest, 0, returns=True) >= 0)
        return [replace(frame, raw=raw)]

    def _receive_unusual(self, chunk: bytes) -> list[Frame]:
        """`receive_data` before the first frame and after the last."""
        if self._state is _DEAD:
            self._refuse()
        if self._state is _CLOSED:
            raise LocalProtocolError("data was received after the end of the input")
        bom = self._bom
        if not bom:
            chunk = bytes(self._held) + chunk
            self._keep(chunk)
            if _BOM.startswith(chunk) and chunk != _BOM:
                return []
            self._keep(b"")
            if chunk.startswith(_BOM):
                self._bom = bom = _BOM
                chunk = chunk[len(_BOM) :]
        self._state = _OPEN
        frames = self.receive_data(chunk)
        if bom and frames:
            frames[0] = replace(frames[0], raw=bom + frames[0].raw)
            self._bom = b""
        elif bom:
            self._state = _FRESH
        return frames

    def _is_one(self, chunk: bytes) -> bool:
        """Whether `chunk` is one block of the usual form, which most chunks are."""
        prefix, offset, _ = self._shape
        size = len(chunk)
        return (
            chunk.startswith(prefix)
            and chunk.find(b"\n", offset) == size - 2
            and chunk.endswith(b"\n")
            and size <= self._limit
            and _CR not in chunk
        )

    def _cut(self, buffer: bytes) -> list[Frame]:
        """Return a frame for each block that ends in `buffer`, and hold the rest.

        `buffer` starts with a block. If one exceeds the limit, the decoder is dead and
        the frames before it are returned.
        """
        frames: list[Frame] = []
        append, find, startswith = frames.append, buffer.find, buffer.startswith
        prefix, offset, event = self._shape
        size, limit = len(buffer), self._limit
        small = size <= limit
        returns = _CR in buffer
        mark, end, width = (b"\r", b"\r\n\r\n", 4) if returns else (b"\n", b"\n\n", 2)
        position, fast = 0, True
        while position < size:
            if fast and startswith(prefix, position):
                start = position + offset
                stop = find(mark, start)  # if it is -1, no `end` starts there
                if startswith(end, stop) and (
                    small or stop + width - position <= limit
                ):
                    data = buffer[start:stop]
                    if not (returns and _LF in data):
                        stop += width
                        append(Frame(data, buffer[position:stop], event))
                        position = stop
                        continue
                elif stop < 0 and not returns:
                    break
                # Where line ends are mixed, `mark` can be far behind the block: one
                # such search per buffer, or the work would not be linear.
                fast = not returns
            elif fast and self._learn(buffer, position):
                prefix, offset, event = self._shape
                continue
            stop = _find_end(buffer, position, returns=returns)
            if stop < 0 or (stop == size and buffer.endswith(b"\r")):
                break
            if stop - position > limit:
                self._die()
                return frames
            append(self._parse(buffer[position:stop]))
            position = stop
        if position < size or self._held:
            self._keep(buffer[position:])
            if size - position > limit:
                self._die()
        return frames

    def _parse(self, raw: bytes, *, complete: bool = True) -> Frame:
        """Read one block line by line."""
        if len(raw) <= 2 and raw in _BLANKS:
            return _BLANKS[raw]
        data: list[bytes] = []
        stray: list[bytes] = []
        event = ""
        for line in _split_lines(raw):
            name, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if name == b"data":
                data.append(value)
            elif name == b"event":
                event = value.decode("utf-8", "replace")
            elif name in (b"id", b"retry"):
                if complete:
                    self._set(name, value)
            elif name:
                stray.append(line)
        joined = b"\n".join(data) if data else None
        return Frame(joined, raw, event, tuple(stray), complete)

    def _set(self, name: bytes, value: bytes) -> None:
        """Obey the fields that concern the connection and not the event."""
        if name == b"id":
            if _NUL not in value:
                self.last_event_id = value.decode("utf-8", "replace")
        elif value.isdigit() and len(value) <= _RETRY_DIGITS:
            self.retry = int(value)

    def _learn(self, buffer: bytes, position: int) -> bool:
        """Whether a block starts in a usual way, which `_shape` then is."""
        found = _USUAL.match(buffer, position)
        if found is None:
            return False
        event = (found.group(1) or b"").decode("utf-8", "replace")
        self._shape = (found.group(), found.end() - 1 - position, event)
        return True

    def _keep(self, rest: bytes) -> None:
        self._held[:] = rest
        self._tail = rest[-2:] if len(rest) > 1 else b"\n" + rest

    def _release(self) -> None:
        self._bom = b""
        self._keep(b"")

    def _die(self) -> None:
        self._state = _DEAD
        self._release()

    def _refuse(self) -> NoReturn:
        self._die()
        raise LimitExceeded(
            f"found a server-sent event of more than {self._limit} bytes, the limit"
        )


def _may_end(probe: bytes) -> bool:
    """Whether there is a blank line, but for a CR at the end that may become CRLF."""
    # `in` with bytes costs twice the time of `find`: it tries for an integer first.
    if _CR in probe:
        find = probe.find
        return find(b"\n\r") >= 0 or find(b"\n\n") >= 0 or find(b"\r\r") >= 0
    return probe.find(b"\n\n") >= 0


def _find_end(buffer: bytes, start: int, *, returns: bool) -> int:
    """Where the block that starts at `start` ends, behind its blank line, or -1.

    Args:
        buffer: The bytes to search. A CR at their end counts as a line's end here.
        start: Where the block starts.
        returns: Whether there may be a CR; without, the search is faster.
    """
    if returns:
        match = _LINE_END.match(buffer, start) or _BLANK_LINE.search(buffer, start)
        return match.end() if match else -1
    if buffer.startswith(b"\n", start):
        return start + 1
    found = buffer.find(b"\n\n", start)
    return found + 2 if found >= 0 else -1


def _split_lines(text: bytes) -> list[bytes]:
    if _CR in text:
        text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return text.split(b"\n")


def encode_frame(
    data: bytes | str, *, event: str = "", newline: bytes = b"\n"
) -> bytes:
    """Write one event.

    Data that holds line ends of any kind becomes several `data` lines, which a reader
    joins with LF.

    Args:
        data: The event's data, UTF-8 if it is bytes.
        event: The event's name, "" for none.
        newline: How lines end: LF, CRLF or CR.

    Returns:
        The block with the blank line that ends it.

    Raises:
        LocalProtocolError: `event` holds a line's end, `newline` is none, or a text is
            no Unicode (it holds a lone surrogate).
    """
    content = _encode_text(data) if isinstance(data, str) else data
    if newline not in _LINE_ENDS:
        raise LocalProtocolError("`newline` must be LF, CRLF or CR")
    if _LF in content or _CR in content:
        content = (newline + b"data: ").join(_split_lines(content))
    if not event:
        return b"data: %b%b%b" % (content, newline, newline)
    name = _encode_text(event)
    if _LF in name or _CR in name:
        raise LocalProtocolError("the name of an event holds the end of a line")
    return b"event: %b%bdata: %b%b%b" % (name, newline, content, newline, newline)


def encode_comment(text: str = "", *, newline: bytes = b"\n") -> bytes:
    """Write a comment, which readers ignore: the way to keep a connection alive.

    Args:
        text: The comment; each of its lines becomes one of the block.
        newline: How lines end: LF, CRLF or CR.

    Returns:
        A block of its own, with its blank line, so that it may stand anywhere between
        two frames.

    Raises:
        LocalProtocolError: `newline` is no line's end, or `text` no Unicode.
    """
    if newline not in _LINE_ENDS:
        raise LocalProtocolError("`newline` must be LF, CRLF or CR")
    lines = _split_lines(_encode_text(text))
    marked = [b": " + line if line else b":" for line in lines]
    return newline.join(marked) + newline * 2


def _encode_text(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise LocalProtocolError("found a lone surrogate, expected Unicode") from None
