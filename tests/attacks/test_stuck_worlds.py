"""A script that never returns blocks only its own world; requests get an error, and it can be wiped."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from output_mock import Context, OutputMock, Script
from output_mock.control.front import Front
from output_mock.control.worlds import Worlds
from output_mock.server import Server
from tests.client import Client
from tests.conftest import eventually, no_hang

HERE = Path(__file__)


class Holding:
    """Blocks scripts until the end of the test."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.over = threading.Event()
        self.reading, self.writing = os.pipe()
        self.near, self.far = socket.socketpair()
        self.lock = threading.Lock()
        self.lock.acquire()

    def release(self) -> None:
        """Let every blocked script continue."""
        if not self.over.is_set():
            self.over.set()
            os.write(self.writing, b"x" * 64)
            self.far.sendall(b"x" * 64)
            self.lock.release()

    def close(self) -> None:
        self.release()
        for one in (self.near, self.far):
            one.close()
        for number in (self.reading, self.writing):
            os.close(number)


def scripts(holding: Holding) -> Script:
    script = Script()
    script.workflow("echo").returns(lambda given: given)

    def blocking(name: str, block: Callable[[], object]) -> None:
        @script.workflow(name)
        async def body(ctx: Context, input: Any) -> None:
            holding.begun.set()
            block()  # <blocks>

    def spin() -> None:
        while not holding.over.is_set():
            pass

    blocking("spins", spin)
    blocking("reads_a_pipe", lambda: os.read(holding.reading, 1))
    blocking("reads_a_socket", lambda: holding.near.recv(1))
    blocking("waits_for_a_lock", lambda: holding.lock.acquire())
    blocking("waits_for_an_event", holding.over.wait)

    @script.workflow("blocks_in_a_query")
    async def asks(ctx: Context, input: Any) -> None:
        ctx.on_query("stage", lambda payload: (holding.begun.set(), holding.over.wait()))
        await ctx.wait_for_signal("go")

    @script.workflow("blocks_in_a_step")
    async def steps(ctx: Context, input: Any) -> None:
        await ctx.step("fetch", input, returns=lambda given: (holding.begun.set(), holding.over.wait()))

    @script.workflow("blocks_later")
    async def later(ctx: Context, input: Any) -> None:
        await ctx.sleep("1h")
        holding.begun.set()
        holding.over.wait()

    @script.workflow("waits")
    async def waits(ctx: Context, input: Any) -> Any:
        ctx.on_query("stage", lambda payload: "waiting")
        return await ctx.wait_for_signal("go")

    return script


@contextmanager
def server(*, threads: int = 4000, clock: Any = "auto") -> Iterator[tuple[Client, Holding, Worlds]]:
    """A served fake whose scripts can block, and the `Holding` that they block on."""
    holding = Holding()
    script = scripts(holding)

    def make(options: Mapping[str, Any]) -> OutputMock:
        mock = OutputMock(options.get("clock", clock), scripts=[script], script_limit="1h")
        # Requests give up soon; the script never ends by itself.
        mock.world.clock.lock.patience = 0.01
        return mock

    worlds = Worlds(make({}), make)
    one = Server(Front(worlds), threads=threads)
    thread = threading.Thread(target=one.run, daemon=True)
    thread.start()
    try:
        with no_hang():
            yield Client(one.url), holding, worlds
    finally:
        holding.release()
        one.close()
        thread.join()
        for held in worlds:
            held.mock.close()
        worlds.close()
        holding.close()


@contextmanager
def stuck(
    client: Client, holding: Holding, workflow: str = "waits_for_an_event"
) -> Iterator[ThreadPoolExecutor]:
    """World `one` is stuck in this workflow during the block; yields threads to send requests with."""
    with ThreadPoolExecutor(300) as pool:
        one = client.of("one")
        if workflow == "blocks_in_a_query":
            one.start(workflow, workflowId="wf")
            one.get("/workflow/wf/status")
            pool.submit(one.unchecked, "POST", "/workflow/wf/query/stage")
        else:
            pool.submit(
                one.unchecked, "POST", "/workflow/run", {"workflowName": workflow, "workflowId": "wf"}
            )
        assert holding.begun.wait(60)
        try:
            yield pool
        finally:
            holding.release()


@pytest.mark.parametrize(
    "workflow",
    [
        "spins",
        "reads_a_pipe",
        "reads_a_socket",
        "waits_for_a_lock",
        "blocks_in_a_query",
        "blocks_in_a_step",
    ],
)
def test_a_request_to_a_stuck_world_learns_what_blocks_it(workflow: str) -> None:
    with server() as (client, holding, _), stuck(client, holding, workflow):
        one = client.of("one")
        answer = one.unchecked("POST", "/workflow/run", {"workflowName": "echo"})
        assert (answer.status, answer.json["error"]) == (503, "WorldStuckError")
        assert answer.headers["retry-after"] == "3"
        message = answer.json["message"]
        assert f"the script of workflow {workflow!r}" in message
        assert "workflow id 'wf'" in message
        assert f"{HERE}, line " in message
        assert ("in step 'fetch'" in message) == (workflow == "blocks_in_a_step")
        assert "/__mock__/world/wipe" in message
        refused = one.control("GET", "/runs")
        assert (refused.status, refused.json["error"]) == (503, "WorldStuckError")
        assert not holding.over.is_set()


def test_the_message_names_the_blocking_line() -> None:
    with server() as (client, holding, _), stuck(client, holding):
        message = client.of("one").unchecked("GET", "/workflow/wf/status").json["message"]
        lines = HERE.read_text().splitlines()
        line = next(number for number, text in enumerate(lines, 1) if text.endswith("# <blocks>"))
        assert f"{HERE}, line {line}" in message


def test_other_worlds_and_the_control_plane_continue() -> None:
    with server() as (client, holding, _), stuck(client, holding):
        other = client.of("other")
        assert client.run("echo", 1)["output"] == 1
        assert other.run("echo", 2)["output"] == 2
        assert client.control("GET", "/version", expect=200)
        other.control("POST", "/snapshots", {"name": "s"}, expect=201)
        other.control("POST", "/snapshots/s/restore", expect=200)
        client.control("POST", "/worlds", {"name": "new"}, expect=201)
        listed = {world["name"]: world["stuck"] for world in client.control("GET", "/worlds").json["worlds"]}
        assert "waits_for_an_event" in listed.pop("one")
        assert listed == {"default": None, "other": None, "new": None}
        assert not holding.over.is_set()


@pytest.mark.parametrize(("threads", "requests"), [(4000, 200), (20, 60)])
def test_requests_to_a_stuck_world_do_not_exhaust_the_threads(threads: int, requests: int) -> None:
    with server(threads=threads) as (client, holding, _), stuck(client, holding) as pool:
        one = client.of("one")
        asked = [pool.submit(one.unchecked, "GET", "/workflow/wf/status") for _ in range(requests)]
        assert client.of("other").run("echo", 1)["output"] == 1
        assert {one.result().status for one in asked} == {503}
        assert not holding.over.is_set()


@pytest.mark.parametrize("workflow", ["spins", "waits_for_an_event"])
@pytest.mark.parametrize(("verb", "path"), [("POST", "/worlds/one/wipe"), ("DELETE", "/worlds/one")])
def test_a_stuck_world_can_be_wiped_and_deleted(verb: str, path: str, workflow: str) -> None:
    with server() as (client, holding, _), stuck(client, holding, workflow):
        one = client.of("one")
        assert client.control(verb, path).status in (200, 204)
        assert one.run("echo", 1)["output"] == 1
        assert not holding.over.is_set()


@pytest.mark.parametrize("workflow", ["spins", "waits_for_an_event", "blocks_in_a_step"])
@pytest.mark.parametrize(("verb", "path"), [("POST", "/worlds/one/wipe"), ("DELETE", "/worlds/one")])
def test_the_request_whose_own_thread_is_stuck_is_answered_too(verb: str, path: str, workflow: str) -> None:
    with server() as (client, holding, _):
        one = client.of("one")
        with ThreadPoolExecutor(1) as pool:
            body = {"workflowName": workflow, "workflowId": "wf"}
            stuck = pool.submit(one.unchecked, "POST", "/workflow/run", body)
            assert holding.begun.wait(60)
            assert client.control(verb, path).status in (200, 204)
            answer = stuck.result()
        assert (answer.status, answer.json["error"]) == (410, "WaitEndedError")
        assert answer.headers["connection"] == "close"
        assert not holding.over.is_set()
        assert one.run("echo", 1)["output"] == 1


def test_a_stuck_world_can_be_wiped_by_a_request_to_itself() -> None:
    with server() as (client, holding, _), stuck(client, holding):
        one = client.of("one")
        one.control("POST", "/world/wipe", expect=200)
        assert one.run("echo", 1)["output"] == 1
        assert not holding.over.is_set()


def test_a_client_that_waits_for_a_stuck_world_learns_that_it_was_wiped() -> None:
    with server() as (client, holding, worlds), stuck(client, holding) as pool:
        lock = worlds.find("one").world.clock.lock
        lock.patience = 3600
        asked = pool.submit(client.of("one").unchecked, "GET", "/workflow/wf/status")
        eventually(lambda: lock._waiting)
        client.control("POST", "/worlds/one/wipe", expect=200)
        answer = asked.result()
        assert (answer.status, answer.json["error"]) == (410, "WaitEndedError")
        assert "its world was wiped" in answer.json["message"]
        assert not holding.over.is_set()


def test_a_stuck_world_continues_when_its_script_yields() -> None:
    with server() as (client, holding, _):
        one = client.of("one")
        with stuck(client, holding):
            assert one.unchecked("GET", "/workflow/wf/status").status == 503
        assert one.run("echo", 1)["output"] == 1
        assert one.control("GET", "/world").json["stuck"] is None


@pytest.mark.parametrize("clock", ["auto", "real"])
def test_a_stream_of_a_world_that_gets_stuck_ends_with_an_error(clock: Any) -> None:
    with server(clock=clock) as (client, holding, _):
        one = client.of("one")
        one.start("waits", workflowId="w")
        answer, chunks, close = one.open("GET", "/workflow/w/history/stream", [], None)
        assert answer.status == 200
        received = next(chunks)
        with stuck(client, holding) as pool:
            # An event happens that the stream would send if it were not blocked.
            pool.submit(one.unchecked, "POST", "/workflow/w/signal/go")
            one.control("POST", "/world/wipe", expect=200)
            received += b"".join(chunks)
            close()
            last = received.split(b"\n\n")[-2]
            assert last.startswith(b"event: server_error\n")
            assert b'"error":"WaitEndedError"' in last
            assert not holding.over.is_set()


def test_a_stream_whose_own_thread_is_stuck_ends_with_an_error_too() -> None:
    with server() as (client, holding, _):
        one = client.of("one")
        one.start("blocks_later", workflowId="w")
        # On this clock the thread that waits for the run executes its due events.
        _, chunks, close = one.open("GET", "/workflow/w/history/stream", [], None)
        received = next(chunks)
        assert holding.begun.wait(60)
        client.control("POST", "/worlds/one/wipe", expect=200)
        received += b"".join(chunks)
        close()
        last = received.split(b"\n\n")[-2]
        assert last.startswith(b"event: server_error\n")
        assert b'"error":"WaitEndedError"' in last
        assert b'"workflowId":"w","runId":"' in last
        assert not holding.over.is_set()


def test_a_stuck_fake_in_process_reports_it_and_can_be_closed() -> None:
    holding = Holding()
    mock = OutputMock(scripts=[scripts(holding)], script_limit="1h")
    mock.world.clock.lock.patience = 0.01
    client = Client(mock)
    with no_hang(), ThreadPoolExecutor(1) as pool:
        pool.submit(client.unchecked, "POST", "/workflow/run", {"workflowName": "waits_for_an_event"})
        assert holding.begun.wait(60)
        assert client.unchecked("GET", "/workflow/runs").json["error"] == "WorldStuckError"
        mock.close()
        assert not holding.over.is_set()
        holding.release()
    holding.close()
