"""Tests of `llmwire_server.config.loading`: what beats what, and what comes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llmwire_server.backends import SIMULATOR
from llmwire_server.config import Config, ConfigError, Flag, load, load_all
from llmwire_server.config.tree import SimulatorRule
from llmwire_server.routing import Router

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
    assert config.default == ("", None)
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
    assert config.default == ("", None)
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


@pytest.fixture
def layered(written: Path) -> Any:
    """Loads a port, said by some of the file, the environment and a flag."""

    def run(*said: str) -> tuple[int, str]:
        written.write_text("port: 1" if "file" in said else "")
        environment = {"LLMWIRE_PORT": "2"} if "environment" in said else {}
        flags = [Flag("--port", "port", "3")] if "flag" in said else []
        loaded = load_all(str(written), flags=flags, environment=environment)
        return loaded.config.port, str(loaded.origins["port",])

    return run


def test_flags_beat_the_environment_which_beats_the_file(
    layered: Any, written: Path
) -> None:
    assert layered() == (8000, "default")
    assert layered("file") == (1, f"{written}:1")
    assert layered("file", "environment") == (2, "LLMWIRE_PORT")
    assert layered("file", "environment", "flag") == (3, "--port")
    assert layered("file", "flag") == (3, "--port")


def test_what_is_beaten_must_be_right_nonetheless(written: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        written.write_text("port: x")
        load(str(written), environment={"LLMWIRE_PORT": "2"})
    assert len(raised.value.problems) == 1


def test_the_first_backend_of_the_file_is_the_default(written: Path) -> None:
    text = "backends: {mine: {dialect: gemini, base_url: 'http://x'}}"
    config = _load(
        written,
        text,
        OPENAI_API_KEY="k",
        LLMWIRE_BACKENDS__A__DIALECT="gemini",
        LLMWIRE_BACKENDS__A__BASE_URL="http://a",
    )
    assert list(config.backends) == ["mine", "openai", "openai-responses", "a"]
    assert config.default == ("", None)
    assert Router(config.backends, *config.default).route("m").backends == (
        config.backends["mine"],
    )


def test_the_environment_beats_the_file_for_built_in_backends(written: Path) -> None:
    text = "backends: {openai: {api_key: b, base_url: 'http://b/v1', models: [a]}}"
    environment = {"OPENAI_API_KEY": "e", "OPENAI_BASE_URL": "http://e/v1"}
    written.write_text(text)
    loaded = load_all(str(written), environment=environment)
    backend = loaded.config.backends["openai"]
    assert backend.api_key is not None
    assert backend.api_key.reveal() == "e"
    assert (backend.base_url, backend.models) == ("http://e/v1", ("a",))
    assert loaded.outdone == ("backends.openai.api_key", "backends.openai.base_url")
    own = {"LLMWIRE_BACKENDS__OPENAI__API_KEY": "o"}
    key = _load(written, text, **environment, **own).backends["openai"].api_key
    assert key is not None
    assert key.reveal() == "o"


def test_a_file_names_built_in_backends_without_their_keys(written: Path) -> None:
    config = _load(written, "backends: {anthropic: {models: [a]}}")
    backend = config.backends["anthropic"]
    assert backend.base_url == "https://api.anthropic.com"
    assert (backend.dialect, backend.api_key) == ("anthropic", None)
    moved = _load(written, "backends: {gemini: {}}", GEMINI_BASE_URL="http://g")
    assert moved.backends["gemini"].base_url == "http://g"
    assert _load(written, "", GEMINI_BASE_URL="http://g").simulated


def test_the_environment_names_the_file(written: Path) -> None:
    written.write_text("port: 1")
    environment = {"LLMWIRE_CONFIG": str(written)}
    assert load(environment=environment).port == 1
    other = written.with_name("other.yaml")
    other.write_text("port: 2")
    assert load(str(other), environment=environment).port == 2


def test_the_process_has_an_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "k")
    assert "gemini" in load().backends


def test_empty_files_and_sections_are_no_mistake(written: Path) -> None:
    assert _load(written, "").simulated
    assert _load(written, "backends: {}").simulated
    assert _load(written, "simulator: {}").simulated
    assert _load(written, "backends:\nkeys:\nlimits:\ntimeouts: ~") == load(
        environment={}
    )


def test_the_simulator_may_be_chosen_beside_others(written: Path) -> None:
    config = _load(written, "default_backend: simulator:m", OPENAI_API_KEY="k")
    assert config.default == (SIMULATOR, "m")
    config = _load(written, "default_backend: ':m'", OPENAI_API_KEY="k")
    assert config.default == ("openai", "m")
    assert "openai" in config.backends


def test_a_default_without_a_model_has_none(written: Path) -> None:
    config = _load(written, "default_backend: 'openai:'", OPENAI_API_KEY="k")
    assert config.default_backend == "openai"


def test_every_value_knows_its_origin(written: Path) -> None:
    written.write_text(FULL)
    loaded = load_all(str(written), environment={"WORK_KEY": "k"})
    origins = loaded.origins
    assert origins["backends", "local", "profile"].line == 6
    assert origins["backends", "work"].line == 8
    key = origins["backends", "work", "api_key"]
    assert (key.line, key.literal) == (11, False)
    assert origins["backends", "work", "profile"].kind == "default"
    assert origins["simulator", "rules"].line == 16


@pytest.mark.parametrize(
    "text",
    [
        'backends: {a: {api_key: "topsecret',
        "backends: {a: {api_key: 'top secret'}}",
        "backends: {a: {api_key: topsecret}}",
        "backends:\n  a:\n  api_key: topsecret: x",
        "backends: {a: {api_key: *topsecret }}",
        "backends: {a: {api_key: !topsecret x}}",
        "backends: {a: {api_key: !topsecret!x x}}",
        "backends: {a: {api_key: {topsecret: 1}}}",
        "backends: {a: {api_key: [topsecret]}}",
        "backends: {a: topsecret}",
        "keys: topsecret",
        "keys: [{topsecret: 1}]",
        "port: ${TOP}",
        "log: {level: '${TOP}'}",
        "backends: {a: {dialect: '${TOP}'}}",
        "backends: {a: {base_url: 'http://topsecret@x'}}",
        "backends: {a: {proxy: 'topsecret'}}",
        "backends: {a: {headers: {x: 'topsecret\\0'}}}",
    ],
)
def test_no_mistake_shows_a_key(written: Path, text: str) -> None:
    with pytest.raises(ConfigError) as raised:
        _load(written, text, TOP="topsecret")
    assert "top" not in str(raised.value).replace(str(written), "")
    assert raised.value.__cause__ is None


def test_no_representation_shows_a_key(written: Path) -> None:
    config = _load(written, FULL, WORK_KEY="topsecret")
    assert "topsecret" not in repr(config) + str(config) + f"{config.backends}"
