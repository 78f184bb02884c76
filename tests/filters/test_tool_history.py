"""Tests of `llmwire.filters._tool_history`."""

from __future__ import annotations

import random
from typing import Any

import pytest
from msgspec import Raw

from llmwire.filters._tool_history import HistoryWriter, read_history
from llmwire.filters._tool_markup import syntax_of
from llmwire.filters._tool_tags import Markup
from llmwire.losses import Loss, LossRecorder
from llmwire.messages import (
    Base64,
    CacheMark,
    MediaPart,
    Message,
    Part,
    ReasoningPart,
    Signature,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from tests.filters.calling import DECLARED, call

IMAGE = MediaPart(kind="image", mime="image/png", source=Base64("AA=="))
READ_A = "<read>\n<path>a</path>\n</read>"
FAILED = "The tool execution failed with the following error:\n<error>\nno\n</error>"


def user(*parts: Part | str) -> Message:
    return Message(role="user", parts=_parts(parts))


def assistant(*parts: Part | str) -> Message:
    return Message(role="assistant", parts=_parts(parts))


def _parts(parts: tuple[Part | str, ...]) -> tuple[Part, ...]:
    return tuple(TextPart(p) if isinstance(p, str) else p for p in parts)


def asked(call_id: str = "c", name: str = "read", **more: Any) -> ToolCallPart:
    more.setdefault("arguments", '{"path":"a"}')
    return ToolCallPart(call_id=call_id, name=name, **more)


def result(*parts: Part | str, call_id: str = "c", **more: Any) -> ToolResultPart:
    return ToolResultPart(call_id=call_id, parts=_parts(parts), **more)


def write(
    *messages: Message, format: str = "cline"
) -> tuple[tuple[Message, ...], tuple[Loss, ...]]:
    losses = LossRecorder()
    tools = {tool.name: tool for tool in DECLARED}
    serial = format != "function_calls"
    writer = HistoryWriter(tools, syntax_of(format), serial=serial)
    return writer.written(messages, losses), losses.losses


def read(
    *messages: Message, format: str = "cline"
) -> tuple[tuple[Message, ...], tuple[Loss, ...]]:
    losses = LossRecorder()
    markup = Markup(DECLARED, syntax_of(format))
    return read_history(messages, markup, losses), losses.losses


class TestToText:
    def test_a_call_and_its_result(self) -> None:
        told, losses = write(user("go"), assistant(asked()), user(result("text")))
        assert told == (
            user("go"),
            assistant(READ_A),
            user("[read for 'a'] Result:\ntext"),
        )
        assert [(loss.path, loss.feature, loss.action) for loss in losses] == [
            ("messages[1].parts[0]", "filter.virtual_tools", "emulated"),
            ("messages[2].parts[0]", "filter.virtual_tools", "emulated"),
        ]

    def test_what_is_none_stays(self) -> None:
        messages = (user("a", IMAGE), assistant(ReasoningPart(text="t"), "b"))
        assert write(*messages) == (messages, ())

    def test_thoughts_and_texts_stay(self) -> None:
        thought = ReasoningPart(text="t", signature=Signature(origin="x", value="y"))
        for text, lines in (("ok", "\n\n"), ("ok\n", "")):
            told, _ = write(assistant(thought, text, asked()))
            assert told == (assistant(thought, text, lines + READ_A),)

    def test_calls_made_together_follow_each_other(self) -> None:
        first = Message(role="assistant", id="m", parts=(TextPart("x\n"), asked()))
        parts = (*first.parts, asked("d", arguments='{"path":"b"}'), TextPart("y"))
        messages = (
            Message(role="assistant", id="m", parts=parts),
            Message(
                role="user",
                id="u",
                parts=(result("two", call_id="d"), result("one"), TextPart("go on")),
            ),
        )
        told, losses = write(*messages)
        assert told == (
            Message(role="assistant", id="m", parts=_parts(("x\n", READ_A))),
            user("[read for 'a'] Result:\none"),
            assistant(READ_A.replace("a</", "b</"), "y"),
            Message(
                role="user",
                id="u",
                parts=_parts(("[read for 'b'] Result:\ntwo", "go on")),
            ),
        )
        assert [loss.path for loss in losses] == [
            "messages[0].parts[1]",
            "messages[0].parts[2]",
            "messages[1].parts[0]",
            "messages[1].parts[1]",
        ]

    def test_one_call_is_in_its_own_turn_already(self) -> None:
        told, _ = write(assistant(asked(), "y"), user("so", result("one")))
        assert told == (
            assistant(READ_A, "y"),
            user("so", "[read for 'a'] Result:\none"),
        )

    def test_calls_that_are_not_all_answered_stay_together(self) -> None:
        told, _ = write(assistant(asked(), asked("d")), user(result("one")))
        assert told == (
            assistant(f"{READ_A}\n{READ_A}"),
            user("[read for 'a'] Result:\none"),
        )

    def test_calls_in_a_block(self) -> None:
        told, _ = write(
            assistant(asked(), asked("d")),
            user(result("one"), result("two", call_id="d")),
            format="function_calls",
        )
        invoke = '<invoke name="read">\n<parameter name="path">a</parameter>\n</invoke>'
        assert told == (
            assistant(f"<function_calls>\n{invoke}\n{invoke}\n</function_calls>"),
            user("[read for 'a'] Result:\none", "[read for 'a'] Result:\ntwo"),
        )

    @pytest.mark.parametrize(
        ("given", "told"),
        [
            (result(), ["[read for 'a'] Result:\n"]),
            (result("no", error=True), [f"[read for 'a'] Result:\n{FAILED}"]),
            (result("x", IMAGE, "y"), ["[read for 'a'] Result:\nx", IMAGE, "y"]),
            (result(IMAGE), ["[read for 'a'] Result:\n", IMAGE]),
            (result("x", call_id="?"), ["[tool] Result:\nx"]),
            (result("x", call_id="?", name="f"), ["[f] Result:\nx"]),
            (
                result("x", call_id="?", name="mcp__a__b"),
                ["[use_mcp_tool for 'a'] Result:\nx"],
            ),
        ],
    )
    def test_results(self, given: ToolResultPart, told: list[Part | str]) -> None:
        assert write(assistant(asked()), user(given))[0][1] == user(*told)

    @pytest.mark.parametrize(
        ("part", "head"),
        [
            (asked(arguments="{}"), "[read] Result:\n"),
            (asked(name="mcp__srv__do_it"), "[use_mcp_tool for 'srv'] Result:\n"),
            (
                asked(name="patch", kind="custom", arguments=" one\ntwo"),
                "[patch for 'one'] Result:\n",
            ),
        ],
    )
    def test_heads(self, part: ToolCallPart, head: str) -> None:
        assert write(assistant(part), user(result()))[0][1] == user(head)

    def test_tools_that_are_not_declared(self) -> None:
        told, _ = write(assistant(asked(name="old", arguments='{"n":5}')))
        assert told == (assistant("<old>\n<n>5</n>\n</old>"),)
        custom = asked(name="read", kind="custom", arguments="x")
        told, _ = write(assistant(custom))
        assert told == (assistant("<read>\n<input>x</input>\n</read>"),)

    def test_marks_of_the_cache_stay(self) -> None:
        mark = CacheMark("5m")
        told, _ = write(
            assistant(asked(), asked("d", cache=mark)),
            user(result("x", IMAGE, cache=mark), result("y", call_id="d")),
            format="function_calls",
        )
        assert [part.cache for part in told[0].parts] == [mark]
        assert [part.cache for part in told[1].parts] == [None, mark, None]

    def test_what_a_text_cannot_have_is_told(self) -> None:
        signed = asked(
            signature=Signature(origin="gemini", value="s"), extras={"x": Raw(b"1")}
        )
        _, losses = write(assistant(signed), user(result(extras={"y": Raw(b"2")})))
        assert [(loss.path, loss.action) for loss in losses] == [
            ("messages[0].parts[0]", "emulated"),
            ("messages[0].parts[0].extras[x]", "dropped"),
            ("messages[0].parts[0].signature", "dropped"),
            ("messages[1].parts[0]", "emulated"),
            ("messages[1].parts[0].extras[y]", "dropped"),
        ]


class TestFromText:
    CALL = asked("call_0_0")

    def done(self, *parts: Part | str, **more: Any) -> ToolResultPart:
        return result(*parts, call_id="call_0_0", name="read", **more)

    def test_a_call_and_its_result(self) -> None:
        messages = (
            user("go"),
            assistant(f"ok\n{READ_A}"),
            user("[read for 'a'] Result:\ntext"),
        )
        found, losses = read(*messages)
        assert found == (
            user("go"),
            assistant("ok\n", self.CALL),
            user(self.done("text")),
        )
        assert [(loss.path, loss.action) for loss in losses] == [
            ("messages[1].parts", "emulated"),
            ("messages[2].parts", "emulated"),
        ]

    @pytest.mark.parametrize(
        ("parts", "found"),
        [
            (["[read] Result:\nx"], [["x"]]),
            (["[read] Result:"], [[]]),
            (["[read] Result:\n", "more"], [[], "more"]),
            (["[read] Result:", "x", IMAGE, "more"], [["x", IMAGE], "more"]),
            (["[read for 'a\nb'] Result:\nx", IMAGE], [["x", IMAGE]]),
            (["[read] Result: x"], [[" x"]]),
            (["[read] Result:", IMAGE], [[IMAGE]]),
            (
                ["[read] Result:", "<environment_details>e"],
                [[], "<environment_details>e"],
            ),
            (["before", "[read] Result:\nx"], ["before", ["x"]]),
        ],
    )
    def test_results(self, parts: list[Any], found: list[Any]) -> None:
        _, answered = read(assistant(READ_A), user(*parts))[0]
        expected = [
            self.done(*each) if isinstance(each, list) else each for each in found
        ]
        assert answered == user(*expected)

    def test_errors(self) -> None:
        _, answered = read(assistant(READ_A), user(f"[read] Result:\n{FAILED}"))[0]
        assert answered == user(self.done("no", error=True))
        empty = FAILED.replace("no", "")
        _, answered = read(assistant(READ_A), user(f"[read] Result:\n{empty}"))[0]
        assert answered == user(self.done(error=True))

    @pytest.mark.parametrize(
        "messages",
        [
            (assistant(READ_A),),
            (assistant(READ_A), assistant("x")),
            (assistant(READ_A), user("x")),
            (assistant(READ_A), user(IMAGE)),
            (assistant(READ_A), user("[write] Result:\nx")),
            (assistant(READ_A), user("[read for 'a] Result:\nx")),
            (assistant(READ_A), user("[read for '" + "x" * 5000 + "'] Result:\n")),
            (assistant(READ_A, READ_A), user("[read] Result:\nx")),
            (assistant(f"{READ_A}\n<read><path>"), user("[read] Result:\nx")),
            (assistant("x"), user("[read] Result:\nx")),
            (user(READ_A), user("[read] Result:\nx")),
        ],
    )
    def test_what_stays_as_it_is(self, messages: tuple[Message, ...]) -> None:
        assert read(*messages) == (messages, ())

    def test_several_calls_and_turns(self) -> None:
        thought = ReasoningPart(text="t")
        heads = ("[read] Result:", "[read] Result:\nx", "more")
        found, _ = read(
            assistant("hello"),
            user("x"),
            assistant(thought, READ_A, f"y\n{READ_A}\nz"),
            user(*heads),
        )
        assert found[2:] == (
            assistant(thought, asked("call_1_0"), "y\n", asked("call_1_1"), "\nz"),
            user(
                result(call_id="call_1_0", name="read"),
                result("x", call_id="call_1_1", name="read"),
                "more",
            ),
        )

    def test_the_first_text_keeps_what_it_had(self) -> None:
        mark = CacheMark("5m")
        part = TextPart(f"a\n{READ_A}", id="i", cache=mark)
        head = TextPart("[read] Result:\nx", cache=mark)
        found, _ = read(assistant(part), user(head))
        assert found == (
            assistant(TextPart("a\n", id="i"), asked("call_0_0", cache=mark)),
            user(self.done("x", cache=mark)),
        )

    def test_tools_of_servers_and_free_text(self) -> None:
        text = (
            "<use_mcp_tool><server_name>srv</server_name><tool_name>do_it</tool_name>"
            "<arguments>{}</arguments></use_mcp_tool>"
        )
        patch = "<patch><input>x</input></patch>"
        found, _ = read(
            assistant(text), user("[use_mcp_tool for 'srv'] Result:\nx"),
            assistant(patch), user("[patch] Result:\ny"),
        )  # fmt: skip
        name = "mcp__srv__do_it"
        custom = asked("call_1_0", "patch", kind="custom", arguments="x")
        assert found == (
            assistant(asked("call_0_0", name, arguments="{}")),
            user(result("x", call_id="call_0_0", name=name)),
            assistant(custom),
            user(result("y", call_id="call_1_0", name="patch", kind="custom")),
        )


@pytest.mark.parametrize("format", ["cline", "function_calls"])
def test_what_is_written_is_read(format: str) -> None:
    rng = random.Random(9)
    for _ in range(500):
        messages: list[Message] = []
        for turn in range(3):
            tool, arguments = call(rng, DECLARED)
            kind: Any = "custom" if tool.custom else "function"
            call_id = f"call_{turn}_0"
            part = asked(call_id, tool.name, arguments=arguments, kind=kind)
            given: tuple[Part | str, ...] = (rng.choice(("x", "\n", "a\n<b>")), IMAGE)
            answer = result(
                *given[rng.randrange(2) :],
                call_id=call_id,
                name=tool.name,
                kind=kind,
                error=rng.random() < 0.2,
            )
            messages += [assistant("so\n", part), user(answer, "next")]
        told, _ = write(*messages, format=format)
        found, _ = read(*told, format=format)
        for want, got in zip(messages, found, strict=True):
            if want.role == "user":
                assert got == want
            else:
                assert _named(got) == _named(want)


def _named(message: Message) -> list[tuple[str, str]]:
    return [
        (part.call_id, part.name)
        for part in message.parts
        if isinstance(part, ToolCallPart)
    ]
