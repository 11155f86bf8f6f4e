"""How many closed runs are kept. A server that runs for weeks shares one limit among all its worlds."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from output_mock.engine.clock import Clock


class KeepsRuns(Protocol):
    """What is needed of a world for its closed runs."""

    @property
    def clock(self) -> Clock: ...
    @property
    def closed_runs(self) -> int: ...
    @property
    def may_forget(self) -> int: ...
    def forget_oldest(self) -> int: ...


class KeptRuns:
    """The closed runs of some worlds, at most `most` in total (None: all of them).

    If there is one too many, the world with the most closed runs removes its oldest one, so that a busy
    world does not push out the runs of a quiet one. If that world is locked at the moment, the next one
    does. Children of an open run stay as long as it is open, and do not count. A child that closed before
    its parent is removed together with it.
    """

    def __init__(self, most: int | None = None) -> None:
        if most is not None and most < 1:
            raise ValueError(f"keep_runs must be at least 1, or None to keep all runs, not {most}")
        self.most = most
        # How many runs were removed so far.
        self.gone: int = 0
        self._worlds: list[KeepsRuns] = []
        self._lock = threading.Lock()

    @property
    def total(self) -> int:
        """The number of closed runs."""
        return sum(one.closed_runs for one in tuple(self._worlds))

    def add(self, world: KeepsRuns) -> None:
        """Count the runs of a world from now on."""
        with self._lock:
            if world not in self._worlds:
                self._worlds.append(world)

    def remove(self, world: KeepsRuns) -> None:
        """Stop counting the runs of a world."""
        with self._lock:
            if world in self._worlds:
                self._worlds.remove(world)

    def make_room(self, world: KeepsRuns) -> None:
        """Remove the oldest runs if there are too many, after a run of `world`, whose lock is held, has
        closed. That run is kept, however many children it has.
        """
        most = self.most
        if most is None:
            return
        busy: set[KeepsRuns] = set()
        while self.total > most:
            there = [
                other
                for other in tuple(self._worlds)
                if other not in busy and other.may_forget > (other is world)
            ]
            if not there:
                return
            fullest = max(there, key=lambda other: other.closed_runs)
            # Do not wait for another world's lock while holding one: another thread may do the same the
            # other way round.
            if not fullest.clock.lock.acquire(blocking=False):
                busy.add(fullest)
                continue
            try:
                gone = fullest.forget_oldest()
            finally:
                fullest.clock.lock.release()
            with self._lock:
                self.gone += gone

    def told(self) -> str:
        """A hint for messages about a missing run; empty if no run was removed."""
        if not self.gone:
            return ""
        return (
            f"; perhaps it was removed: this server keeps the last {self.most} closed runs (--keep-runs "
            f"{self.most}) and has removed {self.gone}; to keep more, start it with a larger --keep-runs"
        )
