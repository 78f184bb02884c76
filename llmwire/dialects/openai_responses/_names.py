"""Words of the Responses API that several modules of this package need.

Tables and two small notions. *Notes* are our own entries in extras (`@form`): they say
how a member was spelled where the protocol allows several spellings, so that a body
goes back as it came; they carry no content. Nothing here reads or writes the wire.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, get_args

from msgspec import Raw

from llmwire._json import Schema, Wire, escaped
from llmwire.messages import Extras

NAME: Final = "openai-responses"
VENDOR_PROFILES: Final = frozenset({"", "openai-responses"})
"""Profiles under which a client's own request goes upstream as it is."""

FORM: Final = "@form"
"""Note: names of members that stand where they may be absent, or the reverse."""
ECHO: Final = "@echo"
"""Note: the members of a response object that repeat the request, as one object."""
CONTENT: Final = "@content"
"""Note on an opaque part: it is a part of a message, not an item."""

INPUT_ONLY: Final = frozenset(
    {
        "computer_call_output",
        "local_shell_call_output",
        "shell_call_output",
        "apply_patch_call_output",
        "mcp_approval_response",
    }
)
"""Items in which the client answers a hosted or harness tool."""
SERVER_RESULTS: Final = INPUT_ONLY | {"tool_search_output", "program_output"}
SERVER_CALLS: Final = frozenset(
    {
        "web_search_call",
        "file_search_call",
        "code_interpreter_call",
        "image_generation_call",
        "computer_call",
        "mcp_call",
        "mcp_list_tools",
        "mcp_approval_request",
        "local_shell_call",
        "shell_call",
        "apply_patch_call",
        "tool_search_call",
        "program",
    }
)
SERVER_TOOLS: Final = frozenset(
    {
        "web_search",
        "web_search_2025_08_26",
        "web_search_preview",
        "web_search_preview_2025_03_11",
        "file_search",
        "computer",
        "computer_use_preview",
        "mcp",
        "code_interpreter",
        "image_generation",
        "local_shell",
        "shell",
        "apply_patch",
        "tool_search",
        "programmatic_tool_calling",
    }
)
"""Tool types that the server, or the client's harness, knows how to run."""

REPEATED: Final = frozenset(
    {
        "access_programs",
        "background",
        "completed_at",
        "context_management",
        "conversation",
        "frequency_penalty",
        "image",
        "instructions",
        "max_output_tokens",
        "max_tool_calls",
        "metadata",
        "object",
        "parallel_tool_calls",
        "presence_penalty",
        "previous_response_id",
        "prompt",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "reasoning",
        "safety_identifier",
        "store",
        "temperature",
        "text",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "truncation",
        "user",
    }
)
"""Members of a response object that repeat the request, or say what is plain."""
UNTYPED: Final = frozenset(
    {"context_management", "frequency_penalty", "presence_penalty", "store"}
)
"""Those that servers send and the official types do not have: not made up by us."""
REPORTED: Final = frozenset(
    {"input_transformations", "moderation", "prompt_cache_diagnostics", "tool_usage"}
)
"""Members of a response object that tell something and have no neutral form."""

ENCRYPTED: Final = "reasoning.encrypted_content"
LOGPROBS: Final = "message.output_text.logprobs"

_NOTHING: Final[frozenset[str]] = frozenset()


def is_server_call(kind: str) -> bool:
    """Whether items of type `kind` are calls that a server's own tool runs."""
    return kind in SERVER_CALLS or (
        kind.endswith("_call") and kind not in ("function_call", "custom_tool_call")
    )


def strangers(wire: Wire) -> Extras:
    """Members of `wire` that its type does not model, under their keys in extras."""
    found = wire.extras
    if not found:
        return {}
    return {escaped(name): value for name, value in found.items()}


def by_tag(union: Any) -> dict[str, Schema[Any]]:
    """Tolerant schemas of the structs of `union`, by their tags."""
    return {
        str(kind.__struct_config__.tag): Schema(kind, tolerant=True)
        for kind in get_args(union)
    }


def form(extras: Extras | None) -> frozenset[str]:
    """The names in the note `@form`."""
    note = extras.get(FORM) if extras else None
    return _NOTHING if note is None else _listed(bytes(note))


@lru_cache(maxsize=256)
def note(names: tuple[str, ...]) -> Raw:
    """The value of a note `@form`."""
    return Raw(f'"{" ".join(sorted(names))}"'.encode())


@lru_cache(maxsize=256)
def _listed(words: bytes) -> frozenset[str]:
    return frozenset(words.decode("utf-8", "replace").strip('"').split())


def with_form(extras: Extras, names: Sequence[str]) -> Extras | None:
    """`extras` with the note, None where both are empty."""
    if names:
        extras[FORM] = note(tuple(names))
    return extras or None
