"""Connections: their time limits, and how a leaving client is noticed."""

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
from output_mock.server.tasks import ApiTask, RefusingTask, refusal

# How many seconds a client has for the head of a request, for the whole request, as with Node, and for
# reading a part of an answer.
HEAD_TIME, REQUEST_TIME, SENDING_TIME = 60.0, 300.0, 120.0
# How often a connection is read before it is closed.
_LAST_READS = 32
_LATE = refusal(408)
_NO_LINGERING = struct.pack("ii", 1, 0)


class Listener(TcpWSGIServer):
    """The socket that connections have come in by, as far as they know it (`listener.WaitressListener`)."""

    on_served: OnServed | None = None
    # None where the system has no epoll.
    idle_streams: IdleStreams | None = None


class Channel(HTTPChannel):
    """A connection.

    While a request is being answered, nothing more is read from the connection, so a client that only closes
    its sending side still gets its answer. But when the connection is watched, as for streams and for
    requests that ask for it (`when_gone`), its end is noticed at once and means that the client has left.
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
        """The function that is told what the server has done."""
        return self.server.on_served

    def watch(self) -> None:
        """From now on, notice when the client leaves while its request is being answered."""
        if not self.watched:
            self.watched = True
            if self.server.idle_streams is not None:
                self.server.idle_streams.add(self)
            # Wake the server's thread, which waits for sockets, as this is not one of them yet.
            self.server.pull_trigger()

    def unwatch(self) -> None:
        """Stop watching, as the request was answered."""
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
        """Whether the client takes too long to send the rest of a request, or to read an answer."""
        if self.total_outbufs_len:
            # The last time that something was sent or received.
            return time() - self.last_activity > SENDING_TIME
        request = self.request
        if request is None or self.requests:
            return False
        return now - self.since > (REQUEST_TIME if request.headers_finished else HEAD_TIME)

    def close_late(self) -> None:
        """Close it. A client that has not sent its whole request gets Node's answer."""
        if not self.total_outbufs_len:
            self.send(_LATE, do_close=False)
        self.handle_close()

    def fileno(self) -> int:
        """The number of its file descriptor."""
        assert self.socket is not None
        return self.socket.fileno()

    @property
    def silent(self) -> bool:
        """Whether it is watched, and only waits for something from the client."""
        return self.watched and self.readable() and not self.writable()

    def _wake(self) -> None:
        if self.server.idle_streams is not None:
            self.server.idle_streams.wake(self)

    def send(self, data: bytes, do_close: bool = True) -> int:
        """Send as much as possible at once; nothing if another thread has closed the connection meanwhile."""
        try:
            sent: int = super().send(data, do_close)
        except AttributeError:
            if self.socket is not None:
                raise
            return 0
        return sent

    def give_up(self, data: bytes) -> None:
        """Send this as the end, and ignore what the thread that answers the request may still write."""
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
            # The server's thread sends what the client has not read at once.
            if self.writable():
                self._wake()

    def del_channel(self, map: Any = None) -> None:
        if self.server.idle_streams is not None:
            self.server.idle_streams.remove(self)
        super().del_channel(map)

    def when_gone(self, callback: Callable[[], object]) -> None:
        """Call this once, from any thread, if the client leaves while its request is being answered."""
        self._gone = callback
        self.watch()
        if not self.connected:
            self._tell()

    def local_address(self) -> str:
        """The local IP address of the connection."""
        assert self.socket is not None
        address: str = self.socket.getsockname()[0]
        return address

    def end_in_reset(self) -> None:
        """Let the connection end in a TCP reset, after sending what was written."""
        with suppress(OSError):
            assert self.socket is not None
            # Closing without lingering resets the connection.
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
        self._read_the_rest()
        super().handle_close()
        self._tell()

    def _read_the_rest(self) -> None:
        """Read what has arrived of a request that was refused: a connection that is closed with something
        unread in it is reset, and the client may lose the answer.
        """
        if self.will_close and self.socket is not None:
            with suppress(OSError):
                for _ in range(_LAST_READS):
                    if not self.socket.recv(self.adj.recv_bytes):
                        break
