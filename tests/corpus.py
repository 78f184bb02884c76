"""Recorded traffic through every pair: what came through, what was lost, what refused.

`python -m tests.corpus FOLDER` prints the table. A folder holds one folder for each
protocol with JSON Lines files; a record is an exchange, a stream or a lone request.
Nothing here knows where such recordings lie.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from msgspec import Struct, field
from msgspec.structs import replace

import llmwire
from llmwire.events import Event
from tests import corpus_tool_loops, oracle
from tests.normal_forms import differences, normalised
from tests.stream_law import normed

DIALECTS: Final = {
    "openai_chat": "openai-chat",
    "openai_responses": "openai-responses",
    "anthropic": "anthropic",
    "gemini": "gemini",
}
VENDORS: Final = {
    "openai-chat": {"openai", "azure"},
    "openai-responses": {"openai", "azure"},
    "anthropic": {"anthropic"},
    "gemini": {"google-ai", "google", "google-vertex"},
}
"""Whose own recordings must be valid for every target."""
POLICY: Final[dict[str, Any]] = {
    "audio.output": "drop",
    "media.audio": "drop",
    "media.document": "drop",
    "media.file": "drop",
    "media.image": "drop",
    "media.url": "drop",
    "media.video": "drop",
    "tool.opaque": "drop",
    "tool.server": "drop",
}
"""Hosted tools and media that a target does not take are dropped with a loss."""
COARSER: Final = {
    ("context_length", "invalid_request"),
    ("content_policy", "invalid_request"),
    ("quota", "rate_limit"),
    ("billing", "rate_limit"),
}
"""Kinds of error that some dialects have one word for."""
CREATED: Final = 1763680000.0


_MESSAGE: Final = b'"messages": [{"role": "user", "content": "Hi"}]'
_PLAIN: Final = {
    "openai-chat": (
        "/v1/chat/completions",
        b'{"model": "m", "stream": true, ' + _MESSAGE + b"}",
    ),
    "openai-responses": (
        "/v1/responses",
        b'{"model": "m", "stream": true, "input": "Hi"}',
    ),
    "anthropic": (
        "/v1/messages",
        b'{"model": "m", "max_tokens": 9, "stream": true, ' + _MESSAGE + b"}",
    ),
    "gemini": (
        "/v1beta/models/m:streamGenerateContent?alt=sse",
        b'{"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}',
    ),
}


class Cell(Struct):
    """What happened to one kind of message from one dialect to another."""

    tried: int = 0
    through: int = 0
    losses: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


class Result(Struct):
    """What happened to a whole corpus."""

    cells: dict[tuple[str, str, str], Cell] = field(default_factory=dict)
    forms: dict[str, Counter[str]] = field(default_factory=dict)
    violations: Counter[str] = field(default_factory=Counter)
    invalid: list[str] = field(default_factory=list)

    def cell(self, kind: str, source: str, target: str) -> Cell:
        """The cell of a kind of message and a pair."""
        return self.cells.setdefault((kind, source, target), Cell())


def records(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every record of the four dialects, with its dialect."""
    for protocol, dialect in DIALECTS.items():
        for file in sorted((folder / protocol).glob("*.jsonl")):
            for line in file.read_text(encoding="utf-8").splitlines():
                yield dialect, json.loads(line)


def run(folder: Path) -> Result:
    """Put every record of `folder` through every pair."""
    result = Result()
    for dialect, record in records(folder):
        one = Record(dialect, record, result)
        one.try_request()
        one.try_response()
        one.try_stream()
        one.try_error()
    return result


class Record:
    """One record on its way through the pairs."""

    def __init__(self, dialect: str, record: dict[str, Any], result: Result) -> None:
        self.dialect = dialect
        self.record = record
        self.result = result
        self.id = str(record["id"])
        status = record.get("status") or 200
        self.failed = status >= 400
        self.own = record.get("vendor") in VENDORS[dialect]

    def _http(self) -> llmwire.HTTPRequest:
        path = str(self.record.get("path") or "")
        if self.dialect == "gemini" and "/models/" in path:
            path = "/v1beta" + path[path.index("/models/") :]
        else:
            path = ""
        body = json.dumps(self.record["request"]).encode()
        return llmwire.HTTPRequest(method="POST", path=path, body=body)

    def _note(self, cell: Cell, problems: list[str], losses: Any) -> None:
        cell.tried += 1
        cell.losses.update(loss.feature for loss in losses)
        if problems:
            cell.failures.append(f"{self.id}: {problems[0]}")
        else:
            cell.through += 1

    def try_request(self) -> None:
        """The request, to every dialect."""
        body = self.record.get("request")
        if not isinstance(body, dict) or not body:
            return
        try:
            request = llmwire.decode_request(self._http(), self.dialect)
        except llmwire.RemoteProtocolError as error:
            self.result.invalid.append(f"{self.id} request: {error}")
            return
        for target in DIALECTS.values():
            self._request_to(request, body, target)

    def _request_to(
        self, request: llmwire.Request, body: dict[str, Any], target: str
    ) -> None:
        cell = self.result.cell("request", self.dialect, target)
        native = target == self.dialect
        named = native or request.model is not None
        try:
            call = llmwire.encode_request(
                request,
                target,
                model=None if named else "model",
                policy={} if native else POLICY,
            )
        except llmwire.UnsupportedFeature as refused:
            cell.tried += 1
            cell.refusals[refused.loss.feature] += 1
            if native:
                cell.failures.append(f"{self.id}: refused {refused}")
            return
        written = json.loads(call.http.body)
        if native:
            problems = self._same(body, written, "request")
            sent = replace(self._http(), body=call.http.body)
            if llmwire.decode_request(sent, target) != request:
                problems.append("the node differs")
        else:
            problems = oracle.request(target, written) if self.own else []
            problems += kept_request(request, call, target)
        self._note(cell, problems, call.losses)

    def _same(self, left: Any, right: Any, kind: Any) -> list[str]:
        forms = self.result.forms.setdefault(self.dialect, Counter())
        return differences(
            normalised(left, self.dialect, kind, forms),
            normalised(right, self.dialect, kind),
        )

    def try_response(self) -> None:
        """The whole answer, to every dialect."""
        body = self.record.get("response")
        if self.failed or not isinstance(body, dict) or not body:
            return
        data = json.dumps(body).encode()
        try:
            response = llmwire.decode_response(data, self.dialect)
        except llmwire.RemoteProtocolError as error:
            self.result.invalid.append(f"{self.id} response: {error}")
            return
        for target in DIALECTS.values():
            cell = self.result.cell("response", self.dialect, target)
            reply = llmwire.encode_response(response, target, created=CREATED, id="x")
            written = json.loads(reply.body)
            if target == self.dialect:
                problems = self._same(body, written, "response")
                if llmwire.decode_response(reply.body, target) != response:
                    problems.append("the node differs")
            else:
                problems = oracle.response(target, written) if self.own else []
                back = llmwire.decode_response(reply.body, target)
                problems += kept_response(response, back, reply.losses)
            self._note(cell, problems, reply.losses)

    def try_stream(self) -> None:
        """The stream, to every dialect."""
        text = self.record.get("sse")
        if self.failed or not text:
            return
        decoder = llmwire.StreamDecoder(self.dialect, id="x")
        events = decoder.receive_data(text.encode()) + decoder.receive_eof()
        self.result.violations.update(decoder.violations)
        llmwire.grammar.check(events)
        for target in DIALECTS.values():
            self._stream_to(events, target)

    def _stream_to(self, events: list[Event], target: str) -> None:
        cell = self.result.cell("stream", self.dialect, target)
        encoder = llmwire.StreamEncoder(target, created=CREATED, id="x")
        written = b"".join(map(encoder.send, events))
        back = llmwire.StreamDecoder(target, id="x")
        again = back.receive_data(written) + back.receive_eof()
        broke = isinstance(events[-1], llmwire.StreamError)
        if target == self.dialect:
            problems = [] if normed(again) == normed(events) else ["the events differ"]
            encoder = llmwire.StreamEncoder(target, created=CREATED, id="x")
            if b"".join(map(encoder.send, again)) != written:
                problems.append("written again the bytes differ")
        elif broke:
            problems = []
            if not isinstance(again[-1], llmwire.StreamError):
                problems.append("a broken stream looks whole")
        else:
            problems = oracle.stream(target, written) if self.own else []
            if isinstance(again[-1], llmwire.StreamError):
                if not any(_malformed(event) for event in events):
                    problems.append(f"cannot be read: {again[-1].error.message}")
            else:
                problems += kept_response(
                    llmwire.fold(events), llmwire.fold(again), encoder.losses
                )
        self._note(cell, problems, encoder.losses)

    def try_error(self) -> None:
        """The error reply, to every dialect."""
        if not self.failed:
            return
        status = int(self.record["status"])
        body = self.record.get("response")
        data = (
            json.dumps(body).encode()
            if body is not None
            else str(self.record.get("response_text") or "").encode()
        )
        headers = tuple((self.record.get("headers") or {}).items())
        source = llmwire.dialects.get(self.dialect)
        error = source.decode_error(status, headers, data)
        for target in DIALECTS.values():
            cell = self.result.cell("error", self.dialect, target)
            reply = llmwire.translate_error(
                status, data, self.dialect, target, headers=headers
            )
            back = llmwire.dialects.get(target).decode_error(
                reply.status, reply.headers, reply.body
            )
            problems = []
            if back.kind != error.kind and (error.kind, back.kind) not in COARSER:
                problems.append(f"{error.kind} became {back.kind}")
            if error.message not in back.message and back.message not in error.message:
                problems.append("the message differs")
            self._note(cell, problems, ())


def passes_through(dialect: str, data: bytes) -> bool:
    """Whether a proxied stream of the same dialect is byte-equal to `data`."""
    exchange = llmwire.Exchange(dialect, created=CREATED, id="x")
    path, body = _PLAIN[dialect]
    http = llmwire.HTTPRequest(method="POST", path=path, body=body)
    attempt = exchange.attempt(dialect, exchange.receive_request(http))
    attempt.receive_head(200, (("content-type", "text/event-stream"),))
    out = b"".join(
        attempt.receive_data(data[at : at + 997]) for at in range(0, len(data), 997)
    )
    out += attempt.receive_eof()
    if attempt.error is not None:
        return out.startswith(data) or not attempt.committed
    return data.startswith(out) if attempt.done else out == data


def kept_request(
    request: llmwire.Request, call: llmwire.EncodedRequest, target: str
) -> list[str]:
    """What of texts, tool names and arguments did not arrive, unless it was told."""
    back = llmwire.decode_request(call.http, target)
    names = {original: sent for sent, original in call.context.names.items()}
    told = {loss.feature for loss in call.losses}
    problems = []
    calls = [names.get(name, name) for name, _ in _request_calls(request)]
    if calls != [name for name, _ in _request_calls(back)]:
        problems.append("calls of the history differ")
    wanted = [_value(arguments) for _, arguments in _request_calls(request)]
    if wanted != [_value(arguments) for _, arguments in _request_calls(back)] and not (
        told & {"call.arguments", "tool.custom"}
    ):
        problems.append("arguments of the history differ")
    words = "".join(_request_texts(request))
    arrived = "".join(_request_texts(back))
    if not told and words != arrived:
        problems.append("texts differ")
    return problems


def _request_calls(request: llmwire.Request) -> list[tuple[str, str]]:
    return [
        (part.name, part.arguments)
        for message in request.messages
        for part in message.parts
        if isinstance(part, llmwire.ToolCallPart)
    ]


def _request_texts(request: llmwire.Request) -> list[str]:
    return [
        part.text
        for message in request.messages
        for part in message.parts
        if isinstance(part, llmwire.TextPart)
    ]


def _value(arguments: str) -> Any:
    try:
        return json.loads(arguments or "{}") or {}
    except ValueError:
        return arguments


def kept_response(
    left: llmwire.Response, right: llmwire.Response, losses: tuple[llmwire.Loss, ...]
) -> list[str]:
    """What of text, reasoning, calls, stop and usage differs in the first choice."""
    told = {loss.feature for loss in losses}
    problems = []
    pair = [r.choices[:1] for r in (left, right)]
    if not pair[0] or (len(left.choices) > 1 and "choices" in told):
        return []  # which of several answers is kept is the stream's first
    a, b = pair[0][0], (pair[1][0] if pair[1] else llmwire.Choice())
    spoken: tuple[type, ...] = (llmwire.TextPart, llmwire.RefusalPart)
    if a.detail is not None:
        spoken = (llmwire.TextPart,)  # the explanation is told as a refusal
    for name, kinds in (("text", spoken), ("reasoning", (llmwire.ReasoningPart,))):
        texts = [
            "".join(_words(p) for p in choice.parts if isinstance(p, kinds))
            for choice in (a, b)
        ]
        if "phase" in told:  # a blank line stands between phases
            texts = ["".join(text.split()) for text in texts]
        if texts[0] != texts[1]:
            problems.append(f"{name} differs")
    calls = [
        [
            (p.name, _value(p.arguments))
            for p in choice.parts
            if isinstance(p, llmwire.ToolCallPart)
        ]
        for choice in (a, b)
    ]
    if calls[0] != calls[1] and not told & {"call.arguments", "tool.custom"}:
        problems.append("calls differ")
    if a.stop != b.stop and not told & {"stop_reason", "call.arguments"}:
        problems.append(f"stop {a.stop} became {b.stop}")
    problems += _usage_problems(left.usage, right.usage)
    return problems


def _malformed(event: Event) -> bool:
    """A call that the model wrote badly: some dialects can only say that it failed."""
    return isinstance(event, llmwire.MessageEnd) and event.stop == "malformed_tool_call"


def _words(part: llmwire.Part) -> str:
    if isinstance(part, llmwire.ReasoningPart):
        pieces = [*part.summary, part.text or ""]
        return "".join("".join(pieces).split())
    return part.text if isinstance(part, llmwire.TextPart | llmwire.RefusalPart) else ""


def _usage_problems(
    left: llmwire.Usage | None, right: llmwire.Usage | None
) -> list[str]:
    if left is None or (left.reasoning or 0) > (left.output or 0):
        return []  # nothing was said, or what contradicts itself
    right = right or llmwire.Usage()
    problems = []
    for name in ("input", "output", "cache_read", "reasoning"):
        a, b = getattr(left, name) or 0, getattr(right, name) or 0
        if a != b:
            problems.append(f"usage.{name} {a} became {b}")
    return problems


def table(result: Result) -> str:
    """The result, for people."""
    lines = []
    for (kind, source, target), cell in sorted(result.cells.items()):
        refused = sum(cell.refusals.values())
        lines.append(
            f"{kind:9}{source:>17} → {target:17} {cell.through:5} of {cell.tried:5} "
            f"through, {refused:3} refused, {len(cell.failures):3} failed"
        )
        if cell.losses:
            told = ", ".join(f"{n} {k}" for k, n in cell.losses.most_common())
            lines.append(f"{'':12}losses: {told}")
        if cell.refusals:
            told = ", ".join(f"{n} {k}" for k, n in cell.refusals.most_common())
            lines.append(f"{'':12}refusals: {told}")
        lines += [f"{'':12}FAILED {one}" for one in cell.failures[:8]]
    for dialect, forms in result.forms.items():
        told = ", ".join(f"{n} {k}" for k, n in forms.most_common())
        lines.append(f"normal forms of {dialect}: {told or 'none'}")
    told = ", ".join(f"{n} {k}" for k, n in result.violations.most_common())
    lines.append(f"repairs of streams: {told or 'none'}")
    lines.append(f"records that are not valid themselves: {len(result.invalid)}")
    lines += [f"{'':12}{one}" for one in result.invalid]
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(run(Path(sys.argv[1]))))
    print(corpus_tool_loops.table(Path(sys.argv[1])))
    print(import_module("tests.corpus_calls").table(Path(sys.argv[1])))
