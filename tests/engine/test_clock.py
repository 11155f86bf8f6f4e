"""The clock: when time passes on `auto`, `manual` and `real`, and how asyncio waits in scripts."""

from __future__ import annotations

import asyncio
import itertools
import re
import sys
import time
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from functools import partial
from typing import Any

import pytest

from output_mock import Context, OutputMock, SignalTimeout
from output_mock.contract.errors import WorkflowExecutionTimedOutError
from output_mock.engine.clock import Clock
from tests.client import Client
from tests.conftest import Connect, eventually, in_another_thread, no_hang, somebody_waits

START = datetime(2026, 1, 1, tzinfo=timezone.utc)


def elapsed(mock: OutputMock) -> timedelta:
    return mock.clock.now() - START


def seconds(client: Client, workflow_id: str = "wf") -> float:
    """The duration of a closed run on the fake's clock."""
    status = client.get(f"/workflow/{workflow_id}/status").json
    return float(status["completedAt"] - status["startedAt"]) / 1000


# --- auto ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", ["1s", "4m59s"])
def test_auto_run_returns_at_once_for_workflows_of_any_duration(
    client: Client, mock: OutputMock, length: str
) -> None:
    mock.workflow("slow").takes(length).returns("done")
    with no_hang():
        assert client.run("slow", workflowId="wf")["output"] == "done"


def test_auto_run_of_an_hour_long_step_returns_at_once(client: Client, mock: OutputMock) -> None:
    @mock.workflow("hour")
    async def hour(ctx: Context, input: Any) -> Any:
        return await ctx.step("long", takes="1h", returns="done", options={"startToCloseTimeout": "2h"})

    with no_hang():
        assert client.run("hour", workflowId="wf", timeout=7_200_000)["output"] == "done"
    assert seconds(client) == 3600


def test_auto_408_comes_at_once_and_time_advances_by_the_timeout(client: Client, mock: OutputMock) -> None:
    mock.workflow("hour").takes("1h").returns("done")
    with no_hang():
        assert client.post("/workflow/run", {"workflowName": "hour", "timeout": 60_000}).status == 408
    assert elapsed(mock) == timedelta(minutes=1)


def test_auto_nothing_happens_before_the_first_request(mock: OutputMock) -> None:
    mock.workflow("hour").takes("1h").returns("done")
    mock.world.start("hour", workflow_id="wf")
    assert mock.runs["wf"].status == "running"
    assert mock.runs["wf"].status == "running"
    assert elapsed(mock) == timedelta(0)


@pytest.mark.parametrize("path", ["status", "result", "trace-log", "history"])
def test_auto_a_polling_client_sees_running_and_then_the_end(
    client: Client, mock: OutputMock, path: str
) -> None:
    mock.workflow("instant").returns("done")
    mock.workflow("hour").takes("1h").returns("done")
    for workflow in ("instant", "hour"):
        client.start(workflow, workflowId=workflow)
        seen = []
        for _ in range(20):
            answer = client.get(f"/workflow/{workflow}/{path}")
            seen.append(answer.status == 200 and '"running"' not in answer.text)
        assert seen[0] is False, "a poll answers with what stands now"
        assert seen[-1] is True, "a client that goes on polling comes to the end"
        assert seen == sorted(seen)


def test_auto_polling_the_list_of_runs_reaches_the_end_too(client: Client, mock: OutputMock) -> None:
    mock.workflow("hour").takes("1h").returns("done")
    client.start("hour")
    statuses = [client.get("/workflow/runs?workflowType=hour").json["runs"][0]["status"] for _ in range(10)]
    assert (statuses[0], statuses[-1]) == ("running", "completed")


def test_auto_a_poll_advances_by_one_event(client: Client, mock: OutputMock) -> None:
    @mock.workflow("steps")
    async def steps(ctx: Context, input: Any) -> Any:
        for _ in range(3):
            await ctx.sleep("1h")

    client.start("steps", workflowId="wf")
    times = []
    for _ in range(6):
        client.get("/workflow/wf/status")
        times.append(elapsed(mock) / timedelta(hours=1))
    assert sorted(set(times)) == [0, 1, 2, 3]


@pytest.mark.parametrize("timeout", [None, "1h"])
def test_auto_polls_do_not_make_time_jump_for_a_run_that_waits_for_a_signal(
    client: Client, mock: OutputMock, timeout: str | None
) -> None:
    @mock.workflow("waits")
    async def waits(ctx: Context, input: Any) -> Any:
        return await ctx.wait_for_signal("go", timeout=timeout)

    client.start("waits", workflowId="wf")
    for _ in range(20):
        for path in ("/workflow/wf/status", "/workflow/wf/history", "/workflow/wf/result", "/workflow/runs"):
            client.get(path)
    assert client.get("/workflow/wf/status").json["status"] == "running"
    assert elapsed(mock) == timedelta(0)
    client.post("/workflow/wf/signal/go", {"payload": {"n": 1}})
    assert client.until_closed("wf") == "completed"


def test_auto_polls_of_one_run_do_not_advance_another(client: Client, mock: OutputMock) -> None:
    @mock.workflow("waits")
    async def waits(ctx: Context, input: Any) -> Any:
        return await ctx.wait_for_signal("go")

    mock.workflow("hour").takes("1h").returns("done")
    client.start("hour", workflowId="hour")
    client.start("waits", workflowId="waits")
    for _ in range(5):
        client.get("/workflow/waits/status")
    assert elapsed(mock) == timedelta(0)


def test_auto_a_timeout_of_a_signal_passes_when_the_clock_is_moved(client: Client, mock: OutputMock) -> None:
    @mock.workflow("waits")
    async def waits(ctx: Context, input: Any) -> Any:
        try:
            return await ctx.wait_for_signal("go", timeout="24h")
        except SignalTimeout:
            return "nobody came"

    mock.world.execution_timeout = 48 * 3600 * 10**9
    client.start("waits", workflowId="wf")
    client.get("/workflow/wf/status")
    mock.clock.advance("23h")
    assert client.get("/workflow/wf/status").json["status"] == "running"
    mock.clock.advance("1h")
    assert client.get("/workflow/wf/result").json["output"] == "nobody came"


def test_auto_run_waits_for_the_timeout_of_a_signal_within_its_own(client: Client, mock: OutputMock) -> None:
    @mock.workflow("waits")
    async def waits(ctx: Context, input: Any) -> Any:
        if await ctx.condition(lambda: False, timeout="1m"):
            return "it holds"
        return "nobody came"

    with no_hang():
        assert client.run("waits", workflowId="wf")["output"] == "nobody came"
    assert seconds(client) == 60


def test_auto_a_stream_does_not_wait_in_real_time(client: Client, mock: OutputMock) -> None:
    mock.workflow("day").takes("23h").returns("done")
    client.start("day", workflowId="wf")
    with no_hang(), client.stream("/workflow/wf/history/stream") as stream:
        assert [frame.event for frame in stream][-1] == "done"


def test_auto_a_long_poll_jumps_to_events_that_are_due_within_it(client: Client, mock: OutputMock) -> None:
    @mock.workflow("soon")
    async def soon(ctx: Context, input: Any) -> Any:
        await ctx.sleep("10s")
        await ctx.sleep("1h")

    started = client.start("soon", workflowId="wf")
    base = f"/workflow/wf/history?pageSize=50&longPollTimeoutMs=15000&runId={started['runId']}"
    events = client.get(base).json["events"]
    page: dict[str, Any] = {}
    with no_hang():
        while "TIMER_FIRED" not in [event["eventTypeName"] for event in events]:
            token = page.get("nextPageToken") or client.get(base).json["nextPageToken"]
            page = client.get(f"{base}&pageToken={token.replace('=', '%3D')}").json
            events += page["events"]
    assert elapsed(mock) == timedelta(seconds=10)


def test_auto_a_long_poll_without_events_advances_to_the_next_one_afterwards(
    client: Client, mock: OutputMock
) -> None:
    mock.workflow("day").takes("23h").returns("done")
    client.start("day", workflowId="wf")
    base = "/workflow/wf/history?pageSize=50&longPollTimeoutMs=2500"
    page, polls = client.get(base).json, 0
    with no_hang():
        while page["workflow"]["status"] == "running":
            token = page["nextPageToken"].replace("=", "%3D")
            page = client.get(f"{base}&runId={page['runId']}&pageToken={token}").json
            polls += 1
    assert polls < 5
    assert seconds(client) == 23 * 3600


def test_auto_time_advances_for_child_workflows(client: Client, mock: OutputMock) -> None:
    @mock.workflow("parent")
    async def parent(ctx: Context, input: Any) -> Any:
        return await ctx.child("child")

    mock.workflow("child").takes("2m").returns("grown")
    with no_hang():
        assert client.run("parent", workflowId="wf")["output"] == "grown"
    client.start("parent", workflowId="wf2")
    assert client.until_closed("wf2") == "completed"
    assert seconds(client, "wf2") == 120


# --- manual ----------------------------------------------------------------------------------------------


@pytest.fixture
def manual() -> OutputMock:
    return OutputMock("manual")


def test_manual_requests_move_no_time(manual: OutputMock, connect: Connect) -> None:
    manual.workflow("hour").takes("1h").returns("done")
    client = connect(manual)
    client.start("hour", workflowId="wf")
    for _ in range(10):
        assert client.get("/workflow/wf/status").json["status"] == "running"
        client.get("/workflow/wf/history")
        client.get("/workflow/runs")
    assert elapsed(manual) == timedelta(0)


def test_manual_time_moves_only_by_advances(manual: OutputMock, connect: Connect) -> None:
    manual.workflow("hour").takes("1h").returns("done")
    client = connect(manual)
    client.start("hour", workflowId="wf")
    manual.clock.advance("59m59s")
    assert client.get("/workflow/wf/status").json["status"] == "running"
    manual.clock.advance("1s")
    assert client.get("/workflow/wf/status").json["status"] == "completed"
    assert seconds(client) == 3600
    assert elapsed(manual) == timedelta(hours=1)


def test_manual_an_advance_runs_every_due_event_at_its_own_time_in_order(manual: OutputMock) -> None:
    order: list[tuple[str, float]] = []

    @manual.workflow("sleeper")
    async def sleeper(ctx: Context, input: Any) -> Any:
        for length in input["sleeps"]:
            await ctx.sleep(length)
            order.append((input["name"], (ctx.now() - START).total_seconds()))

    for name, sleeps in (("a", [10, 10, 25]), ("b", [5, 10]), ("c", [20])):
        manual.world.start("sleeper", {"name": name, "sleeps": sleeps})
    manual.clock.advance("1m")
    assert order == [("b", 5), ("a", 10), ("b", 15), ("c", 20), ("a", 20), ("a", 45)]
    assert elapsed(manual) == timedelta(minutes=1)


@pytest.mark.parametrize(
    ("duration", "length"),
    [
        (90, timedelta(seconds=90)),
        (0.5, timedelta(milliseconds=500)),
        ("1h30m", timedelta(hours=1, minutes=30)),
        ("250ms", timedelta(milliseconds=250)),
        ("2d", timedelta(days=2)),
        (timedelta(weeks=1), timedelta(weeks=1)),
        (0, timedelta(0)),
    ],
)
def test_a_clock_advances_by_durations_in_any_notation(
    manual: OutputMock, duration: Any, length: timedelta
) -> None:
    manual.clock.advance(duration)
    assert elapsed(manual) == length


@pytest.mark.parametrize("duration", [-1, "-1s", "soon", "", "1", None, True, float("nan"), "2000000d"])
def test_an_invalid_duration_is_refused_with_an_explanation(manual: OutputMock, duration: Any) -> None:
    with pytest.raises(ValueError, match="duration"):
        manual.clock.advance(duration)
    assert elapsed(manual) == timedelta(0)


def test_manual_run_waits_until_another_thread_advances(manual: OutputMock, connect: Connect) -> None:
    manual.workflow("hour").takes("1h").returns("done")
    client = connect(manual)
    body = {"workflowName": "hour", "workflowId": "wf", "timeout": 7_200_000}
    with in_another_thread(lambda: client.post("/workflow/run", body)) as answers:
        eventually(lambda: "wf" in manual.runs and somebody_waits(manual, "wf"))
        manual.clock.advance("1h")
    assert (answers[0].status, answers[0].json["output"]) == (200, "done")


def test_manual_run_times_out_when_another_thread_advances_past_it(
    manual: OutputMock, connect: Connect
) -> None:
    manual.workflow("hour").takes("1h").returns("done")
    manual.world.patience = 600.0
    client = connect(manual)
    body = {"workflowName": "hour", "workflowId": "wf", "timeout": 60_000}
    with in_another_thread(lambda: client.post("/workflow/run", body)) as answers:
        eventually(lambda: "wf" in manual.runs and somebody_waits(manual, "wf"))
        manual.clock.advance("2m")
    assert (answers[0].status, answers[0].json["error"]) == (408, "WorkflowExecutionTimedOutError")


def test_manual_run_reports_that_the_clock_must_be_advanced(manual: OutputMock, connect: Connect) -> None:
    manual.world.patience = 0.01
    manual.workflow("hour").takes("1h").returns("done")
    answer = connect(manual).post("/workflow/run", {"workflowName": "hour", "timeout": 7_200_000})
    assert (answer.status, answer.json["error"]) == (500, "StalledError")
    assert "advance" in answer.json["message"]


def test_manual_work_that_takes_no_time_needs_no_advance(manual: OutputMock, connect: Connect) -> None:
    @manual.workflow("instant")
    async def instant(ctx: Context, input: Any) -> Any:
        return await ctx.step("work", returns="done")

    assert connect(manual).run("instant")["output"] == "done"
    assert elapsed(manual) == timedelta(0)


def test_manual_a_signal_is_received_without_an_advance(manual: OutputMock, connect: Connect) -> None:
    @manual.workflow("waits")
    async def waits(ctx: Context, input: Any) -> Any:
        return await ctx.wait_for_signal("go")

    client = connect(manual)
    client.start("waits", workflowId="wf")
    client.post("/workflow/wf/signal/go", {"payload": {"n": 1}})
    assert client.get("/workflow/wf/result").json["output"] == {"n": 1}


def test_manual_a_stream_follows_each_advance(manual: OutputMock, connect: Connect) -> None:
    manual.workflow("hour").takes("1h").returns("done")
    client = connect(manual)
    client.start("hour", workflowId="wf")

    def follow() -> list[str]:
        with client.stream("/workflow/wf/history/stream") as stream:
            return [frame.event for frame in stream]

    with in_another_thread(follow) as outcome:
        eventually(lambda: somebody_waits(manual, "wf"))
        manual.clock.advance("1h")
    assert outcome[0][-1] == "done"


# --- real ------------------------------------------------------------------------------------------------


def test_real_time_is_wall_clock_time() -> None:
    before = datetime.now(timezone.utc)
    mock = OutputMock("real")
    assert before <= mock.clock.now() <= datetime.now(timezone.utc)
    mock.close()


def test_real_a_run_ends_by_itself_and_not_before_its_time(connect: Connect) -> None:
    mock = OutputMock("real")
    mock.workflow("brief").takes("50ms").returns("done")
    client = connect(mock)
    started = client.start("brief", workflowId="wf")
    assert client.get("/workflow/wf/status").json == {
        **started,
        "status": "running",
        "startedAt": client.get("/workflow/wf/status").json["startedAt"],
        "completedAt": "",
    }
    eventually(lambda: mock.runs["wf"].status == "completed")
    assert seconds(client) >= 0.05


def test_real_run_waits_for_the_result(connect: Connect) -> None:
    mock = OutputMock("real")
    mock.workflow("brief").takes("50ms").returns("done")
    assert connect(mock).run("brief")["output"] == "done"


def test_real_run_times_out_in_real_time(connect: Connect) -> None:
    mock = OutputMock("real")
    mock.workflow("hour").takes("1h").returns("done")
    answer = connect(mock).post("/workflow/run", {"workflowName": "hour", "timeout": 250})
    assert (answer.status, answer.json["error"]) == (408, "WorkflowExecutionTimedOutError")


def test_real_time_cannot_be_advanced() -> None:
    mock = OutputMock("real")
    with pytest.raises(RuntimeError, match=r"real clock cannot be advanced.*manual"):
        mock.clock.advance("1h")
    mock.close()


def test_real_a_signal_wakes_a_run_at_once(connect: Connect) -> None:
    mock = OutputMock("real")

    @mock.workflow("waits")
    async def waits(ctx: Context, input: Any) -> Any:
        return await ctx.wait_for_signal("go", timeout="1h")

    client = connect(mock)
    body = {"workflowName": "waits", "workflowId": "wf"}
    with in_another_thread(lambda: client.post("/workflow/run", body)) as answers:
        eventually(lambda: "wf" in mock.runs and somebody_waits(mock, "wf"))
        client.post("/workflow/wf/signal/go", {"payload": {"n": 1}})
    assert answers[0].json["output"] == {"n": 1}


def times(mock: OutputMock, workflow_id: str, kind: str) -> list[int]:
    """The times of events of that type, in milliseconds since the run began."""
    events = mock.runs[workflow_id].history
    stamps = [datetime.fromisoformat(event["eventTime"].replace("Z", "+00:00")) for event in events]
    return [
        round((stamp - stamps[0]).total_seconds() * 1000)
        for stamp, event in zip(stamps, events, strict=True)
        if event["eventTypeName"] == kind
    ]


def test_real_a_suspended_machine_catches_up() -> None:
    """Each event happens at its due time, and later ones are counted from there."""
    mock = OutputMock("real")

    @mock.workflow("steps")
    async def steps(ctx: Context, input: Any) -> Any:
        for n in range(5):
            await ctx.step(f"step{n}", takes="20ms")
        return "done"

    with mock.clock.lock:
        mock.world.start("steps", workflow_id="wf")
        time.sleep(1)
        mock.clock.run_due()
        assert mock.runs["wf"].status == "completed"
    # A step takes 5 ms longer than scripted, and a workflow task takes 5 ms.
    completed = times(mock, "wf", "ACTIVITY_TASK_COMPLETED")
    assert [later - sooner for sooner, later in itertools.pairwise(completed)] == [30] * 5
    mock.close()


def test_real_a_timeout_counts_even_when_it_is_noticed_late() -> None:
    mock = OutputMock("real")
    mock.workflow("brief").takes("300ms").returns("done")
    with mock.clock.lock:
        run = mock.world.start("brief")
        time.sleep(1)
        with pytest.raises(WorkflowExecutionTimedOutError):
            mock.world.wait_for_result(run, timeout=200)
        assert mock.world.wait_for_result(run, timeout=500).outcome.result == "done"
    mock.close()


def test_real_successive_signals_have_separate_workflow_tasks(connect: Connect) -> None:
    """As on the recorded deployment, where signals were at least 10 ms apart."""
    mock = OutputMock("real")

    @mock.workflow("waits")
    async def waits(ctx: Context, input: Any) -> Any:
        return [await ctx.wait_for_signal("go") for _ in range(5)]

    client = connect(mock)
    client.start("waits", workflowId="wf")
    # The run has done its second workflow task, and waits for the first signal.
    eventually(lambda: client.kinds("wf").count("WORKFLOW_TASK_COMPLETED") == 2)
    for n in range(5):
        assert client.post("/workflow/wf/signal/go", {"payload": {"n": n}}).status == 200
    eventually(lambda: mock.runs["wf"].status == "completed")
    kinds = client.kinds("wf")
    first = kinds.index("WORKFLOW_EXECUTION_SIGNALED")
    task = ["WORKFLOW_TASK_SCHEDULED", "WORKFLOW_TASK_STARTED", "WORKFLOW_TASK_COMPLETED"]
    assert kinds[first:-1] == ["WORKFLOW_EXECUTION_SIGNALED", *task] * 5


# --- any clock -------------------------------------------------------------------------------------------


def test_a_clock_has_one_of_three_modes() -> None:
    with pytest.raises(ValueError, match="clock must be one of real, auto, manual, not 'fast'"):
        OutputMock("fast")  # type: ignore[arg-type]


def test_virtual_time_begins_at_the_given_start() -> None:
    start = datetime(2030, 5, 6, 7, 8, 9, tzinfo=timezone(timedelta(hours=2)))
    mock = OutputMock("manual", start=start)
    assert mock.clock.now() == start


def test_two_fakes_have_two_clocks() -> None:
    first, second = OutputMock("manual"), OutputMock("manual")
    first.clock.advance("1h")
    assert (elapsed(first), elapsed(second)) == (timedelta(hours=1), timedelta(0))


def test_a_script_cannot_advance_its_own_clock(manual: OutputMock) -> None:
    @manual.workflow("cheats")
    async def cheats(ctx: Context, input: Any) -> Any:
        manual.clock.advance("1h")

    client = Client(manual)
    answer = client.post("/workflow/run", {"workflowName": "cheats"})
    assert (answer.status, answer.json["error"]) == (500, "ScriptError")
    assert "a script cannot move the clock" in answer.json["message"]


def test_cancelled_timers_never_fire_and_are_removed() -> None:
    clock = Clock("manual")
    happened: list[int] = []
    timers = [clock.call_at(clock.nanoseconds() + n, partial(happened.append, n)) for n in range(10_000)]
    for timer in timers[1:-1]:
        timer.cancel()
        timer.cancel()
    clock.advance("1s")
    assert happened == [0, 9_999]


def test_events_due_at_the_same_time_happen_in_the_order_of_scheduling() -> None:
    clock = Clock("manual")
    happened: list[int] = []
    when = clock.nanoseconds() + 5
    for n in range(100):
        clock.call_at(when, partial(happened.append, n), is_timeout=n % 2 == 0)
    clock.advance("1s")
    assert happened == list(range(100))


# --- asyncio in scripts ----------------------------------------------------------------------------------


@pytest.fixture
def play(mock: OutputMock) -> Callable[..., Any]:
    """Run a coroutine function as a workflow; returns what it returned and how many seconds it took."""

    def play(script: Callable[[Context], Any], input: Any = None) -> tuple[Any, float]:
        @mock.workflow("played")
        async def played(ctx: Context, given: Any) -> Any:
            return await script(ctx)

        client = Client(mock)
        with no_hang():
            result = client.run("played", input, workflowId="wf", timeout=86_400_000)
        assert result["status"] == "completed", result["error"]
        return result["output"], seconds(client)

    return play


def test_asyncio_sleep_takes_time_on_the_fakes_clock(play: Callable[..., Any]) -> None:
    async def script(ctx: Context) -> Any:
        before = asyncio.get_running_loop().time()
        slept = await asyncio.sleep(3600, result="slept")
        return [slept, asyncio.get_running_loop().time() - before]

    assert play(script) == (["slept", 3600], 3600)


def test_asyncio_sleep_of_zero_takes_no_time(play: Callable[..., Any]) -> None:
    async def script(ctx: Context) -> Any:
        for _ in range(100):
            await asyncio.sleep(0)

    assert play(script) == (None, 0)


def test_asyncio_sleep_is_a_timer_in_the_history(mock: OutputMock, play: Callable[..., Any]) -> None:
    async def script(ctx: Context) -> Any:
        await asyncio.sleep(60)

    play(script)
    kinds = [event["eventTypeName"] for event in mock.runs["wf"].history]
    assert [kind for kind in kinds if "TIMER" in kind] == ["TIMER_STARTED", "TIMER_FIRED"]


def test_asyncio_gather_runs_concurrently_and_keeps_order(play: Callable[..., Any]) -> None:
    async def script(ctx: Context) -> Any:
        async def nap(minutes: int) -> int:
            await ctx.sleep(f"{minutes}m")
            return minutes

        return await asyncio.gather(nap(3), nap(1), ctx.step("work", takes="2m", returns=2))

    assert play(script) == ([3, 1, 2], 180)


def test_asyncio_gather_can_return_exceptions(play: Callable[..., Any]) -> None:
    async def script(ctx: Context) -> Any:
        async def fail() -> None:
            raise ValueError("no")

        outcome = await asyncio.gather(fail(), asyncio.sleep(5, "yes"), return_exceptions=True)
        return [str(one) for one in outcome]

    assert play(script) == (["no", "yes"], 5)


def test_asyncio_wait_for_expires_on_the_fakes_clock(play: Callable[..., Any]) -> None:
    async def script(ctx: Context) -> Any:
        try:
            await asyncio.wait_for(ctx.step("long", takes="10m"), timeout=60)
        except asyncio.TimeoutError:
            return "gave up"

    assert play(script) == ("gave up", 60)


def test_asyncio_wait_for_returns_a_result_that_comes_in_time(
    mock: OutputMock, play: Callable[..., Any]
) -> None:
    async def script(ctx: Context) -> Any:
        return await asyncio.wait_for(ctx.step("short", takes="1m", returns="done"), timeout=600)

    assert play(script) == ("done", 60)
    kinds = [event["eventTypeName"] for event in mock.runs["wf"].history]
    assert [kind for kind in kinds if "TIMER" in kind] == ["TIMER_STARTED", "TIMER_CANCELED"]


def test_asyncio_wait_returns_the_first_that_is_done(play: Callable[..., Any]) -> None:
    async def script(ctx: Context) -> Any:
        tasks = [asyncio.create_task(asyncio.sleep(n, n)) for n in (30, 10, 20)]
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        return [[task.result() for task in done], len(pending)]

    assert play(script) == ([[10], 2], 10)


def test_asyncio_wait_has_a_timeout(play: Callable[..., Any]) -> None:
    async def script(ctx: Context) -> Any:
        task = asyncio.create_task(asyncio.sleep(3600))
        done, pending = await asyncio.wait([task], timeout=5)
        task.cancel()
        return [len(done), len(pending)]

    assert play(script) == ([0, 1], 5)


def test_asyncio_as_completed_gives_results_as_they_come(play: Callable[..., Any]) -> None:
    async def script(ctx: Context) -> Any:
        return [await one for one in asyncio.as_completed([asyncio.sleep(n, n) for n in (3, 1, 2)])]

    assert play(script) == ([1, 2, 3], 3)


def test_asyncio_shield_protects_from_cancellation(play: Callable[..., Any]) -> None:
    async def script(ctx: Context) -> Any:
        work = asyncio.ensure_future(ctx.step("long", takes="10m", returns="done"))
        try:
            await asyncio.wait_for(asyncio.shield(work), timeout=60)
        except asyncio.TimeoutError:
            return ["gave up waiting", await work]

    assert play(script) == (["gave up waiting", "done"], 600)


def test_asyncio_tasks_can_be_cancelled(play: Callable[..., Any]) -> None:
    async def script(ctx: Context) -> Any:
        notes: list[str] = []

        async def work() -> None:
            try:
                await ctx.sleep("1h")
            except asyncio.CancelledError:
                notes.append("cancelled")
                raise

        task = asyncio.create_task(work(), name="work")
        await ctx.sleep("1m")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return [notes, task.cancelled(), task.get_name()]

    assert play(script) == ([["cancelled"], True, "work"], 60)


def test_asyncio_event_lock_semaphore_and_condition_work_between_tasks(play: Callable[..., Any]) -> None:
    async def script(ctx: Context) -> Any:
        event, lock, seats = asyncio.Event(), asyncio.Lock(), asyncio.Semaphore(2)
        order: list[str] = []

        async def guest(name: str) -> None:
            await event.wait()
            async with seats:
                await asyncio.sleep(10)
                async with lock:
                    order.append(name)

        guests = [asyncio.create_task(guest(name)) for name in "abcd"]
        await asyncio.sleep(5)
        event.set()
        await asyncio.gather(*guests)
        return order

    assert play(script) == (["a", "b", "c", "d"], 25)


def test_asyncio_queue_connects_producer_and_consumer(play: Callable[..., Any]) -> None:
    async def script(ctx: Context) -> Any:
        queue: asyncio.Queue[int | None] = asyncio.Queue(maxsize=1)

        async def produce() -> None:
            for n in range(3):
                await asyncio.sleep(1)
                await queue.put(n)
            await queue.put(None)

        task = asyncio.create_task(produce())
        got = []
        while (item := await queue.get()) is not None:
            got.append(item)
        await task
        return got

    assert play(script) == ([0, 1, 2], 3)


def test_asyncio_current_task_and_all_tasks_see_only_the_scripts_tasks(play: Callable[..., Any]) -> None:
    async def script(ctx: Context) -> Any:
        task = asyncio.create_task(asyncio.sleep(1))
        await asyncio.sleep(0)
        known = asyncio.current_task() in asyncio.all_tasks() and task in asyncio.all_tasks()
        await task
        return [known, len(asyncio.all_tasks())]

    assert play(script) == ([True, 1], 1)


def test_loop_call_later_uses_the_fakes_clock(play: Callable[..., Any]) -> None:
    async def script(ctx: Context) -> Any:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        called: list[str] = []
        loop.call_later(5, called.append, "five")
        loop.call_later(1, called.append, "never").cancel()
        loop.call_at(loop.time() + 3, called.append, "three")
        loop.call_soon(called.append, "soon")
        loop.call_later(10, future.set_result, called)
        return await future

    assert play(script) == (["soon", "three", "five"], 10)


if sys.version_info >= (3, 11):

    def test_asyncio_timeout_expires_on_the_fakes_clock(play: Callable[..., Any]) -> None:
        async def script(ctx: Context) -> Any:
            try:
                async with asyncio.timeout(30):
                    await ctx.step("long", takes="10m")
            except TimeoutError:
                return "gave up"

        assert play(script) == ("gave up", 30)

    def test_asyncio_task_group_waits_for_all_and_cancels_the_rest(play: Callable[..., Any]) -> None:
        async def script(ctx: Context) -> Any:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(asyncio.sleep(n, n)) for n in (2, 1)]
            notes: list[str] = []

            async def fail() -> None:
                await asyncio.sleep(5)
                raise ValueError("no")

            async def long() -> None:
                try:
                    await asyncio.sleep(3600)
                finally:
                    notes.append("cancelled")

            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(fail())
                    group.create_task(long())
            except Exception as group_of_errors:
                notes += [str(error) for error in group_of_errors.exceptions]  # type: ignore[attr-defined]
            return [[task.result() for task in tasks], notes]

        assert play(script) == ([[2, 1], ["cancelled", "no"]], 7)


def test_ctx_now_is_the_fakes_time(play: Callable[..., Any]) -> None:
    async def script(ctx: Context) -> Any:
        before = ctx.now()
        await ctx.sleep("90m")
        assert before.tzinfo is not None
        return (ctx.now() - before).total_seconds()

    assert play(script) == (5400, 5400)


def test_a_script_in_process_can_be_called_from_a_coroutine(mock: OutputMock) -> None:
    @mock.workflow("inner")
    async def inner(ctx: Context, input: Any) -> Any:
        await asyncio.sleep(60)
        return "inner"

    async def test() -> Any:
        task = asyncio.current_task()
        output = Client(mock).run("inner")["output"]
        assert asyncio.current_task() is task
        await asyncio.sleep(0)
        return output

    assert asyncio.run(test()) == "inner"


@pytest.mark.parametrize("start", ["2026-03-29", date(2026, 3, 29), 1_774_742_400], ids=repr)
def test_a_start_that_is_no_datetime_is_refused_in_words(start: Any) -> None:
    with pytest.raises(TypeError, match=f"start must be a datetime.*not {re.escape(repr(start))}"):
        OutputMock("manual", start=start)
