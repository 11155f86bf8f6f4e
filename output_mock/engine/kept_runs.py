"""How many closed runs are kept. A server that runs for weeks shares one limit among all its worlds."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from output_mock.engine.clock import Clock


class KeepsRuns(Protocol):
    """A world, as far as its closed runs go."""

    @property
    def clock(self) -> Clock: ...
    @property
    def closed_runs(self) -> int: ...
    @property
    def may_forget(self) -> int: ...
    def forget_oldest(self) -> int: ...


class KeptRuns:
    """The closed runs of some worlds, at most so many together (`most`; None: all of them).

    When there is one too many, the world that has the most of them gives its oldest one away, so that a busy
    world does not push out the runs of a quiet one. A world that is busy at that moment is not waited for:
    the next one gives. Children of a run that goes on stay as long as it does, and do not count. A child that
    closed before its parent goes together with it.
    """

    def __init__(self, most: int | None = None) -> None:
        if most is not None and most < 1:
            raise ValueError(f"keep_runs must be at least 1, or None to keep all runs, not {most}")
        self.most = most
        # How many runs have gone so far.
        self.gone: int = 0
        self._worlds: list[KeepsRuns] = []
        self._lock = threading.Lock()

    @property
    def total(self) -> int:
        """How many there are."""
        return sum(one.closed_runs for one in tuple(self._worlds))

    def add(self, world: KeepsRuns) -> None:
        """Count the runs of a world from now on."""
        with self._lock:
            if world not in self._worlds:
                self._worlds.append(world)

    def remove(self, world: KeepsRuns) -> None:
        """A world is over: its runs count no longer."""
        with self._lock:
            if world in self._worlds:
                self._worlds.remove(world)

    def make_room(self, world: KeepsRuns) -> None:
        """A run of `world`, which holds its lock, has closed: let the oldest ones go that are too many, but
        not that one, however many children it has.
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
            # Whoever holds the one lock must not wait for the other: somebody may do so the other way round.
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
        """What to say about a run that is not there; nothing when none has gone."""
        if not self.gone:
            return ""
        return (
            f"; perhaps it was removed: this server keeps the last {self.most} closed runs (--keep-runs "
            f"{self.most}) and has removed {self.gone}; to keep more, start it with a larger --keep-runs"
        )
