"""The fake on a real socket: many clients, open streams, clients that disconnect, and an immediate stop."""

from __future__ import annotations

import functools
import http.client
import json
import os
import select
import socket
import threading
import time
import urllib.parse
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from typing import Any, cast

import pytest
from waitress.channel import HTTPChannel

from output_mock import OutputMock, Script
from output_mock.http import stream
from output_mock.http.app import OutputApp
from output_mock.http.server_hooks import WHEN_GONE
from output_mock.server import Served, Server
from output_mock.server.channel import Channel
from tests.conftest import eventually, until_received

script = Script()
script.workflow("echo").returns(lambda given: given)


@script.workflow("waits")
async def waits(ctx: Any, given: Any) -> Any:
    return await ctx.wait_for_signal("go")


class Running:
    """A server in its own thread, and the requests that it has reported."""

    def __init__(self, app: OutputApp, **options: Any) -> None:
        self.reports: list[Served] = []
        self.server = Server(app, on_served=self.reports.append, **options)
        self.thread = threading.Thread(target=self.server.run)
        self.thread.start()

    def close(self) -> None:
        self.server.close()
        self.thread.join(10)
        assert not self.thread.is_alive(), "the server does not end"

    def connect(self) -> socket.socket:
        return socket.create_connection((self.server.address, self.server.port), timeout=60)

    def send(self, request: str) -> socket.socket:
        """Open a connection and send a request on it."""
        connection = self.connect()
        connection.sendall(request.encode() + b"\r\nHost: x\r\n\r\n")
        return connection

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, str]:
        connection = http.client.HTTPConnection(self.server.address, self.server.port, timeout=60)
        try:
            headers = {} if body is None else {"Content-Type": "application/json"}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def start(self, workflow_id: str, workflow: str = "waits") -> None:
        status, text = self.ask(
            "POST", "/workflow/start", {"workflowName": workflow, "workflowId": workflow_id}
        )
        assert status == 200, text

    def reported(self, stage: str) -> list[Served]:
        return [one for one in self.reports if one.stage == stage]


@pytest.fixture
def mock() -> Iterator[OutputMock]:
    mock = OutputMock(scripts=[script])
    yield mock
    mock.close()


@pytest.fixture
def running(mock: OutputMock) -> Iterator[Running]:
    running = Running(mock.app)
    yield running
    running.close()


until = functools.partial(eventually, seconds=20.0)


def rest(connection: socket.socket) -> bytes:
    """The rest of the data until the server closes the connection."""
    received = b""
    try:
        while piece := connection.recv(65536):
            received += piece
    except ConnectionResetError:
        pass
    return received


@pytest.fixture(autouse=True)
def earlier_threads() -> Iterator[None]:
    """Threads from before this test: other tests may have a server that lives as long as the session."""
    _earlier.update(threading.enumerate())
    yield
    _earlier.clear()


_earlier: set[threading.Thread] = set()


def worker_threads() -> list[str]:
    """The server threads that this test has started."""
    return [
        one.name
        for one in threading.enumerate()
        if one not in _earlier and one.name.startswith("output-mock-") and one.name[12:].isdigit()
    ]


@contextmanager
def streams(running: Running, number: int) -> Iterator[list[socket.socket]]:
    """That many open streams of a waiting run."""
    running.start("followed")
    with ExitStack() as stack:
        opened = []
        for _ in range(number):
            connection = running.send("GET /workflow/followed/history/stream HTTP/1.1")
            opened.append(stack.enter_context(closing(connection)))
        for connection in opened:
            until_received(connection, b"event: history")
        yield opened


# Serving


def test_serve_yields_a_url_that_answers_and_stops_answering_after_the_block(mock: OutputMock) -> None:
    with mock.serve() as url:
        host, _, port = url.removeprefix("http://").partition(":")
        with closing(http.client.HTTPConnection(host, int(port), timeout=60)) as connection:
            connection.request("GET", "/health")
            assert connection.getresponse().read() == b"OK"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=60)
    assert worker_threads() == []


def test_two_fakes_can_serve_at_once_independently() -> None:
    one, other = OutputMock(scripts=[script]), OutputMock(scripts=[script])
    with one.serve() as first, other.serve() as second:
        assert first != second
        port = int(first.rpartition(":")[2])
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
            body = json.dumps({"workflowName": "echo", "workflowId": "mine"})
            connection.request("POST", "/workflow/start", body, {"Content-Type": "application/json"})
            assert connection.getresponse().status == 200
    assert (list(one.runs), list(other.runs)) == (["mine"], [])


def test_a_connection_serves_many_requests(running: Running) -> None:
    with closing(running.connect()) as connection:
        for _ in range(5):
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            assert until_received(connection, b"\r\n\r\nOK").startswith(b"HTTP/1.1 200 OK")


def test_pipelined_requests_are_answered_in_order(running: Running) -> None:
    request = b"GET /workflow/%d/status HTTP/1.1\r\nHost: x\r\n\r\n"
    with closing(running.connect()) as connection:
        connection.sendall(b"".join(request % number for number in range(5)))
        received = until_received(connection, b"for ID: 4")
    positions = [received.index(b"for ID: %d" % number) for number in range(5)]
    assert positions == sorted(positions)


def test_parallel_clients_get_their_own_answers(running: Running) -> None:
    def run(number: int) -> Any:
        body = {"workflowName": "echo", "input": {"number": number}}
        return json.loads(running.ask("POST", "/workflow/run", body)[1])["output"]

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(run, range(100))) == [{"number": number} for number in range(100)]


def test_a_client_that_half_closes_its_connection_gets_its_response(running: Running) -> None:
    with closing(running.send("GET /health HTTP/1.0")) as connection:
        connection.shutdown(socket.SHUT_WR)
        assert rest(connection).endswith(b"\r\n\r\nOK")


@pytest.mark.parametrize("kind", ["sized", "chunked"])
def test_a_body_of_ten_megabytes_is_refused_and_does_no_harm(running: Running, kind: str) -> None:
    piece = b"[" + b"1," * 500_000
    body = piece * 10
    with closing(
        http.client.HTTPConnection(running.server.address, running.server.port, timeout=60)
    ) as sender:
        headers = {"Content-Type": "application/json"}
        if kind == "sized":
            sender.request("POST", "/workflow/run", body, headers)
        else:
            sender.request("POST", "/workflow/run", iter([piece] * 10), headers, encode_chunked=True)
        answer = sender.getresponse()
        assert (answer.status, json.load(answer)["error"]) == (413, "PayloadTooLargeError")
        sender.request("GET", "/health")
        assert sender.getresponse().read() == b"OK"


@pytest.mark.parametrize("length", ["", "\r\nContent-Length: 0"])
def test_a_request_with_expect_100_continue_is_answered_when_it_is_complete(
    running: Running, length: str
) -> None:
    head = "POST /workflow/nowhere/terminate HTTP/1.1\r\nConnection: close\r\nExpect: 100-continue"
    with running.send(head + length) as connection:
        assert b"HTTP/1.1 404 Not Found" in rest(connection)


UNREADABLE = [
    b"what is this\r\n\r\n",
    b"GET /health HTTP/1.1\r\nX Y: 1\r\n\r\n",
    b"GET /health HTTP/1.1\r\nX: a\0b\r\n\r\n",
    b"GET /health HTTP/1.1\r\nX: a\x7f\r\n\r\n",
    b"POST /heartbeat HTTP/1.1\r\nContent-Length: x\r\n\r\n",
    b"POST /heartbeat HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
    b"POST /heartbeat HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n",
    b"POST /heartbeat HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n",
]


@pytest.mark.parametrize("sent", UNREADABLE)
def test_an_unreadable_request_gets_the_400_of_node_and_does_no_harm(running: Running, sent: bytes) -> None:
    with closing(running.connect()) as connection:
        connection.sendall(sent)
        # Measured with Node 20.
        assert rest(connection) == b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"
    assert running.ask("GET", "/health") == (200, "OK")


def test_a_refused_request_gets_its_answer_although_more_of_it_has_arrived(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What is unread when a connection closes resets it.
    monkeypatch.setattr(running.server._listener.adj, "recv_bytes", 1000)
    with closing(running.connect()) as connection:
        connection.sendall(b"what is this\r\n\r\n" + b"x" * 20_000)
        with connection.makefile("rb") as answer:
            assert answer.read().startswith(b"HTTP/1.1 400 Bad Request\r\n")


@pytest.mark.skipif(not socket.has_ipv6, reason="there is no IPv6 here")
def test_an_ipv6_address_is_written_in_brackets(mock: OutputMock) -> None:
    try:
        running = Running(mock.app, host="::1")
    except OSError:
        pytest.skip("there is no IPv6 loopback address here")
    assert running.server.url == f"http://[::1]:{running.server.port}"
    assert running.ask("GET", "/health") == (200, "OK")
    running.close()


def test_localhost_means_the_address_that_every_client_tries(mock: OutputMock) -> None:
    running = Running(mock.app, host="localhost")
    assert (running.server.address, running.server.url) == (
        "127.0.0.1",
        f"http://localhost:{running.server.port}",
    )
    running.close()


def test_a_busy_port_is_an_error_at_once(running: Running) -> None:
    with pytest.raises(OSError, match="in use"):
        Server(running.server.app, port=running.server.port)


def test_an_unresolvable_host_is_an_error_at_once(mock: OutputMock) -> None:
    with pytest.raises(socket.gaierror):
        Server(mock.app, "no.such.host.invalid")


# Streams


def test_open_streams_do_not_block_other_requests(running: Running) -> None:
    with streams(running, 100):
        assert running.ask("GET", "/health") == (200, "OK")
        run = {"workflowName": "echo", "input": 1}
        assert json.loads(running.ask("POST", "/workflow/run", run)[1])["output"] == 1


def test_a_stream_sends_each_event_immediately(running: Running) -> None:
    with streams(running, 2) as opened:
        assert running.ask("POST", "/workflow/followed/signal/go", {"payload": {}}) == (200, "OK")
        for connection in opened:
            until_received(connection, b"event: done")
            rest(connection)
    until(lambda: len(running.reported("stream ends")) == 2)


@pytest.mark.skipif(not hasattr(select, "epoll"), reason="only Linux has what it takes")
def test_silent_streams_do_not_slow_other_requests(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[HTTPChannel] = []
    writable = HTTPChannel.writable

    def counted(channel: HTTPChannel) -> bool:
        looked_at.append(channel)
        return writable(channel)

    def looks_for_a_request() -> int:
        looked_at.clear()
        assert running.ask("GET", "/health") == (200, "OK")
        return len(looked_at)

    monkeypatch.setattr(HTTPChannel, "writable", counted)
    with streams(running, 100) as opened:
        # The last of them may have something to send just now.
        until(lambda: looks_for_a_request() < 50)
        assert running.ask("POST", "/workflow/followed/signal/go", {"payload": {}}) == (200, "OK")
        for connection in opened:
            until_received(connection, b"event: done")


def test_a_slow_reader_of_a_stream_gets_every_event() -> None:
    piece = b"x" * 1_000_000
    going_on = threading.Event()

    def app(_: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/event-stream")])
        yield b"first"
        going_on.wait(20)
        for _ in range(20):
            yield piece

    app.wake_all_waiters = going_on.set  # type: ignore[attr-defined]
    running = Running(cast(OutputApp, app))
    with closing(running.send("GET / HTTP/1.0")) as connection:
        until_received(connection, b"first")
        # Until the data is in the kernel's buffer.
        time.sleep(0.2)
        going_on.set()
        time.sleep(0.2)
        received = until_received(connection, piece[:100]) + rest(connection)
    assert received.count(b"x") == 20 * len(piece)
    running.close()


def test_threads_are_reused(running: Running) -> None:
    for _ in range(50):
        running.ask("GET", "/health")
    # A thread may still be at the end of its work when the next request comes.
    assert len(worker_threads()) < 10


def test_requests_over_the_thread_limit_wait_for_their_turn(
    mock: OutputMock, caplog: pytest.LogCaptureFixture
) -> None:
    running = Running(mock.app, threads=2)
    with streams(running, 2) as opened, closing(running.send("GET /health HTTP/1.1")) as waiting:
        until(lambda: "2 threads are answering" in caplog.text)
        mock.world.signal("followed", "go")
        assert b"OK" in until_received(waiting, b"\r\n\r\nOK")
        rest(opened[0])
    assert len(worker_threads()) <= 2
    running.close()


def test_leaving_a_stream_frees_its_thread(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "KEEPALIVE", 0.2)
    with streams(running, 3) as opened:
        for connection in opened[:2]:
            connection.close()
        until(lambda: len(running.reported("stream ends")) == 2)
        assert running.ask("POST", "/workflow/followed/signal/go", {"payload": {}}) == (200, "OK")
        until_received(opened[2], b"event: done")


def test_a_connection_reset_by_the_client_leaves_nothing_behind(
    running: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(stream, "KEEPALIVE", 0.2)
    with streams(running, 1) as opened:
        # A linger time of zero makes closing a reset.
        opened[0].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        opened[0].close()
        until(lambda: running.reported("stream ends"))
    assert caplog.text == ""


class WaitingApp:
    """An application that waits until its client disconnects, as a stream may."""

    def __init__(self) -> None:
        self.world = self
        self.entered = threading.Event()
        self.gone = threading.Event()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        if environ["PATH_INFO"] == "/quick":
            environ[WHEN_GONE](lambda: None)
        if environ["PATH_INFO"] == "/wait":
            environ[WHEN_GONE](self.gone.set)
            self.entered.set()
            self.gone.wait(20)
        start_response("200 OK", [("Content-Length", "2")])
        return [b"OK"]

    def wake_all_waiters(self) -> None:
        self.gone.set()


def test_a_request_can_learn_at_once_that_its_client_disconnected() -> None:
    app = WaitingApp()
    running = Running(cast(OutputApp, app))
    connection = running.send("GET /wait HTTP/1.1")
    assert app.entered.wait(20)
    assert not app.gone.is_set()
    connection.close()
    assert app.gone.wait(15)
    running.close()


def test_a_request_can_learn_that_the_server_closes() -> None:
    app = WaitingApp()
    app.wake_all_waiters = lambda: None  # type: ignore[method-assign]
    running = Running(cast(OutputApp, app))
    with closing(running.send("GET /wait HTTP/1.1")):
        assert app.entered.wait(20)
        running.close()
    assert app.gone.is_set()


def test_a_client_that_sends_another_request_after_waiting_is_not_considered_gone() -> None:
    app = WaitingApp()
    running = Running(cast(OutputApp, app))
    with closing(running.send("GET /wait HTTP/1.1")) as connection:
        assert app.entered.wait(20)
        # Pipelined, while the first request is still being answered.
        connection.sendall(b"GET /other HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(0.2)
        assert not app.gone.is_set()
        app.gone.set()
        received = until_received(connection, b"OK")
        while received.count(b"\r\n\r\nOK") < 2:
            received += until_received(connection, b"OK")
    running.close()


def test_successive_requests_can_watch_for_disconnection_on_one_connection() -> None:
    app = WaitingApp()
    running = Running(cast(OutputApp, app))
    quick = b"GET /quick HTTP/1.1\r\nHost: x\r\n\r\n"
    with closing(running.connect()) as connection:
        connection.sendall(quick * 30 + quick.replace(b"quick", b"wait"))
        assert app.entered.wait(20)
        for _ in range(5):
            assert running.ask("GET", "/other") == (200, "OK")
        app.gone.set()
        received = b""
        while received.count(b"\r\n\r\nOK") < 31:
            received += until_received(connection, b"OK")
    running.close()


# Reports


def test_every_request_is_reported_with_method_target_and_status(running: Running) -> None:
    running.ask("GET", "/health?deep=1")
    # It is reported after its answer was sent, so the next request could come before that.
    until(lambda: running.reports)
    running.ask("POST", "/workflow/none/signal/go")
    until(lambda: len(running.reports) == 2)
    assert [(one.stage, one.method, one.target, one.status) for one in running.reports] == [
        ("answered", "GET", "/health?deep=1", 200),
        ("answered", "POST", "/workflow/none/signal/go", 404),
    ]
    assert all(0 <= one.seconds < 20 for one in running.reports)


def test_streams_are_reported_when_they_begin_and_when_they_end(running: Running) -> None:
    with streams(running, 1):
        assert [one.target for one in running.reported("stream begins")] == [
            "/workflow/followed/history/stream"
        ]
        assert running.reported("stream ends") == []
        running.ask("POST", "/workflow/followed/signal/go")
        until(lambda: running.reported("stream ends"))


def test_a_stream_ends_when_its_client_leaves_without_waiting_for_the_next_keepalive(
    running: Running,
) -> None:
    with streams(running, 20):
        assert running.reported("stream ends") == []
    until(lambda: len(running.reported("stream ends")) == 20, seconds=stream.KEEPALIVE / 2)
    assert not running.server.app.world.find("followed").waiters


def test_an_unreadable_request_is_reported_too(running: Running) -> None:
    with closing(running.connect()) as connection:
        connection.sendall(b"what is this\r\n\r\n")
        rest(connection)
    until(lambda: running.reports)
    assert (running.reports[0].method, running.reports[0].status) == ("?", 400)


# Stopping


def test_a_stop_ends_streams_and_long_polls_and_leaves_no_thread(running: Running) -> None:
    with ExitStack() as stack:
        opened = stack.enter_context(streams(running, 20))
        page = json.loads(running.ask("GET", "/workflow/followed/history?longPollTimeoutMs=10")[1])
        token = urllib.parse.quote(page["nextPageToken"], safe="")
        poll = f"/workflow/followed/history?longPollTimeoutMs=15000&runId={page['runId']}&pageToken={token}"
        polling = stack.enter_context(closing(running.send(f"GET {poll} HTTP/1.1")))
        until(lambda: len(running.server.app.world.find("followed").waiters or ()) == 21)
        running.close()
        for connection in opened:
            assert b"event: done" not in rest(connection)
        rest(polling)
    until(lambda: worker_threads() == [])


def test_a_stop_does_not_wait_for_a_client_that_does_not_read(mock: OutputMock) -> None:
    @mock.workflow("bulky")
    async def bulky(ctx: Any, given: Any) -> Any:
        for number in range(18):
            await ctx.step(f"step_{number}", returns="x" * 2_000_000)
        return await ctx.wait_for_signal("go")

    running = Running(mock.app)
    running.start("big", "bulky")
    running.ask("GET", "/workflow/big/status")
    until(lambda: len(mock.runs["big"].history) > 100)
    path = "/workflow/big/history/stream?includePayloads=true"
    with closing(running.send(f"GET {path} HTTP/1.1")) as connection:
        until(lambda: running.reported("stream begins"))
        mock.world.signal("big", "go")
        time.sleep(0.3)
        assert running.reported("stream ends") == []
        running.close()
        rest(connection)
    until(lambda: worker_threads() == [])


def test_a_stop_does_not_wait_for_a_script_that_blocks(mock: OutputMock) -> None:
    entered, release = threading.Event(), threading.Event()

    @mock.workflow("blocks")
    async def blocks(ctx: Any, given: Any) -> None:
        entered.set()
        release.wait(60)

    running = Running(mock.app)
    with closing(running.connect()) as connection:
        body = b'{"workflowName": "blocks"}'
        head = b"POST /workflow/run HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        connection.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        assert entered.wait(20)
        running.close()
        assert not release.is_set()
        release.set()
        rest(connection)
    until(lambda: worker_threads() == [])


def test_a_server_may_be_closed_before_it_runs_and_more_than_once(mock: OutputMock) -> None:
    server = Server(mock.app)
    server.close()
    server.close()
    server.run()
    server.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((server.address, server.port), timeout=60)


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="open files cannot be counted here")
def test_a_stopped_server_holds_no_open_files(mock: OutputMock) -> None:
    before = len(os.listdir("/proc/self/fd"))
    running = Running(mock.app)
    with streams(running, 5):
        running.close()
    until(lambda: len(os.listdir("/proc/self/fd")) <= before)


def test_stopping_a_server_while_it_ends_is_no_error(
    mock: OutputMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server(mock.app)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wake = server._listener.pull_trigger

    def wake_late() -> None:
        thread.join(2)
        wake()

    monkeypatch.setattr(server._listener, "pull_trigger", wake_late)
    server.close()
    thread.join(5)
    assert not thread.is_alive()


def test_nothing_is_sent_on_a_connection_that_another_thread_has_closed() -> None:
    channel = object.__new__(Channel)
    channel.socket = None
    assert channel.send(b"a frame of a stream") == 0
