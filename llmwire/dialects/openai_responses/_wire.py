"""What the Responses API looks like on the wire: structs, and nothing that is done.

An absent member is `UNSET`, an explicit null None. Members that are not modelled but
common are declared as `Raw`, so that reading stays strict; the rest are strangers of
`_json.Wire`. Items and parts are open unions: what has no struct here stays raw.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from msgspec import UNSET, Raw, Struct, UnsetType

from llmwire._json import Wire

Text: TypeAlias = str | UnsetType | None
Maybe: TypeAlias = Raw | UnsetType
Number: TypeAlias = int | float | UnsetType | None


class Body(Wire):
    """A request to generate, or to count tokens."""

    model: Text = UNSET
    input: str | list[Raw] | UnsetType | None = UNSET
    instructions: Text = UNSET
    previous_response_id: Text = UNSET
    conversation: Maybe = UNSET
    prompt: Maybe = UNSET
    store: bool | UnsetType | None = UNSET
    include: list[str] | UnsetType | None = UNSET
    max_output_tokens: int | UnsetType | None = UNSET
    parallel_tool_calls: bool | UnsetType | None = UNSET
    tools: list[Raw] | UnsetType | None = UNSET
    tool_choice: Maybe = UNSET
    reasoning: Maybe = UNSET
    text: Maybe = UNSET
    temperature: Number = UNSET
    top_p: Number = UNSET
    top_logprobs: int | UnsetType | None = UNSET
    truncation: Text = UNSET
    stream: bool | UnsetType | None = UNSET
    metadata: Maybe = UNSET
    user: Text = UNSET
    safety_identifier: Text = UNSET
    prompt_cache_key: Text = UNSET
    service_tier: Text = UNSET
    # Not modelled, replayed as they are.
    type: Maybe = UNSET
    background: Maybe = UNSET
    context_management: Maybe = UNSET
    max_tool_calls: Maybe = UNSET
    moderation: Maybe = UNSET
    prompt_cache_options: Maybe = UNSET
    prompt_cache_retention: Maybe = UNSET
    stream_options: Maybe = UNSET


UNMODELLED: Final = (
    "type",
    "background",
    "context_management",
    "max_tool_calls",
    "moderation",
    "prompt_cache_options",
    "prompt_cache_retention",
    "stream_options",
)
"""Members of `Body` that go to extras."""


class AudioWire(Wire):
    """The inside of `input_audio`."""

    data: str
    format: str


class Message(Wire, tag_field="type", tag="message"):
    """What somebody says."""

    role: str
    content: str | list[Raw]
    id: Text = UNSET
    status: Text = UNSET
    phase: Text = UNSET


class EasyMessage(Wire):
    """The same without its type, as clients may write it."""

    role: str
    content: str | list[Raw]
    id: Text = UNSET
    status: Text = UNSET
    phase: Text = UNSET


class Thought(Wire, tag_field="type", tag="reasoning"):
    """Reasoning."""

    summary: list[Raw] | UnsetType | None = UNSET
    content: list[Raw] | UnsetType | None = UNSET
    encrypted_content: Text = UNSET
    id: Text = UNSET
    status: Text = UNSET
    format: Maybe = UNSET


class FunctionCall(Wire, kw_only=True, tag_field="type", tag="function_call"):
    """A call that the client runs."""

    call_id: Text = UNSET
    name: str
    arguments: str
    id: Text = UNSET
    status: Text = UNSET
    namespace: Maybe = UNSET
    caller: Maybe = UNSET


class FunctionOutput(Wire, tag_field="type", tag="function_call_output"):
    """What such a call gave."""

    call_id: str
    output: str | list[Raw]
    id: Text = UNSET
    status: Text = UNSET
    name: Text = UNSET


class CustomCall(Wire, kw_only=True, tag_field="type", tag="custom_tool_call"):
    """A call with free text as input."""

    call_id: Text = UNSET
    name: str
    input: str
    id: Text = UNSET
    status: Text = UNSET
    namespace: Maybe = UNSET
    caller: Maybe = UNSET


class CustomOutput(Wire, tag_field="type", tag="custom_tool_call_output"):
    """What such a call gave."""

    call_id: str
    output: str | list[Raw]
    id: Text = UNSET
    status: Text = UNSET
    name: Text = UNSET


ItemWire: TypeAlias = (
    Message | Thought | FunctionCall | FunctionOutput | CustomCall | CustomOutput
)
"""Every item that is modelled; hosted and unknown ones stay raw."""


class ServerItem(Struct):
    """What is read of an item that stays raw."""

    type: str
    id: str | UnsetType | None = UNSET
    call_id: str | UnsetType | None = UNSET
    status: str | UnsetType | None = UNSET
    role: str | UnsetType | None = UNSET


class InputText(Wire, tag_field="type", tag="input_text"):
    """What a user says."""

    text: str
    prompt_cache_breakpoint: Maybe = UNSET


class OutputText(Wire, tag_field="type", tag="output_text"):
    """What a model says."""

    text: str
    annotations: list[Raw] | UnsetType | None = UNSET
    logprobs: list[Raw] | UnsetType | None = UNSET
    prompt_cache_breakpoint: Maybe = UNSET


class BareText(Wire, tag_field="type", tag="text"):
    """Text under the name that Chat gives it, which servers accept."""

    text: str
    prompt_cache_breakpoint: Maybe = UNSET


class Refusal(Wire, tag_field="type", tag="refusal"):
    """Words in which the model declines."""

    refusal: str


class InputImage(Wire, tag_field="type", tag="input_image"):
    """An image."""

    image_url: Text = UNSET
    file_id: Text = UNSET
    detail: Text = UNSET
    prompt_cache_breakpoint: Maybe = UNSET


class InputFile(Wire, tag_field="type", tag="input_file"):
    """A document."""

    file_id: Text = UNSET
    file_url: Text = UNSET
    file_data: Text = UNSET
    filename: Text = UNSET
    detail: Text = UNSET
    prompt_cache_breakpoint: Maybe = UNSET


class InputAudio(Wire, tag_field="type", tag="input_audio"):
    """A sound."""

    input_audio: AudioWire
    prompt_cache_breakpoint: Maybe = UNSET


ContentWire: TypeAlias = (
    InputText | OutputText | BareText | Refusal | InputImage | InputFile | InputAudio
)
"""Every part of a message or of an output that is modelled."""


class SegmentWire(Wire):
    """One text of a thought: a summary or raw reasoning."""

    type: str
    text: str


class BreakpointWire(Wire):
    """A prompt-cache breakpoint."""

    mode: Text = UNSET
    ttl: Text = UNSET


class AnnotationWire(Struct):
    """What citations have in common; strangers stay in the raw annotation."""

    type: str = ""
    url: str | None = None
    title: str | None = None
    start_index: int | None = None
    end_index: int | None = None
    file_id: str | None = None
    filename: str | None = None


class LogprobWire(Wire):
    """A token with its log probability."""

    token: str
    logprob: float | None = None
    bytes: list[int] | UnsetType | None = UNSET
    top_logprobs: list[Raw] | UnsetType | None = UNSET


class ToolWire(Wire):
    """A tool's definition: functions and custom tools; others stay raw."""

    type: Text = UNSET
    name: Text = UNSET
    description: Text = UNSET
    parameters: Maybe = UNSET
    strict: bool | UnsetType | None = UNSET
    format: Maybe = UNSET
    # Not modelled.
    defer_loading: Maybe = UNSET
    allowed_callers: Maybe = UNSET
    output_schema: Maybe = UNSET


class NamedWire(Wire):
    """A choice of one tool, and an entry of a list of allowed tools."""

    type: str
    name: str


class AllowedWire(Wire):
    """A choice of some tools."""

    type: str
    mode: str
    tools: list[NamedWire]


class ReasoningWire(Wire):
    """How to think."""

    effort: Text = UNSET
    summary: Text = UNSET


class TextWire(Wire):
    """The shape and length of the answer's text."""

    format: Maybe = UNSET
    verbosity: Text = UNSET


class FormatWire(Wire):
    """The shape of the answer's text."""

    type: str
    name: Text = UNSET
    schema: Maybe = UNSET
    strict: bool | UnsetType | None = UNSET
    description: Text = UNSET


class HeadWire(Struct):
    """The members that say what an object is."""

    type: Any = None
    object: Any = None
    status: Any = None
    error: Maybe = UNSET
    output: Maybe = UNSET


# Events of a stream. What is `Any` is positional or padding: whatever stands there, the
# frame is read.


class _Event(Wire, kw_only=True, tag_field="type"):
    sequence_number: Any = None
    item_id: Any = None
    output_index: int | UnsetType = UNSET
    content_index: Any = None
    obfuscation: Any = None


class _LifeEvent(_Event):
    response: Raw


class Created(_LifeEvent, tag="response.created"):
    pass


class Queued(_LifeEvent, tag="response.queued"):
    pass


class InProgress(_LifeEvent, tag="response.in_progress"):
    pass


class Completed(_LifeEvent, tag="response.completed"):
    pass


class Incomplete(_LifeEvent, tag="response.incomplete"):
    pass


class Failed(_LifeEvent, tag="response.failed"):
    pass


class Cancelled(_LifeEvent, tag="response.cancelled"):
    pass


class ItemAdded(_Event, tag="response.output_item.added"):
    item: Raw


class ItemDone(_Event, tag="response.output_item.done"):
    item: Raw


class ContentAdded(_Event, tag="response.content_part.added"):
    part: Raw


class ContentDone(_Event, tag="response.content_part.done"):
    part: Raw


class ThoughtAdded(_Event, tag="response.reasoning_part.added"):
    part: Maybe = UNSET


class ThoughtDone(_Event, tag="response.reasoning_part.done"):
    part: Maybe = UNSET


class SummaryAdded(_Event, tag="response.reasoning_summary_part.added"):
    summary_index: int = 0
    part: Maybe = UNSET
    status: Maybe = UNSET


class SummaryDone(_Event, tag="response.reasoning_summary_part.done"):
    summary_index: int = 0
    part: Maybe = UNSET
    status: Maybe = UNSET


class _DeltaEvent(_Event):
    delta: str | None = None


class OutputTextDelta(_DeltaEvent, tag="response.output_text.delta"):
    logprobs: list[Raw] | None = None


class RefusalTextDelta(_DeltaEvent, tag="response.refusal.delta"):
    pass


class SummaryDelta(_DeltaEvent, tag="response.reasoning_summary_text.delta"):
    summary_index: int = 0


class ThoughtDelta(_DeltaEvent, tag="response.reasoning_text.delta"):
    pass


class CallDelta(_DeltaEvent, tag="response.function_call_arguments.delta"):
    pass


class CustomDelta(_DeltaEvent, tag="response.custom_tool_call_input.delta"):
    pass


class OutputTextDone(_Event, tag="response.output_text.done"):
    text: str | None = None
    logprobs: list[Raw] | None = None


class RefusalDone(_Event, tag="response.refusal.done"):
    refusal: str | None = None


class SummaryTextDone(_Event, tag="response.reasoning_summary_text.done"):
    text: str | None = None
    summary_index: int = 0


class ThoughtTextDone(_Event, tag="response.reasoning_text.done"):
    text: str | None = None


class CallDone(_Event, tag="response.function_call_arguments.done"):
    arguments: str | None = None
    name: Any = None


class CustomDone(_Event, tag="response.custom_tool_call_input.done"):
    input: str | None = None


class AnnotationAdded(_Event, tag="response.output_text.annotation.added"):
    annotation: Raw
    annotation_index: Any = None


class ErrorEvent(_Event, tag="error"):
    code: Any = None
    message: Any = None
    param: Any = None
    error: Maybe = UNSET


class KeepAlive(_Event, tag="keepalive"):
    pass


EventWire: TypeAlias = (
    OutputTextDelta
    | SummaryDelta
    | ThoughtDelta
    | CallDelta
    | CustomDelta
    | RefusalTextDelta
    | Created
    | Queued
    | InProgress
    | Completed
    | Incomplete
    | Failed
    | Cancelled
    | ItemAdded
    | ItemDone
    | ContentAdded
    | ContentDone
    | ThoughtAdded
    | ThoughtDone
    | SummaryAdded
    | SummaryDone
    | OutputTextDone
    | RefusalDone
    | SummaryTextDone
    | ThoughtTextDone
    | CallDone
    | CustomDone
    | AnnotationAdded
    | ErrorEvent
    | KeepAlive
)
"""Every event that is modelled; others have no neutral form."""
