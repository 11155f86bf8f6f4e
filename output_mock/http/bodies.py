"""Request bodies, read as the real server's body parsers read them (raw_bodies).

JSON only when the type says so, forms with brackets, nothing else; at most 2 MiB.
"""

from __future__ import annotations

import codecs
import re
import zlib
from typing import TYPE_CHECKING, Any

from werkzeug.exceptions import ClientDisconnected
from werkzeug.sansio.utils import get_content_length
from werkzeug.wsgi import get_input_stream

from output_mock.contract.errors import UnreadableBodyError
from output_mock.http import forms
from output_mock.javascript_json import UNDEFINED, JSONSyntaxError, utf16
from output_mock.javascript_json import parse as parse_json

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_TYPES = ("application/json", "application/x-www-form-urlencoded")
LIMIT = 2 * 1024 * 1024
_FIRST = re.compile(r"[\x20\x09\x0a\x0d]*([^\x20\x09\x0a\x0d])")
_CHARSET = re.compile(r'charset\s*=\s*"?([^\s;"]+)', re.IGNORECASE)


def read(environ: WSGIEnvironment) -> Any:
    """The value of the body of a request, or `UNDEFINED` when there is none of a type that is read.

    Raises `UnreadableBodyError`, and `RecursionError` for JSON that is nested too deep.
    """
    content_type = environ.get("CONTENT_TYPE")
    if content_type is None:
        return UNDEFINED
    kind = content_type.partition(";")[0].strip().lower()
    length = get_content_length(environ.get("CONTENT_LENGTH"), environ.get("HTTP_TRANSFER_ENCODING"))
    if length is not None and length > LIMIT and "HTTP_CONTENT_ENCODING" not in environ:
        if kind in _TYPES:
            raise UnreadableBodyError.too_large()
        return UNDEFINED
    body = _sent(environ, length)
    if kind not in _TYPES or ("CONTENT_LENGTH" not in environ and "HTTP_TRANSFER_ENCODING" not in environ):
        return UNDEFINED
    found = _CHARSET.search(content_type) if ";" in content_type else None
    charset = found.group(1).lower() if found else "utf-8"
    is_json = kind == "application/json"
    if not (charset.startswith("utf-") if is_json else charset in ("utf-8", "iso-8859-1")):
        raise UnreadableBodyError.unsupported(f'unsupported charset "{charset.upper()}"')
    text = _text(environ.get("HTTP_CONTENT_ENCODING", ""), body, charset)
    if is_json:
        return {} if not text else _json(text)
    return forms.parse(text, charset)


def _sent(environ: WSGIEnvironment, length: int | None) -> bytes:
    """What was sent, or as much of it as shows that it is too large."""
    if length is None or "HTTP_TRANSFER_ENCODING" in environ:
        return get_input_stream(environ).read(LIMIT + 1)
    wanted = min(length, LIMIT + 1)
    body: bytes = environ["wsgi.input"].read(wanted)
    if len(body) < wanted:
        raise ClientDisconnected
    return body


def _text(encoding: str, body: bytes, charset: str) -> str:
    encoding = encoding.lower()
    if encoding not in ("", "identity"):
        body = _inflated(encoding, body)
    if len(body) > LIMIT:
        raise UnreadableBodyError.too_large()
    if charset == "utf-16":
        charset = _order_of_bytes(body)
    if charset.startswith("utf-16") and len(body) % 2:
        # Half of a character at the end is as good as none (bodies_that_end_within_a_character).
        body = body[:-1]
    try:
        text = body.decode(charset, "replace")
    except LookupError:
        raise UnreadableBodyError.unsupported(f'unsupported charset "{charset.upper()}"') from None
    return text.removeprefix("\ufeff")


def _order_of_bytes(body: bytes) -> str:
    """Which kind of UTF-16 a body is: the byte order mark decides, or else where the zeros of ASCII stand."""
    if body[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return "utf-16"
    pairs = list(zip(body[:200:2], body[1:200:2], strict=False))
    big = sum(not first and bool(second) for first, second in pairs)
    little = sum(bool(first) and not second for first, second in pairs)
    return "utf-16-be" if big > little else "utf-16-le"


def _inflated(encoding: str, body: bytes) -> bytes:
    """The decompressed body, or as much of it as shows that it is too large.

    What is wrong is said in the words of Node 20, as measured with Express 5.
    """
    if encoding == "br":
        return _from_brotli(body)
    if encoding not in ("gzip", "deflate"):
        raise UnreadableBodyError.unsupported(f'unsupported content encoding "{encoding}"')
    inflated = b""
    try:
        while True:
            decompressor = zlib.decompressobj(31 if encoding == "gzip" else 15)
            inflated += decompressor.decompress(body, LIMIT + 1 - len(inflated))
            if len(inflated) > LIMIT:
                return inflated
            if not decompressor.eof:
                raise UnreadableBodyError.not_unpacked("unexpected end of file")
            body = decompressor.unused_data
            # After a gzip file there may be another one, or zeros.
            if encoding != "gzip" or not body or body.startswith(b"\0"):
                return inflated
    except zlib.error:
        raise UnreadableBodyError.not_unpacked("incorrect header check") from None


def _from_brotli(body: bytes) -> bytes:
    try:
        import brotli
    except ImportError:
        raise UnreadableBodyError.unsupported(
            'unsupported content encoding "br"; to let the fake decode it, install output-mock[brotli]',
        ) from None
    decompressor = brotli.Decompressor()
    try:
        inflated: bytes = decompressor.process(body, output_buffer_limit=LIMIT + 1)
        while len(inflated) <= LIMIT and not decompressor.is_finished():
            piece = decompressor.process(b"", output_buffer_limit=LIMIT + 1 - len(inflated))
            if not piece:
                raise UnreadableBodyError.not_unpacked("unexpected end of file")
            inflated += piece
    except brotli.error:
        raise UnreadableBodyError.not_unpacked("Decompression failed") from None
    return inflated


def _json(text: str) -> Any:
    first = _FIRST.match(text)
    if first is None or first.group(1) not in "{[":
        raise UnreadableBodyError.no_json(_refused(text, None if first is None else first.group(1)))
    try:
        return parse_json(text)
    except JSONSyntaxError as error:
        raise UnreadableBodyError.no_json(str(error)) from None


# Replaces the rest of a body that does not begin with a bracket, while the message about it is made.
_REST = "#"


def _refused(text: str, first: str | None) -> str:
    """What body-parser says about JSON that is neither an object nor an array (raw_bodies)."""
    at = len(text) if first is None else text.index(first)
    kept, rest = utf16(text[:at]), utf16(text[at:])
    try:
        parse_json(kept + _REST * len(rest))
    except JSONSyntaxError as error:
        return re.sub(f"{_REST}+", lambda found: rest[: len(found[0])], str(error))
    raise AssertionError("no JSON begins so")
