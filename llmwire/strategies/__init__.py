"""Hypothesis strategies for everything that llmwire speaks of, to fuzz your own code.

They give neutral values (requests, responses, events), never bytes of a request or an
answer: encode them with a dialect for that. The exception is `hostile_bytes`, what no
server should send. Needs the extra `fuzz`.

Every strategy that takes a `dialect` gives, without one, only what belongs to nobody:
no extras, no native raw values, no parts of one dialect. With one, it gives what could
have been read from it. Nothing here filters much or grows deep; a few hundred examples
per second are what to expect.

    @given(sentences("anthropic"))
    def test_my_filter_keeps_the_grammar(events):
        check(chain(my_filter, events))
"""

from __future__ import annotations

from llmwire.strategies._answers import errors, responses, usages
from llmwire.strategies._broken import ungrammatical_sentences
from llmwire.strategies._hostile import chunks, hostile_bytes
from llmwire.strategies._parts import parts
from llmwire.strategies._requests import messages, requests
from llmwire.strategies._sentences import sentences
from llmwire.strategies._values import (
    argument_texts,
    extras,
    json_values,
    raw_json,
    schemas,
    texts,
)

__all__ = (
    "argument_texts",
    "chunks",
    "errors",
    "extras",
    "hostile_bytes",
    "json_values",
    "messages",
    "parts",
    "raw_json",
    "requests",
    "responses",
    "schemas",
    "sentences",
    "texts",
    "ungrammatical_sentences",
    "usages",
)
