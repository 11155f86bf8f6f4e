"""When the requests of a recording reached the server, as far as the answers show it.

The time of a start is in its run id (a UUID of version 7); the time of signals, updates, stops and
terminations is that of their event in a history.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from output_mock.recording.variables import at

_MESSAGE = re.compile(r"/workflow/[^/]+(?:/runs/[^/]+)?/(signal|update|stop|terminate)(?:/([^/]+))?")


class Trace(NamedTuple):
    """The event of a request in a history: its kind, and which run it belongs to."""

    kind: str
    name: str | None


class Exchange(NamedTuple):
    """A request's path, and the status and JSON of its answer, not masked."""

    path: str
    status: int
    json: Any


def moments(exchanges: Sequence[Exchange | None]) -> list[int | None]:
    """For each exchange the time at which its request was carried out, in milliseconds since 1970.

    None if it is unknown, and for exchanges that are None.
    """
    left = _left([exchange for exchange in exchanges if exchange is not None])
    return [None if exchange is None else _moment(exchange, left) for exchange in exchanges]


def _moment(exchange: Exchange, left: dict[Trace, list[int]]) -> int | None:
    if exchange.status != 200:
        return None
    if exchange.path in ("/workflow/start", "/workflow/run"):
        run_id = exchange.json.get("runId") if isinstance(exchange.json, dict) else None
        return _in_run_id(run_id) if isinstance(run_id, str) else None
    found = _MESSAGE.fullmatch(exchange.path)
    times = [] if found is None else left.get(Trace(*found.groups()), [])
    return times.pop(0) if times else None


def _in_run_id(run_id: str) -> int | None:
    try:
        number = UUID(run_id)
    except ValueError:
        return None
    return number.int >> 80 if number.version == 7 else None


def _left(exchanges: Sequence[Exchange]) -> dict[Trace, list[int]]:
    """The times of events that requests have caused, oldest first."""
    found = {(trace, when) for exchange in exchanges for trace, when in _events(exchange.json)}
    left: dict[Trace, list[int]] = {}
    for trace, when in sorted(found, key=lambda pair: pair[1]):
        left.setdefault(trace, []).append(when)
    return left


def _events(body: Any) -> Iterator[tuple[Trace, int]]:
    events = body.get("events") if isinstance(body, dict) else None
    for event in events if isinstance(events, list) else ():
        trace = _trace(event) if isinstance(event, dict) else None
        when = _milliseconds(event.get("eventTime")) if trace is not None else None
        if trace is not None and when is not None:
            yield trace, when


def _milliseconds(time: Any) -> int | None:
    try:
        return round(datetime.fromisoformat(str(time).replace("Z", "+00:00")).timestamp() * 1000)
    except ValueError:
        return None


def _trace(event: dict[str, Any]) -> Trace | None:
    kind = event.get("eventTypeName")
    if kind == "WORKFLOW_EXECUTION_SIGNALED":
        name = at(event, "workflowExecutionSignaledEventAttributes.signalName")
        return Trace("signal", name) if isinstance(name, str) else None
    if kind == "WORKFLOW_EXECUTION_UPDATE_ACCEPTED":
        name = at(event, "workflowExecutionUpdateAcceptedEventAttributes.acceptedRequest.input.name")
        # A reset run has accepted what came to the earlier run.
        return Trace("update", name) if isinstance(name, str) else None
    if kind == "WORKFLOW_EXECUTION_CANCEL_REQUESTED":
        return Trace("stop", None)
    if kind == "WORKFLOW_EXECUTION_TERMINATED":
        return Trace("terminate", None)
    return None
