"""Looking back at calls, and assertions with helpful messages."""

from __future__ import annotations

from typing import Any
from unittest.mock import ANY

import pytest
import requests

from output_mock import (
    Expected,
    OutputMock,
    called,
    queried,
    reset,
    signalled,
    started,
    stopped,
    terminated,
    updated,
)


@pytest.fixture
def history(output_mock: OutputMock) -> OutputMock:
    """A fake with one call of every kind."""

    @output_mock.workflow("review", aliases=["review_v1"])
    async def review(ctx: Any, input: Any) -> Any:
        ctx.on_query("progress", lambda payload: 1)
        ctx.on_update("limit", lambda payload: 2)
        await ctx.step("draft", input, returns="text")
        return await ctx.wait_for_signal("approve")

    def post(path: str, body: Any = None, method: str = "POST") -> None:
        requests.request(method, f"{output_mock.url}{path}", json=body).raise_for_status()

    output_mock.expect_unmatched(status=424)
    post(
        "/workflow/start", {"workflowName": "review_v1", "workflowId": "a", "input": {"n": 1, "tags": ["x"]}}
    )
    post("/workflow/a/query/progress", {"payload": {"deep": True}})
    post("/workflow/a/update/limit", {"payload": {"to": 3}})
    post("/workflow/a/reset", {"stepName": "draft"})
    post("/workflow/a/signal/approve", {"payload": {"by": "ana"}})
    post("/workflow/start", {"workflowName": "review", "workflowId": "b"})
    post("/workflow/b/stop", method="PATCH")
    post("/workflow/start", {"workflowName": "review", "workflowId": "c", "catalog": "main"})
    post("/workflow/c/feedback", {"payload": {"ok": False}})
    post("/workflow/c/terminate", {"reason": "too late"})
    requests.post(f"{output_mock.url}/workflow/start", json={"workflowName": "nope"})
    return output_mock


MADE: list[Expected] = [
    started("review", {"n": 1, "tags": ["x"]}),
    started("review", workflow_id="a"),
    started("review", {"n": ANY, "tags": ANY}),
    started("review", catalog="main"),
    queried("a", "progress", {"deep": True}),
    updated("a", "limit", {"to": 3}),
    updated("a"),
    reset("a", "draft"),
    signalled("a", "approve", {"by": "ana"}),
    signalled("c", "resume", {"ok": False}),
    stopped("b"),
    terminated("c", "too late"),
    called("start", status=424),
    called("reset", workflow_id="a", workflow="review"),
]
NOT_MADE: list[tuple[Expected, str]] = [
    (started("review", {"n": 2, "tags": ["x"]}), "input.n is 1, not 2"),
    (started("review", {"tags": ["x"]}), "input.n is 1, which was not expected"),
    (started("review", {"n": 1, "tags": ["x"], "more": 1}), "input.more is missing"),
    (started("review", {"n": 1, "tags": ["x", "y"]}), 'input.tags has 1 items, not 2: ["x"]'),
    (started("review", {"n": 1, "tags": ["y"]}), 'input.tags[0] is "x", not "y"'),
    (started("review", {"n": True, "tags": ["x"]}), "input.n is 1, not true"),
    (started("review", None, workflow_id="b"), "input is missing"),
    (started("raport", workflow_id="a"), 'workflow is "review", not "raport"'),
    (started("nope"), "it was answered with 424"),
    (signalled("a", "approve", {"by": "bob"}), 'payload.by is "ana", not "bob"'),
    (signalled("a", "reject"), 'name is "approve", not "reject"'),
    (stopped("a"), 'workflow id is "b", not "a"'),
    (terminated("c", "too early"), 'reason is "too late", not "too early"'),
    (reset("a", "research"), 'step is "draft", not "research"'),
]


@pytest.mark.parametrize("expected", MADE, ids=repr)
def test_a_matching_call_is_returned(history: OutputMock, expected: Expected) -> None:
    (call, *_) = history.assert_called(expected)
    assert expected.differences(call) == []


@pytest.mark.parametrize(("expected", "difference"), NOT_MADE, ids=repr)
def test_a_missing_call_is_compared_with_the_nearest_one(
    history: OutputMock, expected: Expected, difference: str
) -> None:
    with pytest.raises(AssertionError) as failure:
        history.assert_called(expected)
    text = str(failure.value)
    assert text.startswith(f"expected {expected!r}; the nearest is\n#")
    assert f"    {difference}\n" in text
    assert "all calls:\n#1 POST /workflow/start -> 200" in text


def test_the_number_of_calls_is_checked(
    history: OutputMock,
) -> None:
    assert len(history.assert_called(started("review"), times=3)) == 3
    history.assert_called(started("other"), times=0)
    with pytest.raises(AssertionError, match="1 time; there were 3:\n#1 POST"):
        history.assert_called(started("review"), times=1)
    with pytest.raises(AssertionError, match="2 times; the nearest is\n"):
        history.assert_called(stopped("z"), times=2)


def test_the_order_of_calls_is_checked_ignoring_others_in_between(history: OutputMock) -> None:
    history.assert_called_in_order(started("review"), signalled("a", "approve"), stopped("b"))
    with pytest.raises(AssertionError) as failure:
        history.assert_called_in_order(stopped("b"), signalled("a", "approve"))
    assert "after #7, but it was made before that, as #5\nall calls:\n" in str(failure.value)
    with pytest.raises(AssertionError, match="the nearest is"):
        history.assert_called_in_order(started("review"), stopped("z"))
    # One call cannot match two expectations.
    with pytest.raises(AssertionError, match="made before that"):
        history.assert_called_in_order(stopped("b"), stopped("b"))


def test_assert_called_only_ignores_calls_that_change_nothing(output_mock: OutputMock) -> None:
    output_mock.workflow("report").returns(1)
    output_mock.assert_called_only()
    body = {"workflowName": "report", "workflowId": "r"}
    requests.post(f"{output_mock.url}/workflow/start", json=body)
    requests.get(f"{output_mock.url}/workflow/r/status")
    output_mock.assert_called_only(started("report"))
    with pytest.raises(AssertionError, match="expected a call that stopped a run"):
        output_mock.assert_called_only(started("report"), stopped("r"))
    requests.patch(f"{output_mock.url}/workflow/r/stop")
    with pytest.raises(
        AssertionError, match="no other call that changes anything, but there were:\n#3 PATCH"
    ):
        output_mock.assert_called_only(started("report"))


def test_an_assertion_reports_that_no_call_was_made(output_mock: OutputMock) -> None:
    with pytest.raises(AssertionError, match="there was no call at all"):
        output_mock.assert_called(started("report"))
    assert repr(output_mock.calls) == "no calls"


def test_an_unknown_route_cannot_be_expected() -> None:
    with pytest.raises(ValueError, match="there is no route 'sart'; did you mean 'start'"):
        called("sart")


# Selecting calls


def test_calls_can_be_selected_by_their_properties(history: OutputMock) -> None:
    calls = history.calls
    assert [call.number for call in calls(route="start")] == [1, 6, 8, 11]
    assert [call.number for call in calls(workflow="review", route="start")] == [1, 6, 8]
    assert [call.name for call in calls(workflow_id="a")] == [None, "progress", "limit", None, "approve"]
    assert calls(status=424).one().workflow == "nope"
    assert calls("PATCH", "/workflow/b/stop").one().route == "stop"
    assert calls(route="start")(status=200)[-1].workflow_id == "c"
    assert calls(route="start")[1:3] == [calls[5], calls[7]]


@pytest.mark.parametrize(
    ("first", "told"),
    [
        ("signal", "'signal' is a route and not a method; write route='signal'"),
        ("/workflow/start", "'/workflow/start' is a path and not a method; write path='/workflow/start'"),
    ],
)
def test_a_route_in_place_of_the_method_does_not_select_nothing(
    output_mock: OutputMock, first: str, told: str
) -> None:
    for select in (output_mock.calls, output_mock.expect_unmatched):
        with pytest.raises(ValueError, match=told):
            select(first)


def test_one_explains_why_there_is_not_exactly_one_call(history: OutputMock) -> None:
    with pytest.raises(
        AssertionError, match="expected one call with route 'start' and status 200, and there were 3"
    ):
        history.calls(route="start", status=200).one()
    with pytest.raises(AssertionError, match="expected one call with status 503, and there was none"):
        history.calls(status=503).one()
    with pytest.raises(ValueError, match="did you mean 'status'"):
        history.calls(route="stauts")


def test_calls_are_listed_one_per_line_with_repetitions_folded(output_mock: OutputMock) -> None:
    for path in ("/health", "/health", "/ready", "/health"):
        requests.get(f"{output_mock.url}{path}")
    assert repr(output_mock.calls) == (
        "#1 GET /health -> 200  (2 times, up to #2)\n#3 GET /ready -> 200\n#4 GET /health -> 200"
    )
    for number in range(100):
        requests.get(f"{output_mock.url}/workflow/{number}/status")
    lines = repr(output_mock.calls).splitlines()
    assert len(lines) == 41
    assert lines[20] == "… 63 more …"
