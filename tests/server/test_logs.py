"""Tests of `llmwire_server.logs`: one line for every event, whatever stands in it."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator
from logging.handlers import MemoryHandler
from typing import Literal

import pytest

from llmwire_server import logs
from llmwire_server.config.tree import Log

LOG = logging.getLogger("llmwire")


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    level = LOG.level
    yield
    for handler in _handlers():
        logging.getLogger().removeHandler(handler)
    LOG.setLevel(level)


def _handlers() -> list[logging.Handler]:
    found = logging.getLogger().handlers
    return [handler for handler in found if isinstance(handler, logs._Lines)]


def _lines(
    form: Literal["text", "json"],
    level: Literal["debug", "info", "warning", "error"] = "info",
) -> io.StringIO:
    stream = io.StringIO()
    logs.configure(Log(level=level, format=form), stream)
    return stream


def test_text() -> None:
    stream = _lines("text")
    LOG.info("lost %s", "a", extra={"request_id": "r1", "why": "a b", "none": ""})
    [line] = stream.getvalue().splitlines()
    assert re.fullmatch(
        r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z info lost a request_id=r1 why="a b"'
        r' none=""',
        line,
    )


def test_json() -> None:
    stream = _lines("json")
    LOG.warning("lost %s", "a", extra={"request_id": "r1", "ms": 7, "of": ("a",)})
    line = json.loads(stream.getvalue())
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "warning",
        "message": "lost a",
        "request_id": "r1",
        "ms": 7,
        "of": "('a',)",
    }


HOSTILE = "a\nb\r\x1b[31m\x00\u2028\x85é"


@pytest.mark.parametrize("form", ["text", "json"])
def test_peers_write_no_lines_of_their_own(form: Literal["text", "json"]) -> None:
    stream = _lines(form)
    LOG.info("%s", HOSTILE, extra={"model": HOSTILE})
    text = stream.getvalue()
    assert text.count("\n") == 1
    assert "\x1b" not in text
    if form == "json":
        assert json.loads(text)["message"] == json.loads(text)["model"] == HOSTILE
    else:
        assert "a\\nb\\r\\x1b[31m\\x00\\u2028\\x85é" in text


def test_lone_surrogates_are_written() -> None:
    for form in ("text", "json"):
        stream = _lines("json" if form == "json" else "text")
        [handler] = _handlers()
        handler.handle(logging.makeLogRecord({"msg": "\ud800", "ms": 1}))
        assert "ud800" in stream.getvalue()


def test_failures_are_written() -> None:
    for form in ("text", "json"):
        stream = _lines("json" if form == "json" else "text")
        try:
            raise ValueError("why")
        except ValueError:
            LOG.exception("failed")
        assert "ValueError: why" in stream.getvalue()
        if form == "json":
            assert "Traceback" in json.loads(stream.getvalue())["exception"]


def test_levels() -> None:
    stream = _lines("text", "warning")
    LOG.info("no")
    LOG.warning("yes")
    logging.getLogger("another").info("no")
    logging.getLogger("another").warning("yes")
    assert stream.getvalue().count(" yes\n") == 2
    assert " no" not in stream.getvalue()


def test_the_last_word_goes() -> None:
    first, last = _lines("text"), _lines("json")
    LOG.info("a")
    assert first.getvalue() == ""
    assert json.loads(last.getvalue())["message"] == "a"


def test_what_is_hidden_is_not_written() -> None:
    stream = io.StringIO()
    logs.configure(Log(), stream, hide=_hide)
    LOG.info("a topsecret", extra={"of": "topsecret"})
    assert stream.getvalue().endswith(" info a … of=…\n")


def _hide(text: str) -> str:
    return text.replace("topsecret", "…")


def test_standard_error_is_the_usual_place(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Log())
    LOG.info("a")
    assert capsys.readouterr().err.endswith(" info a\n")


def test_records_note_what_lines_show(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_srcfile", "logThreads", "logProcesses", "logMultiprocessing"):
        monkeypatch.setattr(logging, name, getattr(logging, name))
    logs.note_no_more_than_is_written()
    logger, kept = logging.Logger("apart"), MemoryHandler(9, flushLevel=99)
    logger.addHandler(kept)
    logger.warning("said", extra={"request_id": "r"})
    (record,) = kept.buffer
    assert (record.thread, record.process, record.lineno) == (None, None, 0)
    assert logs._Text().format(record).endswith(" warning said request_id=r")
