"""Sends the requests of workflows as the SDK's `fetch` does, and notes them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

from output_mock.callbacks.application import Application, ApplicationError, TookTooLong
from output_mock.callbacks.journal import Callback, CallbackList
from output_mock.callbacks.network import Network, NotAllowed, NotSent
from output_mock.callbacks.request import Request, Response, normal, request_of, result_of
from output_mock.callbacks.scripted import ScriptedAnswer, Trouble
from output_mock.durations import SECOND, Duration
from output_mock.javascript_json import UNDEFINED
from output_mock.sdk.failures import Failure
from output_mock.suggestions import closest

# How long the SDK waits for an answer, in seconds, and how many redirects it follows.
TIMEOUT = 30
_REDIRECTS = 20
_MOVED = (301, 302, 303, 307, 308)
# How many requests are kept, and how many bytes of their bodies.
_MOST, _MOST_BYTES = 1000, 64 * 1024 * 1024


class Sent(NamedTuple):
    """What came of a request, and how long it takes on the fake's clock, in nanoseconds."""

    output: Any
    failure: Failure | None
    takes: int


class Sender(NamedTuple):
    """Who sends a request: which attempt of which run, and when on the fake's clock."""

    workflow_id: str
    run_id: str
    attempt: int
    time: int


class Callbacks:
    """Where requests of workflows go, and those that there were.

    Takes the hosts, besides this machine, to which requests may be sent, and the environment whose values
    stand in for `$NAME` in headers (default: that of the process, when a request is sent).
    """

    def __init__(self, hosts: Collection[str] = (), environ: Mapping[str, str] | None = None) -> None:
        self._network = Network(hosts)
        self._environ = os.environ if environ is None else environ
        self._applications: list[Application] = []
        self._scripted: list[ScriptedAnswer] = []
        self._sent: list[Callback] = []
        self._number = 0
        self._bytes = 0
        self._lock = threading.Lock()

    # Where they go

    def application(self, url: str, application: Callable[..., Any]) -> None:
        """Have a WSGI or ASGI application answer all requests to this URL and below it."""
        made = Application(normal(url), application)
        with self._lock:
            self._applications = [*(one for one in self._applications if one.url != made.url), made]
            self._applications.sort(key=lambda one: -len(one.url))

    def respond(
        self,
        url: str,
        *,
        method: str | None = None,
        status: int = 200,
        json: Any = UNDEFINED,
        body: str | bytes = b"",
        headers: Mapping[str, str] | None = None,
        times: int | None = None,
        after: Duration = 0,
        fails: Trouble | None = None,
    ) -> None:
        """Answer requests to this URL so; see `ScriptedAnswer`.

        Answers that are given a number of times come one after another, in the order in which they were
        scripted; then the last one that has no number. They come before an application's.
        """
        answer = ScriptedAnswer(
            url,
            method=method,
            status=status,
            json=json,
            body=body,
            headers=headers,
            times=times,
            after=after,
            fails=fails,
        )
        with self._lock:
            self._scripted.append(answer)

    # What there was

    @property
    def sent(self) -> CallbackList:
        """The requests that there were, the latest 1,000 of them."""
        with self._lock:
            return CallbackList(self._sent)

    def __call__(self, url: str | None = None, **wanted: Any) -> CallbackList:
        """The requests that there were: all, or those to a URL (`method`, `workflow_id`, `status`)."""
        return self.sent(url, **wanted)

    def __len__(self) -> int:
        return len(self.sent)

    def one(self) -> Callback:
        """The only request. Raises `AssertionError` when there are more, or none."""
        return self.sent.one()

    def close(self) -> None:
        """Have applications shut down."""
        for application in self._applications:
            application.close()

    # Sending

    def send(
        self,
        sender: Sender,
        *,
        method: str,
        url: str,
        payload: Any = UNDEFINED,
        headers: Mapping[str, str] | None = None,
        include_headers: bool = False,
        include_body: bool = False,
    ) -> Sent:
        """Send a request, follow redirects, and say what the activity returns or fails with.

        May take as long as the application does: call it with no lock held.
        """
        try:
            request = request_of(method, url, payload, headers or {}, self._environ)
        except Failure as error:
            return Sent(None, error, 0)
        exchange = _Exchange(self, request, f"{method} {url}")
        response = exchange.response()
        self._note(sender, request, exchange)
        if exchange.failure is not None:
            return Sent(None, exchange.failure, exchange.takes)
        assert response is not None
        if not 200 <= response.status < 300:
            failure = Failure(f"{method} {url} {response.status}", name="FatalError")
            return Sent(None, failure, exchange.takes)
        try:
            output = result_of(response, headers=include_headers, body=include_body)
        except Failure as error:
            return Sent(None, error, exchange.takes)
        return Sent(output, None, exchange.takes)

    def _scripted_for(self, request: Request) -> ScriptedAnswer | None:
        with self._lock:
            fitting = [one for one in self._scripted if one.fits(request)]
            counted = next((one for one in fitting if one.left is not None), None)
            if counted is not None:
                assert counted.left is not None
                counted.left -= 1
                return counted
            return fitting[-1] if fitting else None

    def _application_for(self, request: Request) -> Application | None:
        return next((one for one in self._applications if one.has(request.url)), None)

    def nearest(self, url: str) -> str:
        """Where somebody would have answered that is most like this URL, in words."""
        with self._lock:
            known = [one.url for one in self._applications] + [one.url for one in self._scripted]
        near = closest(url, known)
        if near is not None:
            return f"; the nearest is {near}"
        return f"; there is {', '.join(known[:5])}" if known else ""

    def _note(self, sender: Sender, request: Request, exchange: _Exchange) -> None:
        with self._lock:
            self._number += 1
            self._sent.append(
                Callback(
                    self._number,
                    sender.time,
                    sender.workflow_id,
                    sender.run_id,
                    sender.attempt,
                    request.method,
                    request.url,
                    request.headers,
                    request.body,
                    exchange.status,
                    exchange.problem,
                    exchange.unmatched_reason,
                )
            )
            self._bytes += len(request.body)
            while len(self._sent) > _MOST or (self._bytes > _MOST_BYTES and len(self._sent) > 1):
                self._bytes -= len(self._sent.pop(0).body)


class _Exchange:
    """One request with its redirects."""

    def __init__(self, callbacks: Callbacks, request: Request, words: str) -> None:
        self._callbacks = callbacks
        self._request = request
        self._words = words
        self.takes = 0
        self.status = 0
        self.failure: Failure | None = None
        self.problem: str | None = None
        self.unmatched_reason: str | None = None

    def response(self) -> Response | None:
        """The last answer; None when there was none (`failure` says why)."""
        request = self._request
        for _ in range(_REDIRECTS + 1):
            response = self._once(request)
            if response is None:
                return None
            self.status = response.status
            followed = _redirected(request, response)
            if followed is None:
                return response
            request = followed
        self._fail("Error: redirect count exceeded")
        return None

    def _once(self, request: Request) -> Response | None:
        scripted = self._callbacks._scripted_for(request)
        if scripted is not None:
            self.takes += scripted.after
            if scripted.fails == "timeout" or self.takes >= TIMEOUT * SECOND:
                self._too_long()
                return None
            if scripted.fails is not None:
                self._fail(scripted.trouble(request))
                return None
            return scripted.response(request)
        application = self._callbacks._application_for(request)
        try:
            if application is not None:
                return application.send(request, TIMEOUT)
            return self._callbacks._network.send(request, TIMEOUT)
        except ApplicationError as error:
            self.problem = str(error)
            reason = "Internal Server Error"
            return Response(request.url, 500, reason, (("content-type", "text/plain"),), reason.encode())
        except TookTooLong:
            self._too_long()
        except NotAllowed as error:
            host = request.parts.hostname
            self.unmatched_reason = (
                f"nothing is at {request.url}{self._callbacks.nearest(request.url)}. It was not sent: "
                f"script an answer (mock.callbacks.respond), give the application "
                f"(mock.application), or let requests to {host} out (--callback-host {host})"
            )
            self._fail(str(error))
        except NotSent as error:
            self._fail(str(error))
        return None

    def _too_long(self) -> None:
        self.takes = TIMEOUT * SECOND
        self._fail("The operation was aborted due to timeout")

    def _fail(self, why: str) -> None:
        self.status, self.problem = 0, why
        self.failure = Failure(f"{self._words} {why}", name="FatalError")


def _redirected(request: Request, response: Response) -> Request | None:
    """The request that follows a redirect, as `fetch` has it; None when the answer is none."""
    location = next((value for name, value in response.headers if name == "location"), None)
    if response.status not in _MOVED or location is None:
        return None
    url = normal(location, request.url)
    method, body, headers = request.method, request.body, request.headers
    to_get = response.status in (301, 302) and method == "POST"
    if to_get or (response.status == 303 and method not in ("GET", "HEAD")):
        method, body = "GET", b""
        headers = _without(
            headers, ("content-type", "content-length", "content-encoding", "content-language")
        )
    target = Request(method, url, headers, body)
    if (target.parts.scheme, target.parts.netloc) != (request.parts.scheme, request.parts.netloc):
        target = target._replace(headers=_without(target.headers, ("authorization", "cookie", "host")))
    return target


def _without(headers: Sequence[tuple[str, str]], names: Collection[str]) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in headers if name not in names)
