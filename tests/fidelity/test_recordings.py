"""Every recorded exchange is answered as the real server answered it.

Time passes as it did when they were recorded, on a clock that the player moves (`played_clock`), so it does
not matter how fast the machine is.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from moto import mock_aws

from output_contract.pack import script as pack
from output_mock.traces.s3 import moto_server
from tests.fidelity.further_pack import script as further_pack
from tests.fidelity.recorded import FURTHER, RECORDINGS, Recorded, exchanges
from tests.fidelity.replay import differences, normal

# What can come out differently over a socket: raw bodies and paths, headers, streams, requests that wait.
OVER_A_SOCKET = [
    "body_validation",
    "health",
    "history_long_poll",
    "history_paging",
    "production_auth",
    "raw_bodies",
    "remote_trace",
    "routing",
    "run_times_out_waiting",
    "stream_chain",
    "stream_completed",
    "stream_failed",
    "stream_live",
    "workflow_id",
    *(name for name in FURTHER if name.startswith("fact_http_")),
]


@pytest.fixture(scope="module", autouse=True)
def s3() -> Iterator[None]:
    """Moto in this process."""
    with mock_aws():
        yield


@pytest.fixture(scope="module")
def s3_server() -> Iterator[str]:
    """The URL of moto's server."""
    url, stop = moto_server()
    yield url
    stop()


@pytest.mark.parametrize("name", RECORDINGS)
def test_the_recorded_exchanges_come_out_the_same(name: str) -> None:
    different = Recorded(name, pack).play(RECORDINGS[name], documented=True)
    assert not different, "\n".join(different)


@pytest.mark.parametrize("name", FURTHER)
def test_the_further_recorded_exchanges_come_out_the_same(name: str) -> None:
    different = Recorded(name, pack, further_pack).play(FURTHER[name], documented=True)
    assert not different, "\n".join(different)


@pytest.mark.parametrize("name", OVER_A_SOCKET)
def test_what_a_socket_could_change_comes_out_the_same_over_one(name: str, s3_server: str) -> None:
    scripts = [pack] if name in RECORDINGS else [pack, further_pack]
    different = Recorded(name, *scripts, s3=s3_server).play((RECORDINGS | FURTHER)[name], "socket")
    assert not different, "\n".join(different)


def test_as_much_time_passes_between_two_requests_as_when_they_were_recorded() -> None:
    """Between the two signals of `approval` lie requests that leave nothing in the history."""
    recorded = Recorded("approval", pack)
    assert recorded.play(RECORDINGS["approval"]) == []
    (run,) = (run for run in recorded.mock.runs.values() if run.workflow == "conf_approval")
    first, second = (
        datetime.fromisoformat(event["eventTime"].replace("Z", "+00:00"))
        for event in run.history
        if event["eventTypeName"] == "WORKFLOW_EXECUTION_SIGNALED"
    )
    assert second - first == timedelta(milliseconds=33)


def test_the_readme_says_how_many_exchanges_were_recorded() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    first, further = (sum(map(exchanges, group.values())) for group in (RECORDINGS, FURTHER))
    for said in (
        f"{first + further:,} exchanges recorded on a real deployment",
        f"`tests/recordings/` holds {first} exchanges",
        f"`tests/recordings/further/` holds {further:,} more",
        f"of the {first} recorded exchanges",
        f"of the {further:,} further ones",
    ):
        assert said in readme


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
