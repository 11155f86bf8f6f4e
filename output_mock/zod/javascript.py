"""JavaScript's rules in zod: `undefined`, type names, numbers, URLs, regular expressions."""

from __future__ import annotations

import ipaddress
import math
import re
import sys
from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

from output_mock.javascript_json import UNDEFINED, Undefined, as_double, number_text, utf16

MAX_NUMBER = sys.float_info.max
WHITESPACE = (
    "\t\n\v\f\r \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000\ufeff"
)


def type_name(value: Any) -> str:
    """zod's name for the type of a received value."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number" if value == value else "NaN"
    for kind, name in ((str, "string"), (dict, "object"), (list, "array"), (Undefined, "undefined")):
        if isinstance(value, kind):
            return name
    return "null" if value is None else type(value).__name__


_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_PREFIXED = re.compile(r"0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][01]+")
_INFINITIES = {"Infinity": math.inf, "+Infinity": math.inf, "-Infinity": -math.inf}


def to_number(value: Any) -> float:
    """`Number(value)`."""
    if isinstance(value, str):
        text = value.strip(WHITESPACE)
        if not text:
            return 0
        if _DECIMAL.fullmatch(text):
            return as_double(float(text))
        if _PREFIXED.fullmatch(text):
            return as_double(int(text, 0))
        return _INFINITIES.get(text, math.nan)
    if isinstance(value, (bool, int, float)):
        return as_double(int(value)) if isinstance(value, int) else value
    if value is None:
        return 0
    if isinstance(value, list) and len(value) < 2:
        # An array becomes the text of its items, joined by commas. null and undefined are empty there, but
        # true and {} are words.
        item = value[0] if value else None
        return math.nan if isinstance(item, bool) else 0 if item is UNDEFINED else to_number(item)
    return math.nan


def is_multiple(number: float, divisor: float) -> bool:
    """Whether zod accepts one number as a multiple of the other.

    It writes both with the same number of decimals, removes the point, and divides. Numbers with an
    exponent give wrong results: 1e-8 is a multiple of 0.1, and 1e300 is not a multiple of 3.
    """
    text, step = number_text(number), number_text(divisor)
    places = len(step.partition(".")[2]) or int(step.partition("e-")[2][:1] or 0)
    places = max(places, len(text.partition(".")[2]))
    steps = _digits(divisor, places)
    return steps != 0 and math.fmod(_digits(number, places), steps) == 0


def _digits(number: float, places: int) -> float:
    if abs(number) >= 1e21:
        return float(number_text(abs(number)).partition("e")[0].replace(".", ""))
    return float(math.floor(Fraction(abs(float(number))) * 10**places + Fraction(1, 2)))


_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_IPV6 = r"\[([0-9A-Fa-f:.]+)\]"
_AUTHORITY = re.compile(
    r"([^/\\?#]*@)?"
    rf"({_IPV6}|(?:[^\s\x00-\x20#%/:<>?@\[\\\]^|\x7f]|%[0-9A-Fa-f]{{2}})*)"
    r"(?::([0-9]*))?(?=[/\\?#]|\Z)"
)
_OTHER_AUTHORITY = re.compile(rf"([^/?#]*@)?({_IPV6}|[^\x00 #/:<>?@\[\\\]^|]*)(?::([0-9]*))?(?=[/?#]|\Z)")
_TRIMMED = "".join(map(chr, range(33)))


def url_text(text: str) -> str:
    """A URL without surrounding white space, as zod returns it."""
    return text.strip(WHITESPACE)


def is_url(text: str) -> bool:
    """Whether `new URL(text)` accepts it, without IDNA and unusual forms of IPv4 addresses."""
    text = re.sub(r"[\t\n\r]", "", text.strip(_TRIMMED))
    scheme = _SCHEME.match(text)
    if scheme is None:
        return False
    rest = text[scheme.end() :]
    needs_host = scheme[1].lower() in ("http", "https", "ws", "wss", "ftp")
    if needs_host:
        authority = _AUTHORITY.match(rest.lstrip("/\\"))
    elif rest.startswith("//"):
        authority = _OTHER_AUTHORITY.match(rest[2:])
    else:
        return True
    if authority is None:
        return False
    user, host, address, port = authority.groups()
    if address and not _is_ipv6(address):
        return False
    return int(port or 0) < 65536 and bool(host or not (needs_host or user or port is not None))


def _is_ipv6(text: str) -> bool:
    try:
        return bool(ipaddress.IPv6Address(text))
    except ValueError:
        return False


_REGEX_TOKEN = re.compile(
    r"""
    \\(?:u[0-9a-fA-F]{4} | x[0-9a-fA-F]{2} | c[A-Za-z] | k<\w+> | [pP]\{ | .)   # escapes
    | \(\?(?:<(?![=!])|<?[=!]|:)? | \[\^?\]? | \{                               # openings
    | (?:[*+?]|\{\d+(?:,\d*)?\})\+                                             # possessive in Python only
    | .""",
    re.VERBOSE | re.DOTALL,
)
_SPACES = "".join(f"\\u{ord(char):04x}" for char in WHITESPACE)
_BEFORE_LITERAL_HYPHEN = {"[", "[^", "-", *(f"\\{kind}" for kind in "dDwWsS")}
_LINE_ENDS = "\\n\\r\\u2028\\u2029"
_SHOWN = {"\n": "\\n", "\r": "\\r", "\u2028": "\\u2028", "\u2029": "\\u2029"}


_QUANTIFIER = re.compile(r"[*+?]|\{[0-9]+(?:,[0-9]*)?\}")


class Translated(NamedTuple):
    """A JavaScript regular expression in Python's syntax, and as `/source/flags`, which zod quotes."""

    python: str
    shown: str
    depth: int
    """The greatest depth of nested repeated groups."""


def regex(source: str, flags: str = "") -> tuple[Callable[[str], bool], str]:
    """The test of `new RegExp(source, flags)`, and the text `/source/flags` in which zod quotes it.

    For this project's own patterns: a match has no time limit. Raises `re.error` for what JavaScript
    rejects, and for what Python's `re` does not support: `\\p{…}`, and looking behind by a varying width.
    """
    python, shown, _ = translated(source, flags)
    modes = re.ASCII | (re.IGNORECASE if "i" in flags else 0) | (re.DOTALL if "s" in flags else 0)
    search = re.compile(python, modes).search
    return lambda text: search(utf16(text)) is not None, shown


def translated(source: str, flags: str = "") -> Translated:
    """The regular expression in Python's syntax. Raises `re.error` if JavaScript rejects it."""
    python, shown, in_class, previous = "", "", False, ""
    names: set[str] = set()
    # How each group that is open begins, and how deep the repeats in it lie.
    groups: list[tuple[str, int]] = [("", 0)]
    # Whether what comes last matches no text itself. Of such, JavaScript repeats only what looks ahead.
    asserts = False
    source = utf16(source)
    for match in _REGEX_TOKEN.finditer(source):
        token = match[0]
        if asserts and _QUANTIFIER.match(source, match.start()):
            raise re.error("nothing to repeat")
        asserts = not in_class and token in ("^", "$", "\\b", "\\B")
        if token == "/" and not in_class:
            shown += "\\/"
        else:
            shown += _SHOWN.get(token, token)
        if token[0] == "\\":
            python += _escape(token, in_class)
        elif in_class:
            in_class = token != "]"
            # Python reserves these for set operations, and wants a hyphen that makes no range to say so.
            literal = token[0] in "[&~|" or (token == "-" and previous in _BEFORE_LITERAL_HYPHEN)
            python += "\\" + token if literal else token
            if token[0] == "[" and token.endswith("]"):
                in_class = False
        elif token in ("[]", "[^]"):
            python += "(?!)" if token == "[]" else r"[\s\S]"
        elif token in ("[", "[^"):
            python, in_class = python + token, True
        elif token == "(?<":
            python += "(?P<"
            name = source[match.end() :].partition(">")[0]
            if name in names:
                raise re.error(f"there are two groups named {name!r}")
            names.add(name)
            groups.append((token, 0))
        elif token == "(?":
            raise re.error("invalid group")
        elif token.endswith("+") and len(token) > 1:
            raise re.error("nothing to repeat")
        elif token == "{":
            python += "{" if _QUANTIFIER.match(source, match.start()) else "\\{"
        elif token == "." and "s" not in flags:
            python += f"[^{_LINE_ENDS}]"
        elif token == "$":
            python += rf"(?=[{_LINE_ENDS}]|\Z)" if "m" in flags else r"\Z"
        elif token == "^" and "m" in flags:
            python += rf"(?:^|(?<=[{_LINE_ENDS}]))"
        else:
            python += token
            if token[0] == "(":
                groups.append((token, 0))
            elif token == ")" and len(groups) > 1:
                opening, depth = groups.pop()
                depth += _QUANTIFIER.match(source, match.end()) is not None
                groups[-1] = groups[-1][0], max(groups[-1][1], depth)
                asserts = opening.startswith("(?<") and opening != "(?<"
        previous = token
    shown = shown.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    return Translated(python, f"/{shown or '(?:)'}/{flags}", groups[0][1])


def _escape(token: str, in_class: bool) -> str:
    kind = token[1:2]
    if kind == "s":
        return _SPACES if in_class else f"[{_SPACES}]"
    if kind == "S" and not in_class:
        return f"[^{_SPACES}]"
    if kind in "pP" and len(token) > 2:
        raise re.error(f"{token}…}} has no equal in Python")
    if kind in "ux" and len(token) > 2:
        return re.escape(chr(int(token[2:], 16)))
    if kind == "c" and len(token) > 2:
        return re.escape(chr(ord(token[2]) & 31))
    if kind == "k" and len(token) > 2:
        return f"(?P={token[3:-1]})"
    if kind in "dDwWbBStnrvf123456789":
        return token
    return "\\x00" if kind == "0" else re.escape(kind)
