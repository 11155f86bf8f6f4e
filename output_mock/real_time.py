"""Real time, even in a test that has frozen it (freezegun) or travels (time-machine).

What waits for threads and sockets must not be fooled: with the time that a test sees it would wait for ever,
or not at all.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any


def unfrozen(module: Any, name: str) -> Any:
    """What a name of `time` or `datetime` means while no time is frozen."""
    freezegun = sys.modules.get("freezegun.api")
    return getattr(freezegun, f"real_{name}", None) or getattr(module, name)


class _Real:
    """Not names of this module, as those are what freezegun replaces."""

    monotonic: Callable[[], float] = staticmethod(unfrozen(time, "monotonic"))
    time_ns: Callable[[], int] = staticmethod(unfrozen(time, "time_ns"))


def monotonic() -> float:
    """`time.monotonic`, for measuring how long something takes."""
    return _Real.monotonic()


def time_ns() -> int:
    """`time.time_ns`: now, in nanoseconds since 1970."""
    machine = sys.modules.get("time_machine")
    if machine is None or not machine.escape_hatch.is_travelling():
        return _Real.time_ns()
    now: int = machine.escape_hatch.time.time_ns()
    return now
