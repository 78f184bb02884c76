"""Names of tools: what is meant for certain, and what is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmwire.filters._tool_names import ToolNames, is_slip

NAMES = ToolNames(
    [
        "get_weather",
        "read_file",
        "Bash",
        "mcp__git__log",
        "list_v1",
        "a_b",
        "aB",
        "cats",
    ]
)


@pytest.mark.parametrize(
    ("name", "meant", "rule"),
    [
        ("get_weather", "get_weather", "exact"),
        ("mcp__git__log", "mcp__git__log", "exact"),
        ("functions.get_weather", "get_weather", "name-debris"),
        ("functions.get_weather:0", "get_weather", "name-debris"),
        ("default_api.read_file", "read_file", "name-debris"),
        ("default_api:read_file", "read_file", "name-debris"),
        ("mcp__some_server__read_file", "read_file", "name-debris"),
        ("proxy_Bash", "Bash", "name-debris"),
        ("functions.proxy_Bash", "Bash", "name-debris"),
        ("read_file<|channel|>commentary", "read_file", "name-debris"),
        (" `read_file` ", "read_file", "name-debris"),
        ("read_file(", "read_file", "name-debris"),
        ("getWeather", "get_weather", "name-case"),
        ("get weather", "get_weather", "name-case"),
        ("functions.GetWeather", "get_weather", "name-case"),
        ("bash", "Bash", "name-case"),
        ("get_wether", "get_weather", "name-typo"),
        ("get_weeather", "get_weather", "name-typo"),
        ("get_waether", "get_weather", "name-typo"),
        ("get_weathar", "get_weather", "name-typo"),
        ("raed_file", "read_file", "name-typo"),
    ],
)
def test_meant(name: str, meant: str, rule: str) -> None:
    assert NAMES.meant(name) == (meant, rule)


@pytest.mark.parametrize(
    "name",
    ["", "-", "weather", "Bsh", "cat", "list_v2", "list_v", "ab", "write_file",
     "get_wethr", "functions.", "x" * 257, "get_weather_now", "raed_fiel"],
)  # fmt: skip
def test_not_for_certain(name: str) -> None:
    assert NAMES.meant(name) is None


def test_a_slip_that_leads_to_two_leads_to_none() -> None:
    assert ToolNames(["read_file", "lead_file"]).meant("xead_file") is None


def _distance(a: str, b: str) -> int:
    """Optimal string alignment, as its definition says."""
    rows = [list(range(len(b) + 1))]
    for i in range(1, len(a) + 1):
        row = [i]
        for j in range(1, len(b) + 1):
            cost = min(
                rows[i - 1][j] + 1,
                row[j - 1] + 1,
                rows[i - 1][j - 1] + (a[i - 1] != b[j - 1]),
            )
            if i > 1 and j > 1 and a[i - 1] == b[j - 2] and a[i - 2] == b[j - 1]:
                cost = min(cost, rows[i - 2][j - 2] + 1)
            row.append(cost)
        rows.append(row)
    return rows[-1][-1]


@given(st.text("abc", max_size=9), st.text("abc", max_size=9))
def test_a_slip_is_a_distance_of_one(one: str, other: str) -> None:
    expected = _distance(one, other) == 1 and min(len(one), len(other)) >= 6
    assert is_slip(one, other) is expected


@given(st.text("abcdef", min_size=6, max_size=9), st.data())
def test_slips_are_seen(name: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(name) - 1))
    assert is_slip(name[:at] + "x" + name[at:], name)
    assert is_slip(name[:at] + "x" + name[at + 1 :], name)


@given(st.text(max_size=40))
def test_it_never_raises(name: str) -> None:
    found = NAMES.meant(name)
    assert found is None or found[1] in (
        "exact",
        "name-debris",
        "name-case",
        "name-typo",
    )
