"""Every identifier that the fake hands out, from one seeded source."""

from __future__ import annotations

import random
import uuid

# The alphabet of nanoid, which the real server mints workflow ids with.
_ALPHABET = "useandom-26T198340PX75pxJACKVERYMINDBUSHWOLF_GQZbfghjklqvwyzrict"
_BASE64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
# Two characters at a time: half the steps for an id that is drawn for every run.
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_UUID7_VERSION = 7 << 76
_VARIANT = 2 << 62


class Ids:
    """A seeded source of ids: the same seed and the same calls give the same ids."""

    __slots__ = ("_bits", "random")

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self._bits = self.random.getrandbits

    def workflow_id(self) -> str:
        """21 characters of nanoid's alphabet, as the real server mints them.

        Never begins with `-`: the official command-line client would take it for a flag.
        """
        while True:
            bits = self._bits(126)
            pairs = _PAIRS
            text = (
                pairs[bits & 4095]
                + pairs[(bits >> 12) & 4095]
                + pairs[(bits >> 24) & 4095]
                + pairs[(bits >> 36) & 4095]
                + pairs[(bits >> 48) & 4095]
                + pairs[(bits >> 60) & 4095]
                + pairs[(bits >> 72) & 4095]
                + pairs[(bits >> 84) & 4095]
                + pairs[(bits >> 96) & 4095]
                + pairs[(bits >> 108) & 4095]
                + _ALPHABET[(bits >> 120) & 63]
            )
            if text[0] != "-":
                return text

    def run_id(self, now: int) -> str:
        """A version 7 UUID at `now` (nanoseconds): what a started run gets."""
        bits = self._bits(74)
        value = (
            ((now // 1_000_000) << 80)
            | _UUID7_VERSION
            | ((bits >> 62) << 64)
            | _VARIANT
            | (bits & 0x3FFFFFFFFFFFFFFF)
        )
        return _dashed(value)

    def uuid4(self) -> str:
        """A version 4 UUID: what a run gets that continues or resets another one."""
        bits = self._bits(122)
        value = (
            ((bits >> 74) << 80)
            | (4 << 76)
            | (((bits >> 62) & 0xFFF) << 64)
            | _VARIANT
            | (bits & 0x3FFFFFFFFFFFFFFF)
        )
        return _dashed(value)

    def child_suffix(self) -> str:
        """What the real SDK appends to a parent's id to name a child: a UUID in URL-safe base 64."""
        number = uuid.UUID(self.uuid4()).int
        digits = ""
        while number:
            number, digit = divmod(number, 64)
            digits = _BASE64URL[digit] + digits
        return digits


def _dashed(value: int) -> str:
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
