"""Traps 51 to 53: schemas that Gemini takes, and those that everybody else does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from llmwire import HTTPRequest, decode_request, encode_request
from tests.traps import CHAT, CLAUDE, GEMINI, RESPONSES, Object, ask

OLD, NEW = "gemini-2.0-flash", "gemini-3-pro"
KEYWORDS = """
    type format title description nullable enum maxItems minItems properties required
    minProperties maxProperties minLength maxLength pattern example anyOf default
    propertyOrdering items minimum maximum
"""
TYPES = ("OBJECT", "ARRAY", "STRING", "NUMBER", "INTEGER", "BOOLEAN")
ALLOWED = frozenset(KEYWORDS.split())
"""Keywords of Google's `Schema`; any other is a 400 for the whole request."""

SCHEMA: Object = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$id": "urn:trip",
    "type": "object",
    "additionalProperties": False,
    "$defs": {
        "Leg": {
            "type": "object",
            "properties": {
                "to": {"$ref": "#/$defs/Leg"},
                "km": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 9},
            },
        }
    },
    "properties": {
        "start": {"$ref": "#/$defs/Leg", "description": "First."},
        "kind": {"const": "fast"},
        "gear": {"enum": [1, 2]},
        "on": {"const": True},
        "note": {"type": ["string", "null"], "default": "x", "description": "A note."},
        "when": {"type": "string", "format": "date"},
        "tags": {
            "type": "array",
            "items": {"type": "string"},
            "uniqueItems": True,
            "contains": {"const": "a"},
        },
        "either": {"oneOf": [{"type": "string"}, {"type": "integer", "multipleOf": 5}]},
        "maybe": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "both": {
            "allOf": [
                {"type": "object", "properties": {"a": {"type": "string"}}},
                {"properties": {"b": {"type": "string"}}},
            ]
        },
        "map": {
            "type": "object",
            "patternProperties": {"^x": {"type": "string"}},
            "propertyNames": {"pattern": "^x"},
            "unevaluatedProperties": False,
        },
        "blob": {"type": "string", "contentSchema": {"type": "object"}},
        "const": {"type": "string"},
    },
    "required": ["start"],
}


def _asked(target: str, model: str, schema: Object = SCHEMA, **more: Any) -> Object:
    function = {"name": "go", "description": "Go.", "parameters": schema, **more}
    form = {"name": "r", "schema": schema, "strict": True}
    asked: Object = {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi"}],
        "tools": [{"type": "function", "function": function}],
        "response_format": {"type": "json_schema", "json_schema": form},
    }
    body, call = ask(CHAT, target, asked, model=model)
    assert model != OLD or ("tools[0].schema", "schema") in {
        (one.path, one.feature) for one in call.losses
    }
    return body


def _declared(body: Object) -> Object:
    [tool] = body["tools"]
    [found] = tool["functionDeclarations"]
    declaration: Object = found
    return declaration


def _schemas(node: Object) -> Iterator[Object]:
    """A schema and all inside it."""
    yield node
    inner = [*node.get("properties", {}).values(), *node.get("anyOf", [])]
    inner += [node["items"]] if "items" in node else []
    for one in inner:
        yield from _schemas(one)


# --- 51: what Gemini's older schema does not know ------------------------------------


def test_trap_51_only_keywords_that_gemini_knows() -> None:
    """No keyword outside Google's list reaches the server, at any depth, in tools or
    in the output's format; names of properties are not keywords.

    Fails at the names when one is passed on (each would reject the whole request), at
    `const` when a property of that name is removed like a keyword.
    """
    body = _asked(GEMINI, OLD)
    output = body["generationConfig"]["responseSchema"]
    for schema in (_declared(body)["parameters"], output):
        for one in _schemas(schema):
            assert one.keys() <= ALLOWED
            assert one.get("type") in (TYPES if "anyOf" not in one else (None,))
            assert all(isinstance(word, str) for word in one.get("enum", ()))
            assert one.get("format") in (None, "enum", "date-time")
        assert "const" in schema["properties"]


def test_trap_51_what_has_another_form_keeps_its_meaning() -> None:
    """References are inlined (a cycle ends in an object), `const` is an enum, a null
    type is `nullable`, `oneOf` is `anyOf`, `allOf` is merged.

    Fails at the property whose rewriting is lost.
    """
    schema = _declared(_asked(GEMINI, OLD))["parameters"]
    found = schema["properties"]
    assert found["start"]["properties"]["to"] == {"type": "OBJECT"}
    assert found["start"]["description"] == "First."
    assert found["kind"] == {"type": "STRING", "enum": ["fast"]}
    assert found["note"] == {
        "type": "STRING",
        "nullable": True,
        "default": "x",
        "description": "A note.",
    }
    assert found["maybe"] == {"type": "INTEGER", "nullable": True}
    assert [one["type"] for one in found["either"]["anyOf"]] == ["STRING", "INTEGER"]
    assert found["both"]["properties"].keys() == {"a", "b"}
    assert schema["required"] == ["start"]


@pytest.mark.parametrize(
    ("place", "word"),
    [
        ("gear", "enum: [1,2]"),
        ("on", "enum: [true]"),
        ("when", 'format: "date"'),
        ("tags", "uniqueItems: true"),
        ("tags", "contains"),
        ("map", "patternProperties"),
        ("map", "propertyNames"),
        ("map", "unevaluatedProperties"),
        ("blob", "contentSchema"),
    ],
)
def test_trap_51_what_has_none_is_told_in_words(place: str, word: str) -> None:
    """A constraint that cannot be a keyword stands in the description.

    Fails when it is dropped in silence.
    """
    found = _declared(_asked(GEMINI, OLD))["parameters"]["properties"]
    assert word in found[place]["description"]


def test_trap_51_numbers_inside_references_too() -> None:
    """Constraints inside inlined references are told like others.

    Fails when inlining copies the definition unchanged.
    """
    found = _declared(_asked(GEMINI, OLD))["parameters"]["properties"]
    km = found["start"]["properties"]["km"]
    assert "exclusiveMinimum: 0" in km["description"]
    assert "exclusiveMaximum: 9" in km["description"]


def test_trap_51_newer_models_get_the_schema_as_it_is() -> None:
    """Where the server reads JSON schema, nothing is rewritten.

    Fails at the equality when the cleaner runs for every model.
    """
    body = _asked(GEMINI, NEW)
    assert _declared(body)["parametersJsonSchema"] == SCHEMA
    assert "parameters" not in _declared(body)
    assert body["generationConfig"]["responseJsonSchema"] == SCHEMA


def test_trap_51_references_cannot_explode() -> None:
    """References that double at every level end at a bound, in a schema that is legal.

    Fails at the size when inlining is not bounded, at the types when the end of it is
    written in another way than the rest.
    """
    levels: Object = {"d0": {"type": "string"}}
    for at in range(1, 40):
        pointer = {"$ref": f"#/$defs/d{at - 1}"}
        pair = {"a": pointer, "b": pointer}
        levels[f"d{at}"] = {"type": "object", "properties": pair}
    bomb = {"type": "object", "properties": {"x": {"$ref": "#/$defs/d39"}}}
    body = _asked(GEMINI, OLD, {**bomb, "$defs": levels})
    assert len(json.dumps(body)) < 4_000_000
    schema = _declared(body)["parameters"]
    assert {one["type"] for one in _schemas(schema)} <= set(TYPES)


# --- 52: references in results -------------------------------------------------------


@pytest.mark.parametrize(
    "result",
    [
        '{"$ref": "#/x", "name": "n"}',
        '{"ref": "abc", "other": 1}',
        '{"deep": [{"$ref": "#/q", "z": 1}]}',
    ],
)
def test_trap_52_results_are_text(result: str) -> None:
    """A result that happens to hold `$ref` is the tool's words, not a reference: it
    goes as a string, from every dialect.

    Fails at the string when a result that is JSON is parsed into the response.
    """
    call = {"id": "call_7", "type": "function"}
    call["function"] = {"name": "dig", "arguments": "{}"}  # type: ignore[assignment]  # JSON
    chat: Object = {
        "model": "m",
        "messages": [
            {"role": "user", "content": "Dig."},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_7", "content": result},
        ],
    }
    use = {"type": "tool_use", "id": "toolu_7", "name": "dig", "input": {}}
    given = {"type": "tool_result", "tool_use_id": "toolu_7", "content": result}
    claude: Object = {
        "model": "m",
        "max_tokens": 9,
        "messages": [
            {"role": "user", "content": "Dig."},
            {"role": "assistant", "content": [use]},
            {"role": "user", "content": [given]},
        ],
    }
    said = {"type": "function_call", "call_id": "call_7", "name": "dig"}
    output = {"type": "function_call_output", "call_id": "call_7", "output": result}
    responses: Object = {"model": "m", "input": [{**said, "arguments": "{}"}, output]}
    for source, asked in ((CHAT, chat), (CLAUDE, claude), (RESPONSES, responses)):
        body, _ = ask(source, GEMINI, asked, model=NEW)
        [part] = [
            part["functionResponse"]
            for content in body["contents"]
            for part in content["parts"]
            if "functionResponse" in part
        ]
        assert part["response"] == {"output": result}


def test_trap_52_results_of_geminis_own_stay() -> None:
    """What a client of Gemini wrote as an object goes back as it was.

    Fails when wrapping is done to everything.
    """
    answer = {"functionResponse": {"name": "dig", "response": {"$ref": "#/q"}}}
    asked: Object = {
        "contents": [
            {"role": "user", "parts": [{"text": "Dig."}]},
            {"role": "model", "parts": [{"functionCall": {"name": "dig"}}]},
            {"role": "user", "parts": [answer]},
        ]
    }
    assert ask(GEMINI, GEMINI, asked, model=NEW)[0]["contents"][2]["parts"] == [answer]


# --- 53: one cleaner for each target -------------------------------------------------


def test_trap_53_other_targets_get_the_schema_as_it_is() -> None:
    """Types in small letters, unions with null, `additionalProperties: false` and all:
    strict servers need them.

    Fails at the equality when Gemini's cleaner is used for another dialect.
    """
    body = _asked(CHAT, "gpt-4o", strict=True)
    assert body["tools"][0]["function"]["parameters"] == SCHEMA
    assert body["response_format"]["json_schema"]["schema"] == SCHEMA
    body = _asked(RESPONSES, "gpt-4o", strict=True)
    assert body["tools"][0]["parameters"] == SCHEMA
    assert body["text"]["format"]["schema"] == SCHEMA
    assert _asked(CLAUDE, "claude-opus-4-5")["tools"][0]["input_schema"] == SCHEMA


def test_trap_53_one_request_for_several_targets() -> None:
    """A request that was put into Gemini's words first is still whole for others.

    Fails when the cleaner changes the schema in place.
    """
    function = {"name": "go", "description": "Go.", "parameters": SCHEMA}
    asked: Object = {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi"}],
        "tools": [{"type": "function", "function": function}],
    }
    request = decode_request(json.dumps(asked).encode(), CHAT)
    encode_request(request, GEMINI, model=OLD)
    sent = json.loads(encode_request(request, CHAT).http.body)
    assert sent["tools"] == asked["tools"]


def test_trap_53_capitals_do_not_leave_gemini() -> None:
    """A client of Gemini writes types in capitals and `nullable`: other servers get
    JSON schema.

    Fails when its schema is passed on unchanged.
    """
    schema = {
        "type": "OBJECT",
        "properties": {
            "note": {"type": "STRING", "nullable": True},
            "sizes": {"type": "ARRAY", "items": {"type": "INTEGER"}},
        },
    }
    tool = {"name": "go", "description": "Go.", "parameters": schema}
    asked: Object = {
        "contents": [{"role": "user", "parts": [{"text": "Hi"}]}],
        "tools": [{"functionDeclarations": [tool]}],
    }
    plain = {
        "type": "object",
        "properties": {
            "note": {"type": ["string", "null"]},
            "sizes": {"type": "array", "items": {"type": "integer"}},
        },
    }
    path = "/v1beta/models/m:generateContent"
    http = HTTPRequest(method="POST", path=path, body=json.dumps(asked).encode())
    for target in (CHAT, RESPONSES, CLAUDE):
        body = json.loads(
            encode_request(decode_request(http, GEMINI), target).http.body
        )
        [declared] = body["tools"]
        inner = declared.get("function", declared)
        assert inner.get("parameters", inner.get("input_schema")) == plain
    assert ask(GEMINI, GEMINI, asked, model=OLD)[0]["tools"] == asked["tools"]
