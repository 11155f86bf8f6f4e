"""Query strings, read as Node reads them."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote_to_bytes

# Node's query parser reads no more parameters than this.
_MOST_PARAMETERS = 1000


def parse(raw: str) -> dict[str, Any]:
    """The parameters of a query string: a name that comes twice has a list of values."""
    query: dict[str, Any] = {}
    if not raw:
        return query
    for part in raw.split("&", _MOST_PARAMETERS)[:_MOST_PARAMETERS]:
        if not part:
            continue
        name, _, text = part.partition("=")
        key, value = _unescaped(name), _unescaped(text)
        known = query.get(key)
        if known is None:
            query[key] = value
        elif isinstance(known, list):
            known.append(value)
        else:
            query[key] = [known, value]
    return query


def _unescaped(text: str) -> str:
    return unquote_to_bytes(text.replace("+", " ")).decode(errors="replace")
