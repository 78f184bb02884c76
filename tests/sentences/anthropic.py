"""Anthropic Messages streams, written by hand, and the sentences they must read as.

Knows the wire of `/v1/messages` and the events it stands for; knows no decoder. Ids,
words and numbers are invented; only what is peculiar about a stream was kept. Frames
are built by the functions at the top, and spelled out where their bytes matter.
"""

from __future__ import annotations

import json

from msgspec import Raw

from llmwire.events import (
    ArgumentsDelta,
    CitationDelta,
    Extra,
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
    TextDelta,
    UsageUpdate,
)
from llmwire.messages import (
    Citation,
    OpaquePart,
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

_DELTA_TYPES = {
    "text": "text_delta",
    "thinking": "thinking_delta",
    "signature": "signature_delta",
    "partial_json": "input_json_delta",
}
_PING = '{"type": "ping"}'
_STOP = '{"type":"message_stop"}'


def _frames(*texts: str) -> bytes:
    """One frame for each JSON text; the event's name always equals its `type`."""
    return "".join(
        f"event: {json.loads(text)['type']}\ndata: {text}\n\n" for text in texts
    ).encode()


def _start(message: str, usage: str) -> str:
    """The frame that opens the message with this id."""
    return (
        f'{{"type":"message_start","message":{{"id":"{message}","type":"message",'
        '"role":"assistant","model":"m-1","content":[],"stop_reason":null,'
        f'"stop_sequence":null,"usage":{usage}}}}}'
    )


def _open(index: int, block: str) -> str:
    """The frame that opens a block."""
    return f'{{"type":"content_block_start","index":{index},"content_block":{block}}}'


def _delta(index: int, member: str, value: str) -> str:
    """The frame that lets a block grow by the text `value`."""
    delta = json.dumps({"type": _DELTA_TYPES[member], member: value})
    return f'{{"type":"content_block_delta","index":{index},"delta":{delta}}}'


def _close(index: int) -> str:
    """The frame that closes a block."""
    return f'{{"type":"content_block_stop","index":{index}}}'


def _finish(reason: str, usage: str) -> str:
    """The frame with the stop reason and the last usage."""
    return (
        f'{{"type":"message_delta","delta":{{"stop_reason":"{reason}",'
        f'"stop_sequence":null}},"usage":{usage}}}'
    )


_DIRECT = {"caller": Raw(b'{"type":"direct"}')}
_SEARCH = ServerToolCallPart(name="web_search", call_id="srvtoolu_a")


# The server starts over inside a call: a second message_start, block indices from 0
# again. What was open is incomplete, the rest of the first try stands. The message
# keeps its first id and model; the second start's usage goes over the first's like any.
_RESTARTED = StreamCase(
    name="restarted-inside-a-call",
    like="5fcf88caaa1a6c23",
    wire=_frames(
        _start("msg_a", '{"input_tokens":9,"output_tokens":1}'),
        _open(0, '{"type":"thinking","thinking":""}'),
        _delta(0, "thinking", "Ask."),
        _delta(0, "signature", "c2lnLWE="),
        _close(0),
        _open(1, '{"type":"tool_use","id":"toolu_a","name":"find","input":{}}'),
        _delta(1, "partial_json", '{"fish":"sp'),
        _start("msg_b", '{"input_tokens":11,"output_tokens":2}'),
        _open(0, '{"type":"thinking","thinking":""}'),
        _delta(0, "thinking", "Try."),
        _delta(0, "signature", "c2lnLWI="),
        _close(0),
        _open(1, '{"type":"tool_use","id":"toolu_b","name":"find","input":{}}'),
        _delta(1, "partial_json", '{"fish":"sprat"}'),
        _close(1),
        _finish("tool_use", '{"output_tokens":30}'),
        _STOP,
    ),
    events=(
        MessageStart("msg_a", "m-1", None, Usage(fresh=9, output=1), "anthropic"),
        PartStart(0, ReasoningPart()),
        ReasoningDelta(0, "Ask."),
        SignatureDelta(0, Signature(origin="anthropic", value="c2lnLWE=")),
        PartEnd(0),
        PartStart(1, ToolCallPart(call_id="toolu_a", name="find")),
        ArgumentsDelta(1, '{"fish":"sp'),
        PartEnd(1, "incomplete"),
        UsageUpdate(Usage(fresh=11, output=2)),
        PartStart(2, ReasoningPart()),
        ReasoningDelta(2, "Try."),
        SignatureDelta(2, Signature(origin="anthropic", value="c2lnLWI=")),
        PartEnd(2),
        PartStart(3, ToolCallPart(call_id="toolu_b", name="find")),
        ArgumentsDelta(3, '{"fish":"sprat"}'),
        PartEnd(3),
        UsageUpdate(Usage(fresh=11, output=30)),
        MessageEnd("tool_use", "tool_use"),
        StreamEnd(),
    ),
    violations={"restarted-message": 1},
)


# A whole second message after message_stop, in the same body. The first is the answer;
# the rest is dropped unread and counted once, however long it is: a count by feed would
# break the split law, one by frame would mean reading on.
_SECOND_MESSAGE = StreamCase(
    name="second-message-after-the-end",
    like="a37a4e8e4a43c9ce",
    wire=_frames(
        _start("msg_a", '{"input_tokens":9,"output_tokens":1}'),
        _open(
            0,
            '{"type":"tool_use","id":"toolu_a","name":"ls","input":{},'
            '"caller":{"type":"direct"}}',
        ),
        _delta(0, "partial_json", ""),
        _delta(0, "partial_json", '{"dir":'),
        _delta(0, "partial_json", '"/"}'),
        _close(0),
        _open(
            1,
            '{"type":"server_tool_use","id":"srvtoolu_a","name":"tool_search",'
            '"input":{},"caller":{"type":"direct"}}',
        ),
        _delta(1, "partial_json", ""),
        _delta(1, "partial_json", '{"query": "edit", '),
        _delta(1, "partial_json", '"limit": 5}'),
        _close(1),
        _finish("tool_use", '{"input_tokens":9,"output_tokens":40}'),
        _STOP,
        _start("msg_b", '{"input_tokens":70,"output_tokens":1}'),
        _open(
            0,
            '{"type":"tool_search_tool_result","tool_use_id":"srvtoolu_a",'
            '"content":{"type":"tool_search_tool_search_result",'
            '"tool_references":[]}}',
        ),
        _close(0),
        _finish("end_turn", '{"input_tokens":70,"output_tokens":2}'),
        _STOP,
    ),
    events=(
        MessageStart("msg_a", "m-1", None, Usage(fresh=9, output=1), "anthropic"),
        PartStart(
            0,
            ToolCallPart(call_id="toolu_a", name="ls", extras=_DIRECT),
        ),
        ArgumentsDelta(0, '{"dir":'),
        ArgumentsDelta(0, '"/"}'),
        PartEnd(0),
        PartStart(
            1,
            ServerToolCallPart(
                name="tool_search", call_id="srvtoolu_a", extras=_DIRECT
            ),
        ),
        ArgumentsDelta(1, '{"query": "edit", '),
        ArgumentsDelta(1, '"limit": 5}'),
        PartEnd(
            1,
            final=ServerToolCallPart(
                name="tool_search",
                call_id="srvtoolu_a",
                payload=Raw(b'{"query": "edit", "limit": 5}'),
                extras=_DIRECT,
            ),
        ),
        UsageUpdate(Usage(fresh=9, output=40)),
        MessageEnd("tool_use", "tool_use"),
        StreamEnd(),
    ),
    violations={"after-end": 1},
)


# A block without a neutral form that a delta fills. An opaque delta is an OpaqueEvent
# named after the delta's type, the delta's object as it came; in the final block its
# members replace the block's where they stand, so that the fold is what a whole body
# would say. And the body ends without the blank line that its last frame needs, which
# is a fault, yet the frame is dispatched.
_COMPACTION = StreamCase(
    name="compaction-and-no-last-blank-line",
    like="8393782d2b0f1935",
    wire=_frames(
        _start("msg_a", '{"input_tokens":30,"output_tokens":1}'),
        _open(0, '{"type":"compaction","content":null,"encrypted_content":null}'),
        _PING,
        '{"type":"content_block_delta","index":0,"delta":{"type":"compaction_delta",'
        '"content":"They said hello.","encrypted_content":"b3BhcXVl"}}',
        _close(0),
        _open(1, '{"type":"text","text":""}'),
        _delta(1, "text", "Hello!"),
        _close(1),
        _finish("end_turn", '{"output_tokens":8}'),
        _STOP,
    ).removesuffix(b"\n"),
    events=(
        MessageStart("msg_a", "m-1", None, Usage(fresh=30, output=1), "anthropic"),
        PartStart(
            0,
            OpaquePart(
                dialect="anthropic",
                kind="compaction",
                raw=Raw(
                    b'{"type":"compaction","content":null,"encrypted_content":null}'
                ),
            ),
        ),
        Ping(),
        OpaqueEvent(
            "anthropic",
            "compaction_delta",
            Raw(
                b'{"type":"compaction_delta","content":"They said hello.",'
                b'"encrypted_content":"b3BhcXVl"}'
            ),
            0,
        ),
        PartEnd(
            0,
            final=OpaquePart(
                dialect="anthropic",
                kind="compaction",
                raw=Raw(
                    b'{"type":"compaction","content":"They said hello.",'
                    b'"encrypted_content":"b3BhcXVl"}'
                ),
            ),
        ),
        PartStart(1, TextPart("")),
        TextDelta(1, "Hello!"),
        PartEnd(1),
        UsageUpdate(Usage(fresh=30, output=8)),
        MessageEnd("end", "end_turn"),
        StreamEnd(),
    ),
    violations={"unterminated-frame": 1},
)


_TO_OTHER_MODEL = OpaquePart(
    dialect="anthropic",
    kind="fallback",
    raw=Raw(b'{"type":"fallback","from":{"model":"m-1"},"to":{"model":"m-0"}}'),
)

# Another model took over: a block that is nothing but its start, and usage by
# iteration. The message keeps the model of its start. `final` is given although no
# delta came: opaque parts always have it.
_FALLBACK = StreamCase(
    name="fallback-to-another-model",
    like="1574658ea22829c8",
    wire=_frames(
        _start(
            "msg_a",
            '{"input_tokens":48,"cache_creation_input_tokens":0,'
            '"cache_read_input_tokens":0,"output_tokens":1}',
        ),
        _open(0, '{"type":"fallback","from":{"model":"m-1"},"to":{"model":"m-0"}}'),
        _close(0),
        _open(1, '{"type":"text","text":""}'),
        _delta(1, "text", "About "),
        _delta(1, "text", "1066."),
        _close(1),
        _finish(
            "end_turn",
            '{"input_tokens":52,"cache_creation_input_tokens":0,'
            '"cache_read_input_tokens":0,"output_tokens":6,"iterations":['
            '{"type":"message","model":"m-1","input_tokens":48,"output_tokens":0},'
            '{"type":"fallback_message","model":"m-0","input_tokens":52,'
            '"output_tokens":6}]}',
        ),
        _STOP,
    ),
    events=(
        MessageStart(
            "msg_a",
            "m-1",
            None,
            Usage(fresh=48, cache_read=0, cache_write=0, output=1),
            "anthropic",
        ),
        PartStart(0, _TO_OTHER_MODEL),
        PartEnd(0, final=_TO_OTHER_MODEL),
        PartStart(1, TextPart("")),
        TextDelta(1, "About "),
        TextDelta(1, "1066."),
        PartEnd(1),
        UsageUpdate(
            Usage(
                fresh=52,
                cache_read=0,
                cache_write=0,
                output=6,
                extras={
                    "iterations": Raw(
                        b'[{"type":"message","model":"m-1","input_tokens":48,'
                        b'"output_tokens":0},{"type":"fallback_message",'
                        b'"model":"m-0","input_tokens":52,"output_tokens":6}]'
                    )
                },
            )
        ),
        MessageEnd("end", "end_turn"),
        StreamEnd(),
    ),
)


_MCP_EXTRAS = {"@type": Raw(b'"mcp_tool_use"'), "server_name": Raw(b'"wiki"')}
_MCP_RESULT = ServerToolResultPart(
    name="mcp_tool_result",
    call_id="mcptoolu_a",
    payload=Raw(b'[{"type":"text","text":"Long fish."}]'),
    extras={"is_error": Raw(b"false")},
)

# A call to an MCP server, run by the vendor: a server's call like any other, so not
# opaque; its own block type is noted beside it, for the same dialect must write it
# back. Frames are padded with white space before closing braces, which is no part of
# any raw value. Pings inside blocks.
_MCP = StreamCase(
    name="mcp-call-and-padded-frames",
    like="440ce4905bff0d76",
    wire=_frames(
        '{"type":"message_start","message":{"model":"m-1","id":"msg_a",'
        '"type":"message","role":"assistant","content":[],"stop_reason":null,'
        '"stop_sequence":null,"usage":{"input_tokens":69,'
        '"cache_creation_input_tokens":0,"cache_read_input_tokens":0,'
        '"cache_creation":{"ephemeral_5m_input_tokens":0,'
        '"ephemeral_1h_input_tokens":0},"output_tokens":8,'
        '"service_tier":"standard"}}     }',
        '{"type":"content_block_start","index":0,"content_block":'
        '{"type":"thinking","thinking":"","signature":""}          }',
        '{"type":"content_block_delta","index":0,"delta":'
        '{"type":"thinking_delta","thinking":"Ask "} }',
        _PING,
        '{"type":"content_block_delta","index":0,"delta":'
        '{"type":"thinking_delta","thinking":"the wiki."}   }',
        '{"type":"content_block_delta","index":0,"delta":'
        '{"type":"signature_delta","signature":"c2ln"}}',
        '{"type":"content_block_stop","index":0               }',
        '{"type":"content_block_start","index":1,"content_block":'
        '{"type":"mcp_tool_use","id":"mcptoolu_a","name":"ask","input":{},'
        '"server_name":"wiki"}  }',
        _delta(1, "partial_json", ""),
        '{"type":"content_block_delta","index":1,"delta":'
        r'{"type":"input_json_delta","partial_json":"{\"about\""}    }',
        '{"type":"content_block_delta","index":1,"delta":'
        r'{"type":"input_json_delta","partial_json":": \"eels\"}"}      }',
        '{"type":"content_block_stop","index":1   }',
        '{"type":"content_block_start","index":2,"content_block":'
        '{"type":"mcp_tool_result","tool_use_id":"mcptoolu_a","is_error":false,'
        '"content":[{"type":"text","text":"Long fish."}]}             }',
        '{"type":"content_block_stop","index":2 }',
        '{"type":"content_block_start","index":3,"content_block":'
        '{"type":"text","text":""}               }',
        '{"type":"content_block_delta","index":3,"delta":'
        '{"type":"text_delta","text":"They are"}            }',
        _PING,
        '{"type":"content_block_delta","index":3,"delta":'
        '{"type":"text_delta","text":" long."} }',
        '{"type":"content_block_stop","index":3   }',
        '{"type":"message_delta","delta":{"stop_reason":"end_turn",'
        '"stop_sequence":null},"usage":{"input_tokens":304,'
        '"cache_creation_input_tokens":0,"cache_read_input_tokens":0,'
        '"output_tokens":35,"server_tool_use":{"web_search_requests":0}}        }',
        '{"type":"message_stop"         }',
    ),
    events=(
        MessageStart(
            "msg_a",
            "m-1",
            None,
            Usage(fresh=69, cache_read=0, cache_write=0, cache_write_long=0, output=8),
            "anthropic",
        ),
        ServiceTier("standard"),
        PartStart(0, ReasoningPart()),
        ReasoningDelta(0, "Ask "),
        Ping(),
        ReasoningDelta(0, "the wiki."),
        SignatureDelta(0, Signature(origin="anthropic", value="c2ln")),
        PartEnd(0),
        PartStart(
            1,
            ServerToolCallPart(name="ask", call_id="mcptoolu_a", extras=_MCP_EXTRAS),
        ),
        ArgumentsDelta(1, '{"about"'),
        ArgumentsDelta(1, ': "eels"}'),
        PartEnd(
            1,
            final=ServerToolCallPart(
                name="ask",
                call_id="mcptoolu_a",
                payload=Raw(b'{"about": "eels"}'),
                extras=_MCP_EXTRAS,
            ),
        ),
        # A result comes whole: its start already holds everything.
        PartStart(2, _MCP_RESULT),
        PartEnd(2, final=_MCP_RESULT),
        PartStart(3, TextPart("")),
        TextDelta(3, "They are"),
        Ping(),
        TextDelta(3, " long."),
        PartEnd(3),
        UsageUpdate(
            Usage(
                fresh=304,
                cache_read=0,
                cache_write=0,
                cache_write_long=0,
                output=35,
                extras={"server_tool_use": Raw(b'{"web_search_requests":0}')},
            )
        ),
        MessageEnd("end", "end_turn"),
        StreamEnd(),
    ),
)


# Two withheld thoughts in a row, each a part; members sorted by name, so that `type`
# comes last. The last usage does not repeat the split of the cache writes, the place or
# the tier: what the start said of them stands.
_REDACTED = StreamCase(
    name="redacted-thinking-and-sorted-members",
    like="f06f845330f2f0f9",
    wire=_frames(
        '{"message":{"content":[],"id":"msg_a","model":"m-1","role":"assistant",'
        '"stop_details":null,"stop_reason":null,"stop_sequence":null,'
        '"type":"message","usage":{"cache_creation":'
        '{"ephemeral_1h_input_tokens":20,"ephemeral_5m_input_tokens":10},'
        '"cache_creation_input_tokens":30,"cache_read_input_tokens":40,'
        '"inference_geo":"global","input_tokens":50,"output_tokens":1,'
        '"service_tier":"standard"}},"type":"message_start"}',
        '{"content_block":{"data":"aGlkZGVuLTE=","type":"redacted_thinking"},'
        '"index":0,"type":"content_block_start"}',
        _PING,
        '{"index":0,"type":"content_block_stop"}',
        '{"content_block":{"data":"aGlkZGVuLTI=","type":"redacted_thinking"},'
        '"index":1,"type":"content_block_start"}',
        '{"index":1,"type":"content_block_stop"}',
        '{"content_block":{"text":"","type":"text"},'
        '"index":2,"type":"content_block_start"}',
        '{"delta":{"text":"Yes.","type":"text_delta"},'
        '"index":2,"type":"content_block_delta"}',
        '{"index":2,"type":"content_block_stop"}',
        '{"delta":{"stop_details":null,"stop_reason":"end_turn",'
        '"stop_sequence":null},"type":"message_delta","usage":'
        '{"cache_creation_input_tokens":30,"cache_read_input_tokens":40,'
        '"input_tokens":50,"output_tokens":13,'
        '"output_tokens_details":{"thinking_tokens":7}}}',
        _STOP,
    ),
    events=(
        MessageStart(
            "msg_a",
            "m-1",
            None,
            Usage(
                fresh=50,
                cache_read=40,
                cache_write=10,
                cache_write_long=20,
                output=1,
                extras={"inference_geo": Raw(b'"global"')},
            ),
            "anthropic",
        ),
        ServiceTier("standard"),
        PartStart(0, ReasoningPart(redacted=True)),
        SignatureDelta(0, Signature(origin="anthropic", value="aGlkZGVuLTE=")),
        Ping(),
        PartEnd(0),
        PartStart(1, ReasoningPart(redacted=True)),
        SignatureDelta(1, Signature(origin="anthropic", value="aGlkZGVuLTI=")),
        PartEnd(1),
        PartStart(2, TextPart("")),
        TextDelta(2, "Yes."),
        PartEnd(2),
        UsageUpdate(
            Usage(
                fresh=50,
                cache_read=40,
                cache_write=10,
                cache_write_long=20,
                output=13,
                reasoning=7,
                extras={"inference_geo": Raw(b'"global"')},
            )
        ),
        MessageEnd("end", "end_turn"),
        StreamEnd(),
    ),
)


_MOSS = ServerToolResultPart(
    name="web_search_tool_result",
    call_id="srvtoolu_a",
    payload=Raw(
        b'[{"encrypted_content":"bW9zcw==","page_age":null,"title":"Moss",'
        b'"type":"web_search_result","url":"https://moss.example/"}]'
    ),
    extras=_DIRECT,
)

# A search and a text that is cited before it is written. The citation covers the whole
# block, whose length is not known yet: no `start`, no `end`. An empty list of citations
# says nothing. Members sorted by name.
_CITED = StreamCase(
    name="web-search-and-citation-before-text",
    like="14520b7676848503",
    wire=_frames(
        _start("msg_a", '{"input_tokens":27,"output_tokens":17}'),
        '{"content_block":{"id":"srvtoolu_a","input":{},"name":"web_search",'
        '"type":"server_tool_use"},"index":0,"type":"content_block_start"}',
        '{"type":"ping"}',
        '{"delta":{"partial_json":"","type":"input_json_delta"},'
        '"index":0,"type":"content_block_delta"}',
        r'{"delta":{"partial_json":"{\"query","type":"input_json_delta"},'
        '"index":0,"type":"content_block_delta"}',
        r'{"delta":{"partial_json":"\": \"moss\"}","type":"input_json_delta"},'
        '"index":0,"type":"content_block_delta"}',
        '{"index":0,"type":"content_block_stop"}',
        '{"content_block":{"caller":{"type":"direct"},"content":['
        '{"encrypted_content":"bW9zcw==","page_age":null,"title":"Moss",'
        '"type":"web_search_result","url":"https://moss.example/"}],'
        '"tool_use_id":"srvtoolu_a","type":"web_search_tool_result"},'
        '"index":1,"type":"content_block_start"}',
        '{"index":1,"type":"content_block_stop"}',
        '{"content_block":{"citations":[],"text":"","type":"text"},'
        '"index":2,"type":"content_block_start"}',
        '{"delta":{"citation":{"cited_text":"Moss has no roots. ",'
        '"encrypted_index":"aWR4","title":"Moss",'
        '"type":"web_search_result_location","url":"https://moss.example/"},'
        '"type":"citations_delta"},"index":2,"type":"content_block_delta"}',
        '{"delta":{"text":"It is ","type":"text_delta"},'
        '"index":2,"type":"content_block_delta"}',
        '{"delta":{"text":"rootless.","type":"text_delta"},'
        '"index":2,"type":"content_block_delta"}',
        '{"index":2,"type":"content_block_stop"}',
        '{"delta":{"stop_details":null,"stop_reason":"end_turn",'
        '"stop_sequence":null},"type":"message_delta","usage":'
        '{"input_tokens":122,"output_tokens":86,'
        '"output_tokens_details":{"thinking_tokens":0},'
        '"server_tool_use":{"web_fetch_requests":0,"web_search_requests":1}}}',
        _STOP,
    ),
    events=(
        MessageStart("msg_a", "m-1", None, Usage(fresh=27, output=17), "anthropic"),
        PartStart(0, _SEARCH),
        Ping(),
        ArgumentsDelta(0, '{"query'),
        ArgumentsDelta(0, '": "moss"}'),
        PartEnd(
            0,
            final=ServerToolCallPart(
                name="web_search",
                call_id="srvtoolu_a",
                payload=Raw(b'{"query": "moss"}'),
            ),
        ),
        PartStart(1, _MOSS),
        PartEnd(1, final=_MOSS),
        PartStart(2, TextPart("")),
        CitationDelta(
            2,
            Citation(
                kind="url",
                url="https://moss.example/",
                title="Moss",
                text="Moss has no roots. ",
                raw=Raw(
                    b'{"cited_text":"Moss has no roots. ","encrypted_index":"aWR4",'
                    b'"title":"Moss","type":"web_search_result_location",'
                    b'"url":"https://moss.example/"}'
                ),
            ),
        ),
        TextDelta(2, "It is "),
        TextDelta(2, "rootless."),
        PartEnd(2),
        UsageUpdate(
            Usage(
                fresh=122,
                output=86,
                reasoning=0,
                extras={
                    "server_tool_use": Raw(
                        b'{"web_fetch_requests":0,"web_search_requests":1}'
                    )
                },
            )
        ),
        MessageEnd("end", "end_turn"),
        StreamEnd(),
    ),
)


_NOTHING_FOUND = ServerToolResultPart(
    name="web_search_tool_result", call_id="srvtoolu_a", payload=Raw(b"[]")
)

# The server pauses its own loop: the last server call has no result, yet its block
# ended, so the part is complete. Nobody broke a rule.
_PAUSED = StreamCase(
    name="paused-with-an-unanswered-server-call",
    like="87bd437e51cfc524",
    wire=_frames(
        _start("msg_a", '{"input_tokens":24,"output_tokens":6}'),
        _open(
            0,
            '{"type":"server_tool_use","id":"srvtoolu_a","name":"web_search",'
            '"input":{}}',
        ),
        _delta(0, "partial_json", ""),
        _delta(0, "partial_json", '{"query": "tide"}'),
        _close(0),
        _open(
            1,
            '{"type":"web_search_tool_result","tool_use_id":"srvtoolu_a","content":[]}',
        ),
        _close(1),
        _open(2, '{"type":"text","text":""}'),
        _delta(2, "text", "Next:"),
        _close(2),
        _open(
            3,
            '{"type":"server_tool_use","id":"srvtoolu_b","name":"web_search",'
            '"input":{}}',
        ),
        _delta(3, "partial_json", ""),
        _delta(3, "partial_json", '{"query": "ebb"}'),
        _close(3),
        '{"type":"message_delta","delta":{"stop_reason":"pause_turn",'
        '"stop_sequence":null,"stop_details":null},"usage":{"input_tokens":404,'
        '"output_tokens":94,"output_tokens_details":{"thinking_tokens":26}}}',
        _STOP,
    ),
    events=(
        MessageStart("msg_a", "m-1", None, Usage(fresh=24, output=6), "anthropic"),
        PartStart(0, _SEARCH),
        ArgumentsDelta(0, '{"query": "tide"}'),
        PartEnd(
            0,
            final=ServerToolCallPart(
                name="web_search",
                call_id="srvtoolu_a",
                payload=Raw(b'{"query": "tide"}'),
            ),
        ),
        PartStart(1, _NOTHING_FOUND),
        PartEnd(1, final=_NOTHING_FOUND),
        PartStart(2, TextPart("")),
        TextDelta(2, "Next:"),
        PartEnd(2),
        PartStart(3, ServerToolCallPart(name="web_search", call_id="srvtoolu_b")),
        ArgumentsDelta(3, '{"query": "ebb"}'),
        PartEnd(
            3,
            final=ServerToolCallPart(
                name="web_search",
                call_id="srvtoolu_b",
                payload=Raw(b'{"query": "ebb"}'),
            ),
        ),
        UsageUpdate(Usage(fresh=404, output=94, reasoning=26)),
        MessageEnd("pause", "pause_turn"),
        StreamEnd(),
    ),
)


_FUSES = ServerToolResultPart(
    name="web_search_tool_result",
    call_id="srvtoolu_a",
    payload=Raw(
        b'[{"type":"web_search_result","title":"Fuses",'
        b'"url":"https://fuse.example/","encrypted_content":"ZnVzZQ==",'
        b'"page_age":null}]'
    ),
)

# Cut off by the safety system in the middle of a sentence, after a search. The reason
# names no category but carries members of its own: the whole object is kept. `refusal`
# it stays, for nothing says which system stopped it. The input count falls: what the
# last usage says, holds.
_REFUSED = StreamCase(
    name="refused-in-the-middle-of-a-sentence",
    like="b3e4095a5555b4f5",
    wire=_frames(
        _start(
            "msg_a",
            '{"input_tokens":61,"cache_creation_input_tokens":0,'
            '"cache_read_input_tokens":0,"cache_creation":'
            '{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0},'
            '"output_tokens":9,"service_tier":"standard","inference_geo":"eu"}',
        ),
        _open(
            0,
            '{"type":"server_tool_use","id":"srvtoolu_a","name":"web_search",'
            '"input":{}}',
        ),
        _delta(0, "partial_json", ""),
        _delta(0, "partial_json", '{"query": "fuse"}'),
        _close(0),
        _open(
            1,
            '{"type":"web_search_tool_result","tool_use_id":"srvtoolu_a",'
            '"content":[{"type":"web_search_result","title":"Fuses",'
            '"url":"https://fuse.example/","encrypted_content":"ZnVzZQ==",'
            '"page_age":null}]}',
        ),
        _close(1),
        _open(2, '{"type":"text","text":""}'),
        _delta(2, "text", "Here is how"),
        _close(2),
        '{"type":"message_delta","delta":{"stop_reason":"refusal",'
        '"stop_sequence":null,"stop_details":{"type":"refusal","category":null,'
        '"explanation":null,"fallback_credit_token":"tok_a",'
        '"fallback_has_prefill_claim":true}},"usage":{"input_tokens":28,'
        '"cache_creation_input_tokens":0,"cache_read_input_tokens":0,'
        '"output_tokens":16,"output_tokens_details":{"thinking_tokens":6},'
        '"iterations":[{"type":"message","output_tokens":16}]}    }',
        _STOP,
    ),
    events=(
        MessageStart(
            "msg_a",
            "m-1",
            None,
            Usage(
                fresh=61,
                cache_read=0,
                cache_write=0,
                cache_write_long=0,
                output=9,
                extras={"inference_geo": Raw(b'"eu"')},
            ),
            "anthropic",
        ),
        ServiceTier("standard"),
        PartStart(0, _SEARCH),
        ArgumentsDelta(0, '{"query": "fuse"}'),
        PartEnd(
            0,
            final=ServerToolCallPart(
                name="web_search",
                call_id="srvtoolu_a",
                payload=Raw(b'{"query": "fuse"}'),
            ),
        ),
        PartStart(1, _FUSES),
        PartEnd(1, final=_FUSES),
        PartStart(2, TextPart("")),
        TextDelta(2, "Here is how"),
        PartEnd(2),
        UsageUpdate(
            Usage(
                fresh=28,
                cache_read=0,
                cache_write=0,
                cache_write_long=0,
                output=16,
                reasoning=6,
                extras={
                    "inference_geo": Raw(b'"eu"'),
                    "iterations": Raw(b'[{"type":"message","output_tokens":16}]'),
                },
            )
        ),
        MessageEnd(
            "refusal",
            "refusal",
            None,
            StopDetail(
                raw=Raw(
                    b'{"type":"refusal","category":null,"explanation":null,'
                    b'"fallback_credit_token":"tok_a",'
                    b'"fallback_has_prefill_claim":true}'
                )
            ),
        ),
        StreamEnd(),
    ),
)


# Bedrock: a stranger beside the type of message_stop, a member of the whole message
# like any other; it comes before the end that its frame means. No word about caches, so
# None and not 0. Two calls, one after the other, each with an empty first fragment.
_BEDROCK = StreamCase(
    name="bedrock-metrics-on-message-stop",
    like="b0346cce93be8959",
    wire=_frames(
        _start("msg_bdrk_a", '{"input_tokens":70,"output_tokens":1}'),
        _open(0, '{"type":"text","text":""}'),
        _delta(0, "text", "One "),
        _delta(0, "text", "moment."),
        _close(0),
        _open(1, '{"type":"tool_use","id":"toolu_bdrk_a","name":"heat","input":{}}'),
        _delta(1, "partial_json", ""),
        _delta(1, "partial_json", '{"city": "R'),
        _delta(1, "partial_json", 'ome"}'),
        _close(1),
        _open(2, '{"type":"tool_use","id":"toolu_bdrk_b","name":"size","input":{}}'),
        _delta(2, "partial_json", ""),
        _delta(2, "partial_json", '{"city": "Rome"}'),
        _close(2),
        _finish("tool_use", '{"output_tokens":13}'),
        '{"type":"message_stop","amazon-bedrock-invocationMetrics":'
        '{"inputTokenCount":70,"outputTokenCount":10,"invocationLatency":304}}',
    ),
    events=(
        MessageStart("msg_bdrk_a", "m-1", None, Usage(fresh=70, output=1), "anthropic"),
        PartStart(0, TextPart("")),
        TextDelta(0, "One "),
        TextDelta(0, "moment."),
        PartEnd(0),
        PartStart(1, ToolCallPart(call_id="toolu_bdrk_a", name="heat")),
        ArgumentsDelta(1, '{"city": "R'),
        ArgumentsDelta(1, 'ome"}'),
        PartEnd(1),
        PartStart(2, ToolCallPart(call_id="toolu_bdrk_b", name="size")),
        ArgumentsDelta(2, '{"city": "Rome"}'),
        PartEnd(2),
        UsageUpdate(Usage(fresh=70, output=13)),
        Extra(
            {
                "amazon-bedrock-invocationMetrics": Raw(
                    b'{"inputTokenCount":70,"outputTokenCount":10,'
                    b'"invocationLatency":304}'
                )
            }
        ),
        MessageEnd("tool_use", "tool_use"),
        StreamEnd(),
    ),
)


CASES: tuple[StreamCase, ...] = (
    _RESTARTED,
    _SECOND_MESSAGE,
    _COMPACTION,
    _FALLBACK,
    _MCP,
    _REDACTED,
    _CITED,
    _PAUSED,
    _REFUSED,
    _BEDROCK,
)
