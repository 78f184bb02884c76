"""One call in every format in which models write calls as text.

`FORMATS` names them as the table of formats does, by number and word; `write(key, …)`
gives the whole text of an answer that makes these calls, and nothing else. The values
of `arguments` are any JSON, the tools' schemas must say their types where a format
writes values without them. `typeless` formats need that.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

Arguments = Mapping[str, Any]
Calls = Sequence[tuple[str, Arguments]]
Write = Callable[[Calls], str]


class Written(NamedTuple):
    """One format."""

    write: Write
    typeless: bool = False
    """Strings stand without quotes: only the schema tells `3` from `"3"`."""
    ids: Callable[[Calls], list[str]] | None = None
    """The ids that the text gives to the calls."""
    single: bool = False
    """A text holds one call."""
    opt_in: bool = False


def text_of(value: Any) -> str:
    """A string as it is, anything else as JSON."""
    return value if isinstance(value, str) else dump(value)


def dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def named(calls: Calls, name: str = "name", arguments: str = "arguments") -> list[Any]:
    return [{name: tool, arguments: dict(given)} for tool, given in calls]


def python(value: Any) -> str:
    """`value` as a literal of Python."""
    return repr(value)


def _each(render: Callable[[str, Arguments], str], between: str = "\n") -> Write:
    return lambda calls: between.join(render(name, given) for name, given in calls)


def _around(begin: str, inner: Write, end: str) -> Write:
    return lambda calls: begin + inner(calls) + end


def _object(name: str, given: Arguments) -> str:
    return dump({"name": name, "arguments": dict(given)})


def _list(calls: Calls) -> str:
    return dump(named(calls))


def _function(name: str, given: Arguments) -> str:
    values = "".join(
        f"<parameter={key}>\n{text_of(value)}\n</parameter>\n"
        for key, value in given.items()
    )
    return f"<function={name}>\n{values}</function>"


def _arg_keys(name: str, given: Arguments) -> str:
    pairs = "".join(
        f"<arg_key>{key}</arg_key>\n<arg_value>{text_of(value)}</arg_value>\n"
        for key, value in given.items()
    )
    return f"<tool_call>{name}\n{pairs}</tool_call>"


def _tight_arg_keys(name: str, given: Arguments) -> str:
    pairs = "".join(
        f"<arg_key>{key}</arg_key><arg_value>{text_of(value)}</arg_value>"
        for key, value in given.items()
    )
    return f"<tool_call>{name}{pairs}</tool_call>"


def _hunyuan(name: str, given: Arguments) -> str:
    pairs = "".join(
        f"<arg_key:opensource>{key}</arg_key:opensource>\n"
        f"<arg_value:opensource>{text_of(value)}</arg_value:opensource>\n"
        for key, value in given.items()
    )
    return (
        f"<tool_call:opensource>{name}<tool_sep:opensource>\n{pairs}"
        "</tool_call:opensource>"
    )


def _keywords(name: str, given: Arguments) -> str:
    inner = ", ".join(f"{key}={python(value)}" for key, value in given.items())
    return f"{name}({inner})"


def _json_keywords(name: str, given: Arguments) -> str:
    inner = ", ".join(f"{key}={dump(value)}" for key, value in given.items())
    return f"{name}({inner})"


def _invoke(name: str, given: Arguments, prefix: str = "") -> str:
    values = "".join(
        f'<{prefix}parameter name="{key}">{text_of(value)}</{prefix}parameter>\n'
        for key, value in given.items()
    )
    return f'<{prefix}invoke name="{name}">\n{values}</{prefix}invoke>'


def _marked_invoke(mark: str) -> Callable[[str, Arguments], str]:
    def render(name: str, given: Arguments) -> str:
        values = "".join(
            f'<{mark}parameter name="{key}" '
            f'string="{"true" if isinstance(value, str) else "false"}">'
            f"{text_of(value)}</{mark}parameter>\n"
            for key, value in given.items()
        )
        return f'<{mark}invoke name="{name}">\n{values}</{mark}invoke>'

    return render


_NAMESPACE: Final = "]<]minimax[>["


def _namespaced(name: str, given: Arguments) -> str:
    values = "".join(
        f"{_NAMESPACE}<{key}>{text_of(value)}{_NAMESPACE}</{key}>\n"
        for key, value in given.items()
    )
    return f'{_NAMESPACE}<invoke name="{name}">\n{values}{_NAMESPACE}</invoke>'


def _attribute(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;")


def _kimi_3(calls: Calls) -> str:
    kinds = {str: "string", bool: "boolean", int: "number", float: "number"}
    kinds |= {list: "array", dict: "object", type(None): "null"}
    text = "<|open|>tools<|sep|>"
    for at, (name, given) in enumerate(calls, 1):
        text += f'<|open|>call tool="{_attribute(name)}" index="{at}"<|sep|>'
        for key, value in given.items():
            text += (
                f'<|open|>argument key="{_attribute(key)}" type="{kinds[type(value)]}"'
                f"<|sep|>{text_of(value)}<|close|>argument<|sep|>"
            )
        text += "<|close|>call<|sep|>"
    return text + "<|close|>tools<|sep|>"


def _step_3(name: str, given: Arguments) -> str:
    return (
        "<｜tool_call_begin｜>function<｜tool_sep｜>"
        f"{_invoke(name, given, 'steptml:')}<｜tool_call_end｜>"
    )


def _deepseek(name: str, given: Arguments) -> str:
    return (
        f"<｜tool▁call▁begin｜>function<｜tool▁sep｜>{name}\n```json\n"
        f"{dump(dict(given))}\n```<｜tool▁call▁end｜>"
    )


def _deepseek_31(name: str, given: Arguments) -> str:
    inner = dump(dict(given))
    return f"<｜tool▁call▁begin｜>{name}<｜tool▁sep｜>{inner}<｜tool▁call▁end｜>"


def _kimi_ids(calls: Calls) -> list[str]:
    return [f"functions.{name}:{at}" for at, (name, _) in enumerate(calls)]


def _kimi_2(calls: Calls) -> str:
    ids = _kimi_ids(calls)
    return "".join(
        f"<|tool_call_begin|>{call_id}<|tool_call_argument_begin|>"
        f"{dump(dict(given))}<|tool_call_end|>"
        for call_id, (_, given) in zip(ids, calls, strict=True)
    )


def _gemma_value(value: Any, mark: str) -> str:
    if isinstance(value, str):
        return f"{mark}{value}{mark}"
    if isinstance(value, list):
        return "[" + ",".join(_gemma_value(each, mark) for each in value) + "]"
    if isinstance(value, dict):
        inner = ",".join(
            f"{mark}{key}{mark}:{_gemma_value(each, mark)}"
            for key, each in value.items()
        )
        return "{" + inner + "}"
    return dump(value)


def _gemma(begin: str, end: str, mark: str) -> Write:
    def render(name: str, given: Arguments) -> str:
        inner = ",".join(
            f"{key}:{_gemma_value(value, mark)}" for key, value in given.items()
        )
        return f"{begin}call:{name}{{{inner}}}{end}"

    return _each(render, "")


def _minicpm(name: str, given: Arguments) -> str:
    values = "".join(
        f'<param name="{key}">{text_of(value)}</param>' for key, value in given.items()
    )
    return f'<function name="{name}">{values}</function>'


def _legacy(name: str, given: Arguments) -> str:
    values = "".join(
        f"<{key}>{text_of(value)}</{key}>\n" for key, value in given.items()
    )
    return (
        f"<invoke>\n<tool_name>{name}</tool_name>\n<parameters>\n{values}</parameters>\n"
        "</invoke>"
    )


def _element(name: str, given: Arguments) -> str:
    values = "".join(
        f"<{key}>\n{text_of(value)}\n</{key}>\n" for key, value in given.items()
    )
    return f"<{name}>\n{values}</{name}>"


def _command_a(calls: Calls) -> str:
    inner = [
        {"tool_call_id": str(at), "tool_name": name, "parameters": dict(given)}
        for at, (name, given) in enumerate(calls)
    ]
    return f"<|START_ACTION|>{dump(inner)}<|END_ACTION|>"


def _harmony(name: str, given: Arguments) -> str:
    return (
        f"<|start|>assistant<|channel|>commentary to=functions.{name} "
        f"<|constrain|>json<|message|>{dump(dict(given))}<|call|>"
    )


def _mistral(calls: Calls) -> str:
    inner = [
        {"name": name, "arguments": dict(given), "id": f"call{at:05}"}
        for at, (name, given) in enumerate(calls)
    ]
    return f"[TOOL_CALLS] {dump(inner)}"


def _ordinals(calls: Calls) -> list[str]:
    return [str(at) for at, _ in enumerate(calls)]


def _call_ids(calls: Calls) -> list[str]:
    return [f"call{at:05}" for at, _ in enumerate(calls)]


_DSML: Final = "｜DSML｜"
_GCML: Final = "｜GCML｜"

FORMATS: Final[Mapping[str, Written]] = {
    "01-hermes": Written(
        _each(lambda n, a: f"<tool_call>\n{_object(n, a)}\n</tool_call>")
    ),
    "02-qwen-coder": Written(
        _each(lambda n, a: f"<tool_call>\n{_function(n, a)}\n</tool_call>"), True
    ),
    "02-qwen-coder-bare": Written(_each(_function), True),
    "03-seed": Written(
        _each(lambda n, a: f"<seed:tool_call>\n{_function(n, a)}\n</seed:tool_call>"),
        True,
    ),
    "04-mistral": Written(_mistral, ids=_call_ids),
    "05-mistral-11": Written(
        _each(lambda n, a: f"[TOOL_CALLS]{n}[ARGS]{dump(dict(a))}", "")
    ),
    "06-llama": Written(
        _around(
            "<|python_tag|>",
            _each(lambda n, a: dump({"name": n, "parameters": dict(a)}), "; "),
            "",
        )
    ),
    "06-llama-bare": Written(
        _each(lambda n, a: dump({"name": n, "parameters": dict(a)}), "; ")
    ),
    "07-function-tag": Written(
        _each(lambda n, a: f"<function={n}>{dump(dict(a))}</function>")
    ),
    "08-glm": Written(_each(_arg_keys), True),
    "08-glm-tight": Written(_each(_tight_arg_keys), True),
    "09-pythonic": Written(_around("[", _each(_keywords, ", "), "]")),
    "09-pythonic-marked": Written(
        _around("<|python_start|>[", _each(_keywords, ", "), "]<|python_end|>")
    ),
    "10-olmo": Written(
        _around("<function_calls>\n", _each(_json_keywords), "\n</function_calls>")
    ),
    "11-lfm": Written(
        _around("<|tool_call_start|>[", _each(_keywords, ", "), "]<|tool_call_end|>")
    ),
    "11-lfm-json": Written(_around("<|tool_call_start|>", _list, "<|tool_call_end|>")),
    "12-deepseek": Written(
        _around("<｜tool▁calls▁begin｜>", _each(_deepseek), "<｜tool▁calls▁end｜>")
    ),
    "13-deepseek-31": Written(
        _around(
            "<｜tool▁calls▁begin｜>", _each(_deepseek_31, ""), "<｜tool▁calls▁end｜>"
        )
    ),
    "14-deepseek-32": Written(
        _around(
            f"<{_DSML}function_calls>\n",
            _each(_marked_invoke(_DSML)),
            f"\n</{_DSML}function_calls>",
        )
    ),
    "14-deepseek-4": Written(
        _around(
            f"<{_DSML}tool_calls>\n",
            _each(_marked_invoke(_DSML)),
            f"\n</{_DSML}tool_calls>",
        )
    ),
    "15-gigachat": Written(
        _around(
            f"<{_GCML}tool_calls>\n",
            _each(_marked_invoke(_GCML)),
            f"\n</{_GCML}tool_calls>",
        )
    ),
    "15-gigachat-3": Written(
        _each(lambda n, a: f"<|function_call|>{_object(n, a)}"), single=True
    ),
    "16-kimi-2": Written(
        _around("<|tool_calls_section_begin|>", _kimi_2, "<|tool_calls_section_end|>"),
        ids=_kimi_ids,
    ),
    "17-kimi-3": Written(_kimi_3),
    "18-minimax-2": Written(
        _around("<minimax:tool_call>\n", _each(_invoke), "\n</minimax:tool_call>"),
        True,
    ),
    "18-minimax-1": Written(
        _around("<tool_calls>\n", _each(_object), "\n</tool_calls>")
    ),
    "18-minimax-3": Written(
        _around(
            f"{_NAMESPACE}<tool_call>\n",
            _each(_namespaced),
            f"\n{_NAMESPACE}</tool_call>",
        ),
        True,
    ),
    "19-step-3": Written(
        _around("<｜tool_calls_begin｜>", _each(_step_3), "<｜tool_calls_end｜>"), True
    ),
    "20-granite": Written(_around("<|tool_call|>", _list, "")),
    "21-jamba": Written(_around("<tool_calls>", _list, "</tool_calls>")),
    "22-hunyuan": Written(
        _around(
            "<tool_calls:opensource>\n", _each(_hunyuan), "\n</tool_calls:opensource>"
        ),
        True,
    ),
    "23-internlm": Written(
        _each(
            lambda n, a: (
                "<|action_start|> <|plugin|>\n"
                f"{dump({'name': n, 'parameters': dict(a)})}<|action_end|>"
            )
        )
    ),
    "24-command": Written(
        lambda calls: (
            f"Action: ```json\n{dump(named(calls, 'tool_name', 'parameters'))}\n```"
        )
    ),
    "24-command-a": Written(_command_a, ids=_ordinals),
    "25-phi-4": Written(_around("functools", _list, "")),
    "26-xlam": Written(_list),
    "27-ernie": Written(
        _each(lambda n, a: f"<tool_call>\n{_object(n, a)}\n</tool_call>\n")
    ),
    "28-longcat": Written(
        _each(lambda n, a: f"<longcat_tool_call>{_object(n, a)}</longcat_tool_call>")
    ),
    "28-iquest": Written(
        _each(lambda n, a: f"<iquest_tool_call>{_object(n, a)}</iquest_tool_call>")
    ),
    "29-nemotron": Written(_around("<TOOLCALL>", _list, "</TOOLCALL>")),
    "30-apertus": Written(
        lambda calls: (
            "<|tools_prefix|>"
            f"{dump([{name: dict(given)} for name, given in calls])}<|tools_suffix|>"
        )
    ),
    "31-functiongemma": Written(
        _gemma("<start_function_call>", "<end_function_call>", "<escape>")
    ),
    "32-gemma-4": Written(_gemma("<|tool_call>", "<tool_call|>", '<|"|>')),
    "33-minicpm": Written(_each(_minicpm), True),
    "34-harmony": Written(_each(_harmony, "")),
    "35-functionary": Written(_each(lambda n, a: f">>>{n}\n{dump(dict(a))}")),
    "36-anthropic-legacy": Written(
        _around("<function_calls>\n", _each(_legacy), "\n</function_calls>"), True
    ),
    "36-anthropic": Written(
        _around("<function_calls>\n", _each(_invoke), "\n</function_calls>"), True
    ),
    "37-cline": Written(_each(_element), True),
    "38-fenced": Written(_each(lambda n, a: f"```json\n{_object(n, a)}\n```")),
    "39-tool-code": Written(
        _each(lambda n, a: f"```tool_code\nprint(default_api.{_keywords(n, a)})\n```")
    ),
    "40-react": Written(
        _each(lambda n, a: f"Action: {n}\nAction Input: {dump(dict(a))}"),
        single=True,
        opt_in=True,
    ),
    "41-plain-recipient": Written(
        _each(lambda n, a: f"to=functions.{n} {dump(dict(a))}"), opt_in=True
    ),
    "41-plain-words": Written(
        _each(lambda n, a: f"TOOL CALL: {n} {dump(dict(a))}"), opt_in=True
    ),
    "41-plain-brackets": Written(
        _each(lambda n, a: f"[Tool call: {n}({dump(dict(a))})]"), opt_in=True
    ),
}
"""By number in the order that the field's parsers list them, and name."""


def write(key: str, calls: Calls) -> str:
    """The text that makes `calls` in format `key` of `FORMATS`."""
    return FORMATS[key].write(calls)
