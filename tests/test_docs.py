"""Every example of the documentation runs; every link leads somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import llmwire

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#]+)(#[^)]*)?\)")
EXAMPLES = [
    pytest.param(block, id=f"{page.name}-{at}")
    for page in PAGES
    for at, block in enumerate(BLOCK.findall(page.read_text(encoding="utf-8")))
]


@pytest.mark.parametrize("code", EXAMPLES)
def test_example_runs(code: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr


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
