"""Every example of the documentation runs; every link leads somewhere."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import llmwire
from llmwire_server.app import App
from llmwire_server.config import load
from tests.server.live import run_app

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#]+)(#[^)]*)?\)")
SERVED = "http://127.0.0.1:8000"
"""Where examples expect the proxy."""


def _examples(language: str) -> list[object]:
    """Every block of `language`, with the page and its number on it."""
    return [
        pytest.param(code, id=f"{page.relative_to(ROOT)}-{at}")
        for page in PAGES
        for at, (kind, code) in enumerate(BLOCK.findall(page.read_text("utf-8")))
        if kind == language
    ]


@pytest.fixture(scope="module")
def root() -> Iterator[str]:
    """Address of a proxy on its embedded simulator."""
    with run_app(App(load(environment={}))) as address:
        yield address


@pytest.mark.parametrize("code", _examples("python"))
def test_example_runs(code: str, request: pytest.FixtureRequest) -> None:
    if SERVED in code:
        code = code.replace(SERVED, request.getfixturevalue("root"))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("code", _examples("sh"))
def test_calls_are_answered(code: str, root: str) -> None:
    """Every `curl` of a shell example, sent by other means."""
    joined = re.sub(r"'[^']*'", lambda text: text[0].replace("\n", " "), code)
    for line in joined.replace("\\\n", " ").splitlines():
        if not line.startswith("curl "):
            continue
        words = shlex.split(line)[1:]
        headers = {"content-type": "application/json"}
        address, body = "", None
        while words:
            word = words.pop(0)
            if word == "-d":
                body = words.pop(0).encode()
            elif word == "-H":
                name, _, value = words.pop(0).partition(":")
                headers[name] = value.strip()
            else:
                assert word.startswith((SERVED, "-")), word
                address = word if word.startswith(SERVED) else address
        call = urllib.request.Request(address.replace(SERVED, root), body, headers)
        with urllib.request.urlopen(call) as reply:
            assert reply.status == 200
            assert reply.read()


@pytest.mark.parametrize("code", _examples("yaml"))
def test_configuration_is_one(code: str, tmp_path: Path) -> None:
    file = tmp_path / "llmwire.yaml"
    for name in re.findall(r"/run/secrets/(\w+)", code):
        (tmp_path / name).write_text("value-of-a-file")
    file.write_text(code.replace("/run/secrets", str(tmp_path)))
    used = re.findall(r"\$\{(\w+)", code)
    environment = defaultdict(str, {name: f"value-of-{name}" for name in used})
    if set(yaml.safe_load(code)) & {"backends", "default_backend", "keys", "limits"}:
        load(str(file), environment=environment)


@pytest.mark.parametrize("code", _examples("json"))
def test_json_is_json(code: str) -> None:
    assert json.loads(code)


@pytest.mark.parametrize("code", _examples("toml"))
def test_toml_is_toml(code: str) -> None:
    assert tomllib.loads(code)


def test_generated_pages_are_current() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(DOCS / "generate.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target, _ in LINK.findall(page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def test_features_are_listed() -> None:
    text = (ROOT / "docs" / "losses.md").read_text(encoding="utf-8")
    for name, feature in llmwire.FEATURES.items():
        hard = "yes" if feature.hard else ""
        row = f"| `{name}` | {feature.text} | {feature.default} | {hard} |"
        assert row in text, f"docs/losses.md lacks: {row}"


def test_grammar_is_described() -> None:
    text = (ROOT / "docs" / "grammar.md").read_text(encoding="utf-8")
    for kind in llmwire.events.EVENT_TYPES:
        assert f"`{kind.__name__}" in text


def test_every_exception_is_described() -> None:
    text = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    for name in llmwire.errors.__all__:
        assert name in text
