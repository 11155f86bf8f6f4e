"""What Temporal stores about a closed run, and how `/result` and `/workflow/run` show it.

There are two shapes. A run has the versioned shape (`v: "2"`) when its worker says so in the memo, as
workers do since 0.11.0 (run_completes, run_fails_*). The other shape comes from the value that the run
returned. Older workers wrap that value together with the locations of the trace, and older servers know
only this shape.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from output_mock.contract.failure_links import Link, Proto, links, proto_of
from output_mock.contract.failures import Cause
from output_mock.javascript_json import UNDEFINED

# Types that say how a failure was passed on, not which error the code threw.
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
    """What Temporal stores about a closed run.

    `value` is what the workflow function returned and `input` is its argument. Each is `UNDEFINED` if
    missing. `failure` is the outermost link of the chain of failures, or None if the run did not fail.
    `versioned` says whether the memo has `payloadVersion: "2"`. `trace` is the trace in the memo, or None.
    """

    workflow_id: str
    run_id: str
    status: str
    input: Any
    value: Any = UNDEFINED
    failure: Cause | None = None
    versioned: bool = True
    trace: dict[str, str] | None = None
    # The chain as the history shows it, if that differs from `failure`.
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
    """The API's summary of a chain of failures (run_fails_*, stop_default, terminate, timed_out)."""
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
    """The result as servers before 0.11.0 show it; 0.11.0 also does so if the memo has no version.

    The server reads output and trace from keys of the value that the run returned. Newer workers return the
    workflow's own value, which lacks these keys. So an older server loses their results.
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
    """Where the trace of a run with this result is: `local`, `remote`, neither or both.

    `nested_only` searches as servers before 0.11.0 do.
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
    """`errorDetails`: the innermost error that the code threw, and the whole chain."""
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
        # The outermost link that decides; the link of a step is further in.
        "retryable": not said[-1].non_retryable if said else None,
        "activityId": next((link.activity_type for link in chain if link.activity_type is not None), None),
        "cause": cause,
    }


def _outermost(status: str, link: Link) -> str:
    if status == "cancelled":
        return "Workflow execution cancelled"
    return link.message if status in ("terminated", "timed_out") else "Workflow execution failed"


def _is_falsy(value: Any) -> bool:
    """Whether a JSON value is falsy in JavaScript."""
    return value is UNDEFINED or (not isinstance(value, (dict, list)) and not value)
