"""Clients that wait in a world that ends, or on a server that stops, get an error."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import pytest

from output_mock import Context, OutputMock, Script
from output_mock.control.front import Front
from output_mock.control.worlds import Worlds
from output_mock.durations import SECOND
from output_mock.engine import errors
from output_mock.server import Server
from tests.client import Answer, Client
from tests.conftest import eventually, no_hang
from tests.control.served import served

script = Script()


@script.workflow("waits")
async def waits(ctx: Context, input: Any) -> Any:
    async def reply(payload: Any) -> Any:
        return await ctx.wait_for_signal("reply")

    ctx.on_update("ask", reply)
    return await ctx.wait_for_signal("go")


# Requests that wait for a run, a message, an event or a call, and their clocks.
WAITING = [
    ("run", "manual"),
    ("run", "real"),
    ("update", "auto"),
    ("long poll", "manual"),
    ("long poll", "real"),
    ("stream", "auto"),
    ("calls", "auto"),
]
ENDINGS = {
    "wiped": ("POST", "/__mock__/worlds/one/wipe", "its world was wiped"),
    "restored": ("POST", "/w/one/__mock__/snapshots/s/restore", "its world went back to a snapshot"),
    "deleted": ("DELETE", "/__mock__/worlds/one", "its world was deleted"),
}


def make(options: Mapping[str, Any]) -> OutputMock:
    mock = OutputMock(options.get("clock", "auto"), scripts=[script], execution_timeout="1000d")
    # Nothing else ends a wait.
    mock.world.patience = 3600
    mock.world.history_max_waiting = 3600 * SECOND
    return mock


def request_of(kind: str, mock: OutputMock, one: Client) -> Callable[[], Answer]:
    """Prepare the world and send a request that waits in this way."""
    one.start("waits", workflowId="w")
    mock.world.play_what_is_due()
    eventually(lambda: mock.runs["w"].progress.startswith("waiting"))
    if kind == "run":
        body = {"workflowName": "waits", "workflowId": "run", "timeout": 1_000_000_000}
        return lambda: one.unchecked("POST", "/workflow/run", body)
    if kind == "update":
        return lambda: one.unchecked("POST", "/workflow/w/update/ask", {"payload": {}})
    if kind == "stream":
        return lambda: one.unchecked("GET", "/workflow/w/history/stream")
    if kind == "calls":
        return lambda: one.unchecked("GET", "/__mock__/calls/wait?count=1000&timeout=60s")
    page = one.get("/workflow/w/history?pageSize=50&longPollTimeoutMs=10").json
    token = quote(page["nextPageToken"], safe="")
    path = f"/workflow/w/history?runId={page['runId']}&pageToken={token}&longPollTimeoutMs=3000000"
    return lambda: one.unchecked("GET", path)


def somebody_waits(mock: OutputMock) -> bool:
    return mock.world.waiting_requests() > 0 or mock.app.calls._waiting > 0


def told(answer: Answer) -> dict[str, Any]:
    """The error of a response, or of a stream that had already begun."""
    if answer.headers["content-type"].startswith("text/event-stream"):
        last = answer.body.split(b"\n\n")[-2]
        assert last.startswith(b"event: server_error\ndata: "), last
        found: dict[str, Any] = json.loads(last.partition(b"data: ")[2])
        return found
    body: dict[str, Any] = answer.json
    return body


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(("kind", "clock"), WAITING)
def test_a_waiting_client_learns_why_its_world_ended(kind: str, clock: str, ending: str) -> None:
    verb, path, words = ENDINGS[ending]
    worlds = Worlds(make({}), make)
    with served(worlds) as client, no_hang(), ThreadPoolExecutor(1) as pool:
        client.control("POST", "/worlds", {"name": "one", "clock": clock}, expect=201)
        one, mock = client.of("one"), worlds.find("one").mock
        request = request_of(kind, mock, one)
        one.control("POST", "/snapshots", {"name": "s"}, expect=201)
        waiting = pool.submit(request)
        eventually(lambda: somebody_waits(mock))
        assert client.unchecked(verb, path).status in (200, 204)
        answer = waiting.result()
        error = told(answer)
        assert error["error"] == "WaitEndedError"
        assert words in error["message"]
        assert answer.status == (200 if kind == "stream" else 410)
        if kind in ("run", "update", "long poll", "stream"):
            assert error["workflowId"] == ("run" if kind == "run" else "w")


@pytest.mark.parametrize(("kind", "clock"), WAITING)
def test_a_waiting_client_learns_that_the_server_stops(kind: str, clock: Any) -> None:
    mock = make({"clock": clock})
    server = Server(Front(Worlds(mock)))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    with no_hang(), ThreadPoolExecutor(1) as pool:
        request = request_of(kind, mock, Client(server.url))
        waiting = pool.submit(request)
        eventually(lambda: somebody_waits(mock))
        server.close()
        answer = waiting.result()
        thread.join()
    error = told(answer)
    assert error["error"] == "WaitEndedError"
    assert "the server stops" in error["message"]
    assert answer.status == (200 if kind == "stream" else 503)
    mock.close()


@pytest.mark.parametrize(("kind", "clock"), [one for one in WAITING if one[0] != "calls"])
def test_a_waiting_client_in_process_learns_that_the_fake_was_closed(kind: str, clock: Any) -> None:
    mock = make({"clock": clock})
    with no_hang(), ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(request_of(kind, mock, Client(mock)))
        eventually(lambda: somebody_waits(mock))
        mock.close()
        answer = waiting.result()
    assert "the fake was closed" in told(answer)["message"]
    assert answer.status == (200 if kind == "stream" else 410)


def test_waiting_for_a_run_of_a_closed_fake_raises_an_error() -> None:
    mock = make({})
    mock.close()
    run = mock.world.start("waits", workflow_id="w")
    with no_hang(), pytest.raises(errors.WaitEndedError, match=r"'w'.*the fake was closed"):
        mock.world.wait_for_result(run)
