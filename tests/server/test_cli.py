"""Tests of `llmwire_server.cli`: arguments, standard streams, exit statuses."""

from __future__ import annotations

import io
import json
import os
import runpy
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from llmwire_server import cli, serving
from llmwire_server.cli import main
from llmwire_server.config import load

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
    assert (done.status, done.err) == (0, "")
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
        ["serve", "--port", "65536"],
        ["serve", "--port", "x"],
    ],
)
def test_bad_arguments(arguments: list[str], capsys: Any) -> None:
    with pytest.raises(SystemExit) as raised:
        main(arguments)
    assert raised.value.code == 2
    assert "usage: llmwire" in capsys.readouterr().err


# --- serve -----------------------------------------------------------------------


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Configurations that would have been served, in an empty environment."""
    found: list[Any] = []

    def serve(config: Any, sock: socket.socket) -> int:
        sock.close()
        found.append(config)
        return 0

    for name in list(os.environ):
        if name.endswith(("_API_KEY", "_BASE_URL")):
            monkeypatch.delenv(name)
    monkeypatch.setattr(serving, "serve", serve)
    return found


def test_without_anything_the_simulator_is_announced(served: Any, capsys: Any) -> None:
    assert main(["serve", "--port", "0"]) == 0
    assert served[0].simulated
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
    assert not served


def test_a_port_that_is_taken(served: Any, capsys: Any) -> None:
    with serving.listen("127.0.0.1", 0) as sock:
        port = sock.getsockname()[1]
        assert main(["serve", "--port", str(port)]) == 2
    assert f"127.0.0.1:{port}: Address already in use" in capsys.readouterr().err
    assert not served


def test_places_are_shown_as_urls() -> None:
    assert cli._shown_place("::1", 80) == "http://[::1]:80"
    assert "http://h:1" in cli._announcement(load(environment={}), "http://h:1")


def test_the_module_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["llmwire", "--help"])
    with pytest.raises(SystemExit) as raised:
        runpy.run_module("llmwire_server", run_name="__main__")
    assert raised.value.code == 0
