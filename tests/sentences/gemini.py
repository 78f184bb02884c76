"""Gemini streams written by hand, and the sentences they must read as.

Each chunk is a whole response whose parts are increments; nothing but the end of the
body ends the stream, so `MessageEnd` and the `PartEnd` of a text that is still open
always come last. A signature is written down without a model: the wire names none, and
`modelVersion` is not the name by which the model was asked.
"""

from __future__ import annotations

from msgspec import Raw

from llmwire._ids import mint_call
from llmwire.events import (
    ArgumentsDelta,
    CitationDelta,
    Extra,
    MessageEnd,
    MessageStart,
    PartEnd,
    PartStart,
    ReasoningDelta,
    ServiceTier,
    SignatureDelta,
    StreamEnd,
    StreamError,
    TextDelta,
    UsageUpdate,
)
from llmwire.messages import (
    APIError,
    Citation,
    ReasoningPart,
    ServerToolCallPart,
    ServerToolResultPart,
    Signature,
    StopDetail,
    TextPart,
    ToolCallPart,
    Usage,
)
from tests.sentences import StreamCase

__all__ = ("CASES",)


def _frames(*chunks: bytes) -> bytes:
    """The chunks as Google's own servers frame them."""
    return b"".join(b"data: " + chunk + b"\r\n\r\n" for chunk in chunks)


def _piece(call: bytes) -> bytes:
    """A chunk of Vertex that carries one piece of a call and no token counts yet."""
    before = b'{"candidates":[{"content":{"role":"model","parts":[{"functionCall":'
    after = (
        b'}]}}],"usageMetadata":{"trafficType":"ON_DEMAND"},"modelVersion":"gem-3-pro",'
        b'"createTime":"2026-03-01T12:00:00.500Z","responseId":"r-trip"}'
    )
    return before + call + after


# The finish reason stands on a chunk in the middle and again on the last one. It is
# held until the body ends, so the content after the first is read like any other; the
# later one replaces it and is counted as the repetition it is, once. Code without an id
# gets none minted, for nothing has to be sent back by it. The result's chunk repeats
# the token counts: no second UsageUpdate.
_FINISH_TWICE = StreamCase(
    name="finish-in-the-middle-and-at-the-end",
    like="ea445dafef2614b7",
    wire=_frames(
        rb'{"candidates":[{"content":{"parts":[{"executableCode":'
        rb'{"code":"print(6 * 7)\n","language":"PYTHON"}}],"role":"model"},'
        rb'"finishReason":"STOP","index":0}],'
        rb'"modelVersion":"gem-2.5","responseId":"r-six","usageMetadata":'
        rb'{"candidatesTokenCount":5,"promptTokenCount":9,"serviceTier":"standard",'
        rb'"thoughtsTokenCount":3,"totalTokenCount":17}}',
        rb'{"candidates":[{"content":{"parts":[{"codeExecutionResult":'
        rb'{"outcome":"OUTCOME_OK","output":"42\n"}}],"role":"model"},"index":0}],'
        rb'"modelVersion":"gem-2.5","responseId":"r-six","usageMetadata":'
        rb'{"candidatesTokenCount":5,"promptTokenCount":9,"serviceTier":"standard",'
        rb'"thoughtsTokenCount":3,"totalTokenCount":17}}',
        rb'{"candidates":[{"content":{"parts":[{"text":"Forty"}],"role":"model"},'
        rb'"index":0}],'
        rb'"modelVersion":"gem-2.5","responseId":"r-six","usageMetadata":'
        rb'{"candidatesTokenCount":6,"promptTokenCount":9,"serviceTier":"standard",'
        rb'"thoughtsTokenCount":4,"toolUsePromptTokenCount":11,'
        rb'"totalTokenCount":30}}',
        rb'{"candidates":[{"content":{"parts":[{"text":"-two."}],"role":"model"},'
        rb'"finishReason":"STOP","index":0}],'
        rb'"modelVersion":"gem-2.5","responseId":"r-six","usageMetadata":'
        rb'{"candidatesTokenCount":8,"promptTokenCount":9,"serviceTier":"standard",'
        rb'"thoughtsTokenCount":4,"toolUsePromptTokenCount":11,'
        rb'"totalTokenCount":32}}',
    ),
    events=(
        MessageStart("r-six", "gem-2.5", dialect="gemini"),
        ServiceTier("standard"),
        PartStart(
            0,
            ServerToolCallPart(
                name="executableCode",
                payload=Raw(rb'{"code":"print(6 * 7)\n","language":"PYTHON"}'),
            ),
        ),
        PartEnd(
            0,
            final=ServerToolCallPart(
                name="executableCode",
                payload=Raw(rb'{"code":"print(6 * 7)\n","language":"PYTHON"}'),
            ),
        ),
        UsageUpdate(Usage(fresh=9, output=8, reasoning=3)),
        PartStart(
            1,
            ServerToolResultPart(
                name="codeExecutionResult",
                payload=Raw(rb'{"outcome":"OUTCOME_OK","output":"42\n"}'),
            ),
        ),
        PartEnd(
            1,
            final=ServerToolResultPart(
                name="codeExecutionResult",
                payload=Raw(rb'{"outcome":"OUTCOME_OK","output":"42\n"}'),
            ),
        ),
        PartStart(2, TextPart("")),
        TextDelta(2, "Forty"),
        UsageUpdate(Usage(fresh=9, tool_prompt=11, output=10, reasoning=4)),
        TextDelta(2, "-two."),
        UsageUpdate(Usage(fresh=9, tool_prompt=11, output=12, reasoning=4)),
        PartEnd(2),
        MessageEnd("end", "STOP"),
        StreamEnd(),
    ),
    violations={"repeated-finish": 1},
)

# Arguments in pieces, each with the JSONPath where it belongs (Vertex only). The
# pieces of one path join; a piece that says nothing but willContinue is no call;
# the one without it is the end. The call is then given whole, its text written by
# us: compact, members in the order of their first piece. The signature came with
# the first piece and waits for that moment. Token counts that say nothing but
# trafficType are a Usage all the same, for that member must not be lost; createTime
# is when the message was made.
_ARGUMENTS_IN_PIECES = StreamCase(
    name="arguments-in-pieces",
    like="b30983031e539076",
    wire=_frames(
        b'{"candidates":[{"content":{"role":"model","parts":[{"functionCall":'
        b'{"name":"plan_trip","willContinue":true},"thoughtSignature":'
        b'"c2lnLXRyaXA="}]}}],"usageMetadata":{"trafficType":"ON_DEMAND"},'
        b'"modelVersion":"gem-3-pro","createTime":"2026-03-01T12:00:00.500Z",'
        b'"responseId":"r-trip"}',
        _piece(
            b'{"partialArgs":[{"jsonPath":"$.trip.stops[0].city",'
            b'"stringValue":"Os","willContinue":true}],"willContinue":true}'
        ),
        _piece(
            b'{"partialArgs":[{"jsonPath":"$.trip.stops[0].city",'
            b'"stringValue":"lo","willContinue":true}],"willContinue":true}'
        ),
        _piece(
            b'{"partialArgs":[{"jsonPath":"$.trip.stops[0].city",'
            b'"stringValue":""}],"willContinue":true}'
        ),
        _piece(b'{"willContinue":true}'),
        _piece(
            b'{"partialArgs":[{"jsonPath":"$.trip.stops[1].city",'
            b'"stringValue":"Rome","willContinue":true}],"willContinue":true}'
        ),
        _piece(
            b'{"partialArgs":[{"jsonPath":"$.trip.stops[1].city",'
            b'"stringValue":""}],"willContinue":true}'
        ),
        _piece(b'{"willContinue":true}'),
        _piece(
            b'{"partialArgs":[{"jsonPath":"$.trip.name",'
            rb'"stringValue":"The \"long\" way","willContinue":true}],'
            b'"willContinue":true}'
        ),
        _piece(
            b'{"partialArgs":[{"jsonPath":"$.trip.name",'
            b'"stringValue":""}],"willContinue":true}'
        ),
        b'{"candidates":[{"content":{"role":"model","parts":[{"functionCall":{}}]},'
        b'"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":12,'
        b'"candidatesTokenCount":20,"totalTokenCount":39,'
        b'"trafficType":"ON_DEMAND",'
        b'"promptTokensDetails":[{"modality":"TEXT","tokenCount":12}],'
        b'"candidatesTokensDetails":[{"modality":"TEXT","tokenCount":20}],'
        b'"thoughtsTokenCount":7},"modelVersion":"gem-3-pro",'
        b'"createTime":"2026-03-01T12:00:00.500Z","responseId":"r-trip"}',
    ),
    events=(
        MessageStart("r-trip", "gem-3-pro", 1772366400.5, dialect="gemini"),
        UsageUpdate(Usage(extras={"trafficType": Raw(b'"ON_DEMAND"')})),
        PartStart(
            0,
            ToolCallPart(
                call_id=mint_call("", 0),
                name="plan_trip",
                signature=Signature(origin="gemini", value="c2lnLXRyaXA="),
            ),
        ),
        ArgumentsDelta(
            0,
            '{"trip":{"stops":[{"city":"Oslo"},{"city":"Rome"}],'
            r'"name":"The \"long\" way"}}',
        ),
        PartEnd(0),
        UsageUpdate(
            Usage(
                fresh=12,
                output=27,
                reasoning=7,
                extras={
                    "trafficType": Raw(b'"ON_DEMAND"'),
                    "promptTokensDetails": Raw(
                        b'[{"modality":"TEXT","tokenCount":12}]'
                    ),
                    "candidatesTokensDetails": Raw(
                        b'[{"modality":"TEXT","tokenCount":20}]'
                    ),
                },
            )
        ),
        MessageEnd("tool_use", "STOP"),
        StreamEnd(),
    ),
)

# A server's search shown as toolCall and toolResponse, both signed, the result on a
# candidate without an index (absent is 0). The unsigned empty text beside the call
# says nothing; the signed one at the end belongs to the text that is still open.
# The payload is the member's object as it came, white space and id included. Counts
# fall between the chunks: each replaces the last whole, none is summed or kept.
_SEARCH_SIGNED = StreamCase(
    name="server-search-signed",
    like="4ab0a60892d00d18",
    wire=_frames(
        b'{"candidates": [{"content": {"parts": [{"thoughtSignature": '
        b'"c2lnLWFzaw==","toolCall": {"toolType": "GOOGLE_SEARCH_WEB","args": '
        b'{"queries": ["port of Norway"]},"id": "ask1"}},{"text": ""}],'
        b'"role": "model"},"index": 0}],"usageMetadata": {"promptTokenCount": 7,'
        b'"candidatesTokenCount": 10,"totalTokenCount": 22,'
        b'"thoughtsTokenCount": 5},"modelVersion": "gem-3","responseId": "r-port"}',
        b'{"candidates": [{"content": {"parts": [{"thoughtSignature": '
        b'"c2lnLWdvdA==","toolResponse": {"toolType": "GOOGLE_SEARCH_WEB",'
        b'"response": {"search_suggestions": "<b>ports</b>"},"id": "ask1"}}],'
        b'"role": "model"}}],"usageMetadata": {"promptTokenCount": 7,'
        b'"totalTokenCount": 7},"modelVersion": "gem-3","responseId": "r-port"}',
        rb'{"candidates": [{"content": {"parts": [{"text": "{\"port\": "}],'
        b'"role": "model"},"index": 0}],"usageMetadata": {"promptTokenCount": 7,'
        b'"candidatesTokenCount": 3,"totalTokenCount": 12,'
        b'"thoughtsTokenCount": 2},"modelVersion": "gem-3","responseId": "r-port"}',
        rb'{"candidates": [{"content": {"parts": [{"text": "\"Bergen\"}"}],'
        b'"role": "model"},"index": 0}],"usageMetadata": {"promptTokenCount": 7,'
        b'"candidatesTokenCount": 6,"totalTokenCount": 15,'
        b'"thoughtsTokenCount": 2},"modelVersion": "gem-3","responseId": "r-port"}',
        b'{"candidates": [{"content": {"parts": [{"text": "",'
        b'"thoughtSignature": "c2lnLWVuZA=="}],"role": "model"},'
        b'"finishReason": "STOP","index": 0,"groundingMetadata": '
        b'{"webSearchQueries": ["","port of Norway"]}}],"usageMetadata": '
        b'{"promptTokenCount": 31,"totalTokenCount": 36,"thoughtsTokenCount": 5},'
        b'"modelVersion": "gem-3","responseId": "r-port"}',
    ),
    events=(
        MessageStart("r-port", "gem-3", dialect="gemini"),
        PartStart(
            0,
            ServerToolCallPart(
                name="toolCall",
                call_id="ask1",
                payload=Raw(
                    b'{"toolType": "GOOGLE_SEARCH_WEB","args": {"queries": '
                    b'["port of Norway"]},"id": "ask1"}'
                ),
            ),
        ),
        SignatureDelta(0, Signature(origin="gemini", value="c2lnLWFzaw==")),
        PartEnd(
            0,
            final=ServerToolCallPart(
                name="toolCall",
                call_id="ask1",
                payload=Raw(
                    b'{"toolType": "GOOGLE_SEARCH_WEB","args": {"queries": '
                    b'["port of Norway"]},"id": "ask1"}'
                ),
                signature=Signature(origin="gemini", value="c2lnLWFzaw=="),
            ),
        ),
        UsageUpdate(Usage(fresh=7, output=15, reasoning=5)),
        PartStart(
            1,
            ServerToolResultPart(
                name="toolResponse",
                call_id="ask1",
                payload=Raw(
                    b'{"toolType": "GOOGLE_SEARCH_WEB","response": '
                    b'{"search_suggestions": "<b>ports</b>"},"id": "ask1"}'
                ),
            ),
        ),
        SignatureDelta(1, Signature(origin="gemini", value="c2lnLWdvdA==")),
        PartEnd(
            1,
            final=ServerToolResultPart(
                name="toolResponse",
                call_id="ask1",
                payload=Raw(
                    b'{"toolType": "GOOGLE_SEARCH_WEB","response": '
                    b'{"search_suggestions": "<b>ports</b>"},"id": "ask1"}'
                ),
                signature=Signature(origin="gemini", value="c2lnLWdvdA=="),
            ),
        ),
        UsageUpdate(Usage(fresh=7)),
        PartStart(2, TextPart("")),
        TextDelta(2, '{"port": '),
        UsageUpdate(Usage(fresh=7, output=5, reasoning=2)),
        TextDelta(2, '"Bergen"}'),
        UsageUpdate(Usage(fresh=7, output=8, reasoning=2)),
        Extra(
            {"groundingMetadata": Raw(b'{"webSearchQueries": ["","port of Norway"]}')},
            choice=0,
        ),
        SignatureDelta(2, Signature(origin="gemini", value="c2lnLWVuZA==")),
        PartEnd(2),
        UsageUpdate(Usage(fresh=31, output=5, reasoning=5)),
        MessageEnd("end", "STOP"),
        StreamEnd(),
    ),
)

# The code is signed and has an id, its result has the same id and no index. The
# signature of the text comes on an empty part of its own: it is put on
# the open text and closes it, as a whole body says it, and opens no second one.
_CODE_SIGNED = StreamCase(
    name="code-signed-then-text-signed-late",
    like="2dfdde4838b040a4",
    wire=_frames(
        rb'{"candidates":[{"content":{"parts":[{"executableCode":'
        rb'{"code":"print(9**2)\n","id":"run_7","language":"PYTHON"},'
        rb'"thoughtSignature":"c2lnLWNvZGU="}],"role":"model"},"index":0}],'
        rb'"modelVersion":"gem-3","responseId":"r-nine","usageMetadata":'
        rb'{"candidatesTokenCount":4,"promptTokenCount":6,"promptTokensDetails":'
        rb'[{"modality":"TEXT","tokenCount":6}],"serviceTier":"standard",'
        rb'"thoughtsTokenCount":8,"totalTokenCount":18}}',
        rb'{"candidates":[{"content":{"parts":[{"codeExecutionResult":'
        rb'{"id":"run_7","outcome":"OUTCOME_OK","output":"81\n"}}],'
        rb'"role":"model"}}],'
        rb'"modelVersion":"gem-3","responseId":"r-nine","usageMetadata":'
        rb'{"promptTokenCount":6,"promptTokensDetails":'
        rb'[{"modality":"TEXT","tokenCount":6}],"serviceTier":"standard",'
        rb'"totalTokenCount":6}}',
        rb'{"candidates":[{"content":{"parts":[{"text":"It is 81."}],'
        rb'"role":"model"},"index":0}],'
        rb'"modelVersion":"gem-3","responseId":"r-nine","usageMetadata":'
        rb'{"candidatesTokenCount":5,"promptTokenCount":6,"promptTokensDetails":'
        rb'[{"modality":"TEXT","tokenCount":6}],"serviceTier":"standard",'
        rb'"thoughtsTokenCount":2,"totalTokenCount":13}}',
        rb'{"candidates":[{"content":{"parts":[{"text":"",'
        rb'"thoughtSignature":"c2lnLXRleHQ="}],"role":"model"},'
        rb'"finishReason":"STOP","index":0}],'
        rb'"modelVersion":"gem-3","responseId":"r-nine","usageMetadata":'
        rb'{"candidatesTokenCount":9,"promptTokenCount":14,"promptTokensDetails":'
        rb'[{"modality":"TEXT","tokenCount":14}],"serviceTier":"standard",'
        rb'"thoughtsTokenCount":10,"toolUsePromptTokenCount":20,'
        rb'"toolUsePromptTokensDetails":[{"modality":"TEXT","tokenCount":20}],'
        rb'"totalTokenCount":53}}',
    ),
    events=(
        MessageStart("r-nine", "gem-3", dialect="gemini"),
        ServiceTier("standard"),
        PartStart(
            0,
            ServerToolCallPart(
                name="executableCode",
                call_id="run_7",
                payload=Raw(
                    rb'{"code":"print(9**2)\n","id":"run_7","language":"PYTHON"}'
                ),
            ),
        ),
        SignatureDelta(0, Signature(origin="gemini", value="c2lnLWNvZGU=")),
        PartEnd(
            0,
            final=ServerToolCallPart(
                name="executableCode",
                call_id="run_7",
                payload=Raw(
                    rb'{"code":"print(9**2)\n","id":"run_7","language":"PYTHON"}'
                ),
                signature=Signature(origin="gemini", value="c2lnLWNvZGU="),
            ),
        ),
        UsageUpdate(
            Usage(
                fresh=6,
                output=12,
                reasoning=8,
                extras={
                    "promptTokensDetails": Raw(b'[{"modality":"TEXT","tokenCount":6}]')
                },
            )
        ),
        PartStart(
            1,
            ServerToolResultPart(
                name="codeExecutionResult",
                call_id="run_7",
                payload=Raw(rb'{"id":"run_7","outcome":"OUTCOME_OK","output":"81\n"}'),
            ),
        ),
        PartEnd(
            1,
            final=ServerToolResultPart(
                name="codeExecutionResult",
                call_id="run_7",
                payload=Raw(rb'{"id":"run_7","outcome":"OUTCOME_OK","output":"81\n"}'),
            ),
        ),
        UsageUpdate(
            Usage(
                fresh=6,
                extras={
                    "promptTokensDetails": Raw(b'[{"modality":"TEXT","tokenCount":6}]')
                },
            )
        ),
        PartStart(2, TextPart("")),
        TextDelta(2, "It is 81."),
        UsageUpdate(
            Usage(
                fresh=6,
                output=7,
                reasoning=2,
                extras={
                    "promptTokensDetails": Raw(b'[{"modality":"TEXT","tokenCount":6}]')
                },
            )
        ),
        SignatureDelta(2, Signature(origin="gemini", value="c2lnLXRleHQ=")),
        PartEnd(2),
        UsageUpdate(
            Usage(
                fresh=14,
                tool_prompt=20,
                output=19,
                reasoning=10,
                extras={
                    "promptTokensDetails": Raw(
                        b'[{"modality":"TEXT","tokenCount":14}]'
                    ),
                    "toolUsePromptTokensDetails": Raw(
                        b'[{"modality":"TEXT","tokenCount":20}]'
                    ),
                },
            )
        ),
        MessageEnd("end", "STOP"),
        StreamEnd(),
    ),
)

# Two calls of one function without ids, only the first one signed, all in the one chunk
# that also ends the message: STOP is said of calls too. The arguments keep their white
# space and the spelling of their numbers. finishMessage is where a stop is explained,
# and is read as that.
_PARALLEL_CALLS = StreamCase(
    name="parallel-calls-in-one-chunk",
    like="4056fe9dc20b5988",
    wire=_frames(
        b'{"candidates": [{"content": {"parts": [{"functionCall": {"name": '
        b'"open_door","args": {"door": "east", "force": 1.50}},'
        b'"thoughtSignature": "c2lnLWRvb3I="},{"functionCall": {"name": '
        b'"open_door","args": {"door": "west"}}}],"role": "model"},'
        b'"finishReason": "STOP","index": 0,'
        b'"finishMessage": "Functions were called."}],"usageMetadata": '
        b'{"promptTokenCount": 30,"candidatesTokenCount": 14,'
        b'"totalTokenCount": 65,"promptTokensDetails": '
        b'[{"modality": "TEXT","tokenCount": 30}],"thoughtsTokenCount": 21},'
        b'"modelVersion": "gem-2.5","responseId": "r-door"}'
    ),
    events=(
        MessageStart("r-door", "gem-2.5", dialect="gemini"),
        PartStart(
            0,
            ToolCallPart(
                call_id=mint_call("", 0),
                name="open_door",
                signature=Signature(origin="gemini", value="c2lnLWRvb3I="),
            ),
        ),
        ArgumentsDelta(0, '{"door": "east", "force": 1.50}'),
        PartEnd(0),
        PartStart(1, ToolCallPart(call_id=mint_call("", 1), name="open_door")),
        ArgumentsDelta(1, '{"door": "west"}'),
        PartEnd(1),
        UsageUpdate(
            Usage(
                fresh=30,
                output=35,
                reasoning=21,
                extras={
                    "promptTokensDetails": Raw(
                        b'[{"modality": "TEXT","tokenCount": 30}]'
                    )
                },
            )
        ),
        MessageEnd(
            "tool_use",
            "STOP",
            detail=StopDetail(explanation="Functions were called."),
        ),
        StreamEnd(),
    ),
)

# Grounding is announced empty on every chunk and filled on the last: an Extra of
# the choice when it first comes and when it changes, in front of the words beside
# it. There its offsets count UTF-8 bytes and stay as they are; read as citations, one
# for each web source of each support, they count characters and come at the end of the
# body, when the last grounding is known.
_GROUNDING = StreamCase(
    name="grounding-filled-at-the-end",
    like="0ce9a3d19d3a87bd",
    wire=_frames(
        b'{"candidates":[{"content":{"parts":[{"text":"The fair"}],"role":"model"},'
        b'"index":0,"groundingMetadata":{}}],"usageMetadata":{"promptTokenCount":4,'
        b'"candidatesTokenCount":2,"totalTokenCount":35,'
        b'"toolUsePromptTokenCount":20,"thoughtsTokenCount":9},'
        b'"modelVersion":"gem-2.5","responseId":"r-fair"}',
        b'{"candidates":[{"content":{"parts":[{"text":" opens"}],"role":"model"},'
        b'"index":0,"groundingMetadata":{}}],"usageMetadata":{"promptTokenCount":4,'
        b'"candidatesTokenCount":3,"totalTokenCount":36,'
        b'"toolUsePromptTokenCount":20,"thoughtsTokenCount":9},'
        b'"modelVersion":"gem-2.5","responseId":"r-fair"}',
        b'{"candidates":[{"content":{"parts":[{"text":" today."}],"role":"model"},'
        b'"finishReason":"STOP","index":0,"groundingMetadata":{"groundingChunks":'
        b'[{"web":{"uri":"https://fair.test/","title":"fair.test"}}],'
        b'"groundingSupports":[{"segment":{"endIndex":21,'
        b'"text":"The fair opens today."},"groundingChunkIndices":[0]}],'
        b'"webSearchQueries":["fair"]}}],"usageMetadata":{"promptTokenCount":4,'
        b'"candidatesTokenCount":5,"totalTokenCount":38,'
        b'"toolUsePromptTokenCount":20,"thoughtsTokenCount":9},'
        b'"modelVersion":"gem-2.5","responseId":"r-fair"}',
    ),
    events=(
        MessageStart("r-fair", "gem-2.5", dialect="gemini"),
        Extra({"groundingMetadata": Raw(b"{}")}, choice=0),
        PartStart(0, TextPart("")),
        TextDelta(0, "The fair"),
        UsageUpdate(Usage(fresh=4, tool_prompt=20, output=11, reasoning=9)),
        TextDelta(0, " opens"),
        UsageUpdate(Usage(fresh=4, tool_prompt=20, output=12, reasoning=9)),
        Extra(
            {
                "groundingMetadata": Raw(
                    b'{"groundingChunks":'
                    b'[{"web":{"uri":"https://fair.test/","title":"fair.test"}}],'
                    b'"groundingSupports":[{"segment":{"endIndex":21,'
                    b'"text":"The fair opens today."},"groundingChunkIndices":[0]}]'
                    b',"webSearchQueries":["fair"]}'
                )
            },
            choice=0,
        ),
        TextDelta(0, " today."),
        UsageUpdate(Usage(fresh=4, tool_prompt=20, output=14, reasoning=9)),
        CitationDelta(
            0,
            Citation(
                kind="url",
                url="https://fair.test/",
                title="fair.test",
                text="The fair opens today.",
                start=0,
                end=21,
            ),
        ),
        PartEnd(0),
        MessageEnd("end", "STOP"),
        StreamEnd(),
    ),
)

# A thought, then a candidate with nothing but the news that the call it wanted was
# malformed: no part, no id, no model. A choice is enough to start the message. The
# last counts forget the thoughts; they replace the first ones all the same.
_MALFORMED_CALL = StreamCase(
    name="malformed-call-without-content",
    like="b8a81321875442f0",
    wire=(
        rb'data: {"candidates":[{"content":{"parts":[{"thought":true,'
        rb'"text":"**Saving**\n\nNow the file.\n\n\n"}],"role":"model"},"index":0}'
        rb'],"usageMetadata":{"promptTokenCount":15,"totalTokenCount":21,'
        rb'"thoughtsTokenCount":6}}'
        b"\n\n"
        b'data: {"candidates":[{"finishReason":"MALFORMED_FUNCTION_CALL","index":0}'
        b'],"usageMetadata":{"promptTokenCount":15,"totalTokenCount":15}}'
        b"\n\n"
    ),
    events=(
        MessageStart(dialect="gemini"),
        PartStart(0, ReasoningPart()),
        ReasoningDelta(0, "**Saving**\n\nNow the file.\n\n\n"),
        UsageUpdate(Usage(fresh=15, output=6, reasoning=6)),
        UsageUpdate(Usage(fresh=15)),
        PartEnd(0),
        MessageEnd("malformed_tool_call", "MALFORMED_FUNCTION_CALL"),
        StreamEnd(),
    ),
)

# A signature on words without `thought`: they are text, not reasoning, and the
# signature ends the part in its own chunk, before the end of the body.
_SIGNED_TEXT = StreamCase(
    name="signed-text-in-one-chunk",
    like="46518a48c144538b",
    wire=_frames(
        b'{"candidates":[{"content":{"parts":[{"text":"77",'
        b'"thoughtSignature":"c2lnLTc3"}],"role":"model"},'
        b'"finishReason":"STOP","index":0}],'
        b'"modelVersion":"gem-2.5","responseId":"r-77","usageMetadata":'
        b'{"candidatesTokenCount":2,"promptTokenCount":40,"serviceTier":"standard",'
        b'"thoughtsTokenCount":3,"totalTokenCount":45}}'
    ),
    events=(
        MessageStart("r-77", "gem-2.5", dialect="gemini"),
        ServiceTier("standard"),
        PartStart(0, TextPart("")),
        TextDelta(0, "77"),
        SignatureDelta(0, Signature(origin="gemini", value="c2lnLTc3")),
        PartEnd(0),
        UsageUpdate(Usage(fresh=40, output=5, reasoning=3)),
        MessageEnd("end", "STOP"),
        StreamEnd(),
    ),
)

# Two thoughts join in one part, blank lines and all; the text after them is
# another. The last chunk has content without parts and counts that are known:
# nothing but the finish, which is held.
_THOUGHTS = StreamCase(
    name="thoughts-then-text",
    like="7cae0ee5895f0a4d",
    wire=_frames(
        rb'{"candidates":[{"content":{"parts":[{"text":"**Days**\n\nTwo.\n\n\n",'
        rb'"thought":true}],"role":"model"},"index":0}],'
        rb'"modelVersion":"gem-2.5","responseId":"r-day","usageMetadata":'
        rb'{"promptTokenCount":8,"serviceTier":"standard","thoughtsTokenCount":3,'
        rb'"totalTokenCount":11}}',
        rb'{"candidates":[{"content":{"parts":[{"text":"**Hours**\n\n48.\n\n\n",'
        rb'"thought":true}],"role":"model"},"index":0}],'
        rb'"modelVersion":"gem-2.5","responseId":"r-day","usageMetadata":'
        rb'{"promptTokenCount":8,"serviceTier":"standard","thoughtsTokenCount":7,'
        rb'"totalTokenCount":15}}',
        b'{"candidates":[{"content":{"parts":[{"text":"48 \xe2\x8f\xb0"}],'
        b'"role":"model"},"index":0}],'
        b'"modelVersion":"gem-2.5","responseId":"r-day","usageMetadata":'
        b'{"candidatesTokenCount":2,"promptTokenCount":8,"serviceTier":"standard",'
        b'"thoughtsTokenCount":7,"totalTokenCount":17}}',
        b'{"candidates":[{"content":{"role":"model"},"finishReason":"STOP",'
        b'"index":0}],'
        b'"modelVersion":"gem-2.5","responseId":"r-day","usageMetadata":'
        b'{"candidatesTokenCount":2,"promptTokenCount":8,"serviceTier":"standard",'
        b'"thoughtsTokenCount":7,"totalTokenCount":17}}',
    ),
    events=(
        MessageStart("r-day", "gem-2.5", dialect="gemini"),
        ServiceTier("standard"),
        PartStart(0, ReasoningPart()),
        ReasoningDelta(0, "**Days**\n\nTwo.\n\n\n"),
        UsageUpdate(Usage(fresh=8, output=3, reasoning=3)),
        ReasoningDelta(0, "**Hours**\n\n48.\n\n\n"),
        UsageUpdate(Usage(fresh=8, output=7, reasoning=7)),
        PartEnd(0),
        PartStart(1, TextPart("")),
        TextDelta(1, "48 \N{ALARM CLOCK}"),
        UsageUpdate(Usage(fresh=8, output=9, reasoning=7)),
        PartEnd(1),
        MessageEnd("end", "STOP"),
        StreamEnd(),
    ),
)

# An error as bare JSON over many lines where events were promised: documented
# behaviour, no broken rule. It is read until its braces balance, those in strings
# not counted. A refused key comes as 400 INVALID_ARGUMENT; the reason tells.
_BARE_ERROR = StreamCase(
    name="bare-error-object",
    like="706ab595334a6916",
    wire=(
        b"{\n"
        b'  "error": {\n'
        b'    "code": 400,\n'
        b'    "message": "This key }{ opens nothing.",\n'
        b'    "status": "INVALID_ARGUMENT",\n'
        b'    "details": [\n'
        b"      {\n"
        b'        "@type": "type.googleapis.com/google.rpc.ErrorInfo",\n'
        b'        "reason": "API_KEY_INVALID",\n'
        b'        "domain": "googleapis.com"\n'
        b"      }\n"
        b"    ]\n"
        b"  }\n"
        b"}\n"
    ),
    events=(
        StreamError(
            APIError(
                kind="auth",
                message="This key }{ opens nothing.",
                status=400,
                code="INVALID_ARGUMENT",
                dialect="gemini",
            )
        ),
    ),
)


CASES: tuple[StreamCase, ...] = (
    _FINISH_TWICE,
    _ARGUMENTS_IN_PIECES,
    _SEARCH_SIGNED,
    _CODE_SIGNED,
    _PARALLEL_CALLS,
    _GROUNDING,
    _MALFORMED_CALL,
    _SIGNED_TEXT,
    _THOUGHTS,
    _BARE_ERROR,
)
"""Every Gemini sentence."""
