"""What agents key on: errors that must be told in the words of the client's dialect."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from llmwire import APIError, StreamEncoder, translate_error
from llmwire.dialects import ModelInfo, ModelList, dialects, get
from llmwire.events import MessageStart, StreamError
from llmwire.messages import ErrorKind

SAID: dict[str, Any] = {
    "openai-chat": {
        "error": {
            "message": "This model's maximum context length is 128000 tokens.",
            "type": "invalid_request_error",
            "param": "messages",
            "code": "context_length_exceeded",
        }
    },
    "openai-responses": {
        "error": {
            "message": "Your input exceeds the context window of this model.",
            "type": "invalid_request_error",
            "param": "input",
            "code": "context_length_exceeded",
        }
    },
    "anthropic": {
        "type": "error",
        "error": {
            "type": "invalid_request_error",
            "message": "prompt is too long: 210000 tokens > 200000 maximum",
        },
    },
    "gemini": {
        "error": {
            "code": 400,
            "message": "The input token count (9) exceeds the maximum number of "
            "tokens allowed (8).",
            "status": "INVALID_ARGUMENT",
        }
    },
}


def _message(body: bytes) -> Any:
    return json.loads(body)["error"]


@pytest.mark.parametrize("client", dialects())
@pytest.mark.parametrize("server", SAID)
def test_a_full_context_is_told_as_the_clients_dialect_has_it(
    server: str, client: str
) -> None:
    body = json.dumps(SAID[server]).encode()
    reply = translate_error(400, body, server, client)
    error = _message(reply.body)
    assert reply.status == 400
    if client.startswith("openai"):
        assert error["code"] == "context_length_exceeded"
        assert error["type"] == "invalid_request_error"
    elif client == "anthropic":
        assert error["type"] == "invalid_request_error"
        assert error["message"].count("prompt is too long") == 1
    else:
        assert error["status"] == "INVALID_ARGUMENT"
        assert error["message"].count("input token count") == 1
        assert "exceeds the maximum number of tokens" in error["message"]
    said = SAID[server]["error"]
    assert said["message"] in error["message"]


def test_a_failed_response_names_the_full_context() -> None:
    encoder = StreamEncoder("openai-responses", created=1, id="r")
    error = APIError(kind="context_length", message="prompt is too long: 9 > 8")
    out = encoder.send(MessageStart()) + encoder.send(StreamError(error))
    last = json.loads(out.rstrip().rpartition(b"data: ")[2])
    assert last["type"] == "response.failed"
    assert last["response"]["error"]["code"] == "context_length_exceeded"


@pytest.mark.parametrize(
    ("server", "client"),
    [("openai-chat", "openai-responses"), ("openai-responses", "openai-chat")],
)
def test_openais_dialects_share_their_codes(server: str, client: str) -> None:
    inner = {"message": "m", "type": "t", "code": "previous_response_not_found"}
    body = json.dumps({"error": inner}).encode()
    reply = translate_error(404, body, server, client)
    assert _message(reply.body)["code"] == "previous_response_not_found"


@pytest.mark.parametrize("client", ["openai-chat", "openai-responses"])
@pytest.mark.parametrize(
    ("kind", "dialect", "code", "told"),
    [
        ("invalid_request", None, "unsupported_value", "unsupported_value"),
        ("invalid_request", "anthropic", "own", None),
        ("not_found", None, "own", "model_not_found"),
        ("invalid_request", None, None, None),
    ],
)
def test_codes_of_nobodys_errors(
    client: str, kind: ErrorKind, dialect: str | None, code: str | None, told: str
) -> None:
    error = APIError(kind=kind, message="m", code=code, dialect=dialect)
    assert _message(get(client).encode_error(error).body)["code"] == told


# --- Entries of lists of models, under another name --------------------------------

LISTS: dict[str, Any] = {
    "openai-chat": {"object": "list", "data": [{"id": "m", "object": "model", "x": 1}]},
    "openai-responses": {
        "object": "list",
        "data": [{"id": "m", "object": "model", "x": 1}],
    },
    "anthropic": {
        "data": [{"type": "model", "id": "m", "capabilities": {"x": 1}}],
        "has_more": False,
        "first_id": "m",
        "last_id": "m",
    },
    "gemini": {"models": [{"name": "models/m", "temperature": 1.0}]},
}


@pytest.mark.parametrize("dialect", dialects())
def test_a_model_keeps_its_native_entry_under_another_name(dialect: str) -> None:
    codec = get(dialect)
    body = json.dumps(LISTS[dialect]).encode()
    models = codec.decode_models(body)
    assert json.loads(codec.encode_models(models)) == LISTS[dialect]
    [model] = models.models
    renamed = replace(model, id='a:"m"')
    expected = json.dumps(LISTS[dialect]).replace('"m"', r'"a:\"m\""')
    expected = expected.replace('"models/m"', r'"models/a:\"m\""')
    written = codec.encode_models(ModelList(models=(renamed,)))
    assert json.loads(written) == json.loads(expected)
    one = json.loads(codec.encode_model(renamed))
    assert one == json.loads(expected)["models" if dialect == "gemini" else "data"][0]
    foreign = ModelInfo(id="m", raw=model.raw, dialect="other")
    assert "x" not in json.loads(codec.encode_model(foreign))


@pytest.mark.parametrize("dialect", dialects())
def test_lists_are_asked_for_whole(dialect: str) -> None:
    codec = get(dialect)
    path = codec.models_path.partition("?")[0]
    assert path.endswith("/models")
    names = [name for name, _ in codec.models_headers]
    assert names == (["anthropic-version"] if dialect == "anthropic" else [])
