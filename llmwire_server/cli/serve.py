"""`llmwire serve`: run the proxy."""

from __future__ import annotations

import argparse
import contextlib
import functools
import socket
import sys

from llmwire_server import logs
from llmwire_server.cli.options import (
    WHERE_FROM,
    Commands,
    add_configuration,
    add_parser,
    flags,
    loaded,
    tell,
)
from llmwire_server.config import Config, load_all, warnings
from llmwire_server.masking import Mask

__all__ = ("add_command", "announcement", "shown_place")

_DESCRIPTION = """\
Run the proxy. With no key and no configuration the embedded simulator answers, in every
dialect. SIGHUP has the configuration read again: a bad one changes nothing and is told
in the log. SIGINT and SIGTERM let running calls end first; a second one ends them."""
_EPILOG = f"""\
{WHERE_FROM}
exit status:
  0  stopped, as it was told     1  failed     2  bad arguments or configuration

examples:
  llmwire serve
  ANTHROPIC_API_KEY=... llmwire serve --port 9000
  llmwire serve --config llmwire.yaml --log-level debug
  llmwire serve --set backends.local.dialect=openai-chat \\
                --set backends.local.base_url=http://127.0.0.1:11434/v1
"""


def add_command(commands: Commands) -> None:
    """Add it to the commands there are."""
    parser = add_parser(commands, "serve", "run the proxy", _DESCRIPTION, _EPILOG)
    parser.set_defaults(run=_run)
    add_configuration(parser)


def _run(options: argparse.Namespace) -> int:
    found = loaded(options)
    if found is None:
        return 2
    config = found.config
    logs.note_no_more_than_is_written()
    logs.configure(config.log, hide=Mask.of(config).text)
    for warning in warnings(config, found.origins, found.file, found.outdone):
        tell(f"warning: {warning}")
    # Only this command needs the server's own dependencies.
    from llmwire_server.serving import serve

    with contextlib.ExitStack() as sockets:
        sock = _listening(config.host, config.port, sockets)
        if sock is None:
            return 2
        second = None
        if config.anthropic_port is not None:
            second = _listening(config.host, config.anthropic_port, sockets)
            if second is None:
                return 2
        place = _place(config, sock, second)
        print(announcement(config, place), file=sys.stderr, flush=True)
        load = functools.partial(load_all, options.config, flags=flags(options))
        return serve(config, sock, second, load=load)


def _listening(
    host: str, port: int, sockets: contextlib.ExitStack
) -> socket.socket | None:
    """A socket that listens; None, and told, where there is none to be had."""
    from llmwire_server.serving import listen

    try:
        return sockets.enter_context(listen(host, port))
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "no such address"
        tell(f"{host}:{port}: {reason}")
        return None


def _place(config: Config, sock: socket.socket, second: socket.socket | None) -> str:
    place = shown_place(config.host, sock.getsockname()[1])
    if second is not None:
        port = second.getsockname()[1]
        place += f" (Anthropic's clients: {shown_place(config.host, port)})"
    return place


def shown_place(host: str, port: int) -> str:
    """The URL of a host and a port."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def announcement(config: Config, place: str) -> str:
    """What a server says when it starts."""
    place = f"llmwire on {place}"
    if config.simulated:
        return (
            f"{place}: no backend is configured, so the embedded simulator answers in "
            "every dialect; nothing leaves this machine"
        )
    names = ", ".join(
        f"{backend.name} ({backend.dialect})" for backend in config.backends.values()
    )
    default = config.default_backend or next(iter(config.backends))
    return f"{place}: {names}; default {default}"
