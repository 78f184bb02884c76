"""docs/configuration.md: its table is current, its examples are configurations."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from llmwire_server.cli import _parser
from llmwire_server.config import load
from tests.configuration_keys import PAGE, table, written

TEXT = PAGE.read_text(encoding="utf-8")
YAML = re.findall(r"^```yaml\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
SHELL = re.findall(r"^```sh\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def test_the_table_is_current() -> None:
    assert written(TEXT) == TEXT, "run python -m tests.configuration_keys"
    assert "| `limits.body` | size, 1 or more | `10MiB` |" in table()


@pytest.mark.parametrize("text", YAML)
def test_examples_are_configurations(text: str, tmp_path: Path) -> None:
    file = tmp_path / "llmwire.yaml"
    for name in re.findall(r"/run/secrets/(\w+)", text):
        (tmp_path / name).write_text("k" * 20)
    file.write_text(text.replace("/run/secrets", str(tmp_path)))
    variables = dict.fromkeys(re.findall(r"\$\{([A-Z_]+)", text), "k" * 20)
    config = load(str(file), environment=variables)
    assert config != load(environment={})


@pytest.mark.parametrize(
    "line", [line for block in SHELL for line in block.splitlines()]
)
def test_commands_are_understood(line: str) -> None:
    words = re.split(r" [#>]", line)[0].split()
    assert words[0] == "llmwire"
    _parser().parse_args(words[1:])


def test_variables_of_the_text_are_understood() -> None:
    names = set(re.findall(r"`(LLMWIRE_[A-Z_]+[A-Z])(?:=a,b)?`", TEXT))
    values = {
        "LLMWIRE_BACKENDS__LOCAL__BASE_URL": "http://h",
        "LLMWIRE_BACKENDS__LOCAL__DIALECT": "gemini",
        "LLMWIRE_CONFIG": "",
        "LLMWIRE_KEYS": "a,b",
        "LLMWIRE_LIMITS__BODY": "1MB",
        "LLMWIRE_LOSSES__POLICY__AUDIO_OUTPUT": "warn",
        "LLMWIRE_PORT": "1",
    }
    assert names <= values.keys()
    config = load(environment=values)
    assert [key.reveal() for key in config.keys] == ["a", "b"]
    assert list(config.backends) == ["local"]
