"""Compares tokens in constant time."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets

_key = secrets.token_bytes(32)
_SCHEME = re.compile(r"(?:Basic|Bearer)\s+", re.IGNORECASE)


def same(given: str, token: str) -> bool:
    """Whether `given` is the token."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), token.encode("utf-8", "replace"))


def fingerprint(token: str) -> bytes:
    """The fingerprint by which to look up a token. The time of the lookup reveals nothing, as nobody can
    predict the fingerprint.

    Another process has different ones, unless it uses the same key.
    """
    return hashlib.blake2b(token.encode("utf-8", "surrogatepass"), digest_size=16, key=_key).digest()


def key() -> bytes:
    """The key on which the fingerprints of this process depend."""
    return _key


def use_key(key: bytes) -> None:
    """Use the fingerprints of another process. Call it before making any."""
    global _key
    _key = key


def bare(authorization: str) -> str:
    """The token of an `Authorization` header, with or without `Basic` or `Bearer`."""
    return _SCHEME.sub("", authorization, count=1)
