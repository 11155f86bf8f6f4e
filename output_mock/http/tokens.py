"""Tokens, compared in a time that tells nothing of them."""

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
    """What to look a token up by: how long that takes says nothing, as nobody can foresee the fingerprint.

    Another process has other ones, unless it is given the same key.
    """
    return hashlib.blake2b(token.encode("utf-8", "surrogatepass"), digest_size=16, key=_key).digest()


def key() -> bytes:
    """What the fingerprints of this process depend on."""
    return _key


def use_key(key: bytes) -> None:
    """Have the fingerprints that another process had. Call it before there is any."""
    global _key
    _key = key


def bare(authorization: str) -> str:
    """The token of an `Authorization` header, with or without `Basic` or `Bearer`."""
    return _SCHEME.sub("", authorization, count=1)
