"""Tests of `llmwire_server.cli`: arguments, standard streams, exit statuses."""

from __future__ import annotations

import io
import json
import os
import re
import runpy
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from llmwire_server import logs, serving
from llmwire_server.cli import main
from llmwire_server.cli.serve import announcement, shown_place
from llmwire_server.config import SHAPE, load, schema

CHAT = {
    "model": "m",
    "seed": 7,
    "messages": [{"role": "user", "content": "Hi"}],
}
ANSWER = {
    "id": "c1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "So."},
            "finish_reason": "stop",
        }
    ],
}
FRAMES = (
    b'data: {"id": "c1", "choices": [{"index": 0, "delta": {"content": "So."}}]}\n\n',
    b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\n',
    b"data: [DONE]\n\n",
)


class _Stream:
    def __init__(self, data: bytes = b"") -> None:
        self.buffer = io.BytesIO(data)

    def flush(self) -> None:
        """Nothing is held back."""


class Outcome:
    """What a run of the command gave."""

    def __init__(self, status: int, out: bytes, err: str) -> None:
        self.status = status
        self.out = out
        self.err = err

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def translate(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Any:
    def run(what: str, source: str, target: str, data: Any, *more: str) -> Outcome:
        if not isinstance(data, bytes):
            data = json.dumps(data).encode()
        out = _Stream()
        monkeypatch.setattr(sys, "stdin", _Stream(data))
        monkeypatch.setattr(sys, "stdout", out)
        status = main(["translate", what, "--from", source, "--to", target, *more])
        return Outcome(status, out.buffer.getvalue(), capsys.readouterr().err)

    return run


def test_a_request(translate: Any) -> None:
    done = translate("request", "openai-chat", "anthropic", CHAT)
    assert done.status == 0
    assert done.json["model"] == "m"
    assert "dropped: sampling.seed (sampling):" in done.err
    assert done.err.endswith("POST /v1/messages\n")


def test_the_place_of_a_request_is_told(translate: Any) -> None:
    done = translate("request", "openai-chat", "gemini", {**CHAT, "stream": True})
    place = "POST /v1beta/models/m:streamGenerateContent?alt=sse\n"
    assert done.err.endswith(place)
    whole = translate("request", "openai-chat", "gemini", CHAT, "--http")
    head, _, body = whole.out.partition(b"\r\n\r\n")
    first, *headers = head.split(b"\r\n")
    assert first == b"POST /v1beta/models/m:generateContent HTTP/1.1"
    assert b"content-type: application/json" in headers
    assert json.loads(body)["contents"]
    assert "POST" not in whole.err


def test_the_head_of_an_error(translate: Any) -> None:
    body = {"error": {"message": "slow", "type": "rate_limit_error"}}
    more = ("--status", "429", "--http")
    done = translate("error", "openai-chat", "anthropic", body, *more)
    assert done.out.startswith(b"HTTP/1.1 429\r\n")
    told = translate("error", "openai-chat", "anthropic", body, "--status", "429")
    assert told.err == "HTTP/1.1 429\n"


def test_another_model(translate: Any) -> None:
    done = translate("request", "openai-chat", "anthropic", CHAT, "--model", "big")
    assert done.json["model"] == "big"


def test_a_request_of_gemini_names_no_model(translate: Any) -> None:
    body = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}
    done = translate("request", "gemini", "openai-chat", body, "--model", "big")
    assert (done.status, done.json["model"]) == (0, "big")
    back = translate("request", "openai-chat", "gemini", CHAT)
    assert (back.status, back.json["contents"][0]["role"]) == (0, "user")


def test_losses_go_to_a_file(translate: Any, tmp_path: Path) -> None:
    file = tmp_path / "losses.json"
    done = translate("request", "openai-chat", "anthropic", CHAT, "--losses", str(file))
    assert (done.status, done.err) == (0, "POST /v1/messages\n")
    features = [loss["feature"] for loss in json.loads(file.read_bytes())]
    assert "sampling" in features


def test_a_refusal(translate: Any, tmp_path: Path) -> None:
    file = tmp_path / "losses.json"
    done = translate("request", "openai-chat", "anthropic", {**CHAT, "n": 3})
    assert (done.status, done.out) == (1, b"")
    assert "refused: " in done.err
    more = ("--losses", str(file))
    translate("request", "openai-chat", "anthropic", {**CHAT, "n": 3}, *more)
    [loss] = json.loads(file.read_bytes())
    assert loss["action"] == "refused"


def test_a_response(translate: Any) -> None:
    done = translate("response", "openai-chat", "anthropic", ANSWER)
    assert done.status == 0
    assert done.json["content"][0]["text"] == "So."


def test_a_response_that_is_an_error(translate: Any) -> None:
    body = {"error": {"message": "why", "type": "server_error"}}
    done = translate("response", "openai-chat", "anthropic", body)
    assert (done.status, done.json["type"]) == (2, "error")
    assert "why" in done.err


def test_a_stream(translate: Any) -> None:
    done = translate("stream", "openai-chat", "anthropic", b"".join(FRAMES))
    assert done.status == 0
    assert done.out.endswith(b'data: {"type":"message_stop"}\n\n')
    assert done.err == "defaulted: usage (usage): clients need numbers\n"


def test_a_stream_that_breaks(translate: Any) -> None:
    done = translate("stream", "openai-chat", "anthropic", FRAMES[0])
    assert done.status == 2
    assert b"event: error" in done.out
    assert done.err


def test_an_error(translate: Any) -> None:
    body = {"error": {"message": "slow", "type": "rate_limit_error"}}
    done = translate("error", "openai-chat", "anthropic", body, "--status", "429")
    assert done.status == 0
    assert done.json["error"] == {"type": "rate_limit_error", "message": "slow"}


@pytest.mark.parametrize("what", ["request", "response"])
def test_what_is_not_readable(translate: Any, what: str) -> None:
    done = translate(what, "openai-chat", "anthropic", b"{")
    assert (done.status, done.out) == (2, b"")
    assert done.err.startswith("llmwire: ")


def test_an_unknown_profile(translate: Any) -> None:
    done = translate("request", "openai-chat", "gemini", CHAT, "--profile", "none")
    assert done.status == 2
    assert "unknown profile" in done.err


def test_files(translate: Any, tmp_path: Path) -> None:
    file = tmp_path / "request.json"
    file.write_text(json.dumps(CHAT))
    done = translate("request", "openai-chat", "gemini", b"not read", str(file))
    assert done.status == 0
    done = translate("request", "openai-chat", "gemini", b"", str(tmp_path / "no"))
    assert done.status == 2
    assert "No such file" in done.err
    nowhere = ("--losses", str(tmp_path / "no" / "no"))
    done = translate("request", "openai-chat", "gemini", CHAT, *nowhere)
    assert (done.status, done.out) == (2, b"")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["no"],
        ["translate", "request", "--from", "openai-chat"],
        ["translate", "request", "--from", "x", "--to", "gemini"],
        ["serve", "--set", "port"],
        ["serve", "--set", "=1"],
        ["serve", "--key", "k"],
        ["config"],
        ["explain"],
    ],
)
def test_bad_arguments(arguments: list[str], capsys: Any) -> None:
    with pytest.raises(SystemExit) as raised:
        main(arguments)
    assert raised.value.code == 2
    assert "usage: llmwire" in capsys.readouterr().err


# --- serve -----------------------------------------------------------------------


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty environment, and logging as it was."""
    for name in list(os.environ):
        if name.endswith(("_API_KEY", "_BASE_URL")) or name.startswith("LLMWIRE_"):
            monkeypatch.delenv(name)
    monkeypatch.setattr(logs, "configure", lambda log, **_: None)


class _Served:
    """What would have been served, and where."""

    def __init__(self, config: Any, ports: list[int], load: Any) -> None:
        self.config = config
        self.ports = ports
        self.load = load


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[_Served]:
    found: list[_Served] = []

    def serve(config: Any, *sockets: socket.socket | None, load: Any) -> int:
        there = [each for each in sockets if each is not None]
        ports = [each.getsockname()[1] for each in there]
        found.append(_Served(config, ports, load))
        return 0

    monkeypatch.setattr(serving, "serve", serve)
    return found


def test_without_anything_the_simulator_is_announced(served: Any, capsys: Any) -> None:
    assert main(["serve", "--port", "0"]) == 0
    assert served[0].config.simulated
    err = capsys.readouterr().err
    assert "llmwire on http://127.0.0.1:" in err
    assert ":0:" not in err
    assert "the embedded simulator answers" in err


def test_backends_are_announced_without_their_keys(
    served: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "topsecret")
    arguments = ["serve", "--port", "0", "--default-backend", "gemini:flash"]
    assert main(arguments) == 0
    err = capsys.readouterr().err
    assert err.endswith("gemini (gemini); default gemini:flash\n")
    assert "topsecret" not in err
    main(["serve", "--port", "0"])
    assert capsys.readouterr().err.endswith("default gemini\n")


def test_mistakes_of_the_configuration(
    served: Any, capsys: Any, tmp_path: Path
) -> None:
    file = tmp_path / "llmwire.yaml"
    file.write_text("backend: {}")
    assert main(["serve", "--config", str(file)]) == 2
    assert "did you mean 'backends'?" in capsys.readouterr().err
    assert main(["serve", "--default-backend", "x"]) == 2
    assert main(["serve", "--port", "65536"]) == 2
    assert "--port: expected a whole number from 0 to 65535" in capsys.readouterr().err
    assert not served


def test_flags_say_what_is_served(served: Any, capsys: Any, tmp_path: Path) -> None:
    file = tmp_path / "llmwire.yaml"
    file.write_text("limits: {body: 1KiB}\nhost: 0.0.0.0")
    arguments = ["serve", "--config", str(file), "--port", "0", "--host", "127.0.0.1"]
    arguments += ["--anthropic-port", "0", "--log-level", "error"]
    assert main([*arguments, "--set", "limits.body=1MB", "--set", "port=0"]) == 0
    [it] = served
    assert (it.config.host, it.config.port) == ("127.0.0.1", 0)
    assert it.config.limits.body == 10**6
    assert it.config.log.level == "error"
    assert len(set(it.ports)) == 2
    ports = "llmwire on http://127.0.0.1:{} (Anthropic's clients: http://127.0.0.1:{})"
    assert ports.format(*it.ports) in capsys.readouterr().err
    assert it.load().config == it.config


def test_warnings_are_told(served: Any, capsys: Any) -> None:
    arguments = ["serve", "--port", "0", "--set", "connections.total=1"]
    assert main(arguments) == 0
    assert "llmwire: warning: connections.per_origin: " in capsys.readouterr().err


def test_a_port_that_is_taken(served: Any, capsys: Any) -> None:
    with serving.listen("127.0.0.1", 0) as sock:
        port = sock.getsockname()[1]
        assert main(["serve", "--port", str(port)]) == 2
        second = ["--port", "0", "--anthropic-port", str(port)]
        assert main(["serve", *second]) == 2
    err = capsys.readouterr().err
    assert err.count(f"127.0.0.1:{port}: Address already in use") == 2
    assert main(["serve", "--port", "0", "--host", "a" * 64 + ".example"]) == 2
    assert "no such address" in capsys.readouterr().err
    assert not served


def test_places_are_shown_as_urls() -> None:
    assert shown_place("::1", 80) == "http://[::1]:80"
    assert "http://h:1" in announcement(load(environment={}), "http://h:1")


def test_the_module_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["llmwire", "--help"])
    with pytest.raises(SystemExit) as raised:
        runpy.run_module("llmwire_server", run_name="__main__")
    assert raised.value.code == 0


# --- explain -----------------------------------------------------------------------


def test_a_request_is_explained(monkeypatch: Any, tmp_path: Path) -> None:
    file = tmp_path / "request.json"
    file.write_text(json.dumps(CHAT))
    backend = "backends.g={dialect: gemini, base_url: 'https://g.example'}"
    explain = ["explain", "--from", "openai-chat", "--set", backend]
    out = _Stream()
    monkeypatch.setattr(sys, "stdout", out)
    assert main([*explain, str(file)]) == 0
    text = out.buffer.getvalue().decode()
    assert "POST https://g.example/v1beta/models/m:generateContent" in text
    out.buffer = io.BytesIO()
    assert main([*explain, "--json", str(file)]) == 0
    found = json.loads(out.buffer.getvalue())
    assert found["backends"] == ["g"]


def test_what_cannot_be_explained(
    monkeypatch: Any, capsys: Any, tmp_path: Path
) -> None:
    out = _Stream()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stdin", _Stream(b"{"))
    explain = ["explain", "--from", "openai-chat"]
    assert main(explain) == 2
    assert main([*explain, str(tmp_path / "no.json")]) == 2
    assert main([*explain, "--set", "prot=1"]) == 2
    assert out.buffer.getvalue() == b""
    err = capsys.readouterr().err
    assert "No such file" in err
    assert "did you mean 'port'?" in err
    refused = {**CHAT, "model": "none:m"}
    monkeypatch.setattr(sys, "stdin", _Stream(json.dumps(refused).encode()))
    strict = ["--set", "models.bare=refused"]
    assert main([*explain, *strict]) == 1
    assert b"refused" in out.buffer.getvalue()


# --- config ------------------------------------------------------------------------


def test_configurations_are_checked(capsys: Any, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text("connections: {total: 1}")
    bad.write_text("prot: 1\nhots: a")
    assert main(["config", "check", str(good)]) == 0
    err = capsys.readouterr().err
    assert "llmwire: warning: connections.per_origin: " in err
    assert err.endswith(f"llmwire: {good}: usable\n")
    assert main(["config", "check", str(bad), str(good)]) == 2
    err = capsys.readouterr().err
    assert f"{bad}, line 1, prot: unknown key; did you mean 'port'?" in err
    assert f"{bad}, line 2, hots: unknown key; did you mean 'host'?" in err
    assert f"{good}: usable" in err
    assert main(["config", "check", "--port", "1"]) == 0
    assert capsys.readouterr().err == "llmwire: the environment: usable\n"
    assert main(["config", "check", "--port", "x"]) == 2


def test_the_effective_configuration_is_shown(capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "topsecret")
    assert main(["config", "show", "--port", "1", "--set", "log.level=debug"]) == 0
    text = capsys.readouterr().out
    assert "port: 1  # --port\n" in text
    assert "  level: debug  # --set log.level\n" in text
    assert "    api_key: '***'  # OPENAI_API_KEY\n" in text
    assert "top" not in text
    assert main(["config", "show", "--port", "x"]) == 2
    assert "--port: expected" in capsys.readouterr().err


def test_the_schema_is_written(capsys: Any) -> None:
    assert main(["config", "schema"]) == 0
    assert json.loads(capsys.readouterr().out) == schema(SHAPE)


# --- all of them -------------------------------------------------------------------


COMMANDS: list[list[str]] = [
    [],
    ["serve"],
    ["translate"],
    ["translate", "request"],
    ["translate", "stream"],
    ["explain"],
    ["config"],
    ["config", "check"],
    ["config", "show"],
    ["config", "schema"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_teaches(command: list[str], capsys: Any) -> None:
    with pytest.raises(SystemExit) as raised:
        main([*command, "--help"])
    assert raised.value.code == 0
    text = capsys.readouterr().out
    assert "example" in text or "where the configuration comes from" in text
    assert max(map(len, text.splitlines())) <= 88


def test_examples_of_help_are_understood(capsys: Any) -> None:
    """Every line of an epilog that begins with `llmwire` is a command there is."""
    from llmwire_server.cli import _parser

    seen = 0
    for command in COMMANDS:
        with pytest.raises(SystemExit):
            main([*command, "--help"])
        for line in capsys.readouterr().out.replace("\\\n", " ").splitlines():
            words = line.split("  <")[0].split(" <")[0].split(" >")[0].split(" &&")[0]
            words = words.strip().split("   ")[0]
            if words.startswith("llmwire ") and words == words.rstrip("."):
                _parser().parse_args(words.split()[1:])
                seen += 1
    assert seen > 20


def test_the_version_is_told(capsys: Any) -> None:
    with pytest.raises(SystemExit) as raised:
        main(["--version"])
    assert raised.value.code == 0
    assert re.fullmatch(r"llmwire \d+\.\d+\.\d+\S*\n", capsys.readouterr().out)


def test_users_may_interrupt(monkeypatch: Any, translate: Any) -> None:
    class Interrupted(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise KeyboardInterrupt

    stream = _Stream()
    stream.buffer = Interrupted()
    monkeypatch.setattr(sys, "stdin", stream)
    translate_one = ["translate", "request", "--from", "gemini", "--to", "anthropic"]
    assert main(translate_one) == 130


def test_readers_may_leave_early() -> None:
    """`llmwire config schema | head -1` is no failure that is told."""
    code = "import sys; from llmwire_server.cli import main; sys.exit(main())"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "config", "schema"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    with process.stderr:
        assert process.stderr.read() == b""
    assert process.wait(30) == 1
