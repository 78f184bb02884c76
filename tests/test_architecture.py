"""The house: floors, purity, names, sizes, held by reading the syntax trees."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CORE = ROOT / "llmwire"
SERVER = ROOT / "llmwire_server"

FLOORS: dict[str, float] = {
    "errors": 0,
    "limits": 0,
    "_ids": 0,
    "_json": 0.5,
    "_nesting": 0.5,
    "_unread": 0.7,
    "_patterns": 0,
    "_schema_terms": 0.5,
    "_json_schema": 1,
    "_json_edits": 1,
    "_json_strings": 1.2,
    "_json_tokens": 1.2,
    "_json_evidence": 1.2,
    "_json_readings": 1.3,
    "_json_scanner": 1.4,
    "_json_framing": 1.6,
    "_json_loose": 1.7,
    "_json_preview": 1.7,
    "_json_nodes": 1,
    "_coercion": 1.6,
    "_splice": 1,
    "sse": 1,
    "_lines": 1.5,
    "messages": 2,
    "http": 2,
    "requests": 2.5,
    "events": 2.5,
    "losses": 2.5,
    "grammar": 3,
    "_parts": 3,
    "_fold": 3,
    "_media": 3,
    "_effort": 3,
    "_sequence": 3,
    "_plain": 2.9,
    "_turns": 3,
    "tokens": 3,
    "profiles": 3.5,
    "_seal": 3.5,
    "dialects": 4,
    "json_repair": 3,
    "filters": 5,
    "context": 5.5,
    "_sides": 5.7,
    "translate": 6,
    "streams": 6,
    "_answer": 6.1,
    "_lanes": 6.2,
    "attempt": 6.3,
    "exchange": 6.4,
    "captures": 7,
    "strategies": 7,
}
"""Which module may import which: only those on strictly lower floors."""

TYPE_ONLY = {("errors", "http"), ("errors", "losses")}
"""Imports for annotations alone."""

FORBIDDEN = {
    "anyio",
    "asyncio",
    "logging",
    "os",
    "pathlib",
    "random",
    "secrets",
    "socket",
    "ssl",
    "threading",
    "time",
    "uuid",
}
DIALECTS = {"openai_chat", "openai_responses", "anthropic", "gemini"}
TOP_LEVEL = {
    "LICENSE",
    "README.md",
    "bench",
    "docs",
    "llmwire",
    "llmwire_server",
    "pyproject.toml",
    "tests",
}


def _modules(package: Path) -> list[Path]:
    return sorted(package.rglob("*.py"))


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            module = node.module or ""
            found.add(module)
            if module in ("llmwire", "llmwire.dialects"):
                found.update(f"{module}.{alias.name}" for alias in node.names)
    return found


def _place(path: Path) -> tuple[str, ...]:
    """`llmwire/dialects/gemini/_wire.py` -> ("dialects", "gemini", "_wire")."""
    parts = path.relative_to(CORE).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


@pytest.mark.parametrize("path", _modules(CORE), ids=str)
def test_core_modules_import_lower_floors_only(path: Path) -> None:
    place = _place(path)
    if not place:
        return
    own = place[0]
    assert own in FLOORS, f"{path}: give it a floor"
    for name in _imports(path):
        pieces = name.split(".")
        if pieces[0] != "llmwire" or len(pieces) < 2:
            continue
        other = pieces[1]
        if other not in FLOORS or (own, other) in TYPE_ONLY:
            continue
        if other == own:
            _check_inside(path, place, pieces)
        else:
            assert FLOORS[other] < FLOORS[own], f"{path} imports {name}"


def _check_inside(path: Path, place: tuple[str, ...], pieces: list[str]) -> None:
    """Dialects never import each other; filters only what they share."""
    if place[0] != "dialects" or len(pieces) < 3 or pieces[2] not in DIALECTS:
        return
    assert len(place) > 1 and place[1] == pieces[2], f"{path} imports {pieces}"


@pytest.mark.parametrize("path", _modules(CORE), ids=str)
def test_core_is_pure(path: Path) -> None:
    heads = {name.split(".")[0] for name in _imports(path)}
    assert not heads & FORBIDDEN
    calls = [
        node.func.id
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    ]
    assert "open" not in calls and "print" not in calls


@pytest.mark.parametrize("path", _modules(SERVER), ids=str)
def test_server_imports_public_names_only(path: Path) -> None:
    for name in _imports(path):
        pieces = name.split(".")
        private = any(p.startswith("_") and p != "__future__" for p in pieces)
        assert pieces[0] != "llmwire" or not private, f"{path} imports {name}"


@pytest.mark.parametrize("path", _modules(CORE) + _modules(SERVER), ids=str)
def test_sizes(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 600, path
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno <= 80, f"{path}: {node.name}"


@pytest.mark.parametrize("path", _modules(CORE) + _modules(SERVER), ids=str)
def test_modules_say_what_they_know(path: Path) -> None:
    assert ast.get_docstring(_tree(path)), path


@pytest.mark.parametrize("path", _modules(CORE) + _modules(SERVER), ids=str)
def test_public_things_are_documented(path: Path) -> None:
    if path.stem.startswith("_") and path.stem != "__init__":
        return
    for node in _tree(path).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if node.name.startswith("_"):
                continue
            assert ast.get_docstring(node), f"{path}: {node.name}"


BAD_NAMES = re.compile(r"(?:^|_)(?:handler|manager|service|processor|helper|util)s?\Z")


@pytest.mark.parametrize("path", _modules(CORE) + _modules(SERVER), ids=str)
def test_names(path: Path) -> None:
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", node.name).lower()
            assert not BAD_NAMES.search(snake), f"{path}: {node.name}"
    assert not BAD_NAMES.search(path.stem)


@pytest.mark.parametrize("path", _modules(CORE) + _modules(SERVER), ids=str)
def test_nothing_is_unfinished(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"\b(?:TODO|FIXME|XXX|HACK)\b|NotImplemented", text)
    caught = re.findall(r"except (?:Base)?Exception\b|except:\s*$", text, re.M)
    assert len(caught) == (path == SERVER / "relay.py"), "the one named place"
    assert not re.search(r"#\s*type:\s*ignore(?!\[[a-z-]+\]  # )", text)


def test_top_level() -> None:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    tops = {name.split("/")[0] for name in listed.stdout.splitlines()}
    assert {t for t in tops if not t.startswith(".")} <= TOP_LEVEL


def test_import_builds_nothing_that_is_not_needed() -> None:
    code = (
        "import sys, llmwire;"
        "print([m for m in sys.modules if m.startswith('llmwire.dialects.')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_public_names_exist_and_are_sorted() -> None:
    import llmwire

    assert isinstance(llmwire.__all__, tuple)
    for name in llmwire.__all__:
        assert hasattr(llmwire, name)
    assert len(set(llmwire.__all__)) == len(llmwire.__all__)
