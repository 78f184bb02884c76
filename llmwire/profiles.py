"""Facts about one server or model of a dialect that change what may be sent.

Data, not code: a `Profile` is a frozen record, `PROFILES` names one per known server,
`MODEL_RULES` says what a model's name changes. `resolve` puts them together; users add
rows with `register` or give a `Profile` of their own. Sources are the vendors' pages;
what was only observed is marked so. Last checked November 2026.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from llmwire.errors import LocalProtocolError

__all__ = (
    "MODEL_RULES",
    "PROFILES",
    "ModelRule",
    "Profile",
    "register",
    "register_rule",
    "resolve",
)

ReasoningControl: TypeAlias = Literal[
    "effort", "object", "switch", "qwen", "adaptive", "budget", "level", "none"
]
"""How thinking is asked for: `effort` (Chat's and Responses' effort), `object`
(OpenRouter's `reasoning{}`), `switch` (`thinking.type` beside an effort), `qwen`
(`enable_thinking`, `thinking_budget`), `adaptive` and `budget` (Anthropic), `level` and
`budget` (Gemini), `none`: it cannot be asked for."""


class Profile(Struct, frozen=True, kw_only=True):
    """What one server or model of a dialect wants, beyond the dialect itself."""

    name: str = ""
    closed: bool = False
    """Rejects members it does not know: extras are not replayed to it."""

    # What must not be sent: names of request fields, dropped with a loss.
    rejects: frozenset[str] = frozenset()
    """`temperature`, `top_p`, `top_k`, `min_p`, `seed`, `frequency_penalty`,
    `presence_penalty`, `repetition_penalty`, `logit_bias`, `logprobs`, `stop`, `n`,
    `user`, `metadata`, `store`, `service_tier`, `cache_key`, `cache`, `verbosity`,
    `prediction`, `parallel`, `tool_choice`, `stream_options`, `message_name`,
    `tool_strict`, `output_schema`, `output_json`, `required_tool_choice`,
    `temperature_with_top_p`, `encrypted_reasoning`."""
    renames: Mapping[str, str] = {}
    """Wire names that differ: `{"seed": "random_seed"}`."""

    # Limits
    max_tokens_field: Literal["max_completion_tokens", "max_tokens"] = (
        "max_completion_tokens"
    )
    default_max_tokens: int = 8192
    """Sent where the dialect requires a limit and the request has none."""
    min_max_tokens: int = 1
    max_temperature: float = 2.0
    max_stops: int = 4
    max_call_id: int = 64
    max_tool_name: int = 64
    call_ids: Literal["any", "safe", "alphanumeric9", "omitted"] = "any"
    """`safe`: letters, digits, `_`, `-`; `omitted`: ids of ours are not sent."""

    # Turns
    developer_role: bool = True
    system_in_place: bool = True
    """Instructions may stand in the middle of a conversation."""
    merge_system: bool = False
    """All instructions must be one message at the front."""
    strict_alternation: bool = False
    """User and assistant turns must alternate: neighbours are merged."""
    first_turn_user: bool = False
    prefill: bool = True
    """The last turn may be the assistant's."""
    string_content: bool = False
    """Texts must be strings, not arrays of parts."""
    tool_message_media: bool = False
    """Tool messages may hold images."""

    # Reasoning
    reasoning: ReasoningControl = "effort"
    efforts: tuple[str, ...] = ("none", "minimal", "low", "medium", "high", "xhigh")
    """Accepted words, `none` where thinking can be turned off."""
    thinking_off: bool = True
    """Thinking can be turned off."""
    reasoning_with_tools: bool = True
    """An effort other than `none` may stand beside function tools."""
    forced_tool_with_reasoning: bool = True
    sampling_with_reasoning: bool = True
    min_budget: int = 1024
    max_budget: int = 32768
    reasoning_field: Literal["reasoning_content", "reasoning", "reasoning_text"] = (
        "reasoning_content"
    )
    """Plain field of Chat messages in which thinking is written."""
    replay_reasoning: Literal["never", "tool_turns", "always", "details"] = "never"
    """Which assistant turns of the history get their thinking back."""
    require_reasoning: bool = False
    """Turns with calls need the field even when it is empty."""
    reasoning_details: bool = True
    """Chat answers tell signatures in `reasoning_details`."""
    requires_signatures: bool = False
    """The first call of each step needs one (Gemini 3 and later)."""
    think_tags: tuple[tuple[str, str], ...] = ()
    """Tags around thinking inside the text: opening and closing."""
    reasoning_outside_output: bool = False
    """Reasoning tokens are not part of the completion tokens (xAI)."""
    seal_plain: bool = True
    """Unsigned thinking is sealed for clients that want a signature."""

    # Tools and output
    json_schema: Literal["full", "openapi", "none"] = "full"
    """Dialect of JSON schema that is understood."""
    structured_output: bool = True
    json_object: bool = True
    custom_tools: bool = True
    cache_marks: bool = True
    request_cache: bool = True
    """A cache mark on the request as a whole is known."""
    long_cache: bool = True
    """The one-hour time to live is known."""
    media_urls: bool = True
    """Media may be given by URL."""
    versions: tuple[str, ...] = ()
    """Protocol versions that may be asked for; the first is the default."""

    # How answers are written for a client
    sequential_items: bool = True
    """Responses items are streamed one after another."""
    empty_text_block: bool = False
    """An answer without parts gets an empty one."""
    done_after_error: bool = False
    """Chat streams say `[DONE]` even after an error."""


class ModelRule(Struct, frozen=True, kw_only=True):
    """What a model's name changes of the profiles of a dialect."""

    dialect: str
    pattern: str
    """Regular expression, searched from the start of the name without its vendor."""
    changes: Mapping[str, Any]
    profiles: frozenset[str] = frozenset()
    """Only under these profiles; empty: under the vendor's own only."""


_SAMPLING: Final = frozenset(
    {
        "temperature",
        "top_p",
        "frequency_penalty",
        "presence_penalty",
        "logit_bias",
        "logprobs",
    }
)
_COMPATIBLE: Final = Profile(
    name="compatible",
    max_tokens_field="max_tokens",
    developer_role=False,
    reasoning_field="reasoning_content",
    efforts=("none", "minimal", "low", "medium", "high"),
    custom_tools=False,
    cache_marks=False,
    rejects=frozenset({"store", "metadata", "verbosity", "prediction", "cache_key"}),
)
_MINIMAL_AM: Final = Profile(
    name="anthropic-compatible",
    versions=("2023-06-01",),
    reasoning="budget",
    default_max_tokens=4096,
    max_temperature=1.0,
    call_ids="safe",
    first_turn_user=True,
    strict_alternation=True,
    system_in_place=False,
    structured_output=False,
    json_object=False,
    custom_tools=False,
    request_cache=False,
    long_cache=False,
    max_stops=1000,
)


def _row(base: Profile, name: str, /, rejects: str = "", **changes: Any) -> Profile:
    more = frozenset(rejects.split())
    return replace(base, name=name, rejects=base.rejects | more, **changes)


_OPENAI: Final = Profile(
    name="openai", rejects=frozenset({"top_k", "min_p", "repetition_penalty"})
)
_AM: Final = Profile(
    name="anthropic",
    closed=True,
    versions=("2023-06-01", "2026-10-21"),
    reasoning="adaptive",
    efforts=("low", "medium", "high", "xhigh", "max"),
    max_temperature=1.0,
    max_stops=1000,
    call_ids="safe",
    first_turn_user=True,
    strict_alternation=True,
    system_in_place=False,
    prefill=False,
    json_object=False,
    custom_tools=False,
    rejects=frozenset({"temperature", "top_p", "top_k"}),
)
_GG: Final = Profile(
    name="gemini",
    closed=True,
    reasoning="level",
    efforts=("minimal", "low", "medium", "high", "xhigh"),
    thinking_off=False,
    call_ids="omitted",
    max_stops=5,
    strict_alternation=True,
    system_in_place=False,
    custom_tools=False,
    cache_marks=False,
    media_urls=False,
    requires_signatures=True,
)

PROFILES: Final[dict[str, Profile]] = {
    row.name: row
    for row in (
        Profile(name="unknown"),
        _OPENAI,
        _row(_OPENAI, "openai-responses", min_max_tokens=16),
        _AM,
        _MINIMAL_AM,
        _GG,
        _COMPATIBLE,
        _row(
            _OPENAI,
            "azure",
            rejects="store prediction",
        ),
        _row(_OPENAI, "github-copilot", rejects="store metadata service_tier"),
        _row(
            _COMPATIBLE,
            "openrouter",
            reasoning="object",
            reasoning_field="reasoning",
            replay_reasoning="details",
            efforts=("none", "minimal", "low", "medium", "high", "xhigh"),
            cache_marks=True,
            rejects="",
        ),
        _row(
            _COMPATIBLE,
            "deepseek",
            reasoning="switch",
            efforts=("low", "high", "max"),
            replay_reasoning="tool_turns",
            require_reasoning=True,
            structured_output=False,
            rejects="logit_bias n service_tier user top_k min_p repetition_penalty",
        ),
        _row(
            _COMPATIBLE,
            "groq",
            reasoning_field="reasoning",
            max_tokens_field="max_completion_tokens",
            rejects="logprobs logit_bias n message_name top_k min_p repetition_penalty",
        ),
        _row(
            _COMPATIBLE,
            "mistral",
            closed=True,
            renames={"seed": "random_seed"},
            call_ids="alphanumeric9",
            strict_alternation=True,
            reasoning_field="reasoning_content",
            efforts=("none", "high"),
            rejects="logit_bias top_k min_p repetition_penalty stream_options user "
            "logprobs service_tier",
        ),
        _row(
            _COMPATIBLE,
            "xai",
            reasoning_outside_output=True,
            rejects="presence_penalty frequency_penalty stop top_k min_p "
            "repetition_penalty logit_bias",
        ),
        _row(_COMPATIBLE, "together", reasoning_field="reasoning"),
        _row(_COMPATIBLE, "fireworks"),
        _row(
            _COMPATIBLE,
            "ollama",
            reasoning_field="reasoning",
            replay_reasoning="always",
            media_urls=False,
            rejects="tool_choice n logit_bias user service_tier",
        ),
        _row(
            _COMPATIBLE,
            "vllm",
            reasoning_field="reasoning",
            replay_reasoning="always",
        ),
        _row(_COMPATIBLE, "sglang", replay_reasoning="always"),
        _row(_COMPATIBLE, "llama.cpp", replay_reasoning="always", merge_system=True),
        _row(
            _COMPATIBLE,
            "zai",
            reasoning="switch",
            efforts=("low", "high", "max"),
            replay_reasoning="always",
            structured_output=False,
            max_temperature=1.0,
            rejects="frequency_penalty presence_penalty logit_bias stream_options "
            "tool_strict message_name required_tool_choice seed n logprobs "
            "top_k min_p repetition_penalty",
        ),
        _row(
            _COMPATIBLE,
            "dashscope",
            reasoning="qwen",
            cache_marks=True,
            rejects="frequency_penalty required_tool_choice logit_bias min_p",
        ),
        _row(
            _COMPATIBLE,
            "minimax",
            reasoning="switch",
            efforts=("none",),
            max_tokens_field="max_completion_tokens",
            replay_reasoning="details",
            think_tags=(("<think>", "</think>"),),
            structured_output=False,
            json_object=False,
            max_temperature=1.0,
            rejects="tool_choice parallel seed frequency_penalty presence_penalty "
            "tool_strict logit_bias n logprobs top_k min_p repetition_penalty",
        ),
        _row(
            _COMPATIBLE,
            "moonshot",
            reasoning="switch",
            efforts=("low", "high", "max"),
            max_tokens_field="max_completion_tokens",
            replay_reasoning="always",
            require_reasoning=True,
            rejects="temperature top_p n frequency_penalty presence_penalty seed "
            "required_tool_choice logit_bias logprobs top_k min_p repetition_penalty",
        ),
        _row(
            _COMPATIBLE,
            "cerebras",
            reasoning_field="reasoning",
            max_tokens_field="max_completion_tokens",
            rejects="frequency_penalty presence_penalty logit_bias parallel "
            "service_tier required_tool_choice top_k min_p repetition_penalty",
        ),
        _row(_COMPATIBLE, "zenmux", replay_reasoning="details"),
        _row(_COMPATIBLE, "gemini-openai", rejects="logit_bias min_p"),
        _row(_MINIMAL_AM, "zenmux-anthropic", versions=("2023-06-01",)),
    )
}
"""Rows by name; `register` adds to it."""

_DEFAULTS: Final[Mapping[str, str]] = {
    "openai-chat": "openai",
    "openai-responses": "openai-responses",
    "anthropic": "anthropic",
    "gemini": "gemini",
}

_OLD_CLAUDE: Final = (
    r"claude-(?:instant|2|v2|3|opus-4(?![-.]?[5-9])|sonnet-4(?![-.]?[5-9])"
    r"|haiku-4(?![-.]?[5-9])|haiku-3|sonnet-3|opus-3)"
)

MODEL_RULES: Final[list[ModelRule]] = [
    # o-series and GPT-5: never; GPT-5.1 and later: only with effort none.
    ModelRule(
        dialect="openai-chat",
        pattern=r"(?:o[134]|gpt-5(?![.\d]))(?!.*chat)",
        changes={
            "rejects": _OPENAI.rejects | _SAMPLING | {"stop"},
            "sampling_with_reasoning": False,
            "efforts": ("minimal", "low", "medium", "high"),
        },
    ),
    ModelRule(
        dialect="openai-responses",
        pattern=r"(?:o[134]|gpt-5(?![.\d]))(?!.*chat)",
        changes={
            "rejects": _OPENAI.rejects | _SAMPLING | {"stop"},
            "sampling_with_reasoning": False,
            "efforts": ("minimal", "low", "medium", "high"),
        },
    ),
    ModelRule(
        dialect="openai-chat",
        pattern=r"gpt-5\.[1-5](?!\d)(?!.*chat)",
        changes={"sampling_with_reasoning": False, "cache_marks": False},
    ),
    ModelRule(
        dialect="openai-chat",
        pattern=r"gpt-(?:5\.[6-9]|5\.\d{2}|[6-9])",
        changes={
            "sampling_with_reasoning": False,
            "reasoning_with_tools": False,
            "efforts": ("none", "low", "medium", "high", "xhigh", "max"),
        },
    ),
    ModelRule(
        dialect="openai-responses",
        pattern=r"gpt-(?:5\.[1-9]|[6-9])",
        changes={
            "sampling_with_reasoning": False,
            "efforts": ("none", "low", "medium", "high", "xhigh", "max"),
        },
    ),
    ModelRule(
        dialect="openai-chat",
        pattern=r"(?:gpt-(?:3|4)|chatgpt|davinci|babbage)",
        changes={
            "reasoning": "none",
            "developer_role": False,
            "cache_marks": False,
            "rejects": _OPENAI.rejects | {"verbosity"},
        },
    ),
    ModelRule(
        dialect="openai-responses",
        pattern=r"(?:gpt-(?:3|4)|chatgpt)",
        changes={
            "reasoning": "none",
            "cache_marks": False,
            "rejects": _OPENAI.rejects | {"verbosity", "encrypted_reasoning"},
        },
    ),
    # Models before 4.6 take a budget, sampling and prefill.
    ModelRule(
        dialect="anthropic",
        pattern=_OLD_CLAUDE + r"|claude-(?:opus|sonnet|haiku)-4-5",
        changes={
            "reasoning": "budget",
            "prefill": True,
            "rejects": frozenset({"temperature_with_top_p"}),
            "forced_tool_with_reasoning": False,
            "sampling_with_reasoning": False,
        },
    ),
    ModelRule(
        dialect="anthropic",
        pattern=_OLD_CLAUDE,
        changes={
            "reasoning": "budget",
            "prefill": True,
            "structured_output": False,
            "rejects": frozenset({"temperature_with_top_p"}),
            "forced_tool_with_reasoning": False,
            "sampling_with_reasoning": False,
        },
    ),
    ModelRule(
        dialect="anthropic",
        pattern=r"claude-(?:instant|2|v2|3-(?:5|opus|haiku|sonnet)|3(?!-7)(?!\.7)|haiku-3)",
        changes={
            "reasoning": "none",
            "prefill": True,
            "structured_output": False,
            "rejects": frozenset(),
        },
    ),
    ModelRule(
        dialect="anthropic",
        pattern=r"claude-(?:opus|sonnet|haiku)-4-6",
        changes={
            "rejects": frozenset({"temperature_with_top_p"}),
            "sampling_with_reasoning": False,
            "forced_tool_with_reasoning": False,
        },
    ),
    ModelRule(
        dialect="anthropic",
        pattern=r"claude-opus-4-7",
        changes={"forced_tool_with_reasoning": False},
    ),
    ModelRule(
        dialect="anthropic",
        pattern=r"claude-(?:opus-4-[89]|(?:opus|sonnet|haiku|fable|mythos)-5)",
        changes={"system_in_place": True},
    ),
    ModelRule(
        dialect="anthropic",
        pattern=r"claude-(?:fable|mythos)-5",
        changes={"system_in_place": True, "thinking_off": False},
    ),
    ModelRule(
        dialect="gemini",
        pattern=r"gemini-(?:1|2)",
        changes={
            "reasoning": "budget",
            "requires_signatures": False,
            "thinking_off": True,
            "min_budget": 0,
            "max_budget": 24576,
        },
    ),
    ModelRule(
        dialect="gemini",
        pattern=r"gemini-(?:1|2\.0)",
        changes={
            "reasoning": "none",
            "requires_signatures": False,
            "json_schema": "openapi",
        },
    ),
    ModelRule(
        dialect="gemini",
        pattern=r"gemini-2\.5-pro",
        changes={
            "reasoning": "budget",
            "requires_signatures": False,
            "thinking_off": False,
            "min_budget": 128,
            "max_budget": 32768,
        },
    ),
]
"""Read in order; every rule that matches applies, later ones over earlier ones.
`register_rule` adds one."""


def register(profile: Profile) -> None:
    """Make `profile` known by its name, over a row of the same name.

    Raises:
        LocalProtocolError: It has no name.
    """
    if not profile.name:
        raise LocalProtocolError("a profile needs a name to be registered")
    PROFILES[profile.name] = profile
    _resolved.cache_clear()


def register_rule(rule: ModelRule) -> None:
    """Let `rule` apply, over every rule before it."""
    MODEL_RULES.append(rule)
    _resolved.cache_clear()


def resolve(
    dialect: str, profile: str | Profile | None = None, model: str | None = None
) -> Profile:
    """The facts that hold for `model` at a server.

    Args:
        dialect: Name of the dialect spoken.
        profile: A row's name, a record (taken as it is), or None for the vendor's own.
        model: What its name tells is applied to the vendor's own rows.

    Raises:
        LocalProtocolError: There is no row of that name.
    """
    if isinstance(profile, Profile):
        return profile
    name = profile or _DEFAULTS.get(dialect, "unknown")
    return _resolved(dialect, name, (model or "")[-_MODEL_NAME:])


_MODEL_NAME: Final = 256
"""Characters of a model's name that rules look at: names come from clients."""


@lru_cache(maxsize=1024)
def _resolved(dialect: str, name: str, model: str) -> Profile:
    found = PROFILES.get(name)
    if found is None:
        raise LocalProtocolError(f"unknown profile {name!r}")
    bare = model.rpartition("/")[2]
    for rule in MODEL_RULES:
        applies = name in (rule.profiles or {_DEFAULTS.get(rule.dialect)})
        if rule.dialect == dialect and applies and re.match(rule.pattern, bare):
            found = msgspec.structs.replace(found, **dict(rule.changes))
    return found
