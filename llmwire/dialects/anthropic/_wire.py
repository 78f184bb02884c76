"""What Anthropic Messages looks like on the wire: typed, closed, nothing interpreted.

Members that a block cannot be without are `UNSET` here all the same: a client is told
what is missing, a server is forgiven.

Absent is `UNSET`, null is None where the vendor or its clients send it. Blocks are
unions by `type` with `Raw` for every type that is not named here. Members that other
code never looks into stay `Raw`. Source: the Messages API reference
(https://platform.claude.com/docs/en/api/messages).
"""

from __future__ import annotations

from typing import Final, TypeAlias

from msgspec import UNSET, Raw, Struct, UnsetType

from llmwire._json import Wire

NAME: Final = "anthropic"
"""The dialect, as `Request.dialect` and signatures name it."""


class CacheControl(Wire):
    """`cache_control`: a breakpoint of the prompt cache."""

    type: str | UnsetType = UNSET
    ttl: str | UnsetType | None = UNSET


Cache: TypeAlias = CacheControl | UnsetType | None


class TextBlock(Wire, tag="text"):
    text: str | UnsetType = UNSET
    citations: list[Raw] | UnsetType | None = UNSET
    cache_control: Cache = UNSET


class ImageBlock(Wire, tag="image"):
    source: Raw
    cache_control: Cache = UNSET


class DocumentBlock(Wire, tag="document"):
    source: Raw
    title: str | UnsetType | None = UNSET
    context: str | UnsetType | None = UNSET
    citations: Raw | UnsetType = UNSET
    cache_control: Cache = UNSET


class SearchResultBlock(Wire, tag="search_result"):
    source: str
    title: str
    content: Raw
    citations: Raw | UnsetType = UNSET
    cache_control: Cache = UNSET


class ThinkingBlock(Wire, tag="thinking"):
    thinking: str | UnsetType = UNSET
    signature: str | UnsetType | None = UNSET


class RedactedThinkingBlock(Wire, tag="redacted_thinking"):
    data: str | UnsetType = UNSET


class ToolUseBlock(Wire, tag="tool_use"):
    id: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    input: Raw | UnsetType = UNSET
    cache_control: Cache = UNSET
    caller: Raw | UnsetType = UNSET


class ServerToolUseBlock(Wire, tag="server_tool_use"):
    """A call that the vendor itself runs."""

    id: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    input: Raw | UnsetType = UNSET
    cache_control: Cache = UNSET
    caller: Raw | UnsetType = UNSET


class MCPToolUseBlock(ServerToolUseBlock, tag="mcp_tool_use"):
    """A call to an MCP server that the vendor runs."""

    server_name: Raw | UnsetType = UNSET


class ServerResultBlock(Wire, tag="web_search_tool_result"):
    """What a tool of the vendor gave."""

    tool_use_id: str | UnsetType = UNSET
    content: Raw | UnsetType = UNSET
    cache_control: Cache = UNSET
    caller: Raw | UnsetType = UNSET


class WebFetchResultBlock(ServerResultBlock, tag="web_fetch_tool_result"):
    """Same members."""


class CodeResultBlock(ServerResultBlock, tag="code_execution_tool_result"):
    """Same members."""


class BashResultBlock(ServerResultBlock, tag="bash_code_execution_tool_result"):
    """Same members."""


class EditorResultBlock(
    ServerResultBlock, tag="text_editor_code_execution_tool_result"
):
    """Same members."""


class ToolSearchResultBlock(ServerResultBlock, tag="tool_search_tool_result"):
    """Same members."""


class AdvisorResultBlock(ServerResultBlock, tag="advisor_tool_result"):
    """Same members."""


class MCPResultBlock(ServerResultBlock, tag="mcp_tool_result"):
    is_error: Raw | UnsetType = UNSET


ResultItem: TypeAlias = TextBlock | ImageBlock | DocumentBlock | SearchResultBlock | Raw
"""What may stand inside a tool result."""


class ToolResultBlock(Wire, tag="tool_result"):
    tool_use_id: str
    content: str | list[ResultItem] | UnsetType | None = UNSET
    is_error: bool | UnsetType | None = UNSET
    cache_control: Cache = UNSET


Block: TypeAlias = (
    TextBlock
    | ImageBlock
    | DocumentBlock
    | SearchResultBlock
    | ThinkingBlock
    | RedactedThinkingBlock
    | ToolUseBlock
    | ToolResultBlock
    | ServerToolUseBlock
    | MCPToolUseBlock
    | ServerResultBlock
    | WebFetchResultBlock
    | CodeResultBlock
    | BashResultBlock
    | EditorResultBlock
    | ToolSearchResultBlock
    | AdvisorResultBlock
    | MCPResultBlock
    | Raw
)


class MediaSource(Wire):
    """`source` of an image or a document: one struct for all its types."""

    type: str | UnsetType = UNSET
    media_type: str | UnsetType | None = UNSET
    data: str | UnsetType = UNSET
    url: str | UnsetType = UNSET
    file_id: str | UnsetType = UNSET


class CitationWire(Struct):
    """What the citation types have in common; the whole is kept beside it."""

    type: str = ""
    cited_text: str | None = None
    url: str | None = None
    title: str | None = None
    document_title: str | None = None
    file_id: str | None = None


class MessageWire(Wire):
    role: str
    content: str | list[Block]


class ToolChoiceWire(Wire):
    type: str
    name: str | UnsetType | None = UNSET
    disable_parallel_tool_use: bool | UnsetType | None = UNSET


class ThinkingWire(Wire):
    type: str | UnsetType = UNSET
    budget_tokens: int | UnsetType | None = UNSET
    display: str | UnsetType | None = UNSET


class FormatWire(Wire):
    type: str | UnsetType = UNSET
    schema: Raw | UnsetType = UNSET


class OutputConfig(Wire):
    effort: str | UnsetType | None = UNSET
    format: FormatWire | UnsetType | None = UNSET


class MetadataWire(Wire):
    user_id: str | UnsetType | None = UNSET


class ToolWire(Wire):
    """A tool of the client; every other type is read from its `Raw`."""

    name: str
    description: str | UnsetType | None = UNSET
    input_schema: Raw | UnsetType = UNSET
    type: str | UnsetType | None = UNSET
    strict: bool | UnsetType | None = UNSET
    cache_control: Cache = UNSET
    defer_loading: Raw | UnsetType = UNSET
    input_examples: Raw | UnsetType = UNSET
    eager_input_streaming: Raw | UnsetType = UNSET
    allowed_callers: Raw | UnsetType = UNSET


class RequestWire(Wire):
    """The body of `POST /v1/messages`, and of `/count_tokens`."""

    messages: list[MessageWire]
    model: str | UnsetType | None = UNSET
    max_tokens: int | UnsetType | None = UNSET
    system: str | list[TextBlock | Raw] | UnsetType | None = UNSET
    stream: bool | UnsetType | None = UNSET
    stop_sequences: list[str] | UnsetType | None = UNSET
    temperature: float | int | UnsetType | None = UNSET
    top_p: float | int | UnsetType | None = UNSET
    top_k: float | int | UnsetType | None = UNSET
    tools: list[Raw] | UnsetType | None = UNSET
    tool_choice: ToolChoiceWire | UnsetType | None = UNSET
    thinking: ThinkingWire | UnsetType | None = UNSET
    output_config: OutputConfig | UnsetType | None = UNSET
    output_format: FormatWire | UnsetType | None = UNSET
    cache_control: Cache = UNSET
    metadata: MetadataWire | UnsetType | None = UNSET
    service_tier: str | UnsetType | None = UNSET
    container: Raw | UnsetType = UNSET
    mcp_servers: list[Raw] | UnsetType | None = UNSET
    context_management: Raw | UnsetType = UNSET
    speed: Raw | UnsetType = UNSET
    inference_geo: Raw | UnsetType = UNSET
    anthropic_version: Raw | UnsetType = UNSET
    anthropic_beta: Raw | UnsetType = UNSET


class CacheCreation(Wire):
    """The cache writes by time to live."""

    ephemeral_5m_input_tokens: int | UnsetType = UNSET
    ephemeral_1h_input_tokens: int | UnsetType = UNSET


class OutputDetails(Wire):
    thinking_tokens: int | UnsetType | None = UNSET


class UsageWire(Wire):
    input_tokens: int | UnsetType | None = UNSET
    cache_creation_input_tokens: int | UnsetType | None = UNSET
    cache_read_input_tokens: int | UnsetType | None = UNSET
    cache_creation: CacheCreation | UnsetType | None = UNSET
    output_tokens: int | UnsetType | None = UNSET
    output_tokens_details: OutputDetails | UnsetType | None = UNSET
    service_tier: str | UnsetType | None = UNSET
    server_tool_use: Raw | UnsetType = UNSET
    inference_geo: Raw | UnsetType = UNSET
    iterations: Raw | UnsetType = UNSET
    speed: Raw | UnsetType = UNSET


class StopDetailsWire(Wire):
    type: str | UnsetType = UNSET
    category: str | UnsetType | None = UNSET
    explanation: str | UnsetType | None = UNSET


class ResponseWire(Wire):
    """A whole answer."""

    content: list[Block] | UnsetType | None = UNSET
    id: str | UnsetType | None = UNSET
    type: str | UnsetType = UNSET
    role: str | UnsetType = UNSET
    model: str | UnsetType | None = UNSET
    stop_reason: str | UnsetType | None = UNSET
    stop_sequence: str | UnsetType | None = UNSET
    stop_details: Raw | UnsetType = UNSET
    usage: UsageWire | UnsetType | None = UNSET
    container: Raw | UnsetType = UNSET
    context_management: Raw | UnsetType = UNSET


class TextDeltaWire(Wire, tag="text_delta"):
    text: str | UnsetType = UNSET


class JSONDeltaWire(Wire, tag="input_json_delta"):
    partial_json: str | UnsetType = UNSET


class ThinkingDeltaWire(Wire, tag="thinking_delta"):
    thinking: str | UnsetType = UNSET


class SignatureDeltaWire(Wire, tag="signature_delta"):
    signature: str | UnsetType = UNSET


class CitationsDeltaWire(Wire, tag="citations_delta"):
    citation: Raw | UnsetType = UNSET


Delta: TypeAlias = (
    TextDeltaWire
    | JSONDeltaWire
    | ThinkingDeltaWire
    | SignatureDeltaWire
    | CitationsDeltaWire
    | Raw
)


class BlockDeltaFrame(Wire, tag="content_block_delta"):
    index: int
    delta: Delta


class BlockStartFrame(Wire, tag="content_block_start"):
    index: int
    content_block: Block


class BlockStopFrame(Wire, tag="content_block_stop"):
    index: int


class MessageStartFrame(Wire, tag="message_start"):
    message: ResponseWire


class MessageDeltaInner(Wire):
    """What `message_delta` says of the message beside its usage."""

    stop_reason: str | UnsetType | None = UNSET
    stop_sequence: str | UnsetType | None = UNSET
    stop_details: Raw | UnsetType = UNSET
    container: Raw | UnsetType = UNSET


class MessageDeltaFrame(Wire, tag="message_delta"):
    delta: MessageDeltaInner | UnsetType | None = UNSET
    usage: UsageWire | UnsetType | None = UNSET
    context_management: Raw | UnsetType = UNSET


class MessageStopFrame(Wire, tag="message_stop"):
    pass


class PingFrame(Wire, tag="ping"):
    pass


class ErrorFrame(Wire, tag="error"):
    error: Raw | UnsetType = UNSET


Frame: TypeAlias = (
    BlockDeltaFrame
    | BlockStartFrame
    | BlockStopFrame
    | MessageStartFrame
    | MessageDeltaFrame
    | MessageStopFrame
    | PingFrame
    | ErrorFrame
    | Raw
)
"""One server-sent event's data."""
