"""Tests of `llmwire.dialects`: the register of records, and variants of them."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from llmwire import dialects
from llmwire.dialects import get, register, variant
from llmwire.errors import LocalProtocolError, UnknownDialect
from tests.toys import OTHER, TOY


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialects, "_registered", dict(dialects._registered))


def test_built_in_dialects_come_first_and_when_asked_for() -> None:
    names = ("openai-chat", "openai-responses", "anthropic", "gemini")
    assert dialects.dialects()[:4] == names
    for name in names:
        assert get(name).name == name
        assert get(name) is get(name)
        assert get(get(name)) is get(name)


def test_a_new_dialect_is_one_more_record() -> None:
    register(TOY)
    register(TOY)
    assert get(TOY.name) is TOY
    assert dialects.dialects()[-1] == TOY.name


def test_names_are_taken_once() -> None:
    register(TOY)
    for taken in (TOY.name, "gemini"):
        with pytest.raises(LocalProtocolError, match="exists already"):
            register(replace(OTHER, name=taken))


def test_unknown_names_are_told_with_the_known() -> None:
    with pytest.raises(UnknownDialect, match="known are openai-chat, openai-resp"):
        get("none")


def test_a_variant_is_a_dialect_with_another_profile() -> None:
    found = variant("openai-chat", "mistral-chat", "mistral")
    assert (found.name, found.profile) == ("mistral-chat", "mistral")
    assert found.route is get("openai-chat").route
