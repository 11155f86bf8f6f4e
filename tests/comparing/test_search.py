"""`compare` finds the differences between a fake and one that is broken on purpose."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from output_mock import Context, OutputMock, Script
from output_mock.comparing.drawing import drawn
from output_mock.comparing.kinds import endpoint_of
from output_mock.comparing.pair import Pair
from output_mock.comparing.report import Report
from output_mock.comparing.requests import actor_of, calls
from output_mock.comparing.search import Plan, Search
from output_mock.comparing.sequences import scenario_of, sequences
from output_mock.comparing.vocabulary import rehearsed
from output_mock.comparing.writing import Writer
from output_mock.contract.operations import OPERATIONS
from output_mock.recording.checking import mistakes
from output_mock.recording.files import read
from output_mock.recording.player import Player
from output_mock.recording.replaying import replay
from output_mock.recording.scenario import Scenario
from output_mock.recording.transport import InProcessTransport, SocketTransport, Transport
from tests.comparing.broken import Answer, Broken, Fault
from tests.recording.answering import CountedPace

script = Script()


@script.workflow(
    "order", input_schema={"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
)
async def order(ctx: Context, input: Any) -> Any:
    paid: list[Any] = []

    def pay(payload: Any) -> int:
        paid.append(payload)
        return len(paid)

    ctx.on_query("paid", lambda payload: paid)
    ctx.on_update("pay", pay)
    await ctx.step("check", input, returns=True)
    return await ctx.wait_for_signal("ship")


START = {
    "request": "POST /workflow/start",
    "json": {"workflowName": "order", "workflowId": "id-{{nonce}}", "input": {"n": 12, "more": ["a"]}},
    "save": {"id": "workflowId", "run": "runId"},
}
# One sequence with many operations. Each fault shows in another place.
LONG = scenario_of(
    [
        {"request": "GET /health", "headers": {"Accept": "text/html"}},
        START,
        {"wait": 0.5},
        {"request": "GET /workflow/catalog"},
        {"request": "POST /workflow/{{id}}/update/pay", "json": {"payload": {"by": "ana"}}},
        {"wait": 0.5},
        {"request": "GET /workflow/{{id}}/runs/{{run}}/history?pageSize=50&includePayloads=true"},
        {"request": "PATCH /workflow/{{id}}/stop", "headers": {"X-Request-ID": "abc"}},
        {"wait": 0.5},
        {"request": "GET /workflow/{{id}}/status"},
        {"request": "GET /workflow/{{id}}/result?unknown=1"},
        {"request": "POST /workflow/{{id}}/signal/ship", "json": {"payload": {"by": "ana"}}},
    ]
)


@contextmanager
def fake(fault: Fault | None = None, *, socket: bool = False) -> Iterator[Transport]:
    """The way to a fake with an optional fault. Without a socket it is faster, but live streams wait long."""
    mock = OutputMock("auto", scripts=[script])
    mock.world.patience = 0.0
    if fault is not None:
        mock.app.wsgi_app = Broken(mock.app.wsgi_app, fault)  # type: ignore[method-assign]
    if socket:
        with mock.serve() as url:
            yield SocketTransport(url)
    else:
        yield InProcessTransport(mock.app)
    mock.close()


def searched(
    folder: Path, first: Transport, second: Transport, strategy: SearchStrategy[Scenario], most: int
) -> Report:
    """The report on that many sequences. Writes the differences to a folder.

    The sequences run one after another, because they share the time of an auto clock.
    """
    pair = Pair(first, second, pace=lambda over: CountedPace())
    return Search(pair, strategy, Plan(600, 7, 1, most), Writer(folder, "0.11", None)).run()


def status_of_a_stopped_run(method: str, path: str, value: Any, answer: Answer) -> Answer:
    if isinstance(value, dict) and value.get("status") == "cancelled" and path.endswith("/status"):
        return (*answer[:2], json.dumps(value | {"completedAt": None}).encode())
    return answer


def status_of_a_late_signal(method: str, path: str, value: Any, answer: Answer) -> Answer:
    late = isinstance(value, dict) and value.get("message") == "workflow execution already completed"
    return ("409 Conflict", *answer[1:]) if late else answer


def lost_event(method: str, path: str, value: Any, answer: Answer) -> Answer:
    if isinstance(value, dict) and "UPDATE_COMPLETED" in str(value.get("events")):
        return (*answer[:2], json.dumps(value | {"events": value["events"][:-1]}).encode())
    return answer


def lost_header(method: str, path: str, value: Any, answer: Answer) -> Answer:
    if path != "/workflow/catalog":
        return answer
    status, headers, body = answer
    return status, [one for one in headers if one[0] != "Access-Control-Allow-Origin"], body


@pytest.mark.parametrize(
    ("fault", "kind", "smallest"),
    [
        (
            status_of_a_stopped_run,
            "GET /workflow/{id}/status: body/completedAt",
            ["POST /workflow/start", "PATCH /workflow/{{id}}/stop", "GET /workflow/{{id}}/status"],
        ),
        (
            status_of_a_late_signal,
            "POST /workflow/{id}/signal/{signal}: 404 WorkflowNotFoundError / 409 WorkflowNotFoundError",
            # Without its input the workflow fails at once.
            ["POST /workflow/start", "POST /workflow/{{id}}/signal/ship"],
        ),
        (
            lost_event,
            "GET /workflow/{id}/runs/{rid}/history: events; only in the first: "
            "WORKFLOW_EXECUTION_UPDATE_COMPLETED; only in the second: none",
            [
                "POST /workflow/start",
                "POST /workflow/{{id}}/update/pay",
                "GET /workflow/{{id}}/runs/{{run}}/history",
            ],
        ),
        (
            lost_header,
            "GET /workflow/catalog: headers/access-control-allow-origin, only in the first",
            ["GET /workflow/catalog"],
        ),
    ],
)
def test_a_seeded_difference_is_found_and_shrunk(
    fault: Fault, kind: str, smallest: list[str], tmp_path: Path
) -> None:
    with fake() as first, fake(fault) as second:
        report = searched(tmp_path, first, second, st.just(LONG), 1)
        ((found, shown),) = report.kinds.items()
        assert str(found) == kind
        assert report.different == 1
        assert shown.file is not None
        recording = read(shown.file)
        assert [step.request for step in recording.steps if step.request] == smallest
        assert all(one.is_same for one in replay(recording, Player(first, pace=CountedPace())))
        again = list(replay(recording, Player(second, pace=CountedPace())))
        assert [one.is_same for one in again] == [True] * (len(smallest) - 1) + [False]
        # Files that are already in the folder are not read again.
        more = searched(tmp_path, first, second, st.just(LONG), 1)
        assert more.kinds[found].file == shown.file
        assert more.requests < report.requests


def test_random_sequences_find_a_rare_fault(tmp_path: Path) -> None:
    with fake(socket=True) as first, fake(status_of_a_late_signal, socket=True) as second:
        report = searched(tmp_path, first, second, sequences(rehearsed([script]), 0.0), 60)
    # On a busy machine a signal may be in time for one of them and late for the other, which differs, too.
    assert "404 WorkflowNotFoundError / 409 WorkflowNotFoundError" in {kind.what for kind in report.kinds}
    assert report.different < 20 < report.same


def test_a_server_does_not_differ_from_itself(tmp_path: Path) -> None:
    with fake(socket=True) as first, fake(socket=True) as second:
        report = searched(tmp_path / "found", first, second, sequences(rehearsed([script]), 0.0), 24)
    assert (report.kinds, report.different) == ({}, 0)
    assert report.same > 50
    assert not (tmp_path / "found").exists()


def test_responses_that_vary_on_one_server_are_ignored(tmp_path: Path) -> None:
    count = iter(range(1000))

    def moody(method: str, path: str, value: Any, answer: Answer) -> Answer:
        return (*answer[:2], b"%d" % next(count)) if path == "/health" else answer

    with fake() as first, fake(moody) as second:
        report = searched(tmp_path, first, second, st.just(LONG), 1)
    assert (report.different, report.unstable, report.kinds) == (0, 1, {})


def test_sequences_cover_every_endpoint_and_are_valid_scenarios() -> None:
    every = {
        f"{operation.method} {endpoint.path}" for operation in OPERATIONS for endpoint in operation.endpoints
    }
    ends_a_catalog = re.compile(
        "(POST|PATCH) /workflow/(main|catalog)/.*(stop|terminate|reset)", re.IGNORECASE
    )
    workflows = tuple(rehearsed([script]))
    strategy = calls((actor_of(1, workflows[0]),), workflows)
    seed = 0
    while every:
        asked = [call.step["request"] for call in drawn(strategy, seed, 100)]
        every -= {endpoint_of(request) for request in asked}
        # Stopping a catalog removes all its workflows.
        assert not any(map(ends_a_catalog.match, asked))
        seed += 1
        assert seed < 100, every
    for scenario in drawn(sequences(workflows, 0.5), 1, 24):
        assert mistakes(scenario.json()) == []
