"""When the requests of a recording reached the real server, as far as the recording tells."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

MILLISECOND = 1_000_000
_MESSAGE = re.compile(r"/workflow/[^/]+(?:/runs/[^/]+)?/(signal|update|stop|terminate)(?:/([^/]+))?")


class Trace(NamedTuple):
    """What a request has left in a history: the kind of the event, and whose it is."""

    kind: str
    name: str | None


def moments(recording: Mapping[str, Any]) -> list[int | None]:
    """For each exchange the time at which its request was carried out, in nanoseconds since 1970.

    A start has the time that is in its run id (a UUID of version 7); signals, updates, stops and terminations
    have the time of the event that they have left. None for what has left nothing, and for all that is no
    request.
    """
    left = _left(recording["exchanges"])
    return [_moment(exchange, left) for exchange in recording["exchanges"]]


def _moment(exchange: Mapping[str, Any], left: dict[Trace, list[int]]) -> int | None:
    answer = exchange.get("response")
    if answer is None or answer["status"] != 200:
        return None
    path = exchange["request"]["path"]
    if path in ("/workflow/start", "/workflow/run") and "json" in answer:
        return _in_run_id(answer["json"]["runId"])
    found = _MESSAGE.fullmatch(path)
    times = [] if found is None else left.get(Trace(*found.groups()), [])
    return times.pop(0) if times else None


def _in_run_id(run_id: str) -> int | None:
    number = UUID(run_id)
    return (number.int >> 80) * MILLISECOND if number.version == 7 else None


def _left(exchanges: list[Mapping[str, Any]]) -> dict[Trace, list[int]]:
    """The times at which requests have left something in a history, oldest first."""
    found = {(trace, when) for exchange in exchanges for trace, when in _events(exchange)}
    left: dict[Trace, list[int]] = {}
    for trace, when in sorted(found, key=lambda one: one[1]):
        left.setdefault(trace, []).append(when)
    return left


def _events(exchange: Mapping[str, Any]) -> Iterator[tuple[Trace, int]]:
    body = exchange.get("response", {}).get("json")
    for event in body.get("events", ()) if isinstance(body, dict) else ():
        trace = _trace(event)
        if trace is not None:
            when = datetime.fromisoformat(event["eventTime"].replace("Z", "+00:00"))
            yield trace, round(when.timestamp() * 1000) * MILLISECOND


def _trace(event: Mapping[str, Any]) -> Trace | None:
    kind = event["eventTypeName"]
    if kind == "WORKFLOW_EXECUTION_SIGNALED":
        return Trace("signal", event["workflowExecutionSignaledEventAttributes"]["signalName"])
    if kind == "WORKFLOW_EXECUTION_UPDATE_ACCEPTED":
        accepted = event["workflowExecutionUpdateAcceptedEventAttributes"].get("acceptedRequest")
        # A run that was reset has accepted what came to the run before it.
        return None if accepted is None else Trace("update", accepted["input"]["name"])
    if kind == "WORKFLOW_EXECUTION_CANCEL_REQUESTED":
        return Trace("stop", None)
    if kind == "WORKFLOW_EXECUTION_TERMINATED":
        return Trace("terminate", None)
    return None
