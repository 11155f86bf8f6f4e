"""How time passes for clients that wait for runs or poll them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

from output_mock.engine.clock import LATEST, Clock
from output_mock.engine.latency import Latency
from output_mock.engine.outgoing import LOOK_OUTSIDE, Outgoing, is_asked_by
from output_mock.engine.outgoing import Waiting as WaitingRequest
from output_mock.engine.run import Run
from output_mock.engine.trace_storage import Traces
from output_mock.patience import give_up, given_up_at
from output_mock.real_time import monotonic


class PassesTime(Protocol):
    """What lets time pass in virtual time (`output_mock.virtual_time`)."""

    def pass_until(self, due: int | None, woken: threading.Event | None = None) -> None:
        """Wait until the clock has reached `due`, or `woken` is set."""


class Waiting:
    """The part of a world that lets time pass. Methods take the lock themselves, and wait without it."""

    clock: Clock
    latency: Latency
    outgoing: Outgoing
    traces: Traces
    # How long, in real time, a request waits for what only another request can bring.
    patience: float
    # What lets time pass while virtual time is on.
    virtual: PassesTime | None
    # How many requests are being delayed on purpose.
    _late: int
    _open: dict[Run, None]

    def let_pass(self, length: int, *, patience: float = 10.0) -> bool:
        """Let so many nanoseconds pass on a virtual clock, though never beyond the latest time that it has.

        Whoever asks for something else gets in between. Returns False when so much has happened on the way
        that `patience` seconds of real time were not enough, and the clock stands where it got to.
        """
        clock = self.clock
        target = min(clock.nanoseconds() + length, LATEST)
        limit = monotonic() + patience
        while True:
            with self.outgoing.freed(), clock.lock:
                clock.run_due()
                due = clock.next_due()
                clock.jump(target if due is None else min(due, target))
                if clock.nanoseconds() >= target and not self.outgoing.asked:
                    return True
            if monotonic() > limit:
                return False

    def be_late(self, length: int) -> None:
        """Let so many nanoseconds pass for a request. In virtual time others go on before: a client that
        waits less long for its answer.
        """
        if self.virtual is None:
            self.let_pass(length)
            return
        with self.clock.lock:
            self._late += 1
        try:
            self.virtual.pass_until(min(self.clock.nanoseconds() + length, LATEST))
        finally:
            with self.clock.lock:
                self._late -= 1

    def advance_run(self, run: Run, *, guards: bool) -> bool:
        """Let the next thing of a run happen that happens by itself, with `guards` also a timeout.

        Returns whether there was one. Raises `RuntimeError` on a real clock.
        """
        if self.clock.mode == "real":
            raise RuntimeError("a real clock cannot be advanced; wait until the next thing happens")
        with self.outgoing.freed(), self.clock.lock:
            moved = self.clock.run_due() or self._jump_to_next(lambda: run.latest().next_due(guards=guards))
        self.outgoing.carry_out()
        return moved

    def waiting_requests(self) -> int:
        """How many requests wait for something, or for an application that a workflow has called."""
        with self.clock.lock:
            return self._late + len(self.outgoing) + sum(run.waiting_requests() for run in self._open)

    def poll(self, run: Run | None = None) -> None:
        """Note a poll of a run (None: of all): on an `auto` clock, let the next thing happen. Waiting for
        something from outside does not make time jump.
        """
        clock = self.clock
        if clock.mode != "auto":
            return
        with clock.lock:
            if clock.run_due():
                pass
            elif is_asked_by(run):
                # No time passes for polls of an application that a workflow has called.
                pass
            elif run is None:
                self._jump_to_next(clock.next_work)
            else:
                self._jump_to_next(lambda: run.latest().next_due(guards=False))
        self.outgoing.carry_out()

    def _jump_to_next(
        self, next_due: Callable[[], int | None], done: Callable[[], bool] | None = None
    ) -> bool:
        """Let time jump to what is due next, or to where something else is due next: a run that ends on the
        way takes its timers with it. Returns whether there was something.
        """
        due = next_due()
        if due is None:
            return False
        self.clock.jump(due, stop=lambda: next_due() != due or (done is not None and done()))
        return True

    def poll_trace(self, run: Run) -> None:
        """Note a poll that has not found the trace of an ended run: on an `auto` clock, let time pass until
        the trace is complete.
        """
        clock = self.clock
        due = run.close_time + self.traces.upload_delay
        with clock.lock:
            if clock.mode == "auto" and run.worker_heard and due > clock.nanoseconds():
                clock.jump(due)

    def wait(
        self,
        run: Run,
        done: Callable[[], bool],
        *,
        until: int | None,
        guards: bool = False,
        wall: float | None = None,
    ) -> bool:
        """Let time pass until `done()` holds. Returns whether it does.

        `until` is the time on the clock to give up at, `wall` how many seconds of the wall to wait for
        what only others can bring (default: the world's patience). On an `auto` clock time jumps to what
        is due for this run; with `guards` also to its timeouts, and at last to `until`.

        Raises `WaitEndedError` when the world ends meanwhile, or everybody who waits is let go.
        """
        clock = self.clock
        with self.outgoing.waiting() as waiting:
            if until is None or clock.mode != "real":
                return self._wait(run, done, until, guards, wall, waiting)
            return self._wait_on_the_wall(run, done, until, guards, wall, waiting)

    def _wait_on_the_wall(
        self,
        run: Run,
        done: Callable[[], bool],
        until: int,
        guards: bool,
        wall: float | None,
        waiting: WaitingRequest,
    ) -> bool:
        clock = self.clock
        # Evaluate it as of that time: a slow machine may get here late, when later things have happened, too.
        stood: list[bool] = []
        with clock.lock:
            end = clock.call_at(until, lambda: stood.append(done()), is_timeout=True)
        try:
            return self._wait(run, lambda: stood[0] if stood else done(), until, guards, wall, waiting)
        finally:
            with clock.lock:
                end.cancel()

    def _wait(
        self,
        run: Run,
        done: Callable[[], bool],
        until: int | None,
        guards: bool,
        wall: float | None,
        waiting: WaitingRequest,
    ) -> bool:
        clock, outgoing = self.clock, self.outgoing
        limit = 0.0
        # In virtual time, real time is the fake's clock, too.
        virtual_end: int | None = None
        lock = clock.lock
        interruptions = lock.interruptions
        if until is not None:
            until = clock.last(until)
        # A script that calls its own fake holds the lock, so nothing can be carried out.
        free = not lock.is_mine()
        while True:
            outgoing.carry_out(waits=True)
            with clock.lock:
                clock.run_due()
                if done():
                    return True
                if free and outgoing.asked:
                    continue
                held = free and outgoing.holds()
                now = clock.nanoseconds()
                if virtual_end is None and wall is not None and self.virtual is not None:
                    virtual_end = clock.last(now + round(wall * 1e9))
                ends = [end for end in (until, virtual_end) if end is not None]
                if any(now >= end for end in ends):
                    return False
                ending = lock.ended or (lock.interrupted if lock.interruptions != interruptions else None)
                if ending is not None:
                    raise ending.error(run.workflow_id)
                if clock.mode == "auto" and not held:
                    due = run.latest().next_due(guards=guards)
                    if due is not None and (until is None or due <= until):
                        self._jump_to_next(lambda: run.latest().next_due(guards=guards), done)
                        continue
                    if until is not None and (guards or due is not None):
                        clock.jump(until, stop=done)
                        if free and outgoing.asked:
                            continue
                        return done()
                watched = run.latest()
                waiter = outgoing.watch(watched.watch())
                # In case another thread moves a virtual clock past the end of this wait.
                alarm = None
                if until is not None and clock.mode != "real":
                    alarm = clock.call_at(until, waiter.set, is_timeout=True)
                due = clock.next_due()
                dues = ends if due is None else [*ends, due]
            if self.virtual is not None and dues:
                try:
                    self.virtual.pass_until(min(dues), waiter)
                finally:
                    with clock.lock:
                        watched.unwatch(waiter)
                        outgoing.unwatch(waiter)
                        if alarm is not None:
                            alarm.cancel()
                continue
            # Nothing happens by itself: other requests, or real time on a real clock, have to bring it about.
            # An open request of a workflow ends by itself, like things on a real clock.
            endless = wall is None and (held or clock.mode == "real")
            if not limit or endless:
                limit = clock.monotonic() + (self.patience if wall is None else wall)
            rest = float("inf") if endless else limit - clock.monotonic()
            if clock.mode == "real" and until is not None:
                rest = min(rest, (until - now) / 1e9)
            client_end = None if self.virtual is not None else given_up_at()
            if client_end is not None:
                rest = min(rest, client_end - clock.monotonic())
            if held:
                rest = min(rest, LOOK_OUTSIDE)
            woken = clock.wait(waiter, None if rest == float("inf") else max(0.0, rest))
            if held:
                waiting.look_outside()
            with clock.lock:
                watched.unwatch(waiter)
                outgoing.unwatch(waiter)
                if alarm is not None:
                    alarm.cancel()
                if not woken and client_end is not None and clock.monotonic() >= client_end:
                    clock.run_due()
                    if done():
                        return True
                    raise give_up()
                if not woken and clock.monotonic() >= limit and not endless:
                    return done()

    def let_signal_arrive(self) -> None:
        """Wait until a signal that was written just now may be answered."""
        if self.latency.signal:
            self.clock.wait(threading.Event(), self.latency.signal / 1e9)
