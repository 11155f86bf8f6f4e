"""`POST /workflow/start`, and polling until the run has closed."""

from __future__ import annotations

from output_contract.checks import check
from output_contract.client import Client
from output_contract.server import UNSENT


@check("start.ids", "start_and_poll")
def test_start_returns_the_workflow_id_and_the_run_id(api: Client) -> None:
    work = api.server.role("takes_long")
    body = api.body(work.workflow, work.input)
    begun = api.post("/workflow/start", body).must_be(200, workflowId=body["workflowId"]).json
    assert set(begun) == {"workflowId", "runId"}
    api.get(f"/workflow/{begun['workflowId']}/status").must_be(200, **begun)


@check("start.minted-id", "start_and_poll: workflowId")
def test_a_run_without_an_id_gets_one(api: Client) -> None:
    work = api.server.role("takes_long")
    body = api.body(work.workflow, work.input)
    del body["workflowId"]
    first, second = (api.post("/workflow/start", body).must_be(200).json for _ in range(2))
    assert first["workflowId"] != second["workflowId"]
    assert first["runId"] != second["runId"]


@check("start.running", "start_and_poll: status")
def test_a_run_that_has_not_closed_is_running(api: Client) -> None:
    begun = api.started("takes_long")
    for base in (begun.base, begun.pinned):
        answer = api.get(f"{base}/status")
        status = answer.must_be(200, status="running", completedAt="", runId=begun.run_id).json
        assert status["startedAt"] > 1_600_000_000_000, "milliseconds since 1970"


@check("start.no-result-yet", "start_and_poll: 424 WorkflowNotCompletedError")
def test_a_running_run_has_no_result(api: Client) -> None:
    begun = api.started("takes_long")
    for base in (begun.base, begun.pinned):
        api.get(f"{base}/result").must_be(424, "WorkflowNotCompletedError")


@check("start.input", "start_and_poll: input", since="0.10.0")
def test_the_input_of_a_run_can_be_read_at_once(api: Client) -> None:
    work = api.server.role("takes_long")
    begun = api.started("takes_long")
    for base in (begun.base, begun.pinned):
        answer = api.get(f"{base}/input").must_be(200, workflowId=begun.id, runId=begun.run_id).json
        assert answer.get("input", UNSENT) == work.input


@check("start.no-input", "feedback: input", since="0.10.0")
def test_an_input_that_was_not_sent_is_left_out(api: Client) -> None:
    begun = api.start("conf_resumable")
    assert "input" not in api.get(f"{begun.base}/input").must_be(200).json


@check("start.closes", "start_and_poll")
def test_a_polling_client_sees_the_run_close(api: Client) -> None:
    begun = api.start("conf_timer", {"ms": 1500})
    assert api.get(f"{begun.base}/status").must_be(200).json["status"] == "running"
    assert api.until_closed(begun.id) == "completed"
    status = api.get(f"{begun.base}/status").must_be(200).json
    assert status["completedAt"] - status["startedAt"] >= 1500
    result = api.get(f"{begun.base}/result").must_be(200, status="completed").json
    assert api.output(result) == {"slept": 1500}


def _told(api: Client) -> list[str]:
    """All answers about a closed run."""
    return ["status", "result", *(["input"] if api.server.judged.api_since("0.10.0") else [])]


@check("start.pinned", "run_completes: runs/{rid}")
def test_a_run_can_be_named_by_its_run_id(api: Client) -> None:
    done = api.finished("succeeds")
    for what in _told(api):
        assert api.get(f"{done.base}/{what}").must_be(200).json == api.get(f"{done.pinned}/{what}").json


@check("start.same-again", "run_completes: result")
def test_the_answers_about_a_closed_run_do_not_change(api: Client) -> None:
    done = api.finished("succeeds")
    for what in _told(api):
        first, second = (api.get(f"{done.base}/{what}").must_be(200) for _ in range(2))
        assert first.json == second.json
    assert api.get(f"{done.base}/result").json == done.result


@check("start.latest-run", "continue_as_new, workflow_id")
def test_a_workflow_id_means_its_latest_run(api: Client) -> None:
    first = api.start("conf_echo", {"n": 1})
    api.until_closed(first.id)
    second = api.start("conf_timer", {"ms": 60_000}, workflowId=first.id)
    assert second.run_id != first.run_id
    api.get(f"{first.base}/status").must_be(200, runId=second.run_id, status="running")
    api.get(f"{first.pinned}/status").must_be(200, runId=first.run_id, status="completed")
    assert api.output(api.get(f"{first.pinned}/result").must_be(200, runId=first.run_id).json) == {"n": 1}


@check("start.chain", "continue_as_new")
def test_a_chain_of_runs_has_the_first_input_and_the_last_result(api: Client) -> None:
    begun = api.start("conf_chain", {"value": 0, "limit": 2})
    assert api.until_closed(begun.id) == "completed"
    last = api.get(f"{begun.base}/status").must_be(200).json["runId"]
    assert last != begun.run_id
    if api.server.judged.api_since("0.10.0"):
        api.get(f"{begun.base}/input").must_be(200, runId=begun.run_id, input={"value": 0, "limit": 2})
        api.get(f"{begun.base}/runs/{last}/input").must_be(200, runId=last, input={"value": 1, "limit": 2})
    api.get(f"{begun.pinned}/status").must_be(200, status="continued_as_new")
    api.get(f"{begun.pinned}/result").must_be(200, status="continued_as_new", output=None, error=None)
    assert api.output(api.get(f"{begun.base}/result").must_be(200, runId=last).json) == {"value": 2}
