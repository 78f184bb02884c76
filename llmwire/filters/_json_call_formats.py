"""The formats of calls whose arguments are JSON: a table.

Knows marks, and which reader reads what stands between them.
"""

from __future__ import annotations

from itertools import product
from typing import Final

from llmwire.filters._call_bodies import json_objects as as_json
from llmwire.filters._call_format import CallFormat

__all__ = ("JSON_FORMATS",)

_KEYS: Final = ("name", "type", "function", "parameters", "arguments", "tool", "id")
_NAMED: Final = tuple(f'"{key}"' for key in (*_KEYS, "tool_name", "function_call"))
_OBJECT: Final = tuple("{" + key for key in _NAMED)
_LIST: Final = tuple("[{" + key for key in _NAMED)
_JSON: Final = ("{", "[")
_TIES: Final = ("▁", "_", " ", "\\_")


def _deepseek(what: str, end: str) -> tuple[str, ...]:
    """The spellings of a mark of DeepSeek that are seen."""
    return tuple(
        f"<{bar}tool{tie}{what}{tie}{end}{bar}>" for bar, tie in product("｜|", _TIES)
    )


_KIMI_ENDS: Final = ("<|tool_calls_section_end|>", "<|tool_call_section_end|>")
_HARMONY_ENDS: Final = ("<|call|>", "<|end|>", "<|return|>")

JSON_FORMATS: Final[tuple[CallFormat, ...]] = (
    CallFormat(
        name="hermes",
        openers=("<tool_call>",),
        closers=("</tool_call>",),
        begins=("{",),
        parse=as_json.objects,
        reasoning=True,
    ),
    CallFormat(
        name="mistral",
        openers=("[TOOL_CALLS]",),
        value="[{",
        begins=("[{", "{"),
        parse=as_json.objects,
    ),
    CallFormat(
        name="mistral",
        openers=("[TOOL_CALLS]",),
        value="{",
        begins=("{tool}",),
        parse=as_json.mistral_named,
    ),
    CallFormat(
        name="llama3",
        openers=("<|python_tag|>",),
        value="{",
        begins=("{",),
        parse=as_json.objects,
        trailers=(";",),
    ),
    CallFormat(
        name="llama3",
        openers=("{",),
        value="{",
        begins=_NAMED,
        kept=True,
        place="start",
        parse=as_json.objects,
        trailers=(";",),
    ),
    CallFormat(
        name="function-tag",
        openers=("<function=",),
        closers=("</function>",),
        begins=("{tool}>{",),
        place="line",
        parse=as_json.function_tag,
        trailers=("</tool_call>",),
    ),
    CallFormat(
        name="deepseek-v3",
        openers=_deepseek("calls", "begin"),
        closers=_deepseek("calls", "end"),
        begins=_deepseek("call", "begin"),
        parse=as_json.deepseek,
        open_ended=True,
    ),
    CallFormat(
        name="deepseek-v3",
        openers=_deepseek("call", "begin"),
        closers=_deepseek("call", "end"),
        kept=True,
        parse=as_json.deepseek,
        trailers=_deepseek("calls", "end"),
    ),
    CallFormat(
        name="gigachat",
        openers=(
            "<|message_sep|>\n\nfunction call<|role_sep|>",
            "<|function_call|>",
        ),
        value="{",
        begins=("{",),
        parse=as_json.objects,
    ),
    CallFormat(
        name="gigachat",
        openers=("function call",),
        value="{",
        begins=_OBJECT,
        place="start",
        parse=as_json.objects,
    ),
    CallFormat(
        name="kimi-k2",
        openers=("<|tool_calls_section_begin|>", "<|tool_call_section_begin|>"),
        closers=_KIMI_ENDS,
        begins=("<|tool_call_begin|>",),
        parse=as_json.kimi,
        open_ended=True,
        reasoning=True,
    ),
    CallFormat(
        name="kimi-k2",
        openers=("<|tool_call_begin|>",),
        closers=("<|tool_call_end|>",),
        kept=True,
        parse=as_json.kimi,
        trailers=_KIMI_ENDS,
        reasoning=True,
    ),
    CallFormat(
        name="granite",
        openers=("<|tool_call|>", "<tool_call>"),
        value="[",
        begins=("[",),
        parse=as_json.objects,
        trailers=("</tool_call>",),
    ),
    CallFormat(
        name="granite",
        openers=("<function_call>",),
        value="{",
        begins=("{",),
        parse=as_json.objects,
        trailers=("</function_call>",),
    ),
    CallFormat(
        name="jamba",
        openers=("<tool_calls>",),
        closers=("</tool_calls>",),
        begins=_JSON,
        parse=as_json.objects,
    ),
    CallFormat(
        name="internlm",
        openers=("<|action_start|>",),
        closers=("<|action_end|>",),
        begins=("<|plugin|>",),
        parse=as_json.plugin,
    ),
    CallFormat(
        name="command",
        openers=("<|START_ACTION|>",),
        closers=("<|END_ACTION|>",),
        begins=_JSON,
        parse=as_json.objects,
    ),
    CallFormat(
        name="command",
        openers=("Action: ```json",),
        closers=("```",),
        begins=_JSON,
        place="line",
        parse=as_json.objects,
    ),
    CallFormat(
        name="phi4",
        openers=("functools",),
        value="[",
        begins=("[",),
        place="line",
        parse=as_json.objects,
    ),
    CallFormat(
        name="xlam",
        openers=("[",),
        value="[",
        begins=tuple(key.removeprefix("[") for key in _LIST),
        kept=True,
        place="start",
        parse=as_json.objects,
    ),
    CallFormat(
        name="longcat",
        openers=("<longcat_tool_call>",),
        closers=("</longcat_tool_call>",),
        begins=_JSON,
        parse=as_json.objects,
    ),
    CallFormat(
        name="iquest",
        openers=("<iquest_tool_call>",),
        closers=("</iquest_tool_call>",),
        begins=_JSON,
        parse=as_json.objects,
    ),
    CallFormat(
        name="nemotron",
        openers=("<TOOLCALL>",),
        closers=("</TOOLCALL>",),
        begins=_JSON,
        parse=as_json.objects,
    ),
    CallFormat(
        name="apertus",
        openers=("<|tools_prefix|>",),
        closers=("<|tools_suffix|>",),
        begins=_JSON,
        parse=as_json.single_key_objects,
    ),
    CallFormat(
        name="harmony",
        openers=("<|start|>assistant",),
        value="{",
        begins=("to=", "<|channel|>commentaryto=", "<|channel|>analysisto="),
        parse=as_json.harmony,
        trailers=_HARMONY_ENDS,
    ),
    CallFormat(
        name="harmony",
        openers=("<|channel|>commentary", "<|channel|>analysis"),
        value="{",
        begins=("to=",),
        parse=as_json.harmony,
        trailers=_HARMONY_ENDS,
    ),
    CallFormat(
        name="harmony",
        openers=("to=functions.{tool}<|channel|>", "functions.{tool}<|channel|>"),
        value="{",
        begins=("commentary", "analysis"),
        kept=True,
        place="line",
        parse=as_json.harmony,
        trailers=_HARMONY_ENDS,
    ),
    CallFormat(
        name="functionary",
        openers=(">>>{tool}\n",),
        value="{",
        begins=("{",),
        kept=True,
        place="line",
        parse=as_json.functionary,
    ),
    CallFormat(
        name="fenced",
        openers=("```json", "```tool_call", "```tool_calls"),
        closers=("```",),
        begins=(*_OBJECT, *_LIST),
        place="line",
        parse=as_json.exact_objects,
    ),
    CallFormat(
        name="react",
        openers=("Action:",),
        value="{",
        begins=("{tool}",),
        place="line",
        parse=as_json.react,
        trailers=("Observation:",),
        opt_in=True,
    ),
    CallFormat(
        name="react",
        openers=("Action:",),
        closers=("\nObservation:",),
        begins=("{tool}",),
        place="line",
        parse=as_json.react_text,
        opt_in=True,
    ),
    CallFormat(
        name="plain",
        openers=("to=functions.{tool} ",),
        value="{",
        begins=("{",),
        kept=True,
        place="line",
        parse=as_json.harmony,
        opt_in=True,
    ),
    CallFormat(
        name="plain",
        openers=("TOOL CALL:",),
        value="{",
        begins=("{tool}",),
        place="line",
        parse=as_json.named,
        opt_in=True,
    ),
    CallFormat(
        name="plain",
        openers=("[Tool call:",),
        closers=(")]",),
        begins=("{tool}(",),
        place="line",
        parse=as_json.parenthesised,
        opt_in=True,
    ),
)
