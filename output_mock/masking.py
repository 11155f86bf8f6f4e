"""Leaves tokens, keys and passwords out of displayed requests.

Secret are tokens and cookies in headers, and parameters of a URL and fields of a body with certain names. A
Python test can still read such values. Reports, logs and the control plane show `[redacted]` instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote_plus

from output_mock.javascript_json import parse, to_bytes

MASK = "[redacted]"
# The names that the SDK leaves out of errors (`sdk/failures.py`), and similar ones.
_SECRET_NAME = re.compile(
    r"pass(word|wd|phrase)|secret|authori[sz]ation|authentication|cookie|credential|api[-_]?key|private[-_]?key"
    r"|signature|(key|token|jwt|session[-_]?id)$|^(sig|pwd)$",
    re.IGNORECASE,
)
# Clients need it to request the next page.
_PAGE_TOKEN = re.compile(r"(next[-_]?)?page[-_]?token", re.IGNORECASE)
_PARAMETER = re.compile(r"""(^|[?&;#\s])([^=?&;#\s"']{1,200})=([^&;#\s"']+)""")
_USER_INFO = re.compile(r"(?<=://)[^/?#@\s\"']+(?=@)")
_SCHEME = re.compile(r"(Basic|Bearer|Digest|Negotiate|Token)\s+\S", re.IGNORECASE)
_BEARER = re.compile(r"\b(Bearer\s+)[\w.~+/=-]{6,}")
# The name and value of a JSON or Python field that a text quotes, however often it is escaped.
_FIELD = re.compile(r"""(\\{0,30}["'])([^"'\\\n]{1,80})\1\s*:\s*""")
_OPENING = re.compile(r"""\\{0,30}["']""")
_NUMBER = re.compile(r"-?[0-9][0-9.eE+-]*")


def is_secret(name: str) -> bool:
    """Whether a header, parameter or field with this name is secret."""
    return _SECRET_NAME.search(name) is not None and _PAGE_TOKEN.fullmatch(name) is None


def masked(value: Any) -> Any:
    """A copy of a JSON value without secrets."""
    whole = [value]
    todo: list[tuple[Any, Any]] = [(whole, 0)]
    # Not by recursion: a body may be nested as deep as Python can read it.
    while todo:
        place, key = todo.pop()
        item = place[key]
        if isinstance(item, str):
            place[key] = masked_text(item)
        elif isinstance(item, Mapping):
            place[key] = copy = dict(item)
            for name, inner in item.items():
                if inner and inner is not True and isinstance(name, str) and is_secret(name):
                    copy[name] = MASK
                elif isinstance(inner, (str, Mapping, list)):
                    todo.append((copy, name))
        elif isinstance(item, list):
            place[key] = items = list(item)
            todo += [(items, n) for n, inner in enumerate(items) if isinstance(inner, (str, Mapping, list))]
    return whole[0]


def masked_text(text: str) -> str:
    """A text without secret parameters and passwords in URLs, bearer tokens and secret fields
    that it quotes.
    """
    if "=" in text:
        text = _PARAMETER.sub(_parameter, text)
    if "@" in text:
        text = _USER_INFO.sub(MASK, text)
    if "earer" in text:
        text = _BEARER.sub(rf"\1{MASK}", text)
    if '"' in text or "'" in text:
        text = _without_fields(text)
    return text


def masked_header(name: str, value: str) -> str:
    """The value of a header without secrets; for credentials, their kind stays."""
    if not is_secret(name):
        return masked_text(value)
    scheme = _SCHEME.match(value)
    return f"{scheme[1]} {MASK}" if scheme else MASK


def masked_headers(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Headers without secrets."""
    return {name: masked_header(name, value) for name, value in headers}


def masked_body(body: bytes) -> bytes:
    """A body of JSON or text without secrets; unchanged if there are none."""
    try:
        value = parse(body.decode())
        shown = masked(value)
        return body if shown == value else to_bytes(shown)
    except (ValueError, RecursionError):
        text = body.decode("utf-8", "surrogateescape")
        return masked_text(text).encode("utf-8", "surrogateescape")


def _parameter(found: re.Match[str]) -> str:
    before, name, _ = found.groups()
    return f"{before}{name}={MASK}" if is_secret(unquote_plus(name)) else found[0]


def _without_fields(text: str) -> str:
    """The text without the values of fields that have a secret's name. Looks at each place once."""
    pieces = []
    at = 0
    while found := _FIELD.search(text, at):
        pieces.append(text[at : found.end()])
        at = found.end()
        if not is_secret(found[2]):
            continue
        opening = _OPENING.match(text, at)
        if opening is not None:
            end = text.find(opening[0], opening.end())
            while end > 0 and text[end - 1] == "\\":
                end = text.find(opening[0], end + 1)
            # The text may have been cut off within.
            at = len(text) if end < 0 else end + len(opening[0])
            pieces.append(f"{opening[0]}{MASK}{opening[0]}")
        elif number := _NUMBER.match(text, at):
            at = number.end()
            pieces.append(f"{found[1]}{MASK}{found[1]}")
    return "".join([*pieces, text[at:]])
