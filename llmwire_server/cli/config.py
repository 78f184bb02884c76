"""`llmwire config`: check it, show it, describe it to editors."""

from __future__ import annotations

import argparse
import json

from llmwire_server.cli.options import (
    WHERE_FROM,
    Commands,
    add_configuration,
    add_parser,
    flags,
    loaded,
    tell,
    write_output,
)
from llmwire_server.config import (
    SHAPE,
    ConfigError,
    load_all,
    schema,
    shown,
    warnings,
)

__all__ = ("add_command",)

_DESCRIPTION = "Check a configuration, show what comes of it, describe it to editors."
_CHECK = """\
Check files as `llmwire serve --config FILE` would, with the environment and the flags
as they are here. All that is wrong is told, each thing with its file, line and key;
then what is allowed and probably not meant, as warnings."""
_CHECK_EPILOG = """\
exit status:
  0  usable, maybe with warnings     2  not usable

example:
  llmwire config check llmwire.yaml && kill -HUP "$(pidof -x llmwire)"
"""
_SHOW = """\
Show the effective configuration as YAML: every key, its value and where that comes
from. Secrets are shown as ***, no part of them."""
_SCHEMA = """\
Write the JSON Schema (draft 2020-12) of a configuration file, for editors. Editors that
speak the YAML language server find it by the file's first line:
  # yaml-language-server: $schema=llmwire.schema.json"""
_SCHEMA_EPILOG = """\
example:
  llmwire config schema > llmwire.schema.json
"""


def add_command(commands: Commands) -> None:
    """Add it to the commands there are."""
    about = "check, show or describe the configuration"
    parser = add_parser(commands, "config", about, _DESCRIPTION, WHERE_FROM)
    kinds = parser.add_subparsers(required=True, metavar="WHAT")
    check = add_parser(
        kinds, "check", "tell what is wrong with files", _CHECK, _CHECK_EPILOG
    )
    check.set_defaults(run=_check)
    check.add_argument("files", nargs="*", metavar="FILE", help="YAML (or JSON) file")
    add_configuration(check, file=False)
    show = add_parser(
        kinds, "show", "show every value and its origin", _SHOW, WHERE_FROM
    )
    show.set_defaults(run=_show)
    add_configuration(show)
    describe = add_parser(
        kinds, "schema", "write a JSON Schema for editors", _SCHEMA, _SCHEMA_EPILOG
    )
    describe.set_defaults(run=_schema)


def _check(options: argparse.Namespace) -> int:
    status = 0
    for file in options.files or [None]:
        try:
            found = load_all(file, flags=flags(options))
        except ConfigError as error:
            for problem in error.problems:
                tell(problem)
            status = 2
            continue
        for warning in warnings(found.config, found.origins, found.file, found.outdone):
            tell(f"warning: {warning}")
        tell(f"{found.file or 'the environment'}: usable")
    return status


def _show(options: argparse.Namespace) -> int:
    found = loaded(options)
    if found is None:
        return 2
    write_output(shown(found.config, SHAPE, found.origins).encode())
    return 0


def _schema(options: argparse.Namespace) -> int:
    write_output(json.dumps(schema(SHAPE), indent=2).encode() + b"\n")
    return 0
