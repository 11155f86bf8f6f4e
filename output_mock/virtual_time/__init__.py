"""Virtual time: a client's own waiting moves the fake's clock instead of taking real time.

While virtual time is on, `time.sleep`, `time.monotonic`, `time.time`, `datetime.now` and their kin mean the
fake's clock for the code under test, and so do the timers of asyncio's event loops. A loop that would poll
for 45 minutes ends in milliseconds, and a deadline passes when it would have passed.

Every thread that sleeps, and every event loop that has nothing to do, waits for its turn. Turns are given in
the order of the times that they wait for, and only when everything else is idle: no thread works, no socket
brings anything, no request is being answered. So virtual time stands still while anything else is under way.
"""

from __future__ import annotations

import concurrent.futures
import operator
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakKeyDictionary

from output_mock.durations import SECOND, Duration, nanoseconds
from output_mock.real_time import monotonic
from output_mock.virtual_time import builtin_functions, clocks
from output_mock.virtual_time.callers import Callers
from output_mock.virtual_time.clocks import REAL, Clocks
from output_mock.virtual_time.event_loops import Loops
from output_mock.virtual_time.processes import Processes
from output_mock.virtual_time.threads import Look, Threads, Work, switches

if TYPE_CHECKING:
    from output_mock.engine.clock import Clock
    from output_mock.http.app import OutputApp

# How long, by default, one and the same thing may hold up virtual time.
STUCK_AFTER = "10s"
# Something that makes progress but does not end may take this many times as long.
_MUCH_LONGER = 6
# How many seconds it may hold up time after that.
_CLEANING_UP = 0.5
# How many seconds of real time a waiter waits before it looks again: at first, and at most.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.0002, 0.005
# How many seconds everything must be idle where the system does not tell which threads are awake.
_CERTAIN = 0.005
# How many seconds a waiter waits that need not look, because another one does.
_WAIT_FOR_TURN = 0.05
# Code that reads the clock this often, and never sleeps, waits for it to move. So each further reading moves
# it by this much.
_PATIENT_LOOKS = 10_000
_STEP = 0.001
# So does code that waits in real time between its readings, and has read it in this many tenths of the time
# that something may hold up time. From then on the clock goes on as real time does.
_PATIENT_TENTHS = 10
_FROZEN = (
    "another tool (freezegun?) has frozen time.monotonic, which virtual time has to move; use only one of "
    "the two. To choose when virtual time begins, write @pytest.mark.output(start=…)"
)


class StuckError(RuntimeError):
    """Something held up virtual time for too long, and nothing came of it."""


class Waiter(Protocol):
    """A thread or event loop that waits until `due`, in nanoseconds on the fake's clock; None: for ever."""

    due: int | None
    # Whether what happens at `due` only limits how long something may take.
    limits: bool
    # Whether it is the code under test that sleeps, rather than its request that waits for a run.
    sleeps: bool
    released: bool

    def ready(self) -> bool:
        """Whether it can go on for another reason."""

    def under_way(self) -> Iterator[Work]:
        """What else it waits for that is not a thread of this process."""

    def deadlines_only(self) -> bool:
        """Whether `due` and all later times only limit how long something may take."""

    def pause(self, seconds: float) -> None:
        """Wait in real time, at most this long."""

    def release(self) -> None:
        """It is its turn."""


class Sleeper:
    """A thread that sleeps, or whose request waits for a run, until it is `woken`."""

    def __init__(self, due: int | None, woken: threading.Event | None = None) -> None:
        self.due = due
        self.limits = False
        self.sleeps: bool = woken is None
        self.released: bool = False
        self._woken = woken
        self._turn = threading.Event() if woken is None else woken

    def ready(self) -> bool:
        """Whether what it waits for has happened."""
        return self._woken is not None and self._woken.is_set()

    def under_way(self) -> Iterator[Work]:
        """Nothing: everything that happens to runs happens at a time of the clock."""
        return iter(())

    def deadlines_only(self) -> bool:
        """Whether nothing happens at `due`."""
        return self.due is None

    def pause(self, seconds: float) -> None:
        """Wait in real time, at most this long."""
        self._turn.wait(seconds)

    def release(self) -> None:
        """It is its turn."""
        self.released = True
        self._turn.set()


class VirtualTime:
    """The time that the code under test sees while virtual time is on.

    Takes the application whose clock it is, the names of the modules and packages for which it holds (none:
    all but the standard library, pytest and others that need real time), and how long, in real time, the
    same thing may hold time up.
    """

    def __init__(
        self, app: OutputApp, modules: Sequence[str] = (), stuck_after: Duration = STUCK_AFTER
    ) -> None:
        if app.world.clock.mode == "real":
            raise ValueError(
                "virtual time does not work with a real clock; use clock='auto' or clock='manual'"
            )
        self._app = app
        self._clock: Clock = app.world.clock
        self._stuck_after = nanoseconds(stuck_after) / SECOND
        self._began: int = self._clock.nanoseconds()
        # Starts at a whole second, so that differences in seconds are exact: a deadline that is 3600 seconds
        # away has passed after a sleep of 3600.
        self._monotonic: int = (REAL["monotonic_ns"]() // SECOND + 1) * SECOND
        # What the clock showed last, how often and in how many tenths it has done so, and when the last of
        # these began.
        self._shown: int = self._began
        self._looks = self._tenths = 0
        self._tenth = monotonic()
        self._waiters: dict[int, Waiter] = {}
        # The thread that looks on behalf of all that wait.
        self._looking: int | None = None
        self._turns = threading.Lock()
        self._threads: Threads
        # When each timer was seen first, on the clock.
        self._timers: WeakKeyDictionary[threading.Timer, int] = WeakKeyDictionary()
        self._held: dict[Any, float] = {}
        self._held_at_all: dict[Any, float] = {}
        self._gave_up = False
        # What has held up time for too long, if anything.
        self.problem: str | None = None
        self.on: bool = False
        self.callers: Callers = Callers(modules)
        self._clocks = Clocks(self)
        self._loops = Loops(self)
        self._processes = Processes(self._stuck_after / 2)

    # What the code under test sees

    def now(self) -> int:
        """Nanoseconds since 1970, on the fake's clock."""
        now = self._clock.nanoseconds()
        step = self._overdue(now)
        if step and not self._clock.runs_here and not self._is_anything_under_way():
            self._clock.advance(step)
            now = self._shown = self._clock.nanoseconds()
        return now

    def _overdue(self, now: int) -> float:
        """By how many seconds the clock has to move for code that has read it in vain for long enough."""
        if now != self._shown:
            self._shown, self._looks, self._tenths = now, 0, 0
        self._looks += 1
        since = monotonic() - self._tenth
        # A machine that stops for a while is not taken for code that waits: only readings count.
        if since >= self._stuck_after / _PATIENT_TENTHS:
            self._tenth += since
            self._tenths += 1
            if self._tenths > _PATIENT_TENTHS:
                return since
        return _STEP if self._looks > _PATIENT_LOOKS else 0

    def _is_anything_under_way(self) -> bool:
        """Whether another thread works, or a process whose end the code under test asks for."""
        look = self._threads.look(set(self._waiters))
        if look.under_way or look.pauses:
            return True
        return next(self._processes.under_way(), None) is not None

    def monotonic(self) -> int:
        """Nanoseconds of a clock that continues from the real monotonic clock."""
        return self._monotonic + self.now() - self._began

    def loop_time(self) -> float:
        """The time for an event loop, in seconds."""
        return (self._monotonic + self._clock.nanoseconds() - self._began) / SECOND

    def at_loop_time(self, when: float) -> int:
        """The time on the fake's clock, in nanoseconds, for a time of event loops."""
        return self._began + round(when * SECOND) - self._monotonic

    def sleep(self, seconds: float) -> None:
        """Wait until the clock has moved on by so much.

        Raises what `time.sleep` raises for such a length, and `ValueError` if the clock ends before.
        """
        if not isinstance(seconds, float):
            seconds = operator.index(seconds)
        if not 0 <= seconds < 2**63 / SECOND:
            REAL["sleep"](seconds)
        if clocks.frozen():
            # Otherwise a loop that sleeps until some time is reached would never end.
            raise RuntimeError(_FROZEN)
        # A sleep always takes some time, so that a loop that sleeps for what is left comes to its end.
        length = max(round(seconds * SECOND), int(seconds > 0))
        self.pass_until(self._clock.due_in(length, "the end of this sleep"))

    def pass_until(self, due: int | None, woken: threading.Event | None = None) -> None:
        """Wait until the clock has reached `due` (None: for ever), or `woken` is set."""
        if self._clock.runs_here:
            raise RuntimeError("a script cannot sleep on the clock that it runs on; await ctx.sleep(…)")
        self.wait(Sleeper(due, woken))

    def let_pass(self, seconds: float) -> None:
        """Let this much time pass at once."""
        self._clock.move_to(self._clock.nanoseconds() + round(seconds * SECOND))

    # Whose turn it is

    def wait(self, waiter: Waiter) -> bool:
        """Wait for a turn.

        Returns false if the waiter can go on for another reason. Raises `StuckError` when something holds up
        time for too long.
        """
        me = threading.get_ident()
        self._waiters[me] = waiter
        if waiter.sleeps and waiter.due is not None:
            self._processes.begin_sleep((waiter.due - self._clock.nanoseconds()) / SECOND)
        pause = _FIRST_PAUSE
        try:
            while not waiter.released and not waiter.ready():
                self._carry_out(me, waiter)
                if self._looking in (None, me) and self._turns.acquire(blocking=False):
                    try:
                        self._looking = me
                        moved = self._give_turn()
                    finally:
                        self._turns.release()
                    if moved:
                        pause = _FIRST_PAUSE
                    else:
                        waiter.pause(pause)
                        pause = min(2 * pause, _LONGEST_PAUSE)
                else:
                    waiter.pause(_WAIT_FOR_TURN)
            return waiter.released
        finally:
            del self._waiters[me]
            self._processes.end_sleep()
            self._threads.something_came()
            if self._looking == me:
                self._looking = None
                for other in list(self._waiters.values()):
                    with suppress(AttributeError, OSError):
                        other.loop._write_to_self()  # type: ignore[attr-defined]
                    break

    def _give_turn(self) -> bool:
        """Let time pass until the next turn, if everything else is idle. Returns whether it did."""
        waiters = list(self._waiters.values())
        if any(one.released for one in waiters):
            return False
        dues = [one.due for one in waiters if one.due is not None]
        if not dues:
            self._held.clear()
            return False
        due = min(dues)
        look = self._threads.look(set(self._waiters))
        under_way = self._under_way(waiters, look, due)
        if under_way and self._hold(under_way):
            return False
        if not under_way and not self._is_settled(waiters, look, due):
            return False
        self._held.clear()
        self._held_at_all.clear()
        with self._clock.lock:
            if self._clock.nanoseconds() < due:
                self._clock.jump(due, at_rest=True)
            reached = self._clock.nanoseconds() >= due
        for one in waiters:
            if reached and one.due == due:
                one.release()
        return True

    def _carry_out(self, me: int, waiter: Waiter) -> None:
        """Carry out the requests of workflows that have become due. Meanwhile this thread does not wait."""
        outgoing = self._app.world.outgoing
        if not outgoing.asked:
            return
        del self._waiters[me]
        if self._looking == me:
            self._looking = None
        try:
            outgoing.carry_out(waits=True)
        finally:
            self._waiters[me] = waiter

    def _under_way(self, waiters: list[Waiter], look: Look, due: int) -> list[Work]:
        """What holds time up."""
        found = [*look.under_way, *self._processes.under_way()]
        for one in waiters:
            if one.released or one.ready():
                found.append(Work((id(one), "ready"), "an event loop that has something to do"))
            else:
                found += one.under_way()
        if not self._app.quiet:
            found.append(Work("request", "a request that the fake is answering"))
        # A pause in real time holds up deadlines; other sleeps go before or after it, by their times.
        distance = (due - self._clock.nanoseconds()) / SECOND
        limits = all(one.limits for one in waiters if one.due == due)
        for pause in look.pauses:
            left = pause.seconds if pause.timer is None else self._left(pause.timer)
            if limits or left < distance:
                found.append(Work(pause.key, pause.words))
        if not found and look.blocked and all(one.deadlines_only() for one in waiters):
            found += look.blocked
        return found

    def _left(self, timer: threading.Timer) -> float:
        """In how many seconds of the clock this timer is due, counted from when it was seen first."""
        now = self._clock.nanoseconds()
        return timer.interval - (now - self._timers.setdefault(timer, now)) / SECOND

    def _is_settled(self, waiters: list[Waiter], look: Look, due: int) -> bool:
        """Whether everything is still idle after each woken thread has had its chance to run."""
        if not look.at_rest and len(waiters) == 1 and not self._app.answering:
            return True
        before = switches()
        if before is None:
            return False
        REAL["sleep"](_FIRST_PAUSE if before else _CERTAIN)
        if switches() != before:
            return False
        again = self._threads.look(set(self._waiters))
        return (
            again.at_rest == look.at_rest
            and list(self._waiters.values()) == waiters
            and not self._under_way(waiters, again, due)
        )

    def _hold(self, under_way: list[Work]) -> bool:
        """Whether this holds up time. When it has done so for too long, raises `StuckError`, unless the main
        thread is what holds it up.
        """
        now = monotonic()
        for held, keys in (
            (self._held, {one.key for one in under_way}),
            (self._held_at_all, {one.key[0] for one in under_way if isinstance(one.key, tuple)}),
        ):
            for key in held.keys() - keys:
                del held[key]
            for key in keys:
                held.setdefault(key, now)
        longest = min((now - since for since in self._held.values()), default=0.0)
        at_all = max((now - since for since in self._held_at_all.values()), default=0.0)
        if self._gave_up:
            # Let the rest of the test run to its end.
            return longest < min(_CLEANING_UP, self._stuck_after)
        if longest >= self._stuck_after or at_all >= _MUCH_LONGER * self._stuck_after:
            self._gave_up = True
            words = "; ".join(dict.fromkeys(one.words for one in under_way))
            self.problem = (
                f"virtual time was held up for {max(longest, at_all):.1f} s by {words}. Virtual time only "
                "passes when everything else is idle. If this really takes so long, raise the limit: "
                '@pytest.mark.output(stuck_after="1m") or output_stuck_after in the ini file'
            )
            main = threading.main_thread().ident
            if any(isinstance(one.key, tuple) and one.key[0] == main for one in under_way):
                # It may wait for what this thread does after its sleep, and would then wait for ever. The
                # problem still fails the test.
                return False
            raise StuckError(self.problem)
        return True

    # Turning it on and off

    def start(self) -> None:
        """Turn virtual time on. Raises `RuntimeError` if it is on for another fake, or if another tool has
        frozen time.
        """
        global _current
        if _current is not None:
            raise RuntimeError(
                "virtual time is already on for another fake, and a program can only follow "
                "one clock; turn it on for one fake at a time"
            )
        if clocks.frozen():
            raise RuntimeError(_FROZEN)
        unsupported = builtin_functions.unsupported()
        if unsupported is not None:
            raise RuntimeError(unsupported)
        _current = self
        self.on = True
        self._app.world.virtual = self
        self._threads = Threads(self._stuck_after / 2)
        self._machine = _TimeMachine()
        self._submit = concurrent.futures.ThreadPoolExecutor.submit
        self._start = threading.Thread.start
        try:
            self._change()
        except BaseException:
            self.stop()
            raise

    def _change(self) -> None:
        self._clocks.change()
        self._loops.change()
        self._processes.change()
        concurrent.futures.ThreadPoolExecutor.submit = self._noting_submit()  # type: ignore[method-assign]
        threading.Thread.start = self._noting_start()  # type: ignore[method-assign]

    def stop(self) -> None:
        """Turn it off."""
        global _current
        concurrent.futures.ThreadPoolExecutor.submit = self._submit  # type: ignore[method-assign]
        threading.Thread.start = self._start  # type: ignore[method-assign]
        self._processes.put_back()
        self._loops.put_back()
        self._clocks.put_back()
        self._machine.wake_all_waiters()
        self._app.world.virtual = None
        _current = None
        self.on = False
        # Wake every thread that still sleeps.
        for one in list(self._waiters.values()):
            one.release()

    def _noting_submit(self) -> Any:
        submit, threads, callers = self._submit, self._threads, self.callers

        def noting(executor: Any, /, *args: Any, **kwargs: Any) -> Any:
            future = submit(executor, *args, **kwargs)
            threads.submitted[future] = executor
            callers.futures[future] = callers.innermost(sys._getframe(1))
            return future

        return noting

    def _noting_start(self) -> Any:
        start, callers = self._start, self.callers

        def noting(thread: threading.Thread) -> None:
            callers.threads[thread] = callers.innermost(sys._getframe(1))
            start(thread)

        return noting


class _TimeMachine:
    """Keeps time-machine from patching the same functions meanwhile; what it wants to do is done
    afterwards.
    """

    def __init__(self) -> None:
        self._module: Any = sys.modules.get("_time_machine")
        self._wanted: list[str] = []
        if self._module is not None:
            self._before = {name: getattr(self._module, name) for name in ("patch", "unpatch")}
            for name in self._before:
                setattr(self._module, name, lambda name=name: self._wanted.append(name))

    def wake_all_waiters(self) -> None:
        """Let time-machine do what it wanted to."""
        if self._module is not None:
            for name, function in self._before.items():
                setattr(self._module, name, function)
            if self._wanted.count("patch") != self._wanted.count("unpatch"):
                self._before[self._wanted[-1]]()


_current: VirtualTime | None = None


@contextmanager
def virtual_time(
    app: OutputApp, modules: Sequence[str] = (), stuck_after: Duration = STUCK_AFTER
) -> Iterator[VirtualTime]:
    """Virtual time for these modules (none: all) while the block runs."""
    time_of = VirtualTime(app, modules, stuck_after)
    time_of.start()
    try:
        yield time_of
    finally:
        time_of.stop()
