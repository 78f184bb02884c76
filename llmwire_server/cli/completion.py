"""`llmwire completion`: what makes a shell complete llmwire's commands and flags."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Iterator
from typing import Final

from llmwire.profiles import PROFILES
from llmwire_server.cli.options import Commands, add_parser, write_output
from llmwire_server.config import SHAPE
from llmwire_server.config.shapes import Record, Scalar

__all__ = ("SHELLS", "add_command")

SHELLS: Final = ("bash", "zsh", "fish")
_DESCRIPTION = """\
Write the script by which a shell completes llmwire's commands, flags and files."""
_EPILOG = """\
examples:
  llmwire completion bash > ~/.local/share/bash-completion/completions/llmwire
  llmwire completion zsh > "${fpath[1]}/_llmwire"
  llmwire completion fish > ~/.config/fish/completions/llmwire.fish
"""


def add_command(commands: Commands, root: argparse.ArgumentParser) -> None:
    """Add it to the commands there are.

    Args:
        commands: Of `root`.
        root: Whose commands and flags are completed.
    """
    about = "write the script by which a shell completes commands"
    parser = add_parser(commands, "completion", about, _DESCRIPTION, _EPILOG)
    parser.set_defaults(run=functools.partial(_run, root))
    parser.add_argument("shell", choices=SHELLS, help="that is to complete them")


def _run(root: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    # Only this command needs it.
    import shtab

    known = {"--log-level": _log_levels(), "--profile": tuple(PROFILES)}
    for action in _actions(root):
        if action.metavar == "FILE":
            action.complete = shtab.FILE  # type: ignore[attr-defined]  # as shtab asks
        for option in action.option_strings:
            action.choices = known.get(option, action.choices)
    write_output(shtab.complete(root, options.shell).encode())
    return 0


def _log_levels() -> tuple[str, ...]:
    log = SHAPE.key("log")
    assert log is not None and isinstance(log.shape, Record)
    level = log.shape.key("level")
    assert level is not None and isinstance(level.shape, Scalar)
    return level.shape.choices


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """The arguments of a parser and of its commands, which are described in one line
    each from then on."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for told in action._choices_actions:
                command = action.choices[told.dest]
                command.description = told.help
                yield from _actions(command)
