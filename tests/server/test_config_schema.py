"""Tests of the JSON Schema: it lets pass what is read, and stops what is not."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any

import pytest
import yaml
from msgspec import Meta, Struct

from llmwire import FEATURES
from llmwire_server.config import SHAPE, ConfigError, load, schema
from llmwire_server.config.shapes import shape_of

SCHEMA = schema(SHAPE)
TYPES: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}


def fits(value: Any, rule: dict[str, Any]) -> bool:
    """Whether a value is what a schema says: the words of draft 2020-12 we write."""
    unknown = rule.keys() - {
        *("$schema", "title", "description", "default", "type", "properties"),
        *("additionalProperties", "patternProperties", "required", "items", "anyOf"),
        *("enum", "pattern", "minimum", "maximum"),
    }
    assert not unknown, unknown
    if "anyOf" in rule and not any(fits(value, each) for each in rule["anyOf"]):
        return False
    if "enum" in rule and value not in rule["enum"]:
        return False
    if "type" in rule and not _typed(value, rule["type"]):
        return False
    if isinstance(value, str):
        return re.search(rule.get("pattern", ""), value) is not None
    if isinstance(value, int | float):
        low, high = rule.get("minimum", value), rule.get("maximum", value)
        return bool(low <= value <= high)
    if isinstance(value, list):
        return all(fits(item, rule.get("items", {})) for item in value)
    return not isinstance(value, dict) or _members_fit(value, rule)


def _typed(value: Any, names: Any) -> bool:
    names = [names] if isinstance(names, str) else names
    if isinstance(value, bool):
        return "boolean" in names
    return any(isinstance(value, TYPES[name]) for name in names)


def _members_fit(value: dict[str, Any], rule: dict[str, Any]) -> bool:
    if any(name not in value for name in rule.get("required", ())):
        return False
    for name, member in value.items():
        known = [rule["properties"][name]] if name in rule.get("properties", {}) else []
        patterns = rule.get("patternProperties", {}).items()
        known += [each for pattern, each in patterns if re.search(pattern, name)]
        if not known and rule.get("additionalProperties") is False:
            return False
        if not all(fits(member, each) for each in known):
            return False
    return True


GOOD = [
    "{}",
    "port: 9000\nhost: localhost\nanthropic_port: null",
    "port: ${PORT:-1}\nlog: {level: '${LEVEL:-info}'}",
    "limits: {body: 10MB, header_bytes: 64KiB, answer: 7}\ntimeouts: {idle: 1m30s}",
    "backends: {a: {dialect: gemini, base_url: 'http://x', api_key: k, tls: {}}}",
    "backends: {openai: {models: [a]}}\ndefault_backend: openai:a",
    "losses: {policy: {sampling: error}, log: false}",
    "simulator: {rules: [{match: a, error: 503, pace: 0.1}]}",
    "keys: [abc]\ncors: {origins: ['*']}\nheaders: {request: [x-*]}\nlimits: ~",
]
BAD = [
    "prot: 1",
    "port: 70000",
    "port: x",
    "limits: {body: 0}",
    "limits: {body: 1QB}",
    "timeouts: {idle: 1w}",
    "backends: {simulator: {dialect: gemini}}",
    "backends: {'a b': {dialect: gemini}}",
    "backends: {a: {dialect: gemni}}",
    "backends: {a: {base_url: 'ftp://x'}}",
    "losses: {policy: {samplng: error}}",
    "losses: {policy: {sampling: fail}}",
    "simulator: {rules: [{text: a}]}",
    "simulator: {rules: [{match: a, error: 200}]}",
    "log: {calls: 7}",
    "keys: a",
    "[]",
]


@pytest.mark.parametrize("text", GOOD)
def test_good_files_fit(text: str, tmp_path: Path) -> None:
    file = tmp_path / "llmwire.yaml"
    file.write_text(text)
    load(str(file), environment={})
    assert fits(yaml.safe_load(text), SCHEMA)


@pytest.mark.parametrize("text", BAD)
def test_bad_files_do_not_fit(text: str, tmp_path: Path) -> None:
    file = tmp_path / "llmwire.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError):
        load(str(file), environment={})
    assert not fits(yaml.safe_load(text), SCHEMA)


def test_the_schema_is_json_that_describes_every_key() -> None:
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA
    body = SCHEMA["properties"]["limits"]["properties"]["body"]
    assert body["default"] == 10 * 1024 * 1024
    assert body["description"] == "bytes of a body, once inflated"
    policy = SCHEMA["properties"]["losses"]["properties"]["policy"]
    assert set(policy["properties"]) == set(FEATURES)
    backends = SCHEMA["properties"]["backends"]["patternProperties"]
    [(pattern, backend)] = backends.items()
    assert re.search(pattern, "local")
    assert "name" not in backend["properties"]
    assert all("description" in each for each in backend["properties"].values())


class _Open(Struct, frozen=True):
    any: int = 0
    most: Annotated[float, Meta(le=1)] = 0


def test_bounds_are_said_where_there_are_any() -> None:
    properties = schema(shape_of(_Open))["properties"]
    assert properties["any"]["anyOf"][0] == {"type": "integer"}
    assert properties["most"]["anyOf"][0] == {"type": "number", "maximum": 1}


def test_the_schema_holds_no_secret_as_a_default() -> None:
    keys = SCHEMA["properties"]["keys"]
    assert keys["default"] == []
    headers = SCHEMA["properties"]["backends"]["patternProperties"]
    assert "***" not in json.dumps(headers)
