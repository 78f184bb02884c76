"""Identifiers that are minted here: deterministic, legal everywhere, recognisable.

Nothing random: equal input gives equal bytes, so that retries, caches and the
upstream's prompt cache see the same text every time.
"""

from __future__ import annotations

import base64
import hashlib
import re

_CALL = re.compile(r"tc_[a-z2-7]{24}\Z")


def digest(*pieces: object) -> str:
    """24 letters and digits (lower-case base32 of SHA-256) that stand for `pieces`."""
    text = "\x1f".join(map(str, pieces))
    sha = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    return base64.b32encode(sha[:15]).decode("ascii").lower()


def mint(prefix: str, seed: str, kind: str, ordinal: int) -> str:
    """An id of a response: `prefix` and what `seed`, `kind` and `ordinal` give."""
    return prefix + digest(seed, kind, ordinal)


def mint_call(seed: str, ordinal: int) -> str:
    """The id of the `ordinal`-th call that came without one."""
    return mint("tc_", seed, "call", ordinal)


def is_minted_call(call_id: str) -> bool:
    """Whether `call_id` was made by `mint_call` or `legal_call_id`."""
    return _CALL.match(call_id) is not None
