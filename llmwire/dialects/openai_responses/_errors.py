"""What servers say went wrong, both ways.

Reading goes by shape, never by expectation: behind this dialect stand servers that
answer in the envelope of another. The kind comes from the code and the type, then from
the status, then from telling words in the message. Keys are cut out of messages.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw

from llmwire import _json
from llmwire.dialects.openai_responses import _wire
from llmwire.dialects.openai_responses._names import NAME
from llmwire.errors import RemoteProtocolError
from llmwire.http import Headers, HTTPReply
from llmwire.messages import APIError, ErrorKind

_SECRETS: Final = re.compile(
    r"\b(?:sk|rk|pk)-[A-Za-z0-9_\-*]{6,}|\bAIza[A-Za-z0-9_\-]{10,}|"
    r"(?i:\bbearer\s+)[A-Za-z0-9._~+/\-]{8,}=*"
)
_SHOWN: Final = 300
"""Characters of a body that is no JSON."""

_CODES: Final[Mapping[str, ErrorKind]] = {
    "context_length_exceeded": "context_length",
    "context_window_exceeded": "context_length",
    "exceed_context_size_error": "context_length",
    "content_policy_violation": "content_policy",
    "content_filter": "content_policy",
    "bio_policy": "content_policy",
    "misalignment_policy_violation": "content_policy",
    "image_content_policy_violation": "content_policy",
    "invalid_api_key": "auth",
    "invalid_organization": "auth",
    "authentication_error": "auth",
    "unauthenticated": "auth",
    "unauthorized": "auth",
    "api_key_invalid": "auth",
    "token_expired": "auth",
    "billing_error": "billing",
    "billing_not_active": "billing",
    "payment_required": "billing",
    "insufficient_quota": "quota",
    "exceeded_current_quota_error": "quota",
    "usage_limit_reached": "quota",
    "permission_error": "permission",
    "permission_denied": "permission",
    "unsupported_country_region_territory": "permission",
    "forbidden": "permission",
    "model_not_found": "not_found",
    "not_found_error": "not_found",
    "not_found": "not_found",
    "deploymentnotfound": "not_found",
    "previous_response_not_found": "not_found",
    "conflict": "conflict",
    "conflict_error": "conflict",
    "aborted": "conflict",
    "request_too_large": "too_large",
    "rate_limit_exceeded": "rate_limit",
    "rate_limit_error": "rate_limit",
    "rate_limit_reached_error": "rate_limit",
    "too_many_requests": "rate_limit",
    "slow_down": "rate_limit",
    "requests": "rate_limit",
    "tokens": "rate_limit",
    "resource_exhausted": "rate_limit",
    "timeout": "timeout",
    "timeout_error": "timeout",
    "deadline_exceeded": "timeout",
    "vector_store_timeout": "timeout",
    "overloaded": "overloaded",
    "overloaded_error": "overloaded",
    "server_overloaded": "overloaded",
    "server_is_overloaded": "overloaded",
    "engine_overloaded_error": "overloaded",
    "service_unavailable_error": "overloaded",
    "unavailable_error": "overloaded",
    "unavailable": "overloaded",
    "unimplemented": "unimplemented",
    "not_supported_error": "unimplemented",
    "server_error": "internal",
    "internal_error": "internal",
    "internal": "internal",
    "api_error": "internal",
    "invalid_request_error": "invalid_request",
    "invalid_argument": "invalid_request",
    "invalid_prompt": "invalid_request",
}
"""A code, type or status word -> what it means."""
_VAGUE: Final = frozenset({"invalid_request", "internal"})
"""Kinds that a status may say better."""
_STATUSES: Final[Mapping[int, ErrorKind]] = {
    400: "invalid_request",
    401: "auth",
    402: "billing",
    403: "permission",
    404: "not_found",
    408: "timeout",
    409: "conflict",
    413: "too_large",
    422: "invalid_request",
    429: "rate_limit",
    498: "rate_limit",
    500: "internal",
    501: "unimplemented",
    502: "bad_upstream",
    503: "overloaded",
    504: "timeout",
    529: "overloaded",
}
_TELLING: Final[tuple[tuple[re.Pattern[str], ErrorKind], ...]] = (
    (re.compile(r"incorrect api key|invalid api key|api key not valid", re.I), "auth"),
    (
        re.compile(
            r"context window|context length|maximum context|prompt is too long|"
            r"too many tokens",
            re.I,
        ),
        "context_length",
    ),
    (re.compile(r"model not found|model .{0,80}does not exist", re.I), "not_found"),
    (re.compile(r"exceeded your current quota", re.I), "quota"),
)
"""What servers say where they only send 400 and no code that tells."""
HTTP_STATUS: Final[Mapping[ErrorKind, int]] = {
    "invalid_request": 400,
    "context_length": 400,
    "content_policy": 400,
    "auth": 401,
    "billing": 402,
    "permission": 403,
    "not_found": 404,
    "conflict": 409,
    "too_large": 413,
    "rate_limit": 429,
    "quota": 429,
    "timeout": 504,
    "overloaded": 503,
    "internal": 500,
    "unimplemented": 501,
    "bad_upstream": 502,
    "truncated": 502,
}
_WRITTEN: Final[Mapping[ErrorKind, tuple[str, str | None]]] = {
    "invalid_request": ("invalid_request_error", None),
    "context_length": ("invalid_request_error", "context_length_exceeded"),
    "content_policy": ("invalid_request_error", "content_policy_violation"),
    "auth": ("invalid_request_error", "invalid_api_key"),
    "billing": ("insufficient_quota", "insufficient_quota"),
    "permission": ("permission_error", None),
    "not_found": ("invalid_request_error", "model_not_found"),
    "conflict": ("conflict", None),
    "too_large": ("invalid_request_error", None),
    "rate_limit": ("rate_limit_error", "rate_limit_exceeded"),
    "quota": ("insufficient_quota", "insufficient_quota"),
    "timeout": ("timeout", None),
    "overloaded": ("server_error", "overloaded"),
    "internal": ("server_error", None),
    "unimplemented": ("invalid_request_error", None),
    "bad_upstream": ("server_error", None),
    "truncated": ("server_error", None),
}
"""Kind -> the type and the code that clients know."""


def redacted(message: str) -> str:
    """`message` without keys."""
    return _SECRETS.sub("[redacted]", message)


# --- reading ------------------------------------------------------------------------


def decode_error(status: int, headers: Headers, body: bytes) -> APIError:
    """What a server said with an error status. Never raises."""
    retry = retry_after(headers)
    try:
        value = _json.decode_any(body)
        raw = _json.decode_raw(body)
    except RemoteProtocolError:
        return _unreadable(status, body, retry)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, dict):
        return _unreadable(status, body, retry)
    return _read(value, status, retry, raw)


def _unreadable(status: int, body: bytes, retry: float | None) -> APIError:
    text = body[: 4 * _SHOWN].decode("utf-8", "replace").strip()[:_SHOWN]
    page = text[:1] == "<"
    kind = _kind(status, (), "" if page else text)
    if kind == "internal" and page:
        kind = "bad_upstream"
    message = redacted(text) if text else f"the server answered {status}"
    return APIError(
        kind=kind, message=message, status=status, retry_after=retry, dialect=NAME
    )


def _read(
    value: dict[str, Any], status: int | None, retry: float | None, raw: Raw | None
) -> APIError:
    inner = value.get("error", value)
    if isinstance(inner, str):
        inner = {**value, "message": inner}
    elif not isinstance(inner, dict):
        inner = value
    details = inner.get("details")
    words = [inner.get("code"), inner.get("type"), inner.get("status")]
    if isinstance(details, dict):
        words.insert(0, details.get("error_code"))
    if isinstance(details, list):
        for entry in details:
            if isinstance(entry, dict):
                words.insert(0, entry.get("reason"))
                retry = retry or _duration(entry.get("retryDelay"))
    base = value.get("base_resp")
    if isinstance(base, dict):
        inner = {**inner, "message": base.get("status_msg")}
    code = inner.get("code")
    if status is None and isinstance(code, int) and 400 <= code < 600:
        status = code
    message = _message(inner) or f"the server answered {status or 'an error'}"
    known = tuple(word for word in words if isinstance(word, str))
    kind = _kind(status, known, message)
    param = inner.get("param")
    return APIError(
        kind=kind,
        message=redacted(message),
        status=status or HTTP_STATUS[kind],
        code=code if isinstance(code, str) else None,
        param=param if isinstance(param, str) else None,
        retry_after=retry,
        dialect=NAME,
        raw=raw,
    )


def _message(inner: Mapping[str, Any]) -> str:
    for name in ("message", "detail", "msg", "error_description", "fault"):
        value = inner.get(name)
        if isinstance(value, str) and value:
            return value
        if value:
            return _json.encode(value).decode("utf-8")[:_SHOWN]
    return ""


def _kind(status: int | None, words: tuple[str, ...], message: str) -> ErrorKind:
    vague: ErrorKind | None = None
    for word in words:
        found = _CODES.get(word.lower().replace("-", "_"))
        if found is not None and found not in _VAGUE:
            return found
        vague = vague or found
    by_status = _STATUSES.get(status or 0)
    if by_status in (None, "invalid_request", "internal", "not_found"):
        for pattern, telling in _TELLING:
            if pattern.search(message):
                return telling
    if by_status is not None:
        return by_status
    if vague is not None and status is None:
        return vague
    return "invalid_request" if status and 400 <= status < 500 else "internal"


_DURATION: Final = re.compile(r"(?:(\d+(?:\.\d+)?)(ms|h|m|s))")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def _duration(value: Any) -> float | None:
    """Seconds of `37s`, `6m0s`, `17ms`."""
    if not isinstance(value, str):
        return None
    pieces = _DURATION.findall(value[:64])
    if not pieces:
        return None
    return sum(float(number) * _SECONDS[unit] for number, unit in pieces)


def retry_after(headers: Headers) -> float | None:
    """Seconds to wait, where the headers say so. Dates are not read: no clock here."""
    found = dict(reversed(headers))
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        number = _number(found.get(name))
        if number is not None:
            return number * scale
    waits = []
    for kind in ("requests", "tokens"):
        reset = found.get(f"x-ratelimit-reset-{kind}")
        if reset is not None and found.get(f"x-ratelimit-remaining-{kind}") == "0":
            waits.append(_duration(reset) or _number(reset) or 0.0)
    return max(waits, default=None)


def _number(value: str | None) -> float | None:
    if value is None or not re.fullmatch(r"\d{1,9}(?:\.\d{1,9})?", value.strip()):
        return None
    return float(value)


_HEAD: Final = msgspec.json.Decoder(_wire.HeadWire)


def find_error(body: bytes) -> APIError | None:
    """The error inside a body that came with status 200. Never raises."""
    try:
        head = _HEAD.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    error = head.error if isinstance(head.error, Raw) else Raw(b"null")
    said = bytes(error) != b"null"
    if head.status == "failed":
        told = error if said else Raw(b"{}")
        return read_failure(told, "the response failed")
    if head.output is not msgspec.UNSET or not (said or head.type == "error"):
        return None
    value = _json.decode_any(body)
    return _read(value, None, None, _json.decode_raw(body))


_PLAIN: Final = frozenset({"type", "code", "message", "param"})


def read_failure(raw: Raw, otherwise: str) -> APIError:
    """An error object inside a response or a stream. Never raises.

    The raw object is kept only where it says more than the error does.
    """
    try:
        value = _json.decode_any(bytes(raw))
    except RemoteProtocolError:
        value = None
    if isinstance(value, str):
        value = {"message": value}
    if not isinstance(value, dict):
        value = {}
    more = any(name not in _PLAIN for name in value)
    if not value.get("message"):
        value = {**value, "message": otherwise}
    return _read({"error": value}, None, None, raw if more else None)


# --- writing ------------------------------------------------------------------------


def error_object(error: APIError) -> dict[str, Any]:
    """The inside of the envelope."""
    kind, code = _WRITTEN[error.kind]
    own = error.code if error.dialect in (NAME, "openai-chat") else None
    if error.dialect is None and code is None:
        own = error.code
    return {
        "message": redacted(error.message),
        "type": kind,
        "param": error.param,
        "code": own or code,
    }


_FAILURES: Final[Mapping[ErrorKind, str]] = {
    "rate_limit": "rate_limit_exceeded",
    "quota": "rate_limit_exceeded",
    "invalid_request": "invalid_prompt",
    "context_length": "context_length_exceeded",
    "content_policy": "invalid_prompt",
}
"""Kind -> code of a failed response, out of those that the server itself sends."""


def failure_object(error: APIError) -> dict[str, Any]:
    """The error of a failed response. Never raises."""
    told = error_object(error)
    failed: dict[str, Any] = {"code": "", "message": told["message"]}
    if error.dialect == NAME and error.raw is not None:
        try:
            failed.update(_json.decode_object(bytes(error.raw)))
            failed["message"] = told["message"]
        except RemoteProtocolError:
            pass
    own = error.code if error.dialect == NAME else None
    failed["code"] = own or _FAILURES.get(error.kind, "server_error")
    if error.param is not None:
        failed["param"] = error.param
    return failed


def encode_error(error: APIError) -> HTTPReply:
    """An error in this dialect's envelope. Never raises."""
    body = _json.encode({"error": error_object(error)})
    if error.dialect == NAME and error.raw is not None and _is_envelope(error.raw):
        body = redacted(bytes(error.raw).decode("utf-8", "replace")).encode()
    headers = [("content-type", "application/json")]
    if error.retry_after is not None:
        headers.append(("retry-after", str(-int(-error.retry_after // 1))))
    status = HTTP_STATUS[error.kind]
    if error.dialect == NAME and error.status is not None and error.status >= 400:
        status = error.status
    return HTTPReply(status=status, headers=tuple(headers), body=body)


def _is_envelope(raw: Raw) -> bool:
    """Whether `raw` is what clients of this dialect know as an error."""
    try:
        value = _json.decode_any(bytes(raw))
    except RemoteProtocolError:
        return False
    inner = value.get("error") if isinstance(value, dict) else None
    return isinstance(inner, dict) and isinstance(inner.get("message"), str)
