"""`/__mock__/metrics` in the format of Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from http.client import HTTPException

import pytest
from prometheus_client.parser import text_string_to_metric_families

from output_mock.version import version
from tests.client import Client
from tests.control.served import script, served, worlds_of

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def metrics(client: Client, path: str = "/metrics") -> Samples:
    """The samples of a response, by name and labels."""
    answer = client.control("GET", path)
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    text = answer.body.decode()
    found = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    # Each metric has a unique name, a type and a description.
    assert text.count("# TYPE ") == text.count("# HELP ") == len(list(text_string_to_metric_families(text)))
    assert "unknown" not in text
    return found


def of(found: Samples, name: str, **labels: str) -> float:
    return found.get((f"output_mock_{name}", frozenset(labels.items())), 0)


@pytest.fixture
def client() -> Iterator[Client]:
    with served(worlds_of(script)) as client:
        yield client


def test_requests_and_runs_are_counted(client: Client) -> None:
    client.run("echo", 1)
    client.start("approval", workflowId="waits")
    client.post("/workflow/start", {"workflowName": "nobody"})
    client.unchecked("GET", "/no/such/path")
    found = metrics(client)
    assert of(found, "requests_total", route="run", status="200") == 1
    assert of(found, "requests_total", route="start", status="200") == 1
    assert of(found, "requests_total", route="start", status="424") == 1
    assert of(found, "requests_total", route="none", status="404") == 1
    assert of(found, "unmatched_requests_total") == 2
    assert of(found, "request_duration_seconds_count", route="start") == 2
    assert of(found, "request_duration_seconds_sum", route="start") > 0
    assert (of(found, "worlds"), of(found, "runs_open"), of(found, "runs_closed")) == (1, 1, 1)
    ((_, labels),) = [key for key in found if key[0] == "output_mock_info"]
    assert dict(labels)["version"] == version()


def test_a_lost_response_is_counted_with_status_0(client: Client) -> None:
    client.control("POST", "/faults", {"drop": "request", "route": "catalog"})
    with pytest.raises((OSError, HTTPException)):
        client.get("/workflow/catalog")
    assert of(metrics(client), "requests_total", route="catalog", status="0") == 1


def test_a_world_shows_its_own_counts_and_the_server_the_total(client: Client) -> None:
    one, two = client.of("one"), client.of("two")
    for user in (client, one, one, two):
        user.run("echo", 1)
    run = {"route": "run", "status": "200"}
    assert [of(metrics(user), "requests_total", **run) for user in (client, one, two)] == [4, 2, 1]
    client.control("DELETE", "/worlds/one")
    client.control("POST", "/worlds/two/wipe")
    two.run("echo", 1)
    # A counter never decreases.
    assert of(metrics(client), "requests_total", **run) == 5
    assert of(metrics(two), "requests_total", **run) == 1
