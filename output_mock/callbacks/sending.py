"""Sends the requests of workflows as the SDK's `fetch` does, and notes them."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from output_mock.callbacks.application import Application, ApplicationError
from output_mock.callbacks.faults import ON_TIME, CallbackFault, Delivery, Way, delayed, dropped
from output_mock.callbacks.journal import Callback, CallbackList
from output_mock.callbacks.no_answer import NotAllowed, NotSent, TookTooLong
from output_mock.callbacks.request import (
    Request,
    Response,
    normal,
    request_of,
    result_of,
    whole_result_of,
    without_secrets,
)
from output_mock.callbacks.scripted import ScriptedAnswer, Trouble
from output_mock.durations import SECOND, Duration
from output_mock.javascript_json import UNDEFINED
from output_mock.masking import masked_text
from output_mock.places import place_outside
from output_mock.real_time import monotonic
from output_mock.sdk.failures import Failure
from output_mock.suggestions import closest

_log = logging.getLogger("output_mock.callbacks")
# How long the SDK waits for an answer, in seconds, and how many redirects it follows.
TIMEOUT = 30
TIMEOUT_WORDS = "The operation was aborted due to timeout"
_REDIRECTS = 20
# How often, in seconds, a waiting thread checks for requests.
_LOOK = 0.2
_CLOSED = "SocketError: other side closed"
_MOVED = (301, 302, 303, 307, 308)
# How many requests are kept, and how many bytes of their bodies.
_MOST, _MOST_BYTES = 1000, 64 * 1024 * 1024


class Sent(NamedTuple):
    """What came of a request, and how long it takes on the fake's clock, in nanoseconds."""

    output: Any
    failure: Failure | None
    takes: int

    def result(self) -> Any:
        """What the step returns. Raises the `Failure` that it fails with."""
        if self.failure is not None:
            raise self.failure
        return self.output


class Sender(NamedTuple):
    """The sender of a request: which attempt of which run, and when on the fake's clock."""

    workflow_id: str
    run_id: str
    attempt: int
    time: int


def _nothing() -> None:
    """There is nothing to send."""


class Callbacks:
    """Where requests of workflows go, and the requests so far.

    Takes the hosts, besides this machine, to which requests may be sent, and the environment whose values
    replace `$NAME` in headers (default: that of the process, when a request is sent).
    """

    def __init__(self, hosts: Collection[str] = (), environ: Mapping[str, str] | None = None) -> None:
        self.hosts: frozenset[str] = frozenset(host.lower() for host in hosts)
        self._environ = os.environ if environ is None else environ
        # Sends what is due.
        self.before_looking: Callable[[], None] = _nothing
        self._applications: list[Application] = []
        self._scripted: list[ScriptedAnswer] = []
        self._faults: list[CallbackFault] = []
        self._sent: dict[int, Callback] = {}
        self._number = 0
        self._bytes = 0
        self._lock = threading.Condition()

    # Where they go

    def application(self, url: str, application: Callable[..., Any]) -> None:
        """Let a WSGI or ASGI application answer all requests to this URL and below it."""
        made = Application(normal(url), application)
        for other in self._applications:
            if other.url == made.url:
                other.close()
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
        """Answer requests to this URL with this; see `ScriptedAnswer`.

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
            place=place_outside(),
        )
        self.add(answer)

    def add(self, answer: ScriptedAnswer) -> None:
        """Add a scripted answer."""
        with self._lock:
            self._scripted.append(answer)

    def remove(self, answer: ScriptedAnswer) -> None:
        """Remove a scripted answer."""
        with self._lock:
            self._scripted = [one for one in self._scripted if one is not answer]

    @property
    def scripted(self) -> list[ScriptedAnswer]:
        """The scripted answers, in the order in which they were written."""
        with self._lock:
            return list(self._scripted)

    # What goes wrong on the way

    def drop_next(self, times: int | None = 1, *, url: str | None = None, lose: Way = "request") -> None:
        """Break the connection of the next requests (None: of all), before the application has the `request`
        or, with `lose="answer"`, when it has done its work.
        """
        self._add_fault(CallbackFault(dropped(lose), url=url, times=times, place=place_outside()))

    def delay_next(
        self, delay: Duration, times: int | None = 1, *, url: str | None = None, late: Way = "request"
    ) -> None:
        """Let the next requests, or with `late="answer"` their answers, come late on the fake's clock.

        Workflows wait 30 s. What comes later still arrives.
        """
        self._add_fault(CallbackFault(delayed(delay, late), url=url, times=times, place=place_outside()))

    def duplicate_next(self, times: int | None = 1, *, url: str | None = None) -> None:
        """Let the next requests come twice, as when a worker stops before it has recorded an answer, and
        sends again.
        """
        self._add_fault(CallbackFault(Delivery(copies=2), url=url, times=times, place=place_outside()))

    def reorder_next(self, times: int | None = 1, *, url: str | None = None) -> None:
        """Let the next request come only after another one, which is sent later, was answered."""
        self._add_fault(
            CallbackFault(Delivery(is_overtaken=True), url=url, times=times, place=place_outside())
        )

    def _add_fault(self, fault: CallbackFault) -> None:
        with self._lock:
            self._faults.append(fault)

    def delivery(self, url: str) -> Delivery:
        """What happens to a request that is sent now."""
        try:
            target = normal(url)
        except ValueError:
            return ON_TIME
        with self._lock:
            fault = next((fault for fault in self._faults if fault.fits(target)), None)
            if fault is None:
                return ON_TIME
            if fault.left is not None:
                fault.left -= 1
            return fault.delivery

    # What there was

    @property
    def sent(self) -> CallbackList:
        """The requests so far, the latest 1,000 of them. Requests that are due now are sent first."""
        self.before_looking()
        return self.so_far

    @property
    def so_far(self) -> CallbackList:
        """The requests that were sent so far; nothing is sent for it."""
        with self._lock:
            return CallbackList(list(self._sent.values()))

    @property
    def unused(self) -> list[tuple[str, str]]:
        """The answers that were never sent, and the faults that affected nothing: words, and a place."""
        with self._lock:
            parts: list[ScriptedAnswer | CallbackFault] = [*self._scripted, *self._faults]
        return [(words, part.place) for part in parts if (words := part.unused) is not None]

    def __call__(self, url: str | None = None, **wanted: Any) -> CallbackList:
        """The requests so far: all, or those to a URL (`method`, `workflow_id`, `status`)."""
        return self.sent(url, **wanted)

    def __len__(self) -> int:
        return len(self.sent)

    def __iter__(self) -> Iterator[Callback]:
        return iter(self.sent)

    def __getitem__(self, index: int) -> Callback:
        return self.sent[index]

    def one(self) -> Callback:
        """The only request. Raises `AssertionError` if there are more, or none."""
        __tracebackhide__ = True
        return self.sent.one()

    def assert_called_back(
        self,
        url: str | None = None,
        payload: Any = UNDEFINED,
        *,
        method: str | None = None,
        workflow_id: str | None = None,
        times: int | None = None,
    ) -> CallbackList:
        """Return the requests to this URL, with exactly this payload and so on.

        Raises `AssertionError`, with the nearest request and what is different about it, if there are not
        `times` of them; without `times`, if there is none.
        """
        __tracebackhide__ = True
        return self.sent.check(url, payload, method=method, workflow_id=workflow_id, times=times)

    def wait(self, enough: Callable[[], bool], seconds: float) -> bool:
        """Wait this long, in real time, until it is `enough`, which is called again for each request.
        Returns whether it is.
        """
        end = monotonic() + seconds
        while not enough():
            with self._lock:
                if not self._lock.wait(max(0.0, min(_LOOK, end - monotonic()))) and monotonic() >= end:
                    break
        return enough()

    def clear(self) -> None:
        """Forget the requests so far."""
        with self._lock:
            self._sent.clear()
            self._bytes = 0

    def clear_faults(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._faults.clear()

    @property
    def fault_count(self) -> int:
        """How many faults there are that may still affect a request."""
        with self._lock:
            return sum(fault.left != 0 for fault in self._faults)

    def close(self) -> None:
        """Shut down the applications."""
        for application in self._applications:
            application.close()

    # Sending

    def is_outside(self, method: str, url: str) -> bool:
        """Whether nothing in this process answers a request."""
        try:
            request = Request(method, normal(url), (), b"")
        except ValueError:
            return False
        scripted = any(answer.fits(request) for answer in self._scripted)
        return not scripted and self._application_for(request) is None

    def send(
        self,
        sender: Sender,
        given: Mapping[str, Any],
        *,
        delivery: Delivery = ON_TIME,
        as_written: bool = False,
    ) -> Sent:
        """Send a request, follow redirects, and say what the step returns or fails with.

        Takes what `sendHttpRequest` is given: `method`, `url`, and maybe `payload`, `headers` and
        `responseOptions`. With `as_written`, headers go out as they stand, and all of the answer is returned,
        as before SDK 0.10.

        May take as long as the application does: call it with no lock held.
        """
        method, url = given["method"], given["url"]
        options = given.get("responseOptions", {})
        try:
            request = request_of(
                method,
                url,
                given.get("payload", UNDEFINED),
                given.get("headers", {}),
                None if as_written else self._environ,
            )
        except Failure as error:
            return Sent(None, error, 0)
        for _ in range(delivery.copies):
            exchange = _Exchange(self, request, f"{method} {url}", delivery)
            number = self._note(sender, request)
            try:
                response = exchange.response()
            finally:
                self._note_outcome(number, exchange)
        if exchange.failure is not None:
            return Sent(None, exchange.failure, exchange.takes)
        assert response is not None
        if not 200 <= response.status < 300:
            failure = Failure(f"{method} {url} {response.status}", name="FatalError")
            return Sent(None, failure, exchange.takes)
        try:
            if as_written:
                output = whole_result_of(response)
            else:
                output = result_of(
                    response,
                    headers=options.get("includeHeaders", False),
                    body=options.get("includeBody", False),
                )
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
            chosen = counted or (fitting[-1] if fitting else None)
            if chosen is not None:
                chosen.answered += 1
            return chosen

    def _application_for(self, request: Request) -> Application | None:
        return next((one for one in self._applications if one.has(request.url)), None)

    def nearest(self, url: str) -> str:
        """The URL with an answer that is most similar to this one, in words."""
        with self._lock:
            known = [one.url for one in self._applications] + [one.url for one in self._scripted]
        near = closest(url, known)
        if near is not None:
            return f"; the nearest is {near}"
        return f"; there is {', '.join(known[:5])}" if known else ""

    def _note(self, sender: Sender, request: Request) -> int:
        with self._lock:
            self._number += 1
            self._sent[self._number] = Callback(
                self._number,
                sender.time,
                sender.workflow_id,
                sender.run_id,
                sender.attempt,
                request.method,
                request.url,
                request.headers,
                request.body,
                hidden=request.hidden,
            )
            self._bytes += len(request.body)
            while len(self._sent) > _MOST or (self._bytes > _MOST_BYTES and len(self._sent) > 1):
                self._bytes -= len(self._sent.pop(next(iter(self._sent))).body)
            return self._number

    def _note_outcome(self, number: int, exchange: _Exchange) -> None:
        with self._lock:
            if number in self._sent:
                self._sent[number] = self._sent[number]._replace(
                    status=exchange.status,
                    problem=exchange.problem,
                    unmatched_reason=exchange.unmatched_reason,
                    under_way=False,
                )
            self._lock.notify_all()


class _Exchange:
    """One request with its redirects."""

    def __init__(self, callbacks: Callbacks, request: Request, words: str, delivery: Delivery) -> None:
        self._callbacks = callbacks
        self._request = request
        self._words = words
        self._delivery = delivery
        self.takes = delivery.answer_late
        self.status = 0
        self.failure: Failure | None = None
        self.problem: str | None = None
        self.unmatched_reason: str | None = None

    def response(self) -> Response | None:
        """The last answer; None when there was none (`failure` says why)."""
        if self._delivery.lost == "request":
            self._fail(_CLOSED, "a fault: the application does not have the request")
            return None
        response = self._followed()
        if response is not None and self._delivery.lost == "answer":
            self._fail(_CLOSED, f"a fault: the application has answered {response.status}")
            return None
        if response is not None and self.takes >= TIMEOUT * SECOND:
            self._too_long()
            return None
        return response

    def _followed(self) -> Response | None:
        request = self._request
        for _ in range(_REDIRECTS + 1):
            response = self._once(request)
            if response is None:
                return None
            self.status = response.status
            try:
                followed = _redirected(request, response)
            except ValueError:
                self._fail("TypeError: Invalid URL")
                return None
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
            # Importing the network code takes some time.
            from output_mock.callbacks.network import send

            return send(request, self._callbacks.hosts, TIMEOUT)
        except ApplicationError as error:
            self.problem = without_secrets(str(error), request.hidden)
            reason = "Internal Server Error"
            return Response(request.url, 500, reason, (("content-type", "text/plain"),), reason.encode())
        except TookTooLong as error:
            self._too_long()
            if str(error):
                self.problem = without_secrets(
                    f"{request.url} was not answered in {TIMEOUT} s of real time. "
                    f"The application was here:\n{error}",
                    request.hidden,
                )
                _log.warning("%s", self.problem)
        except NotAllowed as error:
            host = request.parts.hostname
            self.unmatched_reason = masked_text(
                f"nothing is at {request.url}{self._callbacks.nearest(request.url)}. It was not sent: "
                f"script an answer (mock.callbacks.respond; in YAML, `callbacks:`), give the application "
                f"(mock.application), or let requests to {host} out (callback_hosts; serve --callback-host "
                f"{host}, or OUTPUT_MOCK_CALLBACK_HOST={host})"
            )
            _log.warning("%s", self.unmatched_reason)
            self._fail(str(error))
        except NotSent as error:
            self._fail(str(error), error.hint)
        return None

    def _too_long(self) -> None:
        self.takes = TIMEOUT * SECOND
        self._fail(TIMEOUT_WORDS)

    def _fail(self, words: str, hint: str | None = None) -> None:
        # What only the fake knows goes into the journal only.
        self.status, self.problem = 0, words if hint is None else f"{words} ({hint})"
        self.failure = Failure(f"{self._words} {words}", name="FatalError")


def _redirected(request: Request, response: Response) -> Request | None:
    """The request that follows a redirect, as `fetch` makes it; None if the answer is not a redirect."""
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
