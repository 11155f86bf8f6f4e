"""What the API says of a run: status, result, and the words for how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from output_mock.contract.failures import Cause
from output_mock.contract.rendering import iso
from output_mock.javascript_json import UNDEFINED
from output_mock.sdk.values import null_if_undefined

if TYPE_CHECKING:
    from output_mock.engine.run import Run


def status(run: Run) -> dict[str, Any]:
    """`/status`: epoch milliseconds, and `""` while it runs (start_and_poll)."""
    return {
        "workflowId": run.workflow_id,
        "runId": run.run_id,
        "status": run.status,
        "startedAt": run.start_time // 1_000_000,
        "completedAt": "" if run.running else run.close_time // 1_000_000,
    }


def given_input(run: Run, *, first: bool = False) -> dict[str, Any]:
    """`/input`: the key is missing when no input was sent (feedback).

    With `first`, of the first run of its chain, which may have gone.
    """
    info = run.info
    answer: dict[str, Any] = {
        "workflowId": run.workflow_id,
        "runId": info.first_run_id if first else run.run_id,
    }
    given = ((first and info.first) or info).arguments()[0]
    if given is not UNDEFINED:
        answer["input"] = given
    return answer


def listed(run: Run) -> dict[str, Any]:
    """One entry of `/workflow/runs` (runs)."""
    return {
        "workflowId": run.workflow_id,
        "runId": run.run_id,
        "workflowType": run.info.workflow_type,
        "status": run.status,
        "startedAt": iso(run.start_time),
        "completedAt": None if run.running else iso(run.close_time),
    }


def described(run: Run) -> dict[str, Any]:
    """The `workflow` part of `/history` (history_paging)."""
    return {
        "workflowId": run.workflow_id,
        "runId": run.run_id,
        "status": run.status,
        "startTime": iso(run.start_time),
        "closeTime": None if run.running else iso(run.close_time),
        "historyLength": len(run.history),
        "taskQueue": run.info.task_queue,
    }


def result(
    run: Run, *, run_id: str | None = None, outcome: Run | None = None, given: Any = None
) -> dict[str, Any]:
    """`/result`, and the answer of `/workflow/run`.

    Takes the run that is reported and, for `/workflow/run`, the id of the chain's first run, the run
    whose outcome it is, and the input that was sent.
    """
    outcome = outcome or run
    sent = run.info.input if run_id is None else given
    if run.memo is None:
        return _legacy(run, run_id or run.run_id, sent, outcome)
    failure = outcome.failure
    return {
        "v": "2",
        "workflowId": run.workflow_id,
        "runId": run_id or run.run_id,
        "status": run.status,
        "input": null_if_undefined(sent),
        "output": null_if_undefined(outcome.result),
        "trace": run.memo.trace,
        "error": None if failure is None else error(failure),
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


def _legacy(run: Run, run_id: str, sent: Any, outcome: Run) -> dict[str, Any]:
    """The unversioned result of a run that was closed before its first workflow task (worker_down)."""
    answer: dict[str, Any] = {"workflowId": run.workflow_id, "runId": run_id, "status": run.status}
    if sent is not UNDEFINED:
        answer["input"] = sent
    answer["output"] = None
    answer["trace"] = None
    failure = outcome.failure
    if failure is None:
        answer["error"] = None
        answer["errorDetails"] = None
        return answer
    root = failure.root()
    message = "Workflow execution cancelled" if failure.kind == "CancelledFailure" else failure.message
    answer["error"] = root.message
    answer["errorDetails"] = {
        "message": root.message,
        "name": "WorkflowFailedError",
        "retryable": None,
        "activityId": None,
        "cause": {
            "name": "WorkflowFailedError",
            "message": message,
            "cause": {"name": root.kind, "message": root.message},
        },
    }
    return answer
