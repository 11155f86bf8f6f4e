"""Requests wait as long as measured on the real server: recordings have no durations."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from output_mock import Context, OutputMock
from output_mock.engine.world import World
from tests.client import HANG_GUARD, Client
from tests.conftest import eventually, somebody_waits
from tests.fidelity.beside_pack import script as beside_pack
from tests.fidelity.played_clock import PlayedClock

# The duration of a long poll without events for each requested timeout, in milliseconds.
LONG_POLLS = {1: 0, 300: 0, 1000: 0, 1100: 100, 1500: 500, 3000: 2000, 20000: 14000}


def test_a_long_poll_without_events_ends_a_second_before_its_timeout() -> None:
    clock = PlayedClock()
    mock = OutputMock(clock)

    @mock.workflow("waits")
    async def waits(ctx: Context, input: object) -> None:
        await ctx.wait_for_signal("never")

    client = Client(mock)
    run = client.start("waits")["workflowId"]
    clock.let_pass(1)
    base = f"/workflow/{run}/history?pageSize=50"
    page = client.get(f"{base}&longPollTimeoutMs=2000").json
    waited = {}
    for asked in LONG_POLLS:
        began = clock.nanoseconds()
        token = page["nextPageToken"].replace("=", "%3D").replace("+", "%2B")
        page = client.get(f"{base}&runId={page['runId']}&pageToken={token}&longPollTimeoutMs={asked}").json
        assert page["events"] == []
        waited[asked] = (clock.nanoseconds() - began) / 1_000_000
    assert waited == LONG_POLLS


def test_three_of_thirteen_waiting_updates_find_the_run_closed() -> None:
    """As measured: Temporal accepts ten at a time, and the others are retried until the run has ended."""
    mock = OutputMock("real", scripts=[beside_pack])
    client = Client(mock)
    run = client.start("more_waiting")["workflowId"]
    eventually(lambda: len(mock.runs[run].history) == 24)
    with ThreadPoolExecutor(13) as pool:
        sent = [pool.submit(client.post, f"/workflow/{run}/update/wait", {}) for _ in range(13)]
        eventually(lambda: len(mock.world.find(run).open_updates()) == 10 and somebody_waits(mock, run) == 13)
        client.post(f"/workflow/{run}/signal/go", {})
        answers = [one.result(HANG_GUARD) for one in sent]
    mock.close()
    assert Counter(answer.status for answer in answers) == {200: 10, 404: 3}
    assert {answer.json["message"] for answer in answers if answer.status == 404} == {
        "workflow execution already completed"
    }


def test_a_list_shows_late_that_a_run_has_started_and_ended() -> None:
    """As measured: the start shows after 37 to 140 ms, the end after 0.1 to 0.5 s."""
    clock = PlayedClock()
    mock = OutputMock(clock, list_lag="200ms")
    mock.workflow("work").takes("500ms").returns("done")
    client = Client(mock)
    run = client.start("work")["workflowId"]
    shown = []
    for _ in range(10):
        listed = client.get("/workflow/runs?workflowType=work").json["runs"]
        shown.append([(one["status"], one["completedAt"] is None) for one in listed])
        clock.let_pass(0.1)
    assert client.get(f"/workflow/{run}/status").json["status"] == "completed"
    assert shown == [[]] * 2 + [[("running", True)]] * 6 + [[("completed", False)]] * 2


def test_repeating_a_request_for_a_late_list_gets_the_current_runs() -> None:
    mock = OutputMock(list_lag="200ms")
    mock.workflow("work").returns("done")
    client = Client(mock)
    client.start("work")
    shown = [
        [one["status"] for one in client.get("/workflow/runs?workflowType=work").json["runs"]]
        for _ in range(4)
    ]
    assert shown[0] == []
    assert shown[-1] == ["completed"]


@pytest.mark.parametrize("list_lag", [0, "200ms"])
def test_a_list_of_the_newest_runs_looks_at_no_others(
    list_lag: int | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at: list[int] = []
    is_late = World.is_late

    def counted(world: World, moment: int) -> bool:
        looked_at.append(moment)
        return is_late(world, moment)

    monkeypatch.setattr(World, "is_late", counted)
    mock = OutputMock(list_lag=list_lag)
    mock.workflow("work").returns("done")
    mock.workflow("wait").receives("never", after="9d")
    for workflow in ("work", "wait"):
        for number in range(100):
            mock.begin_with(workflow, workflow_id=f"{workflow}-{number}")
            mock.clock.advance("1s")
    client = Client(mock)
    assert len(client.get("/workflow/runs?limit=10").json["runs"]) == 10
    assert len(looked_at) < 30
    mock.close()
