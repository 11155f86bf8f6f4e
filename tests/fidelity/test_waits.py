"""Requests wait as long as on the real server, where it was measured: recordings have no times."""

from __future__ import annotations

from output_mock import Context, OutputMock
from tests.client import Client
from tests.fidelity.played_clock import PlayedClock

# How long a long poll takes that brings nothing, by what it is asked with, in milliseconds.
LONG_POLLS = {1: 0, 300: 0, 1000: 0, 1100: 100, 1500: 500, 3000: 2000, 20000: 14000}


def test_a_long_poll_that_brings_nothing_ends_a_second_before_its_time() -> None:
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
