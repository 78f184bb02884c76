"""What a chunk of a stream says beyond a piece of text, and what says nothing."""

from __future__ import annotations

from functools import cache

import msgspec
from msgspec import UNSET, Raw

from llmwire._json import NULL, Wire
from llmwire.dialects.gemini import _wire
from llmwire.messages import Extras


def is_plain(candidate: _wire.Candidate, content: _wire.Content) -> bool:
    """Whether a candidate says nothing but its content, and that nothing but parts."""
    return (
        candidate.finish_reason is UNSET
        and candidate.grounding_metadata is UNSET
        and candidate.safety_ratings is UNSET
        and candidate.finish_message is UNSET
        and candidate.logprobs_result is UNSET
        and candidate.citation_metadata is UNSET
        and candidate.avg_logprobs is UNSET
        and candidate.token_count is UNSET
        and candidate.url_context_metadata is UNSET
        and not candidate.extras
        and not candidate.learned
        and not content.extras
        and not content.learned
    )


def is_text(part: _wire.Part) -> bool:
    """Whether a part that has a text has nothing else but `thought`."""
    return (
        part.thought_signature is UNSET
        and part.function_call is UNSET
        and part.function_response is UNSET
        and part.inline_data is UNSET
        and part.file_data is UNSET
        and part.executable_code is UNSET
        and part.code_execution_result is UNSET
        and part.tool_call is UNSET
        and part.tool_response is UNSET
        and part.media_resolution is UNSET
        and part.video_metadata is UNSET
        and not part.extras
        and not part.learned
    )


@cache
def _names(kind: type[Wire]) -> frozenset[str]:
    return frozenset(field.encode_name for field in msgspec.structs.fields(kind))


def spoken(found: dict[str, Raw], kind: type[Wire]) -> Extras:
    """`found` without nulls of members that `kind` models: they say nothing."""
    return {k: v for k, v in found.items() if v != NULL or k not in _names(kind)}


def without_notes(extras: Extras | None) -> Extras | None:
    if not extras:
        return None
    return {k: v for k, v in extras.items() if k[:1] != "@"} or None
