"""Times as the API writes them."""

from __future__ import annotations

import functools
from datetime import datetime, timezone


def iso(time: int) -> str:
    """A time in nanoseconds as ISO 8601 with milliseconds, in UTC."""
    return _iso_milliseconds(time // 1_000_000)


@functools.lru_cache(maxsize=1024)
def _iso_milliseconds(time: int) -> str:
    seconds, milliseconds = divmod(time, 1000)
    stamp = datetime.fromtimestamp(seconds, tz=timezone.utc)
    return f"{stamp:%Y-%m-%dT%H:%M:%S}.{milliseconds:03d}Z"
