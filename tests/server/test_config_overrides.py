"""Tests of `llmwire_server.config.overrides`: variables and flags for every key."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmwire_server.backends import SIMULATOR
from llmwire_server.config import Config, ConfigError, Flag, load
from llmwire_server.config.overrides import variable_of
from llmwire_server.config.tree import SimulatorRule


def _flags(*written: str, **environment: str) -> Config:
    flags = []
    for each in written:
        path, _, text = each.partition("=")
        flags.append(Flag("--set", path, text))
    return load(flags=flags, environment=environment)


def test_every_key_has_a_flag() -> None:
    config = _flags(
        "limits.body=1MB",
        "keys=${A}, ${B}",
        "cors.origins=[http://a, http://b]",
        "backends.my.own.base_url=http://x",
        "backends.my={dialect: gemini, base_url: 'http://y'}",
        "losses.policy.audio.output=warn",
        "simulator.rules=[{match: a, calls: [f]}]",
        "default_backend=simulator",
        "default_backend=my:m",
        "anthropic_port=${NONE:-}",
        "backends.my.api_key=${A}",
        A="k1",
        B="k2",
        LLMWIRE_BACKENDS="{my.own: {dialect: gemini}}",
    )
    assert config.limits.body == 10**6
    assert [key.reveal() for key in config.keys] == ["k1", "k2"]
    assert config.cors.origins == ("http://a", "http://b")
    assert set(config.backends) == {"my", "my.own", SIMULATOR}
    assert config.backends["my.own"].base_url == "http://x"
    assert config.losses.policy == {"audio.output": "warn"}
    assert config.simulator.rules == (SimulatorRule(match="a", calls=("f",)),)
    assert (config.default_backend, config.anthropic_port) == ("my:m", None)
    assert _flags("keys=").keys == ()
    assert _flags("limits=").limits == Config().limits


def test_every_key_has_a_variable(tmp_path: Path) -> None:
    file = tmp_path / "llmwire.yaml"
    file.write_text(
        "backends: {my-own.one: {dialect: gemini, base_url: 'http://x'}}",
    )
    config = load(
        str(file),
        environment={
            "LLMWIRE_PORT": "9",
            "LLMWIRE_HOST": "",
            "LLMWIRE_LIMITS__HEADER_BYTES": "64KiB",
            "LLMWIRE_KEYS": "a$${,b",
            "LLMWIRE_BACKENDS__MY_OWN_ONE__MODELS": "a,b",
            "LLMWIRE_BACKENDS__MY_OWN_ONE__HEADERS": "{X-Team: a}",
            "LLMWIRE_BACKENDS__OPENAI_RESPONSES__MODELS": "c",
            "LLMWIRE_LOSSES__POLICY__AUDIO_OUTPUT": "warn",
            "LLMWIRE_TEST_ANYTHING": "1",
            "LLMWIRE_CI_ANYTHING": "1",
            "llmwire_port": "1",
        },
    )
    assert (config.port, config.host) == (9, "127.0.0.1")
    assert config.limits.header_bytes == 65536
    assert [key.reveal() for key in config.keys] == ["a$${", "b"]
    assert config.backends["my-own.one"].models == ("a", "b")
    assert list(config.backends["my-own.one"].headers) == ["X-Team"]
    assert config.backends["openai-responses"].models == ("c",)
    assert config.losses.policy == {"audio.output": "warn"}


def test_variables_that_are_asked_for_need_no_key(tmp_path: Path) -> None:
    file = tmp_path / "llmwire.yaml"
    file.write_text("keys: ['${LLMWIRE_MINE}']")
    environment = {"LLMWIRE_MINE": "k", "LLMWIRE_HIS": "h", "LLMWIRE_HER": "r"}
    with pytest.raises(ConfigError) as raised:
        flags = [Flag("--set", "host", "${LLMWIRE_HIS}")]
        load(str(file), flags=flags, environment=environment)
    [problem] = raised.value.problems
    assert problem.startswith("LLMWIRE_HER: unknown variable")


def test_variables_have_names() -> None:
    path = ("backends", "my-own.one", "base_url")
    assert variable_of(path) == "LLMWIRE_BACKENDS__MY_OWN_ONE__BASE_URL"


@pytest.mark.parametrize(
    ("name", "path", "text", "message"),
    [
        ("--default-backend", "default_backend", "x:m", "there is no backend 'x'"),
        ("--port", "port", "65536", "--port: expected a whole number from 0 to 65535"),
        ("--set", "prot", "1", "--set 'prot': unknown key; did you mean 'port'?"),
        ("--set", "limits.bdy", "1", "--set 'limits.bdy': unknown key; did you mean"),
        ("--set", "port.x", "1", "--set 'port.x': unknown key; port is a value"),
        ("--set", "limits", "1", "--set limits: expected names and values"),
        ("--set", "limits", "{", "--set limits: not YAML: "),
        ("--set", "limits", "{bdy: 1}", "--set limits, limits.bdy: unknown key"),
        ("--set", "keys", "a", "--set keys: every user of this machine can read"),
        ("--set", "keys", "${HOME}a,b", "--set keys: every user of this machine can"),
        ("--set", "keys", "[a", "--set keys: not YAML"),
        ("--set", "backends.a", "{api_key: a}", "every user of this machine can read"),
        ("--set", "backends.a.headers.x.y", "a", "every user of this machine can"),
        ("--set", "backends.simulator.dialect", "gemini", "not that of the embedded"),
        ("--set", "losses.policy.audio.out", "warn", "did you mean 'audio.output'?"),
        ("--set", "losses.policy", "{audio.outpt: warn}", "policy.audio.outpt: unkn"),
        ("--set", "host", "${NO}", "--set host: the environment has no variable NO"),
        ("--set", "simulator.rules", "a", "--set simulator.rules: expected a list"),
    ],
)
def test_mistakes_of_flags(name: str, path: str, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load(flags=[Flag(name, path, text)], environment={"HOME": "h"})
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"OPENAI_API_KEY": "se\ncret"}, "OPENAI_API_KEY: a key is made of"),
        ({"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "x"}, "OPENAI_BASE_URL: expected"),
        ({"LLMWIRE_PROT": "1"}, "LLMWIRE_PROT: unknown variable; did you mean 'LLMWI"),
        ({"LLMWIRE_LIMITS_BODY": "1"}, "did you mean 'LLMWIRE_LIMITS__BODY'"),
        ({"LLMWIRE_LIMITS__BDY": "1"}, "did you mean 'LLMWIRE_LIMITS__BODY'"),
        ({"LLMWIRE_XYZQ": "1"}, "unknown variable; known are LLMWIRE_HOST, LLMW"),
        ({"LLMWIRE_PORT__X": "1"}, "unknown variable; did you mean 'LLMWIRE_PORT'"),
        ({"LLMWIRE_PORT ": "1"}, "'LLMWIRE_PORT ': unknown variable; did you mean"),
        ({"LLMWIRE_PORT": "x"}, "expected a whole number from 0 to 65535, not 'x'"),
        ({"LLMWIRE_KEYS": "a b"}, "LLMWIRE_KEYS, keys[0]: a key is made of"),
        ({"LLMWIRE_BACKENDS__A__MODELS": "m"}, "backends.a.dialect: is needed"),
        ({"LLMWIRE_BACKENDS__A__DIALECT": "gemini"}, "backends.a.base_url: is needed"),
        ({"LLMWIRE_BACKENDS__SIMULATOR__DIALECT": "x"}, "not that of the embedded"),
        ({"LLMWIRE_LOSSES__POLICY__SAMPLIN": "warn"}, "did you mean 'sampling'"),
        (
            {
                "LLMWIRE_BACKENDS": "{a-b: {dialect: gemini}, a.b: {dialect: gemini}}",
                "LLMWIRE_BACKENDS__A_B__MODELS": "m",
            },
            "LLMWIRE_BACKENDS__A_B__MODELS: this could be any of a-b, a.b",
        ),
    ],
)
def test_mistakes_of_the_environment(environment: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load(environment=environment)
    assert message in str(raised.value)
    assert "cret" not in str(raised.value)
