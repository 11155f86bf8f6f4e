"""A server: the main loop, from the first connection to the end of the last thread."""

from __future__ import annotations

import select
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from output_mock.real_time import monotonic
from output_mock.server.channel import Channel
from output_mock.server.idle_streams import IdleStreams
from output_mock.server.listener import WaitressListener, bound_socket
from output_mock.server.served import OnServed
from output_mock.server.workers import Workers

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

# Threads are started one by one, so a high limit costs nothing until it is needed.
THREADS = 4000
# How often, in seconds, `run` wakes up by itself, in case a signal has reached another thread.
_NAP = 0.5
# How long requests that are being answered may take to end once the server closes, in seconds.
_GRACE = 0.4
# How often, in seconds, the server looks for stalled connections.
_LOOK = 1.0
# How many connections are closed at a time when there is no room for more.
_CLOSED_AT_ONCE = 10


class Application(Protocol):
    """A WSGI application whose waiting requests can be ended when the server stops."""

    def wake_all_waiters(self) -> None: ...

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]: ...


class Server:
    """A server for one application.

    Takes the host and port to bind (port 0 takes a free one), how many `threads` there may be at most, and a
    function that is told what the server has done, from the thread that did it. Raises `OSError` if the
    address is not available, and `socket.gaierror` if the host has none.
    """

    def __init__(
        self,
        app: Application,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        threads: int = THREADS,
        on_served: OnServed | None = None,
    ) -> None:
        self.app = app
        self.host = host
        bound = bound_socket(host, port)
        # The IP address that the host's name stands for.
        self.address: str = bound.getsockname()[0]
        self.port: int = bound.getsockname()[1]
        self._closing = False
        self._next_look = 0.0
        # Held to wake the server, or to close its trigger. A signal handler may come second.
        self._waking = threading.RLock()
        self._map: dict[int, Any] = {}
        self._workers = Workers(threads)
        self._listener = WaitressListener(app, self._map, bound, self._workers, on_served)
        # Only Linux has epoll.
        self._idle_streams = (
            IdleStreams(self._map, self._listener.pull_trigger, self._listener.asyncore.readwrite)
            if hasattr(select, "epoll")
            else None
        )
        self._listener.idle_streams = self._idle_streams

    @property
    def url(self) -> str:
        """The URL of the server."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    def run(self) -> None:
        """Serve until `close` is called; then end all waiting requests and all threads."""
        try:
            while not self._closing:
                self._turn(_NAP)
        finally:
            self._end()

    def close(self) -> None:
        """Make `run` return. May be called from any thread, from a signal handler, and more than once."""
        with self._waking:
            if not self._closing:
                self._closing = True
                self._listener.pull_trigger()

    def _turn(self, timeout: float) -> None:
        """Wait for the sockets once, at most `timeout` seconds, and handle them."""
        now = monotonic()
        full = len(self._map) >= self._listener.adj.connection_limit
        if full or now >= self._next_look:
            self._next_look = now + _LOOK
            self._close_what_is_held_for_nothing(now, full=full)
        sockets = self._map if self._idle_streams is None else self._idle_streams.others()
        self._listener.asyncore.loop(timeout=timeout, use_poll=True, map=sockets, count=1)

    def _close_what_is_held_for_nothing(self, now: float, *, full: bool) -> None:
        """Close the connections of clients that take too long to send a request or to read an answer.

        If there is no room for another connection (`full`), also close those that have been silent, or in
        the middle of a request, for the longest time.
        """
        waiting: list[Channel] = []
        for channel in self._channels():
            if channel.late(now):
                channel.close_late()
            elif full and not channel.requests and not channel.total_outbufs_len:
                waiting.append(channel)
        if waiting:
            waiting.sort(key=lambda channel: channel.since)
            for channel in waiting[:_CLOSED_AT_ONCE]:
                channel.handle_close()

    def _end(self) -> None:
        self._closing = True
        self._listener.stop_listening()
        self._workers.close()
        ended = threading.Event()
        # A script that blocks holds the world's lock, perhaps for longer than this may wait.
        letting_go = threading.Thread(
            target=self._let_go, args=(ended,), name="output-mock-let-go", daemon=True
        )
        if self._unfinished():
            letting_go.start()
        deadline = monotonic() + _GRACE
        while self._unfinished() and monotonic() < deadline:
            self._turn(0.01)
        ended.set()
        for channel in self._channels():
            channel.handle_close()
        if self._idle_streams is not None:
            self._idle_streams.close()
        # Close the trigger of this loop once no thread is left that might use it.
        closing = threading.Thread(target=self._close_trigger, name="output-mock-end", daemon=True)
        closing.start()
        closing.join(_GRACE)

    def _let_go(self, ended: threading.Event) -> None:
        """End all waiting, even of requests that begin to wait now."""
        while True:
            self.app.wake_all_waiters()
            if ended.wait(0.02):
                return

    def _close_trigger(self) -> None:
        self._workers.join()
        with self._waking:
            self._listener.close_trigger()

    def _channels(self) -> list[Channel]:
        return [one for one in list(self._map.values()) if isinstance(one, Channel)]

    def _unfinished(self) -> bool:
        return self._workers.busy or any(channel.total_outbufs_len for channel in self._channels())


@contextmanager
def running(app: Application, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Serve in a separate thread while the block runs, and yield the URL. Port 0 takes a free one."""
    server = Server(app, host, port)
    thread = threading.Thread(target=server.run, name="output-mock-server", daemon=True)
    thread.start()
    try:
        yield server.url
    finally:
        server.close()
        thread.join()
