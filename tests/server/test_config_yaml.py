"""Tests of `llmwire_server.config.reader`: what YAML says, and what it does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmwire_server.config import Config, ConfigError, load
from llmwire_server.config.reader import NODES


@pytest.fixture
def written(tmp_path: Path) -> Path:
    return tmp_path / "llmwire.yaml"


def _load(written: Path, text: str, **environment: str) -> Config:
    written.write_text(text)
    return load(str(written), environment=environment)


def test_the_key_says_what_a_value_is_never_its_looks(written: Path) -> None:
    text = """
port: "9000"
host: no
keys: [0123, 1e3, true, 2026-11-21, 0x10, =]
backends:
  a: {dialect: gemini, base_url: 'http://x', models: [yes, NO, null-model, 1.0, 010]}
losses: {header: NO, log: "on"}
headers: {route: Yes}
"""
    config = _load(written, text)
    assert (config.port, config.host) == (9000, "no")
    keys = [key.reveal() for key in config.keys]
    assert keys == ["0123", "1e3", "true", "2026-11-21", "0x10", "="]
    assert config.backends["a"].models == ("yes", "NO", "null-model", "1.0", "010")
    assert (config.losses.header, config.losses.log) == (False, True)
    assert config.headers.route


@pytest.mark.parametrize(
    "text", ["010", "0x1F", "1_000", "1:30", "8e3", "80.0", "", "+", "'٣'", "9" * 30]
)
def test_a_port_is_a_plain_number(written: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="line 1, port: expected a whole number"):
        _load(written, f"port: {text}")


def test_anchors_and_merges(written: Path) -> None:
    text = """
backends:
  a: &a
    dialect: gemini
    base_url: http://x
    models: &m [b]
  c:
    <<: *a
    models: [d]
  e:
    <<: [{dialect: anthropic}, *a]
    headers: {<<: {X-A: a}, X-B: b}
  f: {<<: *a, models: *m}
"""
    backends = _load(written, text).backends
    assert (backends["c"].models, backends["c"].dialect) == (("d",), "gemini")
    assert (backends["e"].models, backends["e"].dialect) == (("b",), "anthropic")
    assert set(backends["e"].headers) == {"X-A", "X-B"}
    assert backends["f"].models == ("b",)


@pytest.mark.parametrize(
    "text",
    [
        "backends: &a {<<: *a}",
        "backends: &a {b: *a}",
        "[" * 5000,
        "{a: " * 5000,
    ],
)
def test_circles_and_depth_are_refused(written: Path, text: str) -> None:
    with pytest.raises(ConfigError):
        _load(written, text)


def test_merges_multiply_up_to_a_limit(written: Path) -> None:
    """Each level merges the one below ten times: 10 ** 8 in all."""
    lines = [f"x0: &x0 {{{', '.join(f'k{n}: 1' for n in range(10))}}}"]
    for level in range(1, 9):
        merged = ", ".join([f"*x{level - 1}"] * 10)
        lines.append(f"x{level}: &x{level} {{<<: [{merged}]}}")
    lines.append("limits: *x8")
    with pytest.raises(ConfigError, match="aliases included"):
        _load(written, "\n".join(lines))


def test_aliases_multiply_up_to_a_limit(written: Path) -> None:
    models = ", ".join(f"m{n}" for n in range(1000))
    lines = [f"  a: {{dialect: gemini, base_url: 'http://x', models: &m [{models}]}}"]
    lines += [
        f"  b{n}: {{dialect: gemini, base_url: 'http://x', models: *m}}"
        for n in range(NODES // 1000)
    ]
    with pytest.raises(ConfigError) as raised:
        _load(written, "backends:\n" + "\n".join(lines))
    [problem] = raised.value.problems
    assert f"more than {NODES} values, aliases included" in problem


def test_json_and_byte_order_marks_are_read(written: Path) -> None:
    written.write_bytes(b'\xef\xbb\xbf{"port": 9, "keys": ["k"], "cors": {}}')
    assert load(str(written), environment={}).port == 9


def test_variables(written: Path) -> None:
    text = """
host: ${A}.${B:-example}
port: ${PORT:-90}0
keys: ["${KEY}", "a$${b", "$${A}", "$$${x"]
anthropic_port: ${NONE:-}
log: {level: "${EMPTY:-debug}"}
"""
    environment = {"A": "a", "PORT": "80", "KEY": "k${A}", "EMPTY": ""}
    config = _load(written, text, **environment)
    assert (config.host, config.port, config.log.level) == ("a.example", 800, "debug")
    keys = [key.reveal() for key in config.keys]
    assert keys == ["k${A}", "a${b", "${A}", "$${x"]
    assert config.anthropic_port is None


def test_empty_variables_are_texts(written: Path) -> None:
    assert _load(written, "host: ${A}", A="").host == ""
    with pytest.raises(ConfigError, match="visible ASCII"):
        _load(written, "keys: ['${A}']", A="")
