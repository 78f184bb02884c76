"""One configuration file, read into settings; JSON is YAML, so either will do."""

from __future__ import annotations

import re
from pathlib import Path as FilePath
from typing import Final

import yaml

from llmwire_server.config.reader import Lookup, Reader, Source
from llmwire_server.config.settings import Branch, Origin, Problem
from llmwire_server.config.shapes import Record

__all__ = ("FILE_BYTES", "composed", "read_file", "yaml_problem")

FILE_BYTES: Final = 1_000_000
"""No configuration file is longer."""

_QUOTED: Final = re.compile(r" ?'[^'<][^']+'")


def read_file(
    file: str, shape: Record, variables: Lookup, problems: list[Problem]
) -> Branch:
    """What a file says; nothing where it cannot be read, which is a problem.

    Args:
        file: Its path.
        shape: Of the tree.
        variables: For `${VARIABLE}`.
        problems: Takes what is wrong.
    """
    try:
        with FilePath(file).open("rb") as opened:
            content = opened.read(FILE_BYTES + 1)
    except OSError as error:
        problems.append(Problem(f"{file}: {error.strerror}"))
        return Branch()
    if len(content) > FILE_BYTES:
        problems.append(Problem(f"{file}: longer than {FILE_BYTES} bytes"))
        return Branch()
    try:
        node = composed(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        problems.append(Problem(f"{file}: not UTF-8"))
        return Branch()
    except yaml.YAMLError as error:
        problems.append(Problem(f"{file}{yaml_problem(error)}"))
        return Branch()
    if node is None:
        return Branch()
    source = Source(origin=Origin("file", file), variables=variables)
    found = Reader(source, problems).read(node, shape, ())
    return found if isinstance(found, Branch) else Branch()


def composed(text: str) -> yaml.Node | None:
    """The node of a document, None where it is empty.

    Raises:
        yaml.YAMLError: It is none, or nested too deeply.
    """
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except RecursionError:
        raise yaml.YAMLError("nested too deeply") from None


def yaml_problem(error: yaml.YAMLError) -> str:
    """Where and what, without anything of the line itself, which may hold a key."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return ": not YAML"
    problem = error.problem or ""
    what = _QUOTED.sub("", problem)
    if "'\\t'" in problem:
        what += "; YAML is indented by spaces, not tabs"
    return f", line {error.problem_mark.line + 1}: not YAML: {what}"
