"""Errors: Google's envelope both ways, and everybody else's when it is read.

An error is read by the shape it has and not by the one expected, for gateways answer
in the envelope they know. Google wraps an error in a one-element array where a stream
was asked for as an array.

https://ai.google.dev/gemini-api/docs/troubleshooting
https://cloud.google.com/apis/design/errors
"""

from __future__ import annotations

import math
import re
from typing import Any, Final

from msgspec import Raw

from llmwire._json import decode_any, encode, relaxed
from llmwire.dialects.gemini._parts_read import NAME
from llmwire.errors import RemoteProtocolError
from llmwire.http import Headers, HTTPReply
from llmwire.messages import APIError, ErrorKind

_STATUSES: Final[dict[ErrorKind, tuple[int, str]]] = {
    "invalid_request": (400, "INVALID_ARGUMENT"),
    "context_length": (400, "INVALID_ARGUMENT"),
    "content_policy": (400, "INVALID_ARGUMENT"),
    "auth": (401, "UNAUTHENTICATED"),
    "billing": (402, "FAILED_PRECONDITION"),
    "permission": (403, "PERMISSION_DENIED"),
    "not_found": (404, "NOT_FOUND"),
    "conflict": (409, "ABORTED"),
    "too_large": (413, "INVALID_ARGUMENT"),
    "rate_limit": (429, "RESOURCE_EXHAUSTED"),
    "quota": (429, "RESOURCE_EXHAUSTED"),
    "timeout": (504, "DEADLINE_EXCEEDED"),
    "overloaded": (503, "UNAVAILABLE"),
    "internal": (500, "INTERNAL"),
    "unimplemented": (501, "UNIMPLEMENTED"),
    "bad_upstream": (502, "INTERNAL"),
    "truncated": (502, "INTERNAL"),
}
_BY_WORD: Final[dict[str, ErrorKind]] = {
    "INVALID_ARGUMENT": "invalid_request",
    "OUT_OF_RANGE": "invalid_request",
    "FAILED_PRECONDITION": "billing",
    "UNAUTHENTICATED": "auth",
    "PERMISSION_DENIED": "permission",
    "NOT_FOUND": "not_found",
    "ABORTED": "conflict",
    "ALREADY_EXISTS": "conflict",
    "RESOURCE_EXHAUSTED": "rate_limit",
    "CANCELLED": "internal",
    "INTERNAL": "internal",
    "UNKNOWN": "internal",
    "DATA_LOSS": "internal",
    "UNIMPLEMENTED": "unimplemented",
    "UNAVAILABLE": "overloaded",
    "DEADLINE_EXCEEDED": "timeout",
    # The words of the other dialects.
    "invalid_api_key": "auth",
    "authentication_error": "auth",
    "insufficient_quota": "quota",
    "billing_error": "billing",
    "permission_error": "permission",
    "permission_denied": "permission",
    "model_not_found": "not_found",
    "not_found_error": "not_found",
    "conflict_error": "conflict",
    "context_length_exceeded": "context_length",
    "string_above_max_length": "context_length",
    "content_policy_violation": "content_policy",
    "content_filter": "content_policy",
    "request_too_large": "too_large",
    "rate_limit_exceeded": "rate_limit",
    "rate_limit_error": "rate_limit",
    "timeout_error": "timeout",
    "overloaded_error": "overloaded",
    "overloaded": "overloaded",
    "api_error": "internal",
    "server_error": "internal",
    "internal_server_error": "internal",
    "invalid_request_error": "invalid_request",
}
_BY_STATUS: Final[dict[int, ErrorKind]] = {
    400: "invalid_request",
    401: "auth",
    402: "billing",
    403: "permission",
    404: "not_found",
    405: "invalid_request",
    408: "timeout",
    409: "conflict",
    413: "too_large",
    415: "invalid_request",
    422: "invalid_request",
    429: "rate_limit",
    499: "internal",
    500: "internal",
    501: "unimplemented",
    502: "bad_upstream",
    503: "overloaded",
    504: "timeout",
    529: "overloaded",
}
_BAD_KEY: Final = frozenset({"API_KEY_INVALID", "API_KEY_EXPIRED"})
_TOO_LONG = re.compile(
    r"token count .*exceeds|exceeds the maximum number of tokens"
    r"|prompt is too long|maximum context length|context window",
    re.IGNORECASE,
)
_TOO_MANY = re.compile(r"token count .*exceeds", re.IGNORECASE)
_EXCEEDED: Final = "The input token count exceeds the maximum number of tokens allowed"
_SECRET = re.compile(
    r"\bsk-[A-Za-z0-9_-]{8,}|\bAIza[A-Za-z0-9_-]{8,}|\bBearer\s+[A-Za-z0-9._~+/=-]{8,}"
)
_DELAY = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)s\Z")
_SECONDS = re.compile(r"\d{1,9}(?:\.\d{1,9})?\Z")
_PIECES = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(ms|h|m|s)")
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_SHOWN: Final = 300
"""Characters of a body that is no JSON."""


def redacted(message: str) -> str:
    """`message` without keys."""
    return _SECRET.sub("[redacted]", message)


def decode_error(status: int, headers: Headers, body: bytes) -> APIError:
    """What an answer with an error status says. Never raises."""
    document = _document(body)
    fields = _fields(document)
    if fields is None:
        text = body[: _SHOWN * 4].decode("utf-8", "replace").strip()[:_SHOWN]
        kind = _BY_STATUS.get(status, "bad_upstream" if status < 400 else "internal")
        return APIError(
            kind=kind,
            message=redacted(text) or f"the upstream answered with status {status}",
            status=status,
            retry_after=_retry_after(headers),
            dialect=NAME,
        )
    return _read(fields, document, status, _retry_after(headers))


def find_error(body: bytes) -> APIError | None:
    """The error in a body that came with status 200. Never raises."""
    if b'"error"' not in body:
        return None
    document = _document(body)
    fields = _fields(document)
    if fields is None or not _is_envelope(document):
        return None
    return _read(fields, document, None, None)


def read_error(document: Raw) -> APIError:
    """The error of a stream's chunk. Never raises."""
    parsed = _document(bytes(document))
    fields = _fields(parsed)
    if fields is None:
        message = "the upstream reported an error without saying which"
        return APIError(kind="bad_upstream", message=message, status=502, dialect=NAME)
    return _read(fields, parsed, None, None)


def _document(body: bytes) -> Any:
    """The body's JSON, taken out of an array, None where it is none."""
    try:
        parsed = decode_any(relaxed(body))
    except RemoteProtocolError:
        return None
    while isinstance(parsed, list) and parsed:
        parsed = parsed[0]
    return parsed


def _is_envelope(document: Any) -> bool:
    error = document.get("error")
    return "candidates" not in document and isinstance(error, dict | str)


def _fields(document: Any) -> dict[str, Any] | None:
    """The object that describes the error, whoever wrote it."""
    if not isinstance(document, dict):
        return None
    error = document.get("error")
    if isinstance(error, dict):
        return error
    if isinstance(error, str):
        return {**document, "message": error}
    for key in ("message", "detail", "msg"):
        if isinstance(document.get(key), str):
            return {**document, "message": document[key]}
    return None


def _read(
    fields: dict[str, Any], document: Any, status: int | None, wait: float | None
) -> APIError:
    code = fields.get("code")
    number = code if isinstance(code, int) and not isinstance(code, bool) else None
    if status is None:
        status = number if number is not None and 100 <= number < 600 else None
    words = [
        word
        for word in (fields.get("status"), code, fields.get("type"))
        if isinstance(word, str) and word
    ]
    message = fields.get("message")
    text = message if isinstance(message, str) and message else "unknown error"
    kind = _kind(words, status, text, fields)
    param = fields.get("param")
    return APIError(
        kind=kind,
        message=redacted(text),
        status=status if status is not None else _STATUSES[kind][0],
        code=words[0] if words else None,
        param=param if isinstance(param, str) else None,
        retry_after=wait if wait is not None else _delay(fields),
        dialect=NAME,
        raw=Raw(encode(document)),
    )


def _kind(
    words: list[str], status: int | None, text: str, fields: dict[str, Any]
) -> ErrorKind:
    if any(str(detail.get("reason")) in _BAD_KEY for detail in _details(fields)):
        return "auth"
    if _TOO_LONG.search(text):
        return "context_length"
    found = [_BY_WORD[word] for word in words if word in _BY_WORD]
    by_status = _BY_STATUS.get(status) if status is not None else None
    if "FAILED_PRECONDITION" in words and "billing" not in text.lower():
        return "invalid_request"
    # A vague word says less than a telling status does.
    if found and not (found[0] == "invalid_request" and by_status):
        return found[0]
    if by_status is not None:
        return by_status
    if status is not None and status >= 500:
        return "internal"
    return found[0] if found else "bad_upstream"


def _details(fields: dict[str, Any]) -> list[dict[str, Any]]:
    details = fields.get("details")
    if not isinstance(details, list):
        return []
    return [detail for detail in details if isinstance(detail, dict)]


def _delay(fields: dict[str, Any]) -> float | None:
    """`google.rpc.RetryInfo`: `"37s"`, maybe with a fraction."""
    for detail in _details(fields):
        delay = detail.get("retryDelay")
        match = _DELAY.match(delay) if isinstance(delay, str) else None
        if match is not None:
            return float(match[1])
    return None


def _retry_after(headers: Headers) -> float | None:
    """Seconds to wait by the headers; dates are the host's, for we have no clock."""
    known = dict(reversed(headers))
    ms = known.get("retry-after-ms", "").strip()
    if _SECONDS.match(ms):
        return float(ms) / 1000
    seconds = known.get("retry-after", "").strip()
    if _SECONDS.match(seconds):
        return float(seconds)
    for name, value in headers:
        if name.startswith("x-ratelimit-reset-"):
            pieces = _PIECES.findall(value)
            if pieces:
                return sum(float(n) * _UNITS[unit] for n, unit in pieces)
    return None


def envelope(error: APIError) -> bytes:
    """`error` as Google's JSON."""
    if error.dialect == NAME and error.raw is not None:
        text = redacted(bytes(error.raw).decode("utf-8", "replace"))
        if isinstance(_document(text.encode()), dict) and '"error"' in text:
            return text.encode()
    status, word = _STATUSES[error.kind]
    fields: dict[str, Any] = {
        "code": _status(error, status),
        "message": _told(error),
        "status": word,
    }
    details: list[dict[str, Any]] = []
    if error.kind == "auth":
        details.append(
            {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "API_KEY_INVALID",
                "domain": "googleapis.com",
            }
        )
    if error.retry_after is not None:
        details.append(
            {
                "@type": "type.googleapis.com/google.rpc.RetryInfo",
                "retryDelay": f"{math.ceil(error.retry_after)}s",
            }
        )
    if details:
        fields["details"] = details
    return encode({"error": fields})


def _told(error: APIError) -> str:
    message = redacted(error.message)
    if error.kind == "context_length" and not _TOO_MANY.search(message):
        # There is no status for it: clients that compact go by these words.
        return f"{_EXCEEDED}: {message}"
    return message


def _status(error: APIError, usual: int) -> int:
    native = error.dialect == NAME and error.status is not None
    return error.status if native and error.status is not None else usual


def encode_error(error: APIError) -> HTTPReply:
    """`error` as an answer to a client. Never raises."""
    status = _status(error, _STATUSES[error.kind][0])
    if not 400 <= status < 600:
        status = _STATUSES[error.kind][0]
    headers = [("content-type", "application/json; charset=UTF-8")]
    if error.retry_after is not None:
        headers.append(("retry-after", str(math.ceil(error.retry_after))))
    return HTTPReply(status=status, headers=tuple(headers), body=envelope(error))
