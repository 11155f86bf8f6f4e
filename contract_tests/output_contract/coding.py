"""Content codings: decodes compressed bodies."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from importlib import import_module


class Undecodable(ValueError):
    """A body that cannot be decoded; the message says why."""


def decoder(coding: str) -> Callable[[bytes], bytes]:
    """A decoder for the pieces of a body with this `Content-Encoding`.

    Raises `Undecodable` for an unsupported coding. The decoder also raises it if the body does not have the
    coding that its header names.
    """
    coding = coding.strip().lower()
    if coding in ("", "identity"):
        return lambda piece: piece
    if coding in ("gzip", "x-gzip"):
        return _checked(zlib.decompressobj(31).decompress, coding)
    if coding == "deflate":
        return _checked(zlib.decompressobj(15).decompress, coding)
    if coding == "br":
        try:
            process = import_module("brotli").Decompressor().process
        except ImportError:
            raise Undecodable(
                "it is compressed with br; pip install 'output-mock[brotli]' lets it be read"
            ) from None
        return _checked(process, coding)
    raise Undecodable(f"it is compressed with {coding!r}, which cannot be read here")


def _checked(decode: Callable[[bytes], bytes], coding: str) -> Callable[[bytes], bytes]:
    def checked(piece: bytes) -> bytes:
        try:
            return decode(piece)
        except Exception as problem:
            raise Undecodable(f"its header says {coding!r}, and its bytes are not: {problem}") from None

    return checked
