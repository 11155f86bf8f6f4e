"""Every recorded exchange is answered as the real server answered it, in process and over a socket."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from contract_tests.pack import script
from output_mock import OutputMock, Script
from output_mock.engine.traces import Traces
from tests.conftest import Client, connected, eventually
from tests.replay import Sent, differences, normal, replay

RECORDINGS = {
    path.stem: json.loads(path.read_text())
    for path in sorted((Path(__file__).parent / "recordings").glob("*.json"))
    # These read a trace that is there in S3, where the fake does not keep any yet.
    if path.stem not in ("remote_trace", "remote_trace_corrupt")
}

# Which server a scenario was recorded on; all others on a plain one.
SERVERS: dict[str, dict[str, Any]] = {
    "production_auth": {"catalog": "remote", "auth_token": "s3cret-token"},
    "timed_out": {"execution_timeout": "2s"},
    "worker_down": {},
    "remote_trace_no_credentials": {},
    "remote_trace_not_uploaded_yet": {"catalog": "remote", "auth_token": "s3cret-token"},
    "remote_trace_terminated": {"catalog": "remote", "auth_token": "s3cret-token"},
}
Reach = Callable[[str, str], Client]


def fake(server: str, pack: Script | Path = script) -> OutputMock:
    """The fake that stands in for a server that was recorded, with the recorded workflows."""
    mock = OutputMock("real", scripts=[pack], **SERVERS.get(server, {}))
    if server.startswith("remote_trace"):
        keys = server != "remote_trace_no_credentials"
        mock.world.traces = Traces(bucket="traces-bucket", keys=keys)
    if server == "worker_down":
        mock.add_catalog("remote", worker=False)
    # What the pack begins with had long ended when the recordings were made.
    eventually(lambda: all(run.status == "completed" for run in mock.runs.values()))
    return mock


@pytest.fixture(scope="module")
def reach() -> Iterator[Reach]:
    """Clients of the fakes that scenarios need; one fake serves all that were recorded on its like."""
    clients: dict[tuple[str, str], Client] = {}
    with ExitStack() as stack:

        def client(scenario: str, transport: str) -> Client:
            server = scenario if scenario in SERVERS else "plain"
            if (server, transport) not in clients:
                clients[server, transport] = stack.enter_context(connected(fake(server), transport))
            return clients[server, transport]

        yield client


def sender(client: Client) -> Callable[[str, str, dict[str, str], bytes | None], Sent]:
    """What `replay` sends its requests with."""

    def send(method: str, path: str, headers: dict[str, str], body: bytes | None) -> Sent:
        answer = client.request(method, path, data=body, headers=headers)
        sent: Sent = {"status": answer.status, "headers": answer.headers, "text": answer.text}
        if "application/json" in answer.headers.get("content-type", ""):
            sent["json"] = json.loads(answer.text) if answer.text else None
            if answer.text:
                del sent["text"]
        return sent

    return send


def played(client: Client, recording: dict[str, Any]) -> tuple[int, list[str]]:
    """How many exchanges were played, and what came out differently.

    A recording that differs is played once more: on the clock of the wall a busy machine may bring two things
    to one workflow task that were recorded a moment apart, as it might on the real server. A difference of
    the fake's own stays.
    """
    different: list[str] = []
    for _ in range(2):
        results = list(replay(sender(client), recording))
        different = [f"{label}\n    {line}" for label, found in results for line in found[:5]]
        if not different:
            break
    return len(results), different


@pytest.mark.parametrize("name", RECORDINGS)
def test_the_recorded_exchanges_come_out_the_same(name: str, reach: Reach, transport: str) -> None:
    recording = RECORDINGS[name]
    number, different = played(reach(name, transport), recording)
    assert not different, "\n".join(different)
    assert number == sum("request" in exchange for exchange in recording["exchanges"])


def test_no_recording_that_needs_nothing_in_s3_is_left_out() -> None:
    exchanges = [exchange for recording in RECORDINGS.values() for exchange in recording["exchanges"]]
    assert sum("request" in exchange for exchange in exchanges) == 425


# --- the comparison itself, which must be able to see a difference ---------------------------------------


def compared(recorded: Any, got: Any, *, unordered: bool = False) -> list[str]:
    json_type = {"content-type": "application/json; charset=utf-8"}
    want, have = (
        normal({"status": 200, "headers": json_type, "json": body}, [], unordered=unordered, compare=None)
        for body in (recorded, got)
    )
    return differences(want, have)


def test_ids_and_clocks_may_differ() -> None:
    recorded = {"runId": "01a20ae8-7a5d-731e-b90c-0994b2793fea", "startedAt": 1795479337565}
    got = {"runId": "5e0b1ae8-7a5d-4f1e-a90c-0994b2793abc", "startedAt": 1767225600000}
    assert compared(recorded, got) == []


@pytest.mark.parametrize(
    ("recorded", "got", "where"),
    [
        ({"status": "completed"}, {"status": "failed"}, ".body.status"),
        ({"error": None}, {}, ".body.error"),
        ({}, {"error": None}, ".body.error"),
        ({"completedAt": None}, {"completedAt": ""}, ".body.completedAt"),
        ({"output": [1, 2]}, {"output": [1]}, ".body.output"),
        ({"output": "1"}, {"output": 1}, ".body.output"),
        ({"data": "eyJhIjoxfQ=="}, {"data": "eyJhIjoyfQ=="}, ".body.data.a"),
    ],
)
def test_a_difference_in_a_body_is_found_and_named(recorded: Any, got: Any, where: str) -> None:
    (line,) = compared(recorded, got)
    assert line.startswith(f"{where}:")


@pytest.mark.parametrize("header", ["deprecation", "content-type", "access-control-allow-origin"])
def test_a_missing_header_is_found(header: str) -> None:
    want, have = (
        normal({"status": 200, "headers": headers, "text": ""}, [], unordered=False, compare=None)
        for headers in ({header: "x"}, {})
    )
    assert differences(want, have) == [f'.headers.{header}: recorded "x", missing']


def test_a_bag_of_events_may_change_its_order_but_not_its_events() -> None:
    def page(*kinds: str) -> dict[str, Any]:
        return {"events": [{"eventId": str(n), "eventTypeName": kind} for n, kind in enumerate(kinds, 1)]}

    assert compared(page("A", "B"), page("B", "A"), unordered=True) == []
    assert compared(page("A", "B"), page("B", "A")) != []
    assert compared(page("A", "B"), page("B", "B"), unordered=True) != []
