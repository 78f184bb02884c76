"""Calls as every format writes them, and what they should be read as."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

from msgspec import Raw

from llmwire.filters._call_bodies._found import FoundCall
from llmwire.filters._call_scanner import CallScanner, CallText, MissedCall, Piece
from llmwire.filters._leaked_call_filter import openers_of
from llmwire.requests import Tool

Call: TypeAlias = tuple[str, dict[str, Any]]
Writer: TypeAlias = Callable[[Sequence[Call]], str]


def tool(name: str, *required: str, **types: str) -> Tool:
    """A tool whose parameters have these types."""
    properties = {key: {"type": kind} for key, kind in types.items()}
    schema = {"type": "object", "properties": properties, "required": required}
    return Tool(name=name, schema=Raw(json.dumps(schema).encode()))


TOOLS = {
    each.name: each
    for each in (
        tool("search", query="string", limit="integer", deep="object", tags="array"),
        tool("ping"),
        tool("write_file", "path", "content", path="string", content="string"),
    )
}


def scanner(
    formats: Iterable[str] | None = None,
    *,
    tools: dict[str, Tool] | None = None,
    limit: int = 100_000,
) -> CallScanner:
    """A scanner for these formats and tools."""
    known = TOOLS if tools is None else tools
    names = None if formats is None else tuple(formats)
    return CallScanner(openers_of(names, tuple(known), False), known, limit)


def scanned(
    pieces: Iterable[str], by: CallScanner | None = None, *, cut: bool = False
) -> tuple[list[Piece], list[MissedCall]]:
    """What is found in a text of these pieces; neighbouring texts are one."""
    by = by or scanner()
    found = [piece for text in pieces for piece in by.feed(text)]
    found += by.finish(cut=cut)
    assert by.held == 0
    joined: list[Piece] = []
    for piece in found:
        if isinstance(piece, str) and joined and isinstance(joined[-1], str):
            joined[-1] += piece
        else:
            joined.append(piece)
    return joined, by.missed


def raw(pieces: Iterable[Piece]) -> str:
    """The text that these pieces were."""
    return "".join(each.text if isinstance(each, CallText) else each for each in pieces)


def calls(pieces: Iterable[Piece | FoundCall]) -> list[Call]:
    """The calls among `pieces`."""
    found: list[Call] = []
    for each in pieces:
        if isinstance(each, CallText):
            found += calls(each.calls)
        elif isinstance(each, FoundCall):
            found.append((each.name, json.loads(each.arguments)))
    return found


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _object(call: Call, name: str = "name", arguments: str = "arguments") -> str:
    return _dumped({name: call[0], arguments: call[1]})


def _list(these: Sequence[Call], **keys: str) -> str:
    return f"[{', '.join(_object(each, **keys) for each in these)}]"


def each(before: str, after: str, write: Callable[[Call], str] = _object) -> Writer:
    """Every call between the same marks, on lines of their own."""
    return lambda these: "\n".join(before + write(one) + after for one in these)


def around(before: str, after: str, write: Callable[[Call], str], tie: str) -> Writer:
    """All calls between two marks."""
    return lambda these: before + tie.join(map(write, these)) + after


def _text(value: Any) -> str:
    return value if isinstance(value, str) else _dumped(value)


def elements(
    call: str, parameter: str, parameter_end: str, call_end: str
) -> Callable[[Call], str]:
    """A writer of one call as tags."""

    def write(this: Call) -> str:
        name, arguments = this
        values = "".join(
            parameter.format(key) + _text(value) + parameter_end.format(key)
            for key, value in arguments.items()
        )
        return call.format(name) + values + call_end.format(name)

    return write


QWEN = elements(
    "<function={}>\n", "<parameter={}>\n", "\n</parameter>\n", "</function>"
)
GLM = elements("{}\n", "<arg_key>{}</arg_key>\n<arg_value>", "</arg_value>\n", "")
HUNYUAN = elements(
    "<tool_call>{}<tool_sep>",
    "<arg_key>{}</arg_key><arg_value>",
    "</arg_value>",
    "</tool_call>",
)
CLINE = elements("<{}>\n", "<{}>\n", "\n</{}>\n", "</{}>")
MINICPM = elements(
    '<function name="{}">', '<param name="{}">', "</param>", "</function>"
)
LEGACY = elements(
    "<invoke>\n<tool_name>{}</tool_name>\n<parameters>\n",
    "<{}>",
    "</{}>\n",
    "</parameters>\n</invoke>\n",
)


def invoke(mark: str = "") -> Callable[[Call], str]:
    """A writer of `<invoke name=…>` with a mark before every name."""
    return elements(
        f'<{mark}invoke name="{{}}">\n',
        f'<{mark}parameter name="{{}}">',
        f"</{mark}parameter>\n",
        f"</{mark}invoke>\n",
    )


def dsml(mark: str) -> Callable[[Call], str]:
    """As `invoke`, with the types of the values."""

    def write(this: Call) -> str:
        values = "".join(
            f'<{mark}parameter name="{key}" string="{_is_text(value)}">'
            f"{_text(value)}</{mark}parameter>\n"
            for key, value in this[1].items()
        )
        return f'<{mark}invoke name="{this[0]}">\n{values}</{mark}invoke>\n'

    return write


def _is_text(value: Any) -> str:
    return "true" if isinstance(value, str) else "false"


def python(this: Call) -> str:
    """A call as Python writes it."""
    pairs = ", ".join(f"{key}={_dumped(value)}" for key, value in this[1].items())
    return f"{this[0]}({pairs})"


def _kimi(these: Sequence[Call]) -> str:
    return "".join(
        f"<|tool_call_begin|>functions.{name}:{at}<|tool_call_argument_begin|>"
        f"{_dumped(arguments)}<|tool_call_end|>"
        for at, (name, arguments) in enumerate(these)
    )


def gemma(quote: str) -> Callable[[Call], str]:
    """A writer of a call with this quotation mark."""

    def value(given: Any) -> str:
        if isinstance(given, dict):
            return "{" + ",".join(f"{k}:{value(v)}" for k, v in given.items()) + "}"
        if isinstance(given, list):
            return "[" + ",".join(map(value, given)) + "]"
        return quote + given + quote if isinstance(given, str) else _dumped(given)

    return lambda this: f"call:{this[0]}{value(this[1])}"


def _kimi3(this: Call) -> str:
    values = "".join(
        f'<|open|>argument key="{key}" '
        f'type="{"string" if isinstance(value, str) else "object"}"'
        f"<|sep|>{_text(value)}<|close|>argument<|sep|>"
        for key, value in this[1].items()
    )
    return f'<|open|>call tool="{this[0]}"<|sep|>{values}<|close|>call<|sep|>'


PREFIX = "antml" + ":"

WRITERS: dict[str, tuple[str, Writer]] = {
    "hermes": ("hermes", each("<tool_call>\n", "\n</tool_call>")),
    "hermes, flipped": (
        "hermes",
        each(
            "<tool_call>",
            "</tool_call>",
            lambda this: _dumped({"parameters": this[1], "name": this[0]}),
        ),
    ),
    "qwen3-coder": ("qwen3-coder", each("<tool_call>\n", "\n</tool_call>", QWEN)),
    "qwen3-coder, bare": ("qwen3-coder", each("", "", QWEN)),
    "seed-oss": ("seed-oss", each("<seed:tool_call>\n", "\n</seed:tool_call>", QWEN)),
    "mistral": ("mistral", lambda these: f"[TOOL_CALLS] {_list(these)}"),
    "mistral 11": (
        "mistral",
        lambda these: "".join(
            f"[TOOL_CALLS]{name}[ARGS]{_dumped(arguments)}" for name, arguments in these
        ),
    ),
    "llama3": (
        "llama3",
        lambda these: (
            "<|python_tag|>"
            + "; ".join(_object(one, arguments="parameters") for one in these)
        ),
    ),
    "llama3, bare": (
        "llama3",
        lambda these: "; ".join(_object(one, arguments="parameters") for one in these),
    ),
    "llama3, python": ("llama3", each("<|python_tag|>", "", python)),
    "function-tag": (
        "function-tag",
        each("", "", lambda this: f"<function={this[0]}>{_dumped(this[1])}</function>"),
    ),
    "glm": ("glm", each("<tool_call>", "</tool_call>", GLM)),
    "glm, one line": (
        "glm",
        lambda these: each("<tool_call>", "</tool_call>", GLM)(these).replace(
            "\n<", "<"
        ),
    ),
    "pythonic": ("pythonic", around("[", "]", python, ", ")),
    "pythonic, marked": (
        "pythonic",
        around("<|python_start|>[", "]<|python_end|>", python, ", "),
    ),
    "olmo3": (
        "olmo3",
        around("<function_calls>\n", "\n</function_calls>", python, "\n"),
    ),
    "lfm2": (
        "lfm2",
        around("<|tool_call_start|>[", "]<|tool_call_end|>", python, ", "),
    ),
    "lfm2, JSON": (
        "lfm2",
        lambda these: f"<|tool_call_start|>{_list(these)}<|tool_call_end|>",
    ),
    "deepseek-v3": (
        "deepseek-v3",
        around(
            "<｜tool▁calls▁begin｜>",
            "<｜tool▁calls▁end｜>",
            lambda this: (
                "<｜tool▁call▁begin｜>function<｜tool▁sep｜>"
                f"{this[0]}\n```json\n{_dumped(this[1])}\n```<｜tool▁call▁end｜>"
            ),
            "\n",
        ),
    ),
    "deepseek-v3.1": (
        "deepseek-v3",
        around(
            "<｜tool▁calls▁begin｜>",
            "<｜tool▁calls▁end｜>",
            lambda this: (
                f"<｜tool▁call▁begin｜>{this[0]}<｜tool▁sep｜>"
                f"{_dumped(this[1])}<｜tool▁call▁end｜>"
            ),
            "",
        ),
    ),
    "deepseek-v3.1, no section": (
        "deepseek-v3",
        each(
            "<|tool_call_begin|>",
            "<|tool_call_end|>",
            lambda this: f"{this[0]}<|tool_sep|>{_dumped(this[1])}",
        ),
    ),
    "deepseek-v3.2": (
        "deepseek-v3.2",
        around(
            "<｜DSML｜function_calls>\n",
            "</｜DSML｜function_calls>",
            dsml("｜DSML｜"),
            "",
        ),
    ),
    "deepseek-v4": (
        "deepseek-v3.2",
        around("<｜DSML｜tool_calls>\n", "</｜DSML｜tool_calls>", dsml("｜DSML｜"), ""),
    ),
    "deepseek-v4, doubled": (
        "deepseek-v3.2",
        around(
            "<｜｜DSML｜｜tool_calls>\n",
            "</｜｜DSML｜｜tool_calls>",
            dsml("｜｜DSML｜｜"),
            "",
        ),
    ),
    "gigachat": (
        "gigachat",
        each("<|message_sep|>\n\nfunction call<|role_sep|>\n", "</s>"),
    ),
    "gigachat, marked": (
        "gigachat",
        around("<｜GCML｜tool_calls>\n", "</｜GCML｜tool_calls>", dsml("｜GCML｜"), ""),
    ),
    "gigachat, bare": ("gigachat", each("<|function_call|>", "")),
    "kimi-k2": (
        "kimi-k2",
        lambda these: (
            f"<|tool_calls_section_begin|>{_kimi(these)}<|tool_calls_section_end|>"
        ),
    ),
    "kimi-k2, no section": ("kimi-k2", _kimi),
    "kimi-k3": (
        "kimi-k3",
        around("<|open|>tools<|sep|>", "<|close|>tools<|sep|>", _kimi3, ""),
    ),
    "minimax": (
        "minimax",
        around("<minimax:tool_call>\n", "</minimax:tool_call>", invoke(), ""),
    ),
    "minimax 1": (
        "jamba",
        around("<tool_calls>\n", "\n</tool_calls>", _object, "\n"),
    ),
    "step3": (
        "step3",
        around(
            "<｜tool_calls_begin｜>",
            "<｜tool_calls_end｜>",
            lambda this: (
                "<｜tool_call_begin｜>function<｜tool_sep｜>"
                f"{invoke('steptml:')(this)}<｜tool_call_end｜>"
            ),
            "",
        ),
    ),
    "step3, no section": (
        "step3",
        each(
            "<｜tool_call_begin｜>function<｜tool_sep｜>",
            "<｜tool_call_end｜>",
            invoke("steptml:"),
        ),
    ),
    "granite": ("granite", lambda these: f"<|tool_call|>{_list(these)}"),
    "granite 3.0": ("granite", lambda these: f"<tool_call>{_list(these)}"),
    "granite 20b": ("granite", each("<function_call> ", "")),
    "jamba": ("jamba", lambda these: f"<tool_calls>{_list(these)}</tool_calls>"),
    "hunyuan": ("hunyuan", around("<tool_calls>\n", "\n</tool_calls>", HUNYUAN, "\n")),
    "internlm": (
        "internlm",
        each(
            "<|action_start|> <|plugin|>\n",
            "<|action_end|>",
            lambda this: _object(this, arguments="parameters"),
        ),
    ),
    "command": (
        "command",
        lambda these: (
            "<|START_ACTION|>"
            f"{_list(these, name='tool_name', arguments='parameters')}<|END_ACTION|>"
        ),
    ),
    "command r": (
        "command",
        lambda these: (
            "Action: ```json\n"
            f"{_list(these, name='tool_name', arguments='parameters')}\n```"
        ),
    ),
    "phi4": ("phi4", lambda these: f"functools{_list(these)}"),
    "xlam": ("xlam", _list),
    "longcat": ("longcat", each("<longcat_tool_call>", "</longcat_tool_call>")),
    "iquest": ("iquest", each("<iquest_tool_call>", "</iquest_tool_call>")),
    "nemotron": ("nemotron", lambda these: f"<TOOLCALL>{_list(these)}</TOOLCALL>"),
    "apertus": (
        "apertus",
        lambda these: (
            "<|tools_prefix|>"
            + _dumped([{name: arguments} for name, arguments in these])
            + "<|tools_suffix|>"
        ),
    ),
    "functiongemma": (
        "functiongemma",
        each("<start_function_call>", "<end_function_call>", gemma("<escape>")),
    ),
    "gemma4": ("gemma4", each("<|tool_call>", "<tool_call|>", gemma('<|"|>'))),
    "minicpm": ("minicpm", each("", "", MINICPM)),
    "harmony": (
        "harmony",
        each(
            "<|start|>assistant<|channel|>commentary to=functions.",
            "<|call|>",
            lambda this: f"{this[0]} <|constrain|>json<|message|>{_dumped(this[1])}",
        ),
    ),
    "harmony, role": (
        "harmony",
        each(
            "<|start|>assistant to=functions.",
            "<|call|>",
            lambda this: f"{this[0]}<|channel|>commentary<|message|>{_dumped(this[1])}",
        ),
    ),
    "harmony, leaked": (
        "harmony",
        each(
            "functions.",
            "",
            lambda this: f"{this[0]}<|channel|>commentary json{_dumped(this[1])}",
        ),
    ),
    "functionary": (
        "functionary",
        each(">>>", "", lambda this: f"{this[0]}\n{_dumped(this[1])}"),
    ),
    "claude": (
        "claude",
        around("<function_calls>\n", "</function_calls>", invoke(), ""),
    ),
    "claude, bare": (
        "claude",
        each("", "", lambda this: invoke()(this).removesuffix("\n")),
    ),
    "claude, prefixed": (
        "claude",
        around(
            f"<{PREFIX}function_calls>\n",
            f"</{PREFIX}function_calls>",
            invoke(PREFIX),
            "",
        ),
    ),
    "claude 2": (
        "claude",
        around("<function_calls>\n", "</function_calls>", LEGACY, ""),
    ),
    "cline": ("cline", each("", "", CLINE)),
    "fenced": ("fenced", each("```json\n", "\n```")),
    "fenced list": ("fenced", lambda these: f"```tool_call\n{_list(these)}\n```"),
    "gemini": (
        "gemini",
        around(
            "```tool_code\n",
            "\n```",
            lambda this: f"print(default_api.{python(this)})",
            "\n",
        ),
    ),
    "gemini, bare": ("gemini", each("default_api.", "", python)),
    "react": (
        "react",
        each(
            "Action: ",
            "\nObservation:",
            lambda this: f"{this[0]}\nAction Input: {_dumped(this[1])}",
        ),
    ),
    "plain": (
        "plain",
        each("to=functions.", "", lambda this: f"{this[0]} {_dumped(this[1])}"),
    ),
    "plain, loud": (
        "plain",
        each("TOOL CALL: ", "", lambda this: f"{this[0]} {_dumped(this[1])}"),
    ),
    "plain, brackets": (
        "plain",
        each("[Tool call: ", ")]", lambda this: f"{this[0]}({_dumped(this[1])}"),
    ),
}
"""A form that is written -> its format, and what writes it."""
