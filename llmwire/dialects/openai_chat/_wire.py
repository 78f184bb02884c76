"""The wire of Chat Completions, as typed structs: members and their types, no meaning.

https://platform.openai.com/docs/api-reference/chat and what its imitators add. Members
that are declared as `Raw` and have no neutral form stand here only so that a document
that holds them is still read strictly, which is fast.
"""

from __future__ import annotations

from typing import TypeAlias

from msgspec import UNSET, Raw, UnsetType

from llmwire._json import Wire

Text: TypeAlias = str | UnsetType | None
Flag: TypeAlias = bool | UnsetType | None
Int: TypeAlias = int | UnsetType | None
Number: TypeAlias = int | float | UnsetType | None
Any_: TypeAlias = Raw | UnsetType

# --- content parts -----------------------------------------------------------------


class TextElement(Wire, tag_field="type", tag="text"):
    """`{"type": "text"}`."""

    text: str
    prompt_cache_breakpoint: Any_ = UNSET
    cache_control: Any_ = UNSET


class ImageUrl(Wire):
    """What `image_url` holds."""

    url: str
    detail: Text = UNSET


class ImageElement(Wire, tag_field="type", tag="image_url"):
    """`{"type": "image_url"}`; Mistral gives the URL itself."""

    image_url: ImageUrl | str
    prompt_cache_breakpoint: Any_ = UNSET
    cache_control: Any_ = UNSET


class InputAudio(Wire):
    """What `input_audio` holds."""

    data: str
    format: Text = UNSET


class AudioElement(Wire, tag_field="type", tag="input_audio"):
    """`{"type": "input_audio"}`; Mistral gives the data itself."""

    input_audio: InputAudio | str
    prompt_cache_breakpoint: Any_ = UNSET
    cache_control: Any_ = UNSET


class FileObject(Wire):
    """What `file` holds."""

    file_data: Text = UNSET
    file_id: Text = UNSET
    filename: Text = UNSET


class FileElement(Wire, tag_field="type", tag="file"):
    """`{"type": "file"}`."""

    file: FileObject
    prompt_cache_breakpoint: Any_ = UNSET
    cache_control: Any_ = UNSET


class RefusalElement(Wire, tag_field="type", tag="refusal"):
    """`{"type": "refusal"}`, of assistants."""

    refusal: str


class ThinkingElement(Wire, tag_field="type", tag="thinking"):
    """Mistral's `{"type": "thinking"}`."""

    thinking: Raw
    closed: Any_ = UNSET


Element: TypeAlias = (
    TextElement
    | ImageElement
    | AudioElement
    | FileElement
    | RefusalElement
    | ThinkingElement
    | Raw
)
Content: TypeAlias = str | list[Element] | UnsetType | None

# --- calls and messages ------------------------------------------------------------


class CalledFunction(Wire):
    """Name and arguments of a call; some servers send them as an object."""

    name: Text = UNSET
    arguments: Any_ = UNSET


class CalledCustom(Wire):
    """Name and input of a call of a custom tool."""

    name: Text = UNSET
    input: Text = UNSET


class ToolCall(Wire):
    """One entry of `tool_calls`."""

    id: Text = UNSET
    type: Text = UNSET
    function: CalledFunction | UnsetType | None = UNSET
    custom: CalledCustom | UnsetType | None = UNSET
    index: Any_ = UNSET
    extra_content: Any_ = UNSET


class Spoken(Wire):
    """What an assistant's message may hold, in requests and answers alike."""

    content: Content = UNSET
    refusal: Text = UNSET
    name: Text = UNSET
    audio: Any_ = UNSET
    tool_calls: list[ToolCall] | UnsetType | None = UNSET
    function_call: CalledFunction | UnsetType | None = UNSET
    annotations: list[Raw] | UnsetType | None = UNSET
    reasoning_content: Text = UNSET
    reasoning: Text = UNSET
    reasoning_text: Text = UNSET
    reasoning_details: list[Raw] | UnsetType | None = UNSET
    prefix: Any_ = UNSET


class AssistantMessage(Spoken, tag_field="role", tag="assistant"):
    """`role: assistant`, in a request."""


class AnswerMessage(Spoken):
    """`choices[].message`."""

    role: Text = UNSET


class SystemMessage(Wire, tag_field="role", tag="system"):
    """`role: system`."""

    content: Content = UNSET
    name: Text = UNSET


class DeveloperMessage(Wire, tag_field="role", tag="developer"):
    """`role: developer`."""

    content: Content = UNSET
    name: Text = UNSET


class UserMessage(Wire, tag_field="role", tag="user"):
    """`role: user`."""

    content: Content = UNSET
    name: Text = UNSET


class ToolMessage(Wire, tag_field="role", tag="tool"):
    """`role: tool`, the result of one call."""

    content: Content = UNSET
    tool_call_id: Text = UNSET
    name: Text = UNSET


class FunctionMessage(Wire, tag_field="role", tag="function"):
    """`role: function`, the result of a legacy call."""

    content: Content = UNSET
    name: Text = UNSET


AnyMessage: TypeAlias = (
    SystemMessage
    | DeveloperMessage
    | UserMessage
    | AssistantMessage
    | ToolMessage
    | FunctionMessage
)

# --- requests ----------------------------------------------------------------------


class FunctionObject(Wire):
    """A function's definition, inside a tool or in the legacy `functions`."""

    name: str
    description: Text = UNSET
    parameters: Any_ = UNSET
    strict: Flag = UNSET


class FunctionTool(Wire, tag_field="type", tag="function"):
    """`{"type": "function"}`."""

    function: FunctionObject
    cache_control: Any_ = UNSET


class CustomObject(Wire):
    """A custom tool's definition."""

    name: str
    description: Text = UNSET
    format: Any_ = UNSET


class CustomTool(Wire, tag_field="type", tag="custom"):
    """`{"type": "custom"}`."""

    custom: CustomObject


class RequestBody(Wire):
    """The body of `POST /v1/chat/completions`."""

    messages: list[AnyMessage]
    model: Text = UNSET
    stream: Flag = UNSET
    stream_options: Any_ = UNSET
    max_completion_tokens: Int = UNSET
    max_tokens: Int = UNSET
    temperature: Number = UNSET
    top_p: Number = UNSET
    top_k: Number = UNSET
    min_p: Number = UNSET
    repetition_penalty: Number = UNSET
    frequency_penalty: Number = UNSET
    presence_penalty: Number = UNSET
    seed: Int = UNSET
    random_seed: Int = UNSET
    n: Int = UNSET
    stop: str | list[str] | UnsetType | None = UNSET
    logit_bias: Any_ = UNSET
    logprobs: Flag = UNSET
    top_logprobs: Int = UNSET
    tools: list[FunctionTool | CustomTool | Raw] | UnsetType | None = UNSET
    tool_choice: Any_ = UNSET
    parallel_tool_calls: Flag = UNSET
    functions: list[FunctionObject] | UnsetType | None = UNSET
    function_call: Any_ = UNSET
    response_format: Any_ = UNSET
    verbosity: Text = UNSET
    modalities: list[str] | UnsetType | None = UNSET
    audio: Any_ = UNSET
    prediction: Any_ = UNSET
    store: Flag = UNSET
    metadata: Any_ = UNSET
    service_tier: Text = UNSET
    user: Text = UNSET
    safety_identifier: Text = UNSET
    prompt_cache_key: Text = UNSET
    web_search_options: Any_ = UNSET
    # How to think: OpenAI, OpenRouter, DeepSeek and others, DashScope.
    reasoning_effort: Any_ = UNSET
    reasoning: Any_ = UNSET
    thinking: Any_ = UNSET
    enable_thinking: Any_ = UNSET
    thinking_budget: Any_ = UNSET
    # No neutral form.
    prompt_cache_options: Any_ = UNSET
    prompt_cache_retention: Any_ = UNSET
    moderation: Any_ = UNSET
    provider: Any_ = UNSET
    chat_template_kwargs: Any_ = UNSET


# --- answers -----------------------------------------------------------------------


class TokenEntry(Wire):
    """One token of a list of log probabilities."""

    token: str
    logprob: int | float | UnsetType | None = UNSET
    bytes: list[int] | UnsetType | None = UNSET
    top_logprobs: list[TokenEntry] | UnsetType | None = UNSET


class PromptDetails(Wire):
    """`usage.prompt_tokens_details`."""

    cached_tokens: Int = UNSET
    cache_write_tokens: Int = UNSET
    audio_tokens: Int = UNSET
    image_tokens: Int = UNSET


class CompletionDetails(Wire):
    """`usage.completion_tokens_details`."""

    reasoning_tokens: Int = UNSET
    audio_tokens: Int = UNSET
    image_tokens: Int = UNSET
    accepted_prediction_tokens: Int = UNSET
    rejected_prediction_tokens: Int = UNSET


class WireUsage(Wire):
    """`usage`."""

    prompt_tokens: Int = UNSET
    completion_tokens: Int = UNSET
    total_tokens: Int = UNSET
    prompt_tokens_details: PromptDetails | UnsetType | None = UNSET
    completion_tokens_details: CompletionDetails | UnsetType | None = UNSET


class AnswerChoice(Wire):
    """One of `choices`, in a whole body."""

    index: Int = UNSET
    message: AnswerMessage | UnsetType | None = UNSET
    finish_reason: Text = UNSET
    logprobs: Any_ = UNSET


class Answer(Wire):
    """`chat.completion`."""

    choices: list[AnswerChoice]
    id: Text = UNSET
    object: Text = UNSET
    created: int | float | UnsetType | None = UNSET
    model: Text = UNSET
    usage: Any_ = UNSET
    service_tier: Text = UNSET
    system_fingerprint: Any_ = UNSET


class DeltaFunction(Wire):
    """Growth of a function call."""

    name: Text = UNSET
    arguments: Text = UNSET


class DeltaCall(Wire):
    """One entry of `delta.tool_calls`."""

    index: Int = UNSET
    id: Text = UNSET
    type: Text = UNSET
    function: DeltaFunction | UnsetType | None = UNSET
    custom: CalledCustom | UnsetType | None = UNSET


class Delta(Wire):
    """`choices[].delta`."""

    content: str | list[Raw] | UnsetType | None = UNSET
    role: Text = UNSET
    refusal: Text = UNSET
    tool_calls: list[DeltaCall] | UnsetType | None = UNSET
    function_call: DeltaFunction | UnsetType | None = UNSET
    reasoning_content: Text = UNSET
    reasoning: Text = UNSET
    reasoning_text: Text = UNSET
    reasoning_details: list[Raw] | UnsetType | None = UNSET
    annotations: list[Raw] | UnsetType | None = UNSET
    audio: Any_ = UNSET


class ChunkChoice(Wire):
    """One of `choices`, in a stream."""

    index: Int = UNSET
    delta: Delta | UnsetType | None = UNSET
    finish_reason: Text = UNSET
    logprobs: Any_ = UNSET
    usage: Any_ = UNSET
    message: Any_ = UNSET


class Chunk(Wire):
    """`chat.completion.chunk`."""

    id: Text = UNSET
    object: Text = UNSET
    created: int | float | UnsetType | None = UNSET
    model: Text = UNSET
    choices: list[ChunkChoice] | UnsetType | None = UNSET
    usage: Any_ = UNSET
    service_tier: Text = UNSET
    error: Any_ = UNSET
    # Padding against traffic analysis.
    obfuscation: Any_ = UNSET
    p: Any_ = UNSET
    padding: Any_ = UNSET
