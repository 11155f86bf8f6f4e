"""What Temporal holds of a run that has ended, and what `/result` and `/workflow/run` make of it.

There are two shapes. The versioned one (`v: "2"`) is what a run has whose worker says so in its memo, as
workers do since 0.11.0 (run_completes, run_fails_*). The other one is made of the value that the run
returned, which older workers wrap together with the places of the trace; older servers know nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from output_mock.contract.failure_links import Link, Proto, links, proto_of
from output_mock.contract.failures import Cause
from output_mock.javascript_json import UNDEFINED

# Types that name the way a failure took, and not the error that somebody threw.
_WRAPPERS = frozenset(
    {
        "ActivityFailure",
        "ChildWorkflowFailure",
        "TimeoutFailure",
        "CancelledFailure",
        "TerminatedFailure",
        "ServerFailure",
        "ApplicationFailure",
    }
)


@dataclass(slots=True)
class Closed:
    """What Temporal holds of a run that has ended.

    `value` is what the workflow function returned, `input` what it was given; both are `UNDEFINED` when there
    is none. `failure` is the outermost link of its chain, None when it has not failed. `versioned` says
    whether its memo has `payloadVersion: "2"`, and `trace` is the memo's, None when there is none there.
    """

    workflow_id: str
    run_id: str
    status: str
    input: Any
    value: Any = UNDEFINED
    failure: Cause | None = None
    versioned: bool = True
    trace: dict[str, str] | None = None
    # The chain as the history shows it, where that is not what `failure` says of itself.
    proto: Proto | None = field(default=None)


def result(closed: Closed) -> dict[str, Any]:
    """The result as the newest server shows it."""
    return versioned(closed) if closed.versioned else unversioned(closed)


def versioned(closed: Closed) -> dict[str, Any]:
    """The result with `v: "2"`: a flat trace, and the error as an object."""
    return {
        "v": "2",
        "workflowId": closed.workflow_id,
        "runId": closed.run_id,
        "status": closed.status,
        "input": None if closed.input is UNDEFINED else closed.input,
        "output": None if closed.value is UNDEFINED else closed.value,
        "trace": closed.trace,
        "error": None if closed.failure is None else error(closed.failure),
    }


def error(failure: Cause) -> dict[str, Any]:
    """A chain of failures as the API sums it up (run_fails_*, stop_default, terminate, timed_out)."""
    summary: dict[str, Any] = {}
    activity_type = failure.activity_type()
    if activity_type is not None:
        summary["activityType"] = activity_type
    embedded = failure.embedded()
    if embedded is not None:
        summary.update(embedded)
        return summary
    root = failure.root()
    summary["name"] = root.type or root.kind
    summary["message"] = root.message
    return summary


def unversioned(closed: Closed) -> dict[str, Any]:
    """The result as servers before 0.11.0 have it, and 0.11.0 of a run whose memo has no version.

    Output and trace are keys of the value that the run returned. A value without such keys, because it is
    what the workflow itself returned, leaves both out: so such a server loses the results of newer workers.
    """
    value = closed.value
    answer: dict[str, Any] = {
        "workflowId": closed.workflow_id,
        "runId": closed.run_id,
        "status": closed.status,
        "input": closed.input,
        "output": None,
        "trace": None,
        "error": None,
        "errorDetails": None,
    }
    if not _is_falsy(value):
        answer["output"] = value.get("output", UNDEFINED) if isinstance(value, dict) else UNDEFINED
        answer["trace"] = value.get("trace", UNDEFINED) if isinstance(value, dict) else UNDEFINED
    if closed.failure is not None:
        chain = list(links(closed.proto or proto_of(closed.failure)))
        chain.insert(0, Link("WorkflowFailedError", _outermost(closed.status, chain[0])))
        answer["trace"] = next(filter(None, (_trace_in(link) for link in chain)), None)
        answer["error"] = chain[-1].message
        answer["errorDetails"] = _details(chain)
    return {key: shown for key, shown in answer.items() if shown is not UNDEFINED}


def places(answer: dict[str, Any], *, nested_only: bool = False) -> dict[str, Any]:
    """Where the trace of a run lies that has this result: `local`, `remote`, neither or both.

    With `nested_only`, as servers before 0.11.0 look for it.
    """
    trace = answer.get("trace")
    if not isinstance(trace, dict):
        return {}
    nested = trace.get("destinations")
    if nested_only or (answer.get("v") != "2" and nested is not None):
        trace = nested if isinstance(nested, dict) else {}
    return {place: trace[place] for place in ("local", "remote") if trace.get(place)}


def _trace_in(link: Link) -> Any:
    return next(
        (detail["trace"] for detail in link.details if isinstance(detail, dict) and detail.get("trace")), None
    )


def _details(chain: list[Link]) -> dict[str, Any]:
    """`errorDetails`: the innermost error that somebody threw, and the whole chain."""
    said = [link for link in reversed(chain) if link.non_retryable is not None]
    thrown = next((link for link in said if link.type is not None and link.type not in _WRAPPERS), None)
    shown = thrown or (said[0] if said else None)
    cause: dict[str, Any] = {}
    for link in reversed(chain):
        name = link.kind if link.type is None else link.type
        cause = {"name": name, "message": link.message, **({"cause": cause} if cause else {})}
    return {
        "message": chain[-1].message if shown is None else shown.message,
        "name": chain[0].kind if shown is None or shown.type is None else shown.type,
        # The outermost link that has a say in it; a step's own is further in.
        "retryable": not said[-1].non_retryable if said else None,
        "activityId": next((link.activity_type for link in chain if link.activity_type is not None), None),
        "cause": cause,
    }


def _outermost(status: str, link: Link) -> str:
    if status == "cancelled":
        return "Workflow execution cancelled"
    return link.message if status in ("terminated", "timed_out") else "Workflow execution failed"


def _is_falsy(value: Any) -> bool:
    """Whether JavaScript takes a JSON value for false."""
    return value is UNDEFINED or (not isinstance(value, (dict, list)) and not value)
