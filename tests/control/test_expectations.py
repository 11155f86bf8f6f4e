"""Assertions and failure reports over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.client import Client
from tests.control.served import served, worlds_of

INPUT = {"topic": "bees", "options": {"words": 50, "tone": "dry"}}


@pytest.fixture
def client() -> Iterator[Client]:
    with served(worlds_of()) as client:
        client.start("approval", INPUT, workflowId="a")
        client.post("/workflow/a/signal/approve", json={"payload": {"by": "ana", "at": 3}})
        yield client


def made(client: Client, *expected: dict[str, Any], expect: int = 200, **how: Any) -> Any:
    body = {"expected": list(expected), **how}
    return client.control("POST", "/calls/assert", body, expect=expect).json


def test_the_expected_calls_are_returned(client: Client) -> None:
    found = made(client, {"call": "started", "workflow": "approval", "input": INPUT}, times=1)
    assert [call["number"] for call in found["calls"]] == [1]
    both = made(
        client,
        {"call": "started", "workflowId": "a"},
        {"call": "signalled", "workflowId": "a", "name": "approve", "payload": {"by": "ana", "at": 3}},
        inOrder=True,
        only=True,
    )
    assert [call["route"] for call in both["calls"]] == ["start", "signal"]
    made(client, {"call": "terminated", "workflowId": "a"}, times=0)
    made(client, {"call": "called", "route": "signal", "status": 200})


def test_a_route_in_place_of_the_method_is_refused(client: Client) -> None:
    refused = client.control("GET", "/calls?method=signal", expect=400).json
    assert refused["message"] == "'signal' is a route and not a method; write route='signal'"


def test_extra_keys_are_allowed_only_on_request(client: Client) -> None:
    wanted = {"call": "started", "input": {"options": {"words": 50}}}
    made(client, {**wanted, "partly": True})
    words = made(client, wanted, expect=422)["message"]
    assert 'input.topic is "bees", which was not expected' in words
    words = made(client, {**wanted, "partly": True, "input": {"options": {"words": 51}}}, expect=422)[
        "message"
    ]
    assert "input.options.words is 50, not 51" in words
    assert "topic" not in words.partition("all calls:")[0].splitlines()[-1]


@pytest.mark.parametrize(
    ("expected", "how", "words"),
    [
        ({"call": "started", "workflow": "slow"}, {}, 'workflow is "approval", not "slow"'),
        ({"call": "updated", "workflowId": "a"}, {}, "no call was similar"),
        ({"call": "started"}, {"times": 2}, "2 times; there were 1"),
        ({"call": "started"}, {"times": 0}, "0 times; there were 1"),
        ({"call": "started"}, {"only": True}, "no other call that changes anything"),
    ],
)
def test_a_failed_expectation_is_reported_with_the_nearest_call(
    client: Client, expected: dict[str, Any], how: dict[str, Any], words: str
) -> None:
    answer = made(client, expected, expect=422, **how)
    assert answer["error"] == "AssertionFailedError"
    assert words in answer["message"]


def test_calls_in_the_wrong_order_are_reported(client: Client) -> None:
    answer = made(client, {"call": "signalled"}, {"call": "started"}, expect=422, inOrder=True)
    assert "it was made before that, as #1" in answer["message"]


@pytest.mark.parametrize(
    ("expected", "how", "words"),
    [
        (
            {"call": "started", "payload": 1},
            {},
            "'started' has no 'payload'; it has workflow, input, workflowId",
        ),
        ({"call": "called"}, {}, "'called' needs a 'route'"),
        ({"call": "beguns"}, {}, "'beguns' is not one of"),
        ({"call": "started"}, {"times": 1, "only": True}, "'times' cannot be combined with"),
    ],
)
def test_an_invalid_expectation_is_refused(
    client: Client, expected: dict[str, Any], how: dict[str, Any], words: str
) -> None:
    assert words in made(client, expected, expect=400, **how)["message"]


def test_the_report_has_calls_runs_timelines_and_unused_scripts(
    client: Client,
) -> None:
    client.control("PUT", "/workflows/report", {"returns": 1})
    client.control(
        "PUT", "/workflows/cited", data="name: cited\nreturns: 1", headers={"Content-Type": "text/yaml"}
    )
    client.until_closed("a")
    parts = {
        part["title"]: part["text"] for part in client.control("GET", "/report", expect=200).json["sections"]
    }
    assert list(parts) == ["calls", "runs", "scripted but never used", "timeline of a"]
    assert "#1 POST /workflow/start -> 200" in parts["calls"]
    assert "a (approval): completed" in parts["runs"]
    # Not the unused scripts of the server's own files.
    assert [line.split("'")[1] for line in parts["scripted but never used"].splitlines()] == [
        "report",
        "cited",
    ]
    assert "step draft" in parts["timeline of a"]
    assert "\x1b" not in parts["timeline of a"]
