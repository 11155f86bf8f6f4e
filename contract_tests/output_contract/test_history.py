"""A run's history, page by page."""

from __future__ import annotations

import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from output_contract.checks import case, check
from output_contract.client import Client
from output_contract.events import must_be_same
from output_contract.test_routing import UNKNOWN_RUN

CLOSING = {
    "completed": "WORKFLOW_EXECUTION_COMPLETED",
    "failed": "WORKFLOW_EXECUTION_FAILED",
    "cancelled": "WORKFLOW_EXECUTION_CANCELED",
    "terminated": "WORKFLOW_EXECUTION_TERMINATED",
    "timed_out": "WORKFLOW_EXECUTION_TIMED_OUT",
    "continued_as_new": "WORKFLOW_EXECUTION_CONTINUED_AS_NEW",
}
# Which fields of events point to which kind of earlier event.
POINTERS = {
    ("WORKFLOW_TASK_STARTED", "scheduledEventId"): "WORKFLOW_TASK_SCHEDULED",
    ("WORKFLOW_TASK_COMPLETED", "scheduledEventId"): "WORKFLOW_TASK_SCHEDULED",
    ("WORKFLOW_TASK_COMPLETED", "startedEventId"): "WORKFLOW_TASK_STARTED",
    ("ACTIVITY_TASK_SCHEDULED", "workflowTaskCompletedEventId"): "WORKFLOW_TASK_COMPLETED",
    ("ACTIVITY_TASK_STARTED", "scheduledEventId"): "ACTIVITY_TASK_SCHEDULED",
    ("ACTIVITY_TASK_COMPLETED", "scheduledEventId"): "ACTIVITY_TASK_SCHEDULED",
    ("ACTIVITY_TASK_COMPLETED", "startedEventId"): "ACTIVITY_TASK_STARTED",
    ("ACTIVITY_TASK_FAILED", "scheduledEventId"): "ACTIVITY_TASK_SCHEDULED",
    ("ACTIVITY_TASK_FAILED", "startedEventId"): "ACTIVITY_TASK_STARTED",
    ("TIMER_FIRED", "startedEventId"): "TIMER_STARTED",
    ("WORKFLOW_EXECUTION_COMPLETED", "workflowTaskCompletedEventId"): "WORKFLOW_TASK_COMPLETED",
}
BOTH_ENDS = pytest.mark.parametrize("role", ["succeeds", "fails"])
_PAYLOADS = {"input", "result", "failure", "details", "lastFailure"}


def _attributes(event: dict[str, Any]) -> dict[str, Any]:
    (attributes,) = [value for name, value in event.items() if name.endswith("EventAttributes")]
    assert isinstance(attributes, dict)
    return attributes


def _number(value: Any) -> int:
    return int(value["low"]) if isinstance(value, dict) else int(value)


@BOTH_ENDS
@check("history.whole", "run_completes, run_fails_fatal: history")
def test_a_history_begins_with_the_start_and_ends_with_the_end_of_the_run(api: Client, role: str) -> None:
    done = api.finished(role)
    events = api.walk(done.base)
    assert [event["eventId"] for event in events] == [str(number) for number in range(1, len(events) + 1)]
    kinds = [event["eventTypeName"] for event in events]
    assert kinds[0] == "WORKFLOW_EXECUTION_STARTED"
    assert kinds[-1] == CLOSING[done.result["status"]]
    assert len([kind for kind in kinds if kind in CLOSING.values()]) == 1, "it ends once"


@BOTH_ENDS
@check("history.workflow", "history_paging: workflow")
def test_the_first_page_describes_the_run(api: Client, role: str) -> None:
    done = api.finished(role)
    events = api.walk(done.base)
    workflow = api.get(f"{done.base}/history?pageSize=50").must_be(200, runId=done.run_id).json["workflow"]
    assert (workflow["workflowId"], workflow["runId"]) == (done.id, done.run_id)
    assert (workflow["status"], workflow["historyLength"]) == (done.result["status"], len(events))
    assert workflow["startTime"] == events[0]["eventTime"]
    assert workflow["closeTime"] == events[-1]["eventTime"]


@BOTH_ENDS
@check("history.pointers", "run_completes, run_fails_fatal: history")
def test_event_ids_in_events_point_to_the_right_earlier_events(api: Client, role: str) -> None:
    events = api.walk(api.finished(role).base)
    kinds = [event["eventTypeName"] for event in events]
    for event in events:
        for field, value in _attributes(event).items():
            wanted = POINTERS.get((event["eventTypeName"], field))
            if wanted is not None:
                target = _number(value)
                assert 0 < target < int(event["eventId"]), f"{event['eventTypeName']} points forward"
                assert kinds[target - 1] == wanted, f"{event['eventTypeName']}.{field} points elsewhere"


@check("history.input-and-result", "run_completes: includePayloads=true")
def test_a_history_has_the_input_and_the_result(api: Client) -> None:
    events = api.walk(api.start_and_end("conf_sum", {"a": 1, "b": 2}).base)
    assert _attributes(events[0])["input"] == [{"a": 1, "b": 2}]
    (result,) = _attributes(events[-1])["result"]
    # Older workers wrap what a workflow returns.
    assert (result if api.server.judged.sdk_since("0.11.0") else result["output"]) == {"total": 3}


@check("history.typical", "run_completes: history", "observed")
def test_a_run_of_one_step_has_the_usual_events(api: Client) -> None:
    kinds = [
        event["eventTypeName"] for event in api.walk(api.start_and_end("conf_untraced", {"text": "x"}).base)
    ]
    task = ["WORKFLOW_TASK_SCHEDULED", "WORKFLOW_TASK_STARTED", "WORKFLOW_TASK_COMPLETED"]
    step = ["ACTIVITY_TASK_SCHEDULED", "ACTIVITY_TASK_STARTED", "ACTIVITY_TASK_COMPLETED"]
    begins, ends = ["WORKFLOW_EXECUTION_STARTED", *task], [*step, *task, "WORKFLOW_EXECUTION_COMPLETED"]
    if not api.server.judged.sdk_since("0.10.0"):
        # Older workers ask where the trace goes even without tracing.
        begins += [*step, *task]
    noted = ["WORKFLOW_PROPERTIES_MODIFIED"] * (len(kinds) - len(begins) - len(ends))
    assert kinds == [*begins, *noted, *ends]


@check("history.payloads", "run_completes: history")
def test_payloads_are_included_only_on_request(api: Client) -> None:
    done = api.finished("succeeds")
    for query in ("", "&includePayloads=false"):
        events = api.get(f"{done.base}/history?pageSize=50{query}").must_be(200).json["events"]
        assert not [event for event in events if _PAYLOADS & set(_attributes(event))]
    full = api.walk(done.base)
    bare = api.walk(done.base, includePayloads="false")
    assert [event["eventId"] for event in full] == [event["eventId"] for event in bare]
    assert "result" in _attributes(full[-1])


@check("history.pages", "history_paging")
def test_pages_of_any_size_make_the_same_history(api: Client, examples: settings) -> None:
    """Pages of any size, even of changing sizes, have the same events."""
    done = api.finished("succeeds")
    events = api.walk(done.base)

    @examples
    @given(st.lists(st.integers(1, 50), min_size=1, max_size=4), st.booleans())
    def are_the_same(sizes: list[int], pinned: bool) -> None:
        base = done.pinned if pinned else done.base
        must_be_same(api.walk(base, itertools.cycle(sizes)), events)

    are_the_same()


@check("history.later-pages", "history_paging: workflow null", "recommended")
def test_only_the_first_page_describes_the_run(api: Client) -> None:
    done = api.finished("succeeds")
    first = api.get(f"{done.base}/history?pageSize=1").must_be(200).json
    assert first["workflow"] is not None
    token = quote(first["nextPageToken"], safe="")
    second = api.get(f"{done.pinned}/history?pageSize=1&pageToken={token}").must_be(200).json
    assert second["workflow"] is None
    assert second["runId"] == done.run_id


@check("history.same-again", "run_completes: history")
def test_the_history_of_a_closed_run_does_not_change(api: Client) -> None:
    done = api.finished("succeeds")
    events = api.walk(done.base)
    must_be_same(api.walk(done.pinned), events)
    must_be_same(api.walk(done.base), events)


@check("history.grows", "history_long_poll")
def test_a_history_only_grows(api: Client) -> None:
    work, begun = api.waiting()
    before = api.walk(begun.base)
    api.approve(work, begun)
    api.until_closed(begun.id)
    must_be_same(api.walk(begun.base)[: len(before)], before)


WRONG_QUERIES = {
    "pageSize=0": ("pageSize", "too_small"),
    "pageSize=51": ("pageSize", "too_big"),
    "pageSize=x": ("pageSize", "invalid_type"),
    "pageSize=1.5": ("pageSize", "invalid_type"),
    "includePayloads=yes": ("includePayloads", "invalid_union"),
    "pageToken=AAAA": ("runId", "custom"),
    f"runId={UNKNOWN_RUN}&pageToken=%21%21": ("pageToken", "invalid_format"),
}


@pytest.mark.parametrize("query", [*WRONG_QUERIES, case("longPollTimeoutMs=0", since="0.11.0")])
@check("history.query", "history_paging: 400 ValidationError")
def test_invalid_query_parameters_are_refused(api: Client, query: str) -> None:
    done = api.finished("succeeds")
    wrong, code = WRONG_QUERIES.get(query, ("longPollTimeoutMs", "too_small"))
    answer = api.get(f"{done.base}/history?{query}").must_be(400, "ValidationError")
    assert [(issue["path"], issue["code"]) for issue in answer.json["issues"]] == [([wrong], code)]


@check("history.bad-token", "history_paging: 400 InvalidPageTokenError")
def test_an_invalid_page_token_is_refused(api: Client) -> None:
    done = api.finished("succeeds")
    answer = api.get(f"{done.base}/history?runId={done.run_id}&pageToken=AAAA")
    answer.must_be(400, "InvalidPageTokenError")


@check("history.empty-token", "history_paging: pageToken=", "observed")
def test_an_empty_page_token_is_ignored(api: Client) -> None:
    done = api.finished("succeeds")
    page = api.get(f"{done.base}/history?pageToken=").must_be(200).json
    assert page == api.get(f"{done.base}/history").must_be(200).json


@check("history.run", "history_paging: runId")
def test_a_run_can_be_chosen_with_run_id(api: Client) -> None:
    done = api.finished("succeeds")
    api.get(f"{done.base}/history?runId={done.run_id}").must_be(200, runId=done.run_id)
    answer = api.get(f"{done.base}/history?runId={UNKNOWN_RUN}")
    answer.must_be(404, "WorkflowNotFoundError", workflowId=done.id)


@check("history.malformed-run", "history_paging: runId=notauuid", "observed")
def test_a_run_id_that_is_not_a_uuid_is_refused(api: Client) -> None:
    done = api.finished("succeeds")
    answer = api.get(f"{done.base}/history?runId=notauuid")
    answer.must_be(400, "ServiceError")
    if api.server.judged.api_since("0.9.0"):
        answer.must_be(400, workflowId=done.id)


@check("history.long-poll-ends", "history_long_poll: 500 ms", since="0.11.0")
def test_a_long_poll_without_events_returns_the_same_token(api: Client) -> None:
    _, begun = api.waiting()
    poll = f"{begun.base}/history?pageSize=50&longPollTimeoutMs=300"
    page = api.get(poll).must_be(200, runId=begun.run_id).json
    silent = 0
    for _ in range(6):
        token = page["nextPageToken"]
        assert token is not None, "there may be more as long as the run runs"
        page = api.get(f"{poll}&runId={begun.run_id}&pageToken={quote(token, safe='')}").must_be(200).json
        # A token from a page with events may describe the same place differently from a token of an empty
        # page.
        silent = 0 if page["events"] else silent + 1
        if silent == 2:
            break
    assert page["events"] == []
    assert page["nextPageToken"] == token
    assert page["workflow"]["status"] == "running"


@check("history.long-poll-ignored", "history_long_poll, history_paging: longPollTimeoutMs=0", until="0.11.0")
def test_long_polls_are_ignored(api: Client) -> None:
    _, begun = api.waiting()
    for timeout in ("0", "5000"):
        page = api.get(f"{begun.base}/history?pageSize=50&longPollTimeoutMs={timeout}")
        page.must_be(200, runId=begun.run_id, nextPageToken=None)


@check("history.long-poll", "history_long_poll: 2000 ms", since="0.11.0")
def test_a_long_poll_is_answered_as_soon_as_there_is_an_event(api: Client) -> None:
    work, begun = api.waiting()
    poll = f"{begun.pinned}/history?pageSize=50&includePayloads=true&longPollTimeoutMs=5000"
    events: list[dict[str, Any]] = []
    token = ""
    with ThreadPoolExecutor(1) as pool:
        approved = None
        limit = time.monotonic() + api.server.patience
        while time.monotonic() < limit:
            page = api.get(f"{poll}{token and '&pageToken='}{quote(token, safe='')}").must_be(200).json
            events += page["events"]
            if page["nextPageToken"] is None:
                break
            token = page["nextPageToken"]
            if approved is None:
                approved = pool.submit(api.approve, work, begun)
        if approved is not None:
            approved.result(timeout=60)
    must_be_same(events, api.walk(begun.base))
    assert events[-1]["eventTypeName"] in CLOSING.values()


@check("history.any-query", "history_paging, further/fact_http_history_query")
def test_no_query_string_causes_an_unexpected_answer(api: Client, examples: settings) -> None:
    done = api.finished("succeeds")
    names = ["pageSize", "pageToken", "includePayloads", "runId", "longPollTimeoutMs", "pageSize[]", "x"]
    texts = st.sampled_from(
        ["", "0", "1", "50", "51", "-1", "1e1", "true", "false", done.run_id, "AAAA", "null"]
    )
    texts |= st.text(st.characters(codec="utf-8"), max_size=8)
    pairs = st.lists(st.tuples(st.sampled_from(names), texts), max_size=4)

    @examples
    @given(pairs)
    def is_answered(pairs: list[tuple[str, str]]) -> None:
        query = "&".join(f"{name}={quote(text, safe='')}" for name, text in pairs)
        answer = api.get(f"{done.base}/history?{query}")
        assert answer.status in (200, 400, 404), answer.text

    is_answered()
