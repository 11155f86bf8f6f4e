"""Reads JSON from a file, and checks each field before it is used."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from output_mock.durations import LONGEST
from output_mock.engine.clock import LATEST
from output_mock.sdk.values import short

T = TypeVar("T")
Read = Callable[[Any], T]
# The largest number in a file.
_LARGEST = 2**62
# The latest time in a file. On a real clock, work may be due after the end of other clocks.
_LATEST = LATEST + 2 * LONGEST
# JavaScript's largest safe integer. Larger ones are written as text.
_SAFE = 2**53
_LONGEST_TEXT = 64 * 1024 * 1024


class Unreadable(ValueError):
    """Something in a file is invalid. The message says what and where."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message
        # The path of the field: names and positions, innermost first.
        self.path: list[str] = []

    def __str__(self) -> str:
        where = "/".join(reversed(self.path))
        return f"{where}: {self.message}" if where else self.message


@contextmanager
def below(name: object) -> Iterator[None]:
    """Add this field or position to the path of an `Unreadable` from the block."""
    try:
        yield
    except Unreadable as problem:
        problem.path.append(str(name))
        raise


def whole(value: Any) -> int:
    """A whole number, from 0."""
    if type(value) is not int or not 0 <= value <= _LARGEST:
        raise Unreadable(f"{short(value)} is not a whole number from 0")
    return value


def time(value: Any) -> int:
    """A time, in nanoseconds since 1970: as text if it is larger than JavaScript's safe integers."""
    return _nanoseconds(value, _LATEST, "a time in nanoseconds, until the year 3198")


def length(value: Any) -> int:
    """A duration, in nanoseconds: as text if it is larger than JavaScript's safe integers."""
    return _nanoseconds(value, LONGEST, "a duration in nanoseconds, a century at most")


def _nanoseconds(value: Any, most: int, what: str) -> int:
    number = value
    if type(value) is str and value.isascii() and value.isdigit() and len(value) <= 20:
        number = int(value)
    if type(number) is not int or not 0 <= number <= most:
        raise Unreadable(f"{short(value)} is not {what}")
    return number


def time_json(value: int) -> int | str:
    """A time or a duration, in the form that `time` and `length` read."""
    return value if value < _SAFE else str(value)


def text(value: Any) -> str:
    """Text."""
    if type(value) is not str or len(value) > _LONGEST_TEXT:
        raise Unreadable(f"{short(value)} is not text")
    return value


def base_64(value: Any) -> bytes:
    """Bytes, in base 64."""
    try:
        return base64.b64decode(text(value), validate=True)
    except ValueError:
        raise Unreadable("it is not base 64") from None


def flag(value: Any) -> bool:
    """True or false."""
    if type(value) is not bool:
        raise Unreadable(f"{short(value)} is neither true nor false")
    return value


def mapping(value: Any) -> dict[str, Any]:
    """A JSON object."""
    if type(value) is not dict:
        raise Unreadable(f"{short(value)} is not an object")
    return value


def items(value: Any) -> list[Any]:
    """A list."""
    if type(value) is not list:
        raise Unreadable(f"{short(value)} is not a list")
    return value


def one_of(*values: str) -> Read[str]:
    """One of these texts."""

    def read(value: Any) -> str:
        if type(value) is not str or value not in values:
            raise Unreadable(f"{short(value)} is none of {', '.join(values)}")
        return value

    return read


def maybe(read: Read[T]) -> Read[T | None]:
    """This type, or null."""
    return lambda value: None if value is None else read(value)


def many(read: Read[T]) -> Read[tuple[T, ...]]:
    """A list of this type."""

    def read_all(value: Any) -> tuple[T, ...]:
        found = []
        for number, one in enumerate(items(value)):
            try:
                found.append(read(one))
            except Unreadable as problem:
                problem.path.append(str(number))
                raise
        return tuple(found)

    return read_all


def row(value: Any, *reads: Read[Any]) -> list[Any]:
    """A list with exactly these types of items."""
    if type(value) is not list or len(value) != len(reads):
        raise Unreadable(f"{short(value)} is not a list of {len(reads)}")
    found = []
    for number, read in enumerate(reads):
        try:
            found.append(read(value[number]))
        except Unreadable as problem:
            problem.path.append(str(number))
            raise
    return found


def fields(value: Any, reads: Mapping[str, Read[Any]], optional: bool = False) -> dict[str, Any]:
    """An object with these fields and no others. If `optional`, any of them may be missing."""
    given = mapping(value)
    found = {}
    for name, one in given.items():
        read = reads.get(name)
        if read is None:
            raise Unreadable(f"there is no field {short(name)}")
        try:
            found[name] = read(one)
        except Unreadable as problem:
            problem.path.append(name)
            raise
    if not optional and len(found) != len(reads):
        missing = next(name for name in reads if name not in found)
        raise Unreadable(f"the field {missing!r} is missing")
    return found
