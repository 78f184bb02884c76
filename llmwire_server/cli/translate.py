"""`llmwire translate`: one message of one dialect becomes one of another."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from llmwire import (
    APIError,
    HTTPReply,
    HTTPRequest,
    LLMWireError,
    Loss,
    StreamTranslator,
    UnsupportedFeature,
    translate_error,
    translate_request,
    translate_response,
)
from llmwire.dialects import dialects
from llmwire_server.cli.options import (
    Commands,
    add_parser,
    read_input,
    tell,
    write_output,
)

__all__ = ("add_command",)

_CHUNK = 64 * 1024
_DESCRIPTION = """\
Read a message of one dialect and write it in another. What the target cannot say is
listed on standard error, as is where a request goes: dialects that keep the model in
the path would not be complete without it."""
_EPILOG = """\
exit status:
  0  done     1  refused: the target cannot say it     2  not readable

examples:
  llmwire translate request --from openai-chat --to gemini < request.json
  llmwire translate request --from openai-chat --to gemini --http request.json
  llmwire translate stream --from anthropic --to openai-chat < answer.sse
  llmwire translate error --from openai-chat --to gemini --status 429 < error.json
  llmwire translate response --from gemini --to anthropic --losses losses.json a.json
"""
_KINDS = {
    "request": "what a client asks",
    "response": "a whole answer",
    "stream": "a streamed answer",
    "error": "an error reply",
}


class _Translated(Struct, frozen=True):
    """What comes out."""

    body: bytes
    losses: tuple[Loss, ...] = ()
    failed: bool = False
    """The input was broken."""
    head: HTTPRequest | HTTPReply | None = None


def add_command(commands: Commands) -> None:
    """Add it to the commands there are."""
    about = "translate one message from standard input to standard output"
    parser = add_parser(commands, "translate", about, _DESCRIPTION, _EPILOG)
    parser.set_defaults(run=_run)
    kinds = parser.add_subparsers(dest="what", required=True, metavar="KIND")
    for kind, what in _KINDS.items():
        _add_kind(add_parser(kinds, kind, what, _DESCRIPTION, _EPILOG), kind)


def _add_kind(parser: argparse.ArgumentParser, kind: str) -> None:
    known = dialects()
    parser.add_argument("file", nargs="?", metavar="FILE", help="instead of stdin")
    parser.add_argument("--from", dest="source", choices=known, required=True)
    parser.add_argument("--to", dest="target", choices=known, required=True)
    parser.add_argument("--losses", metavar="FILE", help="write losses as JSON")
    if kind in ("request", "error"):
        parser.add_argument(
            "--http", action="store_true", help="write the whole HTTP message"
        )
    if kind == "error":
        parser.add_argument(
            "--status", type=int, default=500, help="it came with; default: 500"
        )
        return
    parser.add_argument("--model", help="overrides the message's own")
    if kind == "request":
        parser.add_argument("--profile", help="facts about the target's server")


def _run(options: argparse.Namespace) -> int:
    data = read_input(options.file)
    if data is None:
        return 2
    try:
        try:
            done = _translated(options, data)
        except UnsupportedFeature as error:
            tell(f"refused: {error}")
            _tell_losses((error.loss,), options.losses)
            return 1
        _tell_losses(done.losses, options.losses)
    except LLMWireError as error:
        tell(str(error))
        return 2
    except OSError as error:
        tell(f"{options.losses}: {error.strerror}")
        return 2
    write_output(_head(done, options) + done.body)
    return 2 if done.failed else 0


def _translated(options: argparse.Namespace, data: bytes) -> _Translated:
    source, target = options.source, options.target
    if options.what == "request":
        call = translate_request(
            data, source, target, profile=options.profile, model=options.model
        )
        return _Translated(call.http.body, call.losses, head=call.http)
    if options.what == "response":
        reply = translate_response(data, source, target, model=options.model)
        return _Translated(reply.body, reply.losses, _told(reply.error))
    if options.what == "error":
        error = translate_error(options.status, data, source, target)
        return _Translated(error.body, head=error)
    stream = StreamTranslator(source, target, model=options.model)
    pieces = [
        stream.receive_data(data[at : at + _CHUNK])
        for at in range(0, len(data), _CHUNK)
    ]
    pieces.append(stream.receive_eof())
    return _Translated(b"".join(pieces), stream.losses, _told(stream.error))


def _told(error: APIError | None) -> bool:
    """Whether there is an error, which people are told of."""
    if error is not None:
        tell(error.message)
    return error is not None


def _head(done: _Translated, options: argparse.Namespace) -> bytes:
    """The head of the whole message where that is asked for; else it is told."""
    if done.head is None:
        return b""
    if options.http:
        return "".join(f"{line}\r\n" for line in (*_lines(done.head), "")).encode()
    print(next(_lines(done.head)).removesuffix(" HTTP/1.1"), file=sys.stderr)
    return b""


def _lines(head: HTTPRequest | HTTPReply) -> Iterator[str]:
    """Of an HTTP/1.1 message, up to its body; without host and credentials."""
    if isinstance(head, HTTPRequest):
        yield f"{head.method} {head.path} HTTP/1.1"
    else:
        yield f"HTTP/1.1 {head.status}"
    yield from (f"{name}: {value}" for name, value in head.headers)


def _tell_losses(losses: tuple[Loss, ...], file: str | None) -> None:
    if file is not None:
        Path(file).write_bytes(msgspec.json.encode(losses) + b"\n")
        return
    for loss in losses:
        print(
            f"{loss.action}: {loss.path} ({loss.feature}): {loss.reason}",
            file=sys.stderr,
        )
