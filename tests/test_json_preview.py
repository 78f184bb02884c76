"""Previews: what is shown of a text at every place where it may end."""

from __future__ import annotations

import json
from itertools import islice
from random import Random
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmwire.json_repair import (
    Allow,
    JSONRepairError,
    Preview,
    preview_json,
    repair_json,
)
from tests.json_defects import calls, is_json
from tests.test_json_loose import TEXTS as LOOSE
from tests.test_json_repair import TEXTS, VALUES

ALLOWED: Final = st.lists(st.sampled_from(list(Allow)), max_size=6).map(
    lambda members: Allow(sum(member.value for member in set(members)))
)


def _is_beginning(part: Any, whole: Any) -> bool:
    """Whether `part` is what one could have seen of `whole`."""
    if isinstance(part, str) and isinstance(whole, str):
        return whole.startswith(part)
    if isinstance(part, list) and isinstance(whole, list):
        last = len(part) - 1
        return len(part) <= len(whole) and all(
            _is_beginning(each, whole[at]) if at == last else each == whole[at]
            for at, each in enumerate(part)
        )
    if isinstance(part, dict) and isinstance(whole, dict):
        names = list(part)
        return names == list(whole)[: len(names)] and _is_beginning(
            list(part.values()), list(whole.values())[: len(names)]
        )
    return bool(part == whole)


@given(VALUES.filter(lambda value: not isinstance(value, int | float)), st.booleans())
def test_what_is_shown_only_grows(value: Any, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    seen: Any = None
    for end in range(len(text) + 1):
        preview = preview_json(text[:end])
        assert preview.complete == (end == len(text) and bool(text))
        assert preview.end <= end
        if preview.text:
            shown = json.loads(preview.text)
            assert seen is None or _is_beginning(seen, shown)
            assert _is_beginning(shown, value)
            seen = shown
    assert preview == Preview(text, True, len(text))


def test_calls_are_shown_from_their_first_bracket_on() -> None:
    for call in islice(calls(Random("cut")), 30):
        for end in range(1, len(call.text)):
            preview = preview_json(call.text[:end])
            assert not preview.complete
            assert _is_beginning(json.loads(preview.text), call.arguments)


@pytest.mark.parametrize(
    ("text", "shown", "all_of_it"),
    [
        ("", "", ""),
        (" \n", "", ""),
        ("{", "{}", "{}"),
        ('{"a', "{}", "{}"),
        ('{"a"', "{}", "{}"),
        ('{"a":', "{}", "{}"),
        ('{"a": "he', '{"a": "he"}', '{"a": "he"}'),
        ('{"a": 1, "b', '{"a": 1}', '{"a": 1}'),
        ('{"a": 1, ', '{"a": 1}', '{"a": 1}'),
        ('{"a": 12', "{}", '{"a": 12}'),
        ('{"a": 12 ', '{"a": 12}', '{"a": 12}'),
        ('{"a": 1.', "{}", '{"a": 1.0}'),
        ("[1, -", "[1]", "[1]"),
        ("[-1.5e+", "[]", "[-1.5]"),
        ("[1e5", "[]", "[1e5]"),
        ("[1, [2, 3", "[1, [2]]", "[1, [2, 3]]"),
        ("[t", "[]", "[true]"),
        ("[fals", "[]", "[false]"),
        ("[n", "[]", "[null]"),
        ("[Non", "[]", "[null]"),
        ("[true", "[true]", "[true]"),
        ("[x", "[]", "[]"),
        ("[NaN", "[]", "[]"),
        ("tr", "", "true"),
        ("12", "12", "12"),
        ("12.", "", "12.0"),
        ("-", "", ""),
        ('"a\\', '"a"', '"a"'),
        ('"a\\\\', '"a\\\\"', '"a\\\\"'),
        ('"a\\u12', '"a"', '"a"'),
        ('"a\\\\u12', '"a\\\\u12"', '"a\\\\u12"'),
        ('"a\\ud83d', '"a"', '"a"'),
        ('"a\\ud83d\\', '"a"', '"a"'),
        ('"a\\ud83d\\ude', '"a"', '"a"'),
        ('"a\\ud83d\\ude00', '"a\\ud83d\\ude00"', '"a\\ud83d\\ude00"'),
        ('["line\n', '["line\\n"]', '["line\\n"]'),
        ("{'a': 'it\\'s \"x", '{"a": "it\'s \\"x"}', '{"a": "it\'s \\"x"}'),
        ("[“a", '["a"]', '["a"]'),
        ('["\\d\\n', "[]", "[]"),
        ("[{}, {'a': None, b: [", '[{}, {"a": null, "b": []}]', None),
        ('{"a": undefined, "b": 1, "c', '{ "b": 1}', None),
        ('{"a": undefined', "{}", None),
        ("[1,], ", "[1]", None),
        ("[1 // so", "[1]", None),
        ('{"a": 1 /* so it', '{"a": 1}', None),
        ('{"a": 1}, and more "', '{"a": 1}', None),
        ('```json\n{"a": [1, 2]', '\n{"a": [1, 2]}', None),
        ("```js", "", None),
        ("``", "", None),
        ("<tool", "", None),
        ('["a" b', '["a"]', None),
        ('["say "hi', '["say "]', None),
    ],
)
def test_where_a_text_may_end(text: str, shown: str, all_of_it: str | None) -> None:
    assert preview_json(text).text == shown
    if all_of_it is not None:
        assert preview_json(text, allow=Allow.ALL).text == all_of_it


@pytest.mark.parametrize(
    ("text", "allow", "shown"),
    [
        ('{"a": ["x', Allow.OBJECT | Allow.ARRAY, '{"a": []}'),
        ('{"a": ["x', Allow.OBJECT | Allow.STRING, "{}"),
        ('{"b": 1, "a": {"c": "x', Allow.OBJECT, '{"b": 1, "a": {}}'),
        ('[1, {"a": "x', Allow.ARRAY, "[1]"),
        ('[{"a": ["x", 2', Allow.ARRAY | Allow.NUMBER, "[]"),
        ('{"a": 1, "b": 2 ', Allow(0), ""),
        ('{"a": 1}', Allow(0), '{"a": 1}'),
        ("[nul", Allow.ARRAY | Allow.BOOLEAN, "[]"),
        ("[nul", Allow.ARRAY | Allow.NULL, "[null]"),
        ("[fa", Allow.ARRAY | Allow.NULL, "[]"),
        ('"a', ~Allow.STRING, ""),
        ("['a', 'b", Allow.ARRAY, '["a"]'),
        ("[1, {'a': 'x", Allow.ARRAY | Allow.STRING, "[1]"),
    ],
)
def test_what_is_allowed(text: str, allow: Allow, shown: str) -> None:
    assert preview_json(text, allow=allow).text == shown


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ('{"a": 1 x y', 8),
        ("[1.2.3, ", 1),
        ('{"a": NaN, ', 6),
        ("Here it is: {", 0),
        ('["say "hi" there', 7),
        ("]", 0),
        ('["\\d\\n"', 1),
        ('[""' + ',""' * 64 + ", ''" * 65, -1),
    ],
)
def test_what_is_broken(text: str, offset: int) -> None:
    with pytest.raises(JSONRepairError) as caught:
        preview_json(text)
    assert offset < 0 or caught.value.offset == offset


def test_where_it_ends() -> None:
    assert preview_json('{"a": 1, "b": tr') == Preview('{"a": 1}', False, 7)
    assert preview_json('["a\\u12') == Preview('["a"]', False, 3)
    assert preview_json('{"a": 1,} x') == Preview('{"a": 1}', True, 9)
    assert preview_json("1") == Preview("1", False, 1)
    assert preview_json("1 ") == Preview("1", True, 1)
    assert preview_json('["a" 1') == Preview('["a"]', False, 4)


def test_nesting_is_no_limit() -> None:
    deep = 100_000
    assert preview_json("[" * deep).text == "[" * deep + "]" * deep
    assert preview_json('{"a":' * deep, allow=Allow.STRING).text == ""
    assert preview_json("[" * deep + '"a').text == "[" * deep + '"a"' + "]" * deep


@given(TEXTS | LOOSE | st.text(), ALLOWED)
def test_every_text_has_an_answer(text: str, allow: Allow) -> None:
    try:
        preview = preview_json(text, allow=allow)
    except JSONRepairError as error:
        assert 0 <= error.offset <= len(text)
        return
    assert preview.text == "" or is_json(preview.text)
    assert 0 <= preview.end <= len(text)
    if preview.complete:
        assert is_json(preview.text)
        assert repair_json(preview.text).text == preview.text
    if is_json(text) and text.strip()[-1:] in ("}", "]", '"'):
        assert preview == Preview(text.rstrip(" \t\r\n"), True, preview.end)
