"""Tests of `llmwire_server.reload`: all of a new configuration, or none."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import pytest

from llmwire_server import logs
from llmwire_server.config import Config, Loaded, load_all
from llmwire_server.reload import Reload, watch

pytestmark = pytest.mark.anyio
posix = pytest.mark.skipif(os.name != "posix", reason="there is no SIGHUP")


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root, own = logging.getLogger(), logging.getLogger("llmwire")
    level = own.level
    yield
    for handler in tuple(root.handlers):
        if isinstance(handler, logs._Lines):
            root.removeHandler(handler)
    own.setLevel(level)


class _App:
    """Remembers what it was told."""

    def __init__(self, wrong: str | None = None) -> None:
        self.told: list[Config] = []
        self._wrong = wrong

    def reload(self, config: Config) -> None:
        if self._wrong is not None:
            raise ValueError(self._wrong)
        self.told.append(config)


class _File:
    """A configuration file, as a server was started with it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.say("port: 1")
        self.start = self.load().config

    def say(self, text: str) -> None:
        self.path.write_text(text)

    def load(self) -> Loaded:
        return load_all(str(self.path), environment={})


@pytest.fixture
def file(tmp_path: Path) -> _File:
    return _File(tmp_path / "llmwire.yaml")


async def test_a_new_configuration_is_taken_whole(
    file: _File, caplog: pytest.LogCaptureFixture
) -> None:
    app = _App()
    reload = Reload(app, file.start, file.load)
    file.say("port: 1\nlimits: {concurrent: 7}\nlog: {level: debug}")
    assert await reload()
    assert [config.limits.concurrent for config in app.told] == [7]
    assert logging.getLogger("llmwire").level == logging.DEBUG
    assert caplog.messages == [f"configuration reloaded from {file.path}"]


async def test_a_bad_configuration_changes_nothing_and_is_told(
    file: _File, caplog: pytest.LogCaptureFixture
) -> None:
    app = _App()
    reload = Reload(app, file.start, file.load)
    file.say("prot: 1\nkeys: ['to p']\nlog: {level: debug}")
    assert not await reload()
    assert app.told == []
    keep = "configuration not reloaded, the old one stays: "
    assert [text.partition("line ")[0] for text in caplog.messages] == [
        f"{keep}{file.path}, "
    ] * 2
    assert "prot: unknown key; did you mean 'port'?" in caplog.text
    assert "to p" not in caplog.text
    file.path.unlink()
    assert not await reload()
    assert "No such file" in caplog.messages[-1]
    file.say("port: 1")
    assert await reload()
    assert len(app.told) == 1


async def test_what_the_application_refuses_changes_nothing(
    file: _File, caplog: pytest.LogCaptureFixture
) -> None:
    reload = Reload(_App("no such thing"), file.start, file.load)
    assert not await reload()
    assert caplog.messages == [
        "configuration not reloaded, the old one stays: no such thing"
    ]


async def test_what_cannot_change_is_told_once(
    file: _File, caplog: pytest.LogCaptureFixture
) -> None:
    reload = Reload(_App(), file.start, file.load)
    file.say("port: 2\nhost: ::1")
    assert await reload()
    assert [text for text in caplog.messages if "next start" in text] == [
        "host has changed: it takes effect at the next start",
        "port has changed: it takes effect at the next start",
    ]
    caplog.clear()
    assert await reload()
    assert len(caplog.messages) == 1


async def test_secrets_of_older_configurations_stay_hidden(
    file: _File, capsys: pytest.CaptureFixture[str]
) -> None:
    file.say("keys: [topsecret-one]")
    reload = Reload(_App(), file.load().config, file.load)
    file.say("keys: [topsecret-two]")
    assert await reload()
    file.say("keys: [topsecret-six]")
    assert await reload()
    logging.getLogger("llmwire").warning("topsecret-one topsecret-two topsecret-six")
    assert "topsecret" not in capsys.readouterr().err


@posix
async def test_each_hangup_reloads(file: _File) -> None:
    app = _App()
    told = anyio.Event()

    class Told(Reload):
        async def __call__(self) -> bool:
            done = await super().__call__()
            told.set()
            return done

    async def hang_up() -> None:
        os.kill(os.getpid(), signal.SIGHUP)
        with anyio.fail_after(10):
            await told.wait()

    held = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch, Told(app, file.start, file.load))
            await anyio.wait_all_tasks_blocked()
            await hang_up()
            told = anyio.Event()
            await hang_up()
            tasks.cancel_scope.cancel()
    finally:
        signal.signal(signal.SIGHUP, held)
    assert len(app.told) == 2


async def test_systems_without_hangups_have_no_watch(
    file: _File, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(signal, "SIGHUP", raising=False)
    await watch(Reload(_App(), file.start, file.load))


# --- a process ---------------------------------------------------------------------


@contextlib.contextmanager
def _served(file: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server's process, once it answers, and its root."""
    port = _free_port()
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("LLMWIRE_") and not name.endswith("_API_KEY")
    }
    serve = ["-m", "llmwire_server", "serve", "--port", str(port)]
    process = subprocess.Popen(
        [sys.executable, *serve, "--config", str(file)],
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stderr is not None
    try:
        _line(process, lambda line: "llmwire on " in line)
        # It listens from before it says so: the first answer waits for the rest.
        assert _status(f"http://127.0.0.1:{port}/health") == 200
        yield process, f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.stderr.close()
        process.wait(10)


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def _line(process: subprocess.Popen[str], wanted: Callable[[str], bool]) -> str:
    assert process.stderr is not None
    for line in process.stderr:
        if wanted(line):
            return line
    raise AssertionError("the server ended")


def _status(url: str, key: str = "") -> int:
    request = urllib.request.Request(url, headers={"x-api-key": key})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            status: int = answer.status
            return status
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@posix
def test_a_served_process_reloads(tmp_path: Path) -> None:
    file = tmp_path / "llmwire.yaml"
    first, second = "a" * 20, "b" * 20
    file.write_text(f"keys: [{first}]")
    with _served(file) as (process, root):
        models = f"{root}/v1/models"
        assert (_status(models, first), _status(models, second)) == (200, 401)
        file.write_text(f"keys: [{second}]")
        process.send_signal(signal.SIGHUP)
        _line(process, lambda line: "configuration reloaded" in line)
        assert (_status(models, first), _status(models, second)) == (401, 200)
        file.write_text("keis: []")
        process.send_signal(signal.SIGHUP)
        line = _line(process, lambda line: "not reloaded" in line)
        assert "line 1, keis: unknown key; did you mean 'keys'?" in line
        assert (_status(models, first), _status(models, second)) == (401, 200)
