"""What 0.10 brought. All of it is turned back for 0.9 and older.

Measured on 0.9.2 and 0.10.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from output_mock.contract import events
from output_mock.contract.closed_runs import Closed
from output_mock.contract.failure_links import details_of
from output_mock.contract.payloads import payload, value_of
from output_mock.contract.run_start import SEND_HTTP_REQUEST
from output_mock.contract.versions.change import Change, Facts, ShownEvent, Trait

_PLACES = ("local", "remote")


def _all_places(destinations: Mapping[str, Any] | None) -> dict[str, Any]:
    return {place: (destinations or {}).get(place) for place in _PLACES}


def _in_trace(value: Any) -> None:
    """Name all places in what a run returned, or in a detail of its failure."""
    trace = value.get("trace") if isinstance(value, dict) else None
    if isinstance(trace, dict) and "destinations" in trace:
        trace["destinations"] = _all_places(trace["destinations"])


def _in_details(proto: dict[str, Any] | None) -> None:
    details = [] if proto is None else details_of(proto)
    for position, detail in enumerate(details):
        value = value_of(detail)
        _in_trace(value)
        details[position] = payload(value)


def _closed(closed: Closed, _run: Facts) -> None:
    if not closed.versioned:
        _in_trace(closed.value)
        _in_details(closed.proto)


def _event(shown: ShownEvent) -> None:
    attributes = shown.attributes
    for holder in ("header", "memo"):
        fields = attributes.get(holder, {}).get("fields")
        if fields and shown.run.scripted:
            known = value_of(fields["traceInfo"]) if "traceInfo" in fields else shown.run.trace_info
            fields["traceInfo"] = payload(_flagged(known, shown.run))
    if shown.kind is events.ActivityTaskScheduled and shown.internal and "input" in attributes:
        attributes["input"] = [_flagged(attributes["input"][0], shown.run)]
    elif shown.kind is events.ActivityTaskCompleted and shown.internal and "result" in attributes:
        attributes["result"][0]["output"] = _all_places(attributes["result"][0]["output"])
    elif shown.kind is events.WorkflowExecutionCompleted and "result" in attributes:
        _in_trace(attributes["result"][0])
    elif shown.kind is events.WorkflowExecutionFailed and "failure" in attributes:
        _in_details(attributes["failure"])


def _flagged(trace_info: Mapping[str, Any], run: Facts) -> dict[str, Any]:
    return {**trace_info, "disableTrace": not run.traced}


def _no_internal_steps(node: dict[str, Any], run: Facts) -> None:
    # The first one of the root is the SDK's own, also where a child's first step has taken its place.
    own = "1" if node["id"] == run.trace_info["runId"] else None
    node["children"] = [
        child for child in node["children"] if child["kind"] != "internal_step" and child["id"] != own
    ]


def _null_places(document: dict[str, Any]) -> None:
    places = document["components"]["schemas"]["TraceDestinations"]
    places["properties"] = {
        name: {"anyOf": [place, {"type": "null"}]} for name, place in places["properties"].items()
    }
    places["required"] = list(_PLACES)


def _no_response_options(shown: ShownEvent) -> None:
    attributes = shown.attributes
    if attributes.get("activityType", {}).get("name") == SEND_HTTP_REQUEST:
        attributes["input"] = [
            {name: value for name, value in given.items() if name != "responseOptions"}
            for given in attributes.get("input", ())
        ]


CHANGES = (
    Change(
        id="run-input",
        since="0.10.0",
        axis="api",
        says="`GET /workflow/{id}/input`, and the same of one run, tell what a run was started with.",
        adds=frozenset({"input"}),
    ),
    Change(
        id="trace-places",
        since="0.10.0",
        axis="sdk",
        says=(
            "`trace.destinations` leaves out the places where there is no trace (before: they are null), and "
            "untraced runs begin with no step of the SDK's own."
        ),
        before=frozenset({Trait.UNTRACED_RUNS_ASK}),
        closed=_closed,
        event=_event,
        document=_null_places,
    ),
    Change(
        id="requests",
        since="0.10.0",
        axis="sdk",
        says=(
            "`responseOptions` says what a workflow gets of the answer to its request, and `$NAME` in a "
            "header stands for the environment's value (before: it gets all of it, and headers are sent as "
            "they stand)."
        ),
        before=frozenset({Trait.REQUESTS_AS_WRITTEN}),
        event=_no_response_options,
    ),
    Change(
        id="internal-steps-in-traces",
        since="0.10.0",
        axis="sdk",
        says="Traces show the SDK's own steps (`__internal#getTraceDestinations`).",
        trace=_no_internal_steps,
    ),
)
