"""Injected faults are the same in process and over a socket."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from output_mock import Context, Fault, OutputMock, started
from output_mock.http.faults import Faults
from output_mock.http.faults.kinds import KINDS, FaultOptions
from output_mock.state.faults import faults_json, read_faults
from tests.client import Client


@pytest.fixture(params=["in_process", "socket"])
def fake(request: pytest.FixtureRequest, mock: OutputMock) -> Iterator[OutputMock]:
    """A fake in process or on a socket, with a workflow `report`."""
    mock.workflow("report").returns(1)
    with mock.in_process() if request.param == "in_process" else mock.serve():
        yield mock
    mock.close()


BODY = {"workflowName": "report", "workflowId": "r"}


def start(fake: OutputMock, **options: Any) -> requests.Response:
    return requests.post(f"{fake.url}/workflow/start", json=BODY, **options)


def test_a_lone_surrogate_in_the_body_of_a_fault_is_sent_as_by_node(fake: OutputMock) -> None:
    fake.fail_next(500, body="a\ud800b")
    assert start(fake).content.decode() == "a\ufffdb"


def test_failed_calls_get_the_real_error_body_and_have_no_effect(fake: OutputMock) -> None:
    fault = fake.fail_next(503, times=2)
    answers = [start(fake), start(fake)]
    for answer in answers:
        assert answer.status_code == 503
        assert answer.json()["error"] == "CatalogNotAvailableError"
        assert answer.headers["Retry-After"] == "3"
        assert answer.headers["X-Request-ID"]
    assert not fake.runs
    assert fault.left == 0
    assert start(fake).status_code == 200
    assert not fake.unmatched_calls


@pytest.mark.parametrize(
    ("status", "body", "kind", "text"),
    [
        (500, None, "application/json", '{"error":"Error","message":"Internal Server Error"}'),
        (
            424,
            None,
            "application/json",
            '{"error":"WorkflowNotCompletedError","message":"Workflow execution is',
        ),
        (429, None, "text/plain", "Too Many Requests"),
        (502, "<h1>Bad</h1>", "text/plain", "<h1>Bad</h1>"),
        (418, {"tea": True}, "application/json", '{"tea":true}'),
        (599, None, "text/plain", "599"),
    ],
)
def test_a_fault_can_have_any_status_and_body(
    fake: OutputMock, status: int, body: Any, kind: str, text: str
) -> None:
    fake.fail_next(status, body=body, headers={"X-Why": "test"})
    answer = start(fake)
    assert (answer.status_code, answer.headers["X-Why"]) == (status, "test")
    assert answer.headers["Content-Type"].startswith(kind)
    assert answer.text.startswith(text)


@pytest.mark.parametrize(
    ("where", "statuses"),
    [
        ({"route": "status"}, [200, 500, 200]),
        ({"method": "get"}, [200, 500, 200]),
        ({"method": "GET", "workflow_id": "r"}, [200, 404, 500]),
        ({"workflow": "report", "route": "status"}, [200, 404, 500]),
        ({"workflow": "report"}, [500, 404, 404]),
        ({"route": "signal"}, [200, 404, 200]),
    ],
    ids=repr,
)
def test_only_matching_calls_fail(fake: OutputMock, where: dict[str, Any], statuses: list[int]) -> None:
    fake.fail_next(500, **where)
    begun = start(fake)
    other = requests.get(f"{fake.url}/workflow/other/status")
    own = requests.get(f"{fake.url}/workflow/r/status")
    assert [answer.status_code for answer in (begun, other, own)] == statuses


def test_a_start_can_fail_for_one_workflow_and_one_id(fake: OutputMock) -> None:
    fake.workflow("other").returns(2)
    fake.fail_next(500, workflow="report", workflow_id="r")
    url = f"{fake.url}/workflow/start"
    assert requests.post(url, json={"workflowName": "other", "workflowId": "r2"}).status_code == 200
    assert requests.post(url, json={"workflowName": "report"}).status_code == 200
    assert start(fake).status_code == 500


def test_faults_apply_in_order_and_can_be_removed(
    fake: OutputMock,
) -> None:
    fake.fail_next(500)
    fake.fail_next(502)
    assert [start(fake).status_code, start(fake).status_code] == [500, 502]
    fake.fail_next(500, times=100)
    fake.app.faults.clear()
    assert start(fake).status_code == 200


@pytest.mark.parametrize("by", [requests.post, httpx.post], ids=["requests", "httpx"])
def test_a_dropped_connection_raises_the_usual_client_error(fake: OutputMock, by: Callable[..., Any]) -> None:
    fake.drop_next()
    with pytest.raises((requests.ConnectionError, httpx.RemoteProtocolError)) as error:
        by(f"{fake.url}/workflow/start", json=BODY)
    assert "without" in str(error.value)
    assert not fake.runs
    call = fake.calls.one()
    assert (call.status, call.lost, str(call).partition("  ")[0]) == (
        0,
        True,
        "#1 POST /workflow/start -> dropped",
    )


def test_a_request_whose_response_is_lost_takes_effect(fake: OutputMock) -> None:
    fake.drop_next(lose="answer")
    with pytest.raises(requests.ConnectionError):
        start(fake)
    assert fake.runs["r"].workflow == "report"
    assert fake.assert_called(started("report"), times=1).one().lost


def test_a_stream_cut_between_two_events_can_be_resumed(fake: OutputMock) -> None:
    @fake.workflow("steps")
    async def steps(ctx: Context, input: Any) -> None:
        for number in range(3):
            await ctx.step(f"s{number}", returns=number, takes="1m")

    requests.post(f"{fake.url}/workflow/start", json={"workflowName": "steps", "workflowId": "s"})
    fake.cut_next_stream(after=4)
    ids: list[int] = []
    cuts = 0
    while True:
        headers = {"Last-Event-ID": str(ids[-1])} if ids else {}
        try:
            with requests.get(
                f"{fake.url}/workflow/s/history/stream", headers=headers, stream=True
            ) as stream:
                for line in stream.iter_lines(decode_unicode=True):
                    if line.startswith("id: "):
                        ids.append(int(line.removeprefix("id: ")))
                        if not cuts:
                            assert ids == [4]
            break
        except requests.exceptions.ChunkedEncodingError:
            cuts += 1
    assert cuts == 1
    assert ids[-1] == len(fake.runs["s"].history)


@pytest.mark.parametrize("stage", ["before it begins", "after the last event"])
def test_a_stream_may_be_cut_at_either_end(fake: OutputMock, stage: str) -> None:
    start(fake)
    events = len(requests.get(f"{fake.url}/workflow/r/history?pageSize=50").json()["events"])
    fake.cut_next_stream(after=0 if stage == "before it begins" else 1000)
    address = f"{fake.url}/workflow/r/history/stream"
    if stage == "before it begins":
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            requests.get(address)
    else:
        assert b"event: done" in requests.get(address).content
    assert events


# Delays


def test_a_delay_passes_on_the_fakes_clock_and_not_in_real_time(fake: OutputMock) -> None:
    fake.delay_next("10m")
    before, begun = fake.clock.now(), time.monotonic()
    assert start(fake).status_code == 200
    assert (fake.clock.now() - before).total_seconds() == 600
    assert time.monotonic() - begun < 5


def test_a_failure_can_be_late_too(fake: OutputMock) -> None:
    fake.fail_next(503, delay="1m")
    before = fake.clock.now()
    assert start(fake).status_code == 503
    assert (fake.clock.now() - before).total_seconds() == 60


@pytest.mark.parametrize("by", [requests.post, httpx.post], ids=["requests", "httpx"])
@pytest.mark.parametrize("timeout", [2, (5, 2)], ids=repr)
def test_a_client_in_process_times_out_as_on_a_socket(
    mock: OutputMock, by: Callable[..., Any], timeout: Any
) -> None:
    mock.workflow("report").returns(1)
    if by is httpx.post and isinstance(timeout, tuple):
        timeout = httpx.Timeout(5, read=2)
    with mock.in_process() as url:
        mock.delay_next("1m")
        before = mock.clock.now()
        with pytest.raises(
            (requests.ReadTimeout, httpx.ReadTimeout),
            match=r"no answer within 2 s|Read timed out\. \(read timeout=2\)",
        ):
            by(f"{url}/workflow/start", json=BODY, timeout=timeout)
        assert (mock.clock.now() - before).total_seconds() == 2
        # The request takes effect nevertheless.
        assert mock.calls.one().lost
        assert mock.runs["r"].status == "completed" or mock.runs["r"].status == "running"
        mock.delay_next("1s")
        by(f"{url}/workflow/start", json={"workflowName": "report"}, timeout=timeout)


def test_a_delay_on_a_real_clock_takes_real_time() -> None:
    mock = OutputMock(clock="real")
    with mock.in_process() as url:
        mock.delay_next("50ms")
        begun = time.monotonic()
        requests.get(f"{url}/health")
        assert time.monotonic() - begun >= 0.05
    mock.close()


# Clients that retry by themselves


def session(**retries: Any) -> requests.Session:
    found = requests.Session()
    found.mount("http://", HTTPAdapter(max_retries=Retry(total=3, allowed_methods=None, **retries)))
    return found


def test_the_retries_of_a_sessions_own_adapter_happen(fake: OutputMock) -> None:
    fake.fail_next(502, times=2)
    with session(status_forcelist=[502]) as client:
        assert client.post(f"{fake.url}/workflow/start", json=BODY).status_code == 200
    assert [call.status for call in fake.calls] == [502, 502, 200]


def test_dropped_connections_are_retried_as_often_as_the_adapter_says(fake: OutputMock) -> None:
    fake.drop_next(times=2)
    with session() as client:
        assert client.post(f"{fake.url}/workflow/start", json=BODY).status_code == 200
    fake.drop_next(times=4)
    with session() as client, pytest.raises(requests.ConnectionError, match="Max retries exceeded"):
        client.get(f"{fake.url}/health")


# Invalid faults


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"times": 0}, "times must be 1 or more, not 0"),
        ({"status": 9}, "9 is not an HTTP status"),
        (
            {"status": 500, "headers": {"Transfer-Encoding": "chunked"}},
            "the server itself sets the header 'Transfer-Encoding'",
        ),
        (
            {"status": 500, "headers": {"connection": "close"}},
            "the server itself sets the header 'connection'",
        ),
        ({"drop": "both"}, "drop must be 'request', 'answer' or 'body', not 'both'"),
        ({"cut_after": -1}, "cut_after must be 0 events or more, not -1"),
        ({"route": "strat"}, "there is no route 'strat'; did you mean 'start'"),
        ({"delay": "soon"}, "'soon' is not a duration"),
        ({"route": "start"}, "a fault needs something that goes wrong, such as status=503"),
        ({"route": "start", "malformed": False}, "a fault needs something that goes wrong"),
    ],
)
def test_faults_that_are_invalid_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Fault(**options)


def test_an_unknown_option_is_refused_with_a_suggestion() -> None:
    with pytest.raises(TypeError, match="a fault has no option 'statsu'; did you mean 'status'"):
        Fault(statsu=503)  # type: ignore[call-arg]


def test_type_checkers_know_the_options_of_every_kind() -> None:
    assert set(FaultOptions.__annotations__) == {name for kind in KINDS for name in kind.options}


# One fault of each kind, after some calls.
OF_EACH_KIND: list[dict[str, Any]] = [
    {"status": 503, "body": {"a": [1, None]}, "headers": {"X-A": "b"}, "retry_after": 2, "after": 1},
    {"limit": 2, "per": timedelta(seconds=90)},
    {"token_lasts": "1h", "status": 403},
    {"delay": {"lognormal": {"median": timedelta(seconds=1), "sigma": 0.5}}, "wall": True, "times": "always"},
    {"drop": "body", "reset": True, "probability": 0.5, "workflow": "report"},
    {"malformed": True, "times": 3},
    {"dribble": "100ms"},
    {"cut_after": 0, "workflow_id": "r"},
    {"worker_away": 1.5},
    {"s3": "denied"},
    {"temporal_away": True},
]


@pytest.mark.parametrize("options", OF_EACH_KIND, ids=[next(iter(options)) for options in OF_EACH_KIND])
def test_a_fault_of_each_kind_survives_a_state_file(options: dict[str, Any]) -> None:
    faults = Faults(3)
    fault = faults.add(Fault(**options))
    call = {"method": "GET", "route": None, "workflow": "report", "workflow_id": "r", "token": "t"}
    for now in range(3):
        faults.take({**call, "route": fault.where.get("route", "status")}, now)
    written = json.dumps(faults_json(faults.state(), tokens=True))
    again = Faults(4)
    again.restore(read_faults(json.loads(written)))
    assert faults_json(again.state(), tokens=True) == json.loads(written)
    assert [repr(one) for one in again] == [repr(one) for one in faults]


def test_each_kind_of_fault_is_tested() -> None:
    given = set[str]().union(*OF_EACH_KIND)
    assert {kind.__name__ for kind in KINDS if next(iter(kind.options)) not in given} == set()


def test_a_call_without_temporal_does_not_use_up_a_temporal_outage() -> None:
    mock = OutputMock()
    mock.faults.add(Fault(temporal_away=True))
    client = Client(mock)
    began = mock.clock.now()
    assert client.get("/health").status == 200
    assert client.post("/workflow/start", {}).status == 400
    assert mock.clock.now() == began
    assert client.get("/workflow/w/status").json["message"] == "Failed to describe workflow"
    assert (mock.clock.now() - began).total_seconds() == 20
    assert client.get("/workflow/w/status").status == 404
