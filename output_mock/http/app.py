"""The WSGI application: the API of one world, and the journal of its calls."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from flask import Flask, Request, Response, request
from werkzeug.datastructures import Headers
from werkzeug.http import http_date

from output_mock.callbacks.limit import stop_if_over
from output_mock.durations import SECOND
from output_mock.engine.errors import Ending
from output_mock.engine.world import World
from output_mock.http.api import Api
from output_mock.http.api_request import ApiRequest
from output_mock.http.faults import Dropped, Fault, Faults
from output_mock.http.journal import Call, Journal
from output_mock.http.journal_entry import call_of
from output_mock.http.older_view import view_of
from output_mock.http.request_counts import RequestCounts
from output_mock.http.request_handler import RequestHandler
from output_mock.http.response import WSGIResponse, status_line
from output_mock.http.server_hooks import GIVE_UP
from output_mock.patience import TimedOut

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_FOLDER = str(Path(__file__).parents[1])


@functools.lru_cache(maxsize=1)
def _http_date(seconds: int) -> str:
    return http_date(seconds)


class _AsItIs(Response):
    """A response whose headers are sent as they are. Werkzeug would write a `Location` its own way, and fail
    if that is no URL.
    """

    def get_wsgi_headers(self, environ: WSGIEnvironment) -> Headers:
        return Headers(self.headers)


class OutputApp(Flask):
    """The API of one world.

    Takes the world, the token that requests must bring (None: none), and how many calls to keep.
    """

    def __init__(
        self,
        world: World,
        *,
        auth_token: str | None = None,
        kept_calls: int = 10_000,
    ) -> None:
        # With the path given, Flask need not search for it: every test has its own application.
        super().__init__("output_mock", static_folder=None, root_path=_FOLDER, instance_path=_FOLDER)
        # Errors that end a connection must reach the server.
        self.config["PROPAGATE_EXCEPTIONS"] = True
        self.api: Api = Api(world, view=view_of(world.deployment), auth_token=auth_token)
        self.faults: Faults = self.api.faults
        self.calls: Journal = Journal(kept_calls)
        self.counts: RequestCounts = RequestCounts()
        # Whether answers say how long they took.
        self.timing = False
        # About how many requests there were, to find out later whether there were more.
        self.asked: int = 0
        self.on_answer: Callable[[Call], None] | None = None
        # The number of the last call.
        self._number = 0
        self._numbering = threading.Lock()
        self._handler = RequestHandler(self.api)

    @property
    def world(self) -> World:
        """The world of the requests; a different one after a snapshot was restored."""
        return self.api.world

    @world.setter
    def world(self, world: World) -> None:
        self.api.world = world

    def create_url_adapter(self, request: Request | None) -> None:
        """Routing is the real server's (`routes.Router`), not Werkzeug's."""

    def dispatch_request(self, *_: Any) -> Response:
        """Answer the current request."""
        answered = self.answer(request.environ)
        body = answered.body if answered.stream is None else answered.stream
        response = _AsItIs(body, status_line(answered.status), direct_passthrough=True)
        response.headers = Headers(answered.wsgi_headers())
        return response

    def answer(self, environ: WSGIEnvironment) -> WSGIResponse:
        """Answer a request.

        Works without Flask's contexts, which are not needed here and take as long as everything else. Raises
        `Dropped` and `TimedOut` if a fault prevents an answer.
        """
        stop_if_over()
        began = perf_counter()
        self.asked += 1
        asked = ApiRequest(environ, self.api)
        try:
            with self.api.under_way.answering(environ.get(GIVE_UP)):
                response = self._handler.answer(asked)
        except (Dropped, TimedOut):
            asked.lost = True
            self._record(asked, 0, began)
            raise
        self._record(asked, response.status, began)
        response.headers["Date"] = _http_date(self.world.clock.nanoseconds() // SECOND)
        if self.timing:
            response.headers["Server-Timing"] = f"fake;dur={(perf_counter() - began) * 1000:.2f}"
        return response

    def why_out_of_reach(self, fault: Fault) -> str | None:
        """Why a fault can affect no call, whatever clients do: this version of the API lacks its route. None
        where it can.
        """
        route = fault.where.get("route")
        if route is None or any(one.name == route for one in self.api.view.operations):
            return None
        version = self.world.deployment.api
        return (
            f"the fault {str(fault)!r} affects no call: API {version} has no route {route!r} ({fault.place})"
        )

    def wake_all_waiters(self, ending: Ending = Ending.STOPPED) -> None:
        """Wake all requests that wait for something of this fake; the fake itself continues."""
        self.world.wake_all_waiters(ending)
        self.calls.wake_all_waiters(ending)

    def give_up(self, thread_id: int, ending: Ending) -> None:
        """Answer the request whose thread is stuck in a script, if the server can do that from another
        thread.
        """
        self.api.under_way.give_up(thread_id, ending.error())

    def request_ids_state(self) -> Any:
        """The state of the source of request ids and call numbers; see `set_request_ids_state`."""
        return self.api.request_ids.random.getstate(), self._number

    def set_request_ids_state(self, state: Any) -> None:
        """Continue with request ids and call numbers from this state."""
        random, number = state
        self.api.request_ids.random.setstate(random)
        self._number = number

    def busy(self) -> AbstractContextManager[None]:
        """Count a request as being answered while the block runs; see `quiet`."""
        return self.api.under_way.busy()

    def waiting_requests(self) -> int:
        """How many requests wait for something to happen that has not happened yet."""
        return self.world.waiting_requests()

    @property
    def answering(self) -> bool:
        """Whether a request is being answered at the moment."""
        return len(self.api.under_way) > 0

    @property
    def quiet(self) -> bool:
        """Whether all requests that are being answered wait for something to happen."""
        return len(self.api.under_way) <= self.world.waiting_requests()

    def _record(self, asked: ApiRequest, status: int, began: float) -> None:
        route = None if asked.route is None else asked.route.operation.name
        unmatched = asked.unmatched_reason is not None
        self.counts.add(route, status, perf_counter() - began, unmatched=unmatched)
        if not self.calls.most and self.on_answer is None:
            return
        with self._numbering:
            self._number = number = self._number + 1
        call = call_of(asked, number)
        self.calls.add(call)
        if self.on_answer is not None:
            self.on_answer(call)
