"""One tool call that is not what its tool takes, made so where there is one way to.

Knows names, arguments and schemas; no events. The steps, each with its own module: the
name, calls that stand for several, the JSON of the arguments, the types in it. A call
is repaired only if all of it is what the tool takes then.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from typing import Any, Final, Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from llmwire._coercion import Coercions, coerce, folded
from llmwire._json import decode_any
from llmwire._json_edits import Edit
from llmwire._json_nodes import Member, Node, parse, strict_value
from llmwire._json_schema import Violation, violations
from llmwire._schema_terms import Schema
from llmwire.errors import JSONRepairError, RemoteProtocolError
from llmwire.filters._tool_names import NameRule, ToolNames
from llmwire.json_repair import Repair, repair_arguments
from llmwire.requests import Tool

CallStatus: TypeAlias = Literal[
    "valid", "repaired", "truncated", "invalid", "unknown-tool"
]

EFFECTFUL: Final = frozenset(
    {
        "apply_patch",
        "bash",
        "command",
        "create_file",
        "delete_file",
        "edit",
        "edit_file",
        "exec",
        "execute",
        "execute_bash",
        "execute_code",
        "execute_command",
        "execute_query",
        "execute_sql",
        "local_shell",
        "move_file",
        "multi_edit",
        "notebook_edit",
        "powershell",
        "python",
        "query",
        "run",
        "run_bash",
        "run_code",
        "run_command",
        "run_in_terminal",
        "run_python",
        "run_query",
        "run_shell_command",
        "run_sql",
        "run_terminal_cmd",
        "shell",
        "sql",
        "str_replace",
        "str_replace_based_edit_tool",
        "str_replace_editor",
        "terminal",
        "write",
        "write_file",
        "write_to_file",
    }
)
"""Tools that run commands, or write, delete and query what is not the model's."""

_PARALLEL: Final = frozenset({"multi_tool_use.parallel", "multi_tool_use_parallel"})
_MOST_CALLS: Final = 64
_FRAMING: Final = 2
"""The highest tier of `llmwire.json_repair.RULES` that changes nothing but spelling."""


class ToolCall(Struct, frozen=True):
    """A tool's name and its arguments, JSON text."""

    name: str
    arguments: str


class CallRepair(Struct, frozen=True, kw_only=True):
    """What became of one call."""

    status: CallStatus
    """`valid`: nothing was to be done. `repaired`: every call in `calls` is valid.
    Else the arguments are as they came, and must not be run if they are no JSON."""
    calls: tuple[ToolCall, ...]
    """One, or several that had been written as one."""
    rules: tuple[str, ...] = ()
    """The rules that were applied, in order, each once."""
    edits: tuple[Edit, ...] = ()
    """Changes of the arguments that are one step away from the text that came."""
    violations: tuple[Violation, ...] = ()
    """What the schema does not allow, of an `invalid` call whose arguments are JSON."""
    problem: str = ""
    """Why it could not be repaired, for people; never the content."""


class ToolBox:
    """The tools of a request, and what may be done to calls of them.

    Args:
        schemas: Name -> schema of the arguments, None where there is none.
        effectful: Names of tools for which only the spelling of JSON is repaired,
            compared without case and separators; or a test of a name.
        coercions: What may be done beyond the usual.
    """

    def __init__(
        self,
        schemas: Mapping[str, Schema | None],
        effectful: Collection[str] | Callable[[str], bool] = EFFECTFUL,
        coercions: Coercions = Coercions(),  # noqa: B008  frozen
    ) -> None:
        self.schemas = schemas
        self.coercions = coercions
        self.names = ToolNames(schemas)
        self._effectful = effectful
        if not callable(effectful):
            self._effectful_names = frozenset(map(folded, effectful))

    def is_effectful(self, name: str) -> bool:
        """Whether only the spelling of its arguments may be repaired."""
        if callable(self._effectful):
            return self._effectful(name)
        return folded(name) in self._effectful_names

    def meant(self, name: str) -> tuple[str, NameRule] | None:
        """The tool that is meant; slips of the pen never lead to an effectful one."""
        found = self.names.meant(name)
        if found and found[1] == "name-typo" and self.is_effectful(found[0]):
            return None
        return found

    def is_parallel(self, name: str) -> bool:
        """Whether `name` stands for several calls in one, and is no tool."""
        return name.removeprefix("functions.") in _PARALLEL and name not in self.schemas


def schemas_of(tools: Iterable[Tool]) -> dict[str, Schema | None]:
    """Name -> schema of the function tools in a request; None where it has none."""
    return {tool.name: _schema(tool) for tool in tools if tool.kind == "function"}


def _schema(tool: Tool) -> Schema | None:
    try:
        schema = None if tool.schema is None else decode_any(bytes(tool.schema))
    except RemoteProtocolError:
        return None
    return schema if isinstance(schema, dict) else None


def repaired(
    box: ToolBox, name: str, arguments: str, *, truncated: bool = False
) -> CallRepair:
    """One call, repaired by the tools in `box`. Never raises."""
    if box.is_parallel(name):
        return _several(box, name, arguments, truncated)
    found = box.meant(name)
    if found is None:
        return _as_it_came("unknown-tool", name, arguments, "there is no such tool")
    tool, rule = found
    schema = box.schemas[tool]
    result = _fitted(box, tool, arguments, schema, truncated)
    if rule == "exact":
        return result
    status: CallStatus = "repaired" if result.status == "valid" else result.status
    return replace(result, status=status, rules=(rule, *result.rules))


def _as_it_came(
    status: CallStatus,
    name: str,
    arguments: str,
    problem: str,
    found: tuple[Violation, ...] = (),
) -> CallRepair:
    call = ToolCall(name, arguments)
    return CallRepair(status=status, calls=(call,), violations=found, problem=problem)


def is_json(text: str) -> bool:
    """Whether `text` is JSON, strictly."""
    try:
        strict_value(text)
    except (ValueError, RecursionError):
        return False
    return True


def _strict(text: str) -> dict[str, Any] | None:
    """The object that `text` is, strictly."""
    try:
        value = strict_value(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _faults(value: object, schema: Schema | None) -> tuple[Violation, ...]:
    return () if schema is None else violations(value, schema)


def _fitted(
    box: ToolBox, tool: str, arguments: str, schema: Schema | None, truncated: bool
) -> CallRepair:
    """A call of `tool`, whose arguments may be anything."""
    value = _strict(arguments)
    found = () if value is None else _faults(value, schema)
    if value is not None and not found:
        call = ToolCall(tool, arguments)
        return CallRepair(status="valid", calls=(call,))
    if truncated:
        return _as_it_came("truncated", tool, arguments, "the answer was cut off")
    refused = partial(_as_it_came, "invalid", tool, arguments)
    try:
        repair = repair_arguments(arguments, schema, name=tool)
    except JSONRepairError as error:
        return refused(str(error))
    if repair.edits and repair.tier > _FRAMING and box.is_effectful(tool):
        return refused("a guess is too little for a tool with effects")
    rules = {edit.rule for edit in repair.edits}
    if "missing-closer" in rules and arguments.rstrip()[-1:].isdigit():
        return refused("a number at the end may have been cut off")
    return _typed(box, tool, arguments, schema, repair)


def _typed(
    box: ToolBox, tool: str, arguments: str, schema: Schema | None, repair: Repair
) -> CallRepair:
    """Arguments that are JSON, or several documents of it, by the schema."""
    refused = partial(_as_it_came, "invalid", tool, arguments)
    texts = repair.documents or (repair.text,)
    rules = [edit.rule for edit in repair.edits]
    rules += ["concatenated"] if repair.documents else []
    edits = repair.edits
    calls: list[ToolCall] = []
    if repair.documents and box.is_effectful(tool):
        return refused("a guess is too little for a tool with effects")
    for text in texts:
        value = _strict(text)
        if value is None:
            return refused("nested too deeply, or no object")
        found = _faults(value, schema)
        if found:
            fixed = None
            if schema is not None and not box.is_effectful(tool):
                fixed = coerce(text, schema, box.coercions)
            if fixed is None:
                return refused("the schema does not allow it", found)
            text, changes = fixed
            rules += [edit.rule for edit in changes]
            edits = edits or changes
        calls.append(ToolCall(tool, text))
    return CallRepair(
        status="repaired",
        calls=tuple(calls),
        rules=tuple(dict.fromkeys(rules)),
        edits=edits,
    )


def _several(box: ToolBox, name: str, arguments: str, truncated: bool) -> CallRepair:
    """`{"tool_uses": [{"recipient_name", "parameters"}]}`: the calls in it."""
    if truncated:
        return _as_it_came("truncated", name, arguments, "the answer was cut off")
    refused = partial(_as_it_came, "invalid", name, arguments)
    try:
        text = repair_arguments(arguments, None).text
        uses = _uses(parse(text))
    except (JSONRepairError, ValueError, RecursionError):
        uses = ()
    if not 0 < len(uses) <= _MOST_CALLS:
        return refused("no list of calls")
    results = [
        repaired(box, use, text[node.start : node.end])
        for use, node in uses
        if not box.is_parallel(use)
    ]
    bad = [each for each in results if each.status not in ("valid", "repaired")]
    if bad or len(results) < len(uses):
        return refused("a call in it is not valid")
    return CallRepair(
        status="repaired",
        calls=tuple(call for each in results for call in each.calls),
        rules=tuple(
            dict.fromkeys(["parallel", *(r for e in results for r in e.rules)])
        ),
    )


def _uses(node: Node) -> tuple[tuple[str, Node], ...]:
    """Recipient and parameters of every use; nothing where one lacks either."""
    listed = _member(node.members, "tool_uses")
    uses: list[tuple[str, Node]] = []
    for item in listed.items if listed else ():
        name = _member(item.members, "recipient_name")
        parameters = _member(item.members, "parameters")
        if name is None or parameters is None or not isinstance(name.value, str):
            return ()
        uses.append((name.value, parameters))
    return tuple(uses)


def _member(members: Iterable[Member], name: str) -> Node | None:
    return next((each.node for each in members if each.name == name), None)
