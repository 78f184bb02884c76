"""Tests of `config show`, and of the way back: trees are read as they were written."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from msgspec import NODEFAULT
from msgspec.structs import replace

from llmwire_server.backends import SIMULATOR, Backend, Secret, SecretText
from llmwire_server.config import SHAPE, Config, load, load_all, shown
from llmwire_server.config.rules import RULES
from llmwire_server.config.shapes import Many, Map, Scalar, Shape
from llmwire_server.config.showing import written_text

SAMPLES = {
    "backend-name": st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,9}", fullmatch=True),
    "base-url": st.sampled_from(["http://h", "https://h:1/v1", "http://[::1]:2"]),
    "header-name": st.sampled_from(["x-a", "X_B", "!#$%&'*+.^`|~"]),
    "header-pattern": st.sampled_from(["x-a", "x-*", "*"]),
    "model-pattern": st.sampled_from(["m", "qwen3:8b", "v/m*", "*"]),
    "origin": st.sampled_from(["*", "http://a:1"]),
    "proxy": st.sampled_from(["http://u:p@h:1", "socks5h://h:1"]),
    "regex": st.sampled_from(["", "a.*", "^x$", '"\\s', "${", "# a", "$${b}"]),
}
"""Texts that follow the open rules."""
PRINTABLE = st.characters(min_codepoint=0x21, max_codepoint=0x7E)


def _scalars(shape: Scalar) -> st.SearchStrategy[Any]:
    found: st.SearchStrategy[Any]
    if shape.kind == "choice":
        found = st.sampled_from(shape.choices)
    elif shape.kind == "boolean":
        found = st.booleans()
    elif shape.kind == "secret":
        made = shape.secret or Secret
        texts = st.text(PRINTABLE, min_size=1).filter(lambda text: text.strip("*"))
        found = texts.map(made)
    elif shape.kind == "text":
        found = _texts(shape)
    else:
        low, high = int(shape.least or 0), int(shape.most or 10**17)
        whole = shape.kind == "integer"
        found = st.integers(low, high) if whole else st.floats(low, high)
    return st.none() | found if shape.optional else found


def _texts(shape: Scalar) -> st.SearchStrategy[Any]:
    if shape.rule is None:
        return st.text()
    rule = RULES[shape.rule]
    return (
        SAMPLES[shape.rule]
        if rule.known is None
        else st.sampled_from(sorted(rule.known()))
    )


def _values(shape: Shape) -> st.SearchStrategy[Any]:
    if isinstance(shape, Scalar):
        return _scalars(shape)
    if isinstance(shape, Many):
        return st.lists(_values(shape.item), max_size=3).map(tuple)
    if isinstance(shape, Map):
        names = _scalars(shape.name).filter(lambda name: name != SIMULATOR)
        return st.dictionaries(names, _values(shape.value), max_size=3)
    members = {key.name: _member(key.name, key.shape) for key in shape.keys}
    if shape.named:
        members["name"] = st.just("")
    return st.builds(shape.type, **members)


def _member(name: str, shape: Shape) -> st.SearchStrategy[Any]:
    # These name files that have to be there.
    file = name.endswith("_file") or name in ("client_cert", "client_key")
    return st.none() if file else _values(shape)


def _usable(config: Config) -> Config:
    """The configuration with what only the whole can have right."""
    backends = {
        name: replace(each, name=name) for name, each in config.backends.items()
    }
    port = None if config.anthropic_port == config.port else config.anthropic_port
    if not backends or config.simulator.rules:
        backends[SIMULATOR] = Backend(name=SIMULATOR, dialect="openai-chat")
    chosen = next(iter(backends))
    if config.default_backend:
        chosen += ":" + config.default_backend
    return replace(
        config, backends=backends, default_backend=chosen, anthropic_port=port
    )


@given(_values(SHAPE).map(_usable))
@example(_usable(Config(host="${A}", keys=(Secret("$${"), Secret("${A:-b}")))))
@settings(suppress_health_check=list(HealthCheck), deadline=None)
def test_any_tree_is_read_as_it_was_written(config: Config) -> None:
    text = shown(config, SHAPE, {}, reveal=True)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "llmwire.yaml"
        file.write_bytes(text.encode())
        assert load(str(file), environment={}) == config


@given(_values(SHAPE).map(_usable))
@settings(suppress_health_check=list(HealthCheck), deadline=None)
def test_any_tree_is_shown_as_yaml_without_secrets(config: Config) -> None:
    """What is shown does not depend on secrets, not even on their lengths."""
    text = shown(_keyed(config, "topsecret"), SHAPE, {})
    assert text == shown(_keyed(config, "k"), SHAPE, {})
    read = yaml.safe_load(text)
    assert list(read) == [key.name for key in SHAPE.keys]
    assert read["keys"] == ["***", "***"]
    for backend in read["backends"].values():
        assert (backend["api_key"], backend["headers"]) == ("***", {"x": "***"})


def _keyed(config: Config, key: str) -> Config:
    """The configuration with this key wherever one may stand."""
    backends = {
        name: replace(
            each,
            api_key=Secret(key),
            headers={"x": SecretText(key)},
            proxy=f"http://{key}:{key}@h:1",
        )
        for name, each in config.backends.items()
    }
    return replace(config, backends=backends, keys=(Secret(key), Secret(key)))


@given(st.text())
def test_any_text_is_itself_in_yaml(text: str) -> None:
    assert yaml.safe_load(written_text(text)) == text


def test_origins_stand_beside_values(tmp_path: Path) -> None:
    file = tmp_path / "a\nb.yaml"
    file.write_text(
        "host: h\nsimulator: {rules: [{match: a}]}\n"
        "backends: {b: {dialect: gemini, base_url: 'http://x'}}"
    )
    loaded = load_all(str(file), environment={"LLMWIRE_LOG__LEVEL": "debug"})
    lines = shown(loaded.config, SHAPE, loaded.origins).splitlines()
    assert lines[0] == f"host: h  # {f'{file}:1'!r}"
    assert "port: 8000  # default" in lines
    assert "  level: debug  # LLMWIRE_LOG__LEVEL" in lines
    assert "    - match: a" in lines
    assert "    dialect: gemini  # " + repr(f"{file}:3") in lines
    assert "  simulator:" not in lines


def test_every_default_of_the_tree_is_one() -> None:
    """A file that says every default changes nothing."""
    config = load(environment={})
    for key in SHAPE.keys:
        assert key.default is not NODEFAULT
    bare = Config()
    same = [
        key.name
        for key in SHAPE.keys
        if getattr(bare, key.name) == getattr(config, key.name)
    ]
    assert set(SHAPE.type.__struct_fields__) - set(same) == {"backends"}


@pytest.mark.parametrize("text", ["yes", "NO", "null", "~", "1", "a:", "a: b", "- a"])
def test_words_of_yaml_are_quoted(text: str) -> None:
    assert written_text(text) == f'"{text}"'


@pytest.mark.parametrize("text", ["a", "qwen3:8b", "http://h:1/v1", "/etc/x.pem"])
def test_words_are_not_quoted(text: str) -> None:
    assert written_text(text) == text
