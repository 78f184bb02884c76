"""Arguments that several commands take, and how they are told."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, Final, TypeAlias

from llmwire_server.config import ConfigError, Flag, Loaded, load_all

__all__ = (
    "WHERE_FROM",
    "Commands",
    "add_configuration",
    "add_parser",
    "flags",
    "loaded",
    "read_input",
    "tell",
    "write_output",
)

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

WHERE_FROM: Final = """\
where the configuration comes from, each beating the one after it:
  1. flags: --port 9000, or --set KEY=VALUE for any key (--set limits.body=20MB)
  2. the environment: LLMWIRE_PORT, LLMWIRE_LIMITS__BODY, LLMWIRE_BACKENDS__NAME__MODELS
     for any key, and OPENAI_API_KEY, ANTHROPIC_API_KEY, GEMINI_API_KEY, each with an
     optional *_BASE_URL, for the built-in backends
  3. the file: --config FILE, else the one that LLMWIRE_CONFIG names
  4. defaults
`llmwire config show` tells what comes of it. There is no flag for keys: every user of a
machine can read a command line. --set takes them as ${VARIABLE}.
"""

_FLAGS: Final = (
    ("--host", "host", "ADDRESS", "address to listen at"),
    ("--port", "port", "PORT", "port to listen at; 0: any free one"),
    (
        "--anthropic-port",
        "anthropic_port",
        "PORT",
        "a second port, whose clients speak Anthropic",
    ),
    (
        "--default-backend",
        "default_backend",
        "NAME[:MODEL]",
        "where calls go whose model names no backend",
    ),
    ("--log-level", "log.level", "LEVEL", "debug, info, warning or error"),
)


class _Append(argparse.Action):
    """Keeps what was said in its order: the last word goes."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        path, text = self.const, values
        if path is None:
            path, equals, text = values.partition("=")
            if not equals or not path:
                parser.error("--set: expected KEY=VALUE")
        flag = Flag(self.option_strings[0], path, text)
        setattr(namespace, self.dest, (*getattr(namespace, self.dest), flag))


def add_parser(
    commands: Commands, name: str, about: str, description: str, epilog: str
) -> argparse.ArgumentParser:
    """A command's parser, with help that keeps its lines."""
    return commands.add_parser(
        name,
        help=about,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_configuration(parser: argparse.ArgumentParser, *, file: bool = True) -> None:
    """The flags that say what the server is told."""
    parser.set_defaults(flags=())
    if file:
        parser.add_argument("--config", metavar="FILE", help="YAML (or JSON) file")
    for name, path, metavar, about in _FLAGS:
        parser.add_argument(
            name, action=_Append, dest="flags", const=path, metavar=metavar, help=about
        )
    parser.add_argument(
        "--set",
        action=_Append,
        dest="flags",
        metavar="KEY=VALUE",
        help="any key of the configuration; may be repeated",
    )


def flags(options: argparse.Namespace) -> tuple[Flag, ...]:
    """What the flags of `add_configuration` say."""
    found: tuple[Flag, ...] = options.flags
    return found


def loaded(options: argparse.Namespace) -> Loaded | None:
    """The configuration; None, and told, where it cannot be used."""
    try:
        return load_all(options.config, flags=flags(options))
    except ConfigError as error:
        for problem in error.problems:
            tell(problem)
        return None


def tell(what: str) -> None:
    """Say something to people, on standard error."""
    print(f"llmwire: {what}", file=sys.stderr)


def read_input(file: str | None) -> bytes | None:
    """A file's bytes, or those of standard input; None, and told, where it fails."""
    try:
        return Path(file).read_bytes() if file else sys.stdin.buffer.read()
    except OSError as error:
        tell(f"{file or 'standard input'}: {error.strerror}")
        return None


def write_output(data: bytes) -> None:
    """Bytes for standard output."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
