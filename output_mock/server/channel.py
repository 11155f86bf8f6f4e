"""Connections: how long they may be held, and what is noticed of their clients."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from time import time
from typing import Any

from waitress.channel import ClientDisconnected, HTTPChannel
from waitress.server import TcpWSGIServer

from output_mock.real_time import monotonic
from output_mock.server.idle_streams import IdleStreams
from output_mock.server.parser import Parser
from output_mock.server.served import OnServed
from output_mock.server.tasks import ApiTask, RefusingTask

# How many seconds a client has for the head of a request and for all of it, as with Node, and for taking
# anything of an answer.
HEAD_TIME, REQUEST_TIME, SENDING_TIME = 60.0, 300.0, 120.0
_LATE = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n"
_NO_LINGERING = struct.pack("ii", 1, 0)


class Listener(TcpWSGIServer):
    """The socket that connections have come in by, as far as they know it (`listener.WaitressListener`)."""

    on_served: OnServed | None = None
    # None where the system has nothing that they could be left to.
    idle_streams: IdleStreams | None = None


class Channel(HTTPChannel):
    """A connection.

    While a request is being answered nothing more is read from it, so a client that only finishes sending
    still gets its answer. Not so when the connection is watched, which it is for streams and for requests
    that ask for it (`when_gone`): then its end is taken for the client's, and noticed at once.
    """

    parser_class: type[Parser] = Parser
    task_class: type[ApiTask] = ApiTask
    error_task_class: type[RefusingTask] = RefusingTask
    server: Listener
    watched: bool = False
    is_idle: bool = False
    _gone: Callable[[], object] | None = None
    _given_up = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Since when it waits for a request, or for the rest of one.
        self.since: float = monotonic()

    @property
    def on_served(self) -> OnServed | None:
        """Who is told what the server has done."""
        return self.server.on_served

    def watch(self) -> None:
        """Notice from now on when the client leaves, while its request is being answered."""
        if not self.watched:
            self.watched = True
            if self.server.idle_streams is not None:
                self.server.idle_streams.add(self)
            # The server's thread is waiting for sockets, and this is not one of them yet.
            self.server.pull_trigger()

    def unwatch(self) -> None:
        """The request has been answered."""
        self.watched, self._gone = False, None
        self._wake()

    def received(self, data: bytes) -> bool:
        before = self.request
        taken: bool = super().received(data)
        if self.request is not before:
            # Another request has begun, or none has yet.
            self.since = monotonic()
        return taken

    def late(self, now: float) -> bool:
        """Whether its client takes too long to send a request that it has begun, or to take an answer."""
        if self.total_outbufs_len:
            # Something has gone, or has come, at that time.
            return time() - self.last_activity > SENDING_TIME
        request = self.request
        if request is None or self.requests:
            return False
        return now - self.since > (REQUEST_TIME if request.headers_finished else HEAD_TIME)

    def close_late(self) -> None:
        """Close it. A client that has not sent all of its request is told as Node tells it."""
        if not self.total_outbufs_len:
            self.send(_LATE, do_close=False)
        self.handle_close()

    def fileno(self) -> int:
        """The number of its file."""
        assert self.socket is not None
        return self.socket.fileno()

    @property
    def silent(self) -> bool:
        """Whether it is watched, and all that it waits for is that something comes from the client."""
        return self.watched and self.readable() and not self.writable()

    def _wake(self) -> None:
        if self.server.idle_streams is not None:
            self.server.idle_streams.wake(self)

    def send(self, data: bytes, do_close: bool = True) -> int:
        """Send as much as goes at once: nothing when another thread has closed the connection meanwhile."""
        try:
            sent: int = super().send(data, do_close)
        except AttributeError:
            if self.socket is not None:
                raise
            return 0
        return sent

    def give_up(self, data: bytes) -> None:
        """Send this at the end, and nothing that the thread may write that answers the request."""
        with self.outbuf_lock:
            self._given_up = True
            if data:
                self.send(data, do_close=False)
            self.will_close = True
        self._wake()
        self.server.pull_trigger()

    def write_soon(self, data: Any) -> int:
        if self._given_up:
            raise ClientDisconnected
        try:
            return super().write_soon(data)
        finally:
            # What the client has not taken at once is sent by the server's thread.
            if self.writable():
                self._wake()

    def del_channel(self, map: Any = None) -> None:
        if self.server.idle_streams is not None:
            self.server.idle_streams.remove(self)
        super().del_channel(map)

    def when_gone(self, callback: Callable[[], object]) -> None:
        """Call back once, from any thread, when the client has gone while its request is being answered."""
        self._gone = callback
        self.watch()
        if not self.connected:
            self._tell()

    def local_address(self) -> str:
        """The IP address of this machine that the connection has come in by."""
        assert self.socket is not None
        address: str = self.socket.getsockname()[0]
        return address

    def end_in_reset(self) -> None:
        """Have the connection end in a TCP reset, when what has been written is sent."""
        with suppress(OSError):
            assert self.socket is not None
            # What is closed without lingering is reset.
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGERING)

    def _tell(self) -> None:
        callback, self._gone = self._gone, None
        if callback is not None:
            callback()

    def readable(self) -> bool:
        if self.watched:
            return self.connected and not self.will_close and len(self.requests) < 2
        return super().readable()

    def handle_close(self) -> None:
        super().handle_close()
        self._tell()
