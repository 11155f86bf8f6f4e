"""Answers to requests of workflows that a test scripts: `mock.callbacks.respond(URL, status=500)`."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Literal

from output_mock.callbacks.faults import is_at
from output_mock.callbacks.request import Headers, Request, Response, normal
from output_mock.durations import Duration, nanoseconds
from output_mock.javascript_json import UNDEFINED, to_bytes
from output_mock.sdk.http_requests import METHODS

Trouble = Literal["refused", "reset", "timeout", "unknown_host"]
_TROUBLES: dict[str, str] = {
    "refused": "Error: connect ECONNREFUSED 127.0.0.1:{port}",
    "reset": "SocketError: other side closed",
    "unknown_host": "Error: getaddrinfo ENOTFOUND {host}",
}
TROUBLES: tuple[str, ...] = (*_TROUBLES, "timeout")


class ScriptedAnswer:
    """An answer for one URL, `times` times, or always.

    Takes the `url` (one that ends with `*` stands for all that begin so; a query counts only when it is
    written), the `method` (any, when none is given), the `status`, the body (`json`, or `body` as text or
    bytes), `headers`, how long it takes on the fake's clock (`after`), and `fails` for no answer at all:
    `"refused"`, `"reset"`, `"unknown_host"`, or `"timeout"`. Raises `ValueError` for what makes no sense.
    """

    def __init__(
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
        place: str = "",
    ) -> None:
        if method is not None and method not in METHODS:
            raise ValueError(f"workflows send {', '.join(METHODS)}, not {method!r}")
        if isinstance(status, bool) or not isinstance(status, int) or not 200 <= status < 600:
            raise ValueError(f"{status!r} is not the status of an answer")
        if times is not None and (isinstance(times, bool) or not isinstance(times, int) or times < 1):
            raise ValueError(f"times must be a number of requests, 1 or more, not {times!r}")
        if fails is not None and fails not in TROUBLES:
            raise ValueError(f"fails must be one of {', '.join(TROUBLES)}, not {fails!r}")
        if json is not UNDEFINED and body:
            raise ValueError("an answer can have json or body, not both")
        self.url: str = normal(url)
        self.method = method
        self.status = status
        self.left = times
        # Where it is written.
        self.place = place
        # How many requests it has answered.
        self.answered: int = 0
        self.fails: Trouble | None = fails
        self.after: int = nanoseconds(after)
        self._headers = {name.lower(): value for name, value in (headers or {}).items()}
        self._body = body.encode() if isinstance(body, str) else body
        if json is not UNDEFINED:
            self._body = to_bytes(json)
            self._headers.setdefault("content-type", "application/json")
        elif isinstance(body, str) and body:
            self._headers.setdefault("content-type", "text/plain; charset=utf-8")

    @property
    def unused(self) -> str | None:
        """That it has not answered all that it was to answer, in words; None when it has."""
        if self.left == 0 or (self.left is None and self.answered):
            return None
        what = self.fails or str(self.status)
        if not self.answered:
            return f"the answer {what} to {self.url} was never sent"
        times = self.answered + (self.left or 0)
        return f"the answer {what} to {self.url} was sent {self.answered} of {times} times"

    def copy(self) -> ScriptedAnswer:
        """A copy that has not answered anything yet."""
        made = copy.copy(self)
        made.answered = 0
        return made

    def fits(self, request: Request) -> bool:
        """Whether it answers this request, and has an answer left."""
        if self.left == 0 or (self.method is not None and self.method != request.method):
            return False
        return is_at(request.url, self.url)

    def response(self, request: Request) -> Response:
        """The answer."""
        reason = HTTPStatus(self.status).phrase if self.status in set(HTTPStatus) else ""
        headers: Headers = tuple(self._headers.items())
        return Response(request.url, self.status, reason, headers, self._body)

    def trouble(self, request: Request) -> str:
        """Why there is no answer, in the words of Node's `fetch`."""
        assert self.fails is not None
        return _TROUBLES[self.fails].format(host=request.parts.hostname, port=request.port)
