"""Origins of web pages: `http://localhost:5173`."""

from __future__ import annotations

import re

_ORIGIN = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::(?P<port>[0-9]{1,5}))?",
    re.IGNORECASE,
)
_DEFAULT_PORTS = {"http": 80, "https": 443}


def origin(text: str) -> str:
    """An origin as browsers write it: lower case, and no port where it is the scheme's own.

    Raises `ValueError`, which says what to write, for what is no origin; `null` and `*` are none either, as
    both stand for pages of anybody.
    """
    if text in ("null", "*"):
        raise ValueError(f"{text!r} is every page's; name the origin of your own, like http://localhost:5173")
    found = _ORIGIN.fullmatch(text)
    if found is None or int(found["port"] or 0) > 65535:
        raise ValueError(
            f"{text!r} is no origin; write scheme, host and port and nothing else, like http://localhost:5173"
        )
    scheme, host = found["scheme"].lower(), found["host"].lower()
    port = int(found["port"]) if found["port"] else None
    return f"{scheme}://{host}" if port in (None, _DEFAULT_PORTS.get(scheme)) else f"{scheme}://{host}:{port}"
