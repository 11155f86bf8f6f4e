"""The result of a closed run, mostly of a failed one."""

from __future__ import annotations

from typing import Any

import pytest

from output_contract import results
from output_contract.checks import check
from output_contract.client import Client
from output_contract.server import CLOSED

STEP = {"activityType": "conf_fail#fail"}
FAILURES: dict[str, dict[str, Any]] = {
    "error": {**STEP, "name": "Error", "message": "plain error in step"},
    "fatal": {**STEP, "name": "FatalError", "message": "fatal in step"},
    "cause": {
        **STEP,
        "name": "QuotaError",
        "message": "quota exceeded",
        "limit": 10,
        "cause": {"name": "TypeError", "message": "inner reason"},
    },
    "validation": {**STEP, "name": "ValidationError", "message": "validation in step"},
    "workflow": {"name": "FatalError", "message": "workflow body failed"},
}
REFUSED = {
    "bad_step_output": ("conf_fail#fail", 'Step "fail" output validation failed'),
    "bad_output": (None, 'Workflow "conf_fail" output validation failed'),
}


@pytest.mark.parametrize("mode", FAILURES)
@check("results.error", "run_fails_error, _fatal, _cause, _validation, _workflow")
def test_an_error_has_its_name_message_and_other_properties(api: Client, mode: str) -> None:
    result = api.run("conf_fail", {"mode": mode})
    assert (result["status"], result["output"]) == ("failed", None)
    api.must_have_failed(result, FAILURES[mode])


@pytest.mark.parametrize("mode", REFUSED)
@check("results.refused-output", "run_fails_bad_step_output, run_fails_bad_output")
def test_an_output_that_does_not_fit_its_schema_fails_the_run(api: Client, mode: str) -> None:
    step, words = REFUSED[mode]
    result, judged = api.run("conf_fail", {"mode": mode}), api.server.judged
    assert (results.error_name(judged, result), results.error_step(judged, result)) == (
        "ValidationError",
        step,
    )
    assert words in results.error_message(judged, result)


@check("results.thrown-text", "run_fails_string", "observed")
def test_a_thrown_string_is_a_temporal_failure(api: Client) -> None:
    result, judged = api.run("conf_fail", {"mode": "string"}), api.server.judged
    name = "TemporalFailure" if judged.has_second_results else "WorkflowFailedError"
    assert results.error_name(judged, result) == name
    assert results.error_message(judged, result).startswith("just a string")


@pytest.mark.parametrize("role", ["succeeds", "fails"])
@check("results.closed", "run_completes, run_fails_fatal")
def test_status_and_result_agree(api: Client, role: str) -> None:
    done = api.finished(role)
    expected = {"succeeds": "completed", "fails": "failed"}[role]
    status = api.get(f"{done.base}/status").must_be(200, status=expected, runId=done.run_id).json
    assert done.result["status"] in CLOSED
    assert (done.result["status"], done.result["runId"]) == (expected, done.run_id)
    assert status["completedAt"] >= status["startedAt"]
    assert (done.result["error"] is None) == (expected == "completed")


@pytest.mark.parametrize("role", ["succeeds", "fails"])
@check("results.same-as-run", "run_completes: run and result")
def test_run_and_result_return_the_same(api: Client, role: str) -> None:
    result = api.run_role(role)
    assert api.get(f"/workflow/{result['workflowId']}/result").must_be(200).json == result


@check("results.keys", "run_completes: v", "recommended", since="0.11.0", sdk_since="0.11.0")
def test_a_result_is_of_version_2(api: Client) -> None:
    assert api.finished("succeeds").result["v"] == "2"
