"""`POST /workflow/run`: run a workflow and wait for its end."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from output_contract import results
from output_contract.checks import check
from output_contract.client import Begun, Client
from output_contract.server import UNSENT
from output_mock.javascript_json import as_json

SUM = {"a": 1, "b": 2}


@check("run.result", "run_completes")
def test_run_returns_the_result(api: Client) -> None:
    work = api.server.role("succeeds")
    body = api.body(work.workflow, work.input)
    result = api.run_body(body).must_be(200, status="completed", error=None).json
    assert result["workflowId"] == body["workflowId"]
    if work.input is not UNSENT:
        assert result["input"] == work.input, "the input comes back as it was sent"
    if work.output is not UNSENT:
        assert api.output(result) == work.output


@check("run.failed", "run_fails_fatal")
def test_a_failed_workflow_is_still_a_200(api: Client) -> None:
    result = api.run_role("fails")
    assert (result["status"], result["output"]) == ("failed", None)
    assert results.error_name(api.server.judged, result)


@check("run.minted-id", "run_completes: workflowId")
def test_a_run_without_an_id_gets_one(api: Client) -> None:
    api.server.need("conf_sum")
    body = api.body("conf_sum", SUM)
    del body["workflowId"]
    first, second = (api.run_body(body).must_be(200).json for _ in range(2))
    assert first["workflowId"]
    assert first["workflowId"] != second["workflowId"]


VALUES: dict[str, Any] = {
    "null": None,
    "true": True,
    "false": False,
    "zero": 0,
    "fraction": -1.5,
    "empty-text": "",
    "text": "text",
    "empty-list": [],
    "empty-object": {},
    "null-inside": {"a": None},
    "unicode": [1, [2, {"x": "é中😀"}]],
    "large": 1e20,
}


@pytest.mark.parametrize("case", VALUES)
@check("run.values", "run_values")
def test_json_values_pass_through_unchanged(api: Client, case: str) -> None:
    value = VALUES[case]
    result = api.run("conf_echo", value)
    assert result["status"] == "completed"
    for got in (result["input"], api.output(result)):
        assert (got, type(got) is bool) == (value, type(value) is bool)


@check("run.inexact", "run_values: 9007199254740993", "observed")
def test_whole_numbers_are_exact_up_to_two_to_the_53rd(api: Client) -> None:
    assert api.output(api.run("conf_echo", 9007199254740993)) == 9007199254740992


def _as_doubles(value: Any) -> str:
    """JSON that is equal for values that are equal in JavaScript, in any order of keys."""
    return json.dumps(as_json(value), sort_keys=True)


@check("run.any-value", "run_values")
def test_any_json_value_passes_through_unchanged(api: Client, examples: settings) -> None:
    numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
    text = st.text(st.characters(codec="utf-8"), max_size=60)
    keys = text.filter(lambda key: key != "__proto__")
    values = st.recursive(
        text | numbers | st.booleans() | st.none(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
        max_leaves=12,
    )

    @examples
    @given(st.text(min_size=11, max_size=60) | values)
    @example([3.099350534467731e16, -2.504011371512927e16, 1.5e300, 5e-324, 0.1234567])
    def comes_out(value: Any) -> None:
        result = api.run("conf_echo", value)
        for got in (result["input"], api.output(result)):
            assert _as_doubles(got) == _as_doubles(value)

    comes_out()


def _echoed(api: Client, text: str, **reading: Any) -> tuple[Any, Any]:
    """The input and the output of a run that is sent this JSON, as `json.loads` reads them with `reading`."""
    api.server.need("conf_echo")
    body = f'{json.dumps(api.body("conf_echo"))[:-1]}, "input": {text}}}'
    answer = api.post(
        "/workflow/run",
        data=body,
        headers={"Content-Type": "application/json"},
        timeout=api.server.patience + 5,
    )
    result = dict(json.loads(answer.must_be(200).body, **reading))
    return result["input"], api.output(result)


NUMBERS = {
    "3.099350534467731e+16": "30993505344677310",
    "30993505344677312": "30993505344677310",
    "-12345678901234567890": "-12345678901234567000",
    "123456789012345678901": "123456789012345680000",
    "1e20": "100000000000000000000",
    "1000000000000000000000": "1e+21",
    "0.000001": "0.000001",
    "1E-7": "1e-7",
    "5.0": "5",
    "-0": "0",
    "-0.0": "0",
    "1e-400": "0",
}


@check("run.numbers", "further/fact_http_json, run_values: 9007199254740993", "observed")
def test_numbers_are_written_as_javascript_writes_them(api: Client) -> None:
    """The fewest digits for the same double, then zeros. Exponents begin at 1e21."""
    sent = f"[{','.join(NUMBERS)},1e999]"
    for got in _echoed(api, sent, parse_int=str, parse_float=str):
        assert got == [*NUMBERS.values(), None]


@check("run.key-order", "further/fact_http_json", "observed")
def test_integer_keys_come_first_in_objects(api: Client) -> None:
    """In ascending order. Other keys keep their order."""
    sent = '{"b": 1, "10": 2, "9": 3, "01": 4, "4294967295": 5, "4294967294": 6, "a": 7, "-1": 8, "b": 9}'
    order = ["9", "10", "4294967294", "b", "01", "4294967295", "a", "-1"]
    for got in _echoed(api, sent):
        assert list(got) == order
        assert got["b"] == 9, "of a key that comes twice the last value counts"


@check("run.no-input", "run_values, feedback: no input")
def test_a_workflow_can_run_without_input(api: Client) -> None:
    result = api.run("conf_echo")
    given = results.input_of(api.server.judged, result)
    assert (result["status"], given, api.output(result)) == ("completed", None, None)


@check("run.alias", "run_values: conf_mirror")
def test_a_workflow_can_be_run_by_its_alias(api: Client) -> None:
    result = api.run("conf_mirror", {"via": "alias"})
    assert api.output(result) == {"via": "alias"}
    started = api.get(f"/workflow/{result['workflowId']}/history?pageSize=1").must_be(200).json["events"][0]
    assert started["workflowExecutionStartedEventAttributes"]["workflowType"]["name"] == "conf_echo"


@check("run.invalid-input", "run_input_invalid")
def test_an_input_that_does_not_fit_its_schema_fails_the_run(api: Client) -> None:
    result = api.run("conf_sum", {"a": "x"})
    assert (result["status"], result["input"], result["output"]) == ("failed", {"a": "x"}, None)
    assert results.error_name(api.server.judged, result) == "ValidationError"
    assert "conf_sum" in results.error_message(api.server.judged, result)


@check("run.unknown-input-keys", "run_input_invalid: c")
def test_unknown_keys_of_the_input_do_not_reach_the_workflow(api: Client) -> None:
    result = api.run("conf_sum", {**SUM, "c": 3})
    assert api.output(result) == {"total": 3}
    assert result["input"] == {**SUM, "c": 3}, "the input is told as it was sent"


@check("run.own-id", "workflow_id")
def test_a_run_has_the_id_that_the_client_chose(api: Client) -> None:
    name = f"{api.server.new_id()} id/with odd?chars é"
    assert api.run("conf_sum", SUM, workflowId=name)["workflowId"] == name
    api.get(f"/workflow/{quote(name, safe='')}/status").must_be(200, workflowId=name, status="completed")


@check("run.any-id", "workflow_id, further/fact_http_ids")
def test_a_run_can_have_any_id(api: Client, examples: settings) -> None:
    api.server.need("conf_sum")
    texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=30)

    @examples
    @given(texts)
    def is_found(text: str) -> None:
        name = f"{api.server.new_id()}{text}"
        assert api.run("conf_sum", SUM, workflowId=name)["workflowId"] == name
        api.get(f"/workflow/{quote(name, safe='')}/status").must_be(200, workflowId=name, status="completed")

    is_found()


@check("run.id-again", "workflow_id: the closed id")
def test_the_id_of_a_closed_run_can_be_used_again(api: Client) -> None:
    first = api.run("conf_sum", SUM)
    second = api.run("conf_sum", {"a": 3, "b": 4}, workflowId=first["workflowId"])
    assert second["runId"] != first["runId"]
    assert api.output(second) == {"total": 7}
    base = f"/workflow/{first['workflowId']}"
    latest = api.get(f"{base}/result").must_be(200, runId=second["runId"]).json
    earlier = api.get(f"{base}/runs/{first['runId']}/result").must_be(200, runId=first["runId"]).json
    assert (api.output(latest), api.output(earlier)) == ({"total": 7}, {"total": 3})


@pytest.mark.parametrize("operation", ["run", "start"])
@check("run.id-taken", "workflow_id: 500 WorkflowExecutionAlreadyStartedError")
def test_the_id_of_a_running_run_cannot_be_used_again(api: Client, operation: str) -> None:
    begun = api.started("takes_long")
    work = api.server.role("takes_long")
    answer = api.post(f"/workflow/{operation}", api.body(work.workflow, work.input, workflowId=begun.id))
    answer.must_be(500, "WorkflowExecutionAlreadyStartedError", workflowId=begun.id)
    api.get(f"{begun.base}/status").must_be(200, runId=begun.run_id)


@check("run.timeout", "run_times_out_waiting: 408")
def test_a_run_continues_after_the_clients_timeout(api: Client) -> None:
    work = api.server.role("takes_long")
    body = api.body(work.workflow, work.input, timeout=300)
    name = body["workflowId"]
    api.post("/workflow/run", body).must_be(408, "WorkflowExecutionTimedOutError", workflowId=name)
    api.get(f"/workflow/{name}/status").must_be(200, status="running")


@pytest.mark.parametrize("how", ["stop", "terminate"])
@check("run.ended", "run_answers_stop, run_answers_terminate")
def test_run_reports_the_end_of_a_run_that_another_client_ended(api: Client, how: str) -> None:
    work = api.server.role("waits")
    body = api.body(work.workflow, work.input)
    path = f"/workflow/{body['workflowId']}"
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(api.run_body, body)
        # Before the run starts, there is nothing to end.
        api.until(lambda: api.get(f"{path}/status").status == 200, "the run has begun")
        if work.packed:
            api.until_stage(Begun(body["workflowId"], ""), "getProgress", "review")
        ended = api.patch(f"{path}/stop") if how == "stop" else api.post(f"{path}/terminate", {})
        ended.must_be(200)
        result = waiting.result(timeout=api.server.patience + 30).must_be(200).json
    status = api.get(f"{path}/status").must_be(200).json["status"]
    if how == "terminate":
        assert status == "terminated"
    if api.server.judged.api_since("0.11.0"):
        assert result["status"] == status, "run and status agree"
    elif status != "completed":
        assert result["status"] == "failed", "an older API knows no other word here"


@check("run.timeout-text", "body_validation: timeout '5000'", "observed")
def test_a_timeout_may_be_a_string_of_digits(api: Client) -> None:
    assert api.run("conf_sum", SUM, timeout="50000")["status"] == "completed"


@check("run.retries", "run_retries_then_completes, run_retries_exhausted", "recommended")
def test_a_failed_step_is_retried(api: Client) -> None:
    assert api.output(api.run("conf_flaky", {"failures": 1})) == {"attempt": 2}


@check("run.retries-end", "run_retries_exhausted", "recommended")
def test_retries_end_after_the_last_attempt(api: Client) -> None:
    error = {"name": "Error", "message": "attempt 3 failed", "activityType": "conf_flaky#wobble"}
    api.must_have_failed(api.run("conf_flaky", {"failures": 5}), error)


@check("run.continues", "continue_as_new: run")
def test_run_waits_for_the_end_of_a_run_that_continues_as_new(api: Client) -> None:
    result = api.run("conf_chain", {"value": 0, "limit": 2})
    assert (result["status"], api.output(result)) == ("completed", {"value": 2})
    first = f"/workflow/{result['workflowId']}/runs/{result['runId']}"
    api.get(f"{first}/status").must_be(200, status="continued_as_new")
    assert result["input"] == {"value": 0, "limit": 2}, "the result is that of the run that was asked for"


@check("run.child", "child_workflow")
def test_a_child_workflow_returns_to_its_parent(api: Client) -> None:
    assert api.output(api.run("conf_parent", {"name": "ana"})) == {"greeting": "hello ana"}


@check("run.child-fails", "child_workflow: fail")
def test_a_failed_child_workflow_fails_its_parent(api: Client) -> None:
    result = api.run("conf_parent", {"name": "bo", "fail": True})
    assert result["status"] == "failed"
    error = {"activityType": "conf_child#greet", "message": "cannot greet bo", "name": "Error"}
    api.must_have_failed(result, error)


@check("run.parallel", "parallel_steps")
def test_steps_can_run_in_parallel(api: Client) -> None:
    assert api.output(api.run("conf_fanout", {"items": [3, 1, 2]})) == {"squares": [9, 1, 4]}


@check("run.evaluator", "evaluator")
def test_an_evaluator_returns_its_verdict(api: Client) -> None:
    assert api.output(api.run("conf_judge", {"text": "long text"})) == {"verdict": True}
    assert api.output(api.run("conf_judge", {"text": "ab"})) == {"verdict": False}
