"""A client program sees the same from a fake in process and from one on a socket."""

from __future__ import annotations

import asyncio
import gzip
import importlib
import re
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import httpx
import pytest
import requests
import urllib3
from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3.util.retry import Retry

from output_mock import Context, Fault, OutputMock
from tests.cli.forked import error_of

RUN = {"workflowName": "echo", "input": {"n": 3}}
JSON = {"Content-Type": "application/json"}
PACKAGES = ["httpx", "httpx2"]


def fake() -> OutputMock:
    """A fake that answers the same each time, with a run `w` that has ended."""
    mock = OutputMock(seed=3)
    mock.workflow("echo").returns(lambda input: input)
    mock.begin_with("echo", 7, workflow_id="w")
    return mock


def waiting_fake(clock: Any) -> OutputMock:
    """A fake with a run `b` that waits for a signal."""
    mock = OutputMock(clock, seed=3)

    @mock.workflow("waits")
    async def waits(ctx: Context, given: Any) -> Any:
        return await ctx.wait_for_signal("go")

    mock.begin_with("waits", workflow_id="b")
    return mock


def both_ways(program: Callable[[OutputMock, str], Any]) -> tuple[Any, Any]:
    """What a program sees in process and on a socket, each with the calls that the fake recorded."""
    seen = []
    for way in ("in_process", "serve"):
        mock = fake()
        with getattr(mock, way)() as url:
            found = program(mock, url)
        calls = [
            (call.method, call.path, call.query, call.json, call.status, dict(call.headers), call.lost)
            for call in mock.calls
        ]
        mock.close()
        seen.append((_without_urls(found, url), _without_urls(calls, url)))
    return seen[0], seen[1]


# The connection of a stream: on a socket it ends with the stream.
_LEFT_OUT = {"connection", "keep-alive"}


def _without_urls(value: Any, url: str) -> Any:
    if isinstance(value, str):
        value = re.sub(r" at 0x[0-9a-f]+", "", value)
        for text in (url, url.removeprefix("http://")):
            value = value.replace(text, "URL")
        host, _, port = url.removeprefix("http://").partition(":")
        return value.replace(f"host='{host}', port={port}", "HOST")
    if isinstance(value, dict):
        pairs = ((str(key).lower(), item) for key, item in value.items())
        return {key: _without_urls(item, url) for key, item in pairs if key not in _LEFT_OUT}
    if isinstance(value, (list, tuple)):
        return [_without_urls(item, url) for item in value]
    return value


def error(work: Callable[[], Any]) -> Any:
    """The exception that is raised, and its causes."""
    try:
        return "nothing raised", work()
    except Exception as raised:
        return type(raised).__name__, str(raised)


# Requests, independent of the package: they are sent with a method, a path and options.

Options = dict[str, Any]
REQUESTS: dict[str, tuple[str, str, Options]] = {
    "json": ("POST", "/workflow/run", {"json": RUN}),
    "query": ("GET", "/workflow/runs?limit=1", {"params": {"catalog": "main"}}),
    "escapes": ("GET", "/workflow/a%2Fb%20c/status", {}),
    "unknown workflow": ("POST", "/workflow/run", {"json": {"workflowName": "none"}}),
    "invalid": ("POST", "/workflow/run", {"json": {}}),
    "no such route": ("GET", "/nowhere", {}),
    "head": ("HEAD", "/workflow/w/status", {}),
    "head of a stream": ("HEAD", "/workflow/w/history/stream", {}),
    "options": ("OPTIONS", "/workflow/run", {}),
    "204": ("POST", "/heartbeat", {}),
    "304": ("GET", "/workflow/w/input", {"headers": {"If-None-Match": "*"}}),
    "form": ("POST", "/workflow/run", {"data": {"workflowName": "echo", "input[a]": "1"}}),
    "multipart": ("POST", "/workflow/run", {"files": {"a": ("a.txt", b"x")}, "headers": {
        "Content-Type": "multipart/form-data; boundary=b"}}),
    "gzip": ("POST", "/workflow/run", {"content": gzip.compress(b'{"workflowName": "echo"}', mtime=0),
        "headers": {**JSON, "Content-Encoding": "gzip"}}),
    "no JSON": ("POST", "/workflow/run", {"content": b"{", "headers": JSON}),
    "no header": ("POST", "/workflow/run", {"content": b'{"workflowName": "echo"}',
        "headers": {"content_type": "application/json", "x_request_id": "mine"}}),
    "basic auth": ("GET", "/health", {"auth": ("ana", "secret")}),
    "cookies sent": ("GET", "/health", {"cookies": {"a": "1", "b": "2"}}),
    "stream": ("GET", "/workflow/w/history/stream", {}),
}  # fmt: skip
CHECKED = pytest.mark.parametrize("case", REQUESTS)


@CHECKED
def test_requests_gets_the_same_responses(case: str) -> None:
    method, path, options = REQUESTS[case]
    options = {"data" if name == "content" else name: value for name, value in options.items()}

    def program(mock: OutputMock, url: str) -> Any:
        with requests.Session() as session:
            answer = session.request(method, url + path, timeout=30, **options)
            return (
                answer.status_code,
                answer.reason,
                dict(answer.headers),
                answer.content,
                answer.encoding,
                answer.raw.version,
                answer.raw.status,
                answer.raw.reason,
                answer.raw.retries.history,
                answer.elapsed.total_seconds() >= 0,
                error(answer.raise_for_status),
            )

    in_process, served = both_ways(program)
    assert in_process == served


def seen_by_httpx(answer: Any) -> Any:
    return (
        answer.status_code,
        answer.reason_phrase,
        answer.http_version,
        dict(answer.headers),
        answer.content,
        answer.encoding,
        str(answer.url),
        answer.is_closed,
        answer.is_stream_consumed,
        answer.num_bytes_downloaded,
        answer.elapsed.total_seconds() >= 0,
        error(lambda: answer.raise_for_status() and None),
    )


@CHECKED
@pytest.mark.parametrize("name", PACKAGES)
def test_httpx_gets_the_same_responses(name: str, case: str) -> None:
    package = pytest.importorskip(name)
    method, path, options = REQUESTS[case]
    cookies = options.get("cookies")
    options = {key: value for key, value in options.items() if key != "cookies"}
    heard: list[Any] = []
    hooks = {
        "request": [lambda request: heard.append(request.method)],
        "response": [lambda answer: heard.append(answer.status_code)],
    }

    def program(mock: OutputMock, url: str) -> Any:
        with package.Client(base_url=url, event_hooks=hooks, cookies=cookies) as client:
            return seen_by_httpx(client.request(method, path, **options)), heard.copy(), heard.clear()

    in_process, served = both_ways(program)
    assert in_process == served

    def asynchronous(mock: OutputMock, url: str) -> Any:
        async def ask() -> Any:
            async with package.AsyncClient(base_url=url, cookies=cookies) as client:
                return seen_by_httpx(await client.request(method, path, **options))

        return asyncio.run(ask())

    in_process, served = both_ways(asynchronous)
    assert in_process == served


# The names of headers, as they are written


AS_WRITTEN = {
    "an answer": ("GET", "/workflow/w/status", {}),
    "an error": ("GET", "/workflow/none/status", {}),
    "no body": ("POST", "/heartbeat", {}),
    "HEAD": ("HEAD", "/workflow/w/status", {}),
    "OPTIONS": ("OPTIONS", "/workflow/run", {}),
    "a connection that ends": ("GET", "/health", {"Connection": "close"}),
}


@pytest.mark.parametrize("case", AS_WRITTEN)
def test_the_head_of_an_answer_is_written_the_same_way(case: str) -> None:
    method, path, headers = AS_WRITTEN[case]

    def program(mock: OutputMock, url: str) -> Any:
        answer = httpx.request(method, url + path, headers=headers)
        return [(name.decode(), value.decode()) for name, value in answer.headers.raw]

    in_process, served = both_ways(program)
    assert in_process == served


def test_headers_have_the_names_and_the_order_that_node_and_express_give_them() -> None:
    # Measured with Express 5.2 on Node 20; without the length and the connection, see stream_completed.
    mock = fake()
    with mock.serve() as url:
        answer = httpx.get(f"{url}/workflow/w/status")
    mock.close()
    assert [name.decode() for name, _ in answer.headers.raw] == [
        "X-Powered-By",
        "X-Request-ID",
        "Access-Control-Allow-Origin",
        "Access-Control-Allow-Methods",
        "Access-Control-Allow-Headers",
        "Content-Type",
        "Content-Length",
        "ETag",
        "Date",
        "Connection",
        "Keep-Alive",
    ]


# What a client refuses to send, and bodies that can be sent only once

REFUSED: dict[str, Options] = {
    "a token that is empty": {"headers": {"Authorization": "Bearer "}},
    "a token that ends in a line break": {"headers": {"Authorization": "Bearer secret\n"}},
    "a blank in a name": {"headers": {"X Y": "1"}},
    "two hosts": {"headers": [("Host", "a"), ("Host", "b")]},
    "a longer body than announced": {"content": b"{} ", "headers": {**JSON, "Content-Length": "2"}},
    "a shorter body than announced": {"content": b"{}", "headers": {**JSON, "Content-Length": "3"}},
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("name", PACKAGES)
def test_httpx_refuses_to_send_the_same_requests(name: str, case: str) -> None:
    package = pytest.importorskip(name)
    options = REFUSED[case]

    def program(mock: OutputMock, url: str) -> Any:
        async def ask() -> Any:
            async with package.AsyncClient(base_url=url) as client:
                return await client.post("/workflow/run", **options)

        return (
            error(lambda: package.post(f"{url}/workflow/run", **options)),
            error(lambda: asyncio.run(ask())),
        )

    in_process, served = both_ways(program)
    assert in_process == served
    assert "LocalProtocolError" in in_process[0][0]


WHOLE = [b'{"workflowName":', b' "echo"}']
ITERATORS: dict[str, Callable[[], Iterator[bytes]]] = {
    "an iterator": lambda: iter(WHOLE),
    "a generator": lambda: (piece for piece in WHOLE),
    "no pieces": lambda: iter([]),
}


@pytest.mark.parametrize("kind", ITERATORS)
@pytest.mark.parametrize("name", PACKAGES)
def test_httpx_cannot_send_an_iterator_twice(name: str, kind: str) -> None:
    package = pytest.importorskip(name)
    body = ITERATORS[kind]

    async def later() -> AsyncIterator[bytes]:
        for piece in body():
            yield piece

    def program(mock: OutputMock, url: str) -> Any:
        def twice() -> Any:
            with package.Client() as client:
                request = client.build_request("POST", f"{url}/workflow/run", content=body(), headers=JSON)
                unread = error(lambda: request.content)
                first = seen_by_httpx(client.send(request))
                return (
                    unread,
                    first,
                    error(lambda: request.content),
                    error(lambda: seen_by_httpx(client.send(request))),
                )

        async def redirected() -> Any:
            mock.fail_next(307, headers={"Location": "/workflow/run"})
            async with package.AsyncClient(base_url=url, follow_redirects=True) as client:
                return seen_by_httpx(await client.post("/workflow/run", content=later(), headers=JSON))

        return error(twice), error(lambda: asyncio.run(redirected()))

    in_process, served = both_ways(program)
    assert in_process == served


@pytest.mark.parametrize("name", PACKAGES)
def test_httpx_reads_a_large_body_in_pieces(name: str) -> None:
    package = pytest.importorskip(name)
    mock = OutputMock()
    mock.workflow("echo").returns(1)
    mock.begin_with("echo", "x" * 300_000, workflow_id="large")

    async def lengths(url: str) -> list[int]:
        async with (
            package.AsyncClient(base_url=url) as client,
            client.stream("GET", "/workflow/large/input") as answer,
        ):
            return [len(piece) async for piece in answer.aiter_raw()]

    with mock.in_process() as url:
        with package.stream("GET", f"{url}/workflow/large/input") as answer:
            found = [len(piece) for piece in answer.iter_raw()]
        assert asyncio.run(lengths(url)) == found
        with package.stream("HEAD", f"{url}/health") as answer:
            assert list(answer.stream) == []
    mock.close()
    # As much as httpx reads from a socket at once.
    assert found[0] == 65536
    assert sum(found) > 300_000


# Bodies in pieces, redirects, cookies


def test_requests_sends_bodies_of_every_kind_the_same_way() -> None:
    whole = b'{"workflowName": "echo"}'

    def program(mock: OutputMock, url: str) -> Any:
        found = []
        for body in (iter([whole[:5], b"", whole[5:]]), whole.decode(), memoryview(whole).tobytes()):
            answer = requests.post(f"{url}/workflow/run", data=body, headers=JSON, timeout=30)
            found.append((answer.status_code, answer.json()["output"]))
        return found

    in_process, served = both_ways(program)
    assert in_process == served


@pytest.mark.parametrize("name", PACKAGES)
def test_httpx_sends_streamed_bodies_the_same_way(name: str) -> None:
    package = pytest.importorskip(name)
    pieces = [b'{"workflowName"', b': "echo"}']

    async def later() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    def program(mock: OutputMock, url: str) -> Any:
        async def ask() -> Any:
            async with package.AsyncClient(base_url=url) as client:
                return seen_by_httpx(await client.post("/workflow/run", content=later(), headers=JSON))

        answer = package.post(f"{url}/workflow/run", content=iter(pieces), headers=JSON)
        return seen_by_httpx(answer), asyncio.run(ask())

    in_process, served = both_ways(program)
    assert in_process == served


def test_requests_sends_an_iterator_without_pieces_the_same_way() -> None:
    def program(mock: OutputMock, url: str) -> Any:
        return requests.post(f"{url}/workflow/run", data=iter([]), headers=JSON, timeout=30).json()

    in_process, served = both_ways(program)
    assert in_process == served


def test_a_body_that_is_announced_in_chunks_but_sent_as_a_whole_is_refused() -> None:
    # Measured with Node 20, which refuses a length beside chunks.
    headers = {**JSON, "Transfer-Encoding": "chunked"}

    def program(mock: OutputMock, url: str) -> Any:
        answer = requests.post(
            f"{url}/workflow/run", data=b'{"workflowName": "echo"}', headers=headers, timeout=30, stream=True
        )
        with answer:
            return answer.status_code, answer.reason, dict(answer.headers)

    in_process, served = both_ways(program)
    assert in_process == served
    assert in_process == ([400, "Bad Request", {}], [])


def test_a_header_that_node_cannot_read_is_refused_the_same_way() -> None:
    bad = [{"X-A": "a\x7f"}, {"X-A": "a\0b"}, {"X A": "a"}]

    def program(mock: OutputMock, url: str) -> Any:
        answers = [requests.get(f"{url}/health", headers=headers, timeout=30) for headers in bad]
        answers += [importlib.import_module(name).get(f"{url}/health", headers=bad[0]) for name in PACKAGES]
        return [(answer.status_code, dict(answer.headers), answer.content) for answer in answers]

    in_process, served = both_ways(program)
    assert in_process == served
    assert {status for status, _, _ in in_process[0]} == {400}
    assert in_process[1] == []


MOVED = {"Location": "/workflow/w/status", "Set-Cookie": "lb=a1; Path=/"}


def test_requests_follows_redirects_the_same_way() -> None:
    def program(mock: OutputMock, url: str) -> Any:
        mock.fail_next(302, times=2, headers=MOVED)
        with requests.Session() as session:
            answer = session.post(f"{url}/workflow/run", json=RUN, timeout=30)
            mock.fail_next(307, times=40, headers=MOVED)
            return (
                answer.status_code,
                answer.url,
                [(one.status_code, one.reason) for one in answer.history],
                session.cookies.get_dict(),
                error(lambda: session.get(f"{url}/workflow/runs", timeout=30)),
            )

    in_process, served = both_ways(program)
    assert in_process == served


@pytest.mark.parametrize("place", ["/a b", "http://[", "/%zz", 'a"b', "http://host:99999/"])
def test_the_location_of_a_redirect_is_sent_as_it_was_written(place: str) -> None:
    def program(mock: OutputMock, url: str) -> Any:
        mock.fail_next(302, headers={"Location": place, "Content-Location": place})
        answer = httpx.get(f"{url}/health")
        return answer.status_code, answer.headers["Location"], answer.headers["Content-Location"]

    in_process, served = both_ways(program)
    assert in_process == served
    assert in_process[0] == [302, place, place]


@pytest.mark.parametrize("name", PACKAGES)
def test_httpx_follows_redirects_the_same_way(name: str) -> None:
    package = pytest.importorskip(name)

    def program(mock: OutputMock, url: str) -> Any:
        mock.fail_next(302, times=2, headers=MOVED)
        with package.Client(base_url=url, follow_redirects=True) as client:
            answer = client.post("/workflow/run", json=RUN)
            history = [(one.status_code, one.reason_phrase) for one in answer.history]
            return seen_by_httpx(answer), history, dict(client.cookies)

    in_process, served = both_ways(program)
    assert in_process == served


# Adapters


class Signing(HTTPAdapter):
    """Calls the class above by its name, as many adapters do."""

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        request.headers["X-Signed"] = "yes"
        return HTTPAdapter.send(self, request, *args, **options)


def test_an_adapter_that_calls_the_class_above_by_name_reaches_the_fake() -> None:
    def program(mock: OutputMock, url: str) -> Any:
        with requests.Session() as session:
            options: Options = {"status_forcelist": [503], "allowed_methods": None}
            retries = Retry(1, respect_retry_after_header=False, **options)
            session.mount(url, Signing(max_retries=retries))
            mock.fail_next(503, times=3)
            refused = error(lambda: session.post(f"{url}/workflow/run", json=RUN, timeout=30))
            answer = session.post(f"{url}/workflow/run", json=RUN, timeout=30)
            return refused, answer.status_code, answer.reason, dict(answer.headers), answer.content

    in_process, served = both_ways(program)
    assert in_process == served


class Wrapping(HTTPAdapter):
    """Sends with another adapter."""

    def __init__(self, inner: BaseAdapter) -> None:
        super().__init__()
        self.inner = inner

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        request.headers["X-Wrapped"] = "yes"
        return self.inner.send(request, *args, **options)


class Choosing(BaseAdapter):
    """Has no connections of its own."""

    def __init__(self, *inner: BaseAdapter) -> None:
        super().__init__()
        self.inner = {"all": list(inner)}

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        request.headers["X-Chosen"] = "yes"
        return self.inner["all"][-1].send(request, *args, **options)

    def close(self) -> None:
        for adapter in self.inner["all"]:
            adapter.close()


WRAPPED: dict[str, Callable[[], BaseAdapter]] = {
    "one in another": lambda: Wrapping(HTTPAdapter()),
    "one that signs": lambda: Wrapping(Signing()),
    "three": lambda: Wrapping(Wrapping(Signing())),
    "no HTTPAdapter": lambda: Choosing(HTTPAdapter(), Signing()),
}


@pytest.mark.parametrize("case", WRAPPED)
def test_adapters_that_send_with_another_adapter_are_used(case: str) -> None:
    outer = WRAPPED[case]()

    def program(mock: OutputMock, url: str) -> Any:
        with OutputMock(seed=3).serve() as other, requests.Session() as session:
            session.mount("http://", outer)
            answer = session.get(f"{url}/workflow/w/status", timeout=30)
            elsewhere = session.get(f"{other}/health", timeout=30)
            assert session.adapters["http://"] is outer
            return answer.status_code, dict(answer.headers), answer.content, elsewhere.content

    in_process, served = both_ways(program)
    assert in_process == served


def test_adapters_are_left_as_they_were_when_no_fake_is_open() -> None:
    outer = Wrapping(Signing())
    mock = fake()
    with mock.in_process() as url, requests.Session() as session:
        session.mount("http://", outer)
        session.get(f"{url}/health", timeout=30)
    mock.close()
    assert type(outer.inner) is Signing


def test_its_retries_pause_on_the_clock_of_the_fake() -> None:
    mock = fake()
    mock.fail_next(429, headers={"Retry-After": "3600"})
    begun = mock.clock.now()
    with mock.in_process() as url, requests.Session() as session:
        session.mount(url, Signing(max_retries=Retry(1, status_forcelist=[429], allowed_methods=None)))
        assert session.get(f"{url}/workflow/w/status", timeout=30).status_code == 200
    assert (mock.clock.now() - begun).total_seconds() >= 3600
    mock.close()


# Retries


@pytest.mark.parametrize("total", [2, 3])
def test_the_history_of_retries_is_the_same(total: int) -> None:
    def program(mock: OutputMock, url: str) -> Any:
        mock.fail_next(503, times=2)
        mock.drop_next(1)
        with requests.Session() as session:
            options: Options = {"status_forcelist": [503], "allowed_methods": None}
            retries = Retry(total, respect_retry_after_header=False, **options)
            session.mount("http://", HTTPAdapter(max_retries=retries))
            try:
                answer = session.post(f"{url}/workflow/run", json=RUN, timeout=30)
            except requests.ConnectionError as raised:
                return str(raised)
            history = answer.raw.retries.history
            return answer.status_code, [(one.method, one.url, one.status, str(one.error)) for one in history]

    in_process, served = both_ways(program)
    assert in_process == served


# Timeouts

WRONG = ["5", 0, -1, (1, 2, 3), (1,), ("1", 2), [1, 2], True, (0, 1), {}]


@pytest.mark.parametrize("timeout", WRONG, ids=repr)
def test_an_invalid_timeout_is_refused_with_the_same_message(timeout: Any) -> None:
    def program(mock: OutputMock, url: str) -> Any:
        return error(lambda: requests.get(f"{url}/health", timeout=timeout).status_code)

    (in_process, _), (served, _) = both_ways(program)
    assert in_process == served
    assert in_process[0] != "nothing raised"


@pytest.mark.parametrize("timeout", [0, 0.0, (0, 5, 5, 5)], ids=repr)
@pytest.mark.parametrize("name", PACKAGES)
def test_httpx_cannot_connect_within_no_time(name: str, timeout: Any) -> None:
    package = pytest.importorskip(name)

    def program(mock: OutputMock, url: str) -> Any:
        async def ask() -> Any:
            async with package.AsyncClient() as client:
                return await client.get(f"{url}/health", timeout=timeout)

        return error(lambda: package.get(f"{url}/health", timeout=timeout)), error(lambda: asyncio.run(ask()))

    in_process, served = both_ways(program)
    assert in_process == served
    assert "nothing raised" not in str(in_process)


TIMEOUTS = [5, 0.5, (None, 5), urllib3.Timeout(read=5), urllib3.Timeout(total=5), urllib3.Timeout(connect=9)]


@pytest.mark.parametrize("timeout", TIMEOUTS, ids=repr)
def test_a_late_response_is_waited_for_until_the_timeout(timeout: Any) -> None:
    mock = fake()
    mock.delay_next("6s")
    patient = timeout is TIMEOUTS[-1]
    with mock.in_process() as url:
        before = mock.clock.now()
        found = error(lambda: requests.get(f"{url}/health", timeout=timeout).status_code)
        passed = (mock.clock.now() - before).total_seconds()
    mock.close()
    if patient:
        assert found == ("nothing raised", 200)
        assert passed == 6
    else:
        assert found[0] == "ReadTimeout"
        assert passed == pytest.approx(0.5 if timeout == 0.5 else 5, abs=0.1)


# Broken connections


BROKEN: dict[str, Options] = {
    "dropped": {"drop": "request"},
    "reset": {"drop": "request", "reset": True},
    "half a body": {"drop": "body"},
    "half a body and a reset": {"drop": "body", "reset": True},
    "no JSON": {"malformed": True},
}


@pytest.mark.parametrize("case", BROKEN)
def test_requests_raises_the_same_error_for_a_broken_connection(case: str) -> None:
    def program(mock: OutputMock, url: str) -> Any:
        mock.faults.add(Fault(times=1, **BROKEN[case]))
        return error(lambda: requests.post(f"{url}/workflow/run", json=RUN, timeout=30).json())

    in_process, served = both_ways(program)
    assert in_process == served


@pytest.mark.parametrize("case", BROKEN)
@pytest.mark.parametrize("name", PACKAGES)
def test_httpx_raises_the_same_error_for_a_broken_connection(name: str, case: str) -> None:
    package = pytest.importorskip(name)

    def program(mock: OutputMock, url: str) -> Any:
        mock.faults.add(Fault(times=2, **BROKEN[case]))

        async def ask() -> Any:
            async with package.AsyncClient(base_url=url) as client:
                try:
                    return (await client.post("/workflow/run", json=RUN)).json()
                except Exception as raised:
                    return type(raised).__name__

        found = error(lambda: package.post(f"{url}/workflow/run", json=RUN).json())
        return found, asyncio.run(ask())

    in_process, served = both_ways(program)
    assert in_process == served


@pytest.mark.parametrize("name", ["requests", *PACKAGES])
def test_a_cut_stream_behaves_the_same(name: str) -> None:
    package = pytest.importorskip(name)

    def program(mock: OutputMock, url: str) -> Any:
        mock.cut_next_stream(3)
        received: list[bytes] = []
        address = f"{url}/workflow/w/history/stream"

        def read() -> None:
            if package is requests:
                with requests.get(address, stream=True, timeout=30) as answer:
                    received.extend(answer.iter_content(None))
            else:
                with package.stream("GET", address) as answer:
                    received.extend(answer.iter_raw())

        return error(read), b"".join(received)

    in_process, served = both_ways(program)
    assert in_process == served


@pytest.mark.skipif(not hasattr(urllib3.HTTPResponse, "shutdown"), reason="install urllib3>=2.3")
@pytest.mark.parametrize("clock", ["auto", "real"])
def test_another_thread_can_shut_down_a_stream_that_requests_reads(clock: Any) -> None:
    seen = []
    for way in ("in_process", "serve"):
        mock = waiting_fake(clock)
        with (
            getattr(mock, way)() as url,
            ThreadPoolExecutor(1) as other,
            requests.get(f"{url}/workflow/b/history/stream", stream=True, timeout=30) as answer,
        ):
            pieces = answer.iter_content(None)
            next(pieces)
            reading = other.submit(error, lambda pieces=pieces: list(pieces))
            answer.raw.shutdown()
            seen.append(reading.result(timeout=60))
        mock.close()
    in_process, served = seen
    assert in_process == served


# Pools


@pytest.mark.parametrize("name", PACKAGES)
def test_an_exhausted_connection_pool_raises_until_a_connection_is_free(name: str) -> None:
    package = pytest.importorskip(name)
    limits = package.Limits(max_connections=1)
    timeout = package.Timeout(30, pool=0.05)
    stream = "/workflow/w/history/stream"

    def program(mock: OutputMock, url: str) -> Any:
        with package.Client(base_url=url, limits=limits, timeout=timeout) as client:
            with client.stream("GET", "/workflow/w/status"):
                busy = error(lambda: client.get("/health").status_code)
            free = client.get("/health").status_code

        async def ask() -> Any:
            async with package.AsyncClient(base_url=url, limits=limits, timeout=timeout) as client:
                async with client.stream("GET", stream):
                    try:
                        await client.get("/health")
                    except package.PoolTimeout as raised:
                        busy = type(raised).__name__, str(raised)
                return busy, (await client.get("/health")).status_code

        return busy, free, asyncio.run(ask())

    in_process, served = both_ways(program)
    assert in_process == served
    assert in_process[0][0][0] == "PoolTimeout"


@pytest.mark.parametrize("name", PACKAGES)
def test_a_client_waits_until_a_pooled_connection_is_free(name: str) -> None:
    package = pytest.importorskip(name)

    def program(mock: OutputMock, url: str) -> Any:
        async def ask() -> Any:
            limits = package.Limits(max_connections=2)
            async with package.AsyncClient(base_url=url, limits=limits, timeout=30) as client:
                answers = await asyncio.gather(*(client.get("/health") for _ in range(9)))
                return [answer.status_code for answer in answers]

        return asyncio.run(ask())

    in_process, served = both_ways(program)
    assert in_process == served


# Transports


@pytest.mark.parametrize("name", PACKAGES)
def test_transports_of_a_client_are_used_and_those_without_a_socket_are_left_alone(name: str) -> None:
    package = pytest.importorskip(name)

    class Signing(package.HTTPTransport):  # type: ignore[name-defined, misc]
        def handle_request(self, request: Any) -> Any:
            request.headers["X-Signed"] = "yes"
            return super().handle_request(request)

    class Wrapping(package.BaseTransport):  # type: ignore[name-defined, misc]
        def __init__(self, inner: Any) -> None:
            self.inner = inner

        def handle_request(self, request: Any) -> Any:
            request.headers["X-Wrapped"] = "yes"
            return self.inner.handle_request(request)

        def close(self) -> None:
            self.inner.close()

    def application(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        yield b"the application's own"

    def program(mock: OutputMock, url: str) -> Any:
        found = []
        for transport in (Signing(), Wrapping(package.HTTPTransport()), Wrapping(Signing())):
            with package.Client(mounts={url: transport}) as client:
                found.append(seen_by_httpx(client.get(f"{url}/health")))
        with package.Client(mounts={"all://app.example": package.WSGITransport(application)}) as client:
            found.append(client.get("http://app.example/").text)
            found.append(client.get(f"{url}/health").text)
        return found

    in_process, served = both_ways(program)
    assert in_process == served


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("kind", ["slots", "client"])
@pytest.mark.parametrize("name", PACKAGES)
def test_a_transport_that_sends_with_another_is_used_wherever_it_keeps_it(
    name: str, kind: str, asynchronous: bool
) -> None:
    package: Any = pytest.importorskip(name)
    plain = package.AsyncHTTPTransport if asynchronous else package.HTTPTransport
    client_class = package.AsyncClient if asynchronous else package.Client

    class Slotted(package.BaseTransport, package.AsyncBaseTransport):  # type: ignore[misc]
        __slots__ = ("inner",)

        def __init__(self) -> None:
            self.inner = plain()

        def send(self, request: Any) -> Any:
            request.headers["X-Wrapped"] = "yes"
            handle = "handle_async_request" if asynchronous else "handle_request"
            return getattr(self.inner, handle)(request)

        def handle_request(self, request: Any) -> Any:
            return self.send(request)

        async def handle_async_request(self, request: Any) -> Any:
            return await self.send(request)

        def close(self) -> None:
            self.inner.close()

        async def aclose(self) -> None:
            await self.inner.aclose()

    class WithClient(Slotted):
        def __init__(self) -> None:
            self.inner = client_class()

        def send(self, request: Any) -> Any:
            request.headers["X-Wrapped"] = "yes"
            return self.inner.send(request, stream=True)

    transport = {"slots": Slotted, "client": WithClient}[kind]

    def program(mock: OutputMock, url: str) -> Any:
        async def ask() -> Any:
            async with client_class(base_url=url, transport=transport()) as client:
                return seen_by_httpx(await client.get("/health"))

        if asynchronous:
            return asyncio.run(ask())
        with client_class(base_url=url, transport=transport()) as client:
            return seen_by_httpx(client.get("/health"))

    in_process, served = both_ways(program)
    assert in_process == served
    assert in_process[1][0][5]["x-wrapped"] == "yes"


# Packages that are imported late, or not at all


@pytest.mark.parametrize("name", ["requests", *PACKAGES])
def test_a_package_is_patched_only_once_the_test_imports_it(name: str) -> None:
    pytest.importorskip(name)
    problem = error_of(
        f"""
        import sys
        from output_mock import OutputMock
        mock = OutputMock()
        finders = list(sys.meta_path)
        with mock.in_process() as url:
            assert not {{"requests", "httpx", "httpx2", "anyio", "urllib3"}} & set(sys.modules)
            import {name}
            assert {name}.get(url + "/health").text == "OK"
            assert type({name}.__loader__).__module__ != "output_mock.in_process.imports"
        assert list(sys.meta_path) == finders
        with mock.in_process() as url:
            assert {name}.get(url + "/health").text == "OK"
        try:
            {name}.get(url + "/health")
        except OSError:
            pass
        except {name}.{"ConnectionError" if name == "requests" else "ConnectError"}:
            pass
        else:
            raise AssertionError("the fake is closed")
        mock.close()
        """
    )
    assert not problem, problem


@pytest.mark.parametrize("missing", [["httpx"], ["httpx2"], ["httpx", "httpx2"], ["requests"]], ids=repr)
def test_a_missing_http_package_is_no_error(missing: list[str]) -> None:
    left = [name for name in ("requests", *PACKAGES) if name not in missing]
    for name in left:
        pytest.importorskip(name)
    problem = error_of(
        f"""
        import importlib, sys
        for name in {missing}:
            sys.modules[name] = None
        from output_mock import OutputMock
        with OutputMock().in_process() as url:
            for name in {left}:
                assert importlib.import_module(name).get(url + "/health").text == "OK"
        """
    )
    assert not problem, problem


def test_httpx_can_be_an_alias_of_httpx2() -> None:
    package = pytest.importorskip("httpx2")
    if not hasattr(package, "alias_httpx"):
        pytest.skip("this httpx2 has no alias_httpx; install a newer one")
    problem = error_of(
        """
        import httpx2
        httpx2.alias_httpx()
        from output_mock import OutputMock
        send = httpx2.Client._send_single_request
        with OutputMock().in_process() as url:
            import httpx
            assert httpx is httpx2
            assert httpx.get(url + "/health").text == "OK"
        assert httpx2.Client._send_single_request is send
        """
    )
    assert not problem, problem


@pytest.mark.parametrize("name", ["requests", *PACKAGES])
def test_a_package_is_unpatched_when_no_fake_is_open(name: str) -> None:
    pytest.importorskip(name)
    place = "Session.get_adapter" if name == "requests" else "AsyncClient._send_single_request"
    problem = error_of(
        f"""
        import {name}
        from output_mock import OutputMock
        before = {name}.{place}
        with OutputMock().in_process():
            assert {name}.{place} is not before
            with OutputMock().in_process():
                pass
            assert {name}.{place} is not before
        assert {name}.{place} is before
        """
    )
    assert not problem, problem


def test_a_package_that_is_imported_again_is_patched_too() -> None:
    mock = fake()
    with mock.in_process() as url, pytest.MonkeyPatch.context() as patch:
        import sys

        for name in [name for name in sys.modules if name == "httpx" or name.startswith("httpx.")]:
            patch.delitem(sys.modules, name)
        anew = importlib.import_module("httpx")
        assert anew.get(f"{url}/health").text == "OK"
    mock.close()


# Runs that take longer than a client waits


def sent_by_requests(url: str, path: str) -> None:
    requests.post(url + path, json={"workflowName": "waits", "workflowId": "a"}, timeout=(5, 0.2))


def read_by_requests(url: str, path: str) -> None:
    with requests.get(url + path, timeout=(5, 0.2), stream=True) as answer:
        answer.content  # noqa: B018


def sent_by(package: str, url: str, path: str) -> None:
    client = importlib.import_module(package)
    timeout = client.Timeout(5, read=0.2)
    client.post(url + path, json={"workflowName": "waits", "workflowId": "a"}, timeout=timeout)


def sent_by_async(package: str, url: str, path: str) -> None:
    async def send() -> None:
        client = importlib.import_module(package)
        timeout = client.Timeout(5, read=0.2)
        async with client.AsyncClient() as sender:
            await sender.post(url + path, json={"workflowName": "waits", "workflowId": "a"}, timeout=timeout)

    asyncio.run(send())


WAITING = {
    "requests": (sent_by_requests, "/workflow/run"),
    "a stream by requests": (read_by_requests, "/workflow/b/history/stream"),
    **{package: (partial(sent_by, package), "/workflow/run") for package in PACKAGES},
    **{f"async {package}": (partial(sent_by_async, package), "/workflow/run") for package in PACKAGES},
}


@pytest.mark.parametrize("clock", ["real", "manual"])
@pytest.mark.parametrize(("program", "path"), WAITING.values(), ids=WAITING.keys())
def test_the_client_timeout_limits_the_wait_for_a_run(
    program: Callable[[str, str], None], path: str, clock: Any
) -> None:
    seen = []
    for way in ("in_process", "serve"):
        mock = waiting_fake(clock)
        with getattr(mock, way)() as url:
            raised, _ = error(lambda url=url: program(url, path))
            # The runs continue without a waiting client.
            seen.append((raised, [view.status for view in mock.runs.values()]))
        mock.close()
    in_process, served = seen
    assert in_process == served
    assert in_process[0] in ("ReadTimeout", "ConnectionError")
    assert set(in_process[1]) == {"running"}
