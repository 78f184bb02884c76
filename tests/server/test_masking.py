"""Tests of `llmwire_server.masking`: every credential, in every form."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest

from llmwire_server.backends import Backend, Secret, SecretText
from llmwire_server.config import Config
from llmwire_server.masking import HIDDEN, Mask, credentials

KEY = 'sk/local+"quoted"\\key='


@pytest.mark.parametrize(
    "form",
    [
        KEY,
        json.dumps(KEY)[1:-1],
        json.dumps(KEY)[1:-1].replace("/", "\\/"),
        quote(KEY, safe=""),
        base64.b64encode(KEY.encode()).decode(),
        base64.urlsafe_b64encode(KEY.encode()).decode().rstrip("="),
        base64.b64encode(f"{KEY}:".encode()).decode(),
        base64.b64encode(f":{KEY}".encode()).decode(),
    ],
)
def test_every_form_is_hidden(form: str) -> None:
    mask = Mask([KEY])
    text = f'{{"message": "Bearer {form} and {form}"}}'
    assert form not in mask.text(text)
    assert HIDDEN in mask.text(text)
    assert mask.finds(text.encode())
    assert not mask.finds(mask.data(text.encode()))
    assert form.encode() not in mask.data(text.encode())
    assert mask.data(text.encode()).decode() == mask.text(text)


def test_what_holds_nothing_is_the_same_object() -> None:
    data = b"nothing " * 99
    assert Mask([KEY]).data(data) is data
    assert Mask().data(data) is data


def test_a_key_inside_another_is_hidden_with_it() -> None:
    mask = Mask(["team-key", "team-key-of-somebody"])
    assert mask.text("a team-key-of-somebody, a team-key") == f"a {HIDDEN}, a {HIDDEN}"


def test_words_that_stand_for_no_key_stay() -> None:
    assert Mask(["none", "ollama"]).text("ollama: none") == "ollama: none"


def test_every_credential_of_a_configuration() -> None:
    backend = Backend(
        name="b",
        dialect="openai-chat",
        base_url="http://b.example",
        api_key=Secret("upstream-key"),
        headers={
            "X-Anything": SecretText("header-value"),
            "Authorization": SecretText("Bearer other-key"),
            "api-version": SecretText("2024-10-21"),
        },
        query={"sig": SecretText("query-value"), "api-version": SecretText("2024-1")},
        proxy="http://user:p%40ssword@proxy.example:3128",
    )
    free = Backend(name="f", dialect="openai-chat", proxy="socks5://proxy.example")
    config = Config(
        keys=(Secret("client-key-1"), Secret("client-key-2")),
        backends={"b": backend, "f": free},
    )
    found = set(credentials(config))
    assert found == {
        "client-key-1",
        "client-key-2",
        "upstream-key",
        "header-value",
        "Bearer other-key",
        "other-key",
        "query-value",
        "user:p%40ssword",
        "user:p@ssword",
        "p%40ssword",
        "p@ssword",
    }
