"""Chat Completions streams, each with the one sentence that it must read as.

Knows what servers of this dialect put on the wire: OpenAI's own grammar and what its
many imitators make of it. Knows no decoder: wire and events were both written by hand,
and where the protocol leaves a choice the comment at the case says what was chosen and
what for. Ids, models, words and numbers are made up.
"""

from __future__ import annotations

from msgspec import Raw

from llmwire.events import (
    ArgumentsDelta,
    CitationDelta,
    Extra,
    LogprobsDelta,
    MessageEnd,
    MessageStart,
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
    ReasoningPart,
    Signature,
    TextPart,
    TokenLogprob,
    ToolCallPart,
    Usage,
)
from tests.sentences import StreamCase

__all__ = ("CASES",)

_COMMENT = b": PROCESSING\n\n"
_DONE = b"data: [DONE]\n\n"


def _frames(head: str, *rests: str) -> bytes:
    """One frame for each of `rests`: an object of the members `head` and that rest."""
    return "".join(f"data: {{{head},{rest}}}\n\n" for rest in rests).encode()


# Two choices take turns; the first ends while the second goes on. The last words come
# in the frame that also finishes. Padding (`p`) is dropped; a choice that has only
# shown its role has said nothing yet.
_TWO_CHOICES = StreamCase(
    name="two-choices-take-turns",
    like="191505cb93f43b34",
    wire=_frames(
        '"id":"two-1","object":"chat.completion.chunk","created":1763680001,'
        '"model":"wren-small"',
        '"choices":[{"index":0,"delta":{"role":"assistant","content":""},'
        '"finish_reason":null}]',
        '"choices":[{"index":1,"delta":{"role":"assistant","content":""},'
        '"finish_reason":null}]',
        '"choices":[{"index":0,"delta":{"content":"in"},"finish_reason":null}],'
        '"p":"abcdef"',
        '"choices":[{"index":1,"delta":{"content":"tea"},"finish_reason":null}],'
        '"p":"abc"',
        '"choices":[{"index":0,"delta":{"content":"digo"},"finish_reason":"stop"}],'
        '"p":"a"',
        '"choices":[{"index":1,"delta":{"content":"l"},"finish_reason":"stop"}],'
        '"p":"abcd","usage":{"prompt_tokens":21,"completion_tokens":7,'
        '"total_tokens":28,"prompt_tokens_details":{"cached_tokens":0},'
        '"service_tier":"standard"}',
    )
    + _DONE,
    events=(
        MessageStart("two-1", "wren-small", 1763680001.0, dialect="openai-chat"),
        PartStart(0, TextPart(text=""), choice=0),
        TextDelta(0, "in"),
        PartStart(1, TextPart(text=""), choice=1),
        TextDelta(1, "tea"),
        TextDelta(0, "digo"),
        PartEnd(0),
        MessageEnd("end", "stop", choice=0),
        TextDelta(1, "l"),
        PartEnd(1),
        MessageEnd("end", "stop", choice=1),
        # The tier stands inside `usage`, not beside it: a stranger there, for only
        # so does it go back to its place. `ServiceTier` is the root member alone.
        UsageUpdate(
            Usage(
                fresh=21,
                cache_read=0,
                output=7,
                extras={"service_tier": Raw(b'"standard"')},
            )
        ),
        StreamEnd(),
    ),
)


# OpenRouter: the same thinking as plain text and as `reasoning_details`, its signature
# in a frame of its own, two calls one after the other, the finish said twice, the
# tier and the usage only in the second one.
_DETAILS_THEN_CALLS = StreamCase(
    name="reasoning-details-then-two-calls",
    like="5483f536059f6890",
    wire=_COMMENT
    + _frames(
        '"id":"det-1","object":"chat.completion.chunk","created":1763680002,'
        '"model":"acme/lynx-4","provider":"Acme"',
        '"choices":[{"index":0,"delta":{"role":"assistant","content":"",'
        '"reasoning":"Ask both","reasoning_details":[{"type":"reasoning.text",'
        '"text":"Ask both","format":"acme-v1","index":0}]},'
        '"finish_reason":null,"native_finish_reason":null}]',
        '"choices":[{"index":0,"delta":{"role":"assistant","content":"",'
        '"reasoning":" towns.","reasoning_details":[{"type":"reasoning.text",'
        '"text":" towns.","format":"acme-v1","index":0}]},'
        '"finish_reason":null,"native_finish_reason":null}]',
        '"choices":[{"index":0,"delta":{"role":"assistant","content":"",'
        '"reasoning_details":[{"type":"reasoning.text","signature":"c2VhbA==",'
        '"format":"acme-v1","index":0}]},'
        '"finish_reason":null,"native_finish_reason":null}]',
        '"choices":[{"index":0,"delta":{"role":"assistant","content":null,'
        '"tool_calls":[{"index":0,"id":"toolu_n","type":"function",'
        '"function":{"name":"north","arguments":""}}]},'
        '"finish_reason":null,"native_finish_reason":null}]',
        '"choices":[{"index":0,"delta":{"role":"assistant","content":null,'
        '"tool_calls":[{"index":0,"function":{"arguments":""}}]},'
        '"finish_reason":null,"native_finish_reason":null}]',
        '"choices":[{"index":0,"delta":{"role":"assistant","content":null,'
        '"tool_calls":[{"index":0,"function":{"arguments":"{\\"town\\": \\"B"}}]},'
        '"finish_reason":null,"native_finish_reason":null}]',
        '"choices":[{"index":0,"delta":{"role":"assistant","content":null,'
        '"tool_calls":[{"index":0,"function":{"arguments":"od\\u00f8\\"}"}}]},'
        '"finish_reason":null,"native_finish_reason":null}]',
        '"choices":[{"index":0,"delta":{"role":"assistant","content":null,'
        '"tool_calls":[{"index":1,"id":"toolu_s","type":"function",'
        '"function":{"name":"south","arguments":""}}]},'
        '"finish_reason":null,"native_finish_reason":null}]',
        '"choices":[{"index":0,"delta":{"role":"assistant","content":null,'
        '"tool_calls":[{"index":1,"function":{"arguments":"{\\"town\\": \\"Bari\\"}"}}'
        ']},"finish_reason":null,"native_finish_reason":null}]',
        '"choices":[{"index":0,"delta":{"role":"assistant","content":"",'
        '"reasoning":null},'
        '"finish_reason":"tool_calls","native_finish_reason":"tool_use"}]',
        '"service_tier":"default",'
        '"choices":[{"index":0,"delta":{"role":"assistant","content":""},'
        '"finish_reason":"tool_calls","native_finish_reason":"tool_use"}],'
        '"usage":{"prompt_tokens":700,"completion_tokens":90,"total_tokens":790,'
        '"cost":0.00210,"is_byok":false,'
        '"prompt_tokens_details":{"cached_tokens":512,"cache_write_tokens":60,'
        '"audio_tokens":0,"video_tokens":0},'
        '"cost_details":{"upstream_inference_cost":0.0021},'
        '"completion_tokens_details":{"reasoning_tokens":40,"image_tokens":0,'
        '"audio_tokens":0}}',
    )
    + _DONE,
    events=(
        Ping(),
        MessageStart("det-1", "acme/lynx-4", 1763680002.0, dialect="openai-chat"),
        Extra({"provider": Raw(b'"Acme"')}),
        Extra({"native_finish_reason": Raw(b"null")}, choice=0),
        # The text is taken from the details; `@field` still says that the plain field
        # carried it too, or it could not be written back.
        PartStart(
            0,
            ReasoningPart(
                extras={
                    "type": Raw(b'"reasoning.text"'),
                    "format": Raw(b'"acme-v1"'),
                    "index": Raw(b"0"),
                    "@field": Raw(b'"reasoning"'),
                }
            ),
        ),
        ReasoningDelta(0, "Ask both"),
        ReasoningDelta(0, " towns."),
        # A bare signature belongs to the dialect it was read from. The model is left
        # unsaid, for the wire does not say it beside the signature.
        SignatureDelta(0, Signature(origin="openai-chat", value="c2VhbA==")),
        PartEnd(0),
        PartStart(1, ToolCallPart(call_id="toolu_n", name="north")),
        ArgumentsDelta(1, '{"town": "B'),
        ArgumentsDelta(1, 'od\u00f8"}'),
        PartStart(2, ToolCallPart(call_id="toolu_s", name="south")),
        ArgumentsDelta(2, '{"town": "Bari"}'),
        Extra({"native_finish_reason": Raw(b'"tool_use"')}, choice=0),
        PartEnd(1),
        PartEnd(2),
        MessageEnd("tool_use", "tool_calls"),
        ServiceTier("default"),
        # Counts of kinds that `Usage` has a field for are read wherever the details
        # hold them (`image_tokens` of the output); the others keep their path.
        UsageUpdate(
            Usage(
                fresh=128,
                cache_read=512,
                cache_write=60,
                output=90,
                reasoning=40,
                audio_in=0,
                audio_out=0,
                image_out=0,
                extras={
                    "cost": Raw(b"0.00210"),
                    "is_byok": Raw(b"false"),
                    "prompt_tokens_details/video_tokens": Raw(b"0"),
                    "cost_details": Raw(b'{"upstream_inference_cost":0.0021}'),
                },
            )
        ),
        StreamEnd(),
    ),
    violations={"repeated-finish": 1},
)


# Mistral: `content` is a string, then an array of thinking, then an array in which
# thinking gives way to text, then a string again.
_THINKING_ARRAYS = StreamCase(
    name="content-arrays-with-thinking",
    like="4b8f6240202167e5",
    wire=_frames(
        '"id":"arr-1","object":"chat.completion.chunk","created":1763680003,'
        '"model":"wren-small"',
        '"choices":[{"index":0,"delta":{"role":"assistant","content":""},'
        '"finish_reason":null}]',
        '"choices":[{"index":0,"delta":{"content":""},"finish_reason":null}],'
        '"p":"abcdefgh"',
        '"choices":[{"index":0,"delta":{"content":[{"type":"thinking",'
        '"thinking":[{"type":"text","text":"Nine"}]}]},"finish_reason":null}],'
        '"p":"ab"',
        '"choices":[{"index":0,"delta":{"content":[{"type":"thinking",'
        '"thinking":[{"type":"text","text":" and four"}],"closed":true}]},'
        '"finish_reason":null}],"p":"abcde"',
        '"choices":[{"index":0,"delta":{"content":[{"type":"thinking",'
        '"thinking":[{"type":"text","text":" is 13."}],"closed":true},'
        '{"type":"text","text":"1"}]},"finish_reason":null}],"p":"abc"',
        '"choices":[{"index":0,"delta":{"content":"3"},"finish_reason":"stop"}],'
        '"usage":{"prompt_tokens":30,"total_tokens":51,"completion_tokens":21,'
        '"prompt_tokens_details":{"cached_tokens":16},"service_tier":"standard"},'
        '"p":"abcd"',
    )
    + _DONE,
    events=(
        MessageStart("arr-1", "wren-small", 1763680003.0, dialect="openai-chat"),
        # `@field` names `content`: thinking that came inside the content goes back
        # there, not into a field that this server does not have.
        PartStart(0, ReasoningPart(extras={"@field": Raw(b'"content"')})),
        ReasoningDelta(0, "Nine"),
        # A stranger of the element is the part's own. It stands before the growth it
        # came with, and once: the next element repeats it unchanged.
        Extra({"closed": Raw(b"true")}, index=0),
        ReasoningDelta(0, " and four"),
        ReasoningDelta(0, " is 13."),
        PartEnd(0),
        PartStart(1, TextPart(text="")),
        TextDelta(1, "1"),
        TextDelta(1, "3"),
        PartEnd(1),
        MessageEnd("end", "stop"),
        UsageUpdate(
            Usage(
                fresh=14,
                cache_read=16,
                output=21,
                extras={"service_tier": Raw(b'"standard"')},
            )
        ),
        StreamEnd(),
    ),
)


_TIDES = (
    '{"type":"url_citation","url_citation":{"url":"https://tides.example/a",'
    '"title":"Tides","start_index":0,"end_index":0,"content":"High water at six."}}'
)
_MOON = (
    '{"type":"url_citation","url_citation":{"url":"https://moon.example/",'
    '"title":"","start_index":0,"end_index":0,"content":"Full on Friday."}}'
)

# OpenRouter's web search: comments while it searches, then a frame for each citation,
# all of them before the first word. `content` beside the URL is the page's own words.
_CITATIONS_FIRST = StreamCase(
    name="citations-before-any-text",
    like="98ff797994ee9a3e",
    wire=_COMMENT
    + _COMMENT
    + _frames(
        '"id":"cit-1","object":"chat.completion.chunk","created":1763680004,'
        '"model":"acme/heron","provider":"Acme"',
        '"choices":[{"index":0,"delta":{"content":"","role":"assistant",'
        '"annotations":[' + _TIDES + "]},"
        '"finish_reason":null,"native_finish_reason":null}]',
        '"choices":[{"index":0,"delta":{"content":"","role":"assistant",'
        '"annotations":[' + _MOON + "]},"
        '"finish_reason":null,"native_finish_reason":null}]',
        '"choices":[{"index":0,"delta":{"content":"At","role":"assistant"},'
        '"finish_reason":null,"native_finish_reason":null}]',
        '"choices":[{"index":0,"delta":{"content":" six.","role":"assistant"},'
        '"finish_reason":null,"native_finish_reason":null}]',
        '"choices":[{"index":0,"delta":{"content":"","role":"assistant"},'
        '"finish_reason":"stop","native_finish_reason":"stop"}]',
        '"service_tier":null,'
        '"choices":[{"index":0,"delta":{"content":"","role":"assistant"},'
        '"finish_reason":"stop","native_finish_reason":"stop"}],'
        '"usage":{"prompt_tokens":300,"completion_tokens":5,"total_tokens":305,'
        '"cost":0.0076,"prompt_tokens_details":{"cached_tokens":0},'
        '"completion_tokens_details":{"reasoning_tokens":0},'
        '"server_tool_use_details":{"web_search_requests":1}}',
    )
    + _DONE,
    events=(
        Ping(),
        Ping(),
        MessageStart("cit-1", "acme/heron", 1763680004.0, dialect="openai-chat"),
        Extra({"provider": Raw(b'"Acme"')}),
        Extra({"native_finish_reason": Raw(b"null")}, choice=0),
        # Citations wait for the text that they belong to and come right after its
        # start, as a whole body with the same content and annotations unfolds. Only a
        # choice that ends without any text gives them as `message/annotations`, once
        # and all together: one Extra for each frame would keep the last alone.
        PartStart(0, TextPart(text="")),
        CitationDelta(
            0,
            Citation(
                kind="url",
                url="https://tides.example/a",
                title="Tides",
                text="High water at six.",
                start=0,
                end=0,
                raw=Raw(_TIDES.encode()),
            ),
        ),
        CitationDelta(
            0,
            Citation(
                kind="url",
                url="https://moon.example/",
                title="",
                text="Full on Friday.",
                start=0,
                end=0,
                raw=Raw(_MOON.encode()),
            ),
        ),
        TextDelta(0, "At"),
        TextDelta(0, " six."),
        Extra({"native_finish_reason": Raw(b'"stop"')}, choice=0),
        PartEnd(0),
        MessageEnd("end", "stop"),
        UsageUpdate(
            Usage(
                fresh=300,
                cache_read=0,
                output=5,
                reasoning=0,
                extras={
                    "cost": Raw(b"0.0076"),
                    "server_tool_use_details": Raw(b'{"web_search_requests":1}'),
                },
            )
        ),
        StreamEnd(),
    ),
    violations={"repeated-finish": 1},
)


# Azure behind Copilot: a first frame without choice or id, no `object` anywhere, no
# `finish_reason` until there is one. The message begins with the frame that has an id,
# and takes id, model and time from there.
_FILTER_PRELUDE = StreamCase(
    name="filter-results-before-the-message",
    like="24fd6473b42abdd1",
    wire=_frames(
        '"model":"ibis-4o"',
        '"id":"","created":0,"choices":[],"prompt_filter_results":'
        '[{"prompt_index":0,"content_filter_results":{"hate":{"filtered":false}}}]',
    )
    + _frames(
        '"id":"pre-1","created":1763680005,"model":"ibis-4o",'
        '"system_fingerprint":"fp_ibis"',
        '"choices":[{"index":0,"content_filter_results":{},"delta":{'
        '"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"call_add",'
        '"type":"function","function":{"name":"add","arguments":""}}]}}]',
        '"choices":[{"index":0,"content_filter_results":{},"delta":{'
        '"content":null,"tool_calls":[{"index":0,"function":{"arguments":"{\\"a"}}]}}]',
        '"choices":[{"index":0,"content_filter_results":{},"delta":{'
        '"content":null,"tool_calls":[{"index":0,"function":{"arguments":"\\":7}"}}]}}'
        "]",
        '"choices":[{"index":0,"content_filter_results":{},"delta":{"content":null},'
        '"finish_reason":"tool_calls"}],"copilot_usage":{"total_nano_aiu":0},'
        '"usage":{"prompt_tokens":80,"completion_tokens":9,"total_tokens":89,'
        '"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{'
        '"accepted_prediction_tokens":0,"rejected_prediction_tokens":0},'
        '"reasoning_tokens":0}',
    )
    + _DONE,
    events=(
        MessageStart("pre-1", "ibis-4o", 1763680005.0, dialect="openai-chat"),
        # What waited with the first frame joins the Extra of the frame that begins.
        Extra(
            {
                "prompt_filter_results": Raw(
                    b'[{"prompt_index":0,"content_filter_results":'
                    b'{"hate":{"filtered":false}}}]'
                ),
                "system_fingerprint": Raw(b'"fp_ibis"'),
            }
        ),
        Extra({"content_filter_results": Raw(b"{}")}, choice=0),
        PartStart(0, ToolCallPart(call_id="call_add", name="add")),
        ArgumentsDelta(0, '{"a'),
        ArgumentsDelta(0, '":7}'),
        Extra({"copilot_usage": Raw(b'{"total_nano_aiu":0}')}),
        PartEnd(0),
        MessageEnd("tool_use", "tool_calls"),
        # `reasoning_tokens` beside the details is not the one inside them: it stays a
        # stranger, or it would be written back to another place.
        UsageUpdate(
            Usage(
                fresh=80,
                cache_read=0,
                output=9,
                accepted=0,
                rejected=0,
                extras={"reasoning_tokens": Raw(b"0")},
            )
        ),
        StreamEnd(),
    ),
)


# Mistral: the whole call, the finish and the usage in one frame; the call has neither
# `index` nor `type`. Its place in the array stands for the index, which is how such
# servers mean it: no rule is broken. Usage without details says nothing of a cache.
_WHOLE_CALL = StreamCase(
    name="whole-call-without-index",
    like="5d26723a91838d72",
    wire=_frames(
        '"id":"who-1","object":"chat.completion.chunk","created":1763680006,'
        '"model":"wren-small"',
        '"choices":[{"index":0,"delta":{"role":"assistant","content":""},'
        '"finish_reason":null,"logprobs":null}]',
        '"choices":[{"index":0,"delta":{"content":null,"tool_calls":[{'
        '"id":"k3Jd90aQz","function":{"name":"ferry",'
        '"arguments":"{\\"port\\": \\"Bergen\\"}"}}]},'
        '"finish_reason":"tool_calls","logprobs":null}],'
        '"usage":{"prompt_tokens":64,"total_tokens":76,"completion_tokens":12}',
    )
    + _DONE,
    events=(
        MessageStart("who-1", "wren-small", 1763680006.0, dialect="openai-chat"),
        PartStart(0, ToolCallPart(call_id="k3Jd90aQz", name="ferry")),
        ArgumentsDelta(0, '{"port": "Bergen"}'),
        PartEnd(0),
        MessageEnd("tool_use", "tool_calls"),
        UsageUpdate(Usage(fresh=64, output=12)),
        StreamEnd(),
    ),
)


# OpenRouter: the token limit cuts a call, but the stop word claims a finished one.
# That the arguments are no JSON decides the part; the stop is still the one that the
# word says (the native word, which knows better, is not ours to interpret).
_CUT_CALL = StreamCase(
    name="cut-call-said-to-be-finished",
    like="044c22a3b418d4a5",
    wire=_COMMENT
    + _frames(
        '"id":"cut-1","object":"chat.completion.chunk","created":1763680007,'
        '"model":"acme/stork-mini","provider":"Acme"',
        '"choices":[{"index":0,"delta":{"role":"assistant","content":null,'
        '"tool_calls":[{"index":0,"id":"call_log","type":"function",'
        '"function":{"name":"log","arguments":""}}]},'
        '"finish_reason":null,"native_finish_reason":null}]',
        '"choices":[{"index":0,"delta":{"role":"assistant","content":null,'
        '"tool_calls":[{"index":0,"function":{"arguments":""}}]},'
        '"finish_reason":null,"native_finish_reason":null}]',
        '"choices":[{"index":0,"delta":{"role":"assistant","content":null,'
        '"tool_calls":[{"index":0,"function":{"arguments":"{\\"note\\":\\"The"}}]},'
        '"finish_reason":null,"native_finish_reason":null}]',
        '"choices":[{"index":0,"delta":{"role":"assistant","content":null,'
        '"tool_calls":[{"index":0,"function":{"arguments":" pump"}}]},'
        '"finish_reason":null,"native_finish_reason":null}]',
        '"choices":[{"index":0,"delta":{"role":"assistant","content":""},'
        '"finish_reason":"tool_calls","native_finish_reason":"max_output_tokens"}]',
        '"service_tier":"default",'
        '"choices":[{"index":0,"delta":{"role":"assistant","content":""},'
        '"finish_reason":"tool_calls","native_finish_reason":"max_output_tokens"}],'
        '"usage":{"prompt_tokens":50,"completion_tokens":4,"total_tokens":54}',
    )
    + _DONE,
    events=(
        Ping(),
        MessageStart("cut-1", "acme/stork-mini", 1763680007.0, dialect="openai-chat"),
        Extra({"provider": Raw(b'"Acme"')}),
        Extra({"native_finish_reason": Raw(b"null")}, choice=0),
        PartStart(0, ToolCallPart(call_id="call_log", name="log")),
        ArgumentsDelta(0, '{"note":"The'),
        ArgumentsDelta(0, " pump"),
        Extra({"native_finish_reason": Raw(b'"max_output_tokens"')}, choice=0),
        PartEnd(0, "incomplete"),
        MessageEnd("tool_use", "tool_calls"),
        ServiceTier("default"),
        UsageUpdate(Usage(fresh=50, output=4)),
        StreamEnd(),
    ),
    violations={"repeated-finish": 1},
)


# Log probabilities: text already in the first frame, a log probability that is the
# integer 0, `refusal` null beside the content, none at all in the closing frames. The
# tokens follow the text they stand for.
_LOGPROBS = StreamCase(
    name="logprobs-with-alternatives",
    like="0e789924b017276b",
    wire=_COMMENT
    + _frames(
        '"id":"log-1","object":"chat.completion.chunk","created":1763680008,'
        '"model":"acme/stork-mini","provider":"Acme"',
        '"choices":[{"index":0,"delta":{"content":"am","role":"assistant"},'
        '"finish_reason":null,"logprobs":{"content":[{"token":"am",'
        '"logprob":-1.5e-7,"bytes":[97,109],"top_logprobs":['
        '{"token":"am","logprob":-1.5e-7,"bytes":[97,109]},'
        '{"token":"Yes","logprob":-16.125,"bytes":[89,101,115]}]}],'
        '"refusal":null},"native_finish_reason":null}]',
        '"choices":[{"index":0,"delta":{"content":"ber","role":"assistant"},'
        '"finish_reason":null,"logprobs":{"content":[{"token":"ber",'
        '"logprob":0,"bytes":[98,101,114],"top_logprobs":['
        '{"token":"ber","logprob":0,"bytes":[98,101,114]},'
        '{"token":"be","logprob":-20,"bytes":[98,101]}]}],'
        '"refusal":null},"native_finish_reason":null}]',
        '"choices":[{"index":0,"delta":{"content":"","role":"assistant"},'
        '"finish_reason":"length","native_finish_reason":"max_output_tokens"}]',
        '"service_tier":"default",'
        '"choices":[{"index":0,"delta":{"content":"","role":"assistant"},'
        '"finish_reason":"length","native_finish_reason":"max_output_tokens"}],'
        '"usage":{"prompt_tokens":18,"completion_tokens":2,"total_tokens":20}',
    )
    + _DONE,
    events=(
        Ping(),
        MessageStart("log-1", "acme/stork-mini", 1763680008.0, dialect="openai-chat"),
        Extra({"provider": Raw(b'"Acme"')}),
        Extra({"native_finish_reason": Raw(b"null")}, choice=0),
        PartStart(0, TextPart(text="")),
        TextDelta(0, "am"),
        LogprobsDelta(
            0,
            (
                TokenLogprob(
                    "am",
                    -1.5e-7,
                    (97, 109),
                    (
                        TokenLogprob("am", -1.5e-7, (97, 109)),
                        TokenLogprob("Yes", -16.125, (89, 101, 115)),
                    ),
                ),
            ),
        ),
        TextDelta(0, "ber"),
        LogprobsDelta(
            0,
            (
                TokenLogprob(
                    "ber",
                    0.0,
                    (98, 101, 114),
                    (
                        TokenLogprob("ber", 0.0, (98, 101, 114)),
                        TokenLogprob("be", -20.0, (98, 101)),
                    ),
                ),
            ),
        ),
        Extra({"native_finish_reason": Raw(b'"max_output_tokens"')}, choice=0),
        PartEnd(0),
        MessageEnd("max_tokens", "length"),
        ServiceTier("default"),
        UsageUpdate(Usage(fresh=18, output=2)),
        StreamEnd(),
    ),
    violations={"repeated-finish": 1},
)


# DeepSeek: log probabilities of the thinking under a name of their own
# (`logprobs.reasoning_content`), those of the answer under the usual one; the cache
# counted twice in the usage; characters beyond ASCII as they are.
_REASONING_LOGPROBS = StreamCase(
    name="logprobs-of-reasoning",
    like="2ed3d38ed7a36608",
    wire=_frames(
        '"id":"rea-1","object":"chat.completion.chunk","created":1763680009,'
        '"model":"orca-flash","system_fingerprint":"0rca"',
        '"choices":[{"index":0,"delta":{"role":"assistant","content":null,'
        '"reasoning_content":""},"finish_reason":null,"logprobs":null}],"usage":null',
        '"choices":[{"index":0,"delta":{"content":null,"reasoning_content":"6\u00d77"},'
        '"finish_reason":null,"logprobs":{"reasoning_content":[{"token":"6\u00d77",'
        '"logprob":-0.25,"bytes":[54,195,151,55],"top_logprobs":['
        '{"token":"6\u00d77","logprob":-0.25,"bytes":[54,195,151,55]},'
        '{"token":"<\u00a7>","logprob":-8.5,"bytes":[60,194,167,62]}]}]}}],"usage":null',
        '"choices":[{"index":0,"delta":{"content":null,"reasoning_content":"."},'
        '"finish_reason":null,"logprobs":{"reasoning_content":[{"token":".",'
        '"logprob":-2e-06,"bytes":[46],"top_logprobs":['
        '{"token":".","logprob":-2e-06,"bytes":[46]}]}]}}],"usage":null',
        '"choices":[{"index":0,"delta":{"content":"42","reasoning_content":null},'
        '"finish_reason":null,"logprobs":{"content":[{"token":"42",'
        '"logprob":0.0,"bytes":[52,50],"top_logprobs":['
        '{"token":"42","logprob":0.0,"bytes":[52,50]}]}]}}],"usage":null',
        '"choices":[{"index":0,"delta":{"content":"","reasoning_content":null},'
        '"finish_reason":"stop","logprobs":null}],'
        '"usage":{"prompt_tokens":84,"completion_tokens":3,"total_tokens":87,'
        '"prompt_tokens_details":{"cached_tokens":64},'
        '"completion_tokens_details":{"reasoning_tokens":2},'
        '"prompt_cache_hit_tokens":64,"prompt_cache_miss_tokens":20}',
    )
    + _DONE,
    events=(
        MessageStart("rea-1", "orca-flash", 1763680009.0, dialect="openai-chat"),
        Extra({"system_fingerprint": Raw(b'"0rca"')}),
        # Reasoning takes log probabilities like text does; the list that bears the
        # name of the part's `@field` is the part's.
        PartStart(0, ReasoningPart(extras={"@field": Raw(b'"reasoning_content"')})),
        ReasoningDelta(0, "6\u00d77"),
        LogprobsDelta(
            0,
            (
                TokenLogprob(
                    "6\u00d77",
                    -0.25,
                    (54, 195, 151, 55),
                    (
                        TokenLogprob("6\u00d77", -0.25, (54, 195, 151, 55)),
                        TokenLogprob("<\u00a7>", -8.5, (60, 194, 167, 62)),
                    ),
                ),
            ),
        ),
        ReasoningDelta(0, "."),
        LogprobsDelta(
            0,
            (TokenLogprob(".", -2e-06, (46,), (TokenLogprob(".", -2e-06, (46,)),)),),
        ),
        PartEnd(0),
        PartStart(1, TextPart(text="")),
        TextDelta(1, "42"),
        LogprobsDelta(
            1,
            (TokenLogprob("42", 0.0, (52, 50), (TokenLogprob("42", 0.0, (52, 50)),)),),
        ),
        PartEnd(1),
        MessageEnd("end", "stop"),
        # The second spelling of the cache counts cannot be written from the buckets,
        # so it is kept as well.
        UsageUpdate(
            Usage(
                fresh=20,
                cache_read=64,
                output=3,
                reasoning=2,
                extras={
                    "prompt_cache_hit_tokens": Raw(b"64"),
                    "prompt_cache_miss_tokens": Raw(b"20"),
                },
            )
        ),
        StreamEnd(),
    ),
)


_LOOKED_UP = '[{"index":0,"type":"search","arguments":"{\\"q\\": \\"dew\\"}"}]'
_FOUND = (
    '[{"index":0,"type":"search","arguments":"{\\"q\\": \\"dew\\"}",'
    '"output":"Dew: 9 C"}]'
)
_X_GROQ = (
    '{"usage":{"queue_time":0.25,"prompt_tokens":400,"completion_tokens":11,'
    '"total_tokens":411},"usage_breakdown":{"models":[{"model":"emu-70b"}]}}'
)

# Groq's compound systems: another id in every frame (counted once), tools run by the
# server shown in the midst of the thinking, usage nowhere but in `x_groq`.
_SERVER_TOOLS = StreamCase(
    name="another-id-in-every-frame",
    like="618b75cd012b6919",
    wire=_frames(
        '"object":"chat.completion.chunk","created":1763680010,"model":"acme/emu",'
        '"system_fingerprint":null',
        '"id":"emu-1","choices":[{"index":0,"delta":{"reasoning":"<think>\\nDew"},'
        '"logprobs":null,"finish_reason":null}]',
        '"id":"emu-2","choices":[{"index":0,"delta":{"executed_tools":'
        + _LOOKED_UP
        + '},"logprobs":null,"finish_reason":null}]',
        '"id":"emu-3","choices":[{"index":0,"delta":{"executed_tools":'
        + _FOUND
        + '},"logprobs":null,"finish_reason":null}]',
        '"id":"emu-4","choices":[{"index":0,"delta":{"reasoning":" is 9."},'
        '"logprobs":null,"finish_reason":null}]',
        '"id":"emu-5","choices":[{"index":0,"delta":{"content":"9 C"},'
        '"logprobs":null,"finish_reason":null}]',
        '"id":"stub","choices":[{"index":0,"delta":{},'
        '"logprobs":null,"finish_reason":"stop"}],"x_groq":' + _X_GROQ,
    )
    + _DONE,
    events=(
        MessageStart("emu-1", "acme/emu", 1763680010.0, dialect="openai-chat"),
        Extra({"system_fingerprint": Raw(b"null")}),
        # A tag inside a reasoning field is text like any other.
        PartStart(0, ReasoningPart(extras={"@field": Raw(b'"reasoning"')})),
        ReasoningDelta(0, "<think>\nDew"),
        # A stranger is no content of another kind: the reasoning stays open and goes
        # on. The second list replaces the first, whose entry it repeats.
        Extra({"message/executed_tools": Raw(_LOOKED_UP.encode())}, choice=0),
        Extra({"message/executed_tools": Raw(_FOUND.encode())}, choice=0),
        ReasoningDelta(0, " is 9."),
        PartEnd(0),
        PartStart(1, TextPart(text="")),
        TextDelta(1, "9 C"),
        # `x_groq` is read for its usage and kept whole besides, for usage is written
        # to another place.
        Extra({"x_groq": Raw(_X_GROQ.encode())}),
        PartEnd(1),
        MessageEnd("end", "stop"),
        UsageUpdate(Usage(fresh=400, output=11, extras={"queue_time": Raw(b"0.25")})),
        StreamEnd(),
    ),
    # All chunks of a message have the same id. The first one stands; each frame with
    # another one is counted, for that is all that is said of the others.
    violations={"changed-id": 1},
)


CASES: tuple[StreamCase, ...] = (
    _TWO_CHOICES,
    _DETAILS_THEN_CALLS,
    _THINKING_ARRAYS,
    _CITATIONS_FIRST,
    _FILTER_PRELUDE,
    _WHOLE_CALL,
    _CUT_CALL,
    _LOGPROBS,
    _REASONING_LOGPROBS,
    _SERVER_TOOLS,
)
"""One case for each shape, in no particular order."""
