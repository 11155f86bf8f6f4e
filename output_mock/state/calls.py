"""The calls in the journal as JSON, without secrets."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from output_mock.contract.operations import NAMES
from output_mock.http.journal import Call, RequestHeaders
from output_mock.javascript_json import as_json
from output_mock.state.checked import (
    base_64,
    below,
    fields,
    flag,
    many,
    mapping,
    maybe,
    one_of,
    text,
    time,
    time_json,
    whole,
)


def calls_json(calls: Iterable[tuple[Call, int]]) -> list[Any]:
    """Calls with their sizes."""
    return [_call_json(call.masked(), size) for call, size in calls]


def read_calls(given: Any) -> list[tuple[Call, int]]:
    """Read what `calls_json` has written."""
    return list(many(_call)(given))


def _call_json(call: Call, size: int) -> dict[str, Any]:
    return {
        "number": call.number,
        "time": time_json(call.time),
        "method": call.method,
        "path": call.path,
        "query": call.query,
        "route": call.route,
        "workflow": call.workflow,
        "workflowId": call.workflow_id,
        "name": call.name,
        "json": call.json,
        "headers": dict(call.headers),
        "status": call.status,
        "answer": None if call.answer is None else base64.b64encode(call.answer).decode(),
        "lost": call.lost,
        "unmatched_reason": call.unmatched_reason,
        "size": size,
    }


def _object(given: Any) -> dict[str, Any]:
    found: dict[str, Any] = as_json(mapping(given))
    return found


def _headers(given: Any) -> RequestHeaders:
    found = mapping(given)
    for name, one in found.items():
        with below(name):
            text(one)
    return RequestHeaders(found.items())


_CALL: Mapping[str, Callable[[Any], Any]] = {
    "number": whole,
    "time": time,
    "method": text,
    "path": text,
    "query": _object,
    "route": maybe(one_of(*NAMES)),
    "workflow": maybe(text),
    "workflowId": maybe(text),
    "name": maybe(text),
    "json": as_json,
    "headers": _headers,
    "status": whole,
    "answer": maybe(base_64),
    "lost": flag,
    "unmatched_reason": maybe(text),
    "size": whole,
}


def _call(given: Any) -> tuple[Call, int]:
    read = fields(given, _CALL)
    size = read.pop("size")
    read["workflow_id"] = read.pop("workflowId")
    return Call(**read), size
