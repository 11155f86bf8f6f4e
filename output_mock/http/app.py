"""The WSGI application: the API of one world, its journal and its faults."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from threading import get_ident
from time import perf_counter
from typing import Any

from flask import Flask, Request, Response, request
from werkzeug.http import http_date

from output_mock.durations import SECOND
from output_mock.engine.errors import Ending
from output_mock.engine.ids import Ids
from output_mock.engine.world import World
from output_mock.http.answers import error_answer, status_line
from output_mock.http.exchange import GIVE_UP, Exchange
from output_mock.http.faults import Dropped, Faults, TimedOut
from output_mock.http.journal import Call, Journal
from output_mock.http.renderings import Renderings

# Whether this thread, or the task that has called it, is one of those that `busy` counts.
_counted: ContextVar[bool] = ContextVar("counted", default=False)
_FOLDER = str(Path(__file__).parents[1])


@functools.lru_cache(maxsize=1)
def _http_date(seconds: int) -> str:
    return http_date(seconds)


class OutputApp(Flask):
    """The API of one world.

    Takes the world, the token that requests must bring (None: none), and how many calls to keep.
    """

    def __init__(self, world: World, *, auth_token: str | None = None, kept_calls: int = 10_000) -> None:
        # Told where it lies, Flask need not look for it: every test has an application of its own.
        super().__init__("output_mock", static_folder=None, root_path=_FOLDER, instance_path=_FOLDER)
        # What ends a connection has to reach the server.
        self.config["PROPAGATE_EXCEPTIONS"] = True
        self.world = world
        self.auth_token = auth_token
        # The fingerprints of tokens that are as good as that one: those that lead to this world.
        self.tokens: frozenset[bytes] = frozenset()
        self.faults: Faults = Faults(world.seed)
        self.calls: Journal = Journal(kept_calls)
        self.renderings: Renderings = Renderings()
        # The origins of the pages that may read answers; None: every page, as on the real server.
        self.cors_origins: frozenset[str] | None = None
        # Whether answers say how long they took.
        self.timing = False
        # How many requests it was asked, about: whoever has seen the number knows whether there were more.
        self.asked: int = 0
        # The number of the last call.
        self._number = 0
        self._numbering = threading.Lock()
        # What is being answered at the moment, and what is on its way to be.
        self._under_way: set[object] = set()
        # What gives up the request that a thread answers, by the thread's number.
        self._given_up_by: dict[int, Callable[[Response], object]] = {}
        self.on_answer: Callable[[Call], None] | None = None
        # A source of its own, so that looking at a run does not change the ids of the next one.
        self._request_ids = Ids(world.seed + 1)

    def create_url_adapter(self, request: Request | None) -> None:
        """Routing is the real server's (`routes.match`), not Werkzeug's."""

    def dispatch_request(self, *_: Any) -> Response:
        """Answer the current request."""
        return self.answer(request._get_current_object())  # type: ignore[attr-defined]

    def answer(self, current: Request) -> Response:
        """Answer a request. Also without Flask's contexts, which nothing here needs and which take as long as
        all the rest.

        Raises `Dropped` and `TimedOut` when a fault has it that there is no answer.
        """
        began = perf_counter() if self.timing else 0.0
        self.asked += 1
        exchange = Exchange(self, current)
        try:
            with self.busy(), self._given_up_with(current.environ.get(GIVE_UP)):
                answer = exchange.answer()
        except (Dropped, TimedOut):
            self._record(exchange, lost=True)
            raise
        self._record(exchange, lost=exchange.lost)
        answer.status = status_line(answer.status_code)
        answer.headers["Date"] = _http_date(self.world.clock.nanoseconds() // SECOND)
        if began:
            answer.headers["Server-Timing"] = f"fake;dur={(perf_counter() - began) * 1000:.2f}"
        return answer

    def wake_all_waiters(self, ending: Ending = Ending.STOPPED) -> None:
        """Whoever waits for something of this fake stops waiting; the fake itself goes on."""
        self.world.wake_all_waiters(ending)
        self.calls.wake_all_waiters(ending)

    def give_up(self, thread_id: int, ending: Ending) -> None:
        """Answer the request whose thread does not come back from a script, if the server can do that from
        another thread.
        """
        function = self._given_up_by.get(thread_id)
        if function is not None:
            answer = error_answer(ending.error())
            answer.status = status_line(answer.status_code)
            function(answer)

    def request_ids_state(self) -> Any:
        """Where the source of request ids and of the calls' numbers is; see `set_request_ids_state`."""
        return self._request_ids.random.getstate(), self._number

    def set_request_ids_state(self, state: Any) -> None:
        """Go on with request ids and numbers from where they were."""
        random, number = state
        self._request_ids.random.setstate(random)
        self._number = number

    @contextmanager
    def busy(self) -> Iterator[None]:
        """A request is being answered while the block runs; see `quiet`.

        Who hands it on to another thread begins the block before, and it is still one request there.
        """
        if _counted.get():
            yield
            return
        one = object()
        self._under_way.add(one)
        counted = _counted.set(True)
        try:
            yield
        finally:
            _counted.reset(counted)
            self._under_way.discard(one)

    def waiting_requests(self) -> int:
        """How many requests wait for something to happen that has not happened yet."""
        return self.world.waiting_requests()

    @property
    def answering(self) -> bool:
        """Whether a request is being answered at the moment."""
        return bool(self._under_way)

    @property
    def quiet(self) -> bool:
        """Whether all requests that are being answered wait for something to happen."""
        return len(self._under_way) <= self.world.waiting_requests()

    @contextmanager
    def _given_up_with(self, function: Callable[[Response], object] | None) -> Iterator[None]:
        """While the block runs, this function gives up the request that this thread answers."""
        if function is None:
            yield
            return
        thread_id = get_ident()
        self._given_up_by[thread_id] = function
        try:
            yield
        finally:
            self._given_up_by.pop(thread_id, None)

    def while_busy(
        self,
        frames: Generator[bytes, None, None],
        give_up: Callable[[Response], object] | None = None,
    ) -> Iterator[bytes]:
        """The frames of a stream, whose client may take its time between them."""
        try:
            while True:
                with self.busy(), self._given_up_with(give_up):
                    frame = next(frames, None)
                if frame is None:
                    return
                yield frame
        finally:
            frames.close()

    def next_request_id(self) -> str:
        """A new request id; on a virtual clock the same ones every time."""
        return self._request_ids.uuid4()

    def _record(self, exchange: Exchange, *, lost: bool = False) -> None:
        if not self.calls.most and self.on_answer is None:
            return
        with self._numbering:
            self._number = number = self._number + 1
        call = exchange.as_call(number, lost=lost)
        self.calls.add(call)
        if self.on_answer is not None:
            self.on_answer(call)
