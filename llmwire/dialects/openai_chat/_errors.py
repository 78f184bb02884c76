"""Errors: every envelope that servers answer with to `APIError`, and back to OpenAI's.

Envelopes are told by their shape, never by who should have sent them: gateways answer
in the words of others. https://platform.openai.com/docs/guides/error-codes
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final

from msgspec import Raw

from llmwire._json import decode_any, encode
from llmwire.errors import RemoteProtocolError
from llmwire.http import Headers, HTTPReply
from llmwire.messages import APIError, ErrorKind

NAME: Final = "openai-chat"
_EXCERPT: Final = 300
"""Characters kept of a body that is no JSON."""

_KINDS: Final[Mapping[ErrorKind, tuple[int, str, str | None]]] = {
    "invalid_request": (400, "invalid_request_error", None),
    "context_length": (400, "invalid_request_error", "context_length_exceeded"),
    "content_policy": (400, "invalid_request_error", "content_policy_violation"),
    "auth": (401, "invalid_request_error", "invalid_api_key"),
    "billing": (402, "insufficient_quota", "insufficient_quota"),
    "permission": (403, "permission_error", None),
    "not_found": (404, "invalid_request_error", "model_not_found"),
    "conflict": (409, "conflict", None),
    "too_large": (413, "invalid_request_error", None),
    "rate_limit": (429, "rate_limit_error", "rate_limit_exceeded"),
    "quota": (429, "insufficient_quota", "insufficient_quota"),
    "timeout": (504, "timeout", None),
    "overloaded": (503, "server_error", "overloaded"),
    "internal": (500, "server_error", None),
    "unimplemented": (501, "invalid_request_error", None),
    "bad_upstream": (502, "server_error", None),
    "truncated": (502, "server_error", None),
}
"""Kind -> status, type and code of OpenAI's envelope."""

_STATUS: Final[Mapping[int, ErrorKind]] = {
    401: "auth",
    403: "permission",
    404: "not_found",
    405: "not_found",
    408: "timeout",
    409: "conflict",
    413: "too_large",
    429: "rate_limit",
    498: "overloaded",
    500: "internal",
    501: "unimplemented",
    502: "bad_upstream",
    503: "overloaded",
    504: "timeout",
    524: "timeout",
    529: "overloaded",
}

_WORDS: Final[tuple[tuple[ErrorKind, re.Pattern[str]], ...]] = (
    (
        "context_length",
        re.compile(
            r"context_length|exceed_context|too_many_prompt_tokens"
            r"|string_above_max_length_context"
        ),
    ),
    (
        "quota",
        re.compile(r"insufficient_quota|exceeded_current_quota|quota_exceeded"),
    ),
    ("billing", re.compile(r"billing|payment_required|insufficient_balance")),
    (
        "content_policy",
        re.compile(
            r"content_policy|content_filter|responsibleai|moderation|safety_violation"
        ),
    ),
    (
        "auth",
        re.compile(
            r"invalid_api_key|authentication|unauthenticated|unauthorized"
            r"|invalid_organization|api_key_invalid"
        ),
    ),
    ("not_found", re.compile(r"not_?found|no_such_model")),
    ("permission", re.compile(r"permission")),
    ("rate_limit", re.compile(r"rate_?limit|too_many_requests|slow_down")),
    ("overloaded", re.compile(r"overloaded|unavailable|capacity")),
    ("timeout", re.compile(r"timeout|deadline_exceeded")),
    ("too_large", re.compile(r"request_too_large|payload_too_large")),
    ("unimplemented", re.compile(r"unimplemented|not_supported_error")),
    ("internal", re.compile(r"server_error|api_error|internal")),
    ("invalid_request", re.compile(r"invalid|unsupported|missing|bad_?request")),
)
"""What the words `type`, `code` and `status` say; the first that matches."""
_TOO_LONG: Final = re.compile(
    r"maximum context length|context (?:length|window|size)|prompt (?:is )?too long"
    r"|reduce the length|length of all messages|input is too long|too many tokens",
    re.IGNORECASE,
)
_KEYS: Final = re.compile(
    r"sk-[A-Za-z0-9_-]{6,}|AIza[A-Za-z0-9_-]{10,}|(?i:bearer) [A-Za-z0-9._~+/=-]{8,}"
)


def redacted(text: str) -> str:
    """`text` without anything that looks like a key."""
    return _KEYS.sub("[redacted]", text)


# --- reading -----------------------------------------------------------------------


def decode_error(status: int, headers: Headers, body: bytes) -> APIError:
    """The error that a reply with `status` tells. Never raises."""
    try:
        value = decode_any(body)
    except RemoteProtocolError:
        text = body.decode("utf-8", "replace").strip()
        markup = text[:1] == "<"
        message = text[:_EXCERPT] or f"the server answered with status {status}"
        kind: ErrorKind = _kind(status, "", "" if markup else message)
        return APIError(
            kind=kind,
            message=redacted(message),
            status=status,
            retry_after=retry_after(headers),
            dialect=NAME,
        )
    return error_of(value, status, retry_after(headers), body)


def error_of(
    value: Any, status: int | None, wait: float | None = None, body: bytes = b""
) -> APIError:
    """The error that parsed JSON tells, whatever its envelope. Never raises."""
    while isinstance(value, list) and value:
        value = value[0]
        body = b""
    members = value if isinstance(value, dict) else {"message": value}
    inner = members.get("error")
    found = inner if isinstance(inner, dict) else {}
    message = _message(members, inner)
    words = _words(found) + _words(members)
    code = _code(found, members)
    status = status if status and status >= 400 else _status_in(found, members)
    kind = _kind(status, words, message)
    param = found.get("param", members.get("param"))
    raw = Raw(body) if isinstance(value, dict) and body else None
    return APIError(
        kind=kind,
        message=redacted(message),
        status=status or _KINDS[kind][0],
        code=code,
        param=param if isinstance(param, str) else None,
        retry_after=wait if wait is not None else _retry_in(found),
        dialect=NAME,
        raw=raw,
    )


def _message(members: Mapping[str, Any], inner: Any) -> str:
    if isinstance(inner, str) and inner:
        return inner
    sources: list[Mapping[str, Any]] = []
    if isinstance(inner, dict):
        sources.append(inner)
    for name in ("base_resp", "fault"):
        other = members.get(name)
        if isinstance(other, dict):
            sources.append(other)
    sources.append(members)
    for source in sources:
        for name in ("message", "msg", "status_msg", "detail", "faultstring"):
            text = source.get(name)
            if isinstance(text, str) and text:
                return text
            if isinstance(text, list | dict) and text:
                return _details(text)
    return encode(inner if inner else members).decode()[:_EXCERPT]


def _details(value: Any) -> str:
    """FastAPI's list of what did not validate."""
    items = value if isinstance(value, list) else [value]
    texts = []
    for item in items:
        if isinstance(item, dict) and isinstance(item.get("msg"), str):
            place = item.get("loc")
            place = ".".join(map(str, place)) if isinstance(place, list) else ""
            texts.append(f"{place}: {item['msg']}" if place else item["msg"])
    return "; ".join(texts) or encode(value).decode()[:_EXCERPT]


def _words(members: Mapping[str, Any]) -> str:
    names = ("code", "type", "status", "innererror")
    words = [members.get(name) for name in names]
    inner = members.get("innererror")
    if isinstance(inner, dict):
        words.append(inner.get("code"))
    return " ".join(word for word in words if isinstance(word, str)).lower() + " "


def _code(*sources: Mapping[str, Any]) -> str | None:
    for source in sources:
        for name in ("code", "statusCode"):
            code = source.get(name)
            if isinstance(code, str) and code:
                return code
            if isinstance(code, int) and not isinstance(code, bool):
                return str(code)
    return None


def _status_in(*sources: Mapping[str, Any]) -> int | None:
    for source in sources:
        for name in ("code", "status", "statusCode"):
            value = source.get(name)
            if isinstance(value, str) and value.isdecimal() and len(value) == 3:
                value = int(value)
            if isinstance(value, int) and 400 <= value <= 599:
                return value
    return None


def _kind(status: int | None, words: str, message: str) -> ErrorKind:
    if status == 402:
        return "billing"
    if status in (400, 413, 422, 500, None) and _TOO_LONG.search(message):
        return "context_length"
    matches = [kind for kind, pattern in _WORDS if pattern.search(words)]
    # `invalid_request_error` stands beside many a status that says more.
    vague = {"invalid_request", "internal"}
    precise = [kind for kind in matches if kind not in vague]
    if precise:
        return precise[0]
    if status is not None and status in _STATUS:
        return _STATUS[status]
    if matches:
        return matches[0]
    if status is not None and 400 <= status < 500:
        return "invalid_request"
    return "internal"


def _retry_in(found: Mapping[str, Any]) -> float | None:
    """Google's `RetryInfo`, which comes through its own layer too."""
    details = found.get("details")
    for item in details if isinstance(details, list) else ():
        delay = item.get("retryDelay") if isinstance(item, dict) else None
        if isinstance(delay, str):
            return _duration(delay)
    return None


_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION: Final = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(ms|s|m|h|d)")


def _duration(text: str) -> float | None:
    """Seconds of a Go-style duration: `6m0s`, `17ms`, `1.5s`."""
    found = _DURATION.findall(text)
    if not found or "".join(a + b for a, b in found) != text:
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in found)


def retry_after(headers: Headers) -> float | None:
    """Seconds to wait that the headers of a reply tell. Never raises.

    A date in `retry-after` is told relative to the reply's own `date`.
    """
    given = {name: value.strip() for name, value in reversed(headers)}
    milliseconds = _number(given.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    text = given.get("retry-after")
    if text is not None:
        seconds = _number(text)
        if seconds is None:
            seconds = _until(text, given.get("date"))
        if seconds is not None:
            return seconds
    waits = []
    for name in ("requests", "tokens"):
        left = _number(given.get(f"x-ratelimit-remaining-{name}"))
        wait = _duration(given.get(f"x-ratelimit-reset-{name}", ""))
        if left == 0 and wait is not None:
            waits.append(wait)
    return max(waits, default=None)


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0 <= value < math.inf else None


def _until(text: str, date: str | None) -> float | None:
    try:
        then = parsedate_to_datetime(text)
        now = parsedate_to_datetime(date or "")
        return max(0.0, (then - now).total_seconds())
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def find_error(body: bytes) -> APIError | None:
    """The error inside a body that came with status 200. Never raises."""
    marked = b'"error"' in body or b'"base_resp"' in body or b'"detail"' in body
    if not marked:
        return None
    try:
        value = decode_any(body)
    except RemoteProtocolError:
        return None
    if isinstance(value, list) and len(value) == 1:
        value, body = value[0], b""
    if not isinstance(value, dict):
        return None
    return error_of(value, None, None, body) if is_error(value) else None


def is_error(members: Mapping[str, Any]) -> bool:
    """Whether a parsed object is an error's envelope rather than an answer."""
    if members.get("error"):
        return True
    if members.get("choices"):
        return False
    base = members.get("base_resp")
    if isinstance(base, dict) and base.get("status_code"):
        return True
    return members.get("object") == "error" or (
        "detail" in members and "choices" not in members
    )


# --- writing -----------------------------------------------------------------------


def envelope(error: APIError) -> bytes:
    """`{"error": {…}}` for `error`; its own if it came from this dialect."""
    if error.dialect == NAME and error.raw is not None:
        text = bytes(error.raw).decode("utf-8", "replace")
        return redacted(text).encode("utf-8")
    _, kind, code = _KINDS[error.kind]
    inner = {
        "message": redacted(error.message),
        "type": kind,
        "param": error.param,
        "code": _told_code(error, kind, code),
    }
    return encode({"error": inner})


def _told_code(error: APIError, kind: str, usual: str | None) -> str | None:
    """Its own code of OpenAI's dialects, where that tells the same kind; what no server
    said has one that is usual."""
    if error.dialect == NAME:
        return error.code or usual
    if error.dialect == "openai-responses" and error.code:
        words = f"{kind} {error.code}".lower()
        status = error.status or _KINDS[error.kind][0]
        same = _kind(status, words, error.message) == error.kind
        return error.code if same else usual
    return usual or (error.code if error.dialect is None else None)


def encode_error(error: APIError) -> HTTPReply:
    """The reply that tells `error` to a client of this dialect."""
    status = error.status
    if status is None or not 400 <= status <= 599 or status == 529:
        status = _KINDS[error.kind][0]
    headers = [("content-type", "application/json")]
    if error.retry_after is not None and math.isfinite(error.retry_after):
        headers.append(("retry-after", str(math.ceil(max(0.0, error.retry_after)))))
    return HTTPReply(status=status, headers=tuple(headers), body=envelope(error))
