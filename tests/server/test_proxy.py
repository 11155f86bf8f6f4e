"""Behind nginx, configured as in the guide, each world is on exactly one of several servers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest

from output_mock.control.front import Front
from output_mock.control.worlds import Worlds
from output_mock.server import running
from tests.client import Client
from tests.control.served import worlds_of
from tests.docs.pages import blocks
from tests.server.nginx import LACKING, a_free_port, nginx

CONFIGURATIONS = blocks("docs/guides/scaling.md", "nginx")
if LACKING is not None:
    pytest.skip(LACKING, allow_module_level=True)


class Spread(NamedTuple):
    """Three servers behind nginx: a client for all of them, and the worlds of each."""

    client: Client
    worlds: list[Worlds]

    def holders(self, name: str) -> list[int]:
        """The servers that have a world of that name."""
        return [number for number, worlds in enumerate(self.worlds) if name in [held.name for held in worlds]]


@pytest.fixture
def stops() -> Iterator[list[ExitStack]]:
    """Functions that stop each of the servers."""
    found = [ExitStack() for _ in range(3)]
    yield found
    for one in found:
        one.close()


@pytest.fixture
def spread(tmp_path: Path, stops: list[ExitStack]) -> Iterator[Spread]:
    """The guide's configuration, except for the ports."""
    (text,) = CONFIGURATIONS
    worlds = [worlds_of() for _ in stops]
    for number, (stop, one) in enumerate(zip(stops, worlds, strict=True)):
        stop.callback(one.close)
        url = stop.enter_context(running(Front(one)))
        text = text.replace(f"127.0.0.1:{3101 + number} ", f"127.0.0.1:{urlsplit(url).port} ")
    port = a_free_port()
    text = text.replace("listen 127.0.0.1:3001;", f"listen 127.0.0.1:{port};")
    assert not re.search(r"127\.0\.0\.1:3[01]0", text)
    with nginx(tmp_path, text, port) as url:
        yield Spread(Client(url), worlds)


def test_each_world_is_on_one_server_and_worlds_are_distributed(spread: Spread) -> None:
    names = [f"test-{number}" for number in range(24)]
    for turn in range(2):
        for name in names:
            ran = spread.client.of(name).run("echo", 1, workflowId=f"{name}/{turn}")
            assert ran["workflowId"] == f"{name}/{turn}"
    for name in names:
        assert spread.client.of(name).get(f"/workflow/{name}%2F0/status").json["status"] == "completed"
        assert spread.client.of(name).control("GET", "/runs", workflow="echo").json["count"] == 2
        assert len(spread.holders(name)) == 1
    assert {number for name in names for number in spread.holders(name)} == {0, 1, 2}


def test_a_world_is_found_by_its_token_in_any_spelling(spread: Spread) -> None:
    for number in range(6):
        token = f"t{number}"
        body = {"name": f"world-{number}", "tokens": [token]}
        headers = {"Authorization": f"Bearer {token}"}
        spread.client.control("POST", "/worlds", body, headers=headers, expect=201)
        for written in (f"Bearer {token}", f"Basic {token}", token):
            headers = {"Authorization": written}
            body = {"workflowName": "echo", "input": written}
            assert spread.client.post("/workflow/run", body, headers=headers).json["output"] == written
        answer = spread.client.control("GET", "/runs", workflow="echo", headers=headers)
        assert answer.json["count"] == 3
    assert len({spread.holders(f"world-{number}")[0] for number in range(6)}) > 1


def test_requests_without_a_world_name_or_token_go_to_the_same_server(spread: Spread) -> None:
    for number in range(6):
        spread.client.start("echo", number, workflowId=f"run-{number}")
    assert spread.client.control("GET", "/runs", workflow="echo").json["count"] == 6


def test_a_stream_passes_the_proxy_without_delay(spread: Spread) -> None:
    client = spread.client.of("streamed")
    client.start("approval", workflowId="post")
    with client.stream("/workflow/post/history/stream") as stream:
        frames = iter(stream)
        assert [next(frames).event, next(frames).event] == ["workflow", "history"]
        client.post("/workflow/post/signal/approve", {"payload": {"by": "ana"}})
        assert [frame.event for frame in frames][-1] == "done"


def test_worlds_of_a_stopped_server_are_not_taken_over_by_another(
    spread: Spread, stops: list[ExitStack]
) -> None:
    names = [f"test-{number}" for number in range(12)]
    for name in names:
        spread.client.of(name).run("echo", 1)
    gone = spread.holders(names[0])[0]
    stops[gone].close()
    for name in names:
        wanted = 502 if spread.holders(name) == [gone] else 200
        assert spread.client.of(name).unchecked("GET", "/workflow/runs").status == wanted
    assert spread.holders(names[0]) == [gone]
