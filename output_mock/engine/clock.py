"""The clock of a world: what time it is, and what is due when.

`real` shows real time, `auto` jumps to the next thing due when a client waits for a run, and `manual` moves
only when told to. `waiting.py` decides about jumps; this module only keeps time and runs what is due, in
order.
"""

from __future__ import annotations

import heapq
import threading
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timezone
from typing import Any, Literal, Protocol, get_args

from output_mock.durations import Duration, format_duration, nanoseconds
from output_mock.engine.lock import WorldLock
from output_mock.real_time import monotonic, time_ns

Mode = Literal["real", "auto", "manual"]
# Where virtual time begins, so that two runs of the same test see the same times.
EPOCH = int(datetime(2026, 1, 1, tzinfo=timezone.utc).timestamp()) * 1_000_000_000
# No clock moves beyond this: centuries later, dates cannot be written any more.
LATEST = int(datetime(2999, 1, 1, tzinfo=timezone.utc).timestamp()) * 1_000_000_000
# Cancelled timers are removed lazily, once there are this many.
_SWEEP_AT = 4096


class HoldsTime(Protocol):
    """What holds up the clock: open requests of workflows (`outgoing`)."""

    def holds(self, *, at_rest: bool = False) -> bool:
        """Whether the clock must stand still. With `at_rest`, nothing that is under way continues by itself.
        Call it with the lock held.
        """

    def freed(self) -> AbstractContextManager[None]:
        """Wait until it need not, and has not to while the block runs. Call it without the lock."""


class Timer:
    """Something due at `when` (nanoseconds since 1970). `cancel()` removes it."""

    __slots__ = ("_clock", "callback", "is_timeout", "when")

    def __init__(self, clock: Clock, when: int, callback: Callable[[], None], is_timeout: bool) -> None:
        self._clock = clock
        self.when: int = when
        self.callback: Callable[[], None] | None = callback
        self.is_timeout: bool = is_timeout

    def cancel(self) -> None:
        """Cancel the callback. Does nothing if it was called already."""
        if self.callback is not None:
            self.callback = None
            self._clock.forgotten(self)


class Clock:
    """Keeps a world's time, and its lock: hold `lock` to access the world's state."""

    def __init__(self, mode: Mode = "auto", *, start: datetime | None = None) -> None:
        if mode not in get_args(Mode):
            raise ValueError(f"clock must be one of {', '.join(get_args(Mode))}, not {mode!r}")
        self.mode: Mode = mode
        self.lock: WorldLock = WorldLock()
        self.closed: bool = False
        self.outgoing: HoldsTime | None = None
        if start is not None and not hasattr(start, "timestamp"):
            raise TypeError(f"start must be a datetime, such as datetime(2026, 1, 1), not {start!r}")
        self._now = EPOCH if start is None else int(start.timestamp() * 1000) * 1_000_000
        if not 0 <= self._now < LATEST:
            raise ValueError(f"start must be between 1970 and 2998, not {start}")
        self._sequence = 0
        self._ready: deque[Callable[[], None]] = deque()
        # Work is what a run is doing (a step, a pause); a guard is a timeout of a wait for something from
        # outside. Waiting clients make time jump to work, not to guards.
        self._work: list[tuple[int, int, Timer]] = []
        self._guards: list[tuple[int, int, Timer]] = []
        self._forgotten = 0
        self._driver: threading.Thread | None = None
        lock: Any = self.lock
        self._alarm = threading.Condition(lock)
        # Whether time passes by itself.
        self._on_the_wall: bool = mode == "real"
        # The thread that runs what is due, while one does.
        self._running: int | None = None

    # What time it is

    def nanoseconds(self) -> int:
        """Now, in nanoseconds since 1970; in a callback, the time at which it was due.

        So times that are relative to a callback do not depend on how late a busy machine has called it.
        """
        return self._now if self.runs_here else self._reached()

    def _reached(self) -> int:
        """The time up to which things are due."""
        return time_ns() if self._on_the_wall else self._now

    def now(self) -> datetime:
        """Now, as an aware UTC `datetime`."""
        return datetime.fromtimestamp(self.nanoseconds() / 1e9, tz=timezone.utc)

    def monotonic(self) -> float:
        """The clock for measuring waits: seconds of real time since some moment."""
        return monotonic()

    def wait(self, waiter: threading.Event, seconds: float | None) -> bool:
        """Wait in real time until `waiter` is set, for this many `seconds` at most; None: as long as it
        takes.

        Returns whether it is set. Call it without the lock.
        """
        return waiter.wait(seconds)

    @property
    def drives_itself(self) -> bool:
        """Whether what is due happens by itself, in the clock's own thread."""
        return self._on_the_wall

    def advance(self, duration: Duration) -> None:
        """Move a virtual clock forward by `duration` and run everything that falls due on the way.

        Requests of workflows are carried out on the way, in this thread, and the clock stands meanwhile.

        Raises `RuntimeError` on a `real` clock, which nobody can move, and `ValueError` beyond the year 2998.
        """
        if self.mode == "real":
            raise RuntimeError(
                "a real clock cannot be advanced; use OutputMock(clock='manual') or clock='auto'"
            )
        length = nanoseconds(duration)
        target = self._now + length
        if target > LATEST:
            raise ValueError(f"the clock cannot move beyond the year 2998, as it would after {duration!r}")
        self.move_to(target)

    def move_to(self, when: int) -> None:
        """Move a virtual clock to `when`; it stands for requests of workflows on the way. Called without the
        lock.
        """
        with self.lock:
            self.jump(when)
        if self.outgoing is None or self.lock.is_mine():
            return
        while True:
            with self.outgoing.freed():
                if self._now >= when:
                    return
                with self.lock:
                    self.jump(when)

    @property
    def runs_here(self) -> bool:
        """Whether this thread is running what is due, such as a script's code."""
        return self._running == threading.get_ident()

    def set_mode(self, mode: Mode) -> None:
        """Change between `auto` and `manual`. Raises `ValueError` for any other change."""
        if mode not in ("auto", "manual") or self.mode == "real":
            raise ValueError(
                f"a clock can only change between 'auto' and 'manual', not from {self.mode!r} to {mode!r}; "
                f"make another world with that clock"
            )
        self.mode = mode

    # What is due

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Queue `callback` for the next `run_due()`."""
        if self.mode == "real":
            self.call_at(self.nanoseconds(), callback)
        else:
            self._ready.append(callback)

    def call_at(self, when: int, callback: Callable[[], None], *, is_timeout: bool = False) -> Timer:
        """Call `callback` at `when` (nanoseconds since 1970)."""
        timer = Timer(self, when, callback, is_timeout)
        self._sequence += 1
        heap = self._guards if is_timeout else self._work
        heapq.heappush(heap, (when, self._sequence, timer))
        if self.mode == "real" and heap[0][2] is timer:
            self._wake_driver()
        return timer

    def forgotten(self, timer: Timer) -> None:
        """Note that a timer was cancelled; remove cancelled ones when there are too many."""
        self._forgotten += 1
        if self._forgotten > _SWEEP_AT and self._forgotten * 2 > len(self._work) + len(self._guards):
            for heap in (self._work, self._guards):
                heap[:] = [entry for entry in heap if entry[2].callback is not None]
                heapq.heapify(heap)
            self._forgotten = 0

    def next_work(self) -> int | None:
        """When the next piece of work is due; None if there is none."""
        self._drop_cancelled(self._work)
        return self._work[0][0] if self._work else None

    def next_due(self) -> int | None:
        """When the next thing is due, work or guard; None if nothing is."""
        heap = self._first_heap()
        return None if heap is None else heap[0][0]

    def run_due(self, go_on: Callable[[], bool] | None = None) -> bool:
        """Run everything that is due by now, in order. Returns whether anything ran.

        Called with the lock held. A callback that asks for it again (a script that calls back into
        its own fake) returns at once, so that order is kept. With `go_on`, it stops as soon as that returns
        False; what is left stays due.
        """
        if self._running:
            return False
        self._running = threading.get_ident()
        ran, latest = False, 0
        try:
            ready = self._ready
            while not self.closed and (go_on is None or go_on()):
                if ready:
                    callback: Callable[[], None] | None = ready.popleft()
                else:
                    timer = self._pop_due()
                    if timer is None:
                        break
                    if self._on_the_wall:
                        latest = self._now = max(latest, timer.when)
                    callback, timer.callback = timer.callback, None
                assert callback is not None
                callback()
                ran = True
            return ran
        finally:
            self._running = None

    def last(self, when: int) -> int:
        """`when`, but never later than the last time that a virtual clock has."""
        return when if self.mode == "real" else min(when, LATEST)

    def due_in(self, length: int, what: str) -> int:
        """The time in this many nanoseconds. Raises `ValueError` if the clock ends before `what` comes."""
        due = self.nanoseconds() + length
        if due > LATEST and self.mode != "real":
            raise ValueError(
                f"{what} would come {format_duration(length)} from now, but the clock ends with the year "
                f"2998. It is {self.now():%Y-%m-%d}, so make it shorter, or start the clock earlier (start=…)"
            )
        return due

    def jump(self, to: int, *, stop: Callable[[], bool] | None = None, at_rest: bool = False) -> None:
        """Move a virtual clock to `to`, running everything due on the way at its own time.

        It stays where it is as soon as `stop` holds, or a request of a workflow is under way and does not
        rest (`at_rest` says that they all do), and never passes the last time that it has.
        """
        to = self.last(to)
        self.run_due()
        if self._running:
            raise RuntimeError("a script cannot move the clock that it runs on")
        while True:
            if self.outgoing is not None and self.outgoing.holds(at_rest=at_rest):
                return
            heap = self._first_heap()
            if heap is None or heap[0][0] > to:
                break
            self._now = max(self._now, heap[0][0])
            self.run_due()
            if stop is not None and stop():
                return
        self._now = max(self._now, to)

    def _first_heap(self) -> list[tuple[int, int, Timer]] | None:
        self._drop_cancelled(self._work)
        self._drop_cancelled(self._guards)
        if not self._guards:
            return self._work or None
        if not self._work:
            return self._guards
        return self._work if self._work[0] < self._guards[0] else self._guards

    def _pop_due(self) -> Timer | None:
        heap = self._first_heap()
        if heap is None or heap[0][0] > self._reached():
            return None
        return heapq.heappop(heap)[2]

    def _drop_cancelled(self, heap: list[tuple[int, int, Timer]]) -> None:
        while heap and heap[0][2].callback is None:
            heapq.heappop(heap)
            self._forgotten -= 1

    # The wall drives a real clock

    def resume(self) -> None:
        """Continue in a copy of a world, in which nothing has happened so far."""
        with self.lock:
            if self.mode == "real" and (self._ready or self._work or self._guards):
                self._wake_driver()

    def _wake_driver(self) -> None:
        if self.closed:
            return
        if self._driver is None:
            self._driver = threading.Thread(target=self._drive, name="output-mock-clock", daemon=True)
            self._driver.start()
        else:
            self._alarm.notify_all()

    def _drive(self) -> None:
        # Nothing would report that a world's time stands still, so this waits as long as it takes.
        self.lock.acquire()
        try:
            while not self.closed:
                self.run_due()
                heap = self._first_heap()
                if heap is None:
                    break
                self._alarm.wait(timeout=max(0.0, (heap[0][0] - self.nanoseconds()) / 1e9))
        finally:
            # Whatever has ended the thread, the next thing due starts a new one.
            self._driver = None
            self.lock.release()

    def close(self) -> None:
        """Stop the thread; nothing happens on this clock any more."""
        with self.lock:
            self.closed = True
            self._ready.clear()
            self._work.clear()
            self._guards.clear()
            self._alarm.notify_all()
