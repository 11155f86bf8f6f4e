"""Signals, queries, updates and feedback."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from output_contract import results
from output_contract.checks import check
from output_contract.client import Begun, Client
from output_contract.events import must_be_same
from output_contract.server import CLOSED, UNSENT

NO_OBJECTS: dict[str, Any] = {"text": "not an object", "list": [1], "null": None, "number": 5, "true": True}


@pytest.fixture
def approval(api: Client) -> Begun:
    """A run of the pack that waits for its approval."""
    api.server.need("conf_approval")
    begun = api.start("conf_approval", {"topic": "bees"})
    api.until_stage(begun, "getProgress", "review")
    return begun


@check("messages.signal", "approval: signal")
def test_a_signal_lets_the_workflow_continue(api: Client) -> None:
    work, begun = api.waiting()
    api.approve(work, begun)
    assert api.until_closed(begun.id) == "completed"
    if work.packed:
        output = api.output(api.get(f"{begun.base}/result").must_be(200).json)
        assert (output["approvedBy"], output["notes"]) == ("ana", [{"by": "ana"}])


@check("messages.signal-kept", "approval: history")
def test_a_signal_is_in_the_history(api: Client) -> None:
    work, begun = api.waiting()
    api.approve(work, begun)
    kinds = {"WORKFLOW_EXECUTION_SIGNALED"}
    signals = [event for event in api.walk(begun.pinned) if event["eventTypeName"] in kinds]
    (attributes,) = [event["workflowExecutionSignaledEventAttributes"] for event in signals]
    assert attributes["signalName"] == work.signal


@check("messages.signal-without-body", "approval_signal_without_body")
def test_a_signal_needs_no_body(api: Client, approval: Begun) -> None:
    api.post(f"{approval.base}/signal/approve").must_be_text(200, "OK")
    api.until_closed(approval.id)
    output = api.output(api.get(f"{approval.base}/result").must_be(200).json)
    assert (output["approvedBy"], output["notes"]) == ("unknown", [None])


@check("messages.unknown-signal", "approval: signal/unknown")
def test_an_unknown_signal_is_accepted_and_ignored(api: Client) -> None:
    _, begun = api.waiting()
    api.post(f"{begun.base}/signal/{api.server.new_id()}", {"payload": {"x": 1}}).must_be_text(200, "OK")
    api.get(f"{begun.base}/status").must_be(200, status="running")


@pytest.mark.parametrize("operation", ["signal/s", "query/getProgress", "update/u", "feedback"])
@pytest.mark.parametrize("case", NO_OBJECTS)
@check("messages.payload", "approval: payload")
def test_a_payload_must_be_an_object(api: Client, case: str, operation: str) -> None:
    done = api.finished("succeeds")
    answer = api.post(f"{done.base}/{operation}", {"payload": NO_OBJECTS[case]})
    (issue,) = answer.must_be(400, "ValidationError").json["issues"]
    assert (issue["path"], issue["expected"]) == (["payload"], "object")


@check("messages.broken-body", "approval: {")
def test_a_malformed_body_is_refused(api: Client) -> None:
    _, begun = api.waiting()
    headers = {"Content-Type": "application/json"}
    api.post(f"{begun.base}/signal/x", data="{", headers=headers).must_be(400, "SyntaxError")


@check("messages.query", "approval: query")
def test_a_query_is_answered_with_what_its_handler_returns(api: Client, approval: Begun) -> None:
    query = f"{approval.base}/query/getProgress"
    assert api.post(query, {}).must_be(200).json == {"stage": "review"}
    verbose = api.post(query, {"payload": {"verbose": True}}).must_be(200).json
    assert verbose == {"stage": "review", "approvedBy": None, "threshold": 0.8, "notes": []}
    assert api.post(query).must_be(200).json == {"stage": "review"}, "it needs no body"


@check("messages.query-nothing", "approval: query/nothing", "recommended")
def test_a_query_that_returns_nothing_has_an_empty_body(api: Client, approval: Begun) -> None:
    answer = api.post(f"{approval.base}/query/nothing", {}).must_be_text(200, "")
    assert answer.headers["content-type"] == "application/json; charset=utf-8"


@check("messages.unknown-query", "approval: query/unknown")
def test_an_unknown_query_is_a_500_that_names_it(api: Client) -> None:
    _, begun = api.waiting()
    name = api.server.new_id()
    answer = api.post(f"{begun.base}/query/{name}", {}).must_be(500, "QueryNotRegisteredError")
    assert name in answer.json["message"], "it names the query"


@check("messages.any-name", "approval: unknown names; further/fact_http_ids")
def test_no_name_causes_an_unexpected_answer(api: Client, examples: settings) -> None:
    """A signal may have any name. The server rejects queries and updates with an unknown name."""
    _, begun = api.waiting()
    expected = {
        "signal": (200, None),
        "query": (500, "QueryNotRegisteredError"),
        "update": (500, "WorkflowUpdateFailedError"),
    }
    names = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=20)

    @examples
    @given(st.sampled_from(sorted(expected)), names)
    def is_answered(operation: str, name: str) -> None:
        path = f"{begun.base}/{operation}/x{quote(name, safe='')}"
        api.post(path, {"payload": {}}).must_be(*expected[operation])

    is_answered()
    api.get(f"{begun.base}/status").must_be(200, status="running")


@check("messages.broken-query", "approval: query/broken")
def test_a_query_whose_handler_throws_is_a_500_with_its_message(api: Client, approval: Begun) -> None:
    answer = api.post(f"{approval.base}/query/broken", {})
    answer.must_be(500, "QueryNotRegisteredError", message="query handler broke")


@check("messages.query-does-nothing", "approval: query")
def test_a_query_adds_nothing_to_the_history(api: Client, approval: Begun) -> None:
    before = api.walk(approval.pinned)
    for _ in range(3):
        api.post(f"{approval.base}/query/getProgress", {}).must_be(200)
    must_be_same(api.walk(approval.pinned), before)


@check("messages.update", "approval: update")
def test_an_update_returns_what_its_handler_returns(api: Client, approval: Begun) -> None:
    update = f"{approval.base}/update/setThreshold"
    assert api.post(update, {"payload": {"threshold": 0.9}}).must_be(200).json == 0.8
    assert api.post(update, {"payload": {"threshold": 0.7}}).must_be(200).json == 0.9
    verbose = api.post(f"{approval.base}/query/getProgress", {"payload": {"verbose": True}}).must_be(200).json
    assert verbose["threshold"] == 0.7


@pytest.mark.parametrize("body", [{"payload": {"threshold": "high"}}, {}], ids=["wrong", "nothing"])
@check("messages.refused-update", "approval: update, its validator")
def test_an_update_that_is_refused_changes_nothing(api: Client, approval: Begun, body: Any) -> None:
    api.post(f"{approval.base}/update/setThreshold", body).must_be(500, "WorkflowUpdateFailedError")
    verbose = api.post(f"{approval.base}/query/getProgress", {"payload": {"verbose": True}}).must_be(200).json
    assert verbose["threshold"] == 0.8


@pytest.mark.parametrize("name", ["brokenUpdate", "unknown"])
@check("messages.failed-update", "approval: update/brokenUpdate, update/unknown")
def test_an_update_that_fails_is_a_500_and_the_run_continues(api: Client, approval: Begun, name: str) -> None:
    answer = api.post(f"{approval.base}/update/{name}", {"payload": {}})
    answer.must_be(500, "WorkflowUpdateFailedError")
    api.get(f"{approval.base}/status").must_be(200, status="running")


@check("messages.update-waits", "approval: update/waitForApproval")
def test_an_update_is_answered_once_its_handler_is_done(api: Client, approval: Begun) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(api.post, f"{approval.base}/update/waitForApproval", {"payload": {}})
        # In either order, the approval answers the update.
        api.post(f"{approval.base}/signal/approve", {"payload": {"by": "bo"}}).must_be_text(200, "OK")
        answer = waiting.result(timeout=90)
    if answer.status == 200:
        assert answer.json == "bo"
    else:
        # The run ended before the update arrived.
        answer.must_be(404, "WorkflowNotFoundError")
    assert api.until_closed(approval.id) == "completed"


@pytest.mark.parametrize("operation", ["signal/approve", "update/setThreshold", "feedback"])
@check("messages.too-late", "approval, feedback: workflow execution already completed")
def test_a_closed_run_refuses_signals_and_updates(api: Client, operation: str) -> None:
    done = api.finished("succeeds")
    answer = api.post(f"{done.base}/{operation}", {"payload": {"by": "late"}})
    answer.must_be(404, "WorkflowNotFoundError", workflowId=done.id)
    assert answer.json["message"] == "workflow execution already completed"


@check("messages.query-closed", "approval: query of the closed run")
def test_a_closed_run_answers_queries(api: Client, approval: Begun) -> None:
    api.post(f"{approval.base}/signal/approve", {"payload": {"by": "ana"}}).must_be_text(200, "OK")
    api.until_closed(approval.id)
    assert api.post(f"{approval.base}/query/getProgress", {}).must_be(200).json == {"stage": "done"}


@check("messages.feedback", "feedback")
def test_feedback_sends_the_signal_resume(api: Client) -> None:
    begun = api.start("conf_resumable")
    api.post(f"{begun.base}/feedback", {"payload": {"ok": True}}).must_be_text(200, "OK")
    assert api.until_closed(begun.id) in CLOSED
    result = api.get(f"{begun.base}/result").must_be(200, status="completed").json
    assert results.input_of(api.server.judged, result) is None
    events = api.walk(begun.base)
    (signal,) = [event for event in events if event["eventTypeName"] == "WORKFLOW_EXECUTION_SIGNALED"]
    assert signal["workflowExecutionSignaledEventAttributes"]["signalName"] == "resume"
    assert signal["workflowExecutionSignaledEventAttributes"].get("input", UNSENT) is not UNSENT
    assert api.output(result) == {"feedback": {"ok": True}}
