"""Errors as traces show them: complete, with their stacks (remote_trace)."""

from __future__ import annotations

from typing import Any

from output_mock.contract.failures import Cause
from output_mock.sdk.failures import Application, Failure


def of_failure(failure: Failure, where: str = "fn") -> Any:
    """What the code of a step threw: an error, or another value (run_fails_string)."""
    return _with_stacks(failure.serialised(), failure, where)


def of_step(cause: Cause) -> Any:
    """The failure of a step's attempt, as the node of the step shows it (remote_trace)."""
    if isinstance(cause, Application):
        return thrown(cause)
    return of_cause(cause)


def thrown(cause: Application) -> Any:
    """The original error, inside its application failure."""
    error, link = cause.error, cause.cause
    if not isinstance(error, dict) or link is None:
        return error
    return _stacked(error, link)


def _stacked(error: dict[str, Any], link: Cause | None) -> dict[str, Any]:
    shown: dict[str, Any] = {"stack": "" if link is None else link.stack or ""}
    for key, value in error.items():
        below = None if link is None else link.cause
        shown[key] = _stacked(value, below) if key == "cause" and isinstance(value, dict) else value
    return shown


def _with_stacks(error: Any, failure: Failure, where: str) -> Any:
    if not isinstance(error, dict) or not failure.is_error:
        return error
    shown: dict[str, Any] = {"stack": f"{failure.name}: {failure.message}\n    at {where}"}
    for key, value in error.items():
        if key == "cause" and failure.cause is not None:
            value = _with_stacks(value, failure.cause, where)
        shown[key] = value
    return shown


def of_run(failure: Cause) -> Any:
    """How a run failed, as its node shows it.

    A run that throws its own error shows that error. If a step or a child failed it, it shows the whole
    chain of Temporal's failures (remote_trace).
    """
    if isinstance(failure, Application):
        return thrown(failure)
    return of_cause(failure)


def of_cancelled() -> dict[str, Any]:
    """A run that was stopped. The SDK omits the stack."""
    return {"message": "Workflow cancelled", "details": [], "name": "CancelledFailure"}


def of_cause(cause: Cause) -> dict[str, Any]:
    """One of Temporal's failures and its causes, with the fields of their TypeScript classes."""
    shown: dict[str, Any] = {"stack": cause.stack or "", "message": cause.message}
    if cause.cause is not None:
        shown["cause"] = of_cause(cause.cause)
    for key, value in cause.info.items():
        shown.update(_fields(key, value, cause))
    shown["name"] = cause.kind
    return shown


def _fields(key: str, info: dict[str, Any], cause: Cause) -> dict[str, Any]:
    if key == "applicationFailureInfo":
        fields: dict[str, Any] = {}
        if cause.type is not None:
            fields["type"] = cause.type
        fields["nonRetryable"] = bool(info.get("nonRetryable"))
        if isinstance(cause, Application) and "details" in info:
            fields["details"] = [{"error": cause.error}]
        return fields
    if key == "activityFailureInfo":
        return {
            "activityType": info["activityType"]["name"],
            "activityId": info["activityId"],
            "retryState": _state(info),
            "identity": info.get("identity", ""),
        }
    if key == "childWorkflowExecutionFailureInfo":
        return {
            "namespace": info["namespace"],
            "execution": info["workflowExecution"],
            "workflowType": info["workflowType"]["name"],
            "retryState": _state(info),
        }
    if key == "timeoutFailureInfo":
        return {"timeoutType": info["timeoutType"].removeprefix("TIMEOUT_TYPE_")}
    if key == "canceledFailureInfo":
        return {"details": []}
    return {}


def _state(info: dict[str, Any]) -> str:
    state: str = info["retryState"]
    return state.removeprefix("RETRY_STATE_")
