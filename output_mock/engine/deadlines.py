"""When runs reach their execution timeout.

Nearly all runs have the same timeout and end long before it. So runs are in a queue in the order in which
they started, and only the first one has a timer on the clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from output_mock.engine.pending import Work, Worked

if TYPE_CHECKING:
    from output_mock.engine.clock import Clock, Timer


# After this many runs have closed, they are removed from the queue.
_SWEEP_AT = 100


class Timed(Worked, Protocol):
    """What is needed of a run for its execution timeout."""

    deadline: int

    def time_out(self) -> None: ...


class Deadlines:
    """The execution timeouts of one world's runs."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._queue: deque[Timed] = deque()
        self._timer: Timer | None = None
        # How many have closed since closed ones were last removed from the queue.
        self._closed = 0
        # The timers of runs that reach their timeout before a run that started earlier does.
        self._own: dict[Timed, Timer] = {}

    def add(self, run: Timed) -> None:
        """Time `run` out at its `deadline`, if it still runs then."""
        queue = self._queue
        while queue and not queue[0].running:
            queue.popleft()
        if queue and run.deadline < queue[-1].deadline:
            self._own[run] = self._clock.call_at(run.deadline, Work(run, "run times out"), is_timeout=True)
            return
        queue.append(run)
        if self._timer is None:
            self._timer = self._clock.call_at(queue[0].deadline, self.ring, is_timeout=True)

    def forget(self, run: Timed) -> None:
        """Forget a run that has closed."""
        own = self._own.pop(run, None)
        if own is not None:
            own.cancel()
        queue = self._queue
        self._closed += 1
        if self._closed > _SWEEP_AT and 2 * self._closed > len(queue):
            # Behind a long run, closed ones would otherwise stay as long as that.
            first = queue[0] if queue else run
            queue = self._queue = deque(one for one in queue if one.running or one is first)
            self._closed = 0
        if self._timer is None or not queue or queue[0].running:
            return
        while queue and not queue[0].running:
            queue.popleft()
        self._timer.cancel()
        self._timer = self._clock.call_at(queue[0].deadline, self.ring, is_timeout=True) if queue else None

    @property
    def timer(self) -> Timer | None:
        """The timer for the first run in the queue."""
        return self._timer

    def take_over(self, queue: Iterable[Timed], timer: Timer | None, own: Mapping[Any, Timer]) -> None:
        """Continue from the state of another one: the runs in the queue, their timer, and the runs with
        their own timers.
        """
        self._queue, self._timer, self._own = deque(queue), timer, dict(own)
        if self._queue and timer is None:
            self._timer = self._clock.call_at(self._queue[0].deadline, self.ring, is_timeout=True)

    def ring(self) -> None:
        """Handle the first timeout."""
        self._timer = None
        queue, now = self._queue, self._clock.nanoseconds()
        while queue and (not queue[0].running or queue[0].deadline <= now):
            queue.popleft().time_out()
        if queue and self._timer is None:
            self._timer = self._clock.call_at(queue[0].deadline, self.ring, is_timeout=True)
