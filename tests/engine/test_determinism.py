"""Same script, same seed, same requests: the same bytes."""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
import requests

from output_mock import Context, Failure, OutputMock
from output_mock.engine.clock import Mode
from tests.client import Answer, Client

ROOT = Path(__file__).parents[2]


def fake(clock: Mode, seed: int) -> OutputMock:
    """A fake with workflows that use every possible source of randomness."""
    mock = OutputMock(clock, seed)

    @mock.workflow("everything")
    async def everything(ctx: Context, input: Any) -> Any:
        ctx.on_query("dice", lambda payload: ctx.info.run_id)
        ctx.on_update("set", lambda payload: payload)
        dice = ctx.random.random()
        fails = [Failure("flaky"), None]
        values = await asyncio.gather(
            ctx.step("flaky", fails=fails, returns=1),
            ctx.child("child"),
            asyncio.sleep(30, 2),
            ctx.child("child"),
        )
        signal = await ctx.wait_for_signal("go", timeout="1h")
        return {"dice": dice, "values": values, "signal": signal}

    @mock.workflow("child")
    async def child(ctx: Context, input: Any) -> Any:
        await ctx.step("grow", takes="1m")
        return [ctx.info.workflow_id, ctx.random.random()]

    @mock.workflow("chain")
    async def chain(ctx: Context, input: Any) -> Any:
        if input < 2:
            ctx.continue_as_new(input + 1)

    mock.workflow("fails").fails("no", code=5)
    return mock


def session(mock: OutputMock, url: str | None = None) -> list[Answer]:
    """All responses that a client gets in a session."""
    client = Client(mock) if url is None else Client(url)
    heard: list[Answer] = []

    def ask(method: str, path: str, json: Any = None) -> Answer:
        answer = client.request(method, path, *([] if json is None else [json]))
        heard.append(answer)
        return answer

    started = ask("POST", "/workflow/start", {"workflowName": "everything", "input": {"n": 1}}).json
    wf = started["workflowId"]
    ask("GET", "/health")
    ask("POST", "/workflow/start", {"workflowName": "chain", "input": 0})
    ask("POST", "/workflow/run", {"workflowName": "fails", "workflowId": "mine"})
    for _ in range(6):
        ask("GET", f"/workflow/{wf}/status")
        if mock.clock.mode == "manual":
            mock.clock.advance("40s")
    ask("POST", f"/workflow/{wf}/query/dice")
    ask("POST", f"/workflow/{wf}/update/set", {"payload": {"x": 1}})
    ask("POST", f"/workflow/{wf}/update/unknown")
    ask("GET", f"/workflow/{wf}/result")
    mock.clock.advance("10m")
    ask("POST", f"/workflow/{wf}/reset", {"stepName": "flaky"})
    ask("POST", f"/workflow/{wf}/signal/go", {"payload": {"by": "ana"}})
    mock.clock.advance("10m")
    for path in (
        "status",
        "result",
        "input",
        "trace-log",
        "history?pageSize=3",
        "history?pageSize=50&includePayloads=true",
    ):
        ask("GET", f"/workflow/{wf}/{path}")
        ask("GET", f"/workflow/{wf}/runs/{started['runId']}/{path}")
    for path in (
        "/workflow/runs",
        "/workflow/catalog",
        "/workflow/main/history?includePayloads=false",
        "/nope",
        "/workflow/%zz/status",
    ):
        ask("GET", path)
    ask("GET", f"/workflow/{wf}/runs/{started['runId']}/history/stream")
    return heard


def digest(clock: Mode) -> str:
    """A digest of all bytes of a session. A test runs it in a separate process."""
    return hashlib.sha256(repr(session(fake(clock, 7))).encode()).hexdigest()


@pytest.mark.parametrize("clock", ["auto", "manual"])
def test_the_same_requests_give_the_same_bytes(clock: Mode) -> None:
    first, second = session(fake(clock, 7)), session(fake(clock, 7))
    assert len(first) > 30
    for one, other in zip(first, second, strict=True):
        assert one == other


@pytest.mark.parametrize("clock", ["auto", "manual"])
def test_the_same_requests_give_the_same_bytes_over_a_socket(clock: Mode) -> None:
    heard = []
    for _ in range(2):
        mock = fake(clock, 7)
        with mock.serve() as url:
            heard.append(session(mock, url))
    assert heard[0] == heard[1]


@pytest.mark.parametrize("clock", ["auto", "manual"])
def test_bodies_and_ids_are_the_same_over_a_socket(clock: Mode) -> None:
    in_process = session(fake(clock, 7))
    mock = fake(clock, 7)
    with mock.serve() as url:
        over_a_socket = session(mock, url)
    assert [(one.status, one.body) for one in over_a_socket] == [(one.status, one.body) for one in in_process]
    assert [one.headers["x-request-id"] for one in over_a_socket] == [
        one.headers["x-request-id"] for one in in_process
    ]


def test_another_process_with_another_hash_seed_gives_the_same_bytes() -> None:
    code = """
from tests.engine.test_determinism import digest
print(hash("a"), digest("auto"), digest("manual"))
"""
    theirs = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "1", "PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    assert theirs[0] != str(hash("a"))
    assert theirs[1:] == [digest("auto"), digest("manual")]


@pytest.mark.parametrize("clock", ["auto", "manual"])
def test_another_seed_gives_other_ids_and_the_same_events(clock: Mode) -> None:
    first, second = session(fake(clock, 7)), session(fake(clock, 8))
    assert [answer.status for answer in first] == [answer.status for answer in second]
    assert first[0].json["workflowId"] != second[0].json["workflowId"]
    assert first[0].json["runId"] != second[0].json["runId"]
    ids = [{answer.headers["x-request-id"] for answer in answers} for answers in (first, second)]
    assert not ids[0] & ids[1]


def test_reading_a_run_does_not_change_the_ids_of_the_next() -> None:
    ids = []
    for looks in (0, 5):
        mock = fake("manual", 7)
        client = Client(mock)
        client.start("fails", workflowId="wf")
        for _ in range(looks):
            client.get("/workflow/wf/status")
            client.get("/workflow/wf/history")
        ids.append(client.start("fails"))
    assert ids[0] == ids[1]


@pytest.mark.parametrize("served", [False, True])
def test_the_date_header_uses_the_fakes_clock(served: bool) -> None:
    mock = OutputMock("manual", start=datetime(2030, 1, 2, 3, 4, 5, tzinfo=timezone.utc))
    with mock.serve() if served else mock.in_process() as url:
        assert requests.get(f"{url}/health").headers["Date"] == "Wed, 02 Jan 2030 03:04:05 GMT"
        mock.clock.advance("1h")
        assert requests.get(f"{url}/health").headers["Date"] == "Wed, 02 Jan 2030 04:04:05 GMT"
