"""Clients that do not read their responses, and how much memory they cost."""

from __future__ import annotations

import gc
import json
import socket
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from output_mock import OutputMock
from output_mock.server import Server
from tests.conftest import eventually

STREAMS = 20
# The most data that may wait for one client: in the output buffer, and on its way there.
UNREAD = 256 * 1024 + 2 * 64 * 1024


@contextmanager
def serving(mock: OutputMock) -> Iterator[Server]:
    server = Server(mock.app)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.close()
        thread.join(60)


def mock_with(steps: int, size: int) -> OutputMock:
    """A fake with a run `run` whose steps return that many characters each."""
    mock = OutputMock()

    @mock.workflow("large")
    async def large(ctx: Any, given: Any) -> Any:
        for number in range(steps):
            await ctx.step("part", number, returns=chr(97 + number % 26) * size)

    mock.world.wait_for_result(mock.world.start("large", workflow_id="run"))
    return mock


def opened(port: int) -> socket.socket:
    """A stream that is not read."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(60)
    connection.connect(("127.0.0.1", port))
    path = "/workflow/run/history/stream?includePayloads=true"
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return connection


@pytest.mark.parametrize(
    ("steps", "size"), [(60, 200_000), (10, 2_000_000)], ids=["many events", "large events"]
)
def test_unread_streams_use_less_memory_than_twice_the_history(steps: int, size: int) -> None:
    mock = mock_with(steps, size)
    history = steps * size
    with serving(mock) as server, ExitStack() as stack:
        tracemalloc.start()
        stack.callback(tracemalloc.stop)
        for _ in range(STREAMS):
            stack.enter_context(opened(server.port))

        def full() -> bool:
            channels = server._channels()
            return len(channels) == STREAMS and all(one.total_outbufs_len > 2**17 for one in channels)

        eventually(full)
        gc.collect()
        held, _ = tracemalloc.get_traced_memory()
        assert all(one.total_outbufs_len <= UNREAD for one in server._channels())
        assert history / 20 < held < 2 * history


def test_a_stream_that_is_read_late_is_complete() -> None:
    # More than the socket buffers of a connection, which may be 4 MB.
    mock = mock_with(8, 1_000_000)
    with serving(mock) as server, opened(server.port) as late, opened(server.port) as later:
        eventually(lambda: all(one.total_outbufs_len > 2**17 for one in server._channels()))
        for connection in (later, late):
            received = bytearray()
            while not received.endswith(b"0\r\n\r\n"):
                received += connection.recv(2**16)
            frames = unchunked(bytes(received).partition(b"\r\n\r\n")[2]).split(b"\n\n")
            events = [
                event
                for frame in frames
                if b"event: history" in frame
                for event in json.loads(frame.partition(b"data: ")[2])
            ]
            assert events == mock.runs["run"].history
            last = [frame for frame in frames if b"event: history" in frame][-1]
            assert last.startswith(b"id: %d\n" % len(events))
    assert len(mock.app.api.renderings._there) == 0


def unchunked(body: bytes) -> bytes:
    pieces, at = [], 0
    while at < len(body):
        begin = body.index(b"\r\n", at) + 2
        end = begin + int(body[at : begin - 2], 16)
        pieces.append(body[begin:end])
        at = end + 2
    return b"".join(pieces)
