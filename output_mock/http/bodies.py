"""Request bodies, read as the real server's body parsers read them (raw_bodies).

JSON only when the type says so, forms with brackets, nothing else; at most 2 MiB.
"""

from __future__ import annotations

import codecs
import re
import zlib
from typing import Any
from urllib.parse import unquote_to_bytes

from werkzeug.datastructures import Headers

from output_mock.javascript_json import UNDEFINED, JSONSyntaxError, as_json, utf16
from output_mock.javascript_json import parse as parse_json

LIMIT = 2 * 1024 * 1024
_FIRST = re.compile(r"[\x20\x09\x0a\x0d]*([^\x20\x09\x0a\x0d])")
_CHARSET = re.compile(r'charset\s*=\s*"?([^\s;"]+)', re.IGNORECASE)
# How deep brackets of a form nest, and how many parameters it may have.
_FORM_DEPTH = 32
_FORM_PARAMETERS = 1000
# A place in a list; longer ones are names.
_PLACE = re.compile("0|[1-9][0-9]?")


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
    return form(_text(headers, body, charset), charset)


def _text(headers: Headers, body: bytes, charset: str) -> str:
    encoding = headers.get("Content-Encoding", "").lower() or "identity"
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
    """The decompressed body, or as much of it as shows that it is too large.

    What is wrong is said in the words of Node 20, as measured with Express 5.
    """
    if encoding == "br":
        return _from_brotli(body)
    if encoding not in ("gzip", "deflate"):
        raise BodyError("UnsupportedMediaTypeError", 415, f'unsupported content encoding "{encoding}"')
    inflated = b""
    try:
        while True:
            decompressor = zlib.decompressobj(31 if encoding == "gzip" else 15)
            inflated += decompressor.decompress(body, LIMIT + 1 - len(inflated))
            if len(inflated) > LIMIT:
                return inflated
            if not decompressor.eof:
                raise BodyError("Error", 400, "unexpected end of file")
            body = decompressor.unused_data
            # After a gzip file there may be another one, or zeros.
            if encoding != "gzip" or not body or body.startswith(b"\0"):
                return inflated
    except zlib.error:
        raise BodyError("Error", 400, "incorrect header check") from None


def _from_brotli(body: bytes) -> bytes:
    try:
        import brotli
    except ImportError:
        raise BodyError(
            "UnsupportedMediaTypeError",
            415,
            'unsupported content encoding "br"; the fake decodes it once output-mock[brotli] is installed',
        ) from None
    decompressor = brotli.Decompressor()
    try:
        inflated: bytes = decompressor.process(body, output_buffer_limit=LIMIT + 1)
        while len(inflated) <= LIMIT and not decompressor.is_finished():
            piece = decompressor.process(b"", output_buffer_limit=LIMIT + 1 - len(inflated))
            if not piece:
                raise BodyError("Error", 400, "unexpected end of file")
            inflated += piece
    except brotli.error:
        raise BodyError("Error", 400, "Decompression failed") from None
    return inflated


# JSON


def _json(text: str) -> Any:
    first = _FIRST.match(text)
    if first is None or first.group(1) not in "{[":
        raise BodyError("SyntaxError", 400, _refused(text, None if first is None else first.group(1)))
    try:
        return parse_json(text)
    except JSONSyntaxError as error:
        raise BodyError("SyntaxError", 400, str(error)) from None


# What stands for the rest of a body that begins with no bracket, while the message about it is made.
_REST = "#"


def _refused(text: str, first: str | None) -> str:
    """What body-parser says of JSON that is neither an object nor an array (raw_bodies)."""
    at = len(text) if first is None else text.index(first)
    kept, rest = utf16(text[:at]), utf16(text[at:])
    try:
        parse_json(kept + _REST * len(rest))
    except JSONSyntaxError as error:
        return re.sub(f"{_REST}+", lambda found: rest[: len(found[0])], str(error))
    raise AssertionError("no JSON begins so")


# Forms, as the `qs` library reads them


def form(text: str, charset: str = "utf-8") -> dict[str, Any]:
    """A form with brackets: `a[b]=1&a[c][]=2` (raw_bodies).

    Raises `BodyError` for too many parameters, and for a name with more than 32 pairs of brackets (measured
    with Express 5.3, body-parser 2.4 and qs 6.17).
    """
    parts = [part for part in text.split("&") if part]
    if len(parts) > _FORM_PARAMETERS:
        raise BodyError("PayloadTooLargeError", 413, "too many parameters")
    values: dict[str, Any] = {}
    for part in parts:
        # The `=` that ends a key is the first one outside of its brackets.
        bracket = part.find("]=")
        cut = part.find("=") if bracket < 0 else bracket + 1
        name, value = (part, "") if cut < 0 else (part[:cut], part[cut + 1 :])
        key, text = _form_text(name, charset), _form_text(value, charset)
        values[key] = text if key not in values else [*_as_list(values[key]), text]
    fields: Any = {}
    for key, value in values.items():
        if key:
            fields = _merged(fields, _nested(_keys(key), value))
    compacted = as_json(_compacted(fields))
    assert isinstance(compacted, dict)
    return compacted


def _form_text(text: str, charset: str) -> str:
    text = text.replace("+", " ")
    if "%" not in text:
        return text
    if charset != "utf-8":
        return re.sub(r"%([0-9A-Fa-f]{2})", lambda found: chr(int(found.group(1), 16)), text)
    try:
        if re.search(r"%(?![0-9A-Fa-f]{2})", text):
            return text
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        return text


def _keys(key: str) -> list[str]:
    """`a[b][]` as `a`, `[b]`, `[]`: brackets stay, to tell a list's place from a name."""
    head, bracket, rest = key.partition("[")
    if not bracket:
        return [key]
    rest = bracket + rest
    parts = re.findall(r"\[[^\[\]]*\]", rest)
    if not parts:
        return [head, rest] if head else [rest]
    if len(parts) > _FORM_DEPTH:
        raise BodyError("BadRequestError", 400, "The input exceeded the depth")
    return [head, *parts] if head else parts


class _List(dict[int, Any]):
    """A list that may have holes: place → value."""


def _nested(keys: list[str], value: Any) -> Any:
    """The value at the end of its path: for `a`, `[b]` that is `{"a": {"b": value}}`."""
    for key in reversed(keys):
        if key == "[]":
            value = _List(enumerate(_as_list(value)))
            continue
        bare = key[1:-1] if key.startswith("[") and key.endswith("]") else key
        if bare is not key and _PLACE.fullmatch(bare):
            value = _List({int(bare): value})
        else:
            value = {} if bare == "__proto__" else {bare: value}
    return value


def _as_list(value: Any) -> list[Any]:
    if isinstance(value, _List):
        return list(value.values())
    return value if isinstance(value, list) else [value]


def _merged(target: Any, source: Any) -> Any:
    if isinstance(target, list):
        target = _List(enumerate(target))
    if isinstance(source, list):
        source = _List(enumerate(source))
    if not isinstance(source, dict):
        if isinstance(target, _List):
            target[max(target, default=-1) + 1] = source
            return target
        return _List({0: target, 1: source})
    if not isinstance(target, dict):
        return _List(enumerate([target, *_as_list(source)]))
    if isinstance(target, _List) and isinstance(source, _List):
        for place, item in source.items():
            if place not in target:
                target[place] = item
            elif isinstance(target[place], dict) and isinstance(item, dict):
                target[place] = _merged(target[place], item)
            else:
                target[max(target) + 1] = item
        return target
    merged = {str(key): item for key, item in target.items()} if isinstance(target, _List) else target
    for key, item in source.items():
        merged[str(key)] = _merged(merged[str(key)], item) if str(key) in merged else item
    return merged


def _compacted(value: Any) -> Any:
    if isinstance(value, _List):
        return [_compacted(value[place]) for place in sorted(value)]
    if isinstance(value, dict):
        return {key: _compacted(item) for key, item in value.items()}
    return value
