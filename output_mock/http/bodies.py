"""Request bodies, read as the real server's body parsers read them (raw_bodies).

JSON only when the type says so, forms with brackets, nothing else; at most 2 MiB.
"""

from __future__ import annotations

import codecs
import gzip
import json
import re
import zlib
from typing import Any
from urllib.parse import unquote_plus

from werkzeug.datastructures import Headers

from output_mock.engine.payloads import UNDEFINED

LIMIT = 2 * 1024 * 1024
_FIRST = re.compile(r"[\x20\x09\x0a\x0d]*([^\x20\x09\x0a\x0d])")
_CHARSET = re.compile(r'charset\s*=\s*"?([^\s;"]+)', re.IGNORECASE)
# How deep brackets of a form nest, and how many parameters it may have.
_FORM_DEPTH = 32
_FORM_PARAMETERS = 1000
_ARRAY_LIMIT = 100


class BodyError(Exception):
    """A body that cannot be read; `name` and `status` are what the answer says."""

    def __init__(self, name: str, status: int, message: str) -> None:
        super().__init__(message)
        self.name = name
        self.status = status
        self.message = message


def parse(headers: Headers, body: bytes) -> Any:
    """The body's value, or `UNDEFINED` when there is none of a type that is read.

    Raises `BodyError`.
    """
    kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind not in ("application/json", "application/x-www-form-urlencoded"):
        return UNDEFINED
    if "Content-Length" not in headers and "Transfer-Encoding" not in headers:
        return UNDEFINED
    content = headers.get("Content-Type", "")
    found = _CHARSET.search(content)
    charset = found.group(1).lower() if found else "utf-8"
    if kind == "application/json":
        if not charset.startswith("utf-"):
            raise BodyError("UnsupportedMediaTypeError", 415, f'unsupported charset "{charset.upper()}"')
        text = _text(headers, body, charset)
        return {} if not text else _json(text)
    if charset not in ("utf-8", "iso-8859-1"):
        raise BodyError("UnsupportedMediaTypeError", 415, f'unsupported charset "{charset.upper()}"')
    return form(_text(headers, body, charset))


def _text(headers: Headers, body: bytes, charset: str) -> str:
    encoding = headers.get("Content-Encoding", "identity").lower()
    if encoding != "identity":
        body = _inflated(encoding, body)
    if len(body) > LIMIT:
        raise BodyError("PayloadTooLargeError", 413, "request entity too large")
    if charset == "utf-16":
        # As iconv does it: the byte order mark decides, else it is guessed; text is little-endian.
        charset = "utf-16" if body[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-16-le"
    try:
        text = body.decode(charset, "replace")
    except LookupError:
        raise BodyError(
            "UnsupportedMediaTypeError", 415, f'unsupported charset "{charset.upper()}"'
        ) from None
    return text.removeprefix("\ufeff")


def _inflated(encoding: str, body: bytes) -> bytes:
    """The decompressed body, or as much of it as shows that it is too large."""
    if encoding not in ("gzip", "deflate"):
        raise BodyError("UnsupportedMediaTypeError", 415, f'unsupported content encoding "{encoding}"')
    decompressor = zlib.decompressobj(31 if encoding == "gzip" else 15)
    try:
        inflated = decompressor.decompress(body, LIMIT + 1)
        if len(inflated) <= LIMIT and not decompressor.eof:
            raise BodyError("Error", 400, "unexpected end of file")
    except (zlib.error, gzip.BadGzipFile):
        raise BodyError("Error", 400, "incorrect header check") from None
    return inflated


# JSON


def _json(text: str) -> Any:
    first = _FIRST.match(text)
    if first is None or first.group(1) not in "{[":
        raise BodyError("SyntaxError", 400, _unexpected(text, first))
    try:
        return loads(text)
    except (ValueError, RecursionError) as error:
        raise BodyError("SyntaxError", 400, _words(text, error)) from None


def loads(text: str) -> Any:
    """JSON as JavaScript reads it: no NaN, one kind of number."""
    return json.loads(text, parse_float=_number, parse_int=_integer, parse_constant=_constant)


def _number(text: str) -> float | int | None:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        return None  # what JSON.stringify makes of Infinity
    return int(value) if value.is_integer() and abs(value) < 1e21 else value


def _integer(text: str) -> float | int | None:
    if len(text) < 16:
        return int(text)
    if len(text) > 400:
        return None
    # Beyond 2 to the 53rd JavaScript keeps the nearest double, and prints its shortest digits.
    value = float(text)
    if abs(value) < 2**53:
        return int(value)
    if abs(value) >= 1e21:
        return value
    digits, _, exponent = repr(value).partition("e+")
    if not exponent:
        return int(value)
    whole, _, fraction = digits.partition(".")
    return int((whole + fraction).ljust(int(exponent) + len(whole.lstrip("-")) + (whole[0] == "-"), "0"))


def _constant(name: str) -> Any:
    raise ValueError(f"Unexpected token '{name[0]}'")


def _unexpected(text: str, first: re.Match[str] | None) -> str:
    if first is None:
        return "Unexpected end of JSON input"
    shown = text if len(text) <= 40 else f"{text[:40]}..."
    return f"Unexpected token '{first.group(1)}', \"{shown}\" is not valid JSON"


def _words(text: str, error: Exception) -> str:
    """About the words of V8's parser for the same mistake."""
    if not isinstance(error, json.JSONDecodeError):
        return (
            "Unexpected token in JSON" if not isinstance(error, ValueError) else f"{error} is not valid JSON"
        )
    if error.pos >= len(text.rstrip()):
        return "Unexpected end of JSON input"
    place = f"in JSON at position {error.pos} (line {error.lineno} column {error.colno})"
    if error.msg.startswith("Expecting property name"):
        return f"Expected property name or '}}' {place}"
    if error.msg.startswith("Expecting ',' delimiter"):
        return f"Expected ',' or '}}' after property value {place}"
    if error.msg.startswith("Expecting ':' delimiter"):
        return f"Expected ':' after property name {place}"
    return f"Unexpected token '{text[error.pos]}', \"{text[:40]}\" is not valid JSON"


# Forms


def form(text: str) -> dict[str, Any]:
    """A form with brackets: `a[b]=1&a[c][]=2` (raw_bodies). Raises `BodyError` for too many parameters."""
    fields: dict[str, Any] = {}
    parts = [part for part in text.split("&") if part]
    if len(parts) > _FORM_PARAMETERS:
        raise BodyError("PayloadTooLargeError", 413, "too many parameters")
    for part in parts:
        # The `=` that ends a key is the first one outside of its brackets.
        bracket = part.find("]=")
        cut = part.find("=") if bracket < 0 else bracket + 1
        key, value = (part, "") if cut < 0 else (part[:cut], part[cut + 1 :])
        keys = _keys(unquote_plus(key))
        if keys:
            _put(fields, keys, unquote_plus(value))
    compacted = _compacted(fields)
    assert isinstance(compacted, dict)
    return compacted


def _keys(key: str) -> list[str]:
    head, bracket, _ = key.partition("[")
    if not bracket:
        return [key]
    parts = re.findall(r"\[([^\[\]]*)\]", key[len(head) :])[:_FORM_DEPTH]
    if not parts:
        return [key]
    keys = [head, *parts] if head else parts
    return [] if any(part == "__proto__" for part in keys) else keys


class _List(dict[int, Any]):
    """A list under construction: index → value."""


def _put(container: dict[str, Any], keys: list[str], value: str) -> None:
    target: Any = container
    for key, following in zip(keys, [*keys[1:], None], strict=True):
        place: Any = key
        if isinstance(target, _List):
            place = len(target) if key == "" else int(key) if key.isdigit() else key
        if following is None:
            known = target.get(place)
            if known is None:
                target[place] = value
            elif isinstance(known, _List):
                known[len(known)] = value
            elif isinstance(known, dict):
                known[value] = True
            else:
                target[place] = _List({0: known, 1: value})
            return
        known = target.get(place)
        if not isinstance(known, dict):
            is_list = following == "" or (following.isdigit() and int(following) <= _ARRAY_LIMIT)
            made: dict[Any, Any] = _List() if is_list else {}
            if known is not None:
                made[0 if is_list else known] = known if is_list else True
            target[place] = known = made
        elif isinstance(known, _List) and following != "" and not following.isdigit():
            target[place] = known = {str(index): item for index, item in known.items()}
        target = known


def _compacted(value: Any) -> Any:
    if isinstance(value, _List):
        return [_compacted(value[index]) for index in sorted(value)]
    if isinstance(value, dict):
        return {str(key): _compacted(item) for key, item in value.items()}
    return value
