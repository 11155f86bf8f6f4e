"""How runs end: stop, terminate, timeout, reset and continue-as-new, and what happens to children."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from output_mock import ChildFailure, Context, Failure, OutputMock, StepFailure
from tests.client import CLOSING, Client
from tests.conftest import Connect, eventually

NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def mock() -> OutputMock:
    mock = OutputMock(seed=7)

    @mock.workflow("waits")
    async def waits(ctx: Context, input: Any) -> Any:
        return await ctx.wait_for_signal("go")

    @mock.workflow("graceful")
    async def graceful(ctx: Context, input: Any) -> Any:
        try:
            await ctx.condition(lambda: False)
        except asyncio.CancelledError:
            if input == "ignore":
                raise
            fails = Failure("cleanup broke", name="FatalError") if input == "fail" else None
            await ctx.step("cleanup", input, fails=fails, takes="5m")
            if input == "cleanup":
                raise
        return {"stopped": True}

    @mock.workflow("approval")
    async def approval(ctx: Context, input: Any) -> Any:
        stage = ["draft"]
        notes: list[Any] = []
        ctx.on_query("stage", lambda payload: stage[0])
        ctx.on_signal("note", notes.append)
        drafts = await ctx.step("draft", input, returns=lambda given: {"of": given})
        stage[0] = "review"
        by = await ctx.wait_for_signal("approve")
        stage[0] = "publish"
        await ctx.step("publish", by, takes="1m")
        return {"draft": drafts, "by": by, "notes": notes}

    @mock.workflow("chain")
    async def chain(ctx: Context, input: Any) -> Any:
        ctx.on_query("n", lambda payload: input["n"])
        await ctx.step("count", input["n"])
        if input["n"] < input["to"]:
            ctx.continue_as_new({"n": input["n"] + 1, "to": input["to"]})
        if input.get("wait"):
            await ctx.wait_for_signal("go")
        return {"n": input["n"]}

    return mock


def begun(client: Client, workflow: str, input: Any = None, workflow_id: str = "wf") -> str:
    """Start a run and advance it to where it waits; returns the run id."""
    run_id: str = client.start(workflow, input, workflowId=workflow_id)["runId"]
    length = 0
    while (now := client.get(f"/workflow/{workflow_id}/history").json["workflow"]["historyLength"]) != length:
        length = now
    return run_id


def result(client: Client, workflow_id: str = "wf", run_id: str | None = None) -> dict[str, Any]:
    pinned = "" if run_id is None else f"/runs/{run_id}"
    answer: dict[str, Any] = client.get(f"/workflow/{workflow_id}{pinned}/result").json
    return answer


# --- stop ------------------------------------------------------------------------------------------------


def test_stopping_a_closed_run_returns_200_and_does_nothing(client: Client) -> None:
    run_id = begun(client, "waits")
    client.post("/workflow/wf/terminate")
    before = client.events("wf")
    assert client.patch("/workflow/wf/stop").json == {"workflowId": "wf", "runId": run_id}
    assert client.patch(f"/workflow/wf/runs/{run_id}/stop").status == 200
    assert client.events("wf") == before


def test_stopping_a_run_asks_its_running_step_to_stop(connect: Connect) -> None:
    mock = OutputMock("manual")

    @mock.workflow("busy")
    async def busy(ctx: Context, input: Any) -> Any:
        await ctx.step("long", takes="10m")

    client = connect(mock)
    client.start("busy", workflowId="wf")
    mock.clock.advance("1m")
    client.patch("/workflow/wf/stop")
    assert client.get("/workflow/wf/status").json["status"] == "cancelled"
    assert "ACTIVITY_TASK_CANCEL_REQUESTED" in client.kinds("wf")


def test_a_run_that_is_stopped_before_it_begins_never_begins(mock: OutputMock, client: Client) -> None:
    ran: list[int] = []

    @mock.workflow("eager")
    async def eager(ctx: Context, input: Any) -> Any:
        ran.append(1)
        await ctx.wait_for_signal("never")

    client.start("eager", workflowId="wf")
    client.patch("/workflow/wf/stop")
    assert client.until_closed("wf") == "cancelled"


# --- terminate -------------------------------------------------------------------------------------------


def test_terminating_a_closed_run_is_not_found(client: Client) -> None:
    run_id = client.run("chain", {"n": 0, "to": 0}, workflowId="wf")["runId"]
    before = client.events("wf")
    for path in ("/workflow/wf/terminate", f"/workflow/wf/runs/{run_id}/terminate"):
        answer = client.post(path)
        assert (answer.status, answer.json) == (
            404,
            {
                "error": "WorkflowNotFoundError",
                "message": "workflow execution already completed",
                "workflowId": "wf",
            },
        )
    assert client.events("wf") == before


def test_a_pinned_terminate_of_an_old_run_leaves_the_latest_alone(client: Client) -> None:
    old = begun(client, "waits")
    client.post("/workflow/wf/terminate")
    begun(client, "waits")
    assert client.post(f"/workflow/wf/runs/{old}/terminate").status == 404
    assert client.get("/workflow/wf/status").json["status"] == "running"


# --- execution timeout -----------------------------------------------------------------------------------


def test_a_run_times_out_after_its_execution_timeout(connect: Connect) -> None:
    mock = OutputMock(execution_timeout="2m")
    mock.workflow("hour").takes("1h").returns(1)
    client = connect(mock)
    found = client.run("hour", workflowId="wf")
    assert (found["status"], found["output"]) == ("timed_out", None)
    assert found["error"] == {"name": "TimeoutFailure", "message": "Workflow execution timed out"}
    status = client.get("/workflow/wf/status").json
    assert status["completedAt"] - status["startedAt"] == 120_000
    assert client.kinds("wf")[-1] == CLOSING["timed_out"]


def test_a_run_that_waits_for_a_signal_times_out_when_time_passes(connect: Connect) -> None:
    mock = OutputMock("manual", execution_timeout="2m")

    @mock.workflow("waits")
    async def waits(ctx: Context, input: Any) -> Any:
        await ctx.wait_for_signal("go")

    client = connect(mock)
    client.start("waits", workflowId="wf")
    mock.clock.advance("1m59s")
    assert client.get("/workflow/wf/status").json["status"] == "running"
    mock.clock.advance("1s")
    assert client.get("/workflow/wf/status").json["status"] == "timed_out"


def test_the_execution_timeout_covers_the_whole_chain_of_runs(connect: Connect) -> None:
    mock = OutputMock(execution_timeout="150s")

    @mock.workflow("forever")
    async def forever(ctx: Context, input: Any) -> Any:
        await ctx.sleep("1m")
        ctx.continue_as_new(input + 1)

    client = connect(mock)
    found = client.run("forever", 0, workflowId="wf")
    assert found["status"] == "timed_out"
    assert client.get("/workflow/runs?workflowType=forever").json["count"] == 3


def test_the_default_execution_timeout_is_one_day(connect: Connect) -> None:
    mock = OutputMock("manual")

    @mock.workflow("waits")
    async def waits(ctx: Context, input: Any) -> Any:
        await ctx.wait_for_signal("go")

    client = connect(mock)
    client.start("waits", workflowId="wf")
    mock.clock.advance("23h59m")
    assert client.get("/workflow/wf/status").json["status"] == "running"
    mock.clock.advance("1m")
    assert client.get("/workflow/wf/status").json["status"] == "timed_out"


# --- reset -----------------------------------------------------------------------------------------------


def reset(client: Client, step: str, **body: Any) -> str:
    answer = client.post("/workflow/wf/reset", {"stepName": step, **body})
    assert answer.status == 200, answer.text
    assert set(answer.json) == {"workflowId", "runId"}
    run_id: str = answer.json["runId"]
    return run_id


def test_a_reset_closes_a_running_run_and_changes_nothing_else_in_it(client: Client) -> None:
    old = begun(client, "approval", "bees")
    before = client.events("wf")
    reset(client, "draft", reason="again")
    after = client.events("wf", old)
    assert after[:-1] == before
    assert after[-1]["eventTypeName"] == CLOSING["terminated"]
    found = result(client, run_id=old)
    assert (found["status"], found["error"]["message"]) == ("terminated", "again")


def test_a_reset_run_begins_with_the_history_of_the_old_run(client: Client) -> None:
    old = begun(client, "approval", "bees")
    new = reset(client, "draft")
    old_events, new_events = client.events("wf", old), client.events("wf", new)
    kinds = [event["eventTypeName"] for event in new_events]
    point = kinds.index("WORKFLOW_TASK_FAILED")
    assert new_events[:point] == old_events[:point]
    cause = new_events[point]["workflowTaskFailedEventAttributes"]
    assert (cause["baseRunId"], cause["newRunId"]) == (old, new)


def test_a_step_after_the_reset_point_is_run_again(mock: OutputMock, client: Client) -> None:
    count = [0]

    def counted(given: Any) -> int:
        count[0] += 1
        return count[0]

    @mock.workflow("counts")
    async def counts(ctx: Context, input: Any) -> Any:
        first = await ctx.step("first", returns=counted)
        return [first, await ctx.step("second", returns=counted)]

    assert client.run("counts", workflowId="wf")["output"] == [1, 2]
    reset(client, "first")
    assert client.until_closed("wf") == "completed"
    assert result(client)["output"] == [1, 3]
    reset(client, "second")
    client.until_closed("wf")
    assert result(client)["output"] == [1, 3]


def test_a_closed_run_that_is_reset_keeps_its_status(client: Client) -> None:
    old = client.run("chain", {"n": 0, "to": 0}, workflowId="wf")["runId"]
    before, outcome = client.events("wf"), result(client)
    reset(client, "count")
    client.until_closed("wf")
    assert client.events("wf", old) == before
    assert result(client, run_id=old) == outcome


def test_a_failed_run_can_be_reset(mock: OutputMock, client: Client) -> None:
    broken = [True]

    @mock.workflow("mended")
    async def mended(ctx: Context, input: Any) -> Any:
        await ctx.step("first")

        def work(given: Any) -> Any:
            if broken[0]:
                raise Failure("still broken", name="FatalError")
            return "mended"

        return await ctx.step("second", returns=work)

    assert client.run("mended", workflowId="wf")["status"] == "failed"
    broken[0] = False
    reset(client, "first")
    assert client.until_closed("wf") == "completed"
    assert result(client)["output"] == "mended"


def test_a_pinned_reset_of_an_old_run_creates_the_latest_run(client: Client) -> None:
    first = begun(client, "approval", "bees")
    second = reset(client, "draft")
    answer = client.post(f"/workflow/wf/runs/{first}/reset", {"stepName": "draft"})
    third = answer.json["runId"]
    assert len({first, second, third}) == 3
    assert client.get(f"/workflow/wf/runs/{second}/status").json["status"] == "terminated"
    assert client.get("/workflow/wf/status").json["runId"] == third


def test_a_reset_uses_the_last_step_of_that_name(mock: OutputMock, client: Client) -> None:
    seen: list[Any] = []

    @mock.workflow("loop")
    async def loop(ctx: Context, input: Any) -> Any:
        for n in range(3):
            await ctx.step("tick", n, returns=lambda given: seen.append(given))
        await ctx.step("end", returns=lambda given: seen.append("end"))

    client.run("loop", workflowId="wf")
    reset(client, "tick")
    client.until_closed("wf")
    assert seen == [0, 1, 2, "end", "end"]


@pytest.mark.parametrize("step", ["publish", "nope", "", "approval#draft", "Draft"])
def test_a_reset_to_a_step_that_never_ran_is_refused(client: Client, step: str) -> None:
    begun(client, "approval", "bees")
    before = client.events("wf")
    answer = client.post("/workflow/wf/reset", {"stepName": step})
    assert (answer.status, answer.json) == (
        404,
        {
            "error": "StepNotFoundError",
            "message": f'Step "{step}" was not found in the workflow history.',
        },
    )
    assert client.events("wf") == before


def test_a_reset_to_a_running_step_is_refused(client: Client) -> None:
    begun(client, "approval", "bees")
    client.post("/workflow/wf/signal/approve", {"payload": {}})
    answer = client.post("/workflow/wf/reset", {"stepName": "publish"})
    assert (answer.status, answer.json["error"]) == (409, "StepNotCompletedError")


def test_a_reset_to_a_failed_step_is_refused(mock: OutputMock, client: Client) -> None:
    @mock.workflow("fails")
    async def fails(ctx: Context, input: Any) -> Any:
        await ctx.step("work", fails=Failure("no", name="FatalError"))

    client.run("fails", workflowId="wf")
    assert client.post("/workflow/wf/reset", {"stepName": "work"}).json["error"] == "StepNotCompletedError"


def test_a_pinned_reset_of_an_unknown_run_is_a_500_as_on_the_real_server(client: Client) -> None:
    begun(client, "approval", "bees")
    answer = client.post(f"/workflow/wf/runs/{NOBODY}/reset", {"stepName": "draft"})
    assert (answer.status, answer.json["error"]) == (500, "Error")
    assert answer.json["message"].startswith("5 NOT_FOUND: workflow execution not found")


def test_a_timer_that_was_pending_at_the_reset_point_continues_in_the_new_run(connect: Connect) -> None:
    mock = OutputMock("manual")

    @mock.workflow("parallel")
    async def parallel(ctx: Context, input: Any) -> Any:
        async def slowly() -> str:
            await ctx.sleep("1h")
            return "slept"

        return await asyncio.gather(slowly(), ctx.step("quick", returns="done"))

    client = connect(mock)
    old = client.start("parallel", workflowId="wf")["runId"]
    mock.clock.advance("10m")
    new = reset(client, "quick")
    assert client.get(f"/workflow/wf/runs/{old}/status").json["status"] == "terminated"
    mock.clock.advance("2h")
    assert client.get("/workflow/wf/status").json["status"] == "completed"
    assert result(client)["output"] == ["slept", "done"]
    assert client.kinds("wf", new).count("TIMER_FIRED") == 1


def test_a_query_of_a_reset_run_sees_the_replayed_state(client: Client) -> None:
    begun(client, "approval", "bees")
    client.post("/workflow/wf/signal/approve", {"payload": {"by": "ana"}})
    client.until_closed("wf")
    assert client.post("/workflow/wf/query/stage").json == "publish"
    reset(client, "draft")
    client.until_closed("wf")
    assert client.post("/workflow/wf/query/stage").json == "publish"


def test_a_child_that_ended_before_the_reset_point_is_not_run_again(mock: OutputMock, client: Client) -> None:
    mock.workflow("grows").takes("1m").returns("grown")
    mock.workflow("breaks").fails("broken")

    @mock.workflow("parent")
    async def parent(ctx: Context, input: Any) -> Any:
        grown = await ctx.child("grows")
        try:
            await ctx.child("breaks")
        except ChildFailure as failure:
            broken = failure.message
        await ctx.step("after")
        return [grown, broken, await ctx.wait_for_signal("go")]

    begun(client, "parent")
    reset(client, "after")
    client.post("/workflow/wf/signal/go", {"payload": {"n": 1}})
    assert client.until_closed("wf") == "completed"
    assert result(client)["output"] == ["grown", "broken", {"n": 1}]
    assert len(children(client, "grows")) == len(children(client, "breaks")) == 1


def test_timers_and_failures_before_the_reset_point_are_replayed(mock: OutputMock, client: Client) -> None:
    tries: list[str] = []

    @mock.workflow("eventful")
    async def eventful(ctx: Context, input: Any) -> Any:
        notes: list[Any] = []
        await ctx.sleep("1m")
        notes.append(await ctx.condition(lambda: False, timeout="1m"))
        try:
            await ctx.step(
                "risky", returns=lambda given: tries.append("risky"), fails=Failure("no", name="FatalError")
            )
        except StepFailure as failure:
            notes.append(failure.message)
        try:
            await asyncio.wait_for(ctx.step("slow", takes="10m"), 30)
        except asyncio.TimeoutError:
            notes.append("gave up")
        notes.append(await asyncio.wait_for(ctx.step("quick", returns="in time"), 30))
        await ctx.step("after", returns=lambda given: tries.append("after"))
        return notes

    wanted = [False, "no", "gave up", "in time"]
    assert client.run("eventful", workflowId="wf")["output"] == wanted
    before = client.get("/workflow/wf/status").json["startedAt"]
    reset(client, "after")
    assert client.until_closed("wf") == "completed"
    assert result(client)["output"] == wanted
    assert tries == ["after"]
    assert client.get("/workflow/wf/status").json["startedAt"] > before


def test_updates_before_and_after_the_reset_point_both_count(mock: OutputMock, client: Client) -> None:
    @mock.workflow("updated")
    async def updated(ctx: Context, input: Any) -> Any:
        state: dict[str, Any] = {}

        def check(payload: Any) -> None:
            if "bad" in payload:
                raise ValueError("refused")

        ctx.on_update("set", state.update, validator=check)
        ctx.on_query("state", lambda payload: state)
        await ctx.wait_for_signal("begin")
        await ctx.step("work")
        await ctx.wait_for_signal("go")
        return state

    begun(client, "updated")
    client.post("/workflow/wf/update/set", {"payload": {"before": 1}})
    client.post("/workflow/wf/update/set", {"payload": {"bad": 1}})
    client.post("/workflow/wf/signal/begin")
    client.post("/workflow/wf/query/state")
    assert eventually(lambda: client.get("/workflow/wf/status") and "work" in str(client.events("wf")))
    client.post("/workflow/wf/update/set", {"payload": {"after": 2}})
    reset(client, "work")
    eventually(lambda: client.post("/workflow/wf/query/state").json == {"before": 1, "after": 2})
    client.post("/workflow/wf/signal/go")
    assert client.until_closed("wf") == "completed"
    assert result(client)["output"] == {"before": 1, "after": 2}


def test_a_stop_before_the_reset_point_is_replayed(client: Client) -> None:
    begun(client, "graceful", "swallow")
    client.patch("/workflow/wf/stop")
    assert client.until_closed("wf") == "completed"
    new = reset(client, "cleanup")
    assert client.until_closed("wf") == "completed"
    assert result(client)["output"] == {"stopped": True}
    assert client.kinds("wf", new).count("WORKFLOW_EXECUTION_CANCEL_REQUESTED") == 1


def test_a_step_that_was_running_at_the_reset_point_is_run_again(connect: Connect) -> None:
    mock = OutputMock("manual")
    ended: list[str] = []

    @mock.workflow("parallel")
    async def parallel(ctx: Context, input: Any) -> Any:
        return await asyncio.gather(
            ctx.step("slow", takes="10m", returns=lambda given: ended.append("slow")),
            ctx.step("quick", takes="1m", returns=lambda given: ended.append("quick")),
        )

    client = connect(mock)
    client.start("parallel", workflowId="wf")
    mock.clock.advance("5m")
    reset(client, "quick")
    mock.clock.advance("20m")
    assert client.get("/workflow/wf/status").json["status"] == "completed"
    assert ended == ["quick", "slow"]


# --- what leaves no trace, and what leaves too much ------------------------------------------------------


def test_commands_that_are_cancelled_at_once_leave_no_events(mock: OutputMock, client: Client) -> None:
    @mock.workflow("fickle")
    async def fickle(ctx: Context, input: Any) -> Any:
        for thing in (
            ctx.step("work"),
            ctx.sleep("1m"),
            ctx.child("waits"),
            ctx.wait_for_signal("x", timeout="1m"),
        ):
            task = asyncio.ensure_future(thing)
            await asyncio.sleep(0)
            task.cancel()
        return "done"

    assert client.run("fickle", workflowId="wf")["output"] == "done"
    kinds = client.kinds("wf")
    assert kinds.count("ACTIVITY_TASK_SCHEDULED") == 1
    assert not [kind for kind in kinds if "TIMER" in kind or "CHILD" in kind]


def test_a_run_whose_history_exceeds_the_limit_is_ended(connect: Connect) -> None:
    mock = OutputMock("auto")

    @mock.workflow("endless", traced=False)
    async def endless(ctx: Context, input: Any) -> Any:
        while True:
            await asyncio.gather(*(ctx.step("work") for _ in range(200)))

    found = connect(mock).run("endless", workflowId="wf")
    assert found["status"] == "terminated"
    assert "history" in found["error"]["message"]


# --- continue as new -------------------------------------------------------------------------------------


def test_run_times_out_for_a_workflow_that_continues_as_new_forever(connect: Connect) -> None:
    mock = OutputMock(max_waiting="1m")

    @mock.workflow("forever")
    async def forever(ctx: Context, input: Any) -> Any:
        ctx.continue_as_new(input + 1)

    answer = connect(mock).post("/workflow/run", {"workflowName": "forever", "input": 0})
    assert (answer.status, answer.json["error"]) == (408, "WorkflowExecutionTimedOutError")


# --- children --------------------------------------------------------------------------------------------


@pytest.fixture
def family(mock: OutputMock) -> OutputMock:
    mock.workflow("works").takes("1m").returns(lambda given: {"worked": given})
    mock.workflow("fails").fails("child broke", name="ChildError", code=5)

    @mock.workflow("parent")
    async def parent(ctx: Context, input: Any) -> Any:
        return {"child": await ctx.child(input["child"], input.get("input"))}

    @mock.workflow("parallel")
    async def parallel(ctx: Context, input: Any) -> Any:
        return await asyncio.gather(*(ctx.child("works", n) for n in range(input)))

    return mock


def children(client: Client, workflow_type: str) -> list[dict[str, Any]]:
    runs: list[dict[str, Any]] = client.get(f"/workflow/runs?workflowType={workflow_type}").json["runs"]
    return runs


def test_parallel_children_take_the_time_of_one(family: OutputMock, client: Client) -> None:
    found = client.run("parallel", 5, workflowId="p")
    assert found["output"] == [{"worked": n} for n in range(5)]
    status = client.get("/workflow/p/status").json
    assert status["completedAt"] - status["startedAt"] == 60_000
    runs = children(client, "works")
    assert len({run["workflowId"] for run in runs}) == len(runs) == 5


def test_a_child_receives_its_own_signals(family: OutputMock, client: Client) -> None:
    client.start("parent", {"child": "waits"}, workflowId="p")
    eventually(lambda: client.get("/workflow/p/status") and children(client, "waits"))
    child = children(client, "waits")[0]["workflowId"]
    client.post(f"/workflow/{child}/signal/go", {"payload": {"n": 1}})
    assert client.until_closed("p") == "completed"
    assert result(client, "p")["output"] == {"child": {"n": 1}}


def test_a_child_shares_the_trace_of_its_parent(family: OutputMock, client: Client) -> None:
    client.run("parent", {"child": "works"}, workflowId="p")
    (child,) = children(client, "works")
    scheduled = [
        event["activityTaskScheduledEventAttributes"]["activityType"]["name"]
        for event in client.events(child["workflowId"])
        if event["eventTypeName"] == "ACTIVITY_TASK_SCHEDULED"
    ]
    assert "__internal#getTraceDestinations" not in scheduled


# --- closed runs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["completed", "failed", "cancelled", "terminated"])
def test_a_closed_run_never_changes(mock: OutputMock, client: Client, end: str) -> None:
    mock.workflow("fails").fails("no")
    if end == "completed":
        client.run("chain", {"n": 0, "to": 0}, workflowId="wf")
    elif end == "failed":
        client.run("fails", workflowId="wf")
    else:
        begun(client, "waits")
        client.request(
            "PATCH" if end == "cancelled" else "POST",
            f"/workflow/wf/{'stop' if end == 'cancelled' else 'terminate'}",
        )
    assert client.until_closed("wf") == end
    before = (client.events("wf"), result(client), client.get("/workflow/wf/status").json)
    for method, path in (
        ("PATCH", "stop"),
        ("POST", "terminate"),
        ("POST", "signal/go"),
        ("POST", "update/x"),
        ("POST", "query/n"),
        ("GET", "history"),
    ):
        client.request(method, f"/workflow/wf/{path}", {})
    mock.clock.advance("48h")
    assert (client.events("wf"), result(client), client.get("/workflow/wf/status").json) == before
    assert before[0][-1]["eventTypeName"] == CLOSING[end]
