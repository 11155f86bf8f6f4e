"""The versions that are known, and how people write them."""

from __future__ import annotations

import re

from output_mock.contract.versions.change import Axis

# Newest first; all of them measured: `tests/recordings/` has what they answer.
KNOWN: tuple[str, ...] = ("0.11.0", "0.10.0", "0.9.2", "0.8.0")
NEWEST_VERSION = KNOWN[0]
# What workers will do that are not released yet, taken from the real project's open work and not measured.
NEXT = "next"
_WORDS: dict[Axis, str] = {"api": "server (API)", "sdk": "workers (SDK)"}
_NUMBER = re.compile(r"v?(\d+(?:\.\d+){0,2})")


class UnknownVersionError(ValueError):
    """A version that was never measured."""


def number_of(version: str) -> tuple[int, ...]:
    """A version for comparison: `"0.10.0"` is `(0, 10, 0)`. `"next"` comes after all others."""
    return (1 << 30,) if version == NEXT else tuple(map(int, version.split(".")))


def known(axis: Axis) -> tuple[str, ...]:
    """The versions that can be had of servers (`api`) or of workers (`sdk`), newest first."""
    return (NEXT, *KNOWN) if axis == "sdk" else KNOWN


def resolved(version: str | None, axis: Axis) -> str:
    """The known version that is meant: the newest one of `"0.9"`, the newest of all for None.

    Raises `UnknownVersionError`, which names those that there are.
    """
    if version is None:
        return NEWEST_VERSION
    if not isinstance(version, str):
        raise UnknownVersionError(
            f'the version of the {_WORDS[axis]} must be text such as "{NEWEST_VERSION}", not {version!r}'
        )
    given = version.strip()
    if given == NEXT and axis == "sdk":
        return NEXT
    number = _NUMBER.fullmatch(given)
    if number is not None:
        meant = number_of(number[1])
        for one in KNOWN:
            if number_of(one)[: len(meant)] == meant:
                return one
    raise UnknownVersionError(
        f"version {given!r} of the {_WORDS[axis]} is unknown; known are {', '.join(known(axis))} "
        f'("0.9" means the newest 0.9 of them)'
    )
