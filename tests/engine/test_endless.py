"""Endless runs, children and tasks are stopped on every clock, and the world continues."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from output_mock import Context, OutputMock
from tests.conftest import eventually


async def forks(ctx: Context, input: Any) -> None:
    await asyncio.gather(ctx.child("endless"), ctx.child("endless"))


async def forks_detached(ctx: Context, input: Any) -> None:
    await asyncio.gather(*(ctx.child("endless", detached=True) for _ in range(3)))


async def forks_whatever_comes(ctx: Context, input: Any) -> None:
    while True:
        try:
            await ctx.child("endless")
        except Exception:
            pass


async def one_after_the_other(ctx: Context, input: Any) -> None:
    while True:
        await ctx.child("leaf")


@pytest.mark.parametrize("clock", ["auto", "manual", "real"])
@pytest.mark.parametrize("script", [forks, forks_detached, forks_whatever_comes, one_after_the_other])
def test_endless_children_are_a_script_error(
    clock: Any, script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("output_mock.engine.world.MOST_DESCENDANTS", 20)
    mock = OutputMock(clock)
    mock.workflow("endless")(script)
    mock.workflow("leaf").returns(1)
    client = mock.app.test_client()
    client.post("/workflow/start", json={"workflowName": "endless", "workflowId": "wf"})

    def over() -> bool:
        if clock == "manual":
            mock.clock.advance(0)
        client.get("/workflow/wf/status")
        return mock.runs["wf"].status != "running"

    if clock == "real" and script is one_after_the_other:
        # Each of them takes real time there.
        mock.world.latency = type(mock.world.latency)()
    eventually(over)
    assert len(mock.script_errors) == 1
    message = mock.script_errors[0].message
    assert "workflow 'endless' has started 20 runs within a second" in message
    assert client.get("/workflow/wf/result").json["message"] == message or script is forks_detached
    eventually(lambda: not any(mock.runs[one].status == "running" for one in mock.runs))
    assert len(mock.runs) <= 22
    assert client.post("/workflow/run", json={"workflowName": "leaf"}).json["output"] == 1
    mock.close()


def test_many_children_are_not_mistaken_for_endless_ones() -> None:
    mock = OutputMock()
    mock.workflow("leaf").returns(1)

    @mock.workflow("many")
    async def many(ctx: Context, input: Any) -> int:
        return sum(await asyncio.gather(*(ctx.child("leaf") for _ in range(1000))))

    answer = mock.app.test_client().post("/workflow/run", json={"workflowName": "many"})
    assert answer.json["output"] == 1000


async def tasks_begin_tasks(ctx: Context, input: Any) -> None:
    async def begin() -> None:
        while True:
            asyncio.create_task(begin())  # noqa: RUF006
            await asyncio.sleep(0)

    await begin()


async def one_task_after_the_other(ctx: Context, input: Any) -> None:
    tasks = []
    while True:
        tasks.append(asyncio.create_task(ctx.wait_for_signal("never")))


async def tasks_whatever_comes(ctx: Context, input: Any) -> None:
    tasks = []
    for _ in range(1000):
        try:
            tasks.append(asyncio.create_task(ctx.wait_for_signal("never")))
        except BaseException:
            pass


@pytest.mark.parametrize("clock", ["auto", "manual"])
@pytest.mark.parametrize("script", [tasks_begin_tasks, one_task_after_the_other, tasks_whatever_comes])
def test_endless_tasks_are_a_script_error(clock: Any, script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("output_mock.engine.loop.MOST_TASKS", 200)
    # Nothing else ends the run.
    mock = OutputMock(clock, script_limit="1h")
    mock.workflow("endless")(script)
    mock.workflow("leaf").returns(1)
    client = mock.app.test_client()
    client.post("/workflow/start", json={"workflowName": "endless", "workflowId": "wf"})
    mock.world.play_what_is_due()
    message = client.get("/workflow/wf/result").json["message"]
    assert "has 200 open tasks, and starts another one" in message
    assert "test_endless.py, line " in message
    assert client.post("/workflow/run", json={"workflowName": "leaf"}).json["output"] == 1
    mock.close()


def test_many_tasks_are_not_mistaken_for_endless_ones() -> None:
    mock = OutputMock()

    @mock.workflow("many")
    async def many(ctx: Context, input: Any) -> int:
        async def one() -> int:
            await asyncio.sleep(0)
            return 1

        return sum(await asyncio.gather(*(one() for _ in range(20_000))))

    answer = mock.app.test_client().post("/workflow/run", json={"workflowName": "many"})
    assert answer.json["output"] == 20_000


async def continues_as_new(ctx: Context, input: Any) -> None:
    ctx.continue_as_new(input)


async def signals_itself(ctx: Context, input: Any) -> None:
    while True:
        mocks[0].signal(ctx.info.workflow_id, "ping")
        await ctx.wait_for_signal("ping")


async def runs_steps(ctx: Context, input: Any) -> None:
    while True:
        await ctx.step("fetch")


mocks: list[OutputMock] = []


@pytest.mark.parametrize("clock", ["auto", "manual"])
@pytest.mark.parametrize("script", [signals_itself, runs_steps])
def test_an_endless_run_without_waits_ends_at_the_history_limit(
    clock: Any, script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("output_mock.engine.history_limits.MOST_EVENTS", 2_000)
    mock = OutputMock(clock)
    mocks[:] = [mock]
    mock.workflow("endless")(script)
    client = mock.app.test_client()
    client.post("/workflow/start", json={"workflowName": "endless", "workflowId": "wf"})
    mock.world.play_what_is_due(most=1_000_000)
    assert mock.runs["wf"].status == "terminated"
    assert "history" in client.get("/workflow/wf/result").json["error"]["message"]
    mock.close()


@pytest.mark.parametrize("clock", ["auto", "manual"])
def test_each_request_advances_an_endless_chain_only_a_little(clock: Any) -> None:
    mock = OutputMock(clock)
    mock.workflow("endless")(continues_as_new)
    client = mock.app.test_client()
    client.post("/workflow/start", json={"workflowName": "endless", "workflowId": "wf"})
    for _ in range(5):
        mock.world.play_what_is_due()
        assert client.get("/workflow/wf/status").json["status"] == "running"
    # Each time, the open run and the one that continues it begin, and with the request perhaps a third.
    assert len(list(mock.world.runs())) <= 1 + 5 * 3 + 1
    mock.close()
