"""Tests of `llmwire completion`: the scripts, run by the shells where they are."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from llmwire.dialects import dialects
from llmwire_server.cli import main
from llmwire_server.cli.completion import SHELLS

ASK = """
source "$1"
shift
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_shtab_llmwire "$1" "${!#}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""
CHECKS = {"bash": ["bash", "-n"], "zsh": ["zsh", "-n"], "fish": ["fish", "-n"]}


def _script(shell: str, capfdbinary: pytest.CaptureFixture[bytes]) -> str:
    assert main(["completion", shell]) == 0
    return capfdbinary.readouterr().out.decode()


@pytest.mark.parametrize("shell", SHELLS)
def test_scripts_name_every_command(
    shell: str, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    script = _script(shell, capfdbinary)
    for word in ("serve", "translate", "explain", "config", "completion", "schema"):
        assert word in script
    for option in ("default-backend", "anthropic-port", "losses"):
        assert option in script
    assert "check, show or describe the configuration" in script or shell == "bash"


@pytest.mark.parametrize("shell", SHELLS)
def test_scripts_are_written_as_the_shell_would_have_them(
    shell: str, capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} here")
    file = tmp_path / "llmwire"
    file.write_text(_script(shell, capfdbinary))
    subprocess.run([*CHECKS[shell], str(file)], check=True, timeout=60)


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["ser"], {"serve"}),
        (["config", ""], {"check", "show", "schema"}),
        (["completion", ""], set(SHELLS)),
        (["translate", "request", "--from", ""], set(dialects())),
        (["explain", "--from", "gem"], {"gemini"}),
        (["serve", "--log-level", ""], {"debug", "info", "warning", "error"}),
        (["translate", "request", "--profile", "oll"], {"ollama"}),
        (["serve", "--anth"], {"--anthropic-port"}),
        (["serve", "--config", "./my"], {"./my.yaml"}),
        (["config", "check", "./my"], {"./my.yaml"}),
    ],
)
def test_bash_completes(
    words: list[str],
    found: set[str],
    capfdbinary: pytest.CaptureFixture[bytes],
    tmp_path: Path,
) -> None:
    file = tmp_path / "script"
    file.write_text(_script("bash", capfdbinary))
    (tmp_path / "my.yaml").touch()
    done = subprocess.run(
        ["bash", "-c", ASK, "bash", str(file), "llmwire", *words],
        capture_output=True,
        check=True,
        cwd=tmp_path,
        timeout=60,
    )
    assert set(done.stdout.decode().split()) == found


def test_other_shells_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main(["completion", "csh"])
    assert raised.value.code == 2
    assert "choose from" in capsys.readouterr().err
