"""The official clients of four vendors, behind one small face.

A `Speaker` says the same thing in its vendor's words and reads the answer with its
vendor's types: what a program written for that client would see.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from typing import Any, ClassVar, Protocol

import anthropic
import openai
from google import genai
from google.genai import errors, types
from msgspec import Struct, field

__all__ = ("SPEAKERS", "Answer", "Call", "Speaker")

PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAA"
    "AABJRU5ErkJggg=="
)
TOOLS = {
    "get_weather": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city", "days"],
        "additionalProperties": False,
    },
    "get_time": {
        "type": "object",
        "properties": {"zone": {"type": "string", "enum": ["UTC", "CET"]}},
        "required": ["zone"],
        "additionalProperties": False,
    },
}
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


class Call(Struct, frozen=True):
    """A tool that the model wants run."""

    id: str
    name: str
    arguments: Any


class Answer(Struct, kw_only=True):
    """What the client read."""

    text: str = ""
    thought: str = ""
    calls: list[Call] = field(default_factory=list)
    stop: str = ""
    input: int = 0
    output: int = 0
    pieces: int = 0
    """Of the text, in a stream."""
    turn: Any = None
    """The answer as the client sends it back."""


class Speaker(Protocol):
    """One vendor's client."""

    failures: ClassVar[dict[int, type[Exception]]]
    """What it raises for a status."""
    broken: ClassVar[tuple[type[Exception], ...]]
    """What it raises for a stream that breaks."""
    stops: ClassVar[tuple[str, str, str]]
    """Its words for an end, a call, a limit."""

    def __init__(self, root: str, model: str) -> None: ...

    def ask(self, text: str, *, stream: bool = False, **wishes: Any) -> Answer:
        """Wishes: `tools`, `think`, `schema`, `picture` (bool); `history`: the answer
        that was given to `text`, and the results of its calls."""

    def count(self, text: str) -> int | None:
        """Tokens of `text`; None where the client cannot ask."""

    def models(self) -> list[str]:
        """The names that it lists."""

    def close(self) -> None:
        """Give back its connections."""


class _OpenAI:
    failures: ClassVar[dict[int, type[Exception]]] = {
        400: openai.BadRequestError,
        401: openai.AuthenticationError,
        404: openai.NotFoundError,
        429: openai.RateLimitError,
        500: openai.InternalServerError,
        503: openai.InternalServerError,
    }
    broken: ClassVar[tuple[type[Exception], ...]] = (openai.APIError,)

    def __init__(self, root: str, model: str) -> None:
        self.model = model
        self.client = openai.OpenAI(
            api_key="client-secret", base_url=f"{root}/v1", max_retries=0
        )

    def models(self) -> list[str]:
        return [model.id for model in self.client.models.list()]

    def close(self) -> None:
        self.client.close()


class Chat(_OpenAI):
    stops: ClassVar[tuple[str, str, str]] = ("stop", "tool_calls", "length")

    def ask(self, text: str, *, stream: bool = False, **wishes: Any) -> Answer:
        fields = self._fields(text, wishes)
        create: Any = self.client.chat.completions.create
        if not stream:
            return self._whole(create(**fields))
        options = {"include_usage": True}
        return self._streamed(create(stream=True, stream_options=options, **fields))

    def count(self, text: str) -> int | None:
        return None

    def _fields(self, text: str, wishes: dict[str, Any]) -> dict[str, Any]:
        content: Any = text
        if wishes.get("picture"):
            url = "data:image/png;base64," + base64.b64encode(PICTURE).decode()
            content = [
                {"type": "text", "text": text},
                {"type": "image_url", "image_url": {"url": url}},
            ]
        messages: list[Any] = [{"role": "user", "content": content}]
        if "history" in wishes:
            answer, results = wishes["history"]
            messages.append(answer.turn)
            messages += [
                {"role": "tool", "tool_call_id": call.id, "content": result}
                for call, result in zip(answer.calls, results, strict=True)
            ]
        fields: dict[str, Any] = {"model": self.model, "messages": messages}
        if wishes.get("tools"):
            fields["tools"] = [
                {"type": "function", "function": {"name": name, "parameters": schema}}
                for name, schema in TOOLS.items()
            ]
        if wishes.get("think"):
            fields["reasoning_effort"] = "high"
        if wishes.get("schema"):
            named = {"name": "person", "schema": SCHEMA, "strict": True}
            fields["response_format"] = {"type": "json_schema", "json_schema": named}
        return fields

    def _whole(self, found: Any) -> Answer:
        [choice] = found.choices
        message = choice.message
        return Answer(
            text=message.content or "",
            thought=getattr(message, "reasoning_content", None) or "",
            calls=[
                Call(each.id, each.function.name, json.loads(each.function.arguments))
                for each in message.tool_calls or ()
            ],
            stop=choice.finish_reason,
            input=found.usage.prompt_tokens,
            output=found.usage.completion_tokens,
            turn=message.to_dict(),
        )

    def _streamed(self, chunks: Iterable[Any]) -> Answer:
        answer = Answer()
        calls: dict[int, list[str]] = {}
        for chunk in chunks:
            if chunk.usage is not None:
                answer.input = chunk.usage.prompt_tokens
                answer.output = chunk.usage.completion_tokens
            for choice in chunk.choices:
                delta = choice.delta
                answer.text += delta.content or ""
                answer.pieces += bool(delta.content)
                answer.thought += getattr(delta, "reasoning_content", None) or ""
                for each in delta.tool_calls or ():
                    call = calls.setdefault(each.index, ["", "", ""])
                    call[0] = each.id or call[0]
                    call[1] += each.function.name or ""
                    call[2] += each.function.arguments or ""
                answer.stop = choice.finish_reason or answer.stop
        answer.calls = [Call(i, n, json.loads(a)) for i, n, a in calls.values()]
        return answer


class Responses(_OpenAI):
    stops: ClassVar[tuple[str, str, str]] = ("completed", "completed", "incomplete")

    def ask(self, text: str, *, stream: bool = False, **wishes: Any) -> Answer:
        fields = self._fields(text, wishes)
        create: Any = self.client.responses.create
        if not stream:
            return self._whole(create(**fields))
        pieces, last = 0, None
        for event in create(stream=True, **fields):
            pieces += event.type == "response.output_text.delta"
            last = event
            if event.type in ("response.failed", "error"):
                raise openai.APIError(str(event), None, body=None)  # type: ignore[arg-type]  # as a program would
        answer = self._whole(last.response) if last else Answer()
        answer.pieces = pieces
        return answer

    def count(self, text: str) -> int | None:
        counted = self.client.responses.input_tokens.count(model=self.model, input=text)
        return counted.input_tokens

    def _fields(self, text: str, wishes: dict[str, Any]) -> dict[str, Any]:
        content: list[Any] = [{"type": "input_text", "text": text}]
        if wishes.get("picture"):
            url = "data:image/png;base64," + base64.b64encode(PICTURE).decode()
            content.append({"type": "input_image", "image_url": url, "detail": "auto"})
        items: list[Any] = [{"role": "user", "content": content}]
        if "history" in wishes:
            answer, results = wishes["history"]
            items += answer.turn
            items += [
                {"type": "function_call_output", "call_id": call.id, "output": result}
                for call, result in zip(answer.calls, results, strict=True)
            ]
        fields: dict[str, Any] = {"model": self.model, "input": items, "store": False}
        if wishes.get("tools"):
            fields["tools"] = [
                {"type": "function", "name": name, "parameters": schema, "strict": True}
                for name, schema in TOOLS.items()
            ]
        if wishes.get("think"):
            fields["reasoning"] = {"effort": "high", "summary": "auto"}
            fields["include"] = ["reasoning.encrypted_content"]
        if wishes.get("schema"):
            named = {"type": "json_schema", "name": "person", "schema": SCHEMA}
            fields["text"] = {"format": {**named, "strict": True}}
        return fields

    def _whole(self, found: Any) -> Answer:
        answer = Answer(
            text=found.output_text,
            stop=found.status,
            input=found.usage.input_tokens if found.usage else 0,
            output=found.usage.output_tokens if found.usage else 0,
            turn=[item.to_dict() for item in found.output],
        )
        for item in found.output:
            if item.type == "function_call":
                arguments = json.loads(item.arguments)
                answer.calls.append(Call(item.call_id, item.name, arguments))
            elif item.type == "reasoning":
                thoughts = [*item.summary, *(item.content or ())]
                answer.thought += "".join(each.text for each in thoughts)
        return answer


class Claude:
    failures: ClassVar[dict[int, type[Exception]]] = {
        400: anthropic.BadRequestError,
        401: anthropic.AuthenticationError,
        404: anthropic.NotFoundError,
        429: anthropic.RateLimitError,
        500: anthropic.InternalServerError,
        503: anthropic.APIStatusError,
    }
    broken: ClassVar[tuple[type[Exception], ...]] = (anthropic.APIError,)
    stops: ClassVar[tuple[str, str, str]] = ("end_turn", "tool_use", "max_tokens")

    def __init__(self, root: str, model: str) -> None:
        self.model = model
        self.client = anthropic.Anthropic(
            api_key="client-secret", base_url=root, max_retries=0
        )

    def ask(self, text: str, *, stream: bool = False, **wishes: Any) -> Answer:
        fields = self._fields(text, wishes)
        messages: Any = self.client.messages
        if not stream:
            return self._whole(messages.create(**fields))
        pieces = 0
        with messages.stream(**fields) as opened:
            for event in opened:
                pieces += event.type == "text"
            answer = self._whole(opened.get_final_message())
        answer.pieces = pieces
        return answer

    def count(self, text: str) -> int | None:
        counted = self.client.messages.count_tokens(
            model=self.model, messages=[{"role": "user", "content": text}]
        )
        return counted.input_tokens

    def models(self) -> list[str]:
        return [model.id for model in self.client.models.list()]

    def close(self) -> None:
        self.client.close()

    def _fields(self, text: str, wishes: dict[str, Any]) -> dict[str, Any]:
        content: list[Any] = [{"type": "text", "text": text}]
        if wishes.get("picture"):
            data = base64.b64encode(PICTURE).decode()
            source = {"type": "base64", "media_type": "image/png", "data": data}
            content.append({"type": "image", "source": source})
        messages: list[Any] = [{"role": "user", "content": content}]
        if "history" in wishes:
            answer, results = wishes["history"]
            messages.append({"role": "assistant", "content": answer.turn})
            blocks = [
                {"type": "tool_result", "tool_use_id": call.id, "content": result}
                for call, result in zip(answer.calls, results, strict=True)
            ]
            messages.append({"role": "user", "content": blocks})
        fields: dict[str, Any] = {"max_tokens": 4096, "model": self.model}
        fields["messages"] = messages
        if wishes.get("tools"):
            fields["tools"] = [
                {"name": name, "input_schema": schema} for name, schema in TOOLS.items()
            ]
        if wishes.get("think"):
            fields["thinking"] = {"type": "enabled", "budget_tokens": 1024}
        if wishes.get("schema"):
            wanted = {"type": "json_schema", "schema": SCHEMA}
            fields["output_config"] = {"format": wanted}
        return fields

    def _whole(self, found: Any) -> Answer:
        answer = Answer(
            stop=found.stop_reason,
            input=found.usage.input_tokens,
            output=found.usage.output_tokens,
            turn=[block.to_dict() for block in found.content],
        )
        for block in found.content:
            if block.type == "text":
                answer.text += block.text
            elif block.type == "thinking":
                answer.thought += block.thinking
            elif block.type == "tool_use":
                answer.calls.append(Call(block.id, block.name, block.input))
        return answer


class Gemini:
    failures: ClassVar[dict[int, type[Exception]]] = {
        400: errors.ClientError,
        401: errors.ClientError,
        404: errors.ClientError,
        429: errors.ClientError,
        500: errors.ServerError,
        503: errors.ServerError,
    }
    broken: ClassVar[tuple[type[Exception], ...]] = (errors.APIError,)
    stops: ClassVar[tuple[str, str, str]] = ("STOP", "STOP", "MAX_TOKENS")

    def __init__(self, root: str, model: str) -> None:
        self.model = model
        self.client = genai.Client(
            api_key="client-secret", http_options=types.HttpOptions(base_url=root)
        )

    def ask(self, text: str, *, stream: bool = False, **wishes: Any) -> Answer:
        contents = self._contents(text, wishes)
        config = self._config(wishes)
        models: Any = self.client.models
        if not stream:
            found = models.generate_content(
                model=self.model, contents=contents, config=config
            )
            return self._read([found])
        return self._read(
            models.generate_content_stream(
                model=self.model, contents=contents, config=config
            )
        )

    def count(self, text: str) -> int | None:
        counted = self.client.models.count_tokens(model=self.model, contents=text)
        return counted.total_tokens

    def models(self) -> list[str]:
        return [str(model.name) for model in self.client.models.list()]

    def close(self) -> None:
        self.client.close()

    def _contents(self, text: str, wishes: dict[str, Any]) -> list[types.Content]:
        parts = [types.Part(text=text)]
        if wishes.get("picture"):
            parts.append(types.Part.from_bytes(data=PICTURE, mime_type="image/png"))
        contents = [types.Content(role="user", parts=parts)]
        if "history" in wishes:
            answer, results = wishes["history"]
            contents.append(types.Content(role="model", parts=answer.turn))
            replies = [
                types.Part(
                    function_response=types.FunctionResponse(
                        id=call.id, name=call.name, response={"output": result}
                    )
                )
                for call, result in zip(answer.calls, results, strict=True)
            ]
            contents.append(types.Content(role="user", parts=replies))
        return contents

    def _config(self, wishes: dict[str, Any]) -> types.GenerateContentConfig:
        config = types.GenerateContentConfig()
        if wishes.get("tools"):
            declared = [
                types.FunctionDeclaration(name=name, parameters_json_schema=schema)
                for name, schema in TOOLS.items()
            ]
            config.tools = [types.Tool(function_declarations=declared)]
        if wishes.get("think"):
            config.thinking_config = types.ThinkingConfig(
                include_thoughts=True, thinking_budget=1024
            )
        if wishes.get("schema"):
            config.response_mime_type = "application/json"
            config.response_json_schema = SCHEMA
        return config

    def _read(self, chunks: Iterable[Any]) -> Answer:
        answer = Answer(turn=[])
        for chunk in chunks:
            usage = chunk.usage_metadata
            if usage is not None:
                answer.input = usage.prompt_token_count or 0
                answer.output = (usage.candidates_token_count or 0) + (
                    usage.thoughts_token_count or 0
                )
            for candidate in chunk.candidates or ():
                if candidate.finish_reason is not None:
                    answer.stop = candidate.finish_reason.value
                content = candidate.content
                for part in (content and content.parts) or ():
                    answer.turn.append(part)
                    if part.function_call is not None:
                        call = part.function_call
                        answer.calls.append(Call(call.id or "", call.name, call.args))
                    elif part.thought:
                        answer.thought += part.text or ""
                    else:
                        answer.text += part.text or ""
                        answer.pieces += bool(part.text)
        return answer


SPEAKERS: dict[str, type[Speaker]] = {
    "openai-chat": Chat,
    "openai-responses": Responses,
    "anthropic": Claude,
    "gemini": Gemini,
}
