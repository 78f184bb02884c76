"""Tests of `llmwire._sides`: who is read from, and who is written for."""

from __future__ import annotations

from msgspec import Raw

from llmwire import profiles
from llmwire._sides import reply_target, response_source
from llmwire.context import Context
from llmwire.losses import LossRecorder
from llmwire.profiles import Profile
from tests.toys import OTHER, TOY

FACTS = Profile(name="mine")
CONTEXT = Context(
    source=TOY.name,
    target=OTHER.name,
    upstream_model="big",
    tag="one",
    profile=FACTS,
    include_usage=False,
    echo={"a": Raw(b"1")},
)


def test_the_source_is_the_one_that_was_asked() -> None:
    source = response_source(OTHER, CONTEXT, seed="s")
    assert (source.profile, source.model, source.tag) == (FACTS, "big", "one")
    assert source.seed == "s"


def test_another_source_is_read_by_its_own_facts() -> None:
    unknown = profiles.resolve(TOY.name)
    for given in (
        response_source(TOY, CONTEXT),
        response_source(OTHER, None),
        response_source(OTHER, CONTEXT, profile=unknown),
    ):
        assert (given.profile, given.model, given.tag) == (unknown, None, None)


def test_the_target_is_the_client_that_asked() -> None:
    target = reply_target(TOY, CONTEXT, LossRecorder(), created=1.0, seed="s")
    assert not target.include_usage
    assert target.echo == {"a": Raw(b"1")}
    assert (target.framing, target.created, target.seed) == ("sse", 1.0, "s")


def test_another_target_gets_everything_and_no_echo() -> None:
    for given in (
        reply_target(OTHER, CONTEXT, LossRecorder(), framing="messages"),
        reply_target(OTHER, None, LossRecorder(), framing="messages"),
    ):
        assert given.include_usage
        assert given.echo is None
        assert given.framing == "messages"
