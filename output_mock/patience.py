"""How long a client waits whose request is answered in its own thread, in this process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from output_mock.real_time import monotonic


class TimedOut(TimeoutError):
    """The client has stopped waiting before the answer was there."""


class _Waiting(threading.local):
    # How many seconds the client of the request that this thread answers waits, and when it gives up.
    seconds: float | None = None
    until: float | None = None


_waiting = _Waiting()


@contextmanager
def waiting_at_most(seconds: float | None) -> Iterator[None]:
    """This thread's client waits so many seconds of the wall for what comes in the block; None: for ever."""
    before = _waiting.seconds, _waiting.until
    _waiting.seconds, _waiting.until = seconds, None if seconds is None else monotonic() + seconds
    try:
        yield
    finally:
        _waiting.seconds, _waiting.until = before


def patience() -> float | None:
    """How many seconds this thread's client waits; None: for ever."""
    return _waiting.seconds


def given_up_at() -> float | None:
    """When this thread's client gives up, by `real_time.monotonic`; None: never."""
    return _waiting.until


def give_up() -> TimedOut:
    """The error of a client that has waited for as long as it would."""
    return TimedOut(f"no answer within {_waiting.seconds:g} s")
