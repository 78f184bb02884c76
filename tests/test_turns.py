"""Tests of `llmwire._turns`: conversations made fit for a target."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from llmwire import _turns
from llmwire._ids import is_minted_call, mint_call
from llmwire._turns import (
    PLACEMENT,
    UNSHOWN,
    Placed,
    answered,
    call_names,
    carrier,
    legal_call_id,
    legal_names,
    plain_text,
    reasoning_text,
    results_first,
    sent_call_id,
    settled_signatures,
    turns,
    with_legal_call_ids,
    with_words,
    without_placement,
)
from llmwire.errors import UnsupportedFeature
from llmwire.losses import LossRecorder, Policy
from llmwire.messages import (
    Message,
    OpaquePart,
    Part,
    ReasoningPart,
    Role,
    ServerToolCallPart,
    Signature,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from llmwire.requests import Request, Tool, ToolChoice
from llmwire.strategies import requests

_RULES = ("any", "safe", "alphanumeric9")
_EMULATE: Policy = {"call.unanswered": "emulate"}
_IDS = st.one_of(st.text(max_size=80), st.sampled_from(["", "call_0", "functions.f:0"]))


def call(call_id: str, name: str = "f") -> ToolCallPart:
    return ToolCallPart(call_id=call_id, name=name)


def result(call_id: str, text: str = "") -> ToolResultPart:
    return ToolResultPart(call_id=call_id, parts=(TextPart(text),) if text else ())


def said(role: Role, *parts: Part | str) -> Message:
    texts = (TextPart(p) if isinstance(p, str) else p for p in parts)
    return Message(role=role, parts=tuple(texts))


def parts_of(messages: Iterable[Message]) -> list[Part]:
    return [part for message in messages for part in message.parts]


class TestCallIds:
    """Ids of calls, by the rule of the target."""

    @given(_IDS, st.sampled_from(_RULES), st.integers(27, 80))
    def test_they_are_legal_and_depend_on_nothing_else(
        self, call_id: str, rule: str, limit: int
    ) -> None:
        sent = legal_call_id(call_id, rule, limit)
        assert sent
        assert len(sent) <= limit
        if rule == "alphanumeric9":
            assert re.fullmatch(r"[A-Za-z0-9]{9}", sent)
        if rule == "safe":
            assert re.fullmatch(r"[A-Za-z0-9_-]+", sent)
        assert legal_call_id(call_id, rule, limit) == sent
        assert legal_call_id(sent, rule, limit) == sent

    @pytest.mark.parametrize(
        ("call_id", "rule", "kept"),
        [
            ("call_1", "any", True),
            ("functions.f:0", "any", True),
            ("functions.f:0", "safe", False),
            ("call_1\n", "safe", False),
            ("", "any", False),
            ("x" * 64, "any", True),
            ("x" * 65, "any", False),
            ("Ab3456789", "alphanumeric9", True),
            ("call_1", "alphanumeric9", False),
        ],
    )
    def test_what_is_legal_is_kept(self, call_id: str, rule: str, kept: bool) -> None:
        assert (legal_call_id(call_id, rule, 64) == call_id) is kept

    @given(requests(), st.sampled_from(_RULES), st.booleans())
    def test_calls_and_results_stay_together(
        self, request: Request, rule: str, unique: bool
    ) -> None:
        mapped = with_legal_call_ids(request.messages, rule, 64, unique=unique)
        current: dict[str, str] = {}
        seen: list[str] = []
        for old, new in zip(parts_of(request.messages), parts_of(mapped), strict=True):
            if isinstance(old, ToolCallPart) and isinstance(new, ToolCallPart):
                assert legal_call_id(new.call_id, rule, 64) == new.call_id
                current[old.call_id] = new.call_id
                seen.append(new.call_id)
            elif isinstance(old, ToolResultPart) and isinstance(new, ToolResultPart):
                known = current.get(old.call_id)
                assert new.call_id == known or known is None
            else:
                assert new is old
        assert not unique or len(set(seen)) == len(seen)
        again = with_legal_call_ids(mapped, rule, 64, unique=unique)
        assert again is mapped

    def test_nothing_to_do_changes_nothing(self) -> None:
        messages = (said("assistant", call("a")), said("user", result("a"), "x"))
        assert with_legal_call_ids(messages, "safe", 64, unique=True) is messages

    @pytest.mark.parametrize("rule", _RULES)
    def test_ids_of_later_turns_are_told_apart(self, rule: str) -> None:
        one = (said("assistant", call("call_0")), said("user", result("call_0")))
        messages = with_legal_call_ids((*one, *one), rule, 64, unique=True)
        ids = [p.call_id for p in parts_of(messages) if isinstance(p, ToolCallPart)]
        results = [
            p.call_id for p in parts_of(messages) if isinstance(p, ToolResultPart)
        ]
        assert len(set(ids)) == 2
        assert ids == results
        assert all(legal_call_id(each, rule, 64) == each for each in ids)
        assert with_legal_call_ids(one, rule, 64, unique=True) == messages[:2]

    def test_a_result_without_its_call_is_mapped_too(self) -> None:
        (message,) = with_legal_call_ids((said("user", result("a:b")),), "safe", 64)
        (part,) = message.parts
        assert part == result(legal_call_id("a:b", "safe", 64))

    def test_ids_that_were_minted_need_not_be_sent(self) -> None:
        assert sent_call_id("call_1") == "call_1"
        assert sent_call_id(mint_call("seed", 0)) is None
        assert is_minted_call(legal_call_id("", "any", 64))


class TestNames:
    """Names of tools, by the rule of the target."""

    @staticmethod
    def legal(name: str) -> bool:
        return re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]{0,31}", name) is not None

    @given(requests(), st.lists(st.text(max_size=40), max_size=6))
    def test_they_are_legal_and_can_be_undone(
        self, request: Request, names: list[str]
    ) -> None:
        tools = tuple(Tool(name=name) for name in names)
        asked = Request(messages=request.messages, tools=tools)
        sent = legal_names(asked, self.legal, 32, "_")
        assert all(map(self.legal, sent.values()))
        assert not any(map(self.legal, sent))
        told = set(names) | set(call_names(request.messages).values())
        mapped = [sent.get(name, name) for name in told]
        assert len(set(mapped)) == len(mapped)

    def test_everything_that_names_a_tool_is_looked_at(self) -> None:
        request = Request(
            tools=(
                Tool(name="a.b"),
                Tool(kind="custom", name="c.d"),
                Tool(kind="server", name="e.f"),
            ),
            tool_choice=ToolChoice(mode="required", names=("g.h",)),
            messages=(said("assistant", "x", call("1", "i.j")),),
        )
        assert legal_names(request, self.legal, 32) == {
            name: name.replace(".", "_") for name in ("a.b", "c.d", "g.h", "i.j")
        }

    def test_names_that_would_be_equal_are_told_apart(self) -> None:
        names = ("a_b", "a.b", "a:b")
        request = Request(tools=tuple(Tool(name=name) for name in names))
        sent = legal_names(request, self.legal, 32)
        assert list(sent) == ["a.b", "a:b"]
        assert all(re.fullmatch(r"a_b_[a-z2-7]{8}", name) for name in sent.values())

    @pytest.mark.parametrize(
        ("name", "pattern"),
        [
            ("1a", "_1a"),
            ("-a", "_-a"),
            ("", "_"),
            ("é", "_"),
            ("x" * 33, "x{23}_[a-z2-7]{8}"),
            ("1" * 32, "_1{22}_[a-z2-7]{8}"),
        ],
    )
    def test_forms(self, name: str, pattern: str) -> None:
        sent = legal_names(Request(tools=(Tool(name=name),)), self.legal, 32, "_")
        assert re.fullmatch(pattern, sent[name])

    def test_names_of_calls(self) -> None:
        messages = [said("assistant", call("a", "f"), "x"), said("user", result("a"))]
        assert call_names(messages) == {"a": "f"}


class TestTurns:
    """Neighbours of one role become one turn."""

    @given(requests())
    def test_nothing_is_lost(self, request: Request) -> None:
        merged = turns(request.messages)
        placed = [placed for turn in merged for placed in turn.parts]
        assert [p.part for p in placed] == parts_of(request.messages)
        assert [at for turn in merged for at in turn.messages] == list(
            range(len(request.messages))
        )
        roles = [turn.role for turn in merged]
        assert all(a != b for a, b in pairwise(roles))

    def test_every_part_keeps_its_place(self) -> None:
        messages = [said("user", "a", "b"), said("user", "c"), said("assistant", "d")]
        first, second = turns(messages)
        assert [p.path for p in first.parts] == [
            "messages[0].parts[0]",
            "messages[0].parts[1]",
            "messages[1].parts[0]",
        ]
        assert (first.role, first.messages) == ("user", (0, 1))
        assert (second.role, second.messages) == ("assistant", (2,))

    def test_results_go_first_in_the_order_of_their_calls(self) -> None:
        parts: tuple[Part, ...] = (TextPart("x"), *map(result, "zb"))
        parts += (TextPart("y"), result("a"))
        placed = tuple(Placed(str(at), part) for at, part in enumerate(parts))
        ordered = results_first(placed, ["a", "b"])
        assert [p.path for p in ordered] == ["4", "2", "1", "0", "3"]


class TestAnswered:
    """Every call has its result, every result its call."""

    def test_what_is_in_order_stays(self) -> None:
        messages = (
            said("assistant", "x", call("a"), call("b")),
            said("user", result("b"), result("a")),
            said("assistant", call("c")),
        )
        losses = LossRecorder()
        assert answered(messages, losses) is messages
        assert losses.losses == ()
        assert answered((), losses) == ()

    def test_a_run_of_assistant_messages_is_one_turn(self) -> None:
        messages = (
            said("assistant", call("a")),
            said("assistant", call("b")),
            said("user", result("a"), result("b")),
        )
        assert answered(messages, LossRecorder()) is messages

    def test_a_result_without_its_call_is_refused_or_dropped(self) -> None:
        messages = (said("user", result("a"), "x"),)
        with pytest.raises(UnsupportedFeature):
            answered(messages, LossRecorder())
        losses = LossRecorder({"tool_result.orphan": "drop"})
        assert answered(messages, losses) == (said("user", "x"),)
        assert [(each.path, each.feature) for each in losses.losses] == [
            ("messages[0].parts[0]", "tool_result.orphan")
        ]

    def test_a_result_answers_once(self) -> None:
        messages = (
            said("assistant", call("a")),
            said("user", result("a"), result("a")),
        )
        losses = LossRecorder({"tool_result.orphan": "drop"})
        assert answered(messages, losses)[1] == said("user", result("a"))

    def test_a_result_of_the_servers_own_call(self) -> None:
        hosted = ServerToolCallPart(name="search", call_id="a")
        messages = (said("assistant", hosted), said("user", result("a")))
        losses = LossRecorder({"tool.server_part": "drop"})
        assert answered(messages, losses)[1] == said("user")
        assert [each.feature for each in losses.losses] == ["tool.server_part"]

    def test_a_call_of_the_user_is_none(self) -> None:
        messages = (said("user", call("a")), said("assistant", "x"))
        assert answered(messages, LossRecorder()) is messages

    def test_a_call_without_a_result_is_refused(self) -> None:
        for messages in (
            (said("assistant", call("a")), said("user", "x")),
            (said("assistant", call("a")), said("user", "x"), said("assistant", "y")),
        ):
            with pytest.raises(UnsupportedFeature, match=re.escape("[0].parts[0]")):
                answered(messages, LossRecorder())
            losses = LossRecorder({"call.unanswered": "drop"})
            assert answered(messages, losses) == messages

    def test_results_are_made_up_where_that_is_the_policy(self) -> None:
        asked, next_asked = said("assistant", call("a")), said("assistant", call("b"))
        last = said("assistant", call("c"))
        losses = LossRecorder(_EMULATE)
        messages = (asked, said("user", "x"), next_asked, said("user", "y"))
        given = answered((*messages, last, said("user", "z")), losses)
        assert [self._shape(message) for message in given] == [
            "a",
            "x",
            "a!",
            "b",
            "y",
            "b!",
            "c",
            "c!",
            "z",
        ]
        assert [each.path for each in losses.losses] == [
            f"messages[{at}].parts[0]" for at in (0, 2, 4)
        ]
        (made_up,) = given[2].parts
        assert isinstance(made_up, ToolResultPart)
        assert made_up.error
        assert plain_text(made_up.parts) == _turns.NO_RESULT

    @staticmethod
    def _shape(message: Message) -> str:
        (part,) = message.parts
        if isinstance(part, TextPart):
            return part.text
        assert isinstance(part, (ToolCallPart, ToolResultPart))
        return part.call_id + ("!" if isinstance(part, ToolResultPart) else "")

    @given(
        st.lists(st.tuples(st.booleans(), st.lists(st.sampled_from("abc"))), max_size=8)
    )
    def test_afterwards_it_holds(self, turns: list[tuple[bool, list[str]]]) -> None:
        messages = tuple(
            said("assistant", *map(call, dict.fromkeys(ids)))
            if ours
            else said("user", "x", *map(result, ids))
            for ours, ids in turns
        )
        losses = LossRecorder({**_EMULATE, "tool_result.orphan": "drop"})
        given = answered(messages, losses)
        open_calls: set[str] = set()
        before = ""
        for message in given:
            if message.role == "assistant" and before == "user":
                assert not open_calls
            before = message.role
            for part in message.parts:
                if isinstance(part, ToolCallPart):
                    open_calls.add(part.call_id)
                elif isinstance(part, ToolResultPart):
                    open_calls.remove(part.call_id)
        assert not open_calls or before == "assistant"
        assert answered(given, LossRecorder()) == given


class TestSignatures:
    """Signatures that rode on a thought of their own."""

    SIGNED = Signature(origin="gemini", value="s")
    OTHER = Signature(origin="gemini", value="t")

    def test_they_go_to_their_neighbour(self) -> None:
        text, asked = TextPart("x"), call("a")
        before, behind = carrier(self.SIGNED, "next"), carrier(self.OTHER, "prev")
        assert settled_signatures([text, before, asked, text, behind]) == (
            text,
            ToolCallPart(call_id="a", name="f", signature=self.SIGNED),
            TextPart("x", signature=self.OTHER),
        )

    def test_without_a_neighbour_they_stay_thoughts(self) -> None:
        thought = ReasoningPart(signature=self.SIGNED)
        for placement in ("next", "prev", "here"):
            assert settled_signatures([carrier(self.SIGNED, placement)]) == (thought,)

    def test_two_for_one_neighbour(self) -> None:
        first, second = carrier(self.SIGNED, "next"), carrier(self.OTHER, "next")
        assert settled_signatures([first, second, TextPart("x")]) == (
            ReasoningPart(signature=self.OTHER),
            TextPart("x", signature=self.SIGNED),
        )

    def test_other_parts_stay(self) -> None:
        noted = TextPart("x", extras={PLACEMENT: Raw(b'"next"')})
        thought = ReasoningPart(text="x", extras={"a": Raw(b"1")})
        assert settled_signatures([noted, thought]) == (noted, thought)

    def test_a_note_is_taken_off_alone(self) -> None:
        extras = {PLACEMENT: Raw(b'"next"'), "a": Raw(b"1")}
        assert without_placement(ReasoningPart(extras=extras)).extras == {
            "a": Raw(b"1")
        }
        assert without_placement(carrier(self.SIGNED, "next")).extras is None


def test_texts_are_joined_by_a_blank_line() -> None:
    assert (
        reasoning_text(ReasoningPart(summary=("a", "", "b"), text="c")) == "a\n\nb\n\nc"
    )
    assert reasoning_text(ReasoningPart()) == ""
    parts = (TextPart("a"), TextPart(""), call("x"), TextPart("b"))
    assert plain_text(parts) == "a\n\nb"


# Results that only another dialect can say


def _foreign(raw: bytes = b'{"a": 1}') -> OpaquePart:
    return OpaquePart(dialect="anthropic", kind="x", raw=Raw(raw))


def _worded(*parts: Part, **options: str) -> tuple[ToolResultPart, LossRecorder]:
    losses = LossRecorder({"message.empty": "drop"} if options.get("drop") else None)
    given = ToolResultPart(call_id="c", parts=parts)
    return with_words(given, "p", options.get("to", "gemini"), losses), losses


def test_a_result_of_foreign_parts_alone_is_their_json() -> None:
    long = _foreign(b'"%b"' % (b"x" * 2000))
    found, losses = _worded(_foreign(), long)
    assert found.parts == (TextPart('{"a": 1}'), TextPart(UNSHOWN))
    assert [(e.path, e.feature, e.action) for e in losses.losses] == [
        ("p.parts[0]", "opaque", "emulated"),
        ("p.parts[1]", "opaque", "emulated"),
    ]
    assert losses.losses[0].reason != losses.losses[1].reason


@pytest.mark.parametrize("parts", [(), (TextPart("a"),), (_foreign(), TextPart("a"))])
def test_a_result_that_says_something_stays(parts: tuple[Part, ...]) -> None:
    found, losses = _worded(*parts)
    assert found.parts == parts
    assert losses.losses == ()


def test_a_result_stays_where_it_can_be_said_or_may_be_empty() -> None:
    for options in ({"to": "anthropic"}, {"drop": "yes"}):
        found, losses = _worded(_foreign(), **options)
        assert found.parts == (_foreign(),)
        assert losses.losses == ()
