"""Clients that send or read slowly, or never, do not block others and are disconnected in the end."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from output_mock import Context, OutputMock
from output_mock.server import Server
from tests.client import HANG_GUARD, Client
from tests.conftest import eventually, no_hang

BODY = json.dumps({"workflowName": "echo", "input": 1}).encode()


class Slow:
    """A server, and connections to it."""

    def __init__(self, server: Server, stack: ExitStack) -> None:
        self.server = server
        self.client = Client(server.url)
        self._stack = stack

    def connect(self, sent: bytes = b"") -> socket.socket:
        connection = socket.socket()
        # As small as possible, so that the server soon cannot send more.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(HANG_GUARD)
        connection.connect(("127.0.0.1", self.server.port))
        self._stack.enter_context(connection)
        connection.sendall(sent)
        return connection

    def open(self) -> int:
        """The number of open connections of the server."""
        return len(self.server._channels())

    def threads(self) -> int:
        """The number of threads that answer requests."""
        return self.server._workers._serving

    def answers_others(self) -> bool:
        return self.client.run("echo", 1)["output"] == 1


@contextmanager
def served(*, threads: int = 4000) -> Iterator[Slow]:
    mock = OutputMock()
    mock.workflow("echo").returns(lambda given: given)

    @mock.workflow("long")
    async def long(ctx: Context, input: Any) -> Any:
        # Much less than the history limit of 50 MiB.
        for number in range(20):
            await ctx.step("fill", number, returns="x" * 1_000_000)
        return await ctx.wait_for_signal("go")

    server = Server(mock.app, threads=threads)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        with no_hang(), ExitStack() as stack:
            yield Slow(server, stack)
    finally:
        server.close()
        thread.join()
        mock.close()


HEAD = b"POST /workflow/run HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
# Unfinished requests.
UNFINISHED = {
    "nothing": b"",
    "half a line": b"POST /workf",
    "half a head": HEAD,
    "no body": HEAD + b"Content-Length: 50000000\r\n\r\n",
    "half a body": HEAD + b"Content-Length: 1000000\r\n\r\n" + b"{" * 500_000,
    "half a chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\nffff\r\n{",
    "no last chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
    "expects": HEAD + b"Expect: 100-continue\r\nContent-Length: 50\r\n\r\n",
}


@pytest.mark.parametrize("kind", UNFINISHED)
def test_unfinished_requests_take_no_thread_and_block_no_other_client(kind: str) -> None:
    with served(threads=2) as slow:
        number = 1000 if kind == "nothing" else 50
        for _ in range(number):
            slow.connect(UNFINISHED[kind])
        assert slow.answers_others()
        eventually(lambda: slow.open() >= number)
        eventually(lambda: slow.threads() == 0)


def test_a_request_that_arrives_byte_by_byte_does_not_block_others() -> None:
    request = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
    with served(threads=2) as slow:
        connections = [slow.connect() for _ in range(20)]
        for number, byte in enumerate(request):
            for connection in connections:
                connection.sendall(bytes([byte]))
            if number % 20 == 0:
                assert slow.answers_others()
        for connection in connections:
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK")


def test_a_chunked_request_does_not_block_others() -> None:
    with served(threads=2) as slow:
        connections = [slow.connect(HEAD + b"Transfer-Encoding: chunked\r\n\r\n") for _ in range(20)]
        for byte in BODY:
            for connection in connections:
                connection.sendall(b"1\r\n" + bytes([byte]) + b"\r\n")
        assert slow.answers_others()
        for connection in connections:
            connection.sendall(b"0\r\n\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK")


def test_pipelined_requests_are_answered_in_order_without_blocking_others() -> None:
    one = b"GET /workflow/runs HTTP/1.1\r\nHost: x\r\n\r\n"
    with served(threads=2) as slow:
        connection = slow.connect(one * 500)
        received = b""
        while received.count(b"HTTP/1.1 200 OK") < 500:
            received += connection.recv(65536)
            if len(received) % 7 == 0:
                assert slow.answers_others()


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"GET /workflow/runs HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 200 OK"),
        (UNFINISHED["half a head"], b""),
        (UNFINISHED["half a body"], b""),
        (UNFINISHED["half a chunk"], b""),
    ],
)
def test_a_client_that_half_closes_an_unfinished_request_is_disconnected(
    sent: bytes, expected: bytes
) -> None:
    with served() as slow:
        connection = slow.connect(sent)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while piece := connection.recv(65536):
            received += piece
        assert received.startswith(expected)
        eventually(lambda: slow.open() == 0)
        eventually(lambda: slow.threads() == 0)


# Idle connections are closed


@pytest.mark.parametrize(
    ("limit", "kinds"),
    [
        ("HEAD_TIME", ["half a line", "half a head"]),
        ("REQUEST_TIME", ["no body", "half a body", "half a chunk", "no last chunk"]),
    ],
)
def test_an_unfinished_request_gets_the_408_of_node(
    limit: str, kinds: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with served() as slow:
        connections = [slow.connect(UNFINISHED[kind]) for kind in kinds]
        idle = slow.connect()
        eventually(lambda: slow.open() == len(kinds) + 1)
        monkeypatch.setattr(f"output_mock.server.channel.{limit}", 0.0)
        for connection in connections:
            received = b""
            while piece := connection.recv(65536):
                received += piece
            assert received == b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n"
        # A connection without a request may still send one.
        eventually(lambda: slow.open() == 1)
        monkeypatch.setattr(f"output_mock.server.channel.{limit}", 60.0)
        idle.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert idle.recv(65536).startswith(b"HTTP/1.1 200 OK")


def test_a_client_that_sends_single_bytes_gets_no_more_time(monkeypatch: pytest.MonkeyPatch) -> None:
    with served() as slow:
        connection = slow.connect(b"GET /health HTTP/1.1\r\nX: ")
        eventually(lambda: slow.open() == 1)
        (channel,) = slow.server._channels()
        eventually(lambda: channel.request is not None)
        # The server has completed a whole loop since then.
        assert slow.answers_others()
        since = channel.since
        for _ in range(20):
            connection.sendall(b"x")
            assert slow.answers_others()
        assert channel.since == since
        monkeypatch.setattr("output_mock.server.channel.HEAD_TIME", 0.0)
        assert b"408" in connection.recv(65536)


def test_an_unread_stream_releases_its_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    with served() as slow:
        slow.client.start("long", workflowId="w")
        path = b"GET /workflow/w/history/stream?includePayloads=true HTTP/1.1\r\nHost: x\r\n\r\n"
        for _ in range(5):
            slow.connect(path)
        eventually(lambda: sum(one.total_outbufs_len > 0 for one in slow.server._channels()) == 5)
        assert slow.threads() == 5
        assert slow.answers_others()
        monkeypatch.setattr("output_mock.server.channel.SENDING_TIME", 0.0)
        eventually(lambda: slow.threads() == 0 and slow.open() == 0)
        monkeypatch.setattr("output_mock.server.channel.SENDING_TIME", 60.0)
        assert slow.answers_others()


def test_a_slow_reader_is_not_disconnected() -> None:
    with served() as slow:
        slow.client.start("long", workflowId="w")
        connection = slow.connect(b"GET /workflow/w/history/stream HTTP/1.1\r\nHost: x\r\n\r\n")
        received = 0
        for _ in range(50):
            received += len(connection.recv(100))
        assert received
        assert slow.open() == 1


@pytest.mark.parametrize("kind", ["nothing", "half a head", "no body"])
def test_at_the_connection_limit_the_longest_idle_connections_are_closed(kind: str) -> None:
    with served() as slow:
        slow.server._listener.adj.connection_limit = 20
        stream = slow.connect()
        slow.client.start("long", workflowId="w")
        stream.sendall(b"GET /workflow/w/history/stream HTTP/1.1\r\nHost: x\r\n\r\n")
        assert stream.recv(100)
        for _ in range(60):
            slow.connect(UNFINISHED[kind])
        for _ in range(20):
            assert slow.answers_others()
        assert slow.open() <= 25
        # Connections with a response in progress stay open.
        assert stream.recv(100)
