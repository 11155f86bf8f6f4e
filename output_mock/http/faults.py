"""What goes wrong between a client and the API: error answers, delays, dropped connections, cut streams.

A fault strikes some of the calls that fit it, and is gone. The plugin's `fail_next` and its like make them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, Literal

from flask import Response

from output_mock.durations import Duration, nanoseconds
from output_mock.engine import errors
from output_mock.http import answers
from output_mock.http.journal import check_route

Loss = Literal["request", "answer"]
# What the real server says with these; other error statuses come from proxies in front of it.
_REAL: dict[int, errors.OutputError] = {
    404: errors.WorkflowNotFoundError("workflow not found"),
    408: errors.WorkflowExecutionTimedOutError(""),
    424: errors.WorkflowNotCompletedError(),
    500: errors.OutputError("Internal Server Error"),
    503: errors.CatalogNotAvailableError(),
}


class Dropped(ConnectionResetError):
    """The connection ends here, whatever was to come. Servers and in-process clients know what to do."""


class TimedOut(TimeoutError):
    """The client has stopped waiting before the answer was there."""


class Fault:
    """Something that goes wrong with `times` calls, with those only that are of this method, route, …

    Takes the `status` (with `body`: any JSON or text, and `headers`) to answer with instead of doing what was
    asked for, a `delay` of the answer on the fake's clock, what is lost when the connection is dropped
    (`drop`: the request, or only its answer), and after how many events a history stream is cut
    (`cut_after`). Raises `ValueError` for what makes no sense.
    """

    def __init__(
        self,
        *,
        times: int = 1,
        status: int | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        delay: Duration = 0,
        drop: Loss | None = None,
        cut_after: int | None = None,
        method: str | None = None,
        route: str | None = None,
        workflow: str | None = None,
        workflow_id: str | None = None,
    ) -> None:
        if times < 1:
            raise ValueError(f"a fault strikes once or more often, not {times} times")
        if status is not None and not 100 < status < 600:
            raise ValueError(f"{status} is no HTTP status")
        if drop not in (None, "request", "answer"):
            raise ValueError(f"what is lost is the 'request' or the 'answer', not {drop!r}")
        if cut_after is not None and cut_after < 0:
            raise ValueError(f"a stream is cut after 0 events or more, not {cut_after}")
        check_route(route)
        self.times = times
        # How many calls it still waits for.
        self.left = times
        self.status = status
        self.body = body
        self.headers = dict(headers or {})
        self.delay = nanoseconds(delay)
        self.drop = drop
        self.cut_after = cut_after
        self._where = {
            name: value
            for name, value in {
                "method": None if method is None else method.upper(),
                "route": route,
                "workflow": workflow,
                "workflow_id": workflow_id,
            }.items()
            if value is not None
        }

    def fits(self, call: Mapping[str, str | None]) -> bool:
        """Whether it strikes a call of this method, route, workflow and workflow id."""
        return all(call[name] == value for name, value in self._where.items())

    def answer(self) -> Response:
        """The answer that the client gets instead. Only for a fault that has a status."""
        status = self.status
        assert status is not None
        body = self.body
        real = _REAL.get(status)
        if isinstance(body, str):
            answer = Response(body, status, content_type=answers.TEXT_TYPE)
        elif body is not None:
            answer = answers.json_answer(body, status)
        elif real is not None:
            answer = answers.error_answer(real)
        else:
            phrase = HTTPStatus(status).phrase if status in list(HTTPStatus) else str(status)
            answer = Response(phrase, status, content_type=answers.TEXT_TYPE)
        answer.headers.update(self.headers)
        return answer

    def __repr__(self) -> str:
        what = [
            *(() if self.status is None else (f"answer {self.status}",)),
            *(() if not self.delay else (f"delay by {self.delay / 1e9:g} s",)),
            *(() if self.drop is None else (f"drop the {self.drop}",)),
            *(() if self.cut_after is None else (f"cut the stream after {self.cut_after} events",)),
        ]
        where = ", ".join(f"{name} {value}" for name, value in self._where.items())
        return f"{' and '.join(what)}{f' for {where}' if where else ''} ({self.left} of {self.times} to come)"


class Faults:
    """The faults that are still to strike, in the order in which they were asked for."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> Fault:
        """Let a fault strike, after those that fit the same call and were there before it."""
        with self._lock:
            self._waiting.append(fault)
        return fault

    def take(self, call: Mapping[str, str | None]) -> Fault | None:
        """The fault that strikes this call; None when none does."""
        with self._lock:
            for fault in self._waiting:
                if fault.fits(call):
                    fault.left -= 1
                    if not fault.left:
                        self._waiting.remove(fault)
                    return fault
        return None

    def clear(self) -> None:
        """Let nothing go wrong any more."""
        with self._lock:
            self._waiting.clear()

    def __iter__(self) -> Iterator[Fault]:
        return iter(list(self._waiting))

    def __bool__(self) -> bool:
        return bool(self._waiting)
