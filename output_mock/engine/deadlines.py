"""When runs reach their execution timeout.

Nearly every run has the same timeout and ends long before it, so runs stand in a queue in the order in
which they started, and only the first of them has a timer on the clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from output_mock.engine.pending import Work, Worked

if TYPE_CHECKING:
    from output_mock.engine.clock import Clock, Timer


# After so many have closed, the queue is looked through for them.
_SWEEP_AT = 100


class Timed(Worked, Protocol):
    """A run, as far as its execution timeout goes."""

    deadline: int

    def time_out(self) -> None: ...


class Deadlines:
    """The execution timeouts of one world's runs."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._queue: deque[Timed] = deque()
        self._timer: Timer | None = None
        # How many have closed since those that have were last taken out of the queue.
        self._closed = 0
        # The timers of runs that reach theirs before one that started earlier does.
        self._own: dict[Timed, Timer] = {}

    def add(self, run: Timed) -> None:
        """Time `run` out at its `deadline`, should it still run then."""
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
        """`run` has closed: nothing of it is due any more."""
        own = self._own.pop(run, None)
        if own is not None:
            own.cancel()
        queue = self._queue
        self._closed += 1
        if self._closed > _SWEEP_AT and 2 * self._closed > len(queue):
            # Behind one that runs for long, those that have closed would stay for as long.
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
        """What lets the first of those in the queue reach its timeout."""
        return self._timer

    def take_over(self, queue: Iterable[Timed], timer: Timer | None, own: Mapping[Any, Timer]) -> None:
        """Go on from where others were: the runs in the queue, the timer for them, and runs with one of
        their own.
        """
        self._queue, self._timer, self._own = deque(queue), timer, dict(own)
        if self._queue and timer is None:
            self._timer = self._clock.call_at(self._queue[0].deadline, self.ring, is_timeout=True)

    def ring(self) -> None:
        """The first of the timeouts has come."""
        self._timer = None
        queue, now = self._queue, self._clock.nanoseconds()
        while queue and (not queue[0].running or queue[0].deadline <= now):
            queue.popleft().time_out()
        if queue and self._timer is None:
            self._timer = self._clock.call_at(queue[0].deadline, self.ring, is_timeout=True)
