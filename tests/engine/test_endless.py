"""Runs that bring about runs without end are ended, on every clock, and the world goes on."""

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
def test_children_without_end_are_a_mistake(clock: Any, script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
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
        # Each of them takes its time there.
        mock.world.latency = type(mock.world.latency)()
    eventually(over)
    assert len(mock.script_errors) == 1
    message = mock.script_errors[0].message
    assert "workflow 'endless' has brought about 20 runs within a second" in message
    assert client.get("/workflow/wf/result").json["message"] == message or script is forks_detached
    eventually(lambda: not any(mock.runs[one].status == "running" for one in mock.runs))
    assert len(mock.runs) <= 22
    assert client.post("/workflow/run", json={"workflowName": "leaf"}).json["output"] == 1
    mock.close()


def test_many_children_are_none_without_end() -> None:
    mock = OutputMock()
    mock.workflow("leaf").returns(1)

    @mock.workflow("many")
    async def many(ctx: Context, input: Any) -> int:
        return sum(await asyncio.gather(*(ctx.child("leaf") for _ in range(1000))))

    answer = mock.app.test_client().post("/workflow/run", json={"workflowName": "many"})
    assert answer.json["output"] == 1000
