"""The workflows that one task queue's worker offers, and whether there is one."""

from __future__ import annotations

import functools

from output_mock.engine.clock import Clock, Timer
from output_mock.engine.pending import Work
from output_mock.engine.run import Run
from output_mock.scripts.catalog import CatalogContents
from output_mock.scripts.definition import WorkflowDefinition

# When this much waits for the worker, entries that are of no use any more are removed.
_SWEEP_AT = 1_000


class Catalog(CatalogContents):
    """The workflows that one task queue's worker offers."""

    def __init__(self, name: str, clock: Clock) -> None:
        super().__init__(name)
        self._clock = clock
        # The run that holds the catalog itself.
        self.run: Run
        # Whether a worker polls this task queue.
        self.worker: bool = True
        # When an absent worker comes back.
        self.returns: int | None = None
        self.returning: Timer | None = None
        # The workflows of scripts that a request has removed, and that were not added again.
        self.withheld: set[str] = set()
        # What continues once there is a worker again.
        self.waiting: list[Work] = []
        self._sweep_at = _SWEEP_AT

    def add(self, definition: WorkflowDefinition) -> None:
        """Offer a workflow; see `CatalogContents.add`."""
        super().add(definition)
        self.withheld.discard(definition.name)

    def withhold(self, name: str) -> None:
        """Stop offering a workflow, even when the world is made again from its scripts."""
        self.remove(name)
        self.withheld.add(name)

    def set_worker(self, present: bool) -> None:
        """Let the worker come or go. Without one, nothing happens on this task queue."""
        with self._clock.lock:
            if not present and not self.run.began:
                # An absent worker was there once: it began the catalog (worker_down).
                self.run.run_task()
            self.worker = present
            self.returns = None
            if self.returning is not None:
                self.returning.cancel()
                self.returning = None
            if present:
                waiting, self.waiting = self.waiting, []
                for work in waiting:
                    self._clock.call_soon(work)

    def send_worker_away(self, length: int) -> None:
        """Let the worker go away, and come back after this many nanoseconds."""
        with self._clock.lock:
            self.set_worker(False)
            clock = self._clock
            self.returns = clock.last(clock.nanoseconds() + length)
            self.returning = clock.call_at(self.returns, functools.partial(self.set_worker, True))

    def when_worker_returns(self, work: Work) -> None:
        """Call this once there is a worker again."""
        self.waiting.append(work)
        if len(self.waiting) > self._sweep_at:
            # Most of them may belong to runs that have ended meanwhile.
            self.waiting = [one for one in self.waiting if one.run.running]
            self._sweep_at = max(_SWEEP_AT, 2 * len(self.waiting))
