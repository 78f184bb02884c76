"""The command line: `llmwire serve` and `llmwire translate`.

Knows arguments, standard streams and exit statuses: 0 done, 1 refused (the target
cannot say it), 2 not readable (bad arguments, bad configuration, bad input).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from llmwire import (
    APIError,
    LLMWireError,
    Loss,
    StreamTranslator,
    UnsupportedFeature,
    translate_error,
    translate_request,
    translate_response,
)
from llmwire.dialects import dialects
from llmwire_server.config import Config, ConfigError, load

__all__ = ("main",)

_CHUNK = 64 * 1024


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that `arguments` (the process's own) name.

    Returns:
        The exit status.
    """
    options = _parser().parse_args(arguments)
    status: int = options.run(options)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="llmwire", description="Any LLM client talks to any LLM server."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_serve(commands.add_parser("serve", help="run the proxy", description=_SERVE))
    _add_translate(
        commands.add_parser(
            "translate",
            help="translate one message from standard input to standard output",
            description=_TRANSLATE,
        )
    )
    return parser


_SERVE = (
    "Run the proxy. Backends come from the configuration file and from the environment "
    "(OPENAI_API_KEY, ANTHROPIC_API_KEY, GEMINI_API_KEY, each with an optional "
    "*_BASE_URL). With neither, the embedded simulator answers."
)
_TRANSLATE = (
    "Read a message of one dialect and write it in another. What the target cannot say "
    "is listed on standard error. Exit status: 0 done, 1 refused, 2 not readable."
)

_KINDS = {
    "request": "what a client asks",
    "response": "a whole answer",
    "stream": "a streamed answer",
    "error": "an error reply",
}


def _add_serve(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_serve)
    parser.add_argument("--config", metavar="FILE", help="YAML (or JSON) file")
    parser.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
    parser.add_argument(
        "--port", type=_port, default=8000, help="default: %(default)s; 0: any free one"
    )
    parser.add_argument(
        "--default-backend",
        metavar="NAME[:MODEL]",
        help="where calls go whose model names no backend",
    )


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port < 65536:
        raise ValueError
    return port


def _add_translate(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_translate)
    kinds = parser.add_subparsers(dest="what", required=True, metavar="KIND")
    for kind, what in _KINDS.items():
        _add_kind(kinds.add_parser(kind, help=what, description=_TRANSLATE), kind)


def _add_kind(parser: argparse.ArgumentParser, kind: str) -> None:
    known = dialects()
    parser.add_argument("file", nargs="?", metavar="FILE", help="instead of stdin")
    parser.add_argument("--from", dest="source", choices=known, required=True)
    parser.add_argument("--to", dest="target", choices=known, required=True)
    parser.add_argument("--losses", metavar="FILE", help="write losses as JSON")
    if kind == "error":
        parser.add_argument(
            "--status", type=int, default=500, help="it came with; default: 500"
        )
        return
    parser.add_argument("--model", help="overrides the message's own")
    if kind == "request":
        parser.add_argument("--profile", help="facts about the target's server")


def _serve(options: argparse.Namespace) -> int:
    try:
        config = load(options.config, default_backend=options.default_backend)
    except ConfigError as error:
        print(f"llmwire: {error}", file=sys.stderr)
        return 2
    # Only this command needs the server's own dependencies.
    from llmwire_server.serving import listen, serve

    try:
        sock = listen(options.host, options.port)
    except OSError as error:
        where = f"{options.host}:{options.port}"
        print(f"llmwire: {where}: {error.strerror}", file=sys.stderr)
        return 2
    place = _shown_place(options.host, sock.getsockname()[1])
    print(_announcement(config, place), file=sys.stderr, flush=True)
    return serve(config, sock)


def _shown_place(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _announcement(config: Config, place: str) -> str:
    place = f"llmwire on {place}"
    if config.simulated:
        return (
            f"{place}: no key and no configuration, so the embedded simulator answers "
            "in every dialect; nothing leaves this machine"
        )
    names = ", ".join(
        f"{backend.name} ({backend.dialect})" for backend in config.backends.values()
    )
    return f"{place}: {names}; default {config.default_backend}"


def _translate(options: argparse.Namespace) -> int:
    try:
        data = (
            Path(options.file).read_bytes() if options.file else sys.stdin.buffer.read()
        )
    except OSError as error:
        print(f"llmwire: {options.file}: {error.strerror}", file=sys.stderr)
        return 2
    try:
        try:
            body, losses, failed = _translated(options, data)
        except UnsupportedFeature as error:
            print(f"llmwire: refused: {error}", file=sys.stderr)
            _tell((error.loss,), options.losses)
            return 1
        _tell(losses, options.losses)
    except LLMWireError as error:
        print(f"llmwire: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"llmwire: {options.losses}: {error.strerror}", file=sys.stderr)
        return 2
    sys.stdout.buffer.write(body)
    sys.stdout.buffer.flush()
    return 2 if failed else 0


def _translated(
    options: argparse.Namespace, data: bytes
) -> tuple[bytes, tuple[Loss, ...], bool]:
    """What comes out, what was lost, and whether the input was broken."""
    source, target = options.source, options.target
    if options.what == "request":
        call = translate_request(
            data, source, target, profile=options.profile, model=options.model
        )
        return call.http.body, call.losses, False
    if options.what == "response":
        reply = translate_response(data, source, target, model=options.model)
        return reply.body, reply.losses, _told(reply.error)
    if options.what == "error":
        error = translate_error(options.status, data, source, target)
        return error.body, (), False
    stream = StreamTranslator(source, target, model=options.model)
    pieces = [
        stream.receive_data(data[at : at + _CHUNK])
        for at in range(0, len(data), _CHUNK)
    ]
    pieces.append(stream.receive_eof())
    return b"".join(pieces), stream.losses, _told(stream.error)


def _told(error: APIError | None) -> bool:
    """Whether there is an error, which people are told of."""
    if error is not None:
        print(f"llmwire: {error.message}", file=sys.stderr)
    return error is not None


def _tell(losses: tuple[Loss, ...], file: str | None) -> None:
    if file is not None:
        Path(file).write_bytes(msgspec.json.encode(losses) + b"\n")
        return
    for loss in losses:
        print(
            f"{loss.action}: {loss.path} ({loss.feature}): {loss.reason}",
            file=sys.stderr,
        )
