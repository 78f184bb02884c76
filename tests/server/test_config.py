"""Tests of `llmwire_server.config`: what goes before what, and where mistakes are."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmwire_server.backends import SIMULATOR
from llmwire_server.config import Config, ConfigError, load
from llmwire_server.config.tree import SimulatorRule

FULL = """
backends:
  local:
    dialect: openai-chat
    base_url: http://127.0.0.1:11434/v1
    profile: ollama
    models: [qwen3, llama3.3]
  work:
    dialect: anthropic
    base_url: https://api.anthropic.com
    api_key: ${WORK_KEY}
default_backend: local:qwen3:8b
simulator:
  pace: 0.02
  rules:
    - match: "weather"
      text: Sunny.
      reasoning: Hm.
      calls: [get_weather]
      pace: 1
    - match: "fail"
      error: 503
"""


@pytest.fixture
def written(tmp_path: Path) -> Path:
    return tmp_path / "llmwire.yaml"


def _load(written: Path, text: str, **environment: str) -> Config:
    written.write_text(text)
    return load(str(written), environment=environment)


def test_nothing_at_all_is_the_simulator() -> None:
    config = load(environment={})
    assert list(config.backends) == [SIMULATOR]
    assert config.default_backend == SIMULATOR
    assert config.simulated


def test_keys_make_backends() -> None:
    config = load(
        environment={
            "OPENAI_API_KEY": "sk-1\n",
            "GEMINI_API_KEY": "g-1",
            "GEMINI_BASE_URL": "http://127.0.0.1:1",
            "ANTHROPIC_API_KEY": "",
        }
    )
    assert list(config.backends) == ["openai", "openai-responses", "gemini"]
    key = config.backends["openai"].api_key
    assert key is not None
    assert key.reveal() == "sk-1"
    assert config.backends["gemini"].base_url == "http://127.0.0.1:1"
    assert config.default == ("openai", None)
    assert not config.simulated


def test_a_file_says_everything(written: Path) -> None:
    config = _load(written, FULL, WORK_KEY="secret")
    assert list(config.backends) == ["local", "work", SIMULATOR]
    local, work = config.backends["local"], config.backends["work"]
    assert (local.dialect, local.profile) == ("openai-chat", "ollama")
    assert local.models == ("qwen3", "llama3.3")
    assert work.api_key is not None
    assert work.api_key.reveal() == "secret"
    assert config.default == ("local", "qwen3:8b")
    assert config.simulator.pace == 0.02
    assert config.simulator.rules == (
        SimulatorRule(
            match="weather",
            text="Sunny.",
            reasoning="Hm.",
            calls=("get_weather",),
            pace=1.0,
        ),
        SimulatorRule(match="fail", error=503),
    )


def test_flags_go_before_the_file_and_the_file_before_the_environment(
    written: Path,
) -> None:
    text = "backends: {mine: {dialect: gemini, base_url: 'http://x'}}"
    environment = {"OPENAI_API_KEY": "k"}
    assert _load(written, text, **environment).default_backend == "mine"
    written.write_text(text + "\ndefault_backend: mine")
    config = load(str(written), default_backend="openai:m", environment=environment)
    assert config.default == ("openai", "m")


def test_a_file_changes_what_the_environment_made(written: Path) -> None:
    text = "backends: {openai: {base_url: 'http://127.0.0.1:1/v1', models: [a]}}"
    backend = _load(written, text, OPENAI_API_KEY="k").backends["openai"]
    assert backend.api_key is not None
    assert (backend.dialect, backend.models) == ("openai-chat", ("a",))
    assert backend.base_url == "http://127.0.0.1:1/v1"
    keyless = _load(written, "backends: {anthropic: {models: [a]}}")
    assert keyless.backends["anthropic"].base_url == "https://api.anthropic.com"
    assert keyless.backends["anthropic"].api_key is None


def test_the_process_has_an_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "k")
    assert "gemini" in load().backends


def test_an_empty_file_is_no_mistake(written: Path) -> None:
    assert _load(written, "").simulated
    assert _load(written, "backends: {}").simulated
    assert _load(written, "simulator: {}").simulated


def test_the_simulator_may_be_chosen_beside_others(written: Path) -> None:
    config = _load(written, "default_backend: simulator", OPENAI_API_KEY="k")
    assert config.default_backend == SIMULATOR
    assert "openai" in config.backends


GOOD = "backends:\n  a: {dialect: gemini, base_url: 'http://x'}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("backend: {}", "line 1, backend: unknown key; did you mean 'backends'?"),
        ("x: 1", "line 1, x: unknown key; known are backends"),
        ("- 1", "line 1, the file: expected names and values"),
        ("? [a]\n: 1", "line 1, the file: a name must be text"),
        ("backends: {}\nbackends: {}", "line 2, the file: 'backends' stands here"),
        ("a: b: c", "line 1: not YAML: mapping values are not allowed here"),
        ("backends: 7", "line 1, backends: expected names and values"),
        ("backends:\n  'a b': {}", "line 2, backends.a b: a backend's name is"),
        ("backends:\n  simulator: {}", "line 2, backends.simulator: a backend's name"),
        ("backends:\n  a: {dialect: gemini}", "backends.a.base_url: is needed"),
        ("backends:\n  a: {base_url: 'http://x'}", "backends.a.dialect: is needed"),
        ("backends:\n  a:\n    key: 1", "line 3, backends.a.key: unknown key"),
        ("backends: {a: {dialect: gemni}}", "unknown dialect 'gemni'; did you mean"),
        ("backends: {a: {profile: olama}}", "unknown profile 'olama'; did you mean"),
        ("backends: {a: {base_url: 'ftp://x'}}", "base_url: expected a URL like"),
        ("backends: {a: {base_url: 'http://u:p@x'}}", "a base URL has no user"),
        ("backends: {a: {models: m}}", "backends.a.models: expected a list"),
        ("backends: {a: {models: [[]]}}", "backends.a.models: expected text"),
        ("backends: {a: {dialect: null}}", "backends.a.dialect: expected text"),
        ("backends: {a: {api_key: '${NO}'}}", "the environment has no variable NO"),
        ("backends: {a: {api_key: 'se cret'}}", "a key is made of visible ASCII"),
        ("default_backend: [a]", "default_backend: expected text"),
        (GOOD + "default_backend: b", "line 3, default_backend: there is no backend"),
        ("simulator: {pace: x}", "simulator.pace: expected a number"),
        ("simulator: {pace: -1}", "simulator.pace: expected a number from 0"),
        ("simulator: {pace: nan}", "simulator.pace: expected a number from 0"),
        ("simulator: {rules: 1}", "simulator.rules: expected a list"),
        ("simulator: {rules: [{}]}", "simulator.rules[0].match: is needed"),
        ("simulator: {rules: [{match: '('}]}", "not a regular expression"),
        ("simulator: {rules: [{error: 200}]}", "expected an HTTP status from 400"),
        ("simulator: {rules: [{error: x}]}", "expected an HTTP status from 400"),
        ("simulator: {rules: [{txt: x}]}", "rules[0].txt: unknown key; did you mean"),
    ],
)
def test_mistakes_are_told_with_their_place(
    written: Path, text: str, message: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        _load(written, text)
    assert message in str(raised.value)
    assert str(written) in str(raised.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load(str(tmp_path / "no.yaml"), environment={})
    binary = tmp_path / "bad.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load(str(binary), environment={})
    binary.write_bytes(b"a: \x00")
    with pytest.raises(ConfigError, match="not YAML"):
        load(str(binary), environment={})


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"OPENAI_API_KEY": "se\ncret"}, "OPENAI_API_KEY: a key is made of"),
        ({"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "x"}, "OPENAI_BASE_URL: expected"),
    ],
)
def test_mistakes_of_the_environment(environment: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(environment=environment)


def test_mistakes_of_flags() -> None:
    with pytest.raises(ConfigError, match="--default-backend: there is no backend 'x'"):
        load(default_backend="x:m", environment={})


@pytest.mark.parametrize(
    "text",
    [
        'backends: {a: {api_key: "topsecret',
        "backends: {a: {api_key: 'top secret'}}",
        "backends: {a: {api_key: topsecret}}",
        "backends:\n  a:\n  api_key: topsecret: x",
    ],
)
def test_no_mistake_shows_a_key(written: Path, text: str) -> None:
    with pytest.raises(ConfigError) as raised:
        _load(written, text)
    assert "top" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_no_representation_shows_a_key(written: Path) -> None:
    config = _load(written, FULL, WORK_KEY="topsecret")
    assert "topsecret" not in repr(config) + str(config) + f"{config.backends}"
