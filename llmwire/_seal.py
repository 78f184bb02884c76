"""Reasoning state of one dialect riding in the signature field of another.

A sealed signature is `llmw1.<origin dialect>.<base64url JSON>` with the model `m`, the
backend's tag `t`, the blob `b`, and `p` where the state belongs not to the thought that
carries it but to the part after it (`next`) or before it (`prev`). An envelope comes
back from a client, so it is untrusted: bounded in length, and anything that does not
read as one is an ordinary signature.
"""

from __future__ import annotations

import base64
import re
from typing import Final, Literal, TypeAlias

import msgspec
from msgspec import Struct

from llmwire.messages import Signature

PREFIX: Final = "llmw1."
MAX_LENGTH: Final = 4 * 1024 * 1024
"""Characters of an envelope that are still opened."""

Placement: TypeAlias = Literal["here", "next", "prev"]

_ENVELOPE = re.compile(r"llmw1\.([a-z0-9-]{1,40})\.([A-Za-z0-9_-]+)\Z")
_DATED = re.compile(r"(?:[-@](?:\d{8}|\d{4}-\d{2}-\d{2}|latest|\d{3}))\Z")


class _Sealed(Struct, frozen=True, omit_defaults=True):
    b: str
    m: str | None = None
    t: str | None = None
    p: Literal["next", "prev"] | None = None
    r: bool = False


class Opened(Struct, frozen=True):
    """What an envelope holds."""

    signature: Signature
    placement: Placement = "here"
    redacted: bool = False
    """The thought was withheld: the signature is all there is of it."""


_decoder = msgspec.json.Decoder(_Sealed)


def seal(
    signature: Signature, placement: Placement = "here", *, redacted: bool = False
) -> str:
    """`signature` as an envelope. Equal input gives equal text."""
    content = _Sealed(
        signature.value,
        signature.model,
        signature.tag,
        None if placement == "here" else placement,
        redacted,
    )
    body = base64.urlsafe_b64encode(msgspec.json.encode(content))
    return f"{PREFIX}{signature.origin}.{body.rstrip(b'=').decode('ascii')}"


def unseal(value: str) -> Opened | None:
    """What envelope `value` holds, None where it is none. Never raises."""
    if not value.startswith(PREFIX) or len(value) > MAX_LENGTH:
        return None
    match = _ENVELOPE.match(value)
    if match is None:
        return None
    body = match[2]
    try:
        octets = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
        content = _decoder.decode(octets)
    except (ValueError, msgspec.MsgspecError, RecursionError):
        return None
    signature = Signature(
        origin=match[1], value=content.b, model=content.m, tag=content.t
    )
    return Opened(signature, content.p or "here", content.r)


def read(value: str, dialect: str, model: str | None = None) -> Opened:
    """Signature text met in `dialect`: opened if it is an envelope, else native."""
    opened = unseal(value)
    if opened is not None:
        return opened
    return Opened(Signature(origin=dialect, value=value, model=model))


def fits(
    signature: Signature, dialect: str, model: str | None, tag: str | None
) -> bool:
    """Whether the target may be shown `signature`: origin, model and tag match.

    What is not known on either side does not contradict; a model's dated or `-latest`
    name is the model.
    """
    return (
        signature.origin == dialect
        and (None in (signature.tag, tag) or signature.tag == tag)
        and (
            signature.model is None
            or model is None
            or _undated(signature.model) == _undated(model)
        )
    )


def _undated(model: str) -> str:
    return _DATED.sub("", model.rpartition("/")[2])
