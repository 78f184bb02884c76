"""`llmwire explain`: what would become of a request, without sending it."""

from __future__ import annotations

import argparse

from llmwire import HTTPRequest, LLMWireError
from llmwire.dialects import dialects
from llmwire_server.cli.options import (
    WHERE_FROM,
    Commands,
    add_configuration,
    add_parser,
    loaded,
    read_input,
    tell,
    write_output,
)
from llmwire_server.explain import explain, render, to_json

__all__ = ("add_command",)

_DESCRIPTION = """\
Tell where a client's request would go and why, what would be sent there, what of it the
backend cannot be told, and about how many tokens it has. Nothing is sent."""
_EPILOG = f"""\
{WHERE_FROM}
exit status:
  0  it would be sent     1  it would be refused     2  not readable

examples:
  llmwire explain --from openai-chat < request.json
  llmwire explain --from gemini --path /v1beta/models/flash:generateContent body.json
  llmwire explain --from anthropic --json --config llmwire.yaml < request.json
"""


def add_command(commands: Commands) -> None:
    """Add it to the commands there are."""
    about = "tell where a request would go, and what would be sent and lost"
    parser = add_parser(commands, "explain", about, _DESCRIPTION, _EPILOG)
    parser.set_defaults(run=_run)
    parser.add_argument("file", nargs="?", metavar="FILE", help="instead of stdin")
    parser.add_argument(
        "--from",
        dest="source",
        choices=dialects(),
        required=True,
        help="dialect of the client",
    )
    parser.add_argument(
        "--path", default="", help="that the client calls; else its dialect's usual one"
    )
    parser.add_argument("--json", action="store_true", help="for programs")
    add_configuration(parser)


def _run(options: argparse.Namespace) -> int:
    found = loaded(options)
    body = read_input(options.file) if found is not None else None
    if found is None or body is None:
        return 2
    http = HTTPRequest(
        method="POST",
        path=options.path,
        headers=(("content-type", "application/json"),),
        body=body,
    )
    try:
        explanation = explain(http, options.source, found.config)
    except LLMWireError as error:
        tell(str(error))
        return 2
    if options.json:
        write_output(to_json(explanation) + b"\n")
    else:
        write_output(render(explanation).encode())
    return 1 if explanation.refusal is not None else 0
