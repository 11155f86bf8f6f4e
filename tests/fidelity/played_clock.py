"""A `real` clock without wall-clock time: time passes only when the player of a recording advances it.

A waiting request moves the time to the next due event, in its own thread. Recordings send one request after
another, so no two threads race. The result is the same on fast, slow and suspended machines, and waiting
takes no real time.
"""

from __future__ import annotations

import threading

from output_mock.engine.clock import EPOCH, Clock


class PlayedClock(Clock):
    """A clock that stands still until it is moved. Otherwise it is a `real` clock."""

    def __init__(self) -> None:
        super().__init__("real")
        self._on_the_wall = False

    def monotonic(self) -> float:
        return (self._now - EPOCH) / 1e9

    def _wake_driver(self) -> None:
        """Do nothing: no event happens by itself."""

    def let_pass(self, seconds: float) -> None:
        """Advance by that much time. Every event on the way happens at its due time."""
        self.reach(self._now + round(seconds * 1e9))

    def reach(self, when: int) -> None:
        """Advance to `when`, in nanoseconds since 1970. Do nothing when that is in the past."""
        self.move_to(max(self._now, when))

    def wait(self, waiter: threading.Event, seconds: float | None) -> bool:
        """Advance until `waiter` is set, by at most that many `seconds`."""
        end = None if seconds is None else self._now + round(seconds * 1e9)
        while not waiter.is_set():
            with self.lock:
                due = self.next_due()
                is_over = end is not None and (due is None or due >= end)
                assert is_over or due is not None, "the request waits for what will never happen"
            self.move_to(end if is_over else due)
            if is_over and self._now >= end:
                break
        return waiter.is_set()
