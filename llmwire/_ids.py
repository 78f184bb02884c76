"""Identifiers that are minted here: deterministic, legal everywhere, recognisable.

Nothing random: equal input gives equal bytes, so that retries, caches and the
upstream's prompt cache see the same text every time.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Final

_LETTERS: Final = b"abcdefghijklmnopqrstuvwxyz234567".ljust(256)


def _lowest(bits: int, lane: int) -> int:
    """A mask of the lowest `bits` of every `lane` bits, of 192."""
    return sum((1 << bits) - 1 << at for at in range(0, 192, lane))


_HALF: Final = (1 << 60) - 1
_HALVES: Final = _lowest(30, 96)
_QUARTERS: Final = _lowest(15, 48)
_FIVES: Final = _lowest(5, 24)

_CALL = re.compile(r"tc_[a-z2-7]{24}\Z")


def digest(*pieces: object) -> str:
    """24 letters and digits (lower-case base32 of SHA-256) that stand for `pieces`."""
    text = "\x1f".join(map(str, pieces))
    sha = sha256(text.encode("utf-8", "surrogatepass")).digest()
    return _base32(int.from_bytes(sha[:15], "big"))


def _base32(number: int) -> str:
    """120 bits as 24 letters: spread until each five bits have a byte of their own."""
    number = number & _HALF | number >> 60 << 96
    number = number & _HALVES | (number & _HALVES << 30) << 18
    number = number & _QUARTERS | (number & _QUARTERS << 15) << 9
    number = (
        number & _FIVES | (number & _FIVES << 5) << 3 | (number & _FIVES << 10) << 6
    )
    return number.to_bytes(24, "big").translate(_LETTERS).decode("ascii")


def mint(prefix: str, seed: str, kind: str, ordinal: int) -> str:
    """An id of a response: `prefix` and what `seed`, `kind` and `ordinal` give."""
    return prefix + digest(seed, kind, ordinal)


def mint_call(seed: str, ordinal: int) -> str:
    """The id of the `ordinal`-th call that came without one."""
    return mint("tc_", seed, "call", ordinal)


def is_minted_call(call_id: str) -> bool:
    """Whether `call_id` was made by `mint_call` or `legal_call_id`."""
    return _CALL.match(call_id) is not None
