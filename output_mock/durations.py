"""Durations as people write them: `"45m"`, `"1.5s"`, `timedelta(hours=1)`, or a number of seconds."""

from __future__ import annotations

import re
from datetime import timedelta

Duration = str | int | float | timedelta

NANOSECOND = 1
MILLISECOND = 1_000_000
SECOND = 1_000_000_000

_UNITS = {
    "ms": MILLISECOND,
    "s": SECOND,
    "m": 60 * SECOND,
    "h": 3600 * SECOND,
    "d": 24 * 3600 * SECOND,
    "w": 7 * 24 * 3600 * SECOND,
}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)\s*")
# One century: far beyond any workflow, and far below what overflows a date.
LONGEST = 36_525 * 24 * 3600 * SECOND


def nanoseconds(duration: Duration) -> int:
    """The length of `duration` in whole nanoseconds.

    Takes a number of seconds, a `timedelta`, or text such as `"10s"`, `"1h30m"` or `"500ms"`.
    Raises `ValueError` for anything else, for negative lengths and for more than a century.
    """
    if isinstance(duration, timedelta):
        length = (duration.days * 86_400 + duration.seconds) * SECOND + duration.microseconds * 1000
    elif isinstance(duration, bool):
        raise ValueError(f"a duration cannot be {duration!r}; write it like '10s', '45m' or '24h'")
    elif isinstance(duration, (int, float)):
        if duration != duration or duration in (float("inf"), float("-inf")):
            raise ValueError(f"a duration cannot be {duration!r}")
        # Check the limit before rounding, as the product may be infinite.
        length = round(max(-1, min(duration * SECOND, LONGEST + 1)))
    elif isinstance(duration, str):
        length = _parse(duration)
    else:
        raise ValueError(f"a duration cannot be {duration!r}; write it like '10s', '45m' or '24h'")
    if length < 0:
        raise ValueError(f"a duration cannot be negative: {duration!r}")
    if length > LONGEST:
        raise ValueError(f"a duration cannot be longer than a century: {duration!r}")
    return length


def pause(duration: Duration) -> int:
    """The length of a sleep of `duration`, in nanoseconds; 0 or less becomes a millisecond.

    Takes what `nanoseconds` takes, and negative values. Raises `ValueError` for anything else.
    """
    if isinstance(duration, str) and duration.lstrip().startswith("-"):
        nanoseconds(duration.lstrip()[1:])
        return MILLISECOND
    if isinstance(duration, timedelta):
        duration = max(duration, timedelta())
    elif isinstance(duration, (int, float)) and -float("inf") < duration < 0:
        return MILLISECOND
    return max(MILLISECOND, nanoseconds(duration))


def format_duration(length: int) -> str:
    """A number of nanoseconds as people write it: `2h`, `1h30m`, `1.5s`."""
    if length < SECOND:
        return f"{length / MILLISECOND:g}ms" if length else "0s"
    parts = []
    for unit in ("d", "h", "m"):
        amount, length = divmod(length, _UNITS[unit])
        if amount:
            parts.append(f"{amount}{unit}")
    if length:
        parts.append(f"{length / SECOND:g}s")
    return "".join(parts)


def _parse(text: str) -> int:
    total, position = 0, 0
    stripped = text.strip()
    while position < len(stripped):
        part = _PART.match(stripped, position)
        if part is None:
            break
        amount, unit = part.groups()
        total += round(float(amount) * _UNITS[unit])
        position = part.end()
    if not stripped or position < len(stripped):
        raise ValueError(f"{text!r} is not a duration; write it like '500ms', '10s', '45m', '24h' or '1h30m'")
    return total
