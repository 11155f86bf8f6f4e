"""Reset: a new run continues after a step of an earlier run."""

from __future__ import annotations

import pytest

from output_contract.checks import check
from output_contract.client import Begun, Client
from output_contract.events import must_be_same
from output_contract.server import NEEDS_PACK


def _step(api: Client, role: str) -> str:
    work = api.server.role(role)
    if work.step is None:
        pytest.skip(f"no step of {work.workflow!r} is known; name one under {role}.step in the file of --map")
    return work.step


@pytest.mark.parametrize("pinned", [True, False], ids=["pinned", "latest"])
@check("reset.new-run", "reset, reset_completed")
def test_a_closed_run_can_be_reset_to_a_step(api: Client, pinned: bool) -> None:
    step = _step(api, "succeeds")
    result = api.run_role("succeeds")
    old = Begun(result["workflowId"], result["runId"])
    answer = api.post(f"{old.pinned if pinned else old.base}/reset", {"stepName": step})
    new = answer.must_be(200, workflowId=old.id).json["runId"]
    assert new != old.run_id
    assert api.until_closed(old.id) == "completed"
    api.get(f"{old.base}/status").must_be(200, runId=new)
    assert api.get(f"{old.pinned}/result").must_be(200).json == result, "the old run stays as it was"


@check("reset.result", "reset_completed: result")
def test_steps_before_the_reset_are_not_run_again(api: Client) -> None:
    result = api.run("conf_sum", {"a": 1, "b": 2})
    old = Begun(result["workflowId"], result["runId"])
    before = api.walk(old.pinned)
    new = api.post(f"{old.pinned}/reset", {"stepName": "add"}).must_be(200).json["runId"]
    api.until_closed(old.id)
    again = api.get(f"{old.base}/result").must_be(200, runId=new, input={"a": 1, "b": 2}).json
    after = api.walk(f"{old.base}/runs/{new}")
    done = max(
        int(event["eventId"]) for event in before if event["eventTypeName"] == "ACTIVITY_TASK_COMPLETED"
    )
    # The new run has the events of the old one up to the end of the step.
    must_be_same(after[:done], before[:done])
    scheduled = [event for event in after if event["eventTypeName"] == "ACTIVITY_TASK_SCHEDULED"]
    assert len([one for one in scheduled if "conf_sum#add" in str(one)]) == 1
    assert api.output(again) == {"total": 3}


@check("reset.running", "reset")
def test_a_running_run_that_is_reset_is_terminated(api: Client) -> None:
    step = _step(api, "waits")
    work, old = api.waiting()
    if not work.packed:
        pytest.skip(NEEDS_PACK)
    answer = api.post(f"{old.pinned}/reset", {"stepName": step, "reason": "again"}).must_be(200)
    new = Begun(old.id, answer.json["runId"])
    assert new.run_id != old.run_id
    api.get(f"{old.pinned}/status").must_be(200, status="terminated")
    api.get(f"{new.base}/status").must_be(200, status="running", runId=new.run_id)
    result = api.get(f"{old.pinned}/result").must_be(200, status="terminated").json
    api.must_have_failed(result, {"name": "TerminatedFailure", "message": "again"})
    api.until_stage(new, "getProgress", "review")
    api.approve(work, new)
    assert api.until_closed(new.id) == "completed"
    api.get(f"{new.pinned}/result").must_be(200, status="completed")


@check("reset.signals", "reset: signals that came later")
def test_later_signals_reach_the_new_run_too(api: Client) -> None:
    work, old = api.waiting()
    if not work.packed:
        pytest.skip(NEEDS_PACK)
    api.approve(work, old)
    assert api.until_closed(old.id) == "completed"
    new = api.post(f"{old.pinned}/reset", {"stepName": "draft"}).must_be(200).json["runId"]
    assert api.until_closed(old.id) == "completed", "nobody has to approve once more"
    output = api.output(api.get(f"{old.base}/result").must_be(200, runId=new).json)
    assert output["approvedBy"] == "ana"


@pytest.mark.parametrize("step", ["nope", "publish"])
@check("reset.unknown-step", "reset: 404 StepNotFoundError")
def test_a_step_that_has_not_completed_is_not_found(api: Client, step: str) -> None:
    _, begun = api.waiting()
    if step == "publish":
        api.server.need("conf_approval")
    answer = api.post(f"{begun.base}/reset", {"stepName": step}).must_be(404, "StepNotFoundError")
    assert step in answer.json["message"]
    api.get(f"{begun.base}/status").must_be(200, status="running", runId=begun.run_id)


@check("reset.no-step", "reset: 400 ValidationError")
def test_a_reset_needs_a_step_name(api: Client) -> None:
    done = api.finished("succeeds")
    answer = api.post(f"{done.base}/reset", {}).must_be(400, "ValidationError")
    assert [issue["path"] for issue in answer.json["issues"]] == [["stepName"]]


@check("reset.deprecated", "reset: headers", "recommended")
def test_a_reset_without_a_run_id_is_deprecated(api: Client) -> None:
    done = api.finished("succeeds")
    body = {"stepName": "no such step"}
    assert api.post(f"{done.base}/reset", body, all_headers=True).headers["deprecation"] == "true"
    assert "deprecation" not in api.post(f"{done.pinned}/reset", body, all_headers=True).headers
