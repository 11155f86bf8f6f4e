"""The fake together with the real packages of other test tools.

Only requests to the fake's own URL are intercepted, in any order of patches. Frozen time blocks no client.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import anyio
import boto3  # type: ignore[import-untyped]
import freezegun
import httpx
import moto
import pytest
import requests
import requests_mock
import responses
import respx
import time_machine
import vcr  # type: ignore[import-untyped]
from pytest_httpx import HTTPXMock
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry
from vcr.errors import CannotOverwriteExistingCassetteException  # type: ignore[import-untyped]

from output_mock import Context, Fault, OutputMock
from output_mock.durations import MILLISECOND
from tests.conftest import eventually, in_another_thread, no_hang, somebody_waits
from tests.inner_pytest import only_plugins

OTHER = "http://other.example/weather"
BODY = {"workflowName": "report", "input": {"n": 3}}


def script(mock: OutputMock) -> OutputMock:
    """A workflow that returns, and one that waits for a signal."""
    mock.workflow("report").returns({"pages": 3})

    @mock.workflow("approval")
    async def approval(ctx: Context, input: Any) -> Any:
        return await ctx.wait_for_signal("approve")

    return mock


@pytest.fixture
def fake(output_mock: OutputMock) -> OutputMock:
    return script(output_mock)


# Clients


def with_requests(url: str) -> Any:
    answer = requests.post(f"{url}/workflow/run", json=BODY, timeout=60)
    return answer.json()["output"]


def with_session(url: str) -> Any:
    with requests.Session() as session:
        return session.post(f"{url}/workflow/run", json=BODY, timeout=60).json()["output"]


def with_httpx(url: str) -> Any:
    with httpx.Client(base_url=url) as client:
        return client.post("/workflow/run", json=BODY).json()["output"]


def with_async_httpx(url: str) -> Any:
    async def ask() -> Any:
        async with httpx.AsyncClient(base_url=url) as client:
            return (await client.post("/workflow/run", json=BODY)).json()["output"]

    return asyncio.run(ask())


class Retrying(httpx.BaseTransport):
    """A typical custom transport, which wraps another one."""

    def __init__(self) -> None:
        self.wrapped = httpx.HTTPTransport()
        self.sent = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        while True:
            self.sent += 1
            answer = self.wrapped.handle_request(request)
            if answer.status_code != 503:
                return answer


class Signing(httpx.HTTPTransport):
    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.headers["X-Signature"] = "signed"
        return super().handle_request(request)


class SigningAsync(httpx.AsyncHTTPTransport):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.headers["X-Signature"] = "signed"
        return await super().handle_async_request(request)


def with_transports(url: str) -> Any:
    found = []
    for transport in (Retrying(), Signing()):
        with httpx.Client(base_url=url, transport=transport) as client:
            found.append(client.post("/workflow/run", json=BODY).json()["output"])
    assert found[0] == found[1]
    return found[0]


CLIENTS = (with_requests, with_session, with_httpx, with_async_httpx, with_transports)


def everybody_reaches(mock: OutputMock) -> None:
    """Check that every client gets the fake's responses, and that the fake records the calls."""
    before = len(mock.calls)
    for client in CLIENTS:
        assert client(mock.url) == {"pages": 3}, client.__name__
    # One of the clients has two transports.
    assert len(mock.calls) == before + len(CLIENTS) + 1


# Tools that intercept HTTP


@contextmanager
def beside_responses() -> Iterator[Callable[[], None]]:
    with responses.RequestsMock() as theirs:
        theirs.get(OTHER, json={"sun": True})

        def check() -> None:
            assert requests.get(OTHER, timeout=60).json() == {"sun": True}
            assert [call.request.url for call in theirs.calls] == [OTHER]
            with pytest.raises(requests.ConnectionError, match="refused by Responses"):
                requests.get("http://unknown.example/", timeout=60)

        yield check


@contextmanager
def beside_respx(using: str) -> Iterator[Callable[[], None]]:
    with respx.mock(using=using) as theirs:
        route = theirs.get(OTHER).respond(json={"sun": True})

        def check() -> None:
            with httpx.Client() as client:
                assert client.get(OTHER).json() == {"sun": True}
            assert route.call_count == 1
            with pytest.raises(AssertionError, match="not mocked"):
                httpx.get("http://unknown.example/")

        yield check


@contextmanager
def beside_requests_mock() -> Iterator[Callable[[], None]]:
    with requests_mock.Mocker() as theirs:
        theirs.get(OTHER, json={"sun": True})

        def check() -> None:
            assert requests.get(OTHER, timeout=60).json() == {"sun": True}
            assert [str(one.url) for one in theirs.request_history] == [OTHER]
            with pytest.raises(requests_mock.NoMockAddress):
                requests.get("http://unknown.example/", timeout=60)

        yield check


CASSETTE = f"""\
version: 1
interactions:
- request: {{method: GET, uri: {OTHER}, headers: {{}}, body: null}}
  response:
    status: {{code: 200, message: OK}}
    headers: {{Content-Type: [application/json]}}
    body: {{string: '{{"sun": true}}'}}
"""


@contextmanager
def beside_vcrpy(folder: Path) -> Iterator[Callable[[], None]]:
    path = folder / "cassette.yaml"
    path.write_text(CASSETTE)
    with vcr.use_cassette(str(path), record_mode="none", allow_playback_repeats=True) as cassette:

        def check() -> None:
            assert requests.get(OTHER, timeout=60).json() == {"sun": True}
            assert httpx.get(OTHER).json() == {"sun": True}
            assert cassette.play_count == 2
            with pytest.raises(CannotOverwriteExistingCassetteException):
                httpx.get("http://unknown.example/")

        yield check
    assert path.read_text() == CASSETTE, "a call to the fake was recorded"


@contextmanager
def beside_moto(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with moto.mock_aws():

        def check() -> None:
            s3 = boto3.client("s3", region_name="us-east-1")
            s3.create_bucket(Bucket="traces")
            s3.put_object(Bucket="traces", Key="a", Body=b"1")
            assert s3.get_object(Bucket="traces", Key="a")["Body"].read() == b"1"
            assert requests.get("https://traces.s3.amazonaws.com/", timeout=60).status_code in (200, 403)

        yield check


Neighbour = Callable[[], AbstractContextManager[Callable[[], None]]]
NEIGHBOURS = [
    "responses",
    "respx, httpcore",
    "respx, httpx",
    "requests-mock",
    "vcrpy",
    "moto",
]


@pytest.fixture
def neighbour(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Neighbour:
    return {
        "responses": beside_responses,
        "respx, httpcore": lambda: beside_respx("httpcore"),
        "respx, httpx": lambda: beside_respx("httpx"),
        "requests-mock": beside_requests_mock,
        "vcrpy": lambda: beside_vcrpy(tmp_path),
        "moto": lambda: beside_moto(monkeypatch),
    }[request.param]


@pytest.mark.parametrize("first", ["ours", "theirs"])
@pytest.mark.parametrize("neighbour", NEIGHBOURS, indirect=True)
def test_each_tool_mocks_its_own_hosts_and_the_fake_its_own(
    request: pytest.FixtureRequest, neighbour: Neighbour, first: str
) -> None:
    with ExitStack() as stack:
        if first == "ours":
            fake = request.getfixturevalue("fake")
            check = stack.enter_context(neighbour())
        else:
            check = stack.enter_context(neighbour())
            fake = request.getfixturevalue("fake")
        everybody_reaches(fake)
        check()
        everybody_reaches(fake)


@pytest.mark.parametrize("neighbour", NEIGHBOURS, indirect=True)
def test_another_mocking_tool_can_stay_active_between_two_fakes(neighbour: Neighbour) -> None:
    with ExitStack() as fakes, ExitStack() as tools:
        first = script(OutputMock())
        fakes.enter_context(first.in_process())
        check = tools.enter_context(neighbour())
        everybody_reaches(first)
        fakes.close()
        check()
        second = script(OutputMock())
        with second.in_process():
            everybody_reaches(second)
            tools.close()
            everybody_reaches(second)


@pytest.mark.parametrize("first", ["ours", "theirs"])
def test_pytest_httpx_mocks_its_own_hosts_and_the_fake_its_own(
    request: pytest.FixtureRequest, first: str
) -> None:
    order = ["fake", "httpx_mock"] if first == "ours" else ["httpx_mock", "fake"]
    found = {name: request.getfixturevalue(name) for name in order}
    theirs: HTTPXMock = found["httpx_mock"]
    theirs.add_response(url=OTHER, json={"sun": True})
    everybody_reaches(found["fake"])
    assert httpx.get(OTHER).json() == {"sun": True}
    assert [str(one.url) for one in theirs.get_requests()] == [OTHER]
    everybody_reaches(found["fake"])


@pytest.mark.httpx_mock(assert_all_requests_were_expected=False)
def test_an_unexpected_call_in_pytest_httpx_does_not_reach_the_fake(
    fake: OutputMock, httpx_mock: HTTPXMock
) -> None:
    with pytest.raises(httpx.TimeoutException):
        httpx.get("http://unknown.example/")
    assert not fake.calls


@responses.activate
def test_the_responses_decorator_works_inside_the_fixture(fake: OutputMock) -> None:
    responses.get(OTHER, json={"sun": True})
    everybody_reaches(fake)
    assert requests.get(OTHER, timeout=60).json() == {"sun": True}
    responses.assert_call_count(OTHER, 1)


@pytest.fixture
def mocked_responses() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as theirs:
        yield theirs


@pytest.mark.usefixtures("fake")
def test_the_fake_works_with_responses_activated_after_it(
    output_mock: OutputMock, mocked_responses: responses.RequestsMock
) -> None:
    mocked_responses.get(OTHER, json={"sun": True})
    everybody_reaches(output_mock)
    assert requests.get(OTHER, timeout=60).json() == {"sun": True}


def test_the_fake_works_with_responses_activated_before_it(
    mocked_responses: responses.RequestsMock, fake: OutputMock
) -> None:
    mocked_responses.get(OTHER, json={"sun": True})
    everybody_reaches(fake)
    assert requests.get(OTHER, timeout=60).json() == {"sun": True}


def test_a_session_once_patched_by_requests_mock_reaches_a_later_fake() -> None:
    with requests.Session() as session:
        with requests_mock.Mocker() as theirs:
            theirs.get(OTHER, json={"sun": True})
            assert session.get(OTHER, timeout=60).json() == {"sun": True}
        # requests-mock leaves a `get_adapter` on every session that it has seen.
        assert "get_adapter" in vars(session)
        fake = script(OutputMock())
        with fake.in_process() as url:
            assert session.post(f"{url}/workflow/run", json=BODY, timeout=60).status_code == 200
            with requests_mock.Mocker(session=session) as theirs:
                theirs.get(OTHER, json={"sun": False})
                assert session.get(OTHER, timeout=60).json() == {"sun": False}
                assert session.post(f"{url}/workflow/run", json=BODY, timeout=60).status_code == 200
        with pytest.raises(requests.ConnectionError):
            session.get(url, timeout=60)


def test_closing_the_last_fake_restores_the_clients() -> None:
    def state() -> list[Any]:
        return [
            requests.Session.get_adapter,
            httpx.Client._send_single_request,
            httpx.AsyncClient._send_single_request,
        ]

    before, transport = state(), Signing()
    with script(OutputMock()).in_process() as url, httpx.Client(base_url=url, transport=transport) as client:
        assert state() != before
        client.get("/health")
        assert type(transport) is not Signing
    assert state() == before
    assert type(transport) is Signing


def test_vcr_does_not_record_calls_to_the_fake(fake: OutputMock, tmp_path: Path) -> None:
    path = tmp_path / "cassette.yaml"
    with vcr.use_cassette(str(path), record_mode="all"):
        everybody_reaches(fake)
    assert not path.exists()


def test_other_tools_can_be_told_to_pass_through_calls_to_a_served_fake(tmp_path: Path) -> None:
    """As docs/guides/other-test-tools.md says."""
    recorder = vcr.VCR(ignore_localhost=True)
    with script(OutputMock()).serve() as url:
        with responses.RequestsMock() as theirs:
            theirs.add_passthru(url)
            assert with_requests(url) == {"pages": 3}
        with respx.mock() as router:
            router.route(host="127.0.0.1").pass_through()
            assert with_httpx(url) == {"pages": 3}
        with recorder.use_cassette(str(tmp_path / "cassette.yaml"), record_mode="none"):
            assert with_requests(url) == with_httpx(url) == {"pages": 3}


# Custom transports and adapters


def retrying(**options: Any) -> requests.Session:
    session = requests.Session()
    retry = Retry(total=3, status_forcelist=[503], backoff_factor=30, allowed_methods=None, **options)
    session.mount("http://", HTTPAdapter(max_retries=retry))
    return session


def test_retries_of_a_mounted_adapter_take_no_real_time(fake: OutputMock) -> None:
    fake.fail_next(503, times=2)
    fake.drop_next(1)
    # In real time the pauses would take three minutes.
    with no_hang(), retrying() as session:
        assert session.post(f"{fake.url}/workflow/run", json=BODY, timeout=60).json()["output"] == {
            "pages": 3
        }
    assert [call.status for call in fake.calls] == [503, 503, 0, 200]


def test_a_retry_after_date_is_on_the_fakes_clock(fake: OutputMock) -> None:
    date = format_datetime(fake.clock.now() + timedelta(seconds=60), usegmt=True)
    fake.fail_next(503, headers={"Retry-After": date})
    before = fake.clock.now()
    with no_hang(), retrying() as session:
        assert session.get(f"{fake.url}/workflow/runs", timeout=60).status_code == 200
    assert fake.clock.now() - before == timedelta(seconds=60)


def test_retries_for_all_reasons_are_counted_together(fake: OutputMock) -> None:
    fake.fail_next(503, times=2)
    fake.drop_next(2)
    with retrying() as session, pytest.raises(requests.ConnectionError):
        session.post(f"{fake.url}/workflow/run", json=BODY, timeout=60)
    assert len(fake.calls) == 4


def test_exhausted_retries_raise_the_usual_client_error(fake: OutputMock) -> None:
    fake.fail_next(503, times=8)
    with retrying() as session, pytest.raises(requests.exceptions.RetryError, match="too many 503"):
        session.get(f"{fake.url}/workflow/runs", timeout=60)
    with retrying(raise_on_status=False) as session:
        assert session.get(f"{fake.url}/workflow/runs", timeout=60).status_code == 503
    assert len(fake.calls) == 8


class Patient(HTTPAdapter):
    """A typical custom adapter: it sets a timeout, and counts its requests."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = 0

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        self.sent += 1
        kwargs["timeout"] = 2
        request.headers["X-Signature"] = "signed"
        return super().send(request, *args, **kwargs)


@pytest.mark.parametrize("others", [False, True], ids=["alone", "beside responses"])
def test_a_custom_requests_adapter_is_still_used(fake: OutputMock, others: bool) -> None:
    adapter = Patient()
    with ExitStack() as stack:
        session = stack.enter_context(requests.Session())
        session.mount("http://", adapter)
        if others:
            theirs = stack.enter_context(responses.RequestsMock())
            theirs.get(OTHER)
            session.get(OTHER, timeout=60)
        assert session.get(f"{fake.url}/workflow/runs", timeout=60).status_code == 200
        fake.delay_next("3s")
        with pytest.raises(requests.ReadTimeout):
            session.get(f"{fake.url}/workflow/runs", timeout=60)
    assert adapter.sent == 2 + others
    assert {call.headers["X-Signature"] for call in fake.calls} == {"signed"}


@pytest.mark.parametrize("others", [False, True], ids=["alone", "beside pytest-httpx"])
def test_a_custom_httpx_transport_is_still_used(
    request: pytest.FixtureRequest, fake: OutputMock, others: bool
) -> None:
    if others:
        theirs = request.getfixturevalue("httpx_mock")
        theirs.add_response(url=OTHER, is_reusable=True)
    retrying, signing = Retrying(), Signing()
    fake.fail_next(503, times=2)
    for transport in (retrying, signing):
        with httpx.Client(base_url=fake.url, transport=transport) as client:
            assert client.get("/workflow/runs").status_code == 200
            if others:
                assert client.get(OTHER).status_code == 200
    assert retrying.sent == 3 + others
    assert [call.headers.get("X-Signature") for call in fake.calls] == [None, None, None, "signed"]

    async def ask() -> None:
        mounts = {fake.url: SigningAsync()}
        async with httpx.AsyncClient(base_url=fake.url, mounts=mounts) as client:
            assert (await client.get("/workflow/runs")).status_code == 200

    asyncio.run(ask())
    assert fake.calls[-1].headers["X-Signature"] == "signed"


def test_a_custom_httpx_transport_without_a_socket_is_bypassed(fake: OutputMock) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"asked": str(request.url)})

    with httpx.Client(transport=httpx.MockTransport(answer)) as client:
        assert client.post(f"{fake.url}/workflow/run", json=BODY).json()["output"] == {"pages": 3}
        assert client.get(OTHER).json() == {"asked": OTHER}


class BaseUrlSession(requests.Session):
    def __init__(self, base: str) -> None:
        super().__init__()
        self.base = base

    def request(self, method: Any, url: Any, *args: Any, **kwargs: Any) -> requests.Response:
        return super().request(method, f"{self.base}{url}", *args, **kwargs)


COOKIE = {"Set-Cookie": "lb=a1; Path=/"}


def test_sessions_with_base_urls_keep_cookies_hooks_and_auth(fake: OutputMock) -> None:
    heard = []
    fake.fail_next(429, headers=COOKIE)
    with BaseUrlSession(fake.url) as session:
        session.auth = ("ana", "secret")
        session.hooks["response"].append(lambda answer, **_: heard.append(answer.status_code))
        for _ in range(2):
            session.get("/workflow/runs", timeout=60)
        assert session.cookies.get_dict() == {"lb": "a1"}
    assert heard == [429, 200]
    assert [call.headers.get("Cookie") for call in fake.calls] == [None, "lb=a1"]
    assert {call.headers["Authorization"] for call in fake.calls} == {"Basic YW5hOnNlY3JldA=="}


def test_httpx_clients_keep_cookies_hooks_and_auth(fake: OutputMock) -> None:
    heard: list[Any] = []
    fake.fail_next(429, headers=COOKIE)
    hooks: dict[str, list[Any]] = {
        "request": [lambda request: heard.append(request.method)],
        "response": [lambda answer: heard.append(answer.status_code)],
    }
    with httpx.Client(base_url=fake.url, auth=("ana", "secret"), event_hooks=hooks) as client:
        for _ in range(2):
            client.get("/workflow/runs")
        assert dict(client.cookies) == {"lb": "a1"}
    assert heard == ["GET", 429, "GET", 200]
    assert [call.headers.get("Cookie") for call in fake.calls] == [None, "lb=a1"]
    assert {call.headers["Authorization"] for call in fake.calls} == {"Basic YW5hOnNlY3JldA=="}


def test_proxy_variables_do_not_affect_calls_to_the_fake(
    fake: OutputMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.2:9")
        monkeypatch.setenv(name.upper(), "http://127.0.0.2:9")
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("NO_PROXY", "")
    everybody_reaches(fake)


# Many clients at once


def test_a_pool_of_threads_with_a_client_each_reaches_the_fake(fake: OutputMock) -> None:
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda n: CLIENTS[n % 3](fake.url), range(48)))
    assert found == [{"pages": 3}] * 48
    assert len(fake.runs) == len(fake.calls) == 48


@pytest.mark.asyncio
async def test_asyncio_gathers_more_waiting_clients_than_there_are_threads(fake: OutputMock) -> None:
    """The event loop has about forty threads. The client that ends the waiting needs one, too."""
    async with httpx.AsyncClient(base_url=fake.url, timeout=None) as client:

        async def follow(name: str) -> str:
            await client.post("/workflow/start", json={"workflowName": "approval", "workflowId": name})
            async with client.stream("GET", f"/workflow/{name}/history/stream") as stream:
                return "".join([piece async for piece in stream.aiter_text()])

        async def approve(name: str) -> None:
            await asyncio.to_thread(eventually, lambda: name in fake.runs and somebody_waits(fake, name))
            await client.post(f"/workflow/{name}/signal/approve", json={"payload": {}})

        names = [f"a{number}" for number in range(60)]
        with no_hang():
            both = asyncio.gather(*map(follow, names)), approve_all(approve, names)
            streams, *_ = await asyncio.gather(*both)
    assert all("event: done" in text for text in streams)


async def approve_all(approve: Callable[[str], Any], names: list[str]) -> None:
    for name in names:
        await approve(name)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.mark.anyio
async def test_both_event_loops_of_anyio_call_and_stream(fake: OutputMock) -> None:
    seen: list[str] = []
    async with httpx.AsyncClient(base_url=fake.url) as client, anyio.create_task_group() as group:
        assert (await client.post("/workflow/run", json=BODY)).json()["output"] == {"pages": 3}
        await client.post("/workflow/start", json={"workflowName": "approval", "workflowId": "a"})

        async def approve() -> None:
            await client.post("/workflow/a/signal/approve", json={"payload": {"by": "ana"}})

        async with client.stream("GET", "/workflow/a/history/stream") as stream:
            async for line in stream.aiter_lines():
                if line.startswith("event: "):
                    seen.append(line)
                    # Earlier events arrive before later ones happen.
                    if len(seen) == 2:
                        group.start_soon(approve)
    assert seen[0] == "event: workflow"
    assert seen[-1] == "event: done"
    assert len(seen) > 3


@pytest.mark.anyio
async def test_timeouts_work_on_both_event_loops_of_anyio(fake: OutputMock) -> None:
    async with httpx.AsyncClient(base_url=fake.url) as client:
        await client.post("/workflow/start", json={"workflowName": "approval", "workflowId": "a"})
        with anyio.move_on_after(0.2) as scope:
            async with client.stream("GET", "/workflow/a/history/stream") as stream:
                async for _ in stream.aiter_raw():
                    pass
        assert scope.cancelled_caught
        assert (await client.get("/workflow/a/status")).json()["status"] == "running"
    eventually(lambda: not somebody_waits(fake, "a"))


# Frozen time


@contextmanager
def frozen_by_freezegun(**options: Any) -> Iterator[None]:
    with freezegun.freeze_time("2020-02-02 02:02:02", **options):
        yield


@contextmanager
def frozen_by_time_machine() -> Iterator[None]:
    with time_machine.travel(datetime(2020, 2, 2, 2, 2, 2, tzinfo=timezone.utc), tick=False):
        yield


FROZEN = pytest.mark.parametrize("frozen", [frozen_by_freezegun, frozen_by_time_machine])
Frozen = Callable[[], AbstractContextManager[None]]


@FROZEN
def test_the_fake_keeps_its_own_time_when_time_is_frozen(fake: OutputMock, frozen: Frozen) -> None:
    with frozen():
        everybody_reaches(fake)
        fake.clock.advance("1h")
        assert datetime.now(tz=timezone.utc).year == 2020
        assert time.time() == datetime(2020, 2, 2, 2, 2, 2, tzinfo=timezone.utc).timestamp()
        assert fake.clock.now() == datetime(2026, 1, 1, 1, tzinfo=timezone.utc)
        (last,) = [run.history[-1] for run in list(fake.runs.values())[-1:]]
    assert last["eventTime"].startswith("2026-01-01T00:00:00")


@FROZEN
def test_a_stalled_client_gets_an_error_in_frozen_time(fake: OutputMock, frozen: Frozen) -> None:
    fake.world.patience = 0.3
    fake.expect_unmatched(status=500)

    def wait() -> Any:
        body = {"workflowName": "approval"}
        return requests.post(f"{fake.url}/workflow/run", json=body, timeout=60).json()

    fake.clock.mode = "manual"
    with frozen(), in_another_thread(wait) as found:
        pass
    assert found[0]["error"] == "StalledError"


@FROZEN
def test_a_waiting_client_is_woken_in_frozen_time(fake: OutputMock, frozen: Frozen) -> None:
    with frozen():
        url = f"{fake.url}/workflow/a"
        requests.post(
            f"{fake.url}/workflow/start", json={"workflowName": "approval", "workflowId": "a"}, timeout=60
        )

        def follow() -> bytes:
            with requests.get(f"{url}/history/stream", stream=True, timeout=60) as stream:
                return b"".join(stream.iter_content(None))

        with in_another_thread(follow) as found:
            eventually_on_the_wall(lambda: somebody_waits(fake, "a"))
            requests.post(f"{url}/signal/approve", json={"payload": {"by": "ana"}}, timeout=60)
    assert b"event: done" in found[0]


def eventually_on_the_wall(check: Callable[[], Any]) -> None:
    for _ in range(20_000):
        if check():
            return
        time.sleep(0.005)
    raise AssertionError("it did not happen")


@FROZEN
@pytest.mark.output(clock="real")
def test_a_real_clock_follows_wall_clock_time_when_time_is_frozen(
    output_mock: OutputMock, frozen: Frozen
) -> None:
    output_mock.workflow("report").takes("0.2s").returns({"pages": 3})

    def wait() -> Any:
        answer = requests.post(f"{output_mock.url}/workflow/run", json=BODY, timeout=60)
        return answer.json()["status"]

    with frozen(), in_another_thread(wait) as found:
        pass
    assert found == ["completed"]


@pytest.fixture
def short_limit(fake: OutputMock) -> None:
    fake.world.watchdog.limit = 1500 * MILLISECOND


# A script begins in frozen time, but the watchdog's thread is not frozen. So the measured time could be huge
# or negative.


@pytest.mark.usefixtures("short_limit")
def test_a_script_that_computes_for_a_while_is_not_interrupted_in_frozen_time(fake: OutputMock) -> None:
    @fake.workflow("thinks")
    async def thinks(ctx: Context, input: Any) -> str:
        end = time.clock_gettime(time.CLOCK_MONOTONIC) + 0.7
        while time.clock_gettime(time.CLOCK_MONOTONIC) < end:
            pass
        return "done"

    with freezegun.freeze_time("1970-01-01"):
        answer = requests.post(f"{fake.url}/workflow/run", json={"workflowName": "thinks"}, timeout=30)
    assert answer.json()["output"] == "done"


@pytest.mark.usefixtures("short_limit")
def test_a_script_that_blocks_is_interrupted_in_frozen_time(fake: OutputMock) -> None:
    @fake.workflow("blocks")
    async def blocks(ctx: Context, input: Any) -> None:
        while True:
            threading.Event().wait(0.01)

    fake.expect_unmatched(status=500)
    with freezegun.freeze_time("2030-01-01"):
        answer = requests.post(f"{fake.url}/workflow/run", json={"workflowName": "blocks"}, timeout=60)
    assert answer.json()["error"] == "ScriptError"


@pytest.mark.output(sleep="virtual")
def test_virtual_time_reports_when_time_is_frozen_beneath_it(output_mock: OutputMock) -> None:
    with freezegun.freeze_time("2020-02-02"), pytest.raises(RuntimeError, match=r"start=…"):
        time.sleep(5)


def test_virtual_time_refuses_to_start_when_time_is_frozen() -> None:
    with (
        freezegun.freeze_time("2020-02-02"),
        pytest.raises(RuntimeError, match=r"start=…"),
        OutputMock().virtual_time(),
    ):
        pass


def test_a_delay_in_real_time_passes_in_frozen_time(output_mock: OutputMock) -> None:
    output_mock.faults.add(Fault(delay="50ms", wall=True))
    with freezegun.freeze_time("2020-02-02"):
        assert requests.get(f"{output_mock.url}/health").text == "OK"


@pytest.mark.output(sleep="virtual")
def test_virtual_time_takes_precedence_over_time_machine(output_mock: OutputMock) -> None:
    with time_machine.travel(datetime(2020, 2, 2, tzinfo=timezone.utc), tick=False):
        before = time.monotonic()
        time.sleep(3600)
        assert time.monotonic() - before >= 3600
        assert datetime.now(tz=timezone.utc) == datetime(2026, 1, 1, 1, tzinfo=timezone.utc)
    assert output_mock.clock.now() == datetime(2026, 1, 1, 1, tzinfo=timezone.utc)


# Whole sessions with tools that are pytest plugins


def session_of(
    pytester: pytest.Pytester, plugins: Sequence[str], *options: str, ini: str = "", **files: str
) -> pytest.RunResult:
    """The outcome of pytest for these test files, in a separate process where warnings are errors.

    It loads the plugins in these modules beside the one for the fake and pytest-asyncio.
    """
    pytester.makeini(f"[pytest]\nasyncio_default_fixture_loop_scope = function\n{ini}")
    pytester.makepyfile(**files)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in only_plugins("pytest_asyncio.plugin", *plugins).items():
            patch.setenv(name, value)
        return pytester.runpytest_subprocess("-Werror", *options)


SUITE = """
import os
import pathlib
import uuid

import anyio
import httpx
import pytest
import requests

BODY = {"workflowName": "report"}


@pytest.fixture
def fake(output_mock):
    output_mock.workflow("report").returns("done")
    with pathlib.Path("seeds", f"{os.getpid()}-{uuid.uuid4()}").open("w") as file:
        file.write(str(output_mock.world.seed))
    return output_mock


@pytest.mark.parametrize("number", range(4))
def test_requests(fake, number):
    url = os.environ["OUTPUT_API_URL"]
    assert requests.post(f"{url}/workflow/run", json=BODY, timeout=60).json()["output"] == "done"
    assert len(fake.calls) == len(fake.runs) == 1


async def test_pytest_asyncio(fake):
    async with httpx.AsyncClient(base_url=fake.url) as client:
        assert (await client.post("/workflow/run", json=BODY)).json()["output"] == "done"


@pytest.fixture
async def client(fake):
    async with httpx.AsyncClient(base_url=fake.url) as client:
        yield client


async def test_a_client_of_a_fixture(client, fake):
    assert (await client.post("/workflow/run", json=BODY)).json()["output"] == "done"
    assert len(fake.calls) == 1


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_anyio(anyio_backend, fake):
    async with httpx.AsyncClient(base_url=fake.url) as client:
        assert (await client.post("/workflow/run", json=BODY)).json()["output"] == "done"


def test_server(output_server):
    output_server.workflow("report").returns("served")
    answer = requests.post(f"{output_server.url}/workflow/run", json=BODY, timeout=60)
    assert answer.json()["output"] == "served"
    assert len(output_server.calls) == 1
"""


def test_fakes_work_in_xdist_workers_in_random_order(pytester: pytest.Pytester) -> None:
    pytester.mkdir("seeds")
    ini = "asyncio_mode = auto\noutput_seed = random"
    plugins = ["anyio.pytest_plugin", "pytest_randomly"]
    # pytest-randomly looks for xdist by this name.
    options = ["-p", "xdist", "-n2"]
    outcome = session_of(pytester, plugins, *options, ini=ini, test_one=SUITE, test_two=SUITE)
    outcome.assert_outcomes(passed=18)
    outcome.stdout.fnmatch_lines(
        ["output-mock: seed * (repeat with --output-seed=*)", "Using --randomly-seed=*"]
    )
    written = list((pytester.path / "seeds").iterdir())
    assert len({path.name.partition("-")[0] for path in written}) == 2, "there were two workers"
    assert len({path.read_text() for path in written}) == 1, "and one seed for both"


WITHOUT_SOCKETS = """
import asyncio

import httpx
import pytest
import requests
from pytest_socket import SocketBlockedError

BODY = {"workflowName": "report"}


@pytest.fixture
def fake(output_mock):
    output_mock.workflow("report").returns("done")
    return output_mock


def test_in_process(fake):
    assert requests.post(f"{fake.url}/workflow/run", json=BODY, timeout=60).json()["output"] == "done"
    assert httpx.post(f"{fake.url}/workflow/run", json=BODY).json()["output"] == "done"


def test_other_hosts(fake):
    with pytest.raises(SocketBlockedError), pytest.warns(UserWarning, match="tried to use socket"):
        requests.get("http://other.example/", timeout=60)


# An event loop wakes itself through a socket pair.
@pytest.mark.asyncio
async def test_async(fake):
    async with httpx.AsyncClient(base_url=fake.url) as client:
        assert (await client.post("/workflow/run", json=BODY)).json()["output"] == "done"


@pytest.mark.enable_socket
def test_server(output_server):
    assert requests.get(f"{output_server.url}/health", timeout=60).status_code == 200


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_allowed_server(output_server):
    assert requests.get(f"{output_server.url}/health", timeout=60).status_code == 200


def test_in_process_again(fake):
    assert requests.post(f"{fake.url}/workflow/run", json=BODY, timeout=60).json()["output"] == "done"
"""


def test_pytest_socket_does_not_block_the_fake_in_process(pytester: pytest.Pytester) -> None:
    options = ("--disable-socket", "--allow-unix-socket")
    outcome = session_of(pytester, ["pytest_socket"], *options, test_sockets=WITHOUT_SOCKETS)
    outcome.assert_outcomes(passed=6)


IN_FROZEN_TIME = """
import time
from datetime import datetime

import freezegun
import pytest
import requests


@pytest.fixture(autouse=True)
def frozen(request):
    if "output_mock" in request.fixturenames and request.node.get_closest_marker("frozen"):
        with freezegun.freeze_time("2020-02-02"):
            yield
    else:
        yield


@pytest.mark.frozen
def test_the_first_fake_is_made_in_frozen_time(output_mock):
    output_mock.workflow("report").takes("1m").returns("done")
    url = f"{output_mock.url}/workflow/run"
    assert requests.post(url, json={"workflowName": "report"}, timeout=60).json()["output"] == "done"
    assert datetime.now().year == 2020


@pytest.mark.frozen
@pytest.mark.output(clock="real")
def test_a_real_clock_goes(output_mock):
    before = output_mock.clock.now()
    time.sleep(0.01)
    assert output_mock.clock.now() > before
    assert output_mock.clock.now().year > 2020


@pytest.mark.frozen
def test_virtual_time_is_imported_in_frozen_time(output_mock):
    with pytest.raises(RuntimeError, match="freezegun"), output_mock.virtual_time():
        pass


@pytest.mark.output(sleep="virtual")
def test_virtual_time_then_knows_the_real_one(output_mock):
    before = time.monotonic()
    time.sleep(3600)
    assert time.monotonic() - before == pytest.approx(3600)
    assert datetime.now().year == output_mock.clock.now().year


def test_afterwards_time_goes_on():
    before = time.monotonic()
    time.sleep(0.01)
    assert time.monotonic() > before
    assert datetime.__module__ == "datetime"
    assert datetime.now().year > 2020


@pytest.mark.frozen
@pytest.mark.output(sleep="virtual")
def test_both_at_once_is_an_error_that_says_what_to_do(output_mock):
    pass
"""


def test_the_first_fake_of_a_session_can_be_created_in_frozen_time(pytester: pytest.Pytester) -> None:
    ini = "markers =\n    frozen: in frozen time"
    outcome = session_of(pytester, [], ini=ini, test_frozen=IN_FROZEN_TIME)
    outcome.assert_outcomes(passed=5, errors=1)
    outcome.stdout.fnmatch_lines(["*@pytest.mark.output of*another tool*has frozen time*start=…*"])
