"""The command line: `llmwire serve | translate | explain | config | completion`.

Knows arguments, standard streams and exit statuses: 0 done, 1 refused (the target
cannot say it) or failed, 2 not readable (bad arguments, bad configuration, bad input).
Each command has a module of its own here.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import sys
from collections.abc import Sequence

from llmwire_server.cli import completion, config, explain, serve, translate

__all__ = ("main",)

_DESCRIPTION = "Any LLM client talks to any LLM server."
_EPILOG = """\
examples:
  llmwire serve                                 the proxy, with an embedded simulator
  OPENAI_API_KEY=... llmwire serve              the proxy, in front of OpenAI
  llmwire serve --config llmwire.yaml           the proxy, as a file says
  llmwire config check llmwire.yaml             all that is wrong with that file
  llmwire translate request --from openai-chat --to gemini < request.json
  llmwire explain --from openai-chat < request.json

`llmwire COMMAND --help` says more about each command.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that `arguments` (the process's own) name.

    Returns:
        The exit status; 130 where the user interrupted, as shells have it.
    """
    options = _parser().parse_args(arguments)
    try:
        status: int = options.run(options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Who read standard output has seen enough; nothing may be flushed to it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="llmwire",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    version = f"llmwire {importlib.metadata.version('llmwire')}"
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (serve, translate, explain, config):
        command.add_command(commands)
    completion.add_command(commands, parser)
    return parser
