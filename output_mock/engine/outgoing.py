"""Requests that workflows send: which thread carries them out, and when the clock waits for them.

No thread holds the world's lock while it carries out a request, because the application that answers may
call this fake. On a virtual clock, the thread that advances the clock carries the request out. A call to
the fake from inside belongs to that request, as far as context variables reach. On a real clock each
request has its own thread.

The clock stands still while a request is in progress, unless the request waits for something in the fake.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar
from typing import TYPE_CHECKING

from output_mock.callbacks.sending import Sender, Sent
from output_mock.engine import requests
from output_mock.engine.errors import StalledError
from output_mock.patience import waiting_at_most
from output_mock.real_time import monotonic
from output_mock.sdk.failures import Failure

if TYPE_CHECKING:
    from output_mock.callbacks.faults import Delivery
    from output_mock.callbacks.sending import Callbacks
    from output_mock.engine.clock import Clock
    from output_mock.engine.commands import Activity
    from output_mock.engine.run import Run

_log = logging.getLogger("output_mock.callbacks")
# How many requests run at the same time on a real clock, not counting requests whose application waits for
# something in the fake.
MOST_THREADS = 100
# For how many real seconds the clock stands still for a request to another process while a later request
# waits here. The fake cannot know whether the later one comes from that process.
LOOK_OUTSIDE = 1.0
# The same for one that is answered in this process: the application may have begun a thread of its own,
# which carries no context.
LOOK_INSIDE = 5.0
# How deep requests may be nested, and how many of these may run in one thread.
_DEEPEST, _ROOM = 60, 6
_TOO_DEEP = (
    f"requests are nested {_DEEPEST} deep; does the application run a workflow that calls it without end?"
)
# What the workflow hears when Ctrl-C breaks a request off.
_BROKEN_OFF = Sent(None, Failure("SocketError: other side closed", name="FatalError"), 0)
# How many real seconds a thread that moves the clock waits for requests in progress.
_LONGEST = 60.0


class OutgoingRequest:
    """A request that an attempt of a step sends."""

    # The request that this one is nested in.
    parent: OutgoingRequest | None = None
    # When it began, in real seconds, and whether another process answers it.
    began: float = 0.0
    outside: bool = False
    # How many of its calls wait for something in the fake.
    waits: int = 0

    def __init__(self, run: Run, activity: Activity, delivery: Delivery) -> None:
        self.delivery: Delivery = delivery
        self.run = run
        self.activity = activity
        self.sender: Sender = Sender(
            run.workflow_id, run.run_id, activity.attempt, run.world.clock.nanoseconds()
        )

    def with_those_around(self) -> Iterator[OutgoingRequest]:
        """This request, and the requests that it is nested in."""
        request: OutgoingRequest | None = self
        while request is not None:
            yield request
            request = request.parent


# The request that the current thread or task belongs to.
_current: ContextVar[OutgoingRequest | None] = ContextVar("current", default=None)


def _around() -> list[OutgoingRequest]:
    current = _current.get()
    return [] if current is None else list(current.with_those_around())


def is_asked_by(run: Run | None) -> bool:
    """Whether the current call comes from inside a request of this run (None: of any run)."""
    return any(run in (None, request.run) for request in _around())


class Outgoing:
    """The requests in progress of a world's workflows."""

    def __init__(self, clock: Clock, callbacks: Callbacks) -> None:
        self._clock = clock
        self._callbacks = callbacks
        # The requests that no thread has begun, and those that run.
        self._asked: deque[OutgoingRequest] = deque()
        self._under_way: dict[OutgoingRequest, None] = {}
        # The requests that wait for another one to go first.
        self._overtaken: list[OutgoingRequest] = []
        # The events to set when these change.
        self._watchers: list[threading.Event] = []
        self._in_threads: bool = clock.drives_itself
        self._threads = 0

    def __len__(self) -> int:
        """How many requests run in the threads that wait for them."""
        return 0 if self._in_threads else len(self._under_way)

    def made(self, run: Run, activity: Activity) -> OutgoingRequest:
        """Make the request of a step's attempt, and decide how to send it."""
        return OutgoingRequest(run, activity, self._callbacks.delivery(activity.input["url"]))

    def ask(self, request: OutgoingRequest) -> None:
        """Queue a request. If it is to be overtaken, the next one goes first. Hold the lock."""
        if request.delivery.is_overtaken:
            self._overtaken.append(request)
            return
        self._asked.append(request)
        self._have_it_done()

    def _have_it_done(self) -> None:
        if self._in_threads and (
            self._threads < MOST_THREADS
            # Those that wait in the fake may wait for this very request.
            or self._threads - sum(request.waits > 0 for request in self._under_way) < MOST_THREADS
        ):
            self._threads += 1
            threading.Thread(target=self._work, name="output-mock-callback", daemon=True).start()
        self._tell()

    # When the clock stands still

    def holds(self, *, at_rest: bool = False) -> bool:
        """Whether the clock has to stand still, except for the requests that it stands still for. With
        `at_rest`, all requests in progress wait for time to pass. Hold the lock.
        """
        if self._in_threads:
            return False
        if self._asked:
            return True
        if at_rest or not self._under_way:
            return False
        around = _around()
        return any(not request.waits and request not in around for request in self._under_way)

    @property
    def asked(self) -> bool:
        """Whether there are requests to carry out."""
        return bool(self._asked) and not self._in_threads

    @contextmanager
    def waiting(self) -> Iterator[Waiting]:
        """A request waits for something in the fake while the block runs."""
        waiting = Waiting(self, _current.get())
        try:
            yield waiting
        finally:
            waiting.end()

    @contextmanager
    def freed(self) -> Iterator[None]:
        """Carry out the queued requests, and wait until nothing holds the clock. While the block runs, what
        waits for this thread does not hold it either.

        Raises `StalledError` after a minute, and the error of `Ending.error` if the world ends meanwhile.
        """
        if self._clock.lock.is_mine():
            yield
            return
        with self.waiting() as waiting:
            self._wait_until_free(waiting)
            yield

    def _wait_until_free(self, waiting: Waiting) -> None:
        lock = self._clock.lock
        limit = monotonic() + _LONGEST
        while True:
            self.carry_out(waits=True)
            with lock:
                if lock.ended is not None:
                    raise lock.ended.error()
                if not self.holds():
                    return
                change = self.watch(threading.Event())
            change.wait(max(0.0, min(LOOK_OUTSIDE, limit - monotonic())))
            self.unwatch(change)
            waiting.look_outside()
            if monotonic() >= limit:
                request = next(iter(self._under_way), None)
                to = "" if request is None else f" to {request.activity.input['url']}"
                raise StalledError(f"the clock stands still: a workflow's request{to} is not answered")

    def watch(self, event: threading.Event) -> threading.Event:
        """Set this event when a request comes, waits or ends. Hold the lock."""
        self._watchers.append(event)
        return event

    def unwatch(self, event: threading.Event) -> None:
        """Stop setting this event."""
        with self._clock.lock:
            self._watchers = [other for other in self._watchers if other is not event]

    def wake_all_waiters(self) -> None:
        """Wake all that wait for a request, so that they check whether the world has ended."""
        self._tell()

    def _tell(self) -> None:
        for event in list(self._watchers):
            event.set()

    # Carrying requests out

    def carry_out(self, *, waits: bool = False) -> None:
        """Carry out the queued requests, including those that this thread caused.

        An application that called and does not wait here (`waits`) answers first.
        """
        if not self.asked or self._clock.lock.is_mine() or not (waits or _current.get() is None):
            return
        self._carry_all_out()

    def _work(self) -> None:
        try:
            self._carry_all_out()
        finally:
            # Whoever holds the lock at the moment, others take the place of this thread.
            self._clock.lock.acquire()
            try:
                self._threads -= 1
                if self._asked:
                    self._have_it_done()
            finally:
                self._clock.lock.release()

    def _carry_all_out(self) -> None:
        while (request := self._next()) is not None:
            request.parent = _current.get()
            depth = sum(1 for _ in request.with_those_around())
            if depth % _ROOM:
                self._do(request, depth)
                continue
            # Applications that call each other need stack space.
            thread = threading.Thread(target=self._do, args=(request, depth), name="callback", daemon=True)
            thread.start()
            thread.join()

    def _do(self, request: OutgoingRequest, depth: int) -> None:
        sent = _BROKEN_OFF
        try:
            if depth > _DEEPEST:
                sent = Sent(None, Failure(_TOO_DEEP, name="FatalError"), 0)
                return
            # As on a server, the context of the caller is not visible.
            with waiting_at_most(None):
                sent = Context().run(self._send, request)
        finally:
            self._ended(request, sent)

    def _next(self) -> OutgoingRequest | None:
        self._clock.lock.acquire()
        try:
            while self._asked:
                request = self._asked.popleft()
                is_late = request.delivery.late > 0
                if is_late or (request.activity.request is request and request.run.running):
                    self._under_way[request] = None
                    return request
            return None
        finally:
            self._clock.lock.release()

    def _send(self, request: OutgoingRequest) -> Sent:
        _current.set(request)
        request.began = monotonic()
        given = request.activity.input
        request.outside = self._callbacks.is_outside(given["method"], given["url"])
        return self._callbacks.send(
            request.sender,
            given,
            delivery=request.delivery,
            as_written=request.run.world.deployment.requests_as_written,
        )

    def _ended(self, request: OutgoingRequest, sent: Sent) -> None:
        # Keep the answer, even if another thread holds the lock now.
        self._clock.lock.acquire()
        try:
            self._under_way.pop(request, None)
            requests.answered(request.run, request.activity, request, sent)
            if self._overtaken:
                overtaken, self._overtaken = self._overtaken, []
                self._asked.extend(overtaken)
                self._have_it_done()
            self._tell()
            self._clock.run_due()
        finally:
            self._clock.lock.release()


class Waiting:
    """A wait in the fake, by the application of a request or by any other caller."""

    def __init__(self, outgoing: Outgoing, request: OutgoingRequest | None) -> None:
        self._outgoing = outgoing
        self._began = monotonic()
        self._waiting: list[OutgoingRequest] = []
        if request is not None:
            self._wait([request])

    def look_outside(self) -> None:
        """It has waited for a while: requests that began before may wait for it, in another process or in
        another thread.
        """
        waited = monotonic() - self._began
        if waited < LOOK_OUTSIDE:
            return
        found = [
            request
            for request in list(self._outgoing._under_way)
            if (request.outside or waited >= LOOK_INSIDE)
            and request.began < self._began
            and not request.waits
            and request not in self._waiting
        ]
        for request in found:
            if not request.outside:
                _log.warning(
                    "a request to the fake has waited %.0f s for the clock, which stands while the "
                    "application answers %s; now the clock moves. If the application sent it, in a thread of "
                    "its own, start the thread's work with contextvars.copy_context().run to save this time",
                    waited,
                    request.activity.input["url"],
                )
        self._wait(found)

    def _wait(self, requests: list[OutgoingRequest]) -> None:
        if not requests:
            return
        self._waiting += requests
        with self._outgoing._clock.lock:
            for request in requests:
                request.waits += 1
            if self._outgoing._asked:
                self._outgoing._have_it_done()
            self._outgoing._tell()

    def end(self) -> None:
        """End the wait."""
        if not self._waiting:
            return
        self._outgoing._clock.lock.acquire()
        try:
            for request in self._waiting:
                request.waits -= 1
        finally:
            self._outgoing._clock.lock.release()
