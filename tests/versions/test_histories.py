"""Histories of older versions are consistent: numbers, references, pages and streams."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from output_mock import ChildFailure, Context, Failure, OutputMock, StepFailure
from output_mock.contract.versions import KNOWN, deployment
from output_mock.http.faults import Dropped

PAIRS = [(api, sdk) for api in KNOWN for sdk in KNOWN if not deployment(api, sdk).finds_no_workflow]
ACTIONS = ("step", "fails", "tries", "sleep", "both", "child", "child_fails", "signal", "update", "stop")
# The target of each reference of an event, by the prefix of the event type and the attribute.
TARGETS = {
    ("WORKFLOW_TASK", "scheduledEventId"): "WORKFLOW_TASK_SCHEDULED",
    ("WORKFLOW_TASK", "startedEventId"): "WORKFLOW_TASK_STARTED",
    ("ACTIVITY_TASK", "scheduledEventId"): "ACTIVITY_TASK_SCHEDULED",
    ("ACTIVITY_TASK", "startedEventId"): "ACTIVITY_TASK_STARTED",
    ("TIMER", "startedEventId"): "TIMER_STARTED",
    ("CHILD", "initiatedEventId"): "START_CHILD_WORKFLOW_EXECUTION_INITIATED",
    ("CHILD", "startedEventId"): "CHILD_WORKFLOW_EXECUTION_STARTED",
    ("WORKFLOW_EXECUTION_UPDATE", "acceptedEventId"): "WORKFLOW_EXECUTION_UPDATE_ACCEPTED",
    ("", "workflowTaskCompletedEventId"): "WORKFLOW_TASK_COMPLETED",
    ("ACTIVITY_TASK", "latestCancelRequestedEventId"): "ACTIVITY_TASK_CANCEL_REQUESTED",
}


async def act(ctx: Context, actions: list[str]) -> str:
    for action in actions:
        if action == "step":
            await ctx.step("work", {"n": 1}, returns="done")
        elif action == "fails":
            try:
                await ctx.step("break", fails=Failure("broken", name="FatalError"))
            except StepFailure:
                continue
        elif action == "tries":
            await ctx.step("try", fails=[Failure("once"), None], returns=2)
        elif action == "sleep":
            await ctx.sleep("1m")
        elif action == "both":
            await asyncio.gather(ctx.step("left"), ctx.step("right"))
        elif action == "child":
            await ctx.child("child", {"fail": False})
        elif action == "child_fails":
            try:
                await ctx.child("child", {"fail": True})
            except ChildFailure:
                continue
        elif action == "signal":
            await ctx.wait_for_signal("go")
        elif action == "update":
            await ctx.condition(lambda: True)
    return "end"


def fake(api: str, sdk: str, *, traced: bool) -> OutputMock:
    mock = OutputMock(api_version=api, sdk_version=sdk)

    @mock.workflow("acts", traced=traced)
    async def acts(ctx: Context, input: Any) -> Any:
        ctx.on_update("ping", lambda _payload: "pong")
        return await act(ctx, input)

    @mock.workflow("child")
    async def child(ctx: Context, input: Any) -> Any:
        fails = Failure("the child broke") if input["fail"] else None
        return await ctx.step("part", fails=fails, returns=1, options={"retry": {"maximumAttempts": 1}})

    return mock


def run(mock: OutputMock, actions: list[str]) -> None:
    """Start a run and send what its actions wait for."""
    client = mock.app.test_client()
    client.post("/workflow/start", json={"workflowName": "acts", "workflowId": "r", "input": actions})
    for action in actions:
        mock.clock.advance("1h")
        if not mock.world.find("r").running:
            break
        if action == "signal":
            client.post("/workflow/r/signal/go", json={"payload": {"n": 1}})
        elif action == "update":
            client.post("/workflow/r/update/ping", json={})
        elif action == "stop":
            client.patch("/workflow/r/stop")
    mock.clock.advance("1h")


def target(event: dict[str, Any], key: str) -> str:
    return next(
        wanted
        for (begins, name), wanted in TARGETS.items()
        if name == key and event["eventTypeName"].startswith(begins)
    )


def number(reference: Any) -> int:
    return int(reference) if isinstance(reference, str) else reference["low"]


def events_of(mock: OutputMock, workflow_id: str, run_id: str) -> list[dict[str, Any]]:
    client = mock.app.test_client()
    path = f"/workflow/{workflow_id}/runs/{run_id}/history"
    whole = client.get(f"{path}?includePayloads=true&pageSize=50").json
    events: list[dict[str, Any]] = whole["events"]
    while whole["nextPageToken"]:
        whole = client.get(f"{path}?includePayloads=true&pageSize=50&pageToken={whole['nextPageToken']}").json
        events += whole["events"]
    return events


def check(mock: OutputMock, workflow_id: str, run_id: str) -> list[dict[str, Any]]:
    """Check that a history is consistent. Returns its events."""
    events = events_of(mock, workflow_id, run_id)
    assert [event["eventId"] for event in events] == [str(n) for n in range(1, len(events) + 1)]
    client, path = mock.app.test_client(), f"/workflow/{workflow_id}/runs/{run_id}/history"
    assert client.get(path).json["workflow"]["historyLength"] == len(events)
    for event in events:
        (attributes,) = (value for key, value in event.items() if key.endswith("EventAttributes"))
        for key, reference in attributes.items():
            if not key.endswith("EventId") or key == "acceptedRequestSequencingEventId":
                continue
            if key == "parentInitiatedEventId":
                parent = attributes["parentWorkflowExecution"]
                there = events_of(mock, parent["workflowId"], parent["runId"])
                wanted = "START_CHILD_WORKFLOW_EXECUTION_INITIATED"
            else:
                there, wanted = events, target(event, key)
                assert number(reference) < int(event["eventId"])
            assert there[number(reference) - 1]["eventTypeName"] == wanted, (event, key)
        check_failure(mock, events, attributes)
    return events


def check_failure(mock: OutputMock, events: list[dict[str, Any]], attributes: dict[str, Any]) -> None:
    """Check that the failure of a step names that step, in the run or in its child."""
    failure, child = attributes.get("failure"), attributes.get("workflowExecution")
    while failure is not None:
        inner = failure.get("childWorkflowExecutionFailureInfo")
        child = child if inner is None else inner["workflowExecution"]
        step = failure.get("activityFailureInfo")
        if step is not None:
            there = events if child is None else events_of(mock, child["workflowId"], child["runId"])
            scheduled = there[int(step["scheduledEventId"]) - 1]["activityTaskScheduledEventAttributes"]
            assert scheduled["activityId"] == step["activityId"]
            assert scheduled["activityType"] == step["activityType"]
        failure = failure.get("cause")


@given(st.lists(st.sampled_from(ACTIONS), max_size=6), st.sampled_from(PAIRS), st.booleans())
@settings(max_examples=25, deadline=None)
def test_events_are_numbered_one_after_another_and_refer_to_the_right_kind(
    actions: list[str], pair: tuple[str, str], traced: bool
) -> None:
    mock, newest = fake(*pair, traced=traced), fake(KNOWN[0], KNOWN[0], traced=traced)
    for one in (mock, newest):
        run(one, actions)
    for workflow_id in mock.runs:
        own, native = mock.world.find(workflow_id), newest.world.find(workflow_id)
        events = check(mock, workflow_id, own.run_id)
        kinds = [event["eventTypeName"] for event in events]
        wanted = [event["eventTypeName"] for event in check(newest, workflow_id, native.run_id)]
        sdk = tuple(map(int, pair[1].split(".")))
        if sdk < (0, 11):
            wanted = [kind for kind in wanted if kind != "WORKFLOW_PROPERTIES_MODIFIED"]
        if sdk < (0, 10) and not traced and own.info.parent is None:
            # It looked up the locations of a trace that did not exist, and continued in the next task.
            asked = ["ACTIVITY_TASK_SCHEDULED", "ACTIVITY_TASK_STARTED", "ACTIVITY_TASK_COMPLETED"]
            tasks = ["WORKFLOW_TASK_SCHEDULED", "WORKFLOW_TASK_STARTED", "WORKFLOW_TASK_COMPLETED"]
            first = wanted.index("WORKFLOW_TASK_COMPLETED") + 1
            wanted[first:first] = asked + tasks
        assert kinds == wanted


@given(
    st.lists(st.sampled_from(ACTIONS), max_size=5),
    st.sampled_from([pair for pair in PAIRS if pair[0] != "0.8.0"]),
    st.booleans(),
    st.data(),
)
@settings(max_examples=15, deadline=None)
def test_pages_and_resumed_streams_are_parts_of_the_whole(
    actions: list[str], pair: tuple[str, str], traced: bool, data: st.DataObject
) -> None:
    mock = fake(*pair, traced=traced)
    run(mock, actions)
    client = mock.app.test_client()
    client.post("/workflow/r/terminate", json={})
    run_id = mock.world.find("r").run_id
    events = check(mock, "r", run_id)
    size = data.draw(st.integers(1, 6), "size")
    pages, token = [], ""
    while True:
        page = client.get(
            f"/workflow/r/history?includePayloads=true&runId={run_id}&pageSize={size}{token}"
        ).json
        pages += page["events"]
        if not page["nextPageToken"]:
            break
        token = f"&pageToken={page['nextPageToken']}"
    assert pages == events
    after = data.draw(st.integers(1, len(events)), "after")
    answer = client.get(f"/workflow/r/history/stream?includePayloads=true&lastEventId={after}")
    if after == len(events):
        assert answer.status_code == 204
        return
    frames = [frame.split("\n") for frame in answer.get_data(as_text=True).split("\n\n") if frame]
    sent = [
        event
        for lines in frames
        if "event: history" in lines
        for event in json.loads(lines[-1].removeprefix("data: "))
    ]
    assert sent == events[after:]


@pytest.mark.parametrize("pair", [pair for pair in PAIRS if pair[0] != "0.8.0"])
def test_a_cut_stream_is_resumed_without_loss(pair: tuple[str, str]) -> None:
    """Servers before 0.9 have no streams."""
    mock = fake(*pair, traced=False)
    run(mock, ["step", "sleep"])
    length = len(check(mock, "r", mock.world.find("r").run_id))
    mock.cut_next_stream(after=5)
    client = mock.app.test_client()
    with pytest.raises(Dropped):
        client.get("/workflow/r/history/stream").get_data()
    rest = client.get("/workflow/r/history/stream", headers={"Last-Event-ID": "5"}).get_data(as_text=True)
    assert f"id: {length}\n" in rest
    assert '"eventId":"6"' in rest
    assert '"eventId":"5"' not in rest
