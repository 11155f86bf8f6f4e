"""Every recorded exchange is answered as the real server answered it, in process and over a socket."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.fidelity.recorded import RECORDINGS, Reach, played, reaching
from tests.fidelity.replay import differences, normal


@pytest.fixture(scope="module")
def reach() -> Iterator[Reach]:
    """The fakes that scenarios need, by scenario and transport."""
    with reaching() as reach:
        yield reach


@pytest.mark.parametrize("name", RECORDINGS)
def test_the_recorded_exchanges_come_out_the_same(name: str, reach: Reach, transport: str) -> None:
    recording = RECORDINGS[name]
    number, different = played(reach(name, transport), recording)
    assert not different, "\n".join(different)
    assert number == sum("request" in exchange for exchange in recording["exchanges"])


def test_no_recording_is_left_out() -> None:
    exchanges = [exchange for recording in RECORDINGS.values() for exchange in recording["exchanges"]]
    assert sum("request" in exchange for exchange in exchanges) == 440


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
