"""A few recordings in wall-clock time and over a socket, as with `output-mock serve --clock real`.

Each step waits for its precondition, so nothing here depends on the speed of the machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from output_contract.pack import script as pack
from output_mock import OutputMock
from output_mock.recording.answers import Answer, written
from output_mock.recording.comparison import Difference, differences
from output_mock.recording.masks import Masks
from output_mock.recording.player import Player
from output_mock.recording.replaying import replay
from output_mock.recording.scenario import Step
from output_mock.recording.transport import SocketTransport
from tests import client as client_answers
from tests.client import Client
from tests.conftest import connected, eventually, in_another_thread, somebody_waits
from tests.fidelity.recorded import RECORDINGS

LONG_POLLS = RECORDINGS["history_long_poll"]


def recorded(step: Step) -> Mapping[str, Any]:
    """The recorded response of a step."""
    assert step.answer is not None
    return step.answer


# The events of its run by the time it waits for the signal.
WAITING = [event["eventTypeName"] for event in recorded(LONG_POLLS.steps[2])["json"]["events"]]


@pytest.fixture
def mock() -> OutputMock:
    return OutputMock("real", scripts=[pack])


@pytest.fixture
def client(mock: OutputMock) -> Iterator[Client]:
    with connected(mock, "socket") as client:
        yield client


@pytest.fixture
def run(client: Client) -> str:
    """The id of a run that waits for the signal `approve`."""
    workflow_id: str = client.start("conf_approval", {"topic": "x"})["workflowId"]
    eventually(lambda: client.kinds(workflow_id) == WAITING)
    return workflow_id


def compared(step: Step, answer: client_answers.Answer, run: str) -> list[Difference]:
    """The differences between a response and the recorded one."""
    raw = Answer(answer.status, tuple(answer.headers.items()), answer.body)
    got = Masks({"id": run, "rid": answer.json["runId"]}).answer(written(raw))
    return differences(recorded(step), got, LONG_POLLS.mode(step))


def test_a_stream_of_a_running_run_has_the_whole_history(client: Client, run: str) -> None:
    with client.stream(f"/workflow/{run}/history/stream") as stream:
        frames = iter(stream)
        workflow = next(frames)
        assert (workflow.event, workflow.data["status"], workflow.data["closed"]) == (
            "workflow",
            "running",
            False,
        )
        events: list[Any] = []
        while len(events) < len(WAITING):
            events += next(frames).data
        assert [event["eventTypeName"] for event in events] == WAITING
        client.post(f"/workflow/{run}/signal/approve", {"payload": {"by": "ana"}})
        rest = [frame for frame in frames if not frame.event.startswith(":")]
    assert [frame.event for frame in rest] == ["history"] * (len(rest) - 1) + ["done"]
    assert rest[-1].data == {"reason": "WORKFLOW_EXECUTION_COMPLETED"}
    for frame in rest[:-1]:
        events += frame.data
    assert events == client.events(run, includePayloads="false")


def test_a_long_poll_is_answered_when_something_happens(mock: OutputMock, client: Client, run: str) -> None:
    page = client.get(f"/workflow/{run}/history?pageSize=50&longPollTimeoutMs=500").json
    path = (
        f"/workflow/{run}/history?pageSize=50&longPollTimeoutMs=15000"
        f"&runId={page['runId']}&pageToken={page['nextPageToken']}"
    )
    with in_another_thread(lambda: client.get(path)) as answers:
        eventually(lambda: somebody_waits(mock, run))
        client.post(f"/workflow/{run}/signal/approve", {"payload": {"by": "z"}})
    assert compared(LONG_POLLS.steps[6], answers[0], run) == []


def test_a_long_poll_ends_when_nothing_happens(client: Client, run: str) -> None:
    page = client.get(f"/workflow/{run}/history?pageSize=50&longPollTimeoutMs=500").json
    answer = client.get(
        f"/workflow/{run}/history?pageSize=50&longPollTimeoutMs=500"
        f"&runId={page['runId']}&pageToken={page['nextPageToken']}"
    )
    assert compared(LONG_POLLS.steps[4], answer, run) == []


@pytest.mark.parametrize("name", ["body_validation", "raw_bodies", "routing", "run_values"])
def test_recordings_without_waits_are_reproduced(mock: OutputMock, name: str) -> None:
    recording = RECORDINGS[name]
    assert not any("wait" in step.written or "until" in step.written for step in recording.steps)
    with mock.serve() as url:
        results = list(replay(recording, Player(SocketTransport(url))))
    assert len(results) == recording.exchanges
    assert [result for result in results if not result.is_same] == []
