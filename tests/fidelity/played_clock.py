"""A `real` clock without a wall: time passes only when the one who plays a recording lets it pass.

Whoever waits in a request moves the time to whatever is due next, in the thread that the request is answered
in. As recordings send one request after another, no two threads ever race for what happens first: a quick
machine, a slow one and one that stands still for a while come to the same result, and waiting costs nothing.
"""

from __future__ import annotations

import threading

from output_mock.engine.clock import EPOCH, Clock


class PlayedClock(Clock):
    """Stands where it is put. All else is as on a `real` clock."""

    def __init__(self) -> None:
        super().__init__("real")
        self._on_the_wall = False

    def monotonic(self) -> float:
        return (self._now - EPOCH) / 1e9

    def _wake_driver(self) -> None:
        """Nothing happens by itself."""

    def let_pass(self, seconds: float) -> None:
        """Let so much time pass, and what is due on the way happen at its own time."""
        self.reach(self._now + round(seconds * 1e9))

    def reach(self, when: int) -> None:
        """Let time pass until `when`, in nanoseconds since 1970; nothing when that is over already."""
        self.move_to(max(self._now, when))

    def wait(self, waiter: threading.Event, seconds: float | None) -> bool:
        """Let time pass until `waiter` is set, at most so many `seconds`."""
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
