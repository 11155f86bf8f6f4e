"""What the result of a run says, whichever of the two shapes it has.

Since API and SDK 0.11 a result has `v: "2"`, a flat `trace`, and an `error` that is an object. Before, the
error is a text with `errorDetails` beside it, the places of the trace lie under `destinations`, and what is
not there is left out.
"""

from __future__ import annotations

from typing import Any

from output_contract.server import NotApplicable
from output_contract.versions import Judged

# What older results call a run that was ended from outside.
_ENDED = {"CancelledFailure", "TerminatedFailure"}


def output(judged: Judged, result: dict[str, Any]) -> Any:
    """What the workflow returned; None when that is nothing. Leaves the test where results are lost."""
    if judged.loses_results and result["status"] == "completed":
        raise NotApplicable(f"an API of {judged.api} cannot read the results of SDK {judged.sdk}")
    return _maybe(judged, result, "output")


def input_of(judged: Judged, result: dict[str, Any]) -> Any:
    """What the workflow was given; None when that is nothing."""
    return _maybe(judged, result, "input")


def _maybe(judged: Judged, result: dict[str, Any], key: str) -> Any:
    if judged.has_second_results:
        return result[key]
    return result.get(key)


def places(judged: Judged, result: dict[str, Any]) -> dict[str, str]:
    """Where the trace of the run is kept, by the kind of place: `local`, `remote`; empty without a trace."""
    trace = result.get("trace") or {}
    found = trace if judged.has_second_results else trace.get("destinations") or {}
    return {kind: place for kind, place in found.items() if place is not None}


def error_name(judged: Judged, result: dict[str, Any]) -> Any:
    """The name of the error that a run failed with."""
    return result["error"]["name"] if judged.has_second_results else result["errorDetails"]["name"]


def error_message(judged: Judged, result: dict[str, Any]) -> Any:
    """The message of the error that a run ended with."""
    return result["error"]["message"] if judged.has_second_results else result["errorDetails"]["message"]


def error_step(judged: Judged, result: dict[str, Any]) -> Any:
    """The type of the step that the run failed with, `workflow#step`; None when it was not a step."""
    if judged.has_second_results:
        return result["error"].get("activityType")
    return result["errorDetails"]["activityId"]


def must_have_failed(judged: Judged, result: dict[str, Any], error: dict[str, Any]) -> None:
    """Raise AssertionError unless the run ended with this error, written as results of version 2 have it."""
    __tracebackhide__ = True
    if judged.has_second_results:
        assert result["error"] == error
        return
    name = "WorkflowFailedError" if error["name"] in _ENDED else error["name"]
    expected = {"name": name, "message": error["message"], "activityId": error.get("activityType")}
    details = result["errorDetails"]
    assert {key: details[key] for key in expected} == expected
    # Older workers lose the cause of an error; of what newer ones tell, an older server takes the innermost.
    innermost = error.get("cause", error) if judged.sdk_since("0.11.0") else error
    assert result["error"] == innermost["message"]
