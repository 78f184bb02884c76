"""Streams of the openai-responses dialect and the sentences they must read as.

Knows what the wire says and what it means, and no decoder: each sentence was written
down from the protocol's rules. One choice that several of them share: what the terminal
frame says comes in the order parts that it closes, usage, tier, `MessageEnd`. Another:
a signature names no model, for the wire does not put one beside it, and the snapshot's
dated name is not the one that a later request will carry.
"""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Raw

from llmwire.events import (
    ArgumentsDelta,
    Extra,
    LogprobsDelta,
    MessageEnd,
    MessageStart,
    OpaqueEvent,
    PartEnd,
    PartStart,
    Ping,
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
    ReasoningPart,
    ServerToolCallPart,
    Signature,
    TextPart,
    TokenLogprob,
    ToolCallPart,
    Usage,
)
from tests.sentences import StreamCase

__all__ = ("CASES",)

_Frame: TypeAlias = tuple[str, str]
"""An event's type and its other members, as they stand in the JSON object."""


def _frames(*frames: _Frame) -> bytes:
    """Frames as OpenAI writes them: the type is named twice and comes first."""
    return "".join(
        f"event: {kind}\n"
        f'data: {{"type":"{kind}","sequence_number":{number},{members}}}\n\n'
        for number, (kind, members) in enumerate(frames)
    ).encode()


def _bare_frames(*frames: _Frame) -> bytes:
    """Frames without an `event:` line; only the object says its type, at its end."""
    return "".join(
        f'data: {{{members},"sequence_number":{number},"type":"{kind}"}}\n\n'
        for number, (kind, members) in enumerate(frames)
    ).encode()


def _opening(response: str) -> tuple[_Frame, _Frame]:
    """The two frames of every beginning; `response` is the inside of the object."""
    members = '"response":{' + response + "}"
    return ("response.created", members), ("response.in_progress", members)


# What OpenAI sends in every response object and no case is about. Some members echo the
# request (sampling penalties too, which this dialect's requests do not even have), the
# others are known to the protocol: none is an Extra.
_ECHO = (
    '"background":false,"error":null,"frequency_penalty":0.0,'
    '"instructions":"Be brief.","max_output_tokens":null,"max_tool_calls":null,'
    '"metadata":{},"moderation":null,"parallel_tool_calls":true,"presence_penalty":0.0,'
    '"previous_response_id":null,"prompt_cache_key":null,'
    '"prompt_cache_retention":"24h","reasoning":{"effort":"medium","summary":null},'
    '"safety_identifier":null,"store":true,"temperature":1.0,'
    '"text":{"format":{"type":"text"},"verbosity":"medium"},"tool_choice":"auto",'
    '"tools":[],"top_logprobs":0,"top_p":1.0,"truncation":"disabled","user":null'
)


_SUMMARIES = (
    '[{"type":"summary_text","text":"**Weigh pears**"},'
    '{"type":"summary_text","text":"**Weigh plums**"},'
    r'{"type":"summary_text","text":"**Compare**\n\nPears win."}]'
)

_THREE_SUMMARIES = StreamCase(
    name="three summaries in one reasoning item",
    like="04e74685ae5df870",
    wire=_frames(
        *_opening(
            '"id":"resp_pears","object":"response","created_at":1750000001,'
            '"status":"in_progress","completed_at":null,"incomplete_details":null,'
            '"model":"gpt-5-2025-08-07","output":[],"service_tier":"auto","usage":null,'
            + _ECHO
        ),
        (
            "response.output_item.added",
            '"output_index":0,"item":{"id":"rs_pears","type":"reasoning","summary":[]}',
        ),
        (
            "response.reasoning_summary_part.added",
            '"item_id":"rs_pears","output_index":0,"summary_index":0,'
            '"part":{"type":"summary_text","text":""}',
        ),
        (
            "response.reasoning_summary_text.delta",
            '"item_id":"rs_pears","output_index":0,"summary_index":0,'
            '"delta":"**Weigh","obfuscation":"q7Zt"',
        ),
        (
            "response.reasoning_summary_text.delta",
            '"item_id":"rs_pears","output_index":0,"summary_index":0,'
            '"delta":" pears**","obfuscation":"w"',
        ),
        (
            "response.reasoning_summary_text.done",
            '"item_id":"rs_pears","output_index":0,"summary_index":0,'
            '"text":"**Weigh pears**"',
        ),
        (
            "response.reasoning_summary_part.done",
            '"item_id":"rs_pears","output_index":0,"summary_index":0,'
            '"part":{"type":"summary_text","text":"**Weigh pears**"}',
        ),
        (
            "response.reasoning_summary_part.added",
            '"item_id":"rs_pears","output_index":0,"summary_index":1,'
            '"part":{"type":"summary_text","text":""}',
        ),
        (
            "response.reasoning_summary_text.delta",
            '"item_id":"rs_pears","output_index":0,"summary_index":1,'
            '"delta":"**Weigh plums**","obfuscation":"mB4"',
        ),
        (
            "response.reasoning_summary_text.done",
            '"item_id":"rs_pears","output_index":0,"summary_index":1,'
            '"text":"**Weigh plums**"',
        ),
        (
            "response.reasoning_summary_part.done",
            '"item_id":"rs_pears","output_index":0,"summary_index":1,'
            '"part":{"type":"summary_text","text":"**Weigh plums**"}',
        ),
        (
            "response.reasoning_summary_part.added",
            '"item_id":"rs_pears","output_index":0,"summary_index":2,'
            '"part":{"type":"summary_text","text":""}',
        ),
        (
            "response.reasoning_summary_text.delta",
            '"item_id":"rs_pears","output_index":0,"summary_index":2,'
            r'"delta":"**Compare**\n\nPears","obfuscation":"tt0P"',
        ),
        (
            "response.reasoning_summary_text.delta",
            '"item_id":"rs_pears","output_index":0,"summary_index":2,'
            '"delta":" win.","obfuscation":"Kx2"',
        ),
        (
            "response.reasoning_summary_text.done",
            '"item_id":"rs_pears","output_index":0,"summary_index":2,'
            r'"text":"**Compare**\n\nPears win."',
        ),
        (
            "response.reasoning_summary_part.done",
            '"item_id":"rs_pears","output_index":0,"summary_index":2,'
            r'"part":{"type":"summary_text","text":"**Compare**\n\nPears win."}',
        ),
        (
            "response.output_item.done",
            '"output_index":0,"item":{"id":"rs_pears","type":"reasoning",'
            f'"summary":{_SUMMARIES}}}',
        ),
        (
            "response.output_item.added",
            '"output_index":1,"item":{"id":"msg_pears","type":"message",'
            '"status":"in_progress","content":[],"role":"assistant"}',
        ),
        (
            "response.content_part.added",
            '"item_id":"msg_pears","output_index":1,"content_index":0,'
            '"part":{"type":"output_text","annotations":[],"logprobs":[],"text":""}',
        ),
        (
            "response.output_text.delta",
            '"item_id":"msg_pears","output_index":1,"content_index":0,'
            '"delta":"Pears","logprobs":[],"obfuscation":"bb81Zv"',
        ),
        (
            "response.output_text.done",
            '"item_id":"msg_pears","output_index":1,"content_index":0,'
            '"text":"Pears","logprobs":[]',
        ),
        (
            "response.content_part.done",
            '"item_id":"msg_pears","output_index":1,"content_index":0,"part":'
            '{"type":"output_text","annotations":[],"logprobs":[],"text":"Pears"}',
        ),
        (
            "response.output_item.done",
            '"output_index":1,"item":{"id":"msg_pears","type":"message",'
            '"status":"completed","content":[{"type":"output_text","annotations":[],'
            '"logprobs":[],"text":"Pears"}],"role":"assistant"}',
        ),
        (
            "response.completed",
            '"response":{"id":"resp_pears","object":"response",'
            '"created_at":1750000001,"status":"completed","completed_at":1750000009,'
            '"incomplete_details":null,"model":"gpt-5-2025-08-07","output":['
            f'{{"id":"rs_pears","type":"reasoning","summary":{_SUMMARIES}}},'
            '{"id":"msg_pears","type":"message","status":"completed","content":['
            '{"type":"output_text","annotations":[],"logprobs":[],"text":"Pears"}],'
            '"role":"assistant"}],"service_tier":"default","usage":{"input_tokens":12,'
            '"input_tokens_details":{"cached_tokens":0},"output_tokens":40,'
            '"output_tokens_details":{"reasoning_tokens":32},"total_tokens":52},'
            f"{_ECHO}}}",
        ),
    ),
    events=(
        MessageStart(
            "resp_pears",
            "gpt-5-2025-08-07",
            1750000001.0,
            dialect="openai-responses",
        ),
        # The tier of the first frame is what was asked for, and still a change from
        # nothing; the last one wins.
        ServiceTier("auto"),
        Ping(),
        PartStart(0, ReasoningPart(id="rs_pears", group=0)),
        ReasoningDelta(0, "**Weigh", 0),
        ReasoningDelta(0, " pears**", 0),
        ReasoningDelta(0, "**Weigh plums**", 1),
        ReasoningDelta(0, "**Compare**\n\nPears", 2),
        ReasoningDelta(0, " win.", 2),
        PartEnd(0),
        PartStart(1, TextPart(id="msg_pears", group=1, text="")),
        TextDelta(1, "Pears"),
        PartEnd(1),
        UsageUpdate(Usage(fresh=12, cache_read=0, output=40, reasoning=32)),
        ServiceTier("default"),
        MessageEnd("end", "completed"),
        StreamEnd(),
    ),
)


_REASONING_AFTER_TEXT = StreamCase(
    name="reasoning announced while the text before it is open",
    like="1fcc536c8604165d",
    wire=b": \n\n"
    + _bare_frames(
        *_opening(
            '"completed_at":null,"created_at":1750000002,"error":null,'
            '"id":"resp_tides","incomplete_details":null,"metadata":{},'
            '"model":"google/gemini-3-flash","object":"response","output":[],'
            '"reasoning":null,"service_tier":"auto","status":"in_progress",'
            '"tools":[],"usage":null'
        ),
        (
            "response.output_item.added",
            '"item":{"content":[],"id":"msg_tides","role":"assistant",'
            '"status":"in_progress","type":"message"},"output_index":0',
        ),
        (
            "response.content_part.added",
            '"content_index":0,"item_id":"msg_tides","output_index":0,'
            '"part":{"annotations":[],"logprobs":[],"text":"","type":"output_text"}',
        ),
        (
            "response.output_text.delta",
            '"content_index":0,"delta":"Twice a day.","item_id":"msg_tides",'
            '"logprobs":[],"output_index":0',
        ),
        (
            "response.output_item.added",
            '"item":{"id":"rs_tides","status":"in_progress","summary":[],'
            '"type":"reasoning"},"output_index":1',
        ),
        (
            "response.output_text.done",
            '"content_index":0,"item_id":"msg_tides","logprobs":[],"output_index":0,'
            '"text":"Twice a day."',
        ),
        (
            "response.content_part.done",
            '"content_index":0,"item_id":"msg_tides","output_index":0,"part":'
            '{"annotations":[],"logprobs":[],"text":"Twice a day.",'
            '"type":"output_text"}',
        ),
        (
            "response.output_item.done",
            '"item":{"content":[{"annotations":[],"logprobs":[],'
            '"text":"Twice a day.","type":"output_text"}],"id":"msg_tides",'
            '"role":"assistant","status":"completed","type":"message"},'
            '"output_index":0',
        ),
        (
            "response.output_item.done",
            '"item":{"encrypted_content":"c2VhbGVkLXRpZGVz",'
            '"format":"google-gemini-v1","id":"rs_tides","status":"completed",'
            '"summary":[],"type":"reasoning"},"output_index":1',
        ),
        (
            "response.completed",
            '"response":{"completed_at":1750000003,"created_at":1750000002,'
            '"error":null,"id":"resp_tides","incomplete_details":null,"metadata":{},'
            '"model":"google/gemini-3-flash","object":"response","output":['
            '{"content":[{"annotations":[],"logprobs":[],"text":"Twice a day.",'
            '"type":"output_text"}],"id":"msg_tides","role":"assistant",'
            '"status":"completed","type":"message"},'
            '{"encrypted_content":"c2VhbGVkLXRpZGVz","format":"google-gemini-v1",'
            '"id":"rs_tides","status":"completed","summary":[],"type":"reasoning"}],'
            '"reasoning":null,"service_tier":"provisioned","status":"completed",'
            '"tools":[],"usage":{"cost":0.25,'
            '"cost_details":{"upstream_inference_cost":0.25},"input_tokens":17,'
            '"input_tokens_details":{"cached_tokens":0},"is_byok":false,'
            '"output_tokens":9,"output_tokens_details":{"reasoning_tokens":0},'
            '"total_tokens":26}}',
        ),
    )
    # A habit of Chat servers that clients tolerate here: accepted, not counted.
    + b"data: [DONE]\n\n",
    events=(
        Ping(),  # the comment, before anything else
        MessageStart(
            "resp_tides",
            "google/gemini-3-flash",
            1750000002.0,
            dialect="openai-responses",
        ),
        ServiceTier("auto"),
        Ping(),
        PartStart(0, TextPart(id="msg_tides", group=0, text="")),
        TextDelta(0, "Twice a day."),
        PartStart(1, ReasoningPart(id="rs_tides", group=1)),
        PartEnd(0),
        # Strangers of an item come before its content, as those of a choice do.
        Extra({"format": Raw(b'"google-gemini-v1"')}, index=1),
        SignatureDelta(
            1, Signature(origin="openai-responses", value="c2VhbGVkLXRpZGVz")
        ),
        PartEnd(1),
        UsageUpdate(
            Usage(
                fresh=17,
                cache_read=0,
                output=9,
                reasoning=0,
                extras={
                    "cost": Raw(b"0.25"),
                    "cost_details": Raw(b'{"upstream_inference_cost":0.25}'),
                    "is_byok": Raw(b"false"),
                },
            )
        ),
        ServiceTier("provisioned"),
        MessageEnd("end", "completed"),
        StreamEnd(),
    ),
)


_MAPS = '{"id":"mcpl_maps","type":"mcp_list_tools","server_label":"maps","tools":[]}'
_MAPS_DONE = (
    '{"id":"mcpl_maps","type":"mcp_list_tools","server_label":"maps","tools":['
    '{"annotations":{"read_only":true},"description":"Find a road.",'
    '"input_schema":{"type":"object"},"name":"route"}]}'
)
_FERRY = '{"id":"mcpl_ferry","type":"mcp_list_tools","server_label":"ferry","tools":[]}'
_FERRY_DONE = (
    '{"id":"mcpl_ferry","type":"mcp_list_tools","server_label":"ferry","tools":['
    '{"annotations":null,"description":"Next ferry.",'
    '"input_schema":{"type":"object"},"name":"next"}]}'
)
_TRAIN = '{"id":"mcpl_train","type":"mcp_list_tools","server_label":"train","tools":[]}'
_TRAIN_DONE = (
    '{"id":"mcpl_train","type":"mcp_list_tools","server_label":"train","tools":['
    '{"annotations":null,"description":"Next train.",'
    '"input_schema":{"type":"object"},"name":"next"}]}'
)
_LISTING = Raw(b'{"type":"response.mcp_list_tools.in_progress"}')
_LISTED = Raw(b'{"type":"response.mcp_list_tools.completed"}')

# Three lists of tools are fetched at once. Only the last of them gets its
# output_item.done; what the other two became stands in the terminal snapshot alone.
_ITEMS_WITHOUT_DONE = StreamCase(
    name="hosted items that only the terminal snapshot closes",
    like="348521a3b4a6c16b",
    wire=_frames(
        *_opening(
            '"id":"resp_roads","object":"response","created_at":1750000003,'
            '"status":"in_progress","completed_at":null,"incomplete_details":null,'
            '"model":"gpt-4.1-2025-04-14","output":[],"service_tier":"auto",'
            '"usage":null,' + _ECHO
        ),
        ("response.output_item.added", f'"output_index":0,"item":{_MAPS}'),
        (
            "response.mcp_list_tools.in_progress",
            '"item_id":"mcpl_maps","output_index":0',
        ),
        ("response.output_item.added", f'"output_index":1,"item":{_FERRY}'),
        (
            "response.mcp_list_tools.in_progress",
            '"item_id":"mcpl_ferry","output_index":1',
        ),
        ("response.output_item.added", f'"output_index":2,"item":{_TRAIN}'),
        (
            "response.mcp_list_tools.in_progress",
            '"item_id":"mcpl_train","output_index":2',
        ),
        (
            "response.mcp_list_tools.completed",
            '"item_id":"mcpl_ferry","output_index":1',
        ),
        (
            "response.mcp_list_tools.completed",
            '"item_id":"mcpl_maps","output_index":0',
        ),
        (
            "response.mcp_list_tools.completed",
            '"item_id":"mcpl_train","output_index":2',
        ),
        ("response.output_item.done", f'"output_index":2,"item":{_TRAIN_DONE}'),
        (
            "response.output_item.added",
            '"output_index":3,"item":{"id":"msg_roads","type":"message",'
            '"status":"in_progress","content":[],"role":"assistant"}',
        ),
        (
            "response.content_part.added",
            '"item_id":"msg_roads","output_index":3,"content_index":0,'
            '"part":{"type":"output_text","annotations":[],"logprobs":[],"text":""}',
        ),
        (
            "response.output_text.delta",
            '"item_id":"msg_roads","output_index":3,"content_index":0,'
            '"delta":"Three","logprobs":[],"obfuscation":"Zk3"',
        ),
        (
            "response.output_text.delta",
            '"item_id":"msg_roads","output_index":3,"content_index":0,'
            '"delta":" servers.","logprobs":[],"obfuscation":"e"',
        ),
        (
            "response.output_text.done",
            '"item_id":"msg_roads","output_index":3,"content_index":0,'
            '"text":"Three servers.","logprobs":[]',
        ),
        (
            "response.content_part.done",
            '"item_id":"msg_roads","output_index":3,"content_index":0,"part":'
            '{"type":"output_text","annotations":[],"logprobs":[],'
            '"text":"Three servers."}',
        ),
        (
            "response.output_item.done",
            '"output_index":3,"item":{"id":"msg_roads","type":"message",'
            '"status":"completed","content":[{"type":"output_text","annotations":[],'
            '"logprobs":[],"text":"Three servers."}],"role":"assistant"}',
        ),
        (
            "response.completed",
            '"response":{"id":"resp_roads","object":"response",'
            '"created_at":1750000003,"status":"completed","completed_at":1750000006,'
            '"incomplete_details":null,"model":"gpt-4.1-2025-04-14","output":['
            f"{_MAPS_DONE},{_FERRY_DONE},{_TRAIN_DONE},"
            '{"id":"msg_roads","type":"message","status":"completed","content":['
            '{"type":"output_text","annotations":[],"logprobs":[],'
            '"text":"Three servers."}],"role":"assistant"}],'
            '"service_tier":"default","usage":{"input_tokens":700,'
            '"input_tokens_details":{"cached_tokens":0},"output_tokens":5,'
            '"output_tokens_details":{"reasoning_tokens":0},"total_tokens":705},'
            f"{_ECHO}}}",
        ),
    ),
    events=(
        MessageStart(
            "resp_roads",
            "gpt-4.1-2025-04-14",
            1750000003.0,
            dialect="openai-responses",
        ),
        ServiceTier("auto"),
        Ping(),
        PartStart(
            0,
            ServerToolCallPart(
                id="mcpl_maps",
                group=0,
                name="mcp_list_tools",
                call_id="mcpl_maps",
                payload=Raw(_MAPS),
            ),
        ),
        OpaqueEvent(
            "openai-responses", "response.mcp_list_tools.in_progress", _LISTING, 0
        ),
        PartStart(
            1,
            ServerToolCallPart(
                id="mcpl_ferry",
                group=1,
                name="mcp_list_tools",
                call_id="mcpl_ferry",
                payload=Raw(_FERRY),
            ),
        ),
        OpaqueEvent(
            "openai-responses", "response.mcp_list_tools.in_progress", _LISTING, 1
        ),
        PartStart(
            2,
            ServerToolCallPart(
                id="mcpl_train",
                group=2,
                name="mcp_list_tools",
                call_id="mcpl_train",
                payload=Raw(_TRAIN),
            ),
        ),
        OpaqueEvent(
            "openai-responses", "response.mcp_list_tools.in_progress", _LISTING, 2
        ),
        # An item's own "completed" event does not close it: its content is still due.
        OpaqueEvent(
            "openai-responses", "response.mcp_list_tools.completed", _LISTED, 1
        ),
        OpaqueEvent(
            "openai-responses", "response.mcp_list_tools.completed", _LISTED, 0
        ),
        OpaqueEvent(
            "openai-responses", "response.mcp_list_tools.completed", _LISTED, 2
        ),
        PartEnd(
            2,
            final=ServerToolCallPart(
                id="mcpl_train",
                group=2,
                name="mcp_list_tools",
                call_id="mcpl_train",
                payload=Raw(_TRAIN_DONE),
            ),
        ),
        PartStart(3, TextPart(id="msg_roads", group=3, text="")),
        TextDelta(3, "Three"),
        TextDelta(3, " servers."),
        PartEnd(3),
        PartEnd(
            0,
            final=ServerToolCallPart(
                id="mcpl_maps",
                group=0,
                name="mcp_list_tools",
                call_id="mcpl_maps",
                payload=Raw(_MAPS_DONE),
            ),
        ),
        PartEnd(
            1,
            final=ServerToolCallPart(
                id="mcpl_ferry",
                group=1,
                name="mcp_list_tools",
                call_id="mcpl_ferry",
                payload=Raw(_FERRY_DONE),
            ),
        ),
        UsageUpdate(Usage(fresh=700, cache_read=0, output=5, reasoning=0)),
        ServiceTier("default"),
        MessageEnd("end", "completed"),
        StreamEnd(),
    ),
    violations={"item-without-done": 2},
)


_IMAGE = '{"id":"ig_bowl","type":"image_generation_call","status":"in_progress"}'
_IMAGE_DONE = (
    '{"id":"ig_bowl","type":"image_generation_call","status":"completed",'
    '"background":"opaque","output_format":"webp","quality":"low",'
    '"result":"UklGRg==","revised_prompt":"A blue bowl.","size":"64x64"}'
)

_IMAGE_CALL = StreamCase(
    name="a hosted item whose content comes at done, and parts without any",
    like="0b2640a24844082c",
    wire=_frames(
        *_opening(
            '"id":"resp_bowl","object":"response","created_at":1750000004,'
            '"status":"in_progress","incomplete_details":null,'
            '"model":"gpt-5-2025-08-07","output":[],"service_tier":"auto",'
            '"usage":null,' + _ECHO
        ),
        (
            "response.output_item.added",
            '"output_index":0,"item":{"id":"rs_bowl","type":"reasoning","summary":[]}',
        ),
        (
            "response.output_item.done",
            '"output_index":0,"item":{"id":"rs_bowl","type":"reasoning","summary":[]}',
        ),
        ("response.output_item.added", f'"output_index":1,"item":{_IMAGE}'),
        (
            "response.image_generation_call.in_progress",
            '"output_index":1,"item_id":"ig_bowl"',
        ),
        (
            "response.image_generation_call.generating",
            '"output_index":1,"item_id":"ig_bowl"',
        ),
        (
            "response.image_generation_call.partial_image",
            '"output_index":1,"item_id":"ig_bowl","partial_image_index":0,'
            '"partial_image_b64":"UklG","size":"64x64","output_format":"webp"',
        ),
        (
            "response.image_generation_call.completed",
            '"output_index":1,"item_id":"ig_bowl"',
        ),
        ("response.output_item.done", f'"output_index":1,"item":{_IMAGE_DONE}'),
        (
            "response.output_item.added",
            '"output_index":2,"item":{"id":"msg_bowl","type":"message",'
            '"status":"in_progress","content":[],"role":"assistant"}',
        ),
        (
            "response.content_part.added",
            '"item_id":"msg_bowl","output_index":2,"content_index":0,'
            '"part":{"type":"output_text","annotations":[],"logprobs":[],"text":""}',
        ),
        (
            "response.output_text.done",
            '"item_id":"msg_bowl","output_index":2,"content_index":0,'
            '"text":"","logprobs":[]',
        ),
        (
            "response.content_part.done",
            '"item_id":"msg_bowl","output_index":2,"content_index":0,'
            '"part":{"type":"output_text","annotations":[],"logprobs":[],"text":""}',
        ),
        (
            "response.output_item.done",
            '"output_index":2,"item":{"id":"msg_bowl","type":"message",'
            '"status":"completed","content":[{"type":"output_text","annotations":[],'
            '"logprobs":[],"text":""}],"role":"assistant"}',
        ),
        (
            "response.completed",
            '"response":{"id":"resp_bowl","object":"response",'
            '"created_at":1750000004,"status":"completed","incomplete_details":null,'
            '"model":"gpt-5-2025-08-07","output":['
            '{"id":"rs_bowl","type":"reasoning","summary":[]},'
            f"{_IMAGE_DONE},"
            '{"id":"msg_bowl","type":"message","status":"completed","content":['
            '{"type":"output_text","annotations":[],"logprobs":[],"text":""}],'
            '"role":"assistant"}],"service_tier":"default",'
            '"usage":{"input_tokens":2900,'
            '"input_tokens_details":{"cached_tokens":1900},"output_tokens":1200,'
            '"output_tokens_details":{"reasoning_tokens":1000},"total_tokens":4100},'
            f"{_ECHO}}}",
        ),
    ),
    events=(
        MessageStart(
            "resp_bowl", "gpt-5-2025-08-07", 1750000004.0, dialect="openai-responses"
        ),
        ServiceTier("auto"),
        Ping(),
        # Neither summary nor signature, and a part all the same: the item has an id
        # that its neighbours are replayed with.
        PartStart(0, ReasoningPart(id="rs_bowl", group=0)),
        PartEnd(0),
        PartStart(
            1,
            ServerToolCallPart(
                id="ig_bowl",
                group=1,
                name="image_generation_call",
                call_id="ig_bowl",
                payload=Raw(_IMAGE),
                status="in_progress",
            ),
        ),
        OpaqueEvent(
            "openai-responses",
            "response.image_generation_call.in_progress",
            Raw(b'{"type":"response.image_generation_call.in_progress"}'),
            1,
        ),
        OpaqueEvent(
            "openai-responses",
            "response.image_generation_call.generating",
            Raw(b'{"type":"response.image_generation_call.generating"}'),
            1,
        ),
        # partial_image_index counts pictures; it is no position in the stream.
        OpaqueEvent(
            "openai-responses",
            "response.image_generation_call.partial_image",
            Raw(
                b'{"type":"response.image_generation_call.partial_image",'
                b'"partial_image_index":0,"partial_image_b64":"UklG",'
                b'"size":"64x64","output_format":"webp"}'
            ),
            1,
        ),
        OpaqueEvent(
            "openai-responses",
            "response.image_generation_call.completed",
            Raw(b'{"type":"response.image_generation_call.completed"}'),
            1,
        ),
        PartEnd(
            1,
            final=ServerToolCallPart(
                id="ig_bowl",
                group=1,
                name="image_generation_call",
                call_id="ig_bowl",
                payload=Raw(_IMAGE_DONE),
                status="completed",
            ),
        ),
        # An announced content part is a part though nothing was said in it.
        PartStart(2, TextPart(id="msg_bowl", group=2, text="")),
        PartEnd(2),
        UsageUpdate(Usage(fresh=1000, cache_read=1900, output=1200, reasoning=1000)),
        ServiceTier("default"),
        MessageEnd("end", "completed"),
        StreamEnd(),
    ),
)


# The reasoning item carries another encrypted_content each time it is shown: added,
# done, snapshot. The one of output_item.done counts.
_CUSTOM_CALL = StreamCase(
    name="a custom call, after a signature that is restated",
    like="8e4c5ddadd14fe2b",
    wire=_frames(
        *_opening(
            '"id":"resp_note","object":"response","created_at":1750000005,'
            '"status":"in_progress","completed_at":null,"incomplete_details":null,'
            '"model":"gpt-5.6-terra","output":[],"service_tier":"auto","usage":null,'
            + _ECHO
        ),
        (
            "response.output_item.added",
            '"output_index":0,"item":{"id":"rs_note","type":"reasoning","content":[],'
            '"encrypted_content":"Zmlyc3Q=","summary":[]}',
        ),
        (
            "response.output_item.done",
            '"output_index":0,"item":{"id":"rs_note","type":"reasoning","content":[],'
            '"encrypted_content":"c2Vjb25k","summary":[]}',
        ),
        (
            "response.output_item.added",
            '"output_index":1,"item":{"id":"ctc_note","type":"custom_tool_call",'
            '"status":"in_progress","call_id":"call_note","input":"",'
            '"name":"pin_note"}',
        ),
        (
            "response.custom_tool_call_input.delta",
            '"delta":"Buy","item_id":"ctc_note","obfuscation":"75Bpi","output_index":1',
        ),
        (
            "response.custom_tool_call_input.delta",
            r'"delta":"\n\n","item_id":"ctc_note","obfuscation":"xR","output_index":1',
        ),
        (
            "response.custom_tool_call_input.delta",
            '"delta":"milk.","item_id":"ctc_note","obfuscation":"","output_index":1',
        ),
        (
            "response.custom_tool_call_input.done",
            r'"input":"Buy\n\nmilk.","item_id":"ctc_note","output_index":1',
        ),
        (
            "response.output_item.done",
            '"output_index":1,"item":{"id":"ctc_note","type":"custom_tool_call",'
            r'"status":"completed","call_id":"call_note","input":"Buy\n\nmilk.",'
            '"name":"pin_note"}',
        ),
        (
            "response.completed",
            '"response":{"id":"resp_note","object":"response",'
            '"created_at":1750000005,"status":"completed","completed_at":1750000006,'
            '"incomplete_details":null,"model":"gpt-5.6-terra","output":['
            '{"id":"rs_note","type":"reasoning","content":[],'
            '"encrypted_content":"dGhpcmQ=","summary":[]},'
            '{"id":"ctc_note","type":"custom_tool_call","status":"completed",'
            r'"call_id":"call_note","input":"Buy\n\nmilk.","name":"pin_note"}],'
            '"service_tier":"default","usage":{"input_tokens":80,'
            '"input_tokens_details":{"cache_write_tokens":0,"cached_tokens":0},'
            '"output_tokens":60,"output_tokens_details":{"reasoning_tokens":14},'
            f'"total_tokens":140}},{_ECHO}}}',
        ),
    ),
    events=(
        MessageStart(
            "resp_note", "gpt-5.6-terra", 1750000005.0, dialect="openai-responses"
        ),
        ServiceTier("auto"),
        Ping(),
        # The signature shown at the start is unfinished: it is not known so far.
        PartStart(0, ReasoningPart(id="rs_note", group=0)),
        SignatureDelta(0, Signature(origin="openai-responses", value="c2Vjb25k")),
        PartEnd(0),
        PartStart(
            1,
            ToolCallPart(
                id="ctc_note",
                group=1,
                call_id="call_note",
                name="pin_note",
                kind="custom",
            ),
        ),
        ArgumentsDelta(1, "Buy"),
        ArgumentsDelta(1, "\n\n"),
        ArgumentsDelta(1, "milk."),
        PartEnd(1),
        UsageUpdate(
            Usage(fresh=80, cache_read=0, cache_write=0, output=60, reasoning=14)
        ),
        ServiceTier("default"),
        MessageEnd("tool_use", "completed"),
        StreamEnd(),
    ),
)


_ERROR_TWICE = StreamCase(
    name="one failure told twice: error, then response.failed",
    like="12c55309ff118486",
    wire=_frames(
        *_opening(
            '"id":"resp_purse","object":"response","created_at":1750000006,'
            '"status":"in_progress","incomplete_details":null,'
            '"model":"gpt-5-nano-2025-08-07","output":[],"service_tier":"auto",'
            '"usage":null,' + _ECHO
        ),
        (
            "error",
            '"error":{"type":"insufficient_quota","code":"insufficient_quota",'
            '"message":"The purse is empty.","param":null}',
        ),
        (
            "response.failed",
            '"response":{"id":"resp_purse","object":"response",'
            '"created_at":1750000006,"status":"failed","background":false,'
            '"error":{"code":"insufficient_quota","message":"The purse is empty."},'
            '"incomplete_details":null,"instructions":"Be brief.","metadata":{},'
            '"model":"gpt-5-nano-2025-08-07","output":[],"service_tier":"auto",'
            '"tools":[],"usage":null}',
        ),
    ),
    events=(
        MessageStart(
            "resp_purse",
            "gpt-5-nano-2025-08-07",
            1750000006.0,
            dialect="openai-responses",
        ),
        ServiceTier("auto"),
        Ping(),
        # The first telling is held until the second joins it; nothing is counted.
        StreamError(
            APIError(
                kind="quota",
                message="The purse is empty.",
                status=429,
                code="insufficient_quota",
                dialect="openai-responses",
            )
        ),
    ),
)


_PROGRAM = (
    '{"id":"cm_shelf","type":"program","call_id":"call_shelf","code":"",'
    '"fingerprint":"b25l"}'
)
_PROGRAM_DONE = (
    '{"id":"cm_shelf","type":"program","call_id":"call_shelf",'
    r'"code":"const n = await tools.count({sku: \"A7\"});\ntext(n);\n",'
    '"fingerprint":"dHdv"}'
)
_COUNT_DONE = (
    '{"id":"fc_shelf","type":"function_call","status":"in_progress",'
    r'"arguments":"{\"sku\":\"A7\"}","call_id":"call_count",'
    '"caller":{"type":"program","caller_id":"call_shelf"},"name":"count"}'
)

_CALL_BY_PROGRAM = StreamCase(
    name="a call made by a program of the server, still in progress when done",
    like="f854e774bdaa165b",
    wire=_frames(
        *_opening(
            '"id":"resp_shelf","object":"response","created_at":1750000007,'
            '"status":"in_progress","completed_at":null,"incomplete_details":null,'
            '"model":"gpt-5.6-sol","output":[],"service_tier":"auto","usage":null,'
            + _ECHO
        ),
        (
            "response.output_item.added",
            '"output_index":0,"item":{"id":"rs_shelf","type":"reasoning",'
            '"content":[],"encrypted_content":"YWRkZWQ=","summary":[]}',
        ),
        (
            "response.output_item.done",
            '"output_index":0,"item":{"id":"rs_shelf","type":"reasoning",'
            '"content":[],"encrypted_content":"ZG9uZQ==","summary":[]}',
        ),
        ("response.output_item.added", f'"output_index":1,"item":{_PROGRAM}'),
        ("response.output_item.done", f'"output_index":1,"item":{_PROGRAM_DONE}'),
        (
            "response.output_item.added",
            '"output_index":2,"item":{"id":"fc_shelf","type":"function_call",'
            '"status":"in_progress","arguments":"","call_id":"call_count",'
            '"caller":{"type":"program","caller_id":"call_shelf"},"name":"count"}',
        ),
        (
            "response.function_call_arguments.delta",
            r'"delta":"{\"sku\":\"A7\"}","item_id":"fc_shelf","obfuscation":"5cOj",'
            '"output_index":2',
        ),
        (
            "response.function_call_arguments.done",
            r'"arguments":"{\"sku\":\"A7\"}","item_id":"fc_shelf","output_index":2',
        ),
        ("response.output_item.done", f'"output_index":2,"item":{_COUNT_DONE}'),
        (
            "response.completed",
            '"response":{"id":"resp_shelf","object":"response",'
            '"created_at":1750000007,"status":"completed","completed_at":1750000008,'
            '"incomplete_details":null,"model":"gpt-5.6-sol","output":['
            '{"id":"rs_shelf","type":"reasoning","content":[],'
            '"encrypted_content":"c25hcHNob3Q=","summary":[]},'
            '{"id":"cm_shelf","type":"program","call_id":"call_shelf",'
            r'"code":"const n = await tools.count({sku: \"A7\"});\ntext(n);\n",'
            f'"fingerprint":"dGhyZWU="}},{_COUNT_DONE}],'
            '"service_tier":"default","usage":{"input_tokens":630,'
            '"input_tokens_details":{"cache_write_tokens":0,"cached_tokens":0},'
            '"output_tokens":87,"output_tokens_details":{"reasoning_tokens":37},'
            f'"total_tokens":717}},{_ECHO}}}',
        ),
    ),
    events=(
        MessageStart(
            "resp_shelf", "gpt-5.6-sol", 1750000007.0, dialect="openai-responses"
        ),
        ServiceTier("auto"),
        Ping(),
        PartStart(0, ReasoningPart(id="rs_shelf", group=0)),
        SignatureDelta(0, Signature(origin="openai-responses", value="ZG9uZQ==")),
        PartEnd(0),
        # The protocol knows `program` as an item of a hosted tool: not opaque. It has a
        # call_id of its own, which other items refer to; where there is none the
        # item's id serves.
        PartStart(
            1,
            ServerToolCallPart(
                id="cm_shelf",
                group=1,
                name="program",
                call_id="call_shelf",
                payload=Raw(_PROGRAM),
            ),
        ),
        PartEnd(
            1,
            final=ServerToolCallPart(
                id="cm_shelf",
                group=1,
                name="program",
                call_id="call_shelf",
                payload=Raw(_PROGRAM_DONE),
            ),
        ),
        # `caller` has no neutral form. Known at the start, it is not told again.
        PartStart(
            2,
            ToolCallPart(
                id="fc_shelf",
                group=2,
                call_id="call_count",
                name="count",
                extras={"caller": Raw(b'{"type":"program","caller_id":"call_shelf"}')},
            ),
        ),
        ArgumentsDelta(2, '{"sku":"A7"}'),
        # A done item that is still in progress: the arguments decide that the call is
        # complete, so the word would be lost unless it is kept as it stands.
        Extra({"status": Raw(b'"in_progress"')}, index=2),
        PartEnd(2),
        UsageUpdate(
            Usage(fresh=630, cache_read=0, cache_write=0, output=87, reasoning=37)
        ),
        ServiceTier("default"),
        MessageEnd("tool_use", "completed"),
        StreamEnd(),
    ),
)


# An open model behind a server of its own: raw reasoning under event names that OpenAI
# does not have, and a message whose only content part is announced at index 1.
_INDEX_GAP = StreamCase(
    name="reasoning parts under another name, and a content index that skips one",
    like="23e651000d4bf8d0",
    wire=_bare_frames(
        *_opening(
            '"background":false,"created_at":1750000008.0,"error":null,'
            '"id":"resp_count","incomplete_details":null,"instructions":null,'
            '"metadata":null,"model":"openai.gpt-oss-20b","object":"response",'
            '"output":[],"parallel_tool_calls":true,"service_tier":"auto",'
            '"status":"in_progress","temperature":1.0,"tool_choice":"auto",'
            '"tools":[],"top_p":1.0,"truncation":"disabled"'
        ),
        (
            "response.output_item.added",
            '"item":{"id":"msg_thought","status":"in_progress","summary":[],'
            '"type":"reasoning"},"output_index":0',
        ),
        (
            "response.reasoning_part.added",
            '"content_index":0,"item_id":"msg_thought","output_index":0,'
            '"part":{"text":"","type":"reasoning_text"}',
        ),
        (
            "response.reasoning_text.delta",
            '"content_index":0,"delta":"Just count.","item_id":"msg_thought",'
            '"output_index":0',
        ),
        (
            "response.reasoning_text.done",
            '"content_index":0,"item_id":"msg_thought","output_index":0,'
            '"text":"Just count."',
        ),
        (
            "response.reasoning_part.done",
            '"content_index":0,"item_id":"msg_thought","output_index":0,'
            '"part":{"text":"Just count.","type":"reasoning_text"}',
        ),
        (
            "response.output_item.done",
            '"item":{"content":[{"text":"Just count.","type":"reasoning_text"}],'
            '"id":"msg_thought","status":"completed","summary":[],'
            '"type":"reasoning"},"output_index":0',
        ),
        (
            "response.output_item.added",
            '"item":{"content":[],"id":"msg_count","role":"assistant",'
            '"status":"in_progress","type":"message"},"output_index":1',
        ),
        (
            "response.content_part.added",
            '"content_index":1,"item_id":"msg_count","output_index":1,'
            '"part":{"annotations":[],"logprobs":[],"text":"","type":"output_text"}',
        ),
        (
            "response.output_text.delta",
            r'"content_index":1,"delta":"Voilà:\n\n1  \n2",'
            '"item_id":"msg_count","logprobs":[],"output_index":1',
        ),
        (
            "response.output_text.done",
            '"content_index":1,"item_id":"msg_count","logprobs":[],'
            r'"output_index":1,"text":"Voilà:\n\n1  \n2"',
        ),
        (
            "response.content_part.done",
            '"content_index":1,"item_id":"msg_count","output_index":1,"part":'
            r'{"annotations":[],"text":"Voilà:\n\n1  \n2","type":"output_text"}',
        ),
        (
            "response.output_item.done",
            '"item":{"content":[{"annotations":[],'
            r'"text":"Voilà:\n\n1  \n2","type":"output_text"}],'
            '"id":"msg_count","role":"assistant","status":"completed",'
            '"type":"message"},"output_index":1',
        ),
        (
            "response.completed",
            '"response":{"background":false,"created_at":1750000008.0,"error":null,'
            '"id":"resp_count","incomplete_details":null,"instructions":null,'
            '"metadata":null,"model":"openai.gpt-oss-20b","object":"response",'
            '"output":[{"content":[{"text":"Just count.","type":"reasoning_text"}],'
            '"id":"msg_thought","status":"completed","summary":[],'
            '"type":"reasoning"},{"content":[{"annotations":[],'
            r'"text":"Voilà:\n\n1  \n2","type":"output_text"}],'
            '"id":"msg_count","role":"assistant","status":"completed",'
            '"type":"message"}],"parallel_tool_calls":true,"service_tier":"auto",'
            '"status":"completed","temperature":1.0,"tool_choice":"auto",'
            '"tools":[],"top_p":1.0,"truncation":"disabled",'
            '"usage":{"input_tokens":60,"input_tokens_details":{"cached_tokens":0},'
            '"output_tokens":30,"output_tokens_details":{"reasoning_tokens":12},'
            '"total_tokens":90}}',
        ),
    ),
    events=(
        MessageStart(
            "resp_count",
            "openai.gpt-oss-20b",
            1750000008.0,
            dialect="openai-responses",
        ),
        ServiceTier("auto"),
        Ping(),
        PartStart(0, ReasoningPart(id="msg_thought", group=0)),
        # reasoning_part.added and .done are content_part.added and .done of these
        # servers: a border inside the item and nothing to carry.
        ReasoningDelta(0, "Just count."),
        PartEnd(0),
        # The done item has its text at 0. It is the part announced at 1: the n-th
        # announced is the n-th in the list, whatever the index says.
        PartStart(1, TextPart(id="msg_count", group=1, text="")),
        TextDelta(1, "Voilà:\n\n1  \n2"),
        PartEnd(1),
        UsageUpdate(Usage(fresh=60, cache_read=0, output=30, reasoning=12)),
        MessageEnd("end", "completed"),
        StreamEnd(),
    ),
    violations={"content-index-gap": 1},
)


_LOGPROBS = (
    '[{"token":"One","logprob":0,"bytes":[79,110,101],"top_logprobs":[]},'
    '{"token":" moment.","logprob":-0.25,'
    '"bytes":[32,109,111,109,101,110,116,46],"top_logprobs":[]}]'
)

_LOCAL_SERVER = StreamCase(
    name="raw reasoning, log probabilities, and arguments only at done",
    like="739bab4d5076cec3",
    wire=_frames(
        *_opening(
            '"id":"resp_rain","object":"response","created_at":1750000009,'
            '"completed_at":null,"status":"in_progress","incomplete_details":null,'
            '"model":"zai-org/glm-4.7-flash","output":[],"service_tier":"default",'
            '"usage":null,' + _ECHO
        ),
        (
            "response.output_item.added",
            '"output_index":0,"item":{"id":"rs_rain","type":"reasoning",'
            '"status":"in_progress","summary":[],"content":[]}',
        ),
        (
            "response.content_part.added",
            '"item_id":"rs_rain","output_index":0,"content_index":0,'
            '"part":{"type":"reasoning_text","text":""}',
        ),
        (
            "response.reasoning_text.delta",
            '"item_id":"rs_rain","output_index":0,"content_index":0,"delta":"Ask"',
        ),
        (
            "response.reasoning_text.delta",
            '"item_id":"rs_rain","output_index":0,"content_index":0,"delta":" it."',
        ),
        (
            "response.reasoning_text.done",
            '"item_id":"rs_rain","output_index":0,"content_index":0,"text":"Ask it."',
        ),
        (
            "response.content_part.done",
            '"item_id":"rs_rain","output_index":0,"content_index":0,'
            '"part":{"type":"reasoning_text","text":"Ask it."}',
        ),
        (
            "response.output_item.done",
            '"output_index":0,"item":{"id":"rs_rain","type":"reasoning",'
            '"status":"completed","summary":[],'
            '"content":[{"type":"reasoning_text","text":"Ask it."}]}',
        ),
        (
            "response.output_item.added",
            '"output_index":1,"item":{"id":"msg_rain","type":"message",'
            '"status":"in_progress","content":[],"role":"assistant"}',
        ),
        (
            "response.content_part.added",
            '"item_id":"msg_rain","output_index":1,"content_index":0,'
            '"part":{"type":"output_text","text":"","annotations":[],"logprobs":[]}',
        ),
        (
            "response.output_text.delta",
            '"item_id":"msg_rain","output_index":1,"content_index":0,"delta":"One",'
            '"logprobs":[{"token":"One","logprob":0,"bytes":[79,110,101],'
            '"top_logprobs":[]}]',
        ),
        (
            "response.output_text.delta",
            '"item_id":"msg_rain","output_index":1,"content_index":0,'
            '"delta":" moment.","logprobs":[{"token":" moment.","logprob":-0.25,'
            '"bytes":[32,109,111,109,101,110,116,46],"top_logprobs":[]}]',
        ),
        (
            "response.output_text.done",
            '"item_id":"msg_rain","output_index":1,"content_index":0,'
            f'"text":"One moment.","logprobs":{_LOGPROBS}',
        ),
        (
            "response.content_part.done",
            '"item_id":"msg_rain","output_index":1,"content_index":0,"part":'
            '{"type":"output_text","text":"One moment.","annotations":[],'
            f'"logprobs":{_LOGPROBS}}}',
        ),
        (
            "response.output_item.done",
            '"output_index":1,"item":{"id":"msg_rain","type":"message",'
            '"status":"completed","content":[{"type":"output_text",'
            f'"text":"One moment.","annotations":[],"logprobs":{_LOGPROBS}}}],'
            '"role":"assistant"}',
        ),
        (
            "response.output_item.added",
            '"output_index":2,"item":{"id":"fc_rain","type":"function_call",'
            '"status":"in_progress","arguments":"","call_id":"call_34",'
            '"name":"rain"}',
        ),
        (
            "response.function_call_arguments.done",
            '"item_id":"fc_rain","output_index":2,'
            r'"arguments":"{\"town\":\"Oslo\"}"',
        ),
        (
            "response.output_item.done",
            '"output_index":2,"item":{"id":"fc_rain","type":"function_call",'
            r'"status":"completed","arguments":"{\"town\":\"Oslo\"}",'
            '"call_id":"call_34","name":"rain"}',
        ),
        (
            "response.completed",
            '"response":{"id":"resp_rain","object":"response",'
            '"created_at":1750000009,"completed_at":1750000011,'
            '"status":"completed","incomplete_details":null,'
            '"model":"zai-org/glm-4.7-flash","output":['
            '{"id":"rs_rain","type":"reasoning","status":"completed","summary":[],'
            '"content":[{"type":"reasoning_text","text":"Ask it."}]},'
            '{"id":"msg_rain","type":"message","status":"completed","content":['
            '{"type":"output_text","text":"One moment.","annotations":[],'
            f'"logprobs":{_LOGPROBS}}}],"role":"assistant"}},'
            '{"id":"fc_rain","type":"function_call","status":"completed",'
            r'"arguments":"{\"town\":\"Oslo\"}","call_id":"call_34",'
            '"name":"rain"}],"service_tier":"default","usage":{"input_tokens":182,'
            '"output_tokens":60,"total_tokens":242,'
            '"input_tokens_details":{"cached_tokens":52},'
            f'"output_tokens_details":{{"reasoning_tokens":47}}}},{_ECHO}}}',
        ),
    ),
    events=(
        MessageStart(
            "resp_rain",
            "zai-org/glm-4.7-flash",
            1750000009.0,
            dialect="openai-responses",
        ),
        ServiceTier("default"),
        Ping(),
        PartStart(0, ReasoningPart(id="rs_rain", group=0)),
        ReasoningDelta(0, "Ask"),
        ReasoningDelta(0, " it."),
        PartEnd(0),
        PartStart(1, TextPart(id="msg_rain", group=1, text="")),
        # Log probabilities follow the words they are of; the closing frames only
        # repeat them.
        TextDelta(1, "One"),
        LogprobsDelta(1, (TokenLogprob("One", 0.0, (79, 110, 101)),)),
        TextDelta(1, " moment."),
        LogprobsDelta(
            1,
            (TokenLogprob(" moment.", -0.25, (32, 109, 111, 109, 101, 110, 116, 46)),),
        ),
        PartEnd(1),
        PartStart(
            2, ToolCallPart(id="fc_rain", group=2, call_id="call_34", name="rain")
        ),
        ArgumentsDelta(2, '{"town":"Oslo"}'),
        PartEnd(2),
        UsageUpdate(Usage(fresh=130, cache_read=52, output=60, reasoning=47)),
        MessageEnd("tool_use", "completed"),
        StreamEnd(),
    ),
)


_CUT_CALL = StreamCase(
    name="the token limit cuts a call's arguments",
    like="6080dc372efe9677",
    wire=_frames(
        *_opening(
            '"id":"resp_sum","object":"response","created_at":1750000010,'
            '"status":"in_progress","completed_at":null,"incomplete_details":null,'
            '"model":"gpt-5.6-sol","output":[],"service_tier":"auto","usage":null,'
            + _ECHO
        ),
        (
            "response.output_item.added",
            '"item":{"arguments":"","call_id":"call_sum","id":"fc_sum",'
            '"name":"sum","status":"in_progress","type":"function_call"},'
            '"output_index":0',
        ),
        (
            "response.function_call_arguments.delta",
            r'"delta":"{\"","item_id":"fc_sum","obfuscation":"a1","output_index":0',
        ),
        (
            "response.function_call_arguments.delta",
            r'"delta":"a\":","item_id":"fc_sum","obfuscation":"Q","output_index":0',
        ),
        (
            "response.function_call_arguments.delta",
            '"delta":"23","item_id":"fc_sum","obfuscation":"9xy","output_index":0',
        ),
        (
            "response.function_call_arguments.done",
            r'"arguments":"{\"a\":23","item_id":"fc_sum","output_index":0',
        ),
        (
            "response.output_item.done",
            r'"item":{"arguments":"{\"a\":23","call_id":"call_sum","id":"fc_sum",'
            '"name":"sum","status":"incomplete","type":"function_call"},'
            '"output_index":0',
        ),
        (
            "response.incomplete",
            '"response":{"id":"resp_sum","object":"response",'
            '"created_at":1750000010,"status":"incomplete","completed_at":null,'
            '"incomplete_details":{"reason":"max_output_tokens"},'
            r'"model":"gpt-5.6-sol","output":[{"arguments":"{\"a\":23",'
            '"call_id":"call_sum","id":"fc_sum","name":"sum",'
            '"status":"incomplete","type":"function_call"}],'
            '"service_tier":"default","usage":{"input_tokens":83,'
            '"input_tokens_details":{"cache_write_tokens":0,"cached_tokens":0},'
            '"output_tokens":16,"output_tokens_details":{"reasoning_tokens":0},'
            f'"total_tokens":99}},{_ECHO}}}',
        ),
    ),
    events=(
        MessageStart(
            "resp_sum", "gpt-5.6-sol", 1750000010.0, dialect="openai-responses"
        ),
        ServiceTier("auto"),
        Ping(),
        PartStart(
            0, ToolCallPart(id="fc_sum", group=0, call_id="call_sum", name="sum")
        ),
        ArgumentsDelta(0, '{"'),
        ArgumentsDelta(0, 'a":'),
        ArgumentsDelta(0, "23"),
        PartEnd(0, "incomplete"),
        UsageUpdate(
            Usage(fresh=83, cache_read=0, cache_write=0, output=16, reasoning=0)
        ),
        ServiceTier("default"),
        # The limit is the reason, though a call was made.
        MessageEnd("max_tokens", "max_output_tokens"),
        StreamEnd(),
    ),
)


CASES: tuple[StreamCase, ...] = (
    _THREE_SUMMARIES,
    _REASONING_AFTER_TEXT,
    _ITEMS_WITHOUT_DONE,
    _IMAGE_CALL,
    _CUSTOM_CALL,
    _ERROR_TWICE,
    _CALL_BY_PROGRAM,
    _INDEX_GAP,
    _LOCAL_SERVER,
    _CUT_CALL,
)
