"""Tests of `llmwire.profiles`: facts as data, and how they are put together."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import get_args, get_type_hints

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from llmwire import profiles
from llmwire._effort import ORDER
from llmwire.errors import LocalProtocolError
from llmwire.profiles import (
    MODEL_RULES,
    PROFILES,
    ModelRule,
    Profile,
    register,
    register_rule,
    resolve,
)

DIALECTS = ("openai-chat", "openai-responses", "anthropic", "gemini")
WORDS = """
    temperature top_p top_k min_p seed frequency_penalty presence_penalty
    repetition_penalty logit_bias logprobs stop n user metadata store service_tier
    cache_key cache verbosity prediction parallel tool_choice stream_options
    message_name tool_strict output_schema output_json required_tool_choice
    temperature_with_top_p encrypted_reasoning
"""
REJECTABLE = frozenset(WORDS.split())
ROWS = sorted(PROFILES)


@pytest.fixture
def own_rows() -> Iterator[None]:
    """Rows and rules that a test adds are gone after it."""
    rows, rules = dict(PROFILES), list(MODEL_RULES)
    yield
    PROFILES.clear()
    MODEL_RULES[:] = rules
    for row in rows.values():
        register(row)


def _is_sound(profile: Profile) -> None:
    assert profile.rejects <= REJECTABLE
    assert set(profile.efforts) <= set(ORDER)
    assert len(set(profile.efforts)) == len(profile.efforts)
    assert profile.max_stops > 0
    assert 0 < profile.min_max_tokens <= profile.default_max_tokens
    assert profile.min_budget <= profile.max_budget
    assert 9 <= profile.max_call_id <= 64
    assert profile.max_temperature in (1.0, 2.0)
    assert all(opening and closing for opening, closing in profile.think_tags)
    assert all(map(str.islower, profile.renames))
    msgspec.convert(msgspec.to_builtins(profile), Profile, strict=False)


@pytest.mark.parametrize("name", ROWS)
def test_rows_are_sound(name: str) -> None:
    assert PROFILES[name].name == name
    _is_sound(PROFILES[name])


@pytest.mark.parametrize("rule", MODEL_RULES, ids=lambda rule: rule.pattern)
def test_rules_are_sound(rule: ModelRule) -> None:
    assert rule.dialect in DIALECTS
    assert rule.profiles <= set(PROFILES)
    re.compile(rule.pattern)
    assert set(rule.changes) <= set(Profile.__struct_fields__)
    _is_sound(replace(resolve(rule.dialect), **dict(rule.changes)))


def test_every_way_to_ask_for_thinking_is_used() -> None:
    known = set(get_args(get_type_hints(Profile)["reasoning"]))
    rows = {row.reasoning for row in PROFILES.values()}
    assert rows | {rule.changes.get("reasoning") for rule in MODEL_RULES} >= known


@pytest.mark.parametrize(
    ("dialect", "name"),
    [
        ("openai-chat", "openai"),
        ("openai-responses", "openai-responses"),
        ("anthropic", "anthropic"),
        ("gemini", "gemini"),
        ("nobody's", "unknown"),
    ],
)
def test_a_dialect_has_its_vendors_row(dialect: str, name: str) -> None:
    assert resolve(dialect) is PROFILES[name]
    assert resolve(dialect, name) is PROFILES[name]


@given(st.sampled_from(DIALECTS), st.sampled_from(ROWS), st.text(max_size=300))
def test_any_model_has_a_profile(dialect: str, name: str, model: str) -> None:
    _is_sound(resolve(dialect, name, model))
    assert resolve(dialect, name, model) == resolve(dialect, name, model)


def test_a_record_is_taken_as_it_is() -> None:
    own = Profile(name="mine", renames={"seed": "random_seed"})
    assert resolve("openai-chat", own, "gpt-5") is own


def test_an_unknown_row_is_a_mistake() -> None:
    with pytest.raises(LocalProtocolError, match="unknown profile 'nowhere'"):
        resolve("openai-chat", "nowhere")


@pytest.mark.usefixtures("own_rows")
def test_rows_can_be_added_and_replaced() -> None:
    register(Profile(name="mine", max_stops=1))
    assert resolve("openai-chat", "mine").max_stops == 1
    register(Profile(name="mine", max_stops=2))
    assert resolve("openai-chat", "mine").max_stops == 2
    with pytest.raises(LocalProtocolError, match="needs a name"):
        register(Profile())


@pytest.mark.usefixtures("own_rows")
def test_rules_may_name_their_rows() -> None:
    MODEL_RULES.append(
        ModelRule(
            dialect="openai-chat",
            pattern="big-",
            changes={"max_stops": 1},
            profiles=frozenset({"groq"}),
        )
    )
    register(PROFILES["groq"])
    assert resolve("openai-chat", "groq", "big-1").max_stops == 1
    assert resolve("openai-chat", "groq", "small-1").max_stops == 4
    assert resolve("openai-chat", "openai", "big-1").max_stops == 4


@pytest.mark.parametrize("name", ["compatible", "openrouter", "azure"])
def test_what_a_model_is_called_elsewhere_tells_nothing(name: str) -> None:
    assert resolve("openai-chat", name, "gpt-5") is PROFILES[name]


def test_a_long_name_is_looked_at_from_its_end() -> None:
    assert resolve("openai-chat", None, "x/" * 500 + "o3") == resolve(
        "openai-chat", None, "o3"
    )


class TestOpenAI:
    """Models of OpenAI, in both of its dialects."""

    @pytest.mark.parametrize("dialect", ["openai-chat", "openai-responses"])
    @pytest.mark.parametrize(
        "model", ["o1", "o3-mini", "o4-mini", "gpt-5", "openai/o3"]
    )
    def test_reasoning_models_take_no_sampling(self, dialect: str, model: str) -> None:
        found = resolve(dialect, None, model)
        assert found.rejects >= {"temperature", "top_p", "stop", "logprobs"}
        assert not found.sampling_with_reasoning
        assert "none" not in found.efforts

    @pytest.mark.parametrize("model", ["gpt-5-chat-latest", "gpt-5.1-chat-latest", "x"])
    def test_others_do(self, model: str) -> None:
        assert resolve("openai-chat", None, model) is PROFILES["openai"]

    @pytest.mark.parametrize("model", ["gpt-5.1", "gpt-5.2-codex", "gpt-5.5"])
    def test_later_ones_do_without_thinking(self, model: str) -> None:
        found = resolve("openai-chat", None, model)
        assert found.rejects == PROFILES["openai"].rejects
        assert not found.sampling_with_reasoning
        assert "none" in found.efforts
        assert found.reasoning_with_tools

    @pytest.mark.parametrize("model", ["gpt-5.6", "gpt-6", "gpt-6-mini"])
    def test_the_latest_do_not_think_beside_functions_in_chat(self, model: str) -> None:
        assert not resolve("openai-chat", None, model).reasoning_with_tools
        assert resolve("openai-responses", None, model).reasoning_with_tools

    @pytest.mark.parametrize("dialect", ["openai-chat", "openai-responses"])
    @pytest.mark.parametrize("model", ["gpt-3.5-turbo", "gpt-4o", "chatgpt-4o-latest"])
    def test_old_ones_do_not_think(self, dialect: str, model: str) -> None:
        found = resolve(dialect, None, model)
        assert found.reasoning == "none"
        assert not found.cache_marks
        assert "verbosity" in found.rejects


class TestAnthropic:
    """Models of Anthropic."""

    @pytest.mark.parametrize(
        ("model", "reasoning", "structured"),
        [
            ("claude-2.1", "none", False),
            ("claude-3-haiku-20240307", "none", False),
            ("claude-3-5-sonnet-latest", "none", False),
            ("claude-3-7-sonnet-20250219", "budget", False),
            ("anthropic/claude-3.7-sonnet", "budget", False),
            ("claude-sonnet-4-20250514", "budget", False),
            ("claude-opus-4-1", "budget", False),
            ("claude-opus-4-5-20251101", "budget", True),
            ("claude-sonnet-4-5", "budget", True),
            ("claude-haiku-4-5", "budget", True),
            ("claude-opus-4-6", "adaptive", True),
            ("claude-sonnet-5", "adaptive", True),
            ("claude-new-9", "adaptive", True),
        ],
    )
    def test_thinking_and_schemas(
        self, model: str, reasoning: str, structured: bool
    ) -> None:
        found = resolve("anthropic", None, model)
        assert (found.reasoning, found.structured_output) == (reasoning, structured)

    @pytest.mark.parametrize(
        ("model", "rejected"),
        [
            ("claude-3-opus-20240229", set()),
            ("claude-opus-4-1", {"temperature_with_top_p"}),
            ("claude-sonnet-4-5", {"temperature_with_top_p"}),
            ("claude-opus-4-6", {"temperature_with_top_p"}),
            ("claude-opus-4-7", {"temperature", "top_p", "top_k"}),
            ("claude-fable-5", {"temperature", "top_p", "top_k"}),
            ("claude-new-9", {"temperature", "top_p", "top_k"}),
        ],
    )
    def test_sampling(self, model: str, rejected: set[str]) -> None:
        assert resolve("anthropic", None, model).rejects == rejected

    @pytest.mark.parametrize(
        ("model", "prefill", "in_place", "off"),
        [
            ("claude-sonnet-4-5", True, False, True),
            ("claude-opus-4-6", False, False, True),
            ("claude-opus-4-8", False, True, True),
            ("claude-haiku-5", False, True, True),
            ("claude-mythos-5", False, True, False),
        ],
    )
    def test_turns(self, model: str, prefill: bool, in_place: bool, off: bool) -> None:
        found = resolve("anthropic", None, model)
        assert found.prefill is prefill
        assert found.system_in_place is in_place
        assert found.thinking_off is off


class TestGemini:
    """Models of Google."""

    @pytest.mark.parametrize(
        ("model", "reasoning", "schema", "off", "signed"),
        [
            ("gemini-1.5-pro", "none", "openapi", True, False),
            ("models/gemini-2.0-flash", "none", "openapi", True, False),
            ("gemini-2.5-flash", "budget", "full", True, False),
            ("gemini-2.5-pro", "budget", "full", False, False),
            ("gemini-3-pro-preview", "level", "full", False, True),
            ("gemma-3", "level", "full", False, True),
        ],
    )
    def test_generations(
        self, model: str, reasoning: str, schema: str, off: bool, signed: bool
    ) -> None:
        found = resolve("gemini", None, model)
        assert (found.reasoning, found.json_schema) == (reasoning, schema)
        assert (found.thinking_off, found.requires_signatures) == (off, signed)


def test_names_of_models_are_not_remembered_for_ever() -> None:
    assert profiles._resolved.cache_parameters()["maxsize"] is not None


def test_a_rule_of_a_user_applies_at_once() -> None:
    assert resolve("anthropic", None, "house-model").thinking_off
    rule = ModelRule(
        dialect="anthropic", pattern="house-", changes={"thinking_off": False}
    )
    register_rule(rule)
    try:
        assert not resolve("anthropic", None, "house-model").thinking_off
    finally:
        MODEL_RULES.remove(rule)
        profiles._resolved.cache_clear()


@pytest.mark.parametrize("model", ["gpt-5.10", "gpt-5.6", "gpt-6"])
def test_late_models_of_openai(model: str) -> None:
    assert not resolve("openai-chat", None, model).reasoning_with_tools
