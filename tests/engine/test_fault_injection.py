"""Faults of all kinds, as clients on real sockets see them."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from output_mock import Fault, OutputMock
from output_mock.http.faults import PRESETS
from tests.client import Client
from tests.conftest import no_hang
from tests.control.served import script, served, worlds_of


@pytest.fixture
def mock() -> OutputMock:
    return OutputMock(seed=7, scripts=[script])


@pytest.fixture
def client() -> Iterator[Client]:
    with served(worlds_of()) as client:
        yield client


def fault(client: Client, **given: Any) -> int:
    number: int = client.control("POST", "/faults", given, expect=201).json["id"]
    return number


def statuses(client: Client, number: int, path: str = "/workflow/runs") -> list[int]:
    return [client.unchecked("GET", path).status for _ in range(number)]


def received(client: Client, path: str = "/workflow/catalog") -> tuple[bytes, bool]:
    """The bytes received on a connection, and whether it was reset."""
    host, _, port = client.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        data = b""
        try:
            while piece := connection.recv(65536):
                data += piece
        except ConnectionResetError:
            return data, True
        return data, False


# How often


def test_a_fault_affects_random_calls_and_the_same_ones_with_the_same_seed() -> None:
    def affected(seed: int) -> list[int]:
        mock = OutputMock(seed=seed)
        mock.faults.add(Fault(status=503, probability=0.3))
        client = mock.app.test_client()
        return [client.get("/workflow/runs").status_code for _ in range(200)]

    first = affected(1)
    assert 30 < Counter(first)[503] < 90
    assert affected(1) == first != affected(2)


def test_a_fault_can_skip_the_first_calls(client: Client) -> None:
    fault(client, status=500, after=2, times=2)
    assert statuses(client, 6) == [200, 200, 500, 500, 200, 200]
    assert client.control("GET", "/faults").json["faults"] == []


def test_a_fault_can_affect_every_call_until_it_is_removed(client: Client) -> None:
    number = fault(client, status=502, times="always", route="runs")
    assert statuses(client, 5) == [502] * 5
    shown = client.control("GET", "/faults").json["faults"][0]
    assert (shown["id"], shown["affected"], shown["left"]) == (number, 5, None)
    assert client.get("/health").status == 200
    client.control("DELETE", f"/faults/{number}", expect=204)
    client.control("DELETE", f"/faults/{number}", expect=404)
    assert statuses(client, 1) == [200]


def test_faults_can_be_limited_to_workflows(client: Client) -> None:
    fault(client, status=500, times="always", workflow="slow")
    fault(client, status=502, times="always", workflowId="x")
    fault(client, status=418, times="always", method="patch")

    def run(name: str, workflow_id: str) -> int:
        return client.unchecked(
            "POST", "/workflow/start", {"workflowName": name, "workflowId": workflow_id}
        ).status

    assert [run("echo", "a"), run("slow", "b"), run("echo", "x")] == [200, 500, 502]
    assert client.unchecked("PATCH", "/workflow/a/stop").status == 418


def test_a_delay_of_every_call_is_added_to_other_faults(mock: OutputMock) -> None:
    mock.faults.add(Fault(delay="2s", times="always"))
    mock.faults.add(Fault(status=503, delay="1s"))
    client = mock.app.test_client()
    before = mock.clock.nanoseconds()
    assert [client.get("/workflow/runs").status_code for _ in range(2)] == [503, 200]
    assert mock.clock.nanoseconds() - before == 5_000_000_000


# Errors


def test_an_injected_error_has_the_given_status_body_and_headers(client: Client) -> None:
    fault(client, status=503, retryAfter=7, body={"down": True}, headers={"X-Proxy": "edge"})
    answer = client.unchecked("GET", "/workflow/runs")
    assert (answer.status, answer.json, answer.headers["retry-after"], answer.headers["x-proxy"]) == (
        503,
        {"down": True},
        "7",
        "edge",
    )


@pytest.mark.parametrize("status", [404, 408, 424, 500, 503])
def test_injected_errors_look_like_those_of_the_real_server(client: Client, status: int) -> None:
    fault(client, status=status)
    answer = client.unchecked("GET", "/workflow/runs")
    assert set(answer.json) <= {"error", "message", "workflowId"}
    assert answer.headers["access-control-allow-origin"] == "*"


def test_calls_over_a_rate_limit_are_refused_until_time_passes(client: Client) -> None:
    client.control("PUT", "/clock", {"mode": "manual"})
    fault(client, limit=3, per="1m")
    assert statuses(client, 5) == [200, 200, 200, 429, 429]
    client.control("POST", "/clock/advance", {"by": "45s"})
    refused = client.unchecked("GET", "/workflow/runs")
    assert (refused.status, refused.headers["retry-after"]) == (429, "15")
    client.control("POST", "/clock/advance", {"by": "15s"})
    assert statuses(client, 4) == [200, 200, 200, 429]


def test_on_an_auto_clock_a_rate_limit_advances_time_by_retry_after(
    client: Client,
) -> None:
    fault(client, limit=2, per="30s")
    assert statuses(client, 6) == [200, 200, 429, 200, 200, 429]


def test_an_expired_token_is_refused_and_a_new_one_is_accepted(client: Client) -> None:
    fault(client, tokenLasts="10m")

    def status(token: str) -> int:
        return client.unchecked("GET", "/workflow/runs", headers={"Authorization": f"Bearer {token}"}).status

    assert status("one") == 200
    client.control("POST", "/clock/advance", {"by": "9m"})
    assert (status("one"), status("two")) == (200, 200)
    client.control("POST", "/clock/advance", {"by": "1m"})
    assert (status("one"), status("two")) == (401, 200)


# Delays


@pytest.mark.parametrize(
    "delay", ["300ms", {"uniform": ["250ms", "350ms"]}, {"lognormal": {"median": "300ms", "sigma": 0}}]
)
def test_a_delay_in_real_time_takes_real_time(client: Client, delay: Any) -> None:
    fault(client, delay=delay, wall=True)
    began = time.monotonic()
    assert client.get("/workflow/runs").status == 200
    assert time.monotonic() - began > 0.24
    assert client.control("GET", "/clock").json["now"] == "2026-01-01T00:00:00.000Z"


def test_random_delays_follow_the_given_distribution(mock: OutputMock) -> None:
    client = mock.app.test_client()

    def delays(written: Any) -> list[float]:
        mock.faults.clear()
        mock.faults.add(Fault(delay=written, times="always"))
        found = []
        for _ in range(300):
            before = mock.clock.nanoseconds()
            client.get("/health")
            found.append((mock.clock.nanoseconds() - before) / 1e9)
        return sorted(found)

    even = delays({"uniform": ["1s", "3s"]})
    assert 1 <= even[0] < 1.2 < 2.8 < even[-1] <= 3
    skewed = delays({"lognormal": {"median": "1s", "sigma": 1}})
    assert 0.7 < skewed[150] < 1.4
    assert skewed[-1] > 5


def test_a_server_stops_at_once_despite_delayed_responses() -> None:
    with no_hang(), served(worlds_of()) as client:
        fault(client, delay="1h", wall=True)
        host, _, port = client.url.removeprefix("http://").partition(":")
        waiting = socket.create_connection((host, int(port)))
        waiting.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(0.2)
    waiting.close()


# Broken connections and bodies


@pytest.mark.parametrize("lost", ["request", "answer"])
@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_a_connection_can_be_dropped_before_the_response(client: Client, lost: str, reset: bool) -> None:
    fault(client, drop=lost, reset=reset, route="catalog")
    assert received(client) == (b"", reset)
    assert client.get("/workflow/catalog").status == 200
    call = client.control("GET", "/calls", route="catalog").json["calls"][0]
    assert (call["lost"], call["status"]) == (True, 0 if lost == "request" else 200)


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_a_connection_can_be_dropped_within_the_body(client: Client, reset: bool) -> None:
    fault(client, drop="body", reset=reset, route="catalog")
    whole, _ = received(client, "/workflow/runs")
    assert whole.endswith(b"}")
    data, was_reset = received(client)
    assert was_reset == reset
    head, _, body = data.partition(b"\r\n\r\n")
    promised = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    assert 0 < len(body) < promised
    assert client.control("GET", "/calls", route="catalog").json["calls"][0]["lost"] is True


def test_http_clients_detect_a_truncated_body(client: Client) -> None:
    fault(client, drop="body", route="catalog")
    connection = http.client.HTTPConnection(client.url.removeprefix("http://"), timeout=60)
    connection.request("GET", "/workflow/catalog")
    with pytest.raises(http.client.IncompleteRead):
        connection.getresponse().read()
    connection.close()


def test_a_slow_body_is_complete_in_the_end(client: Client) -> None:
    whole = client.get("/workflow/catalog").body
    fault(client, dribble="400ms", route="catalog")
    began = time.monotonic()
    answer = client.get("/workflow/catalog")
    assert time.monotonic() - began > 0.35
    assert answer.body == whole


@pytest.mark.parametrize("path", ["/workflow/catalog", "/workflow/a/query/number", "/workflow/a/query/text"])
def test_a_malformed_json_body_cannot_be_parsed(path: str) -> None:
    body = {
        "name": "asked",
        "queries": {"number": {"returns": 12}, "text": {"returns": "x"}},
        "steps": [{"wait_for_signal": "go"}],
        "returns": 1,
    }
    with served(worlds_of()) as client:
        client.control("PUT", "/workflows/asked", body, expect=201)
        client.start("asked", workflowId="a")
        fault(client, malformed=True)
        answer = client.unchecked("GET" if path.endswith("catalog") else "POST", path)
        assert int(answer.headers["content-length"]) == len(answer.body)
        with pytest.raises(json.JSONDecodeError):
            json.loads(answer.body)


def test_a_client_that_resumes_a_cut_stream_loses_nothing(client: Client) -> None:
    client.start("approval", workflowId="a")
    client.control("POST", "/clock/advance", {"by": "10m"})
    client.post("/workflow/a/signal/approve", {"payload": {"by": "ana"}})
    client.until_closed("a")
    fault(client, cutAfter=4, times=6, route="history_stream")
    seen: list[int] = []
    cuts = 0
    while True:
        headers = [("Last-Event-ID", str(seen[-1]))] if seen else []
        _, chunks, close = client.open("GET", "/workflow/a/history/stream", headers, None)
        text = b""
        try:
            for chunk in chunks:
                text += chunk
        except (http.client.HTTPException, OSError):
            cuts += 1
        close()
        for frame in text.decode().split("\n\n"):
            if "event: history" in frame:
                data = json.loads(frame.partition("data: ")[2])
                seen += [int(event["eventId"]) for event in data]
        if b"event: done" in text:
            break
    assert cuts >= 2
    assert seen == [int(event["eventId"]) for event in client.events("a")]


# Deployments


def test_requests_during_a_worker_outage_are_carried_out_afterwards(client: Client) -> None:
    fault(client, workerAway="30s", route="start")
    client.start("echo", 5, workflowId="a")
    assert client.control("GET", "/runs/a").json["progress"].startswith("waiting for a worker")
    assert client.until_closed("a") == "completed"
    assert client.control("GET", "/clock").json["now"] == "2026-01-01T00:00:30.000Z"


def test_a_client_that_retries_survives_a_deployment(client: Client) -> None:
    client.control("POST", "/presets/deploying", expect=201)
    seen = []
    for number in range(40):
        try:
            answer = client.unchecked(
                "POST", "/workflow/run", {"workflowName": "echo", "workflowId": str(number)}
            )
        except (http.client.HTTPException, OSError):
            seen.append(0)
            continue
        seen.append(answer.status)
    assert seen[:3] == [503] * 3
    assert {0, 502} <= set(seen)
    assert seen[-20:] == [200] * 20
    assert client.control("GET", "/clock").json["now"] >= "2026-01-01T00:00:30.000Z"


@pytest.mark.parametrize("name", PRESETS)
def test_presets_can_be_added_by_name_from_python(name: str) -> None:
    mock = OutputMock()
    assert len(mock.faults.preset(name)) == len(mock.faults) > 0
    with pytest.raises(ValueError, match="did you mean"):
        mock.faults.preset(name[:-1])


def test_the_flaky_preset_fails_at_the_stated_rate() -> None:
    mock = OutputMock(seed=3, scripts=[script])
    mock.faults.preset("flaky")
    with mock.in_process() as url:
        import requests

        failed = 0
        for _ in range(300):
            try:
                answer = requests.get(f"{url}/workflow/catalog", timeout=5)
                answer.raise_for_status()
                answer.json()
            except (requests.RequestException, ValueError):
                failed += 1
    assert 30 < failed < 150
    mock.close()


def test_presets_are_listed_and_the_number_of_faults_is_limited(client: Client) -> None:
    listed = client.control("GET", "/presets").json["presets"]
    assert [one["name"] for one in listed] == list(PRESETS)
    for _ in range(500 // 7):
        client.control("POST", "/presets/flaky", expect=201)
    client.control("POST", "/presets/flaky", expect=409)
    client.control("DELETE", "/faults", expect=204)
    assert client.control("GET", "/faults").json["faults"] == []


@pytest.mark.parametrize(
    "given",
    [
        {"status": 99},
        {"status": "500"},
        {"times": 0},
        {"times": "ever"},
        {"probability": 0},
        {"probability": 1.5},
        {"delay": "soon"},
        {"delay": {"uniform": ["2s", "1s"]}},
        {"delay": {"uniform": ["1s"]}},
        {"delay": {"normal": 1}},
        {"delay": {"lognormal": {"sigma": 1}}},
        {"drop": "all"},
        {"reset": True},
        {"limit": 1, "per": 0},
        {"limit": 1, "tokenLasts": "1m"},
        {"route": "strat"},
        {"headers": {"a b": "c"}},
        {"headers": {"X": "a\r\nSet-Cookie: b"}},
        {"status": 204, "body": "x"},
        {"dribble": "2h"},
        {"after": -1},
        {"statsu": 500},
    ],
)
def test_faults_that_are_invalid_are_refused(client: Client, given: dict[str, Any]) -> None:
    client.control("POST", "/faults", given, expect=400)
    assert client.control("GET", "/faults").json["faults"] == []


def test_every_fault_has_a_description() -> None:
    every = Fault(
        status=503,
        delay="1s",
        wall=True,
        drop="body",
        reset=True,
        malformed=True,
        dribble="1s",
        worker_away="1m",
        route="start",
        times=2,
    )
    assert repr(every) == (
        "answer 503 and delay by 1s in real time and break off in the middle of the answer's body with a "
        "reset and break the JSON of the answer and send the body slowly, over 1s and send the worker away "
        "for 1m for route start (2 of 2 left)"
    )
    assert str(Fault(cut_after=2)) == "cut the stream after 2 events for route history_stream"
    assert repr(Fault(limit=2)) == "answer 429 beyond 2 calls per 1m (always)"
    assert repr(Fault(token_lasts="1h", probability=0.5)) == (
        "answer 401 to a token older than 1h (always, of 0.5 of the calls)"
    )


# Calls that a fault cannot affect


def test_a_stream_is_cut_regardless_of_earlier_calls(client: Client) -> None:
    client.run("echo", 1, workflowId="a")
    number = fault(client, cutAfter=1)
    assert statuses(client, 3) == [200, 200, 200]
    assert client.unchecked("GET", "/workflow/unknown/history/stream").status == 404
    shown = client.control("GET", "/faults").json["faults"][0]
    assert (shown["id"], shown["left"], shown["affected"]) == (number, 1, 0)
    _, chunks, close = client.open("GET", "/workflow/a/history/stream", [], None)
    with pytest.raises((http.client.HTTPException, OSError)):
        list(chunks)
    close()
    assert client.control("GET", "/faults").json["faults"] == []


@pytest.mark.parametrize("given", [{"malformed": True}, {"drop": "body"}, {"dribble": "1ms"}])
def test_only_a_response_with_a_body_is_corrupted(client: Client, given: dict[str, Any]) -> None:
    client.run("echo", 1, workflowId="a")
    number = fault(client, **given)
    assert client.unchecked("HEAD", "/workflow/runs").status == 200
    assert client.unchecked("GET", "/workflow/a/history/stream").status == 200
    shown = client.control("GET", "/faults").json["faults"][0]
    assert (shown["id"], shown["left"], shown["affected"]) == (number, 1, 0)
    with contextlib.suppress(http.client.HTTPException, OSError):
        client.unchecked("GET", "/workflow/runs")
    assert client.control("GET", "/faults").json["faults"] == []


def test_s3_trouble_affects_the_next_requested_trace(client: Client) -> None:
    client.start("approval", workflowId="a")
    fault(client, s3="down")
    assert client.unchecked("GET", "/workflow/a/trace-log").status == 424
    assert client.unchecked("GET", "/workflow/unknown/trace-log").status == 404
    client.run("echo", 1, workflowId="b")
    assert client.unchecked("GET", "/workflow/b/trace-log").status == 500
    assert client.control("GET", "/faults").json["faults"] == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"cutAfter": 1, "route": "runs"}, "a stream that is cut is for route history_stream, not for runs"),
        ({"cutAfter": 1, "method": "POST"}, "a stream that is cut is for GET, not for POST"),
        ({"cutAfter": 1, "status": 503}, "cannot have both a stream that is cut and status 503"),
        ({"s3": "down", "status": 503}, "cannot have both a problem with S3 and status 503"),
        ({"retryAfter": 1}, "need a status; give one, too"),
        ({"body": "gone"}, "need a status; give one, too"),
    ],
)
def test_a_fault_without_effect_is_refused(client: Client, given: dict[str, Any], said: str) -> None:
    assert said in client.control("POST", "/faults", given, expect=400).json["message"]
