"""Worlds: many independent fakes behind one server."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.test import Client as WsgiClient

from output_mock.control.front import Front
from output_mock.control.worlds import Worlds
from tests.client import Client
from tests.conftest import eventually, in_another_thread, no_hang
from tests.control.served import served, worlds_of


@pytest.fixture
def worlds() -> Worlds:
    return worlds_of()


@pytest.fixture
def client(worlds: Worlds) -> Iterator[Client]:
    with served(worlds) as client:
        yield client


def ids(client: Client) -> list[str]:
    return [
        run["workflowId"]
        for run in client.get("/workflow/runs").json["runs"]
        if "$" not in run["workflowType"]
    ]


def names(client: Client) -> list[str]:
    return [world["name"] for world in client.control("GET", "/worlds").json["worlds"]]


# Selecting a world


def test_a_new_name_is_a_new_world_with_the_servers_scripts(client: Client) -> None:
    client.run("echo", 1, workflowId="mine")
    one, other = client.of("one"), client.of("other")
    assert one.run("echo", 2, workflowId="its")["output"] == 2
    assert (ids(client), ids(one), ids(other)) == (["mine"], ["its"], [])
    assert names(client) == ["default", "one", "other"]
    assert client.of("default").get("/workflow/mine/status").json["status"] == "completed"


def test_worlds_with_the_same_seed_return_the_same_responses(client: Client) -> None:
    one, other = client.of("one"), client.of("other")
    assert one.run("echo", 1) == other.run("echo", 1)


def test_paths_below_a_world_are_parsed_like_other_paths(client: Client) -> None:
    one = client.of("one")
    one.start("approval", workflowId="a/b c")
    assert one.get("/workflow/a%2Fb%20c/status").json["workflowId"] == "a/b c"
    assert one.get("/WORKFLOW/runs/").status == 200
    assert one.get("/nothing").status == 404
    with one.stream("/workflow/a%2Fb%20c/history/stream") as stream:
        assert next(iter(stream)).event == "workflow"


def test_the_query_string_argument_of_the_test_client_works_below_a_world(worlds: Worlds) -> None:
    client = WsgiClient(Front(worlds))
    for path in ("/__mock__/calls", "/w/one/__mock__/calls", "/w/one/workflow/runs"):
        assert client.get(path, query_string={"limit": "2"}).status_code == 200
        assert client.get(path, query_string={"limit": "0"}).status_code == 400


def test_worlds_share_no_state(client: Client) -> None:
    one = client.of("one")
    one.control("PUT", "/workflows/only_here", {"returns": 1}, expect=201)
    one.control("PUT", "/clock", {"mode": "manual"})
    one.control("POST", "/clock/advance", {"by": "1d"})
    one.control("POST", "/faults", {"status": 500, "times": "always"})
    one.control("PUT", "/catalogs/main", {"worker": False})
    one.get("/workflow/runs")
    assert client.post("/workflow/run", {"workflowName": "only_here"}).status == 424
    assert client.run("echo", 1)["output"] == 1
    assert client.control("GET", "/clock").json["now"] == "2026-01-01T00:00:00.000Z"
    assert client.control("GET", "/calls/count").json == {"count": 2}
    assert one.control("GET", "/calls/count").json == {"count": 1}


def test_operations_on_all_worlds_do_not_exist_below_a_world(client: Client) -> None:
    one = client.of("one")
    one.control("GET", "/worlds", expect=404)
    assert one.control("GET", "/world").json["name"] == "one"
    one.run("echo")
    assert one.control("POST", "/world/wipe").json["runs"] == 0


def test_a_token_selects_its_world(client: Client) -> None:
    client.control("POST", "/worlds", {"name": "one", "tokens": ["t1", "t2"]}, expect=201)
    for authorization in ("Basic t1", "Bearer t2", "t1"):
        started = client.post(
            "/workflow/start", {"workflowName": "echo"}, headers={"Authorization": authorization}
        )
        assert started.status == 200
    assert (len(ids(client.of("one"))), len(ids(client))) == (3, 0)
    assert client.control("GET", "/world", headers={"Authorization": "Bearer t1"}).json["name"] == "one"
    client.post("/workflow/start", {"workflowName": "echo"}, headers={"Authorization": "Bearer other"})
    assert len(ids(client)) == 1
    client.control("POST", "/worlds", {"name": "two", "tokens": ["t3", "t2"]}, expect=409)
    client.control("DELETE", "/worlds/one", expect=204)
    client.control("POST", "/worlds", {"name": "two", "tokens": ["t2"]}, expect=201)


# Creating and deleting worlds


def test_a_world_is_created_with_the_requested_options(client: Client) -> None:
    asked = {"name": "one", "clock": "manual", "seed": 12, "scripts": "none"}
    made = client.control("POST", "/worlds", asked, expect=201).json
    assert (made["seed"], made["clock"]["mode"], made["workflows"]) == (12, "manual", 0)
    client.control("POST", "/worlds", asked, expect=409)
    assert client.control("GET", "/worlds/noe", expect=404).json["nearest"] == "one"


@pytest.mark.parametrize("name", ["", "a b", "a/b", "..", "x" * 65, "é", "%2e%2e%2f", "a\nb", "a\0"])
def test_ambiguous_world_names_are_refused(client: Client, name: str) -> None:
    client.control("POST", "/worlds", {"name": name}, expect=400)


@pytest.mark.parametrize("path", ["/w/a%2Fb/health", "/w//health", "/w/..%2f/health", "/w/%00/health", "/w/"])
def test_invalid_world_paths_are_refused_and_create_no_world(client: Client, path: str) -> None:
    answer = client.unchecked("GET", path)
    assert answer.status == 400
    assert names(client) == ["default"]


def test_a_wiped_world_restarts_with_the_same_seed(client: Client) -> None:
    one = client.of("one")
    first = one.run("echo", 1)
    one.control("POST", "/faults", {"status": 500, "times": "always"})
    one.control("PUT", "/workflows/echo", {"returns": "changed"})
    one.control("POST", "/clock/advance", {"by": "1d"})
    one.control("POST", "/snapshots")
    wiped = client.control("POST", "/worlds/one/wipe").json
    assert (wiped["runs"], wiped["calls"], wiped["faults"], wiped["snapshots"]) == (0, 0, 0, [])
    assert one.run("echo", 1) == first


def test_wiping_or_deleting_a_world_wakes_its_waiting_clients(client: Client) -> None:
    for verb, path in (("POST", "/worlds/one/wipe"), ("DELETE", "/worlds/one")):
        one = client.of("one")
        one.start("approval", workflowId="a")
        with (
            no_hang(),
            in_another_thread(lambda one=one: one.unchecked("POST", "/workflow/a/update/x")),
            one.stream("/workflow/a/history/stream") as stream,
        ):
            frames = iter(stream)
            next(frames)
            client.control(verb, path)
            for _ in frames:
                pass


def test_a_deleted_world_is_gone_and_its_name_can_be_reused(client: Client) -> None:
    one = client.of("one")
    one.run("echo", 1, workflowId="a")
    client.control("DELETE", "/worlds/one", expect=204)
    client.control("DELETE", "/worlds/one", expect=404)
    assert names(client) == ["default"]
    assert one.get("/workflow/a/status").status == 404
    client.control("DELETE", "/worlds/default", expect=409)


def test_the_number_of_worlds_is_limited() -> None:
    with served(worlds_of(most=3)) as client:
        client.of("one").run("echo")
        client.control("POST", "/worlds", {"name": "two"}, expect=201)
        refused = client.control("POST", "/worlds", {"name": "three"}, expect=503).json
        assert refused["error"] == "NoRoomError"
        answer, chunks, close = client.open("GET", "/w/three/health", [], None)
        body = b"".join(chunks)
        close()
        assert (answer.status, b"NoRoomError" in body) == (503, True)
        assert client.of("one").run("echo", 1)["output"] == 1


def test_with_a_control_token_only_that_token_creates_worlds() -> None:
    with served(worlds_of(), control_token="s3cret") as client:
        answer, chunks, close = client.open("GET", "/w/one/health", [], None)
        list(chunks)
        close()
        assert answer.status == 404
        client.control("POST", "/worlds", {"name": "one"}, expect=201)
        assert client.of("one").run("echo", 1)["output"] == 1


def test_an_idle_world_expires_and_a_used_one_does_not() -> None:
    with served(worlds_of(idle=0.4)) as client:
        used, idle, waiting = client.of("used"), client.of("idle"), client.of("waiting")
        idle.run("echo")
        waiting.start("approval", workflowId="a")
        with waiting.stream("/workflow/a/history/stream") as stream:
            next(iter(stream))

            def only_used() -> bool:
                used.get("/health")
                return "idle" not in names(client)

            eventually(only_used)
            time.sleep(0.5)
            used.get("/health")
            assert {"used", "waiting", "default"} <= {*names(client), "used"}
            assert "waiting" in names(client)


# Isolation

METHODS = st.sampled_from(
    [
        ("POST", "/workflow/run", {"workflowName": "echo", "input": 1}),
        ("POST", "/workflow/start", {"workflowName": "echo", "workflowId": "a"}),
        ("POST", "/workflow/start", {"workflowName": "approval", "workflowId": "a", "input": {"n": 1}}),
        ("POST", "/workflow/start", {"workflowName": "approval", "workflowId": "b"}),
        ("POST", "/workflow/start", {"workflowName": "added", "workflowId": "c"}),
        ("GET", "/workflow/a/status", None),
        ("GET", "/workflow/b/result", None),
        ("GET", "/workflow/a/history?includePayloads=true", None),
        ("GET", "/workflow/runs", None),
        ("GET", "/workflow/catalog", None),
        ("POST", "/workflow/a/signal/approve", {"payload": {"by": "ana"}}),
        ("POST", "/workflow/a/query/stage", None),
        ("POST", "/workflow/b/terminate", None),
        ("PATCH", "/workflow/a/stop", None),
        ("POST", "/workflow/a/reset", {"stepName": "draft"}),
        ("POST", "/__mock__/clock/advance", {"by": "5m"}),
        ("PUT", "/__mock__/clock", {"mode": "manual"}),
        ("PUT", "/__mock__/clock", {"mode": "auto"}),
        ("POST", "/__mock__/runs/a/complete", {"step": "draft", "output": 1}),
        ("POST", "/__mock__/runs/b/advance", None),
        ("POST", "/__mock__/faults", {"status": 503, "probability": 0.5, "times": 3}),
        ("POST", "/__mock__/faults", {"limit": 2, "per": "1m", "times": 2}),
        ("DELETE", "/__mock__/faults", None),
        ("PUT", "/__mock__/workflows/added", {"returns": 1}),
        ("DELETE", "/__mock__/workflows/added", None),
        ("PUT", "/__mock__/catalogs/main", {"awayFor": "1m"}),
        ("GET", "/__mock__/runs", None),
        ("GET", "/__mock__/calls", None),
        ("POST", "/__mock__/snapshots", {"name": "s"}),
        ("POST", "/__mock__/snapshots/s/restore", None),
        ("POST", "/__mock__/world/wipe", None),
    ]
)
Call = tuple[str, str, Any]


def ask(client: Client, call: Call) -> tuple[int, bytes]:
    method, path, body = call
    arguments = [] if body is None else [body]
    if path.startswith("/__mock__"):
        answer = client.control(method, path.removeprefix("/__mock__"), *arguments)
    else:
        answer = client.unchecked(method, path, *arguments)
    # Leave out the idle time, which depends on real time, and the name of the world.
    return answer.status, re.sub(rb'"(name|path|idle)":[^,}]*', b"", answer.body)


@pytest.fixture(scope="module")
def shared() -> Iterator[Client]:
    with served(worlds_of()) as client:
        yield client


@settings(max_examples=25)
@given(calls=st.lists(st.tuples(st.booleans(), METHODS), min_size=2, max_size=25))
def test_requests_to_one_world_never_affect_another(shared: Client, calls: list[tuple[bool, Call]]) -> None:
    def answers(which: list[tuple[bool, Call]]) -> dict[bool, list[tuple[int, bytes]]]:
        for name in ("left", "right"):
            shared.control("POST", "/worlds", {"name": name})
        found: dict[bool, list[tuple[int, bytes]]] = {False: [], True: []}
        for left, call in which:
            found[left].append(ask(shared.of("left" if left else "right"), call))
        for name in ("left", "right"):
            shared.control("DELETE", f"/worlds/{name}")
        return found

    together = answers(calls)
    for left in (False, True):
        alone = answers([entry for entry in calls if entry[0] is left])
        assert alone[left] == together[left]


def test_a_stream_shows_only_its_own_world(client: Client) -> None:
    one, other = client.of("one"), client.of("other")
    for world in (one, other):
        world.start("approval", workflowId="a")
        world.control("POST", "/clock/advance", {"by": "10m"})
    answer, chunks, _ = one.open("GET", "/workflow/a/history/stream", [], None)
    assert answer.status == 200
    other.post("/workflow/a/signal/approve", {"payload": {"by": "other"}})
    one.post("/workflow/a/signal/approve", {"payload": {"by": "one"}})
    text = b"".join(chunks)
    assert b"done" in text
    assert one.get("/workflow/a/result").json["output"]["by"] == "one"
