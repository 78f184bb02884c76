"""Gemini's requests: what a client writes, and what other dialects become."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from msgspec import Raw
from msgspec.structs import replace

from llmwire import _seal
from llmwire._ids import is_minted_call
from llmwire.dialects import RequestTarget
from llmwire.errors import LimitExceeded, RemoteProtocolError, UnsupportedFeature
from llmwire.http import HTTPRequest
from llmwire.limits import Limits
from llmwire.losses import LossRecorder
from llmwire.messages import (
    Base64,
    CacheMark,
    Citation,
    FileId,
    MediaPart,
    Message,
    OpaquePart,
    Part,
    PlainText,
    ReasoningPart,
    RefusalPart,
    ServerToolCallPart,
    ServerToolResultPart,
    Signature,
    TextPart,
    TokenLogprob,
    ToolCallPart,
    ToolResultPart,
    Url,
)
from llmwire.profiles import Profile, resolve
from llmwire.requests import (
    AudioOutput,
    Logprobs,
    OutputFormat,
    Reasoning,
    Request,
    Sampling,
    ServerState,
    Tool,
    ToolChoice,
)
from tests.dialects.gemini_pair import (
    DROP,
    GEMINI,
    encode_request,
    read_request,
    told,
    write_request,
)
from tests.normal_forms import differences, normalised

THREE = resolve("gemini", None, "gemini-3-pro")
OLD = resolve("gemini", None, "gemini-1.5-flash")


def _contents(*contents: Any, **more: Any) -> dict[str, Any]:
    return {"contents": list(contents), **more}


def _user(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "parts": list(parts)}


def _model(*parts: Any) -> dict[str, Any]:
    return {"role": "model", "parts": list(parts)}


HI = _user({"text": "Hi"})


def _same(body: Any, **fields: Any) -> Request:
    """R2, and nothing reported."""
    request = read_request(body, **fields)
    written, losses = write_request(request, None, profile=resolve("gemini"))
    left = normalised(body, "gemini", "request")
    assert differences(left, normalised(written, "gemini", "request")) == []
    assert losses == ()
    return request


# --- R2 ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        _contents(HI, generationConfig={}),
        _contents(HI, generationConfig=None, tools=None, toolConfig=None),
        _contents(HI, systemInstruction=None, cachedContent=None, labels={"a": "b"}),
        _contents(HI, tools=[], toolConfig={}, store=True, safetySettings=[]),
        _contents(HI, toolConfig={"functionCallingConfig": None}),
        _contents(HI, toolConfig={"retrievalConfig": {"languageCode": "de"}}),
        _contents(HI, toolConfig={"functionCallingConfig": {}, "retrievalConfig": {}}),
        _contents(HI, toolConfig={"functionCallingConfig": {"mode": 2}}),
        _contents(HI, toolConfig={"functionCallingConfig": {"mode": 99}}),
        _contents(HI, serviceTier="flex", cachedContent="cachedContents/x"),
        _contents(HI, serviceTier="STANDARD", continuationToken="t"),
        _contents(HI, serviceTier=2, model="models/gemini-3-pro"),
        _contents(HI, model=None, serviceTier=None),
        _contents({"parts": [{"text": "a"}]}, {"role": "function", "parts": []}),
        _contents({"role": "USER", "new": 1}, {"role": "model", "parts": None}),
        _contents(HI, systemInstruction={"parts": {"text": "be"}, "role": "system"}),
        _contents(HI, systemInstruction={"parts": []}),
        {"contents": HI, "tools": {"googleSearch": {}}},
        _contents(HI, tools=[{}, {"functionDeclarations": []}, {"newTool": {"a": 1}}]),
        _contents(HI, tools=[{"functionDeclarations": None, "codeExecution": None}]),
        _contents(
            HI,
            tools=[
                {
                    "functionDeclarations": [
                        {"name": "f", "description": None, "parameters": None},
                        {
                            "name": "g",
                            "description": "",
                            "parameters": {"type": "OBJECT", "nullable": True},
                            "parametersJsonSchema": {"type": "object"},
                            "behavior": "BLOCKING",
                            "@odd": 1,
                        },
                        {"name": "h", "parametersJsonSchema": None, "response": {}},
                    ],
                    "codeExecution": {},
                },
                {"functionDeclarations": [{"name": "i"}]},
            ],
        ),
        _contents(
            HI,
            generationConfig={
                "candidateCount": 2,
                "stopSequences": ["a"],
                "maxOutputTokens": 9,
                "temperature": 3.5,
                "topP": 0.5,
                "topK": 40.0,
                "seed": 7,
                "presencePenalty": 1,
                "frequencyPenalty": -1,
                "responseLogprobs": True,
                "logprobs": 3,
                "mediaResolution": "MEDIA_RESOLUTION_LOW",
                "imageConfig": {"aspectRatio": "1:1"},
                "brandNew": {"a": 1},
                "@odd/~key": 1,
            },
        ),
        _contents(
            HI,
            generationConfig={
                "candidateCount": None,
                "stopSequences": [],
                "seed": None,
                "topK": None,
                "logprobs": 5,
                "responseLogprobs": None,
                "responseModalities": [],
                "thinkingConfig": None,
                "responseMimeType": None,
                "responseSchema": None,
                "responseJsonSchema": None,
            },
        ),
        _contents(HI, generationConfig={"stopSequences": "END", "logprobs": None}),
        _contents(HI, generationConfig={"thinkingConfig": {}}),
        _contents(
            HI, generationConfig={"thinkingConfig": {"thinkingLevel": "low", "x": 1}}
        ),
        _contents(HI, generationConfig={"thinkingConfig": {"thinkingLevel": 2}}),
        _contents(HI, generationConfig={"thinkingConfig": {"thinkingLevel": 9}}),
        _contents(
            HI,
            generationConfig={
                "thinkingConfig": {
                    "thinkingLevel": "THINKING_LEVEL_UNSPECIFIED",
                    "includeThoughts": False,
                }
            },
        ),
        _contents(
            HI,
            generationConfig={
                "thinkingConfig": {"thinkingBudget": 0, "includeThoughts": True}
            },
        ),
        _contents(HI, generationConfig={"responseModalities": ["Text", "IMAGE"]}),
        _contents(HI, generationConfig={"responseModalities": ["AUDIO", 2]}),
        _contents(
            HI,
            generationConfig={
                "speechConfig": {
                    "voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}
                }
            },
        ),
        _contents(HI, generationConfig={"speechConfig": {"languageCode": "de"}}),
        _contents(HI, generationConfig={"speechConfig": {"voiceConfig": 5}}),
        _contents(HI, generationConfig={"responseMimeType": "text/plain"}),
        _contents(HI, generationConfig={"responseMimeType": "application/json"}),
        _contents(HI, generationConfig={"responseMimeType": "text/csv"}),
        _contents(
            HI,
            generationConfig={
                "responseMimeType": "text/csv",
                "responseSchema": {"type": "STRING"},
            },
        ),
        _contents(
            HI,
            generationConfig={
                "responseMimeType": "text/csv",
                "responseJsonSchema": {"type": "string"},
            },
        ),
        _contents(
            HI,
            generationConfig={
                "responseMimeType": "text/x.enum",
                "responseSchema": {"type": "STRING", "enum": ["a"]},
            },
        ),
        _contents(
            HI,
            generationConfig={
                "responseSchema": {"type": "STRING"},
                "responseJsonSchema": {"type": "string"},
            },
        ),
        _contents(HI, generationConfig={"responseJsonSchema": {"type": "string"}}),
        _contents(
            _user(
                {"text": "a", "thought": False, "thoughtSignature": ""},
                {"text": "", "partMetadata": {}},
                {"inlineData": {"mimeType": "image/png", "data": "QUJD", "new": 1}},
                {"inlineData": {"mimeType": "image/png", "data": "QU-_"}},
                {"inlineData": {"mimeType": "image/png", "data": "QU-"}},
                {"inlineData": {"mimeType": "image/png", "data": "QU+"}},
                {"inlineData": {"mimeType": "image/png", "displayName": "x"}},
                {"fileData": {"fileUri": "files/abc", "mimeType": "video/mp4"}},
                {
                    "fileData": {"fileUri": "https://x.test/a.mp4", "new": 1},
                    "videoMetadata": {"fps": 1},
                    "mediaResolution": {"level": "MEDIA_RESOLUTION_HIGH"},
                },
                {
                    "fileData": {},
                    "mediaResolution": {"level": "MEDIA_RESOLUTION_ULTRA_HIGH"},
                },
                {},
                {"videoMetadata": {"fps": 1}},
                {"hologram": {"a": 1}, "zero": None},
                {"zero": None},
            ),
            _model(
                {"text": "thinking", "thought": True},
                {"text": "", "thought": True, "thoughtSignature": "cw=="},
                {
                    "executableCode": {"code": "1", "id": "x"},
                    "thoughtSignature": "cw==",
                },
                {"codeExecutionResult": {"output": "1", "id": 5}},
                {"toolCall": {"args": {"id": "inner"}}},
                {"toolResponse": 5},
                {"functionCall": {"name": "f"}, "text": "both"},
                {"functionCall": {"name": "f", "args": None}, "thought": True},
                {"functionCall": {"name": "f", "args": {"a": 1.50}, "new": 1}},
                {"functionCall": {"name": "f", "args": [1], "willContinue": True}},
                {"functionCall": {"name": "f", "partialArgs": [{}], "id": "c5"}},
            ),
            {
                "role": "user",
                "parts": [
                    {"functionResponse": {"name": "f", "response": {"output": "a"}}},
                    {"functionResponse": {"name": "f", "response": {"output": [1]}}},
                    {"functionResponse": {"name": "f", "response": {"error": "a"}}},
                    {
                        "functionResponse": {
                            "name": "f",
                            "id": "c5",
                            "response": {"error": {"a": 1}},
                            "parts": [],
                        }
                    },
                    {
                        "functionResponse": {
                            "name": "g",
                            "response": {"a": 1, "error": 2},
                            "scheduling": "SILENT",
                            "parts": [
                                {"inlineData": {"mimeType": "image/png", "data": ""}},
                                {"fileData": {"fileUri": "gs://a/b"}, "x": 1},
                                {"other": 1},
                                {},
                            ],
                        },
                        "thoughtSignature": "cw==",
                    },
                    {"functionResponse": {"name": "g"}},
                    {"functionResponse": {"response": 5}},
                    {"functionResponse": {"id": "z", "response": {"output": ""}}},
                ],
            },
        ),
    ],
    ids=lambda body: json.dumps(body)[:60],
)
def test_requests_go_back_as_they_came(body: Any) -> None:
    _same(body)


def test_snake_case_is_read_like_camel_case() -> None:
    snake = {
        "contents": [
            {
                "role": "model",
                "parts": [
                    {
                        "function_call": {"name": "f", "args": {"snake_key": 1}},
                        "thought_signature": "cw==",
                    }
                ],
            },
            _user({"function_response": {"name": "f", "response": {"a_b": 1}}}),
            _user({"inline_data": {"mime_type": "image/png", "data": "QUJD"}}),
        ],
        "system_instruction": {"parts": [{"text": "s"}]},
        "tools": [
            {
                "function_declarations": [
                    {"name": "f", "parameters": {"type": "OBJECT", "any_of": []}}
                ],
                "google_search": {},
            }
        ],
        "tool_config": {
            "function_calling_config": {"mode": "any", "allowed_function_names": ["f"]}
        },
        "generation_config": {
            "max_output_tokens": 5,
            "thinking_config": {"include_thoughts": True, "thinking_budget": 9},
        },
        "cached_content": "c",
        "both_ways": 1,
        "bothWays": 2,
    }
    request = _same(snake)
    assert request.max_tokens == 5
    assert request.reasoning == Reasoning(mode="on", budget=9, show="summary")
    assert request.tool_choice is not None
    assert (request.tool_choice.mode, request.tool_choice.kind) == ("required", "named")
    assert [tool.name for tool in request.tools] == ["f", "googleSearch"]
    call = request.messages[1].parts[0]
    assert isinstance(call, ToolCallPart) and call.arguments == '{"snake_key": 1}'


def test_both_spellings_at_once() -> None:
    body = _contents(HI, generationConfig={"topK": 1, "top_k": 2})
    assert read_request(body).sampling.top_k == 1


def test_base64_that_is_spelled_in_no_known_way() -> None:
    part = {"inlineData": {"mimeType": "image/png", "data": "QU JD"}}
    request = read_request(_contents(_user(part)))
    body, _ = write_request(request, None, profile=resolve("gemini"))
    assert body["contents"][0]["parts"][0]["inlineData"]["data"] == "QUJD"


def test_numbers_as_strings() -> None:
    config = {
        "maxOutputTokens": "100",
        "temperature": "0.5",
        "topK": "1e1",
        "seed": "-7",
        "candidateCount": 1,
        "logprobs": "2",
        "responseLogprobs": True,
        "thinkingConfig": {"thinkingBudget": "-1"},
    }
    request = read_request(_contents(HI, generationConfig=config))
    assert request.max_tokens == 100
    assert request.sampling == Sampling(temperature=0.5, top_k=10.0, seed=-7)
    assert request.reasoning is not None and request.reasoning.budget == -1


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({"maxOutputTokens": "ten"}, "$.generationConfig.maxOutputTokens"),
        ({"maxOutputTokens": 1.5}, "$.generationConfig.maxOutputTokens"),
        ({"seed": "9" * 30}, "$.generationConfig.seed"),
        ({"temperature": []}, "$.generationConfig"),
        (
            {"thinkingConfig": {"thinkingBudget": []}},
            "$.generationConfig.thinkingConfig",
        ),
        ({"thinkingConfig": 5}, "$.generationConfig"),
    ],
)
def test_wrong_numbers(config: Any, path: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        read_request(_contents(HI, generationConfig=config))
    assert caught.value.path == path


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "$.contents"),
        ({"contents": 5}, "$.contents"),
        (_contents({"role": "system"}), "$.contents[0].role"),
        (_contents(HI, {"role": "tool"}), "$.contents[1].role"),
        (_contents(_user({"text": 5})), "$.contents[0].parts[0]"),
        (_contents(_user({"functionCall": {}})), "$.contents[0].parts[0].functionCall"),
        (
            _contents(_user({"functionCall": {"name": 5}})),
            "$.contents[0].parts[0].functionCall",
        ),
        (
            _contents(_user({"functionResponse": {"parts": 5}})),
            "$.contents[0].parts[0].functionResponse",
        ),
        (
            _contents(HI, tools=[{"functionDeclarations": 5}]),
            "$.tools[0].functionDeclarations",
        ),
        (
            _contents(HI, tools=[{"functionDeclarations": [{}]}]),
            "$.tools[0].functionDeclarations[0]",
        ),
        (_contents(HI, tools=[5]), "$.tools[0]"),
        (_contents(HI, toolConfig=5), "$"),
        (
            _contents(HI, toolConfig={"functionCallingConfig": {"mode": []}}),
            "$.toolConfig.functionCallingConfig",
        ),
    ],
)
def test_garbage_is_refused_where_it_stands(body: Any, path: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        read_request(body)
    assert caught.value.path == path


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b'{"contents": [}'])
def test_bodies_that_are_no_requests(body: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        read_request(body)


def test_limits() -> None:
    for limits in (
        Limits(body=10),
        Limits(messages=1),
        Limits(parts=1),
        Limits(nesting=3),
    ):
        body = _contents(_user({"text": "a"}, {"text": "b"}), HI)
        with pytest.raises(LimitExceeded):
            read_request(body, limits=limits)


def test_lone_surrogates_are_replaced() -> None:
    request = read_request(b'{"contents": [{"parts": [{"text": "\\ud800"}]}]}')
    assert request.messages[0].parts[0] == TextPart(text="�")


def test_model_and_stream_stand_in_the_path() -> None:
    sse = read_request(
        _contents(HI), "/v1beta/models/gemini-3:streamGenerateContent?alt=sse"
    )
    assert (sse.model, sse.stream) == ("gemini-3", True)
    bare = read_request(_contents(HI, model="models/m"), "/")
    assert (bare.model, bare.stream) == ("m", None)
    encoded, _ = encode_request(sse, None, None, resolve("gemini"))
    assert encoded.http.path.endswith("gemini-3:streamGenerateContent?alt=sse")
    other, _ = encode_request(bare, "gemini-x", None, resolve("gemini"))
    assert json.loads(other.http.body)["model"] == "models/gemini-x"
    assert other.http.path == "/v1beta/models/gemini-x:generateContent"
    plain = read_request(_contents(HI, model="m"), "/")
    written, _ = write_request(plain, "n", profile=resolve("gemini"))
    assert written["model"] == "n"
    tuned, _ = encode_request(bare, "tunedModels/a b", None, resolve("gemini"))
    assert tuned.http.path == "/v1beta/tunedModels/a%20b:generateContent"


# --- pairing of calls and results --------------------------------------------------


def _call(name: str, **more: Any) -> dict[str, Any]:
    return {"functionCall": {"name": name, **more}}


def _answer(name: str, **more: Any) -> dict[str, Any]:
    return {"functionResponse": {"name": name, "response": {"output": "r"}, **more}}


def _ids(request: Request) -> list[list[str]]:
    return [
        [p.call_id for p in m.parts if isinstance(p, (ToolCallPart, ToolResultPart))]
        for m in request.messages
    ]


def test_results_without_ids_answer_the_first_open_call_of_their_name() -> None:
    request = _same(
        _contents(
            HI,
            _model(_call("f"), _call("g"), _call("f")),
            _user(_answer("g"), _answer("f"), _answer("f"), _answer("f")),
            _model(_call("f", id="own")),
            _user(_answer("f", id="other"), _answer("f", id="own")),
        )
    )
    _, calls, results, last, answers = _ids(request)
    assert results[:3] == [calls[1], calls[0], calls[2]]
    assert results[3] not in calls and is_minted_call(results[3])
    assert last == ["own"] and answers == ["other", "own"]


def test_ids_on_one_side_only() -> None:
    request = _same(
        _contents(
            _model(_call("f", id="c1"), _call("f")),
            _user(_answer("f"), _answer("f", id="r2")),
        )
    )
    calls, results = _ids(request)
    assert results == calls


def test_minted_ids_of_ours_go_back_when_a_client_sends_them() -> None:
    minted = "tc_" + "a" * 24
    _same(_contents(_model(_call("f", id=minted)), _user(_answer("f", id=minted))))


# --- foreign requests --------------------------------------------------------------


def _foreign(*messages: Message, **fields: Any) -> Request:
    return Request(messages=messages, dialect="openai-chat", **fields)


def _said(role: Any, *parts: Part | str, **fields: Any) -> Message:
    return Message(
        role=role,
        parts=tuple(TextPart(text=p) if isinstance(p, str) else p for p in parts),
        **fields,
    )


USER = _said("user", "Hi")


def _tool(name: str = "f", **fields: Any) -> Tool:
    return Tool(name=name, description="d", **fields)


def _result(call_id: str, *parts: Part | str, **fields: Any) -> ToolResultPart:
    said = tuple(TextPart(text=p) if isinstance(p, str) else p for p in parts)
    return ToolResultPart(call_id=call_id, parts=said, **fields)


def test_instructions() -> None:
    body, losses = write_request(
        _foreign(
            _said("system", "one"),
            _said("developer", "two"),
            USER,
            _said("system", "three", ""),
            _said("assistant", "ok"),
            USER,
        )
    )
    assert body["systemInstruction"] == {"parts": [{"text": "one"}, {"text": "two"}]}
    first = body["contents"][0]["parts"]
    assert first[1]["text"] == "<system-reminder>\nthree\n</system-reminder>"
    assert told(losses) == {
        ("messages[0].top", "instructions.top", "approximated"),
        ("messages[1].top", "instructions.top", "approximated"),
        ("messages[1].role", "instructions.top", "approximated"),
        ("messages[1]", "message.boundary", "approximated"),
        ("messages[3]", "instructions", "emulated"),
        ("messages[3]", "message.boundary", "approximated"),
        ("messages[3].parts[1]", "message.empty", "dropped"),
    }


def test_instructions_without_words() -> None:
    body, losses = write_request(_foreign(_said("system", ""), _said("system"), USER))
    assert "systemInstruction" not in body
    assert ("messages[1]", "message.empty", "dropped") in told(losses)


def test_native_instructions_in_the_middle() -> None:
    request = read_request(_contents(HI, systemInstruction={"parts": [{"text": "s"}]}))
    more = replace(request, messages=(*request.messages, _said("system", "late")))
    body, losses = write_request(more, None, profile=resolve("gemini"))
    assert "late" in body["contents"][-1]["parts"][0]["text"]
    assert told(losses) == {("messages[2]", "instructions", "emulated")}


def test_neighbours_are_merged() -> None:
    body, losses = write_request(_foreign(USER, USER, _said("assistant", "a")))
    assert [c["role"] for c in body["contents"]] == ["user", "model"]
    assert told(losses) == {("messages[1]", "message.boundary", "approximated")}


def test_results_stand_alone_in_the_order_of_their_calls() -> None:
    calls = [
        ToolCallPart(call_id=c, name=n, arguments="{}")
        for c, n in (("a", "f"), ("b", "g"))
    ]
    body, losses = write_request(
        _foreign(
            USER,
            _said("assistant", *calls),
            _said("user", "first", _result("b", "two"), _result("a", error=True)),
        )
    )
    results, rest = body["contents"][2:]
    assert [p["functionResponse"]["name"] for p in results["parts"]] == ["f", "g"]
    assert results["parts"][0]["functionResponse"]["response"] == {"error": ""}
    assert rest["parts"] == [{"text": "first"}]
    assert ("messages[2].parts", "part.order", "approximated") in told(losses)


def test_names_of_results() -> None:
    call = ToolCallPart(call_id="a", name="f", arguments="")
    body, losses = write_request(
        _foreign(USER, _said("assistant", call), _said("user", _result("a", name="g")))
    )
    assert body["contents"][2]["parts"][0]["functionResponse"]["name"] == "f"
    assert ("messages[2].parts[0].name", "tool.name", "approximated") in told(losses)


def test_orphans_and_unanswered_calls() -> None:
    call = ToolCallPart(call_id="a", name="f", arguments="{}")
    for messages in (
        (USER, _said("user", _result("x", "r"))),
        (USER, _said("assistant", call), USER),
        (USER, _said("assistant", _result("x"))),
        (USER, _said("system", "s"), _said("assistant", call), USER),
    ):
        with pytest.raises(UnsupportedFeature):
            write_request(_foreign(*messages))
    made, losses = write_request(
        _foreign(USER, _said("assistant", call), USER, _said("assistant", call)),
        policy={"call.unanswered": "emulate"},
    )
    assert made["contents"][2]["parts"][0]["functionResponse"]["response"] == {
        "error": "no result recorded"
    }
    assert made["contents"][-1]["role"] == "model"
    assert ("messages[1].parts[0]", "call.unanswered", "emulated") in told(losses)
    two = (call, replace(call, call_id="b"))
    partly, _ = write_request(
        _foreign(USER, _said("assistant", *two), _said("user", _result("b", "r"))),
        policy={"call.unanswered": "emulate"},
    )
    assert len(partly["contents"][2]["parts"]) == 2
    dropped, _ = write_request(
        _foreign(USER, _said("assistant", *two), _said("user", _result("x"))),
        policy=DROP,
    )
    assert [c["role"] for c in dropped["contents"]] == ["user", "model"]
    left, _ = write_request(
        _foreign(USER, _said("assistant", *two), _said("user", _result("b", "r"))),
        policy=DROP,
    )
    assert len(left["contents"][2]["parts"]) == 1
    stray, _ = write_request(
        _foreign(USER, _said("assistant", "a", _result("x"))), policy=DROP
    )
    assert stray["contents"][1]["parts"] == [{"text": "a"}]
    open_call, _ = write_request(
        _foreign(USER, _said("assistant", call), USER), policy=DROP
    )
    assert len(open_call["contents"]) == 3
    again, _ = write_request(
        _foreign(USER, _said("assistant", call), _said("assistant", call)), policy=DROP
    )
    assert len(again["contents"]) == 2


def test_results_of_several_parts() -> None:
    call = ToolCallPart(call_id="a", name="f", arguments="{}")
    picture = MediaPart(kind="image", mime="image/png", source=Base64("QUJD"))
    bad = MediaPart(kind="image", mime="image/png", source=FileId("file-1"))
    result = _result(
        "a", "one", picture, "two", bad, ServerToolCallPart(name="x"), kind="custom"
    )
    request = _foreign(USER, _said("assistant", call), _said("user", result))
    body, losses = write_request(request, policy=DROP)
    sent = body["contents"][2]["parts"][0]["functionResponse"]
    assert sent["response"] == {"output": "one\n\ntwo"}
    assert sent["parts"][0]["inlineData"]["data"] == "QUJD"
    assert {
        ("messages[2].parts[0].parts", "part.order", "approximated"),
        ("messages[2].parts[0].parts[3]", "media.file", "dropped"),
        ("messages[2].parts[0].parts[4]", "opaque", "dropped"),
        ("messages[2].parts[0].kind", "tool.custom", "emulated"),
    } <= told(losses)
    old, losses = write_request(request, "gemini-2.5-pro", policy=DROP)
    assert "parts" not in old["contents"][2]["parts"][0]["functionResponse"]
    assert old["contents"][3]["parts"][0]["inlineData"]["data"] == "QUJD"
    assert ("messages[2].parts[0].parts[1]", "tool_result.media", "emulated") in told(
        losses
    )
    texts = _said("user", _result("a", "", "x"))
    _, losses = write_request(_foreign(USER, _said("assistant", call), texts))
    assert ("messages[2].parts[0].parts", "part.boundary", "approximated") in told(
        losses
    )


def test_call_ids_by_profile() -> None:
    call = ToolCallPart(call_id="tc_" + "a" * 24, name="f", arguments="{}")
    odd = ToolCallPart(call_id="call|1", name="f", arguments="{}")
    request = _foreign(USER, _said("assistant", call, odd))
    body, _ = write_request(request)
    sent = [p["functionCall"] for p in body["contents"][1]["parts"]]
    assert "id" not in sent[0] and sent[1]["id"] == "call|1"
    body, _ = write_request(request, profile=replace(THREE, call_ids="safe"))
    sent = [p["functionCall"]["id"] for p in body["contents"][1]["parts"]]
    assert sent[0] == call.call_id and sent[1].startswith("tc_")


def test_tool_names_that_google_rejects() -> None:
    call = ToolCallPart(call_id="a", name="1 f", arguments="{}")
    request = _foreign(
        USER,
        _said("assistant", call),
        _said("user", _result("a", name="1 f")),
        tools=(_tool("1 f"),),
        tool_choice=ToolChoice(mode="required", names=("1 f",), kind="named"),
    )
    encoded, losses = encode_request(request)
    body = json.loads(encoded.http.body)
    assert encoded.names == {"_1_f": "1 f"}
    assert body["tools"][0]["functionDeclarations"][0]["name"] == "_1_f"
    config = body["toolConfig"]["functionCallingConfig"]
    assert config == {"mode": "ANY", "allowedFunctionNames": ["_1_f"]}
    assert {loss.path for loss in losses if loss.feature == "tool.name"} == {
        "messages[1].parts[0].name",
        "messages[2].parts[0].name",
        "tools[0].name",
        "tool_choice.names",
    }


# --- signatures --------------------------------------------------------------------


def _signed(**fields: Any) -> Signature:
    return Signature(origin="gemini", value="cw==", **fields)


def _step(call_id: str, **fields: Any) -> tuple[Message, Message]:
    call = ToolCallPart(call_id=call_id, name="f", arguments="{}", **fields)
    return _said("assistant", call), _said("user", _result(call_id, "r"))


def _signatures(body: Any) -> list[str | None]:
    return [
        part.get("thoughtSignature")
        for content in body["contents"]
        for part in content["parts"]
        if "functionCall" in part
    ]


def test_a_stand_in_on_the_first_call_of_each_step_of_the_turn() -> None:
    request = _foreign(
        USER,
        *_step("a"),
        USER,
        *_step("b"),
        *_step("c", signature=_signed()),
        *_step("d", signature=Signature(origin="anthropic", value="x")),
    )
    body, losses = write_request(request)
    stand_in = "skip_thought_signature_validator"
    assert _signatures(body) == [None, stand_in, "cw==", stand_in]
    assert ("messages[8].parts[0].signature", "reasoning.signature", "dropped") in told(
        losses
    )
    body, _ = write_request(request, "gemini-2.5-flash")
    assert _signatures(body) == [None, None, "cw==", None]


def test_signatures_of_another_model_or_backend_stay_away() -> None:
    sealed = _seal.seal(_signed(model="gemini-3-pro", tag="g.1"))
    value = base64.b64encode(sealed.encode()).decode()
    native = read_request(
        _contents(
            HI,
            _model({**_call("f"), "thoughtSignature": value}, _call("g")),
            _user(_answer("f"), _answer("g")),
        )
    )
    fits, _ = write_request(native, "gemini-3-pro", tag="g.1")
    assert _signatures(fits) == ["cw==", None]
    lost, losses = write_request(native, "gemini-3-pro", tag="g.2")
    assert _signatures(lost) == ["skip_thought_signature_validator", None]
    assert {loss.action for loss in losses} == {"dropped", "approximated"}
    old, _ = write_request(native, "gemini-2.5-pro")
    assert _signatures(old) == [None, None]


def test_thoughts_go_back_to_their_maker_only() -> None:
    signature = _signed()
    parts = (
        ReasoningPart(text="own", signature=signature),
        ReasoningPart(redacted=True, signature=signature),
        ReasoningPart(text="unsigned"),
        ReasoningPart(signature=Signature(origin="anthropic", value="x")),
        ReasoningPart(summary=("a", "b"), text="", signature=signature),
        TextPart(text="ok"),
    )
    body, losses = write_request(_foreign(USER, _said("assistant", *parts)))
    assert [p.get("text") for p in body["contents"][1]["parts"]] == [
        "own",
        "",
        "a\n\nb",
        "ok",
    ]
    assert told(losses) == {
        ("messages[1].parts[1].redacted", "reasoning.text", "approximated"),
        ("messages[1].parts[2]", "reasoning.text", "dropped"),
        ("messages[1].parts[3].signature", "reasoning.signature", "dropped"),
        ("messages[1].parts[3]", "reasoning.signature", "dropped"),
        ("messages[1].parts[4]", "reasoning.segments", "emulated"),
        ("messages[1].parts[4].text", "message.empty", "dropped"),
    }


def test_envelopes_are_opened() -> None:
    foreign = Signature(origin="anthropic", value="x")

    def wire(placement: Any, redacted: bool = False) -> str:
        sealed = _seal.seal(foreign, placement, redacted=redacted)
        return base64.b64encode(sealed.encode()).decode()

    body = _contents(
        _model(
            {"text": "", "thought": True, "thoughtSignature": wire("here", True)},
            {"text": "", "thought": True, "thoughtSignature": wire("next")},
            {"text": "a"},
        ),
        _model({"text": "b", "thoughtSignature": "bGxtdzEu????"}),
        _model({"text": "c", "thoughtSignature": "bGxtdzEuAAAA"}),
    )
    first, second, third = read_request(body).messages
    assert first.parts == (
        ReasoningPart(redacted=True, signature=foreign),
        TextPart(text="a", signature=foreign),
    )
    for message in (second, third):
        assert message.parts[0].signature is not None
        assert message.parts[0].signature.origin == "gemini"


# --- media -------------------------------------------------------------------------


def _media(**fields: Any) -> MediaPart:
    return MediaPart(**{"kind": "image", "mime": "image/png", **fields})


def _sent(part: MediaPart, **fields: Any) -> tuple[Any, set[tuple[str, str, str]]]:
    body, losses = write_request(_foreign(_said("user", part, "x")), **fields)
    found = {(p.removeprefix("messages[0].parts[0]"), f, a) for p, f, a in told(losses)}
    return body["contents"][0]["parts"][0], found


def test_media_inline() -> None:
    png = base64.b64encode(b"\x89PNG\r\n\x1a\n0000").decode()
    part, losses = _sent(_media(mime=None, source=Base64(png), name="n"))
    assert part == {"inlineData": {"mimeType": "image/png", "data": png}}
    assert losses == {
        (".mime", "media.meta", "defaulted"),
        (".name", "media.meta", "dropped"),
    }
    part, losses = _sent(_media(mime=None, kind="document", source=Base64("QUJD")))
    assert part["inlineData"]["mimeType"] == "application/octet-stream"
    part, losses = _sent(
        _media(kind="document", source=Url("data:image/png;base64,QUJD"))
    )
    assert part["inlineData"]["data"] == "QUJD"
    assert losses == {(".kind", "media.meta", "approximated")}
    part, losses = _sent(_media(kind="document", mime=None, source=PlainText("hé")))
    assert base64.b64decode(part["inlineData"]["data"]).decode() == "hé"
    assert (".source", "media.document", "approximated") in losses


def test_media_by_address() -> None:
    with pytest.raises(UnsupportedFeature):
        _sent(_media(source=Url("https://x.test/a.png")))
    part, _ = _sent(
        _media(source=Url("https://x.test/a.png")),
        profile=replace(THREE, media_urls=True),
    )
    assert part["fileData"] == {
        "mimeType": "image/png",
        "fileUri": "https://x.test/a.png",
    }
    part, losses = _sent(
        _media(kind="image", mime=None, source=Url("https://youtu.be/x"))
    )
    assert part["fileData"] == {"fileUri": "https://youtu.be/x"}
    assert losses == {(".kind", "media.meta", "approximated")}
    part, losses = _sent(_media(source=Url("gs://a/b")))
    assert losses == {(".source", "media.file", "approximated")}
    part, losses = _sent(_media(mime=None, kind="document", source=FileId("gs://a/b")))
    assert losses == set()
    with pytest.raises(UnsupportedFeature):
        _sent(_media(source=FileId("file-abc")))


def test_resolutions() -> None:
    part, _ = _sent(_media(source=Base64("QUJD"), detail="high"))
    assert part["mediaResolution"] == {"level": "MEDIA_RESOLUTION_HIGH"}
    lost = {(".detail", "media.detail", "dropped")}
    assert _sent(_media(source=Base64("QUJD"), detail="original"))[1] == lost
    low = _media(source=Base64("QUJD"), detail="low")
    assert _sent(low, model="gemini-2.5-pro")[1] == lost
    meta = {"context": Raw(b'"c"')}
    assert _sent(_media(source=Base64("QUJD"), meta=meta))[1] == {
        (".meta", "media.meta", "dropped")
    }


# --- parts that Gemini has no place for --------------------------------------------


def test_what_has_no_place() -> None:
    cited = TextPart(
        text="a",
        citations=(Citation(kind="url", url="u"),),
        logprobs=(TokenLogprob("a", -1.0),),
        phase="commentary",
        id="msg_1",
        cache=CacheMark("5m"),
        incomplete=True,
        extras={"x": Raw(b"1")},
    )
    call = ToolCallPart(
        call_id="c", name="f", arguments="oops", logprobs=(TokenLogprob("a", -1.0),)
    )
    free = ToolCallPart(call_id="d", name="f", arguments="free", kind="custom")
    null = ToolCallPart(call_id="e", name="f", arguments=" null ")
    nan = ToolCallPart(call_id="g", name="f", arguments='{"a": NaN}')
    body, losses = write_request(
        _foreign(
            _said("user", "x", id="m1", extras={"name": Raw(b'"n"')}),
            _said(
                "assistant",
                cited,
                RefusalPart(text="no"),
                RefusalPart(text=""),
                ServerToolCallPart(name="web"),
                ServerToolResultPart(name="web"),
                OpaquePart(dialect="anthropic", kind="k", raw=Raw(b"{}")),
                OpaquePart(dialect="gemini", kind="k", raw=Raw(b'{"k":1}')),
                call,
                free,
                null,
                nan,
            ),
        )
    )
    parts = body["contents"][1]["parts"]
    assert [p["functionCall"]["args"] for p in parts[3:]] == [
        {},
        {"input": "free"},
        {},
        {"a": None},
    ]
    at = "messages[1].parts"
    assert told(losses) == {
        ("messages[0].extras[name]", "extras", "dropped"),
        ("messages[0].id", "part.id", "dropped"),
        (f"{at}[0].citations", "citations", "dropped"),
        (f"{at}[0].logprobs", "logprobs", "dropped"),
        (f"{at}[0].phase", "phase", "dropped"),
        (f"{at}[0].extras[x]", "extras", "dropped"),
        (f"{at}[0].cache", "cache.mark", "dropped"),
        (f"{at}[0].id", "part.id", "dropped"),
        (f"{at}[0].incomplete", "part.incomplete", "dropped"),
        (f"{at}[1]", "refusal", "emulated"),
        (f"{at}[2]", "message.empty", "dropped"),
        (f"{at}[3]", "tool.server_part", "dropped"),
        (f"{at}[4]", "tool.server_part", "dropped"),
        (f"{at}[5]", "opaque", "dropped"),
        (f"{at}[7].arguments", "call.arguments", "approximated"),
        (f"{at}[7].logprobs", "logprobs", "dropped"),
        (f"{at}[7].signature", "reasoning.signature", "approximated"),
        (f"{at}[8]", "tool.custom", "emulated"),
        (f"{at}[9].arguments", "call.arguments", "approximated"),
        (f"{at}[10].arguments", "call.arguments", "approximated"),
    }


def test_turns_without_words() -> None:
    empty = _foreign(_said("user", ""), _said("assistant"), USER)
    body, losses = write_request(empty)
    assert [c["parts"] for c in body["contents"][:2]] == [[{"text": "(empty)"}]] * 2
    assert told(losses) == {
        ("messages[0].parts[0]", "message.empty", "emulated"),
        ("messages[1]", "message.empty", "emulated"),
    }
    body, losses = write_request(empty, policy={"message.empty": "drop"})
    assert len(body["contents"]) == 1
    lone = _foreign(_said("user", ReasoningPart(text="x")))
    body, losses = write_request(lone)
    assert ("messages[0]", "message.empty", "emulated") in told(losses)
    call, answer = _step("a")
    both = replace(answer, parts=(*answer.parts, TextPart(text="")))
    body, losses = write_request(_foreign(USER, call, both))
    assert len(body["contents"]) == 3
    assert ("messages[2].parts[1]", "message.empty", "dropped") in told(losses)


def test_who_speaks_first_and_last() -> None:
    talk = _foreign(_said("assistant", "a"), USER, _said("assistant", "b"))
    strict = replace(THREE, first_turn_user=True, prefill=False)
    body, losses = write_request(talk, profile=strict)
    roles = [content["role"] for content in body["contents"]]
    assert roles == ["user", "model", "user", "model", "user"]
    assert told(losses) == {
        ("messages[2]", "message.prefill", "emulated"),
        ("messages[0]", "message.order", "emulated"),
    }
    policy: Any = {"message.prefill": "drop", "message.order": "drop"}
    body, losses = write_request(talk, profile=strict, policy=policy)
    assert [content["role"] for content in body["contents"]] == ["user"]
    assert {loss.action for loss in losses} == {"dropped"}


# --- tools -------------------------------------------------------------------------


def test_tools() -> None:
    schema = Raw(b'{"type": "object", "properties": {"a": {"const": 1}}}')
    request = _foreign(
        USER,
        tools=(
            Tool(name="f", schema=schema, strict=True, cache=CacheMark()),
            Tool(name="g", kind="custom", format=Raw(b'{"type": "text"}')),
            Tool(name="h", kind="custom", description="d", extras={"x": Raw(b"1")}),
            _tool("i", schema=Raw(b'{"type":"object","properties":{}}')),
        ),
    )
    encoded, losses = encode_request(request)
    tools = json.loads(encoded.http.body)["tools"]
    declared = tools[0]["functionDeclarations"]
    assert len(tools) == 1 and len(declared) == 4
    assert declared[0]["parametersJsonSchema"] == json.loads(bytes(schema))
    assert declared[0]["description"] == "f"
    assert declared[1]["description"].endswith('this format: {"type": "text"}')
    assert encoded.custom == ("g", "h")
    assert told(losses) == {
        ("tools[0].description", "tool.description", "defaulted"),
        ("tools[0].strict", "tool.strict", "dropped"),
        ("tools[0].cache", "cache.mark", "dropped"),
        ("tools[1]", "tool.custom", "emulated"),
        ("tools[2]", "tool.custom", "emulated"),
    } or ("tools[2]", "tool.custom", "emulated") in told(losses)
    old, losses = write_request(request, "gemini-1.5-flash")
    declared = old["tools"][0]["functionDeclarations"]
    assert declared[0]["parameters"]["type"] == "OBJECT"
    assert "parameters" not in declared[3]
    assert ("tools[0].schema", "schema", "approximated") in told(losses)
    assert ("tools[3].schema", "schema", "approximated") in told(losses)


def test_hosted_tools() -> None:
    hosted = [
        Tool(kind="server", name=name, raw=Raw(b"{}"))
        for name in ("web_search_20250305", "code_interpreter", "web_fetch_x", "bash")
    ]
    opaque = Tool(kind="opaque", name="x")
    request = _foreign(USER, tools=(*hosted, opaque))
    with pytest.raises(UnsupportedFeature):
        write_request(request)
    policy: Any = {"tool.server": "emulate", "tool.opaque": "drop"}
    with pytest.raises(UnsupportedFeature):
        write_request(_foreign(USER, tools=(opaque,)))
    body, losses = write_request(
        _foreign(USER, tools=(*hosted[:3], opaque)), policy=policy
    )
    assert body["tools"] == [
        {"googleSearch": {}, "codeExecution": {}, "urlContext": {}}
    ]
    assert ("tools[3]", "tool.opaque", "dropped") in told(losses)
    body, _ = write_request(request, policy=DROP)
    assert "tools" not in body
    with pytest.raises(UnsupportedFeature):
        write_request(
            _foreign(USER, tools=(hosted[3],)),
            policy={**policy, "tool.server": "refuse"},
        )
    emulated: Any = {**DROP, "tool.server": "emulate"}
    body, losses = write_request(_foreign(USER, tools=(hosted[3],)), policy=emulated)
    assert "tools" not in body
    assert ("tools[0]", "tool.server", "dropped") in told(losses)


@pytest.mark.parametrize(
    ("choice", "config", "lost"),
    [
        (ToolChoice(mode="auto"), {"mode": "AUTO"}, set()),
        (ToolChoice(mode="none"), {"mode": "NONE"}, set()),
        (
            ToolChoice(mode="none", names=("f",), kind="allowed"),
            {"mode": "NONE"},
            {"tool_choice.names", "tool_choice.kind"},
        ),
        (
            ToolChoice(mode="auto", names=("f",), kind="allowed"),
            {"mode": "VALIDATED", "allowedFunctionNames": ["f"]},
            {"tool_choice.mode"},
        ),
        (
            ToolChoice(mode="required", names=("f",), kind="allowed"),
            {"mode": "ANY", "allowedFunctionNames": ["f"]},
            {"tool_choice.kind"},
        ),
        (ToolChoice(mode="auto", kind="opaque"), None, {"tool_choice"}),
    ],
)
def test_choices(choice: ToolChoice, config: Any, lost: set[str]) -> None:
    body, losses = write_request(_foreign(USER, tools=(_tool(),), tool_choice=choice))
    assert body.get("toolConfig", {}).get("functionCallingConfig") == config
    assert {loss.path for loss in losses} == lost


def test_changed_native_choices_and_tools_are_written_anew() -> None:
    request = read_request(
        _contents(
            HI,
            tools=[
                {
                    "functionDeclarations": [
                        {"name": "f", "parameters": {"type": "OBJECT"}}
                    ]
                }
            ],
            toolConfig={"functionCallingConfig": {"mode": "any"}},
        )
    )
    tool = replace(request.tools[0], schema=Raw(b'{"type":"string"}'))
    changed = replace(
        request, tools=(tool,), tool_choice=ToolChoice(mode="none", raw=Raw(b"{}"))
    )
    body, _ = write_request(changed, None, profile=resolve("gemini"))
    declared = body["tools"][0]["functionDeclarations"][0]
    assert declared["parametersJsonSchema"] == {"type": "string"}
    assert body["toolConfig"]["functionCallingConfig"] == {"mode": "NONE"}


# --- settings ----------------------------------------------------------------------


def test_sampling_and_stops_by_profile() -> None:
    rejects = frozenset(
        {"n", "top_k", "logprobs", "stop", "tool_choice", "service_tier"}
    )
    strict = Profile(name="x", rejects=rejects, max_temperature=1.0)
    request = _foreign(
        USER,
        n=2,
        sampling=Sampling(temperature=2, top_k=5, min_p=0.1, logit_bias=Raw(b"{}")),
        stop=("a", "b"),
        logprobs=Logprobs(top=2),
        tool_choice=ToolChoice(mode="auto"),
        service_tier="flex",
    )
    encoded, losses = encode_request(request, profile=strict, policy=DROP)
    config = json.loads(encoded.http.body)["generationConfig"]
    assert config == {"temperature": 1.0}
    assert encoded.stops == ("a", "b")
    assert {loss.path for loss in losses} == {
        "n",
        "sampling.temperature",
        "sampling.top_k",
        "sampling.min_p",
        "sampling.logit_bias",
        "stop[0]",
        "stop[1]",
        "logprobs",
        "tool_choice",
        "service_tier",
    }
    many = _foreign(USER, stop=tuple("abcdefg"), n=2, logprobs=Logprobs(top=2))
    encoded, losses = encode_request(many)
    assert encoded.stops == ("f", "g")
    _, losses = encode_request(many, policy={"stop": "drop"})
    assert ("stop[5]", "stop", "dropped") in told(losses)
    native = read_request(
        _contents(HI, generationConfig={"stopSequences": list("abcdefg"), "topK": 1})
    )
    encoded, losses = encode_request(native, profile=replace(strict, name="mine"))
    assert encoded.stops == tuple("abcdefg")
    assert ("sampling.top_k", "sampling", "dropped") in told(losses)


@pytest.mark.parametrize(
    ("reasoning", "model", "config"),
    [
        (
            Reasoning(mode="on", effort="high"),
            "gemini-3-pro",
            {"thinkingLevel": "HIGH"},
        ),
        (
            Reasoning(mode="on", effort="max"),
            "gemini-3-pro",
            {"thinkingLevel": "XHIGH"},
        ),
        (Reasoning(mode="off"), "gemini-3-pro", {"thinkingLevel": "MINIMAL"}),
        (Reasoning(mode="on", budget=900), "gemini-3-pro", {"thinkingLevel": "LOW"}),
        (Reasoning(mode="on", budget=-1), "gemini-3-pro", None),
        (Reasoning(effort="mighty"), "gemini-3-pro", None),
        (Reasoning(show="raw"), "gemini-3-pro", {"includeThoughts": True}),
        (Reasoning(show="none"), "gemini-3-pro", {"includeThoughts": False}),
        (Reasoning(summary="auto"), "gemini-3-pro", None),
        (Reasoning(mode="off"), "gemini-2.5-flash", {"thinkingBudget": 0}),
        (Reasoning(mode="off"), "gemini-2.5-pro", {"thinkingBudget": 128}),
        (Reasoning(effort="medium"), "gemini-2.5-flash", {"thinkingBudget": 8192}),
        (Reasoning(budget=10**6), "gemini-2.5-flash", {"thinkingBudget": 24576}),
        (Reasoning(budget=-1), "gemini-2.5-flash", {"thinkingBudget": -1}),
        (Reasoning(mode="on"), "gemini-2.5-flash", None),
        (Reasoning(mode="on", effort="low"), "gemini-1.5-pro", None),
        (Reasoning(show="summary"), "gemini-1.5-pro", None),
        (Reasoning(), "gemini-1.5-pro", None),
    ],
)
def test_thinking(reasoning: Reasoning, model: str, config: Any) -> None:
    request = _foreign(USER, reasoning=reasoning)
    encoded, losses = encode_request(request, model)
    body = json.loads(encoded.http.body)
    assert body.get("generationConfig", {}).get("thinkingConfig") == config
    found = read_request(encoded.http.body, encoded.http.path).reasoning or Reasoning()
    for field in ("mode", "effort", "budget"):
        if getattr(found, field) != getattr(reasoning, field):
            assert any(
                loss.path in ("reasoning", f"reasoning.{field}") for loss in losses
            )


def test_native_thinking_for_another_kind_of_model() -> None:
    request = read_request(
        _contents(HI, generationConfig={"thinkingConfig": {"thinkingBudget": 4096}})
    )
    other = replace(THREE, name="mine")
    body, losses = write_request(request, profile=other)
    assert body["generationConfig"]["thinkingConfig"] == {"thinkingLevel": "MEDIUM"}
    assert losses != ()
    same, losses = write_request(
        request, profile=replace(resolve("gemini", None, "gemini-2.5-pro"), name="mine")
    )
    assert same["generationConfig"]["thinkingConfig"] == {"thinkingBudget": 4096}
    assert losses == ()
    noted = Reasoning(extras={"@thinkingLevel": Raw(b'"LOW"')})
    body, _ = write_request(
        replace(request, reasoning=noted), None, profile=resolve("gemini")
    )
    assert body["generationConfig"]["thinkingConfig"] == {}
    changed = replace(request, reasoning=Reasoning(mode="on", effort="low"))
    body, _ = write_request(changed, None, profile=resolve("gemini"))
    assert body["generationConfig"]["thinkingConfig"] == {"thinkingLevel": "LOW"}


@pytest.mark.parametrize(
    ("output", "config"),
    [
        (OutputFormat(kind="text"), {"responseMimeType": "text/plain"}),
        (
            OutputFormat(kind="text", schema=Raw(b"{}")),
            {"responseMimeType": "text/plain"},
        ),
        (
            OutputFormat(kind="json_schema", name="n", strict=True, schema=Raw(b"{}")),
            {"responseMimeType": "application/json", "responseJsonSchema": {}},
        ),
        (
            OutputFormat(kind="enum", schema=Raw(b'{"enum":["a"]}')),
            {
                "responseMimeType": "text/x.enum",
                "responseSchema": {"type": "STRING", "enum": ["a"]},
            },
        ),
        (
            OutputFormat(kind="enum", schema=Raw(b'{"type":"string"}')),
            {"responseMimeType": "text/x.enum", "responseSchema": {"type": "STRING"}},
        ),
        (OutputFormat(kind="opaque", raw=Raw(b"{}")), None),
    ],
)
def test_output_formats(output: OutputFormat, config: Any) -> None:
    body, _ = write_request(_foreign(USER, output=output))
    assert body.get("generationConfig") == config


def test_output_schema_for_old_models() -> None:
    output = OutputFormat(kind="json_schema", schema=Raw(b'{"type":"string"}'))
    body, losses = write_request(_foreign(USER, output=output), profile=OLD)
    assert body["generationConfig"]["responseSchema"] == {"type": "STRING"}
    assert losses == ()
    native = read_request(
        _contents(
            HI,
            generationConfig={
                "responseMimeType": "application/json",
                "responseSchema": {"type": "STRING"},
            },
        )
    )
    assert native.output is not None
    changed = replace(
        native, output=replace(native.output, schema=Raw(b'{"type":"number"}'))
    )
    body, _ = write_request(changed, None, profile=resolve("gemini"))
    assert body["generationConfig"]["responseJsonSchema"] == {"type": "number"}
    opaque = replace(native, output=OutputFormat(kind="opaque"))
    _, losses = write_request(opaque, None, profile=resolve("gemini"))
    assert told(losses) == {("output", "output.format", "dropped")}


def test_spoken_answers() -> None:
    request = _foreign(
        USER, modalities=("text", "audio"), audio=AudioOutput(voice=Raw(b'"alloy"'))
    )
    with pytest.raises(UnsupportedFeature):
        write_request(request)
    body, losses = write_request(request, policy={"audio.output": "emulate"})
    config = body["generationConfig"]
    assert config["responseModalities"] == ["TEXT", "AUDIO"]
    voice = config["speechConfig"]["voiceConfig"]["prebuiltVoiceConfig"]["voiceName"]
    assert voice == "alloy"
    assert ("audio", "audio.output", "emulated") in told(losses)
    native = replace(read_request(_contents(HI)), audio=AudioOutput())
    body, _ = write_request(native, None, profile=resolve("gemini"))
    assert "generationConfig" not in body


def test_the_rest() -> None:
    request = _foreign(
        USER,
        parallel=True,
        verbosity="low",
        prediction=Raw(b"{}"),
        include_usage=True,
        user="u",
        cache=CacheMark(),
        cache_key="k",
        store=False,
        include=("x",),
        truncation="auto",
        betas=("b",),
        version="v",
        metadata=Raw(b"{}"),
        service_tier="fast",
        extras={"x": Raw(b"1")},
    )
    body, losses = write_request(request)
    assert body["serviceTier"] == "priority"
    assert {loss.path for loss in losses} == {
        "parallel",
        "verbosity",
        "prediction",
        "include_usage",
        "user",
        "cache",
        "cache_key",
        "store",
        "include",
        "truncation",
        "betas",
        "version",
        "metadata",
        "service_tier",
        "extras[x]",
    }
    _, losses = write_request(_foreign(USER, service_tier="scale"))
    assert told(losses) == {("service_tier", "service_tier", "dropped")}
    body, _ = write_request(_foreign(USER, service_tier="default"))
    assert body["serviceTier"] == "standard"


def test_state() -> None:
    state = ServerState(previous_response_id="r")
    with pytest.raises(UnsupportedFeature):
        write_request(_foreign(USER, state=state))
    _, losses = write_request(_foreign(USER, state=state), policy=DROP)
    assert told(losses) == {("state.previous_response_id", "state", "dropped")}
    ours = ServerState(cached_content="c", continuation_token="t")
    body, _ = write_request(_foreign(USER, state=ours))
    assert (body["cachedContent"], body["continuationToken"]) == ("c", "t")


def test_a_changed_native_result_keeps_no_broken_form() -> None:
    request = read_request(
        _contents(
            _model(_call("f")),
            _user(_answer("f", response={"a": 1})),
        )
    )
    result = request.messages[1].parts[0]
    assert isinstance(result, ToolResultPart)
    changed = replace(result, parts=(TextPart(text="plain now"),))
    message = replace(request.messages[1], parts=(changed,))
    more = replace(request, messages=(request.messages[0], message))
    body, _ = write_request(more, None, profile=resolve("gemini"))
    sent = body["contents"][1]["parts"][0]["functionResponse"]["response"]
    assert sent == {"output": "plain now"}


def test_parts_of_others_in_a_native_request() -> None:
    request = read_request(_contents(HI))
    foreign = OpaquePart(dialect="anthropic", kind="k", raw=Raw(b"{}"))
    opaque = OpaquePart(dialect="gemini", kind="k", raw=Raw(b'{"k":1}'))
    call = ToolCallPart(
        call_id="c", name="f", signature=Signature(origin="x", value="s")
    )
    message = _said("user", "a", foreign, opaque)
    more = replace(request, messages=(message, _said("assistant", foreign, call)))
    body, losses = write_request(more, None, profile=resolve("gemini"))
    assert body["contents"][0]["parts"] == [{"text": "a"}, {"k": 1}]
    assert ("messages[0].parts[1]", "opaque", "dropped") in told(losses)
    none = replace(call, signature=None, arguments="null")
    body, losses = write_request(
        replace(request, messages=(_said("assistant", none),)),
        None,
        profile=resolve("gemini"),
    )
    assert losses == ()
    assert body["contents"][0]["parts"][0]["functionCall"]["args"] == {}
    odd = replace(call, signature=None, arguments="nonsense")
    body, losses = write_request(
        replace(request, messages=(_said("assistant", odd),)),
        None,
        profile=resolve("gemini"),
    )
    assert body["contents"][0]["parts"][0]["functionCall"]["args"] == {}


# --- counting ----------------------------------------------------------------------

_COUNT = "/v1beta/models/gemini-3:countTokens"


def _counted(body: Any, limits: Limits | None = None) -> Request:
    http = HTTPRequest(method="POST", path=_COUNT, body=json.dumps(body).encode())
    return GEMINI.decode_count_request(http, limits or Limits())


def _count_body(request: Request, model: str | None = None) -> tuple[str, Any]:
    target = RequestTarget(
        losses=LossRecorder(), profile=resolve("gemini", None, model), model=model
    )
    assert GEMINI.encode_count_request is not None
    http = GEMINI.encode_count_request(request, target)
    return http.path, json.loads(http.body)


@pytest.mark.parametrize(
    "body",
    [
        _contents(HI),
        _contents(HI, generateContentRequest=None),
        _contents(
            HI, systemInstruction={"parts": [{"text": "s"}]}, generationConfig={}
        ),
        {"generateContentRequest": _contents(HI, model="models/gemini-3")},
        {"generateContentRequest": _contents(HI), "extra": 1},
    ],
)
def test_counts_go_back_as_they_came(body: Any) -> None:
    path, written = _count_body(_counted(body))
    assert path == _COUNT
    assert differences(body, written) == []


def test_counts_of_other_dialects() -> None:
    assert _count_body(_foreign(USER), "gemini-3")[1] == _contents(
        {"parts": [{"text": "Hi"}], "role": "user"}
    )
    _, body = _count_body(_foreign(_said("system", "s"), USER), "gemini-3")
    inner = body["generateContentRequest"]
    assert inner["model"] == "models/gemini-3"
    assert inner["systemInstruction"] == {"parts": [{"text": "s"}]}
    snake = _counted({"generate_content_request": _contents(HI)})
    assert len(snake.messages) == 1
