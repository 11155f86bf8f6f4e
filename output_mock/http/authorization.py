"""Who may use the API: clients that send its token (production_auth)."""

from __future__ import annotations

import re
from collections.abc import Container

from output_mock.http import tokens

_BASIC = re.compile(r"Basic\s")
# Exactly these: case and a slash at the end matter here (production_auth).
_OPEN = ("/health", "/ready")


def is_allowed(path: str, authorization: str | None, token: str | None, marks: Container[bytes]) -> bool:
    """Whether a request for this path may be answered.

    Takes its `Authorization`, the token of the API (None: none is needed), and the fingerprints of other
    valid tokens.
    """
    if token is None or path in _OPEN:
        return True
    bare = "" if authorization is None else _BASIC.sub("", authorization, count=1)
    return tokens.same(bare, token) or tokens.fingerprint(bare.removeprefix("Bearer ")) in marks
