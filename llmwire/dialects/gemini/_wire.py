"""Gemini's JSON as typed structs: what `generateContent` takes and gives.

Shapes only. A field that is absent is `UNSET`; islands that are never interpreted as a
whole (arguments, schemas, payloads of Google's own tools) are `Raw`. Members listed
here that the neutral conversation does not know stand in `CARRIED`, so that they cost
no slow path. Names follow the reference of the v1beta API,
https://ai.google.dev/api/generate-content.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from msgspec import UNSET, Raw, UnsetType

from llmwire._json import Wire

Int: TypeAlias = int | str
"""int64, which proto3 JSON writes as a string and reads as either."""
Number: TypeAlias = int | float | str
Text: TypeAlias = str | UnsetType
Flag: TypeAlias = bool | UnsetType
Island: TypeAlias = Raw | UnsetType


class Blob(Wire, rename="camel"):
    """Bytes inline."""

    mime_type: Text = UNSET
    data: Text = UNSET
    display_name: Text = UNSET


class FileData(Wire, rename="camel"):
    """A file by its address."""

    mime_type: Text = UNSET
    file_uri: Text = UNSET
    display_name: Text = UNSET


class FunctionCall(Wire, rename="camel"):
    """A call; `partial_args` and `will_continue` are Vertex's streamed arguments."""

    id: Text = UNSET
    name: Text = UNSET
    args: Island = UNSET
    partial_args: list[Raw] | UnsetType = UNSET
    will_continue: Flag = UNSET


class MediaResult(Wire, rename="camel"):
    """A medium beside the result of a call."""

    inline_data: Blob | UnsetType = UNSET
    file_data: FileData | UnsetType = UNSET


class FunctionResponse(Wire, rename="camel"):
    """The result of a call."""

    id: Text = UNSET
    name: Text = UNSET
    response: Island = UNSET
    parts: list[MediaResult] | UnsetType = UNSET


class Part(Wire, rename="camel"):
    """One piece of content: one data field, and flags beside it."""

    text: Text = UNSET
    thought: Flag = UNSET
    thought_signature: Text = UNSET
    function_call: FunctionCall | UnsetType = UNSET
    function_response: FunctionResponse | UnsetType = UNSET
    inline_data: Blob | UnsetType = UNSET
    file_data: FileData | UnsetType = UNSET
    executable_code: Island = UNSET
    code_execution_result: Island = UNSET
    tool_call: Island = UNSET
    tool_response: Island = UNSET
    media_resolution: Island = UNSET
    video_metadata: Island = UNSET


class Content(Wire, rename="camel"):
    """A turn."""

    role: Text = UNSET
    parts: list[Part] | UnsetType = UNSET


# --- requests ----------------------------------------------------------------------


class ThinkingConfig(Wire, rename="camel"):
    """How to think."""

    include_thoughts: Flag = UNSET
    thinking_budget: Int | UnsetType = UNSET
    thinking_level: str | int | UnsetType = UNSET


class GenerationConfig(Wire, rename="camel"):
    """How to generate."""

    candidate_count: Int | UnsetType | None = UNSET
    stop_sequences: list[str] | UnsetType | None = UNSET
    max_output_tokens: Number | UnsetType | None = UNSET
    temperature: Number | UnsetType | None = UNSET
    top_p: Number | UnsetType | None = UNSET
    top_k: Number | UnsetType | None = UNSET
    seed: Int | UnsetType | None = UNSET
    presence_penalty: Number | UnsetType | None = UNSET
    frequency_penalty: Number | UnsetType | None = UNSET
    response_mime_type: str | UnsetType | None = UNSET
    response_schema: Island = UNSET
    response_json_schema: Island = UNSET
    response_logprobs: bool | UnsetType | None = UNSET
    logprobs: Int | UnsetType | None = UNSET
    response_modalities: list[str | int] | UnsetType | None = UNSET
    speech_config: Island = UNSET
    thinking_config: ThinkingConfig | UnsetType | None = UNSET
    media_resolution: Island = UNSET
    image_config: Island = UNSET
    enable_enhanced_civic_answers: Island = UNSET
    response_format: Island = UNSET
    audio_timestamp: Island = UNSET
    routing_config: Island = UNSET


class FunctionDeclaration(Wire, rename="camel"):
    """A function the model may call."""

    name: Text = UNSET
    description: str | UnsetType | None = UNSET
    parameters: Island = UNSET
    parameters_json_schema: Island = UNSET
    response: Island = UNSET
    response_json_schema: Island = UNSET
    behavior: Island = UNSET


class ToolConfig(Wire, rename="camel"):
    """Which tools must be called, and options of Google's own."""

    function_calling_config: Island = UNSET
    retrieval_config: Island = UNSET
    include_server_side_tool_invocations: Island = UNSET


class FunctionCallingConfig(Wire, rename="camel"):
    """Which functions must be called."""

    mode: str | int | UnsetType = UNSET
    allowed_function_names: list[str] | UnsetType = UNSET


class RequestBody(Wire, rename="camel"):
    """What `generateContent` takes."""

    contents: list[Content] | UnsetType = UNSET
    system_instruction: Content | UnsetType | None = UNSET
    tools: list[Raw] | UnsetType | None = UNSET
    tool_config: ToolConfig | UnsetType | None = UNSET
    safety_settings: Island = UNSET
    generation_config: GenerationConfig | UnsetType | None = UNSET
    cached_content: str | UnsetType | None = UNSET
    continuation_token: str | UnsetType | None = UNSET
    service_tier: str | int | UnsetType | None = UNSET
    labels: Island = UNSET
    store: Island = UNSET
    model: str | UnsetType | None = UNSET


# --- answers -----------------------------------------------------------------------


class UsageMetadata(Wire, rename="camel"):
    """Token counts: cumulative, the prompt with the cache, candidates without
    thoughts."""

    prompt_token_count: Int | UnsetType = UNSET
    cached_content_token_count: Int | UnsetType = UNSET
    candidates_token_count: Int | UnsetType = UNSET
    thoughts_token_count: Int | UnsetType = UNSET
    tool_use_prompt_token_count: Int | UnsetType = UNSET
    total_token_count: Int | UnsetType = UNSET
    service_tier: Text = UNSET
    prompt_tokens_details: Island = UNSET
    candidates_tokens_details: Island = UNSET
    cache_tokens_details: Island = UNSET
    tool_use_prompt_tokens_details: Island = UNSET
    traffic_type: Island = UNSET


class Candidate(Wire, rename="camel"):
    """One answer, or an increment of it."""

    content: Content | UnsetType = UNSET
    finish_reason: str | int | UnsetType = UNSET
    index: int | UnsetType = UNSET
    finish_message: Text = UNSET
    logprobs_result: Island = UNSET
    grounding_metadata: Island = UNSET
    safety_ratings: Island = UNSET
    citation_metadata: Island = UNSET
    avg_logprobs: Island = UNSET
    token_count: Island = UNSET
    url_context_metadata: Island = UNSET


class Chunk(Wire, rename="camel"):
    """A whole answer, or an increment of a streamed one."""

    candidates: list[Candidate] | UnsetType = UNSET
    usage_metadata: UsageMetadata | UnsetType = UNSET
    model_version: Text = UNSET
    response_id: Text = UNSET
    create_time: Text = UNSET
    prompt_feedback: Island = UNSET
    error: Island = UNSET


CARRIED: Final[dict[type[Wire], tuple[tuple[str, str], ...]]] = {
    Part: (("video_metadata", "videoMetadata"),),
    GenerationConfig: (
        ("media_resolution", "mediaResolution"),
        ("image_config", "imageConfig"),
        ("enable_enhanced_civic_answers", "enableEnhancedCivicAnswers"),
        ("response_format", "responseFormat"),
        ("audio_timestamp", "audioTimestamp"),
        ("routing_config", "routingConfig"),
    ),
    FunctionDeclaration: (
        ("response", "response"),
        ("response_json_schema", "responseJsonSchema"),
        ("behavior", "behavior"),
    ),
    ToolConfig: (
        ("retrieval_config", "retrievalConfig"),
        ("include_server_side_tool_invocations", "includeServerSideToolInvocations"),
    ),
    RequestBody: (
        ("safety_settings", "safetySettings"),
        ("store", "store"),
    ),
    UsageMetadata: (
        ("prompt_tokens_details", "promptTokensDetails"),
        ("candidates_tokens_details", "candidatesTokensDetails"),
        ("cache_tokens_details", "cacheTokensDetails"),
        ("tool_use_prompt_tokens_details", "toolUsePromptTokensDetails"),
        ("traffic_type", "trafficType"),
    ),
    Candidate: (
        ("grounding_metadata", "groundingMetadata"),
        ("safety_ratings", "safetyRatings"),
        ("citation_metadata", "citationMetadata"),
        ("avg_logprobs", "avgLogprobs"),
        ("token_count", "tokenCount"),
        ("url_context_metadata", "urlContextMetadata"),
    ),
}
"""Attribute and wire name of the members that are carried as extras."""
