"""The formats of strings: zod's names and tests for them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from output_mock.javascript_json import number_text

from .javascript import is_url, to_number
from .schemas import UUID_PATTERN


class Format(NamedTuple):
    """One format: tested by the pattern that stands beside its name in a schema, or by its own."""

    name: str
    message: str
    pattern: str | None = None
    is_quoted: bool = True
    """Whether an issue quotes the pattern."""
    test: Callable[[str], Any] | None = None


def _is_ipv6(text: str) -> bool:
    return is_url(f"http://[{text}]")


def _is_cidrv6(text: str) -> bool:
    address, _, prefix = text.partition("/")
    bits = to_number(prefix)
    return _is_ipv6(address) and 0 <= bits <= 128 and number_text(bits) == prefix


_BASE64 = re.compile("(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?")


def _is_base64(text: str) -> bool:
    # What counts is the text, what is read is the letters, and those need no padding.
    letters = re.sub(r"[\t\n\f\r ]", "", text)
    return len(text) % 4 == 0 and _BASE64.fullmatch(letters) is not None


def _is_base64url(text: str) -> bool:
    return re.fullmatch("[A-Za-z0-9_-]*", text) is not None and len(text) % 4 != 1


_DATE = (
    r"(?:(?:\d\d[2468][048]|\d\d[13579][26]|\d\d0[48]|[02468][048]00|[13579][26]00)-02-29"
    r"|\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])"
    r"|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)|(?:02)-(?:0[1-9]|1\d|2[0-8])))"
)
_MINUTE = r"(?:[01]\d|2[0-3]):[0-5]\d"
_OFFSET = rf"([+-]{_MINUTE})"
_DURATION = r"^P(?:(\d+W)|(?!.*W)(?=\d|T\d)(\d+Y)?(\d+M)?(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+([.,]\d+)?S)?)?)$"
_EMAIL = (
    r"^(?!\.)(?!.*\.\.)([A-Za-z0-9_'+\-\.]*)[A-Za-z0-9_+-]"
    r"@([A-Za-z0-9][A-Za-z0-9\-]*\.)+[A-Za-z]{2,}$"
)
_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9][0-9]|[0-9])"
_LABEL = "[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"

_DATETIME = Format(
    "datetime", "Invalid ISO datetime", rf"^{_DATE}T(?:{_MINUTE}(?::[0-5]\d(?:\.\d+)?)?(?:Z|{_OFFSET}))$"
)
# zod's own time has no offset, JSON Schema's must have one; whoever writes "time" means one of the two.
_TIME = Format("time", "Invalid ISO time", rf"^{_MINUTE}(?::[0-5]\d(?:\.\d+)?)?(?:Z|{_OFFSET})?$")

FORMATS = {
    "base64": Format("base64", "Invalid base64-encoded string", test=_is_base64),
    "base64url": Format("base64url", "Invalid base64url-encoded string", test=_is_base64url),
    "cidrv4": Format("cidrv4", "Invalid IPv4 range"),
    "cidrv6": Format("cidrv6", "Invalid IPv6 range", test=_is_cidrv6),
    "cuid": Format("cuid", "Invalid cuid"),
    "cuid2": Format("cuid2", "Invalid cuid2"),
    "date": Format("date", "Invalid ISO date", f"^{_DATE}$"),
    "date-time": _DATETIME,
    "duration": Format("duration", "Invalid ISO duration", _DURATION),
    "e164": Format("e164", "Invalid E.164 number"),
    "email": Format("email", "Invalid email address", _EMAIL),
    "hex": Format("hex", "Invalid hex", is_quoted=False),
    "hostname": Format(
        "hostname", "Invalid hostname", rf"^(?=.{{1,253}}\.?$){_LABEL}(?:\.{_LABEL})*\.?$", is_quoted=False
    ),
    "ipv4": Format("ipv4", "Invalid IPv4 address", rf"^(?:{_OCTET}\.){{3}}{_OCTET}$"),
    "ipv6": Format("ipv6", "Invalid IPv6 address", test=_is_ipv6),
    "ksuid": Format("ksuid", "Invalid KSUID"),
    "mac": Format("mac", "Invalid MAC address"),
    "nanoid": Format("nanoid", "Invalid nanoid"),
    "time": _TIME,
    "ulid": Format("ulid", "Invalid ULID"),
    "uuid": Format("uuid", "Invalid UUID", UUID_PATTERN),
    "xid": Format("xid", "Invalid XID"),
}
"""By the name in JSON Schema. Formats without pattern and test get a pattern from `z.toJSONSchema`."""

_BEGINNINGS = {
    "^([0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-": Format("guid", "Invalid GUID"),
    f"^{_DATE}T": _DATETIME,
    f"^{_MINUTE}": _TIME,
}


def recognised(pattern: str | None) -> Format | None:
    """The format of a pattern that `z.toJSONSchema` writes without a name, or under another's."""
    begun = (known for start, known in _BEGINNINGS.items() if pattern and pattern.startswith(start))
    return next(begun, None)
