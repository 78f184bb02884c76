"""What is said of what could not be carried, and what the policy makes of it."""

from __future__ import annotations

import pickle
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from llmwire._json import escaped, nested
from llmwire.errors import LocalProtocolError, UnsupportedFeature
from llmwire.losses import (
    FEATURES,
    Loss,
    LossAction,
    LossRecorder,
    Policy,
    PolicyChoice,
)
from llmwire.messages import Extras
from llmwire.strategies import extras

SOFT = "citations"
HARD = "media.image"
EMULATED = "tool.custom"
NAMES = sorted(FEATURES)
CHOICES = get_args(PolicyChoice)
TELLERS = ("drop", "approximate", "emulate", "default")


def _tell(recorder: LossRecorder, how: str, feature: str, path: str = "stop") -> None:
    getattr(recorder, how)(feature, path, "because")


def _refusal(recorder: LossRecorder, how: str, feature: str) -> Loss:
    with pytest.raises(UnsupportedFeature) as caught:
        _tell(recorder, how, feature)
    assert recorder.losses == ()
    return caught.value.loss


def test_the_table_of_features() -> None:
    assert list(FEATURES) == NAMES
    for feature in FEATURES.values():
        assert feature.text
        assert feature.default in CHOICES
    assert FEATURES[HARD].hard
    assert not FEATURES[SOFT].hard


@pytest.mark.parametrize(
    ("how", "action"),
    [
        ("drop", "dropped"),
        ("approximate", "approximated"),
        ("emulate", "emulated"),
        ("default", "defaulted"),
    ],
)
def test_what_is_told_is_recorded(how: str, action: LossAction) -> None:
    recorder = LossRecorder()
    _tell(recorder, how, SOFT, "messages[0].parts[1].citations")
    assert recorder.losses == (
        Loss(
            path="messages[0].parts[1].citations",
            feature=SOFT,
            action=action,
            reason="because",
        ),
    )


def test_each_loss_is_recorded_once_and_in_order() -> None:
    recorder = LossRecorder()
    recorder.drop(SOFT, "b", "first reason")
    recorder.drop(SOFT, "a", "because")
    recorder.drop(SOFT, "b", "second reason")
    recorder.approximate(SOFT, "b", "because")
    told = [(loss.path, loss.action, loss.reason) for loss in recorder.losses]
    assert told == [
        ("b", "dropped", "first reason"),
        ("a", "dropped", "because"),
        ("b", "approximated", "because"),
    ]


@given(
    st.sampled_from(NAMES),
    st.dictionaries(st.sampled_from(NAMES), st.sampled_from(CHOICES), max_size=3),
    st.sampled_from(("record", "refuse")),
    st.sampled_from(TELLERS),
    st.booleans(),
)
def test_when_a_request_is_refused(
    feature: str, policy: Policy, on_loss: str, how: str, response: bool
) -> None:
    recorder = LossRecorder(
        policy,
        on_loss,  # type: ignore[arg-type]  # one of the two
        response=response,
    )
    chosen = policy.get(feature)
    refused = chosen == "refuse"
    if how == "drop":
        hard = FEATURES[feature].hard and chosen is None
        refused = refused or hard or on_loss == "refuse"
    if refused and not response:
        assert _refusal(recorder, how, feature).action == "refused"
    else:
        _tell(recorder, how, feature)
        assert [loss.action for loss in recorder.losses] != ["refused"]
        assert len(recorder.losses) == 1


def test_a_refusal_says_what_and_why() -> None:
    loss = _refusal(LossRecorder({SOFT: "refuse"}), "emulate", SOFT)
    assert loss == Loss(path="stop", feature=SOFT, action="refused", reason="because")


def test_hard_features_may_be_dropped_by_policy() -> None:
    assert _refusal(LossRecorder(), "drop", HARD).feature == HARD
    for chosen in ("drop", "emulate"):
        recorder = LossRecorder({HARD: chosen})
        _tell(recorder, "drop", HARD)
        assert len(recorder.losses) == 1


def test_on_loss_refuse_concerns_drops_only() -> None:
    recorder = LossRecorder(on_loss="refuse")
    for how in ("approximate", "emulate", "default"):
        _tell(recorder, how, SOFT)
    assert len(recorder.losses) == 3
    with pytest.raises(UnsupportedFeature):
        _tell(recorder, "drop", SOFT)


def test_responses_are_never_refused() -> None:
    policy: Policy = {SOFT: "refuse"}
    recorder = LossRecorder(policy, "refuse", response=True)
    for how in TELLERS:
        _tell(recorder, how, SOFT)
        _tell(recorder, how, HARD)
    assert len(recorder.losses) == 8


def test_choices() -> None:
    recorder = LossRecorder({SOFT: "refuse", EMULATED: "drop"})
    assert recorder.choice(SOFT) == "refuse"
    assert recorder.choice(EMULATED) == "drop"
    assert not recorder.emulates(EMULATED)
    assert LossRecorder().choice(SOFT) == "drop"
    assert LossRecorder().emulates(EMULATED)


def test_unknown_features_are_misuse() -> None:
    with pytest.raises(LocalProtocolError, match="unknown feature `x`"):
        LossRecorder({SOFT: "drop", "x": "drop"})


def test_extras_are_one_loss_each() -> None:
    recorder = LossRecorder()
    found: Extras = {
        "x_a": Raw(b"1"),
        "x_null": Raw(b"null"),
        "@note": Raw(b"1"),
        "message/x_b": Raw(b'"null"'),
    }
    recorder.drop_extras(found, "choices[0]")
    recorder.drop_extras({"x_c": Raw(b"[]")}, "")
    recorder.drop_extras(None, "messages[0]")
    recorder.drop_extras({}, "messages[0]")
    assert [loss.path for loss in recorder.losses] == [
        "choices[0].extras[x_a]",
        "choices[0].extras[message/x_b]",
        "extras[x_c]",
    ]
    assert {loss.feature for loss in recorder.losses} == {"extras"}


@given(extras())
def test_extras_may_be_refused(found: Extras) -> None:
    recorder = LossRecorder(on_loss="refuse")
    if all(bytes(value) == b"null" for value in found.values()):
        recorder.drop_extras(found, "")
        assert recorder.losses == ()
    else:
        with pytest.raises(UnsupportedFeature):
            recorder.drop_extras(found, "")


def test_members_that_look_like_notes_are_told() -> None:
    recorder = LossRecorder()
    recorder.drop_extras(nested("", {"@type": Raw(b"1")}, None), "")
    assert recorder.losses[0].path == f"extras[{escaped('@type')}]"


def test_everything_can_be_pickled() -> None:
    recorder = LossRecorder({SOFT: "drop"})
    _tell(recorder, "drop", SOFT)
    copy = pickle.loads(pickle.dumps(recorder))
    assert copy.losses == recorder.losses
    assert copy.choice(SOFT) == "drop"
    assert pickle.loads(pickle.dumps(FEATURES[SOFT])) == FEATURES[SOFT]


def test_policy_choices_are_checked() -> None:
    policy: Any = {"stop": "refused"}
    with pytest.raises(LocalProtocolError, match="policy for `stop` is `refused`"):
        LossRecorder(policy)
