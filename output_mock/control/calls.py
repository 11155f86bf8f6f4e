"""The journal of a world: list its calls, and wait for some."""

from __future__ import annotations

from typing import Any

from output_mock.contract.iso_time import iso
from output_mock.contract.operations import NAMES
from output_mock.contract.schemas import DURATION, JsonSchema, flag, many, number, or_null, ref, shape, text
from output_mock.control.names import LONGEST_ID
from output_mock.control.operation import (
    ANYTHING,
    TIME,
    ControlOperation,
    ControlRequest,
    ControlResponse,
    duration,
)
from output_mock.control.problems import InvalidRequest, WaitedInVain
from output_mock.durations import SECOND, format_duration
from output_mock.http.journal import Call, Calls, listing
from output_mock.javascript_json import parse

# How long, in seconds, one request waits for calls.
LONGEST_WAIT = 60

SCHEMAS = {
    "Call": shape(
        {
            "number": number("Its number, from 1."),
            "time": TIME,
            "method": text(),
            "path": text(),
            "query": {"type": "object"},
            "route": or_null(text("The operation that it asked for.")),
            "workflow": or_null(text("The workflow that it was about.")),
            "workflowId": or_null(text()),
            "name": or_null(text("The name of the signal, query or update.")),
            "body": ANYTHING,
            "headers": {"type": "object", "additionalProperties": text()},
            "status": number("The status of the answer; 0 when the connection was dropped before."),
            "answer": ANYTHING,
            "lost": flag("Whether the answer has not reached the client."),
            "unmatched": or_null(text("Why no script matches the call, with the closest one.")),
        },
        about=(
            "A call that was made. `answer` is the body of its answer: JSON, or text; null for none and for "
            "a stream. Tokens, cookies, and fields whose names mean a key or a password are `[redacted]`."
        ),
    )
}


def _described(made: Call) -> dict[str, Any]:
    call = made.masked()
    return {
        "number": call.number,
        "time": iso(call.time),
        "method": call.method,
        "path": call.path,
        "query": call.query,
        "route": call.route,
        "workflow": call.workflow,
        "workflowId": call.workflow_id,
        "name": call.name,
        "body": call.json,
        "headers": dict(call.headers),
        "status": call.status,
        "answer": _answer(call.answer),
        "lost": call.lost,
        "unmatched": call.unmatched_reason,
    }


def _answer(body: bytes | None) -> Any:
    if not body:
        return None
    try:
        return parse(body.decode())
    except (ValueError, RecursionError):
        return body.decode("utf-8", "replace")


def _fitting(request: ControlRequest) -> Calls:
    query = request.query
    try:
        found = Calls(request.entry.app.calls)(
            query.get("method"),
            query.get("path"),
            route=query.get("route"),
            workflow=query.get("workflow"),
            workflow_id=query.get("workflowId"),
            status=query.get("status"),
        )
    except ValueError as error:
        raise InvalidRequest(str(error)) from None
    name, since, missed = query.get("name"), query.get("since", 0), query.get("missed")
    if name is None and not since and missed is None:
        return found
    return Calls(
        call
        for call in found
        if call.number > since
        and (name is None or call.name == name)
        and (missed is None or missed == (call.unmatched_reason is not None))
    )


def listed(found: Calls, limit: int) -> dict[str, Any]:
    """The last of these calls, in the form of answers."""
    return {"calls": [_described(call) for call in found[-limit:]], "count": len(found)}


def limit(request: ControlRequest) -> int:
    """How many of what matches an answer lists at most."""
    return int(request.query.get("limit", 100))


def wait_length(request: ControlRequest) -> int:
    """How long a request waits, in nanoseconds. Raises `InvalidRequest` for more than `LONGEST_WAIT`."""
    length = duration(request.query.get("timeout", "10s"))
    if length > LONGEST_WAIT * SECOND:
        raise InvalidRequest(
            f"a request can wait {LONGEST_WAIT} s at most, not {format_duration(length)}; send another one "
            f"after that"
        )
    return length


def list_calls(request: ControlRequest) -> ControlResponse:
    """The calls that match."""
    return ControlResponse(200, listed(_fitting(request), limit(request)))


def count(request: ControlRequest) -> ControlResponse:
    """How many match."""
    return ControlResponse(200, {"count": len(_fitting(request))})


def wait(request: ControlRequest) -> ControlResponse:
    """Wait until there are enough calls that match."""
    wanted = request.query.get("count", 1)
    length = wait_length(request)
    journal = request.entry.app.calls
    if not journal.wait(lambda: len(_fitting(request)) >= wanted, length / SECOND):
        raise WaitedInVain(
            f"{len(_fitting(request))} calls matched within {format_duration(length)}, not {wanted}; the "
            f"last calls:\n{listing(Calls(journal)[-10:]) or 'none'}"
        )
    return ControlResponse(200, listed(_fitting(request), limit(request)))


def clear(request: ControlRequest) -> ControlResponse:
    """Delete all calls."""
    request.entry.app.calls.clear()
    return ControlResponse(204, None)


_FILTERS: dict[str, JsonSchema] = {
    "method": text(maxLength=20),
    "path": text(maxLength=8000),
    "route": text("An operation of the API.", enum=list(NAMES)),
    "workflow": text("The name of the workflow.", maxLength=LONGEST_ID),
    "workflowId": text("The workflow id.", maxLength=LONGEST_ID),
    "name": text("The name of the signal, query or update.", maxLength=LONGEST_ID),
    "status": number("The status of the answer.", minimum=0, maximum=599),
    "missed": flag("Only calls that no script matches, or (`false`) only the others."),
    "since": number("Only calls after the one with this number.", minimum=0, maximum=2**53),
}
_LIMIT = {"limit": number("How many calls at most, the last ones.", minimum=1, maximum=1000, default=100)}
CALLS = shape(
    {"calls": many(ref("Call")), "count": number("How many match, including those beyond the limit.")}
)
OPERATIONS = [
    ControlOperation(
        "listCalls",
        "GET",
        "/calls",
        "List the calls that match, oldest first.",
        list_calls,
        {200: CALLS},
        query={**_FILTERS, **_LIMIT},
    ),
    ControlOperation("clearCalls", "DELETE", "/calls", "Delete all calls.", clear, {204: None}),
    ControlOperation(
        "countCalls",
        "GET",
        "/calls/count",
        "Count the calls that match.",
        count,
        {200: shape({"count": number()})},
        query=_FILTERS,
    ),
    ControlOperation(
        "waitForCalls",
        "GET",
        "/calls/wait",
        "Wait, in real time, until this many calls match. 408 if there are not enough in time.",
        wait,
        {200: CALLS},
        errors=(408,),
        query={
            **_FILTERS,
            **_LIMIT,
            "count": number("How many calls to wait for.", minimum=0, maximum=100_000, default=1),
            "timeout": {**DURATION, "description": "How long to wait; a minute at most."},
        },
    ),
]
