"""Origins of web pages: `http://localhost:5173`."""

from __future__ import annotations

import re

_ORIGIN = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::(?P<port>[0-9]{1,5}))?",
    re.IGNORECASE,
)
_DEFAULT_PORTS = {"http": 80, "https": 443}


def origin(text: str) -> str:
    """An origin as browsers write it: in lower case, and without the scheme's default port.

    Raises `ValueError`, which says what to write, for anything else, including `null` and `*`, which mean
    pages of anybody.
    """
    if text in ("null", "*"):
        raise ValueError(
            f"{text!r} would allow every page; name the origin of your own page, such as "
            f"http://localhost:5173"
        )
    found = _ORIGIN.fullmatch(text)
    if found is None or int(found["port"] or 0) > 65535:
        raise ValueError(
            f"{text!r} is not an origin; write only scheme, host and port, such as http://localhost:5173"
        )
    scheme, host = found["scheme"].lower(), found["host"].lower()
    port = int(found["port"]) if found["port"] else None
    return f"{scheme}://{host}" if port in (None, _DEFAULT_PORTS.get(scheme)) else f"{scheme}://{host}:{port}"
