"""Errors: every envelope that servers answer with, and this dialect's own.

Read by shape, not by expectation: gateways answer in each other's forms. The kind comes
from the type word where it is one that we know, else from the status
(https://platform.claude.com/docs/en/api/errors).
"""

from __future__ import annotations

import re
from typing import Any, Final

from msgspec import Raw
from msgspec.structs import replace

from llmwire._json import decode_any, encode
from llmwire.dialects import ReplyTarget
from llmwire.dialects.anthropic._wire import NAME
from llmwire.errors import RemoteProtocolError
from llmwire.http import Headers, HTTPReply
from llmwire.messages import APIError, ErrorKind

_BY_TYPE: Final[dict[str, ErrorKind]] = {
    "invalid_request_error": "invalid_request",
    "authentication_error": "auth",
    "billing_error": "billing",
    "permission_error": "permission",
    "not_found_error": "not_found",
    "conflict_error": "conflict",
    "request_too_large": "too_large",
    "rate_limit_error": "rate_limit",
    "timeout_error": "timeout",
    "api_error": "internal",
    "overloaded_error": "overloaded",
    # Other vendors' words, met behind gateways.
    "rate_limit_exceeded": "rate_limit",
    "insufficient_quota": "quota",
    "invalid_api_key": "auth",
    "model_not_found": "not_found",
    "context_length_exceeded": "context_length",
    "content_policy_violation": "content_policy",
    "content_filter": "content_policy",
    "server_error": "internal",
    "INVALID_ARGUMENT": "invalid_request",
    "FAILED_PRECONDITION": "invalid_request",
    "UNAUTHENTICATED": "auth",
    "PERMISSION_DENIED": "permission",
    "NOT_FOUND": "not_found",
    "ABORTED": "conflict",
    "RESOURCE_EXHAUSTED": "rate_limit",
    "DEADLINE_EXCEEDED": "timeout",
    "UNAVAILABLE": "overloaded",
    "INTERNAL": "internal",
    "UNIMPLEMENTED": "unimplemented",
    # AWS, in front of Bedrock's models.
    "ThrottlingException": "rate_limit",
    "ValidationException": "invalid_request",
    "AccessDeniedException": "permission",
    "ResourceNotFoundException": "not_found",
    "ServiceUnavailableException": "overloaded",
    "ModelTimeoutException": "timeout",
    "InternalServerException": "internal",
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
    412: "invalid_request",
    413: "too_large",
    422: "invalid_request",
    429: "rate_limit",
    501: "unimplemented",
    503: "overloaded",
    504: "timeout",
    529: "overloaded",
}
_WORDS: Final[dict[ErrorKind, tuple[int, str]]] = {
    "invalid_request": (400, "invalid_request_error"),
    "context_length": (400, "invalid_request_error"),
    "content_policy": (400, "invalid_request_error"),
    "auth": (401, "authentication_error"),
    "billing": (402, "billing_error"),
    "permission": (403, "permission_error"),
    "not_found": (404, "not_found_error"),
    "conflict": (409, "conflict_error"),
    "too_large": (413, "request_too_large"),
    "rate_limit": (429, "rate_limit_error"),
    "quota": (429, "rate_limit_error"),
    "timeout": (504, "timeout_error"),
    "overloaded": (529, "overloaded_error"),
    "internal": (500, "api_error"),
    "unimplemented": (501, "invalid_request_error"),
    "bad_upstream": (502, "api_error"),
    "truncated": (502, "api_error"),
}
_SPENDING: Final = frozenset(
    {"enforced_spend_limit_reached", "contract_spend_limit_reached"}
)
_TOO_LONG: Final = re.compile(
    r"prompt is too long|maximum context length|context window|too many tokens"
    r"|input length and `?max_tokens`? exceed",
    re.IGNORECASE,
)
_SECRET: Final = re.compile(
    r"\b(?:sk|rk|pk)-[A-Za-z0-9_\-*]{6,}|\bAIza[A-Za-z0-9_\-]{10,}"
    r"|\bBearer\s+[A-Za-z0-9._~+/=\-]{6,}",
)
_HIDDEN: Final = "[redacted]"
_SHOWN: Final = 300
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)?")
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0, "": 1.0}
_RESETS: Final = ("x-ratelimit-reset-requests", "x-ratelimit-reset-tokens")


def redacted(message: str) -> str:
    """`message` without keys."""
    return _SECRET.sub(_HIDDEN, message)


def decode_error(status: int, headers: Headers, body: bytes) -> APIError:
    """What an error reply says. Never raises."""
    wait = retry_after(headers)
    found = _read(body, status)
    if found is None:
        kind = _BY_STATUS.get(status, "invalid_request" if status < 500 else "internal")
        text = body[:_SHOWN].decode("utf-8", "replace").strip()
        if status >= 500 and status not in _BY_STATUS:
            kind = "bad_upstream"
        message = text or f"the upstream answered with status {status}"
        return APIError(
            kind=kind, message=redacted(message), status=status, retry_after=wait
        )
    if wait is not None:
        return replace(found, retry_after=wait)
    return found


def find_error(body: bytes) -> APIError | None:
    """The error inside a body that came with status 200. Never raises."""
    head = body[:200].lstrip()
    if head[:1] == b"{" and b'"error"' not in body:
        return None
    return error_in(body) if head[:1] in (b"{", b"[") else None


def error_in(body: bytes) -> APIError | None:
    """The error that a JSON text holds, None where it holds none. Never raises."""
    return _read(body, None)


def _read(body: bytes, status: int | None) -> APIError | None:
    try:
        value = decode_any(body)
    except RemoteProtocolError:
        return None
    if isinstance(value, list) and value:
        value = value[0]
    if not isinstance(value, dict):
        return None
    error = value.get("error")
    if isinstance(error, dict):
        return _from_object(error, value, body, status)
    if isinstance(error, str) and (status is not None or value.get("type") == "error"):
        return _made(value.get("message") or error, (error,), None, status, value, body)
    if status is None or value.get("type") == "message":
        return None
    message = value.get("message") or value.get("detail") or value.get("Message")
    words = (value.get("__type"), value.get("code"), value.get("type"))
    if message is None:
        return None
    return _made(message, words, value.get("code"), status, value, body)


def _from_object(
    error: dict[str, Any], value: dict[str, Any], body: bytes, status: int | None
) -> APIError:
    details = error.get("details")
    code = error.get("code")
    if isinstance(details, dict) and details.get("error_code"):
        code = details["error_code"]
    words = (code, error.get("status"), error.get("type"))
    if status is None and isinstance(code, int) and 400 <= code < 600:
        status = code
    return _made(error.get("message"), words, code, status, value, body, error)


def _made(
    message: object,
    words: tuple[object, ...],
    code: object,
    status: int | None,
    value: dict[str, Any],
    body: bytes,
    error: dict[str, Any] | None = None,
) -> APIError:
    text = message if isinstance(message, str) else encode(message).decode()
    kind = _kind(words, status, text)
    native = value.get("type") == "error" and error is not None
    param = (error or {}).get("param")
    return APIError(
        kind=kind,
        message=redacted(text),
        status=status if status is not None else _WORDS[kind][0],
        code=str(code) if isinstance(code, (str, int)) else None,
        param=param if isinstance(param, str) else None,
        retry_after=_retry_info((error or {}).get("details")),
        dialect=NAME if native else None,
        raw=_native(value, text) if native else None,
    )


def _native(value: dict[str, Any], text: str) -> Raw:
    """The native envelope without keys in its message."""
    if redacted(text) != text:
        value = {**value, "error": {**value["error"], "message": redacted(text)}}
    return Raw(encode(value))


def _kind(words: tuple[object, ...], status: int | None, text: str) -> ErrorKind:
    found: ErrorKind | None = None
    for word in words:
        if isinstance(word, str):
            if word in _SPENDING:
                return "quota"
            name = word.rpartition("#")[2]
            found = found or _BY_TYPE.get(name)
    if found is None or (found == "invalid_request" and status is not None):
        by_status = _BY_STATUS.get(status or 0)
        if by_status is not None and (found is None or status not in (400, 422)):
            found = by_status
    if found is None:
        found = "internal" if status is None or status >= 500 else "invalid_request"
    if found == "invalid_request" and _TOO_LONG.search(text):
        return "context_length"
    return found


def _retry_info(details: object) -> float | None:
    """Google's `RetryInfo`, where a gateway passes it on."""
    for item in details if isinstance(details, list) else ():
        delay = item.get("retryDelay") if isinstance(item, dict) else None
        if isinstance(delay, str):
            return _seconds(delay)
    return None


def _seconds(text: str) -> float | None:
    """`37s`, `1m30s`, `250ms` or a bare number, in seconds."""
    pieces = _DURATION.findall(text.strip())
    if not pieces or _DURATION.sub("", text.strip()):
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in pieces)


def retry_after(headers: Headers) -> float | None:
    """Seconds to wait, as the headers say it; dates need a clock and say nothing."""
    known = dict(headers)
    if "retry-after-ms" in known:
        found = _seconds(known["retry-after-ms"] + "ms")
        if found is not None:
            return found
    if "retry-after" in known:
        found = _seconds(known["retry-after"])
        if found is not None:
            return found
    waits = [_seconds(known[name]) for name in _RESETS if name in known]
    return max((wait for wait in waits if wait is not None), default=None)


def error_members(error: APIError) -> dict[str, object]:
    """The envelope for `error`."""
    _, word = _WORDS[error.kind]
    message = redacted(error.message)
    if error.kind == "context_length" and "prompt is too long" not in message.lower():
        # There is no code for it: clients that compact go by these words.
        message = f"prompt is too long: {message}"
    inner: dict[str, object] = {"type": word, "message": message}
    if error.code is not None and error.kind in ("quota", "rate_limit", "billing"):
        inner["details"] = {"error_code": error.code}
    return {"type": "error", "error": inner}


def error_body(error: APIError) -> bytes:
    """The envelope as JSON; the native one where it came from this dialect."""
    if error.dialect == NAME and error.raw is not None:
        return bytes(error.raw)
    return encode(error_members(error))


def encode_error(error: APIError) -> HTTPReply:
    """An error reply. Never raises."""
    status, _ = _WORDS[error.kind]
    if error.dialect == NAME and error.status is not None and error.status >= 400:
        status = error.status
    headers = [("content-type", "application/json")]
    if error.retry_after is not None:
        headers.append(("retry-after", str(-int(-error.retry_after // 1))))
    return HTTPReply(status=status, headers=tuple(headers), body=error_body(error))


def on_one_line(data: bytes) -> bytes:
    """JSON without line ends: outside of strings they are white space only."""
    if b"\n" in data or b"\r" in data:
        return data.replace(b"\n", b" ").replace(b"\r", b" ")
    return data


def stream_error(error: APIError, target: ReplyTarget) -> bytes:
    """The frame that ends a stream with `error`."""
    return b"event: error\ndata: " + on_one_line(error_body(error)) + b"\n\n"
