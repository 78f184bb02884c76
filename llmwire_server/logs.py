"""The log on standard error: one line for every event, for people or for programs.

Whatever a peer put into a message stays on its line: control characters are escaped. A
record's extra fields (`extra={"request_id": …}`) are members of a JSON line, and follow
the message of a text line as `name=value`.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final, TextIO

import msgspec

from llmwire_server.config.tree import Log

__all__ = ("configure", "note_no_more_than_is_written")

_FIRST: Final = len(vars(logging.makeLogRecord({})))
"""How many attributes every record has from its beginning."""
_OWN: Final = frozenset(("asctime", "color_message", "message", "taskName"))
"""Attributes that uvicorn and formatters add."""


def configure(
    log: Log, stream: TextIO | None = None, *, hide: Callable[[str], str] = str
) -> None:
    """Log as the configuration says, instead of as was said before.

    Other libraries are heard from `warning` on.

    Args:
        log: The configuration.
        stream: Instead of standard error.
        hide: Takes out of a line what must not be written.
    """
    root = logging.getLogger()
    for handler in tuple(root.handlers):
        if isinstance(handler, _Lines):
            root.removeHandler(handler)
    root.addHandler(_Lines(log, stream or sys.stderr, hide))
    logging.getLogger("llmwire").setLevel(log.level.upper())


def note_no_more_than_is_written() -> None:
    """Have `logging` leave out of all records of this process what no line shows: the
    place in the code, the thread, the process. It takes half the time of a line.

    https://docs.python.org/3/howto/logging.html#optimization
    """
    logging._srcfile = None
    logging.logThreads = False
    logging.logProcesses = False
    logging.logMultiprocessing = False


class _Lines(logging.StreamHandler[TextIO]):
    """Writes lines."""

    def __init__(self, log: Log, stream: TextIO, hide: Callable[[str], str]) -> None:
        super().__init__(stream)
        self._hide = hide
        self.setFormatter(_JSON() if log.format == "json" else _Text())

    def format(self, record: logging.LogRecord) -> str:
        return self._hide(super().format(record))


def _time(record: logging.LogRecord) -> str:
    time = datetime.fromtimestamp(record.created, UTC)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _extras(record: logging.LogRecord) -> Iterator[tuple[str, Any]]:
    for name, value in islice(vars(record).items(), _FIRST, None):
        if name not in _OWN and not name.startswith("_"):
            yield name, value if isinstance(value, int | float | str) else str(value)


class _Text(logging.Formatter):
    """`2026-01-31T12:00:00.000Z warning the message request_id=…`."""

    def format(self, record: logging.LogRecord) -> str:
        extras = (f" {name}={_word(value)}" for name, value in _extras(record))
        message = _one_line(record.getMessage()) + "".join(extras)
        line = f"{_time(record)} {record.levelname.lower()} {message}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def _word(value: object) -> str:
    text = _one_line(str(value))
    return msgspec.json.encode(text).decode() if " " in text or not text else text


def _one_line(text: str) -> str:
    """`text` without anything that moves a cursor or ends a line."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in text
    )


class _JSON(logging.Formatter):
    """One object to a line: `time`, `level`, `message`, and the record's extras."""

    def format(self, record: logging.LogRecord) -> str:
        line = dict(_extras(record))
        line |= {
            "time": _time(record),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return _encoded(line)


def _encoded(line: dict[str, Any]) -> str:
    try:
        return msgspec.json.encode(line).decode()
    except UnicodeEncodeError:
        safe = {
            name: value.encode("utf-8", "backslashreplace").decode()
            if isinstance(value, str)
            else value
            for name, value in line.items()
        }
        return msgspec.json.encode(safe).decode()
