"""The formats of calls whose arguments are tags, attributes or literals: a table.

Knows marks, and which reader reads what stands between them.
"""

from __future__ import annotations

from typing import Final

from llmwire.filters._call_bodies import (
    arg_keys,
    attributes,
    gemma,
    pythonic,
    xml_parameters,
)
from llmwire.filters._call_bodies import json_objects as as_json
from llmwire.filters._call_format import CallFormat

__all__ = ("TAGGED_FORMATS",)

_STEP3: Final = tuple(
    f"<｜tool_call_begin｜>{kind}<steptml:invoke"
    for kind in ("function<｜tool_sep｜>", "")
)
_MARKED: Final = (
    ("deepseek-v3.2", "｜DSML｜"),
    ("deepseek-v3.2", "｜｜DSML｜｜"),
    ("gigachat", "｜GCML｜"),
)
_PREFIXES: Final = ("antml:", "atem:")
"""Before the names of tags, of models that imitate Claude."""

TAGGED_FORMATS: Final[tuple[CallFormat, ...]] = (
    CallFormat(
        name="qwen3-coder",
        openers=("<tool_call>",),
        closers=("</tool_call>",),
        begins=("<function=",),
        reasoning=True,
        parse=xml_parameters.parse,
        ending=xml_parameters.ending,
    ),
    CallFormat(
        name="qwen3-coder",
        openers=("<function=",),
        begins=("{tool}><parameter=", "{tool}></function>"),
        kept=True,
        place="line",
        trailers=("</tool_call>",),
        parse=xml_parameters.parse,
        ending=xml_parameters.ending,
    ),
    CallFormat(
        name="seed-oss",
        openers=("<seed:tool_call>",),
        closers=("</seed:tool_call>",),
        begins=("<function=",),
        parse=xml_parameters.parse,
        ending=xml_parameters.ending,
    ),
    CallFormat(
        name="glm",
        openers=("<tool_call>",),
        closers=("</tool_call>",),
        begins=("{tool}",),
        reasoning=True,
        parse=arg_keys.parse,
        ending=arg_keys.ending,
    ),
    CallFormat(
        name="hunyuan",
        openers=("<tool_calls>",),
        closers=("</tool_calls>",),
        begins=("<tool_call>",),
        parse=arg_keys.parse,
        ending=arg_keys.ending,
    ),
    CallFormat(
        name="hunyuan",
        openers=("<tool_calls:opensource>",),
        closers=("</tool_calls:opensource>",),
        begins=("<tool_call:opensource>",),
        parse=arg_keys.parse,
        ending=arg_keys.ending,
    ),
    CallFormat(
        name="pythonic",
        openers=("[{tool}(",),
        kept=True,
        place="line",
        parse=pythonic.parse,
        ending=pythonic.ending,
    ),
    CallFormat(
        name="pythonic",
        openers=("<|python_start|>",),
        begins=("[{tool}(",),
        trailers=("<|python_end|>",),
        parse=pythonic.parse,
        ending=pythonic.ending,
    ),
    CallFormat(
        name="llama3",
        openers=("<|python_tag|>",),
        begins=("{tool}(", "{tool}.call("),
        parse=pythonic.parse,
        ending=pythonic.ending,
    ),
    CallFormat(
        name="olmo3",
        openers=("<function_calls>",),
        closers=("</function_calls>",),
        begins=("{tool}(",),
        place="line",
        parse=pythonic.parse,
        ending=pythonic.ending,
    ),
    CallFormat(
        name="lfm2",
        openers=("<|tool_call_start|>",),
        closers=("<|tool_call_end|>",),
        begins=("[{tool}(",),
        parse=pythonic.parse,
        ending=pythonic.ending,
    ),
    CallFormat(
        name="lfm2",
        openers=("<|tool_call_start|>",),
        closers=("<|tool_call_end|>",),
        begins=("[{", "{"),
        parse=as_json.objects,
    ),
    *(
        CallFormat(
            name=name,
            openers=(f"<{mark}{word}>",),
            closers=(f"</{mark}{word}>",),
            begins=(f"<{mark}invoke",),
            parse=attributes.parse,
            ending=attributes.ending,
        )
        for name, mark in _MARKED
        for word in ("tool_calls", "function_calls")
    ),
    CallFormat(
        name="kimi-k3",
        openers=("<|open|>tools<|sep|>",),
        closers=("<|close|>tools<|sep|>",),
        begins=("<|open|>call",),
        parse=attributes.parse,
        ending=attributes.ending,
    ),
    CallFormat(
        name="minimax",
        openers=("<minimax:tool_call>",),
        closers=("</minimax:tool_call>",),
        begins=("<invoke",),
        parse=attributes.parse,
        ending=attributes.ending,
    ),
    CallFormat(
        name="minimax",
        openers=("]<]minimax[>[<tool_call>",),
        closers=("</tool_call>",),
        begins=("]<]minimax[>[<invoke", "<invoke"),
        parse=attributes.parse,
        ending=attributes.ending,
    ),
    CallFormat(
        name="step3",
        openers=("<｜tool_calls_begin｜>",),
        closers=("<｜tool_calls_end｜>",),
        begins=_STEP3,
        parse=attributes.parse,
        ending=attributes.ending,
    ),
    CallFormat(
        name="step3",
        openers=("<｜tool_call_begin｜>",),
        closers=("<｜tool_call_end｜>",),
        begins=("function<｜tool_sep｜><steptml:invoke", "<steptml:invoke"),
        kept=True,
        trailers=("<｜tool_calls_end｜>",),
        parse=attributes.parse,
        ending=attributes.ending,
    ),
    CallFormat(
        name="functiongemma",
        openers=("<start_function_call>",),
        closers=("<end_function_call>",),
        begins=("call:{tool}",),
        parse=gemma.parse,
        ending=gemma.ending,
    ),
    CallFormat(
        name="gemma4",
        openers=("<|tool_call>",),
        closers=("<tool_call|>",),
        begins=("call:{tool}",),
        parse=gemma.parse,
        ending=gemma.ending,
    ),
    CallFormat(
        name="minicpm",
        openers=('<function name="',),
        begins=('{tool}">',),
        kept=True,
        place="line",
        parse=xml_parameters.parse,
        ending=xml_parameters.ending,
    ),
    CallFormat(
        name="claude",
        openers=("<function_calls>",),
        closers=("</function_calls>",),
        begins=("<invoke><tool_name>",),
        place="line",
        parse=xml_parameters.parse,
        ending=xml_parameters.ending,
    ),
    CallFormat(
        name="claude",
        openers=("<function_calls>",),
        closers=("</function_calls>",),
        begins=("<invokename=",),
        place="line",
        parse=attributes.parse,
        ending=attributes.ending,
    ),
    CallFormat(
        name="claude",
        openers=tuple(f'<{prefix}invoke name="' for prefix in ("", *_PREFIXES)),
        begins=('{tool}">',),
        kept=True,
        place="line",
        parse=attributes.parse,
        ending=attributes.ending,
    ),
    *(
        CallFormat(
            name="claude",
            openers=(f"<{prefix}function_calls>",),
            closers=(f"</{prefix}function_calls>",),
            begins=(f"<{prefix}invokename=",),
            place="line",
            parse=attributes.parse,
            ending=attributes.ending,
        )
        for prefix in _PREFIXES
    ),
    CallFormat(
        name="cline",
        openers=("<{tool}>",),
        kept=True,
        place="line",
        parse=xml_parameters.parse,
        ending=xml_parameters.ending,
    ),
    CallFormat(
        name="cline",
        openers=("<use_mcp_tool>",),
        kept=True,
        place="line",
        parse=xml_parameters.parse,
        ending=xml_parameters.ending,
    ),
    CallFormat(
        name="gemini",
        openers=("```tool_code",),
        closers=("```",),
        begins=(
            "default_api.{tool}(",
            "print(default_api.{tool}(",
            "{tool}(",
            "print({tool}(",
        ),
        place="line",
        parse=pythonic.parse,
        ending=pythonic.ending,
    ),
    CallFormat(
        name="gemini",
        openers=("default_api.{tool}(",),
        kept=True,
        place="line",
        parse=pythonic.parse,
        ending=pythonic.ending,
    ),
)
