"""The exceptions of llmwire: what misuse, garbage and untranslatable requests raise.

What an upstream *said* is not an exception but a value, `APIError` in
`llmwire.messages`; inside a stream nothing is raised for what a peer sent, it becomes
the terminal `StreamError` event. The tree has the two sides of `h11`: a *local* error
says that the caller misused the library, a *remote* one that a peer sent garbage.

Messages say what was found, what was expected and where; never the content itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmwire.http import HTTPReply
    from llmwire.losses import Loss

__all__ = (
    "JSONRepairError",
    "LLMWireError",
    "LimitExceeded",
    "LocalProtocolError",
    "ProtocolError",
    "RemoteProtocolError",
    "TranslationError",
    "UnknownDialect",
    "UnsupportedFeature",
)


class LLMWireError(Exception):
    """Root of everything that llmwire raises on purpose."""


class ProtocolError(LLMWireError):
    """The rules of a protocol were broken, by us or by a peer."""


class LocalProtocolError(ProtocolError):
    """The caller misused llmwire: a call out of order, an illegal event."""


class RemoteProtocolError(ProtocolError):
    """A peer sent something that is not a message of its dialect.

    Args:
        message: What was found and what was expected, without the content.
        path: Where, as a JSON path (`$.messages[2].content[0].text`), if known.
        status: The HTTP status that suits an answer to this peer.
    """

    status: int
    """HTTP status that suits an answer to the peer, 400 unless said otherwise."""
    path: str | None
    """JSON path of the place, None where the body as a whole is meant."""
    reply: HTTPReply | None
    """The answer in the client's own envelope; set by `Exchange` only."""

    def __init__(
        self, message: str, *, path: str | None = None, status: int = 400
    ) -> None:
        super().__init__(f"{message} - at `{path}`" if path else message)
        self.path = path
        self.status = status
        self.reply = None


class LimitExceeded(RemoteProtocolError):
    """A peer sent more than a limit allows (413 unless said otherwise)."""

    def __init__(
        self, message: str, *, path: str | None = None, status: int = 413
    ) -> None:
        super().__init__(message, path=path, status=status)


class TranslationError(LLMWireError):
    """A well-formed request cannot be put into the target's dialect."""


class UnsupportedFeature(TranslationError):
    """The target cannot say something and the policy is to refuse.

    Args:
        loss: The feature, its place in the neutral request, and why.
    """

    loss: Loss
    """What could not be carried."""
    reply: HTTPReply | None
    """The answer in the client's own envelope; set by `Exchange` only."""

    def __init__(self, loss: Loss) -> None:
        super().__init__(f"`{loss.path}` is not supported by the target: {loss.reason}")
        self.loss = loss
        self.reply = None

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.loss,), self.__dict__


class UnknownDialect(TranslationError):
    """No dialect of that name is registered."""


class JSONRepairError(LLMWireError, ValueError):
    """A text is no JSON, and nothing sure makes it one.

    Args:
        expected: What could have stood there, without the content.
        found: What kind of thing stands there.
        offset: Where, in characters.
        line: The same for people, from 1.
        column: In that line, from 1.
    """

    def __init__(
        self, expected: str, found: str, offset: int, line: int, column: int
    ) -> None:
        where = f"line {line}, column {column}"
        super().__init__(f"expected {expected}, found {found} - at {where}")
        self.expected = expected
        self.found = found
        self.offset = offset
        self.line = line
        self.column = column

    def __reduce__(self) -> tuple[object, ...]:
        arguments = (self.expected, self.found, self.offset, self.line, self.column)
        return type(self), arguments
