"""All ids of the fake, from one seeded source."""

from __future__ import annotations

import random
import uuid

# The alphabet of nanoid, with which the real server makes workflow ids.
_ALPHABET = "useandom-26T198340PX75pxJACKVERYMINDBUSHWOLF_GQZbfghjklqvwyzrict"
_BASE64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
# Which letter each random byte stands for.
_LETTERS = bytes(ord(_ALPHABET[byte & 63]) for byte in range(256))


class Ids:
    """A seeded source of ids: the same seed and the same calls give the same ids."""

    __slots__ = ("_bits", "random")

    def __init__(self, seed: int) -> None:
        self.random: random.Random = random.Random(seed)
        self._bits = self.random.getrandbits

    def workflow_id(self) -> str:
        """21 characters of nanoid's alphabet, as on the real server.

        Never begins with `-`: the official command-line client would take it for a flag.
        """
        while True:
            text = self._bits(168).to_bytes(21, "little").translate(_LETTERS).decode()
            if text[0] != "-":
                return text

    def run_id(self, now: int) -> str:
        """A version 7 UUID at `now` (nanoseconds): what a started run gets."""
        milliseconds, bits = now // 1_000_000, self._bits(74)
        return (
            f"{milliseconds >> 16:08x}-{milliseconds & 0xFFFF:04x}-7{bits >> 62:03x}-"
            f"{0x8000 | (bits >> 48 & 0x3FFF):04x}-{bits & 0xFFFFFFFFFFFF:012x}"
        )

    def uuid4(self) -> str:
        """A version 4 UUID: what a run gets that continues or resets another one."""
        bits = self._bits(122)
        return (
            f"{bits >> 90:08x}-{bits >> 74 & 0xFFFF:04x}-4{bits >> 62 & 0xFFF:03x}-"
            f"{0x8000 | (bits >> 48 & 0x3FFF):04x}-{bits & 0xFFFFFFFFFFFF:012x}"
        )

    def child_suffix(self) -> str:
        """What the real SDK appends to a parent's id for the id of a child: a UUID in URL-safe base 64."""
        number = uuid.UUID(self.uuid4()).int
        digits = ""
        while number:
            number, digit = divmod(number, 64)
            digits = _BASE64URL[digit] + digits
        return digits
