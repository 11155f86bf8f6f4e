"""Runs whose history exceeds the limits, as measured on the real server.

Measured with these workflows on output-api 0.11.0 and Temporal's development server with its default limits
(50 MiB, 51,200 events). Sizes are those of the sent data.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from output_mock import OutputMock, Script
from output_mock.contract.rendering import render
from output_mock.engine.history_limits import MOST_EVENTS, Measured, size_of
from tests.client import Client

script = Script()


@script.workflow("gather")
async def gather(ctx: Any, given: Any) -> Any:
    while True:
        await ctx.wait_for_signal("item")


@script.workflow("big")
async def big(ctx: Any, given: Any) -> Any:
    for number in range(given["n"]):
        await ctx.step("large", {"i": number}, returns="x" * given["size"])
    return "done"


@script.workflow("ticks")
async def ticks(ctx: Any, given: Any) -> Any:
    for number in range(given["steps"]):
        await ctx.step("first", number, returns=None)
    while True:
        await ctx.sleep("1ms")


@pytest.fixture
def mock() -> OutputMock:
    return OutputMock(scripts=[script])


def last_events(mock: OutputMock, workflow_id: str, count: int) -> list[dict[str, Any]]:
    run = mock.world.find(workflow_id)
    first = len(run.history) - count + 1
    return [
        render(run.info, number, event, include_payloads=False)
        for number, event in enumerate(run.history.events[-count:], first)
    ]


def result(client: Client, workflow_id: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"/workflow/{workflow_id}/result").json
    return found


TOO_LARGE = {"name": "TerminatedFailure", "message": "Workflow history size exceeds limit."}
TOO_MANY = {"name": "TerminatedFailure", "message": "Workflow history count exceeds limit."}


def test_signals_beyond_50_mib_terminate_the_run(mock: OutputMock) -> None:
    client = Client(mock)
    client.start("gather", workflowId="signalled")
    body = {"payload": {"x": "y" * 1_900_000}}
    path = "/workflow/signalled/signal/item"
    answers = [client.post(path, body) for _ in range(29)]
    assert [answer.status for answer in answers] == [200] * 28 + [404]
    assert answers[-1].json == {
        "error": "WorkflowNotFoundError",
        "message": "workflow execution already completed",
        "workflowId": "signalled",
    }
    assert client.get("/workflow/signalled/status").json["status"] == "terminated"
    ended = result(client, "signalled")
    assert (ended["status"], ended["output"], ended["error"]) == ("terminated", None, TOO_LARGE)
    *_, signalled, scheduled, terminated = last_events(mock, "signalled", 3)
    assert signalled["eventTypeName"] == "WORKFLOW_EXECUTION_SIGNALED"
    assert scheduled["eventTypeName"] == "WORKFLOW_TASK_SCHEDULED"
    assert terminated["eventTypeName"] == "WORKFLOW_EXECUTION_TERMINATED"
    assert terminated["workflowExecutionTerminatedEventAttributes"] == {
        "reason": "Workflow history size exceeds limit.",
        "identity": "history-service",
    }


def test_a_signal_that_exceeds_the_history_limit_is_refused_and_ends_the_run(
    mock: OutputMock,
) -> None:
    client = Client(mock)
    client.start("gather", workflowId="away")
    mock.world.poll()
    mock.world.catalog().set_worker(False)
    body = {"payload": {"x": "y" * 1_900_000}}
    answers = [client.post("/workflow/away/signal/item", body) for _ in range(30)]
    assert [answer.status for answer in answers] == [200] * 28 + [400, 404]
    assert answers[28].json == {"error": "ServiceError", "message": "Failed to signal Workflow"}
    assert result(client, "away")["error"] == TOO_LARGE
    signalled, terminated = last_events(mock, "away", 2)
    assert signalled["eventTypeName"] == "WORKFLOW_EXECUTION_SIGNALED"
    assert terminated["eventTypeName"] == "WORKFLOW_EXECUTION_TERMINATED"


def test_steps_beyond_50_mib_terminate_the_run(mock: OutputMock) -> None:
    client = Client(mock)
    ended = client.run("big", {"n": 90, "size": 600_000}, workflowId="stepped")
    assert (ended["status"], ended["output"], ended["error"]) == ("terminated", None, TOO_LARGE)
    events = last_events(mock, "stepped", 8)
    assert [event["eventTypeName"] for event in events] == [
        "WORKFLOW_TASK_SCHEDULED",
        "WORKFLOW_TASK_STARTED",
        "WORKFLOW_TASK_COMPLETED",
        "ACTIVITY_TASK_SCHEDULED",
        "ACTIVITY_TASK_STARTED",
        "ACTIVITY_TASK_COMPLETED",
        "WORKFLOW_TASK_SCHEDULED",
        "WORKFLOW_EXECUTION_TERMINATED",
    ]
    assert events[-1]["eventId"] == "539"


@pytest.mark.parametrize("steps", range(5))
def test_a_run_ends_at_51200_events(mock: OutputMock, steps: int) -> None:
    client = Client(mock)
    ended = client.run("ticks", {"steps": steps}, workflowId="counted")
    assert (ended["status"], ended["error"]) == ("terminated", TOO_MANY)
    events = last_events(mock, "counted", 6)
    assert events[-1]["eventTypeName"] == "WORKFLOW_EXECUTION_TERMINATED"
    assert events[-1]["workflowExecutionTerminatedEventAttributes"]["identity"] == "history-service"
    # The last event before the limit, and the one that would have been next.
    written = int(events[-1]["eventId"]) - 1
    following = {
        "TIMER_STARTED": 2,
        "WORKFLOW_TASK_SCHEDULED": 1,
        "WORKFLOW_TASK_STARTED": 2,
    }[events[-2]["eventTypeName"]]
    assert written <= MOST_EVENTS < written + following
    # Measured with a fired timer as the last event.
    if written == MOST_EVENTS and following == 1:
        assert events[-3]["eventTypeName"] == "TIMER_FIRED"


def test_a_history_up_to_50_mib_is_accepted_and_each_event_is_measured_once(mock: OutputMock) -> None:
    client = Client(mock)
    ended = client.run("big", {"n": 87, "size": 600_000}, workflowId="just-so")
    assert ended["status"] == "completed"
    run = mock.world.find("just-so")
    measured = Measured()
    assert measured.exceeded(run.history, 0) is None
    # On the real server 87 such steps were 52,342,483 bytes.
    assert abs(measured._bytes - 52_342_483) < 60_000
    assert measured._events == len(run.history)


@pytest.mark.parametrize("value", [{"a": ["é" * 20, {"b": None}]}, "x" * 1000, [1, 2, [3]], {}])
def test_values_are_measured_approximately_by_their_json_length(mock: OutputMock, value: Any) -> None:
    run = mock.world.start("gather", value)
    empty = mock.world.start("gather")
    size, without = (sum(map(size_of, one.history.events)) for one in (run, empty))
    length = len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())
    assert abs(size - without - length) <= 20
