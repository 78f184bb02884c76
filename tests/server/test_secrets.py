"""No credential leaves: every byte that goes out is searched for every one of them.

The upstreams here say back whatever they are called with, in bodies, headers and
streams, as some real ones do.
"""

from __future__ import annotations

import base64
import http.client
import io
import json
import logging
import os
import pprint
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from llmwire import (
    HTTPRequest,
    MessageStart,
    PartStart,
    StreamEncoder,
    TextDelta,
    TextPart,
)
from llmwire_server import logs
from llmwire_server.app import App
from llmwire_server.backends import Backend, Secret, SecretText
from llmwire_server.config import Config
from llmwire_server.config.tree import HeaderRules, Log, RequestLimits, TimeLimits
from llmwire_server.explain import explain, render, to_json
from llmwire_server.incoming import Incoming
from llmwire_server.masking import Mask
from tests.server.calling import Client, Reply, call, scope
from tests.server.live import play, run_app

pytestmark = pytest.mark.anyio

CLIENT_KEYS = ("client-key-Aq8/first+", "client-key-Bz9~second")
UPSTREAM_KEYS = {
    "openai-chat": "upstream+chat/key-4f1c==",
    "openai-responses": "sk-upstream-responses-9d2b",
    "anthropic": "upstream.anthropic:key~77aa",
    "gemini": "AIzaUpstreamGemini-c0ffee00",
}
HEADER_VALUE = "configured-header-value-31"
QUERY_VALUE = "configured/query+value-59"
PROXY_PASSWORD = "proxy-p@ss:word-83"
SECRETS = (
    *CLIENT_KEYS,
    *UPSTREAM_KEYS.values(),
    HEADER_VALUE,
    QUERY_VALUE,
    PROXY_PASSWORD,
)
DIALECTS = tuple(UPSTREAM_KEYS)
MESSAGES = [{"role": "user", "content": "Hi"}]
PATHS = {
    "openai-chat": "/v1/chat/completions",
    "openai-responses": "/v1/responses",
    "anthropic": "/v1/messages",
    "gemini": "/v1beta/models/{}:generateContent",
}


def _forms(secret: str) -> set[str]:
    """How it might be written."""
    found = {secret, json.dumps(secret)[1:-1], quote(secret), quote(secret, safe="")}
    for text in (secret, f"user:{secret}", f":{secret}", f"{secret}:"):
        data = base64.b64encode(text.encode()).decode()
        found |= {
            data.rstrip("="),
            data.replace("+", "-").replace("/", "_").rstrip("="),
        }
    return found


FORMS = tuple(form for secret in SECRETS for form in _forms(secret))


def _search(what: str | bytes, where: object) -> None:
    text = what if isinstance(what, str) else what.decode("latin-1")
    for form in FORMS:
        assert form not in text, f"{where}: {form}"


def test_the_search_finds() -> None:
    for secret in SECRETS:
        for text in (secret, f"a{quote(secret, safe='')}b", json.dumps({"a": secret})):
            with pytest.raises(AssertionError):
                _search(text, "here")
    _search("nothing at all", "here")


def _config(root: str, **fields: Any) -> Config:
    backends = {
        name: Backend(
            name=name,
            dialect=name,
            base_url=f"{root}/{name}",
            api_key=Secret(key),
            headers={"x-configured": SecretText(HEADER_VALUE)},
            query={"signature": SecretText(QUERY_VALUE)},
        )
        for name, key in UPSTREAM_KEYS.items()
    }
    given: dict[str, Any] = {
        "backends": backends,
        "default_backend": "anthropic",
        "keys": tuple(map(Secret, CLIENT_KEYS)),
        "log": Log(level="debug", calls=True),
        "headers": HeaderRules(request=("*",), response=("*",)),
        "timeouts": TimeLimits(connect=5),
    }
    return Config(**(given | fields))


# --- Upstreams that say everything back ----------------------------------------------


def _said(head: bytes) -> str:
    """Everything that the upstream was told, in every form that it may repeat it."""
    lines = head.decode("latin-1").split("\r\n")
    values = [line.partition(": ")[2] for line in lines[1:]]
    words = [word for value in values for word in value.split(" ")]
    more = [quote(word, safe="") for word in words]
    more += [base64.b64encode(word.encode("latin-1")).decode() for word in words]
    return " ".join([*lines[0].split(" "), *values, *more])


def _begun(dialect: str) -> bytes:
    """A stream of `dialect`, broken off behind its first words."""
    encoder = StreamEncoder(dialect, id="x", created=1.0)
    events = (
        MessageStart(id="m", model="m", created=1),
        PartStart(0, TextPart("")),
        TextDelta(0, "Well"),
    )
    return b"".join(encoder.send(event) for event in events)


def _frame(dialect: str, message: str) -> bytes:
    """An error in the middle of a stream of `dialect`."""
    error: dict[str, Any] = {"message": message, "type": "server_error", "code": 500}
    if dialect == "gemini":
        error = {"message": message, "status": "INTERNAL", "code": 500}
    data: dict[str, Any] = {"error": error}
    if dialect in ("anthropic", "openai-responses"):
        data = {"type": "error", "error": error, "message": message}
        return b"event: error\ndata: " + json.dumps(data).encode() + b"\n\n"
    return b"data: " + json.dumps(data).encode() + b"\n\n"


KINDS = (
    "error",
    "text",
    "page",
    "error in 200",
    "garbage",
    "redirect",
    "stream of an error",
    "error in a stream",
    "cut stream",
    "count",
    "bad framing",
)


def _played(kind: str, dialect: str, head: bytes) -> bytes:
    said = _said(head)
    status, media, body = (
        200,
        "application/json",
        json.dumps({"error": {"message": said}}),
    )
    data = body.encode()
    if kind == "error":
        status = 401
    elif kind == "text":
        status, media, data = 500, "text/plain", said.encode("latin-1")
    elif kind == "page":
        status, media, data = 403, "text/html", f"<html>{said}</html>".encode("latin-1")
    elif kind == "garbage":
        data = b"{" + said.encode("latin-1")
    elif kind == "redirect":
        status = 302
    elif "stream" in kind:
        media, data = "text/event-stream", b""
        if kind != "stream of an error":
            data = _begun(dialect)
        if kind != "cut stream":
            data += _frame(dialect, said)
    elif kind == "count":
        status = 418
    word = said.replace("\r", "").replace("\n", "")[:3000]
    lines = [
        f"HTTP/1.1 {status} {word if kind == 'error' else 'X'}",
        f"content-type: {media}",
        f"x-request-id: {word}",
        f"request-id: {word}",
        f"retry-after: {word}",
        f"x-ratelimit-remaining-requests: {word}",
        f"anthropic-ratelimit-x: {word}",
        f"server-timing: {word}",
        f"x-anything: {word}",
        f"location: http://127.0.0.1/{quote(word)}",
        f"content-length: {len(data)}",
    ]
    if kind == "bad framing":
        lines.append(f"transfer-encoding: {word}")
    return "\r\n".join((*lines, "", "")).encode("latin-1") + data


class _Upstream:
    """What the upstreams do now, and what they were told."""

    def __init__(self) -> None:
        self.kind = "error"
        self.heads: list[bytes] = []

    def __call__(self, head: bytes, body: bytes) -> bytes:
        self.heads.append(head)
        dialect = head.split(b" ")[1].decode().split("/")[1]
        return _played(self.kind, dialect, head)


@pytest.fixture(scope="module")
def upstream() -> Iterator[tuple[_Upstream, str]]:
    it = _Upstream()
    with play(it) as root:
        yield it, root


def _asked(dialect: str, to: str, stream: bool) -> tuple[str, dict[str, Any]]:
    path = PATHS[dialect]
    body: dict[str, Any] = {"model": f"{to}:m", "stream": stream}
    if dialect == "gemini":
        verb = "streamGenerateContent?alt=sse&" if stream else "generateContent?"
        path = f"/v1beta/models/{to}:m:{verb}"
        body = {"contents": [{"parts": [{"text": "Hi"}]}]}
    elif dialect == "openai-responses":
        body["input"] = "Hi"
    else:
        body |= {"messages": MESSAGES, "max_tokens": 9}
    mark = "" if "?" in path else "?"
    return f"{path}{mark}key={quote(CLIENT_KEYS[0], safe='')}&a=b", body


HEADERS = (
    ("authorization", f"Bearer {CLIENT_KEYS[0]}"),
    ("x-api-key", CLIENT_KEYS[1]),
    ("x-goog-api-key", CLIENT_KEYS[0]),
    ("cookie", f"a={CLIENT_KEYS[0]}"),
    ("content-type", "application/json"),
)


def _leaves(reply: Reply, where: object) -> None:
    _search(reply.body, where)
    _search(repr(reply.headers), where)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("to", DIALECTS)
async def test_whatever_an_upstream_says_back(
    upstream: tuple[_Upstream, str],
    kind: str,
    to: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    it, root = upstream
    caplog.set_level(logging.DEBUG)
    it.kind = kind
    it.heads.clear()
    app = App(_config(root))
    hidden = 0
    async with app._pool:
        for dialect in DIALECTS:
            for stream in (False, True):
                path, body = _asked(dialect, to, stream)
                reply = await call(app, path, body, headers=HEADERS)
                _leaves(reply, (dialect, to, stream, kind))
                assert reply.status >= 400 or "stream" in kind
                everything = reply.body + repr(reply.headers).encode()
                hidden += everything.count(b"[redacted]")
        path = f"/v1/messages/count_tokens?key={quote(CLIENT_KEYS[1])}"
        counted = {"model": f"{to}:m", "messages": MESSAGES}
        _leaves(await call(app, path, counted, headers=HEADERS), (to, kind))
        for path in ("/v1/models", "/ready", "/v1/models/none", "/nowhere?key=a"):
            reply = await call(app, path, method="GET", headers=HEADERS)
            _leaves(reply, path)
    assert len(it.heads) >= 8
    for head in it.heads:
        for key in CLIENT_KEYS:
            assert key.encode() not in head
        assert UPSTREAM_KEYS[to].encode() in head or b"GET" in head[:3]
    assert hidden or kind == "bad framing"
    _search(caplog.text, "the log")
    for record in caplog.records:
        _search(repr(vars(record)), "a record of the log")


async def test_a_server_that_is_not_there(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    proxy = f"http://user:{quote(PROXY_PASSWORD, safe='')}@127.0.0.1:1"
    for more in ({}, {"proxy": proxy}):
        backends = {
            "gone": Backend(
                name="gone",
                dialect="openai-chat",
                base_url="http://127.0.0.1:1",
                api_key=Secret(UPSTREAM_KEYS["openai-chat"]),
                query={"signature": SecretText(QUERY_VALUE)},
                **more,  # type: ignore[arg-type]  # one field, or none
            )
        }
        config = _config("", backends=backends, default_backend="gone")
        _search(repr(config), "a configuration")
        _search(pprint.pformat(config), "a configuration")
        app = App(config)
        async with app._pool:
            for dialect in DIALECTS:
                for stream in (False, True):
                    path, body = _asked(dialect, "gone", stream)
                    reply = await call(app, path, body, headers=HEADERS)
                    assert reply.status == 502
                    _leaves(reply, (dialect, stream))
            await call(app, "/v1/models", method="GET", headers=HEADERS)
    _search(caplog.text, "the log")


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_whatever_the_door_refuses(
    dialect: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    limits = RequestLimits(headers=8, header_bytes=2000, body=500)
    app = App(_config("http://127.0.0.1:1", limits=limits))
    path, body = _asked(dialect, "nobody", False)
    wrong = [(name, f"{value}x") for name, value in HEADERS]
    secret = CLIENT_KEYS[0]
    asked: list[tuple[str, str, Any, Any]] = [
        ("POST", path.replace("?key=", "?key=x"), body, wrong),
        ("POST", path, body, HEADERS),
        ("POST", path, f"{{{secret}".encode(), HEADERS),
        ("POST", path, f'{{"messages": "{secret}"}}'.encode(), HEADERS),
        ("POST", path, b" " * 501, HEADERS),
        ("POST", path, body, (*HEADERS, ("content-encoding", secret))),
        ("POST", path, body, (*HEADERS, ("content-length", secret))),
        ("POST", path, body, (*HEADERS, ("a", secret * 200))),
        ("POST", path, body, (*HEADERS, *(("a", secret),) * 9)),
        ("POST", path + "&a=" + "b" * 2000, body, HEADERS),
        ("GET", path, body, HEADERS),
        ("OPTIONS", path, body, (*HEADERS, ("origin", f"http://{secret}"))),
        ("PUT", f"/nowhere?key={secret}", body, HEADERS),
        ("POST", path, body, (*HEADERS, ("x-forwarded-for", secret))),
    ]
    for method, target, sent, headers in asked:
        reply = await call(app, target, sent, method=method, headers=headers)
        assert reply.status >= 400 or method == "OPTIONS"
        _leaves(reply, (method, headers[-1][0]))
    _search(caplog.text, "the log")


class _Bug(Exception):
    """A fault of ours that says too much."""


async def test_faults_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written to the log of the very words of a fault."""
    written = io.StringIO()
    config = _config("http://127.0.0.1:1")
    said = " ".join(SECRETS[:-1])
    root = logging.getLogger()
    before = root.handlers[:]

    def broken(self: Any, request: Any) -> Any:
        raise _Bug(said)

    monkeypatch.setattr("llmwire_server.upstream.pool.Pool.open", broken)
    try:
        for format in ("text", "json"):
            log = Log(level="debug", format=format)
            logs.configure(log, written, hide=Mask.of(config).text)
            with run_app(App(config)) as url:
                for stream in (False, True):
                    peer = http.client.HTTPConnection(url.removeprefix("http://"))
                    path, body = _asked("openai-chat", "openai-chat", stream)
                    peer.request("POST", path, json.dumps(body), dict(HEADERS))
                    reply = peer.getresponse()
                    assert reply.status == 500
                    _search(repr(reply.getheaders()), "headers")
                    _search(reply.read(), "an answer")
                    peer.close()
    finally:
        root.handlers[:] = before
    lines = written.getvalue()
    assert "_Bug" in lines and "[redacted]" in lines
    _search(lines, "the log")


# --- What shows itself ---------------------------------------------------------------


def test_nothing_shows_what_it_holds() -> None:
    proxy = f"socks5://user:{quote(PROXY_PASSWORD, safe='')}@proxy.example:1080"
    backend = Backend(
        name="b",
        dialect="gemini",
        base_url="http://b.example",
        api_key=Secret(UPSTREAM_KEYS["gemini"]),
        headers={"a": SecretText(HEADER_VALUE)},
        query={"b": SecretText(QUERY_VALUE)},
        proxy=proxy,
    )
    config = _config("", backends={"b": backend}, default_backend="b")
    app = App(config)
    path, _ = _asked("gemini", "b", False)
    said = scope("POST", path, HEADERS)
    place = app._state.pipeline.place(backend, "gemini")
    request = HTTPRequest(method="POST", path=path, headers=HEADERS)
    things = [
        config,
        backend,
        app,
        app._state,
        app._state.keys,
        app._state.mask,
        app._state.pipeline,
        place.address,
        place.address.request(request, HEADERS),
        request,
        Incoming.of_scope(said),
        Client(b""),
    ]
    for thing in things:
        for text in (repr(thing), str(thing), pprint.pformat(thing), f"{thing!r}"):
            _search(text, type(thing).__name__)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_explain(dialect: str) -> None:
    config = _config("http://up.example")
    for to in DIALECTS:
        path, body = _asked(dialect, to, False)
        request = HTTPRequest(
            method="POST",
            path=path.partition("?")[0],
            headers=HEADERS[-1:],
            body=json.dumps(body).encode(),
        )
        found = explain(request, dialect, config)
        _search(render(found), "explain")
        _search(to_json(found), "explain")
        _search(repr(found), "explain")


FILE = """\
keys: ["${CLIENT_ONE}", "client-key-Bz9~second"]
backends:
  openai-chat:
    dialect: openai-chat
    base_url: http://127.0.0.1:1
    api_key: "${UPSTREAM_CHAT}"
    headers: {x-configured: "${HEADER}"}
    query: {signature: "${QUERY}"}
    proxy: "http://user:${PASSWORD}@127.0.0.1:1"
"""
ENVIRONMENT = {
    "CLIENT_ONE": CLIENT_KEYS[0],
    "UPSTREAM_CHAT": UPSTREAM_KEYS["openai-chat"],
    "HEADER": HEADER_VALUE,
    "QUERY": QUERY_VALUE,
    "PASSWORD": quote(PROXY_PASSWORD, safe=""),
    "ANTHROPIC_API_KEY": UPSTREAM_KEYS["anthropic"],
    "GEMINI_API_KEY": UPSTREAM_KEYS["gemini"],
    "OPENAI_API_KEY": UPSTREAM_KEYS["openai-responses"],
}
MISTAKES = (
    "",
    "\nbackends: [",
    "\nnothing: ${CLIENT_ONE}",
    "    dialect: ${UPSTREAM_CHAT}\n",
    "    base_url: http://a:${PASSWORD}@b\n",
    "    models: {a: ${UPSTREAM_CHAT}}\n",
    "    tls: ${UPSTREAM_CHAT}\n",
    "    timeout: ${UPSTREAM_CHAT}\n",
    "limits: {body: '${UPSTREAM_CHAT}'}\n",
    "default_backend: ${UPSTREAM_CHAT}\n",
    "log: {level: '${UPSTREAM_CHAT}'}\n",
    "simulator: {rules: [{match: '(${UPSTREAM_CHAT}'}]}\n",
)


def _run(*arguments: str, more: str = "") -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH",) if name in os.environ}
    return subprocess.run(
        [sys.executable, "-m", "llmwire_server", *arguments],
        capture_output=True,
        text=True,
        input=more,
        env=kept | ENVIRONMENT,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_command_line(tmp_path: Path, mistake: str) -> None:
    file = tmp_path / "llmwire.yaml"
    file.write_text(FILE + mistake)
    body = json.dumps({"model": "openai-chat:m", "messages": MESSAGES})
    runs = [
        _run("config", "check", str(file)),
        _run("config", "show", "--config", str(file)),
    ]
    if not mistake:
        explained = ("explain", "--config", str(file), "--from", "openai-chat")
        runs.append(_run(*explained, more=body))
        assert runs[1].returncode == 0, runs[1].stderr
    for run in runs:
        _search(run.stdout, run.args)
        _search(run.stderr, run.args)
        assert run.returncode == (2 if mistake else 0), run.stderr
        assert "Traceback" not in run.stderr


BROKEN = """\
import os, sys
from llmwire_server.cli import main
from llmwire_server.upstream.pool import Pool

def broken(self, request):
    raise RuntimeError(f"Illegal header value {request.headers} {dict(os.environ)}")

Pool.open = broken
sys.exit(main(["serve", "--port", "0", "--log-level", "debug", *sys.argv[1:]]))
"""


@pytest.mark.parametrize("broken", [False, True])
def test_what_a_server_writes(tmp_path: Path, broken: bool) -> None:
    file = tmp_path / "llmwire.yaml"
    known = dict(ENVIRONMENT)
    backends = FILE
    if broken:
        # The pool is what breaks; without a proxy nobody knows its password.
        backends = FILE.rpartition("    proxy:")[0]
        del known["PASSWORD"]
    file.write_text(backends + "log: {calls: true}\n")
    serve = ["-m", "llmwire_server", "serve", "--port", "0", "--log-level", "debug"]
    command = [*(["-c", BROKEN] if broken else serve), "--config", str(file)]
    kept = {name: os.environ[name] for name in ("PATH",) if name in os.environ}
    with subprocess.Popen(
        [sys.executable, *command],
        stderr=subprocess.PIPE,
        text=True,
        env=kept | known | {"PYTHONPATH": str(Path(__file__).parents[2])},
    ) as process:
        assert process.stderr is not None
        written = ""
        try:
            while "llmwire on http" not in written:
                line = process.stderr.readline()
                assert line, written
                written += line
            place = written.rpartition("llmwire on http://")[2].split()[0].rstrip(":")
            for dialect in DIALECTS:
                peer = http.client.HTTPConnection(place)
                path, body = _asked(dialect, "openai-chat", False)
                peer.request("POST", path, json.dumps(body), dict(HEADERS))
                reply = peer.getresponse()
                assert reply.status == (500 if broken else 502)
                _search(repr(reply.getheaders()), "headers")
                _search(reply.read(), "an answer")
                peer.close()
        finally:
            process.send_signal(signal.SIGINT)
        written += process.stderr.read()
    assert ("RuntimeError" in written) is broken
    _search(written, "standard error")
