"""The exceptions: what they tell, and that they survive a process border."""

from __future__ import annotations

import copy
import pickle

import pytest

from llmwire import errors
from llmwire.errors import (
    LimitExceeded,
    LLMWireError,
    LocalProtocolError,
    ProtocolError,
    RemoteProtocolError,
    TranslationError,
    UnknownDialect,
    UnsupportedFeature,
)
from llmwire.http import HTTPReply
from llmwire.losses import Loss

LOSS = Loss(path="stop", feature="stop", action="refused", reason="there is no stop")


def test_the_tree() -> None:
    for name in errors.__all__:
        assert issubclass(getattr(errors, name), LLMWireError)
    assert issubclass(LLMWireError, Exception)
    assert issubclass(LocalProtocolError, ProtocolError)
    assert issubclass(RemoteProtocolError, ProtocolError)
    assert issubclass(LimitExceeded, RemoteProtocolError)
    assert issubclass(UnsupportedFeature, TranslationError)
    assert issubclass(UnknownDialect, TranslationError)
    assert not issubclass(ProtocolError, TranslationError)


def test_remote_errors() -> None:
    error = RemoteProtocolError("no JSON")
    assert str(error) == "no JSON"
    assert (error.status, error.path, error.reply) == (400, None, None)
    error = RemoteProtocolError("no text", path="$.a", status=502)
    assert str(error) == "no text - at `$.a`"
    assert (error.status, error.path) == (502, "$.a")


def test_limits() -> None:
    error = LimitExceeded("too long")
    assert (error.status, error.path) == (413, None)
    error = LimitExceeded("too deep", path="$", status=400)
    assert str(error) == "too deep - at `$`"
    assert error.status == 400


def test_unsupported_features() -> None:
    error = UnsupportedFeature(LOSS)
    assert str(error) == "`stop` is not supported by the target: there is no stop"
    assert error.loss == LOSS
    assert error.reply is None


@pytest.mark.parametrize(
    "error",
    [
        LocalProtocolError("misuse"),
        RemoteProtocolError("no text", path="$.a", status=502),
        LimitExceeded("too deep", path="$"),
        UnsupportedFeature(LOSS),
        UnknownDialect("unknown"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_can_be_pickled(error: LLMWireError) -> None:
    if isinstance(error, (RemoteProtocolError, UnsupportedFeature)):
        error.reply = HTTPReply(status=400, body=b"{}")
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(other) is type(error)
        assert str(other) == str(error)
        assert vars(other) == vars(error)
