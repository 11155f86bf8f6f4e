"""Reads the result of a run in either of its two shapes.

Since API and SDK 0.11 a result has `v: "2"`, a flat `trace`, and an `error` that is an object. Before,
`error` is a string with `errorDetails` beside it, the locations of the trace are under `destinations`, and
missing values are omitted.
"""

from __future__ import annotations

from typing import Any

from output_contract.server import NotApplicable
from output_contract.versions import Judged

# How older results name the error of a run that was ended from outside.
_ENDED = {"CancelledFailure", "TerminatedFailure"}


def output(judged: Judged, result: dict[str, Any]) -> Any:
    """What the workflow returned, or None. Skips the test if the server loses results."""
    if judged.loses_results and result["status"] == "completed":
        raise NotApplicable(f"an API of {judged.api} cannot read the results of SDK {judged.sdk}")
    return _maybe(judged, result, "output")


def input_of(judged: Judged, result: dict[str, Any]) -> Any:
    """The input of the workflow, or None."""
    return _maybe(judged, result, "input")


def _maybe(judged: Judged, result: dict[str, Any], key: str) -> Any:
    if judged.has_second_results:
        return result[key]
    return result.get(key)


def places(judged: Judged, result: dict[str, Any]) -> dict[str, str]:
    """The locations of the trace by kind: `local`, `remote`. Empty without a trace."""
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
    """The type of the step that failed the run, `workflow#step`; None if it was not a step."""
    if judged.has_second_results:
        return result["error"].get("activityType")
    return result["errorDetails"]["activityId"]


def must_have_failed(judged: Judged, result: dict[str, Any], error: dict[str, Any]) -> None:
    """Raise AssertionError unless the run failed with this error, in the form of version 2."""
    __tracebackhide__ = True
    if judged.has_second_results:
        assert result["error"] == error
        return
    name = "WorkflowFailedError" if error["name"] in _ENDED else error["name"]
    expected = {"name": name, "message": error["message"], "activityId": error.get("activityType")}
    details = result["errorDetails"]
    assert {key: details[key] for key in expected} == expected
    # Older workers lose the cause of an error. With newer workers, an older server uses the innermost
    # error.
    innermost = error.get("cause", error) if judged.sdk_since("0.11.0") else error
    assert result["error"] == innermost["message"]
