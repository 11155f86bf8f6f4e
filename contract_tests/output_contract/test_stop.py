"""Stop asks a run to end, terminate ends it."""

from __future__ import annotations

import pytest

from output_contract.checks import check
from output_contract.client import Begun, Client

PINNED = pytest.mark.parametrize("pinned", [True, False], ids=["pinned", "latest"])


def _base(begun: Begun, pinned: bool) -> str:
    return begun.pinned if pinned else begun.base


@PINNED
@check("stop.stops", "stop_default")
def test_a_stopped_run_is_cancelled(api: Client, pinned: bool) -> None:
    _, begun = api.waiting()
    answer = api.patch(f"{_base(begun, pinned)}/stop").must_be(200, workflowId=begun.id, runId=begun.run_id)
    assert set(answer.json) == {"workflowId", "runId"}
    assert api.until_closed(begun.id) in ("cancelled", "completed", "failed")


@check("stop.result", "stop_default: result")
def test_the_result_of_a_stopped_run_says_that_it_was_cancelled(api: Client) -> None:
    begun = api.start("conf_approval", {"topic": "x"})
    api.until_stage(begun, "getProgress", "review")
    api.patch(f"{begun.base}/stop").must_be(200)
    assert api.until_closed(begun.id) == "cancelled"
    result = api.get(f"{begun.base}/result").must_be(200, status="cancelled", output=None).json
    api.must_have_failed(result, {"name": "CancelledFailure", "message": "Workflow canceled"})
    assert api.walk(begun.base)[-1]["eventTypeName"] == "WORKFLOW_EXECUTION_CANCELED"


def _graceful(api: Client, on_stop: str) -> Begun:
    begun = api.start("conf_graceful", {"onStop": on_stop})
    api.until_stage(begun, "stage", "waiting")
    return begun


@check("stop.cleanup", "stop_pinned_with_cleanup")
def test_a_stopped_run_may_clean_up(api: Client) -> None:
    begun = _graceful(api, "cleanup")
    api.patch(f"{begun.pinned}/stop").must_be(200)
    assert api.until_closed(begun.id) == "cancelled"
    steps = [
        event["activityTaskScheduledEventAttributes"]["activityType"]["name"]
        for event in api.walk(begun.base)
        if event["eventTypeName"] == "ACTIVITY_TASK_SCHEDULED"
    ]
    assert steps[-1] == "conf_graceful#cleanup"


@check("stop.swallowed", "stop_swallowed")
def test_a_stopped_run_may_still_complete(api: Client) -> None:
    begun = _graceful(api, "swallow")
    api.patch(f"{begun.pinned}/stop").must_be(200)
    assert api.until_closed(begun.id) == "completed"
    result = api.get(f"{begun.base}/result").must_be(200, error=None).json
    assert api.output(result) == {"stopped": True}


@PINNED
@check("stop.closed", "stop_default: the second stop")
def test_stopping_a_closed_run_changes_nothing(api: Client, pinned: bool) -> None:
    done = api.finished("succeeds")
    base = done.pinned if pinned else done.base
    api.patch(f"{base}/stop").must_be(200, workflowId=done.id, runId=done.run_id)
    assert api.get(f"{done.base}/result").must_be(200).json == done.result


@PINNED
@check("stop.terminate", "terminate, terminate_pinned_no_body")
def test_a_terminated_run_ends_at_once(api: Client, pinned: bool) -> None:
    _, begun = api.waiting()
    answer = api.post(f"{_base(begun, pinned)}/terminate", {"reason": "enough"})
    answer.must_be(200, terminated=True, workflowId=begun.id, runId=begun.run_id)
    status = api.get(f"{begun.base}/status").must_be(200, status="terminated").json
    assert status["completedAt"] >= status["startedAt"]
    assert api.walk(begun.base)[-1]["eventTypeName"] == "WORKFLOW_EXECUTION_TERMINATED"


@check("stop.terminate-result", "terminate: result")
def test_the_result_of_a_terminated_run_has_the_reason(api: Client) -> None:
    _, begun = api.waiting()
    api.post(f"{begun.base}/terminate", {"reason": "enough"}).must_be(200)
    result = api.get(f"{begun.base}/result").must_be(200, status="terminated", output=None).json
    # A run that ends before it begins has a result of the first version, with a string as its error.
    assert "enough" in (result["error"], *_words(result["error"]))


def _words(error: object) -> tuple[object, ...]:
    return (error.get("message"),) if isinstance(error, dict) else ()


@check("stop.terminate-no-body", "terminate_pinned_no_body", "recommended")
def test_a_run_can_be_terminated_without_a_reason(api: Client) -> None:
    begun = _graceful(api, "cleanup")
    api.post(f"{begun.pinned}/terminate").must_be(200, terminated=True)
    result = api.get(f"{begun.base}/result").must_be(200, status="terminated").json
    message = "terminated by user via frontend"
    api.must_have_failed(result, {"name": "TerminatedFailure", "message": message})
    assert "#cleanup" not in str(api.walk(begun.base)), "it gets no chance to clean up"


@PINNED
@check("stop.terminate-closed", "stop_default: terminate")
def test_a_closed_run_cannot_be_terminated(api: Client, pinned: bool) -> None:
    done = api.finished("succeeds")
    answer = api.post(f"{done.pinned if pinned else done.base}/terminate", {})
    answer.must_be(404, "WorkflowNotFoundError", workflowId=done.id)
    assert api.get(f"{done.base}/result").must_be(200).json == done.result


@check("stop.reason", "terminate_pinned_no_body: reason 5")
def test_a_reason_must_be_a_string(api: Client) -> None:
    _, begun = api.waiting()
    answer = api.post(f"{begun.pinned}/terminate", {"reason": 5}).must_be(400, "ValidationError")
    assert [issue["path"] for issue in answer.json["issues"]] == [["reason"]]
    api.get(f"{begun.base}/status").must_be(200, status="running")


@pytest.mark.parametrize("verb", ["stop", "terminate"])
@check("stop.deprecated", "stop_default, terminate: headers", "recommended")
def test_stop_and_terminate_without_a_run_id_are_deprecated(api: Client, verb: str) -> None:
    done = api.finished("succeeds")
    method = "PATCH" if verb == "stop" else "POST"
    latest = api.ask(method, f"{done.base}/{verb}", all_headers=True)
    assert latest.headers["deprecation"] == "true"
    assert f"/runs/{{rid}}/{verb}>" in latest.headers["link"]
    assert "deprecation" not in api.ask(method, f"{done.pinned}/{verb}", all_headers=True).headers
