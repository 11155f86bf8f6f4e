"""Where clients find the trace of a run."""

from __future__ import annotations

from output_contract.checks import check
from output_contract.client import Answer, Client, Finished


def _trace(api: Client, done: Finished, base: str) -> Answer:
    """The answer about a trace. The worker writes a remote one a moment after the run has closed."""
    answers: list[Answer] = []

    def there() -> bool:
        answers.append(api.get(f"{base}/trace-log"))
        return answers[-1].status != 500

    remote = "remote" in api.places(done.result)
    if not there() and remote:
        api.until(there, "the trace has been uploaded", within=15)
    return answers[-1]


def _type(api: Client, done: Finished) -> str:
    return api.server.workflow_names().get(done.role.workflow, done.role.workflow)


@check("traces.running", "start_and_poll: trace-log")
def test_a_running_run_has_no_trace(api: Client) -> None:
    begun = api.started("takes_long")
    for base in (begun.base, begun.pinned):
        api.get(f"{base}/trace-log").must_be(424, "WorkflowNotCompletedError")


@check("traces.closed", "run_completes, remote_trace, untraced")
def test_the_trace_of_a_closed_run_is_where_its_result_says(api: Client) -> None:
    done = api.finished("succeeds")
    trace = api.places(done.result)
    for base in (done.base, done.pinned):
        answer = _trace(api, done, base)
        if not trace:
            answer.must_be(404, "TraceNotAvailableError", workflowId=done.id)
        elif "remote" in trace:
            data = answer.must_be(200, source="remote", runId=done.run_id).json["data"]
            assert (data["kind"], data["name"]) == ("workflow", _type(api, done)), "the tree of the run"
        else:
            answer.must_be(200, source="local", runId=done.run_id, localPath=trace["local"])


@check("traces.failed", "run_fails_fatal, remote_trace")
def test_a_failed_run_has_a_trace_too(api: Client) -> None:
    done = api.finished("fails")
    answer = _trace(api, done, done.base)
    assert answer.status == (200 if api.places(done.result) else 404), answer.text


@check("traces.untraced", "untraced")
def test_an_untraced_workflow_has_no_trace(api: Client) -> None:
    result = api.run("conf_untraced", {"text": "x"})
    if api.server.judged.has_second_results:
        assert result["trace"] is None
    assert api.places(result) == {}
    answer = api.get(f"/workflow/{result['workflowId']}/trace-log")
    answer.must_be(404, "TraceNotAvailableError", workflowId=result["workflowId"])


@check("traces.stopped", "stop_default, terminate: trace-log", "recommended")
def test_a_terminated_run_has_the_trace_that_its_result_says(api: Client) -> None:
    begun = api.start("conf_approval", {"topic": "x"})
    api.until_stage(begun, "getProgress", "review")
    api.post(f"{begun.base}/terminate", {}).must_be(200)
    trace = api.places(api.get(f"{begun.base}/result").must_be(200).json)
    answer = api.get(f"{begun.base}/trace-log")
    if "remote" in trace:
        answer.must_be(500, "TraceFileDownloadError")  # a terminated run never uploads
    elif "local" in trace:
        answer.must_be(200, source="local", localPath=trace["local"])
    else:
        answer.must_be(404, "TraceNotAvailableError")
