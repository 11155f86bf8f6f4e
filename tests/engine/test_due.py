"""Due events: none for a run that has ended, and none beyond the end of the clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest

from output_mock import Context, Failure, OutputMock
from output_mock.engine.clock import LATEST
from output_mock.engine.record_restoring import copy_of

DAY = 24 * 3600 * 10**9


def scripted(**options: Any) -> OutputMock:
    mock = OutputMock(**options)

    @mock.workflow("waits")
    async def waits(ctx: Context, input: Any) -> Any:
        if input == "fail":
            raise Failure("no")
        if input == "complete":
            return 1
        if input == "again":
            await ctx.wait_for_signal("go", timeout="1h")
            ctx.continue_as_new("complete")
        return await ctx.wait_for_signal("go", timeout="12h")

    @mock.workflow("parent")
    async def parent(ctx: Context, input: Any) -> Any:
        await ctx.step("before", returns=1)
        return await ctx.child("waits")

    @mock.workflow("sleeps")
    async def sleeps(ctx: Context, input: Any) -> Any:
        await ctx.sleep("100d")

    @mock.workflow("steps")
    async def steps(ctx: Context, input: Any) -> Any:
        await ctx.step("long", takes="100d", options={"startToCloseTimeout": "200d"})

    @mock.workflow("retries")
    async def retries(ctx: Context, input: Any) -> Any:
        retry = {"maximumAttempts": 50, "initialInterval": "100d", "maximumInterval": "100d"}
        await ctx.step("fails", fails="no", options={"retry": retry, "scheduleToCloseTimeout": "9000d"})

    @mock.workflow("family")
    async def family(ctx: Context, input: Any) -> Any:
        await ctx.child("sleeps")

    @mock.workflow("answered")
    async def answered(ctx: Context, input: Any) -> Any:
        await ctx.wait_for_signal("go")

    mock.workflow("answered").receives("go", {}, after="100d")
    return mock


def end_by_stop(mock: OutputMock) -> None:
    mock.world.stop("wf")


def end_by_terminate(mock: OutputMock) -> None:
    mock.world.terminate("wf")


def end_by_timeout(mock: OutputMock) -> None:
    mock.clock.advance("25h")


def end_by_signal(mock: OutputMock) -> None:
    mock.signal("wf", "go", {})
    mock.clock.run_due()


@pytest.mark.parametrize("clock", ["auto", "manual"])
@pytest.mark.parametrize("workflow", ["waits", "parent"])
@pytest.mark.parametrize("end", [end_by_stop, end_by_terminate, end_by_timeout, end_by_signal])
def test_nothing_is_due_once_every_run_has_ended(
    clock: Any, workflow: str, end: Callable[[OutputMock], None]
) -> None:
    mock = scripted(clock=clock)
    mock.world.start(workflow, workflow_id="wf")
    mock.clock.run_due()
    copied = copy_of(mock.world)
    assert mock.clock.next_due() is not None
    if end is end_by_signal and workflow == "parent":
        mock.signal(next(one for one in mock.runs if one != "wf"), "go", {})
        mock.clock.run_due()
    else:
        end(mock)
    assert mock.runs["wf"].status != "running"
    assert mock.clock.next_due() is None
    copied.terminate("wf")
    assert copied.clock.next_due() is None, "nor in a copy"


@pytest.mark.parametrize("given", ["complete", "fail"])
def test_nothing_is_due_after_a_run_that_ends_at_once(given: str) -> None:
    mock = scripted()
    for _ in range(3):
        mock.world.start("waits", given)
    mock.world.start("waits", workflow_id="wf")
    mock.clock.run_due()
    mock.world.terminate("wf")
    assert mock.clock.next_due() is None


def test_nothing_is_due_for_a_run_that_a_reset_ended() -> None:
    mock = scripted()
    mock.world.start("parent", workflow_id="wf")
    mock.clock.run_due()
    mock.world.reset("wf", "before")
    mock.world.terminate("wf")
    for child in list(mock.runs):
        if mock.runs[child].status == "running":
            mock.world.terminate(child)
    assert mock.clock.next_due() is None


def test_the_pause_before_continuing_ends_with_its_run() -> None:
    mock = scripted()
    mock.world.start("waits", "again", workflow_id="wf")
    mock.clock.run_due()
    mock.signal("wf", "go", {})
    mock.clock.run_due()
    assert mock.clock.next_due() is not None
    mock.world.terminate("wf")
    assert mock.clock.next_due() is None


def test_timeouts_out_of_order_leave_nothing_due() -> None:
    mock = scripted()
    for number, timeout in enumerate((3, 1, 2)):
        mock.world.execution_timeout = timeout * DAY
        mock.world.start("sleeps", workflow_id=f"wf{number}")
    mock.clock.run_due()
    dues = []
    for number in (1, 0, 2):
        dues.append((mock.clock.next_due() or 0) - mock.clock.nanoseconds())
        mock.world.terminate(f"wf{number}")
    assert dues == [DAY, 2 * DAY, 2 * DAY]
    assert mock.clock.next_due() is None


def test_a_worker_that_returns_early_is_no_longer_due() -> None:
    mock = scripted()
    mock.world.send_worker_away(DAY)
    mock.world.send_worker_away(2 * DAY)
    assert mock.clock.next_due() == mock.clock.nanoseconds() + 2 * DAY
    mock.world.catalog().set_worker(True)
    assert mock.clock.next_due() is None


# --- timers of the dead ----------------------------------------------------------------------------------


@pytest.mark.parametrize("look", ["status", "runs", "result", "query", "stream", "advance", "child"])
@pytest.mark.parametrize("workflow", ["sleeps", "steps", "retries", "family", "answered"])
def test_timers_do_not_move_the_clock_beyond_the_end_of_their_run(workflow: str, look: str) -> None:
    mock = scripted()
    client = mock.app.test_client()
    begun = mock.clock.nanoseconds()
    client.post("/workflow/start", json={"workflowName": workflow, "workflowId": "wf"})
    for _ in range(9):
        if look == "advance":
            mock.world.advance_run(mock.world.find("wf"), guards=False)
        elif look == "runs":
            client.get("/workflow/runs")
        elif look == "query":
            client.post("/workflow/wf/query/__stack_trace", json={})
        elif look == "stream":
            client.get("/workflow/wf/history/stream").get_data()
        elif look == "child":
            for one in list(mock.runs):
                client.get(f"/workflow/{one}/status")
        else:
            client.get(f"/workflow/wf/{look}")
    assert mock.runs["wf"].status == "timed_out"
    assert mock.clock.nanoseconds() == begun + DAY


def test_a_cancelled_child_does_not_move_the_clock() -> None:
    mock = scripted()

    @mock.workflow("brief")
    async def brief(ctx: Context, input: Any) -> Any:
        async def nurse() -> None:
            await ctx.child("sleeps")

        import asyncio

        nursing = asyncio.ensure_future(nurse())
        await ctx.sleep("1h")
        return nursing.done()

    begun = mock.clock.nanoseconds()
    mock.world.start("brief", workflow_id="wf")
    mock.clock.run_due()
    (child,) = (one for one in mock.runs if one != "wf")
    client = mock.app.test_client()
    for _ in range(3):
        client.get(f"/workflow/{child}/status")
    assert mock.runs[child].status == "terminated"
    assert mock.clock.nanoseconds() == begun + DAY // 24


# --- the end of the clock --------------------------------------------------------------------------------

LATE = datetime(2998, 6, 1, tzinfo=timezone.utc)


@pytest.mark.parametrize("workflow", ["sleeps", "steps", "retries", "family", "answered"])
def test_scheduling_beyond_the_end_of_the_clock_is_a_script_error(workflow: str) -> None:
    mock = scripted(start=datetime(2998, 12, 1, tzinfo=timezone.utc), execution_timeout="36500d")
    client = mock.app.test_client()
    answer = client.post("/workflow/run", json={"workflowName": workflow, "workflowId": "wf"})
    message = mock.script_errors[0].message
    assert "the clock ends with the year 2998" in message
    if workflow != "family":
        assert (answer.status_code, answer.json["message"]) == (500, message)
    assert mock.clock.nanoseconds() < LATEST
    client.post("/workflow/start", json={"workflowName": "waits", "workflowId": "other"})
    with pytest.raises(ValueError, match="the clock ends with the year 2998"):
        mock.signal("other", "go", {}, after="100d")


def test_a_run_ends_at_the_end_of_the_clock() -> None:
    start = datetime(2998, 12, 20, tzinfo=timezone.utc)
    mock = OutputMock(start=start, execution_timeout="36500d", max_waiting="20d")

    @mock.workflow("waits")
    async def waits(ctx: Context, input: Any) -> Any:
        await ctx.wait_for_signal("go")

    mock.expect_unmatched(status=408)
    answer = mock.app.test_client().post("/workflow/run", json={"workflowName": "waits", "workflowId": "wf"})
    assert answer.status_code in (200, 408)
    assert mock.runs["wf"].status == "timed_out"
    assert mock.clock.nanoseconds() == LATEST


def test_a_chain_of_long_sleeps_does_not_exceed_the_last_date() -> None:
    mock = OutputMock(execution_timeout="36500d")

    @mock.workflow("ages")
    async def ages(ctx: Context, input: Any) -> Any:
        await ctx.sleep("36000d")
        ctx.continue_as_new()

    client = mock.app.test_client()
    for number in range(40):
        client.post("/workflow/start", json={"workflowName": "ages", "workflowId": f"wf{number}"})
        for _ in range(3):
            assert client.get(f"/workflow/wf{number}/status").status_code == 200
    assert mock.clock.nanoseconds() <= LATEST
    assert "the clock ends with the year 2998" in mock.script_errors[0].message


@pytest.mark.parametrize(
    "start", [datetime(2999, 1, 1, tzinfo=timezone.utc), datetime(1969, 1, 1, tzinfo=timezone.utc)]
)
def test_a_clock_cannot_start_outside_its_range(start: datetime) -> None:
    with pytest.raises(ValueError, match="start must be between 1970 and 2998"):
        OutputMock(start=start)
