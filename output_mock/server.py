"""The fake on a real socket: waitress, with threads that come as they are needed.

A request that waits (a stream, a long poll, a run) holds a thread while it does, so there are as many
threads as there are requests being answered at once; connections that are merely open have none.
"""

from __future__ import annotations

import select
import selectors
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from time import time
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol
from weakref import WeakSet

from waitress.adjustments import Adjustments
from waitress.channel import ClientDisconnected, HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, Task, ThreadedTaskDispatcher, WSGITask
from waitress.utilities import RequestHeaderFieldsTooLarge

from output_mock.http import head_limit
from output_mock.http.faults import Dropped, TimedOut
from output_mock.http.responses import status_line
from output_mock.http.server_hooks import GIVE_UP, LOCAL_ADDRESS, RESET, WHEN_GONE
from output_mock.real_time import monotonic

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment
    from flask import Response

# Threads are started one by one, so a high limit costs nothing until it is needed.
THREADS = 4000
# How many files a process may need at most.
_MOST_FILES = 10_240
# How soon, in seconds, `run` looks up by itself, should a signal have reached another thread.
_NAP = 0.5
# How long requests that are being answered may take to end once the server closes, in seconds.
_GRACE = 0.4

# How often, in seconds, the server looks for connections that are held for nothing.
_LOOK = 1.0
# How many seconds a client has for the head of a request and for all of it, as with Node, and for taking
# anything of an answer.
HEAD_TIME, REQUEST_TIME, SENDING_TIME = 60.0, 300.0, 120.0
# How many connections are closed at a time when there is no room for more.
_CLOSED_AT_ONCE = 10
_LATE = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n"

_LARGEST_BODY = 64 * 1024 * 1024
# How many bytes are read from a connection at once, as Node does.
_READ = 64 * 1024
# How many bytes of a stream may wait for a client that does not read.
_UNREAD = 256 * 1024
_NO_LINGERING = struct.pack("ii", 1, 0)

Stage = Literal["answered", "stream begins", "stream ends"]


class Served(NamedTuple):
    """What the server has done: answered a request, begun a stream or ended one, after so many seconds."""

    stage: Stage
    method: str
    target: str
    status: int
    seconds: float


OnServed = Callable[[Served], None]


class Application(Protocol):
    """A WSGI application whose waiting requests can be made to end, as they have to when the server does."""

    def wake_all_waiters(self) -> None: ...

    def waiting_requests(self) -> int: ...

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]: ...


# The servers of this process.
_servers: WeakSet[Server] = WeakSet()


def quiet() -> bool:
    """Whether all requests that the servers of this process have to answer wait for something to happen.

    On the loopback interface what one side has sent is there for the other one at once.
    """
    return all(server.under_way() <= server.app.waiting_requests() for server in list(_servers))


class Server:
    """A server for one application.

    Takes the host and port to bind (port 0 takes a free one), how many `threads` there may be at most, and
    a function that is told whatever the server has done, from the thread that did it. Raises `OSError` when
    the address cannot be had, `socket.gaierror` when the host has none.
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
        listener = _listening(host, port)
        # The IP address that the host's name stands for.
        self.address: str = listener.getsockname()[0]
        self.port: int = listener.getsockname()[1]
        self._closing = False
        self._next_look = 0.0
        # Held by whoever wakes the server, or closes what it is woken with. A signal handler may be second.
        self._waking = threading.RLock()
        self._map: dict[int, Any] = {}
        self._workers = _Workers(threads)
        self._waitress = _Waitress(app, self._map, listener, self._workers, on_served)
        # Only Linux has what it takes.
        self._parking = _IdleStreams(self._map, self._waitress) if hasattr(select, "epoll") else None
        self._waitress.parking = self._parking
        _servers.add(self)

    def under_way(self) -> int:
        """How many requests there are to read or to answer, those that wait for something included."""
        if self._closing:
            return 0
        channels = self._channels()
        answering = [one for one in channels if one.requests or one.total_outbufs_len]
        waiting = selectors.DefaultSelector()
        with closing(waiting):
            silent = [one for one in channels if one not in answering]
            for one in [self._waitress, *silent]:
                # One that closes just now has nothing more to say.
                with suppress(OSError, ValueError, KeyError):
                    if one.socket is not None:
                        waiting.register(one.socket, selectors.EVENT_READ)
            return len(answering) + len(waiting.select(0))

    @property
    def url(self) -> str:
        """Where it can be reached."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    def run(self) -> None:
        """Serve until `close` is called; then let go of whoever still waits, and end every thread."""
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
                self._waitress.pull_trigger()

    def _turn(self, timeout: float) -> None:
        """Wait for the sockets once, at most `timeout` seconds, and do what they ask for."""
        now = monotonic()
        full = len(self._map) >= self._waitress.adj.connection_limit
        if full or now >= self._next_look:
            self._next_look = now + _LOOK
            self._close_what_is_held_for_nothing(now, full=full)
        sockets = self._map if self._parking is None else self._parking.others()
        self._waitress.asyncore.loop(timeout=timeout, use_poll=True, map=sockets, count=1)

    def _close_what_is_held_for_nothing(self, now: float, *, full: bool) -> None:
        """Close the connections of clients that take too long to send a request or to take an answer.

        When there is no room for another one (`full`), close those as well that have been silent, or in the
        middle of a request, for the longest time.
        """
        waiting: list[_Channel] = []
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
        self._waitress.stop_listening()
        self._workers.close()
        ended = threading.Event()
        # A script that blocks holds the world's lock, and may do so for longer than anybody waits here.
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
        if self._parking is not None:
            self._parking.close()
        # What wakes this loop is closed when no thread is left that might do so.
        closing = threading.Thread(target=self._close_trigger, name="output-mock-end", daemon=True)
        closing.start()
        closing.join(_GRACE)

    def _let_go(self, ended: threading.Event) -> None:
        """End all waiting, also that which only begins now."""
        while True:
            self.app.wake_all_waiters()
            if ended.wait(0.02):
                return

    def _close_trigger(self) -> None:
        self._workers.join()
        with self._waking:
            self._waitress.close_trigger()

    def _channels(self) -> list[_Channel]:
        return [one for one in list(self._map.values()) if isinstance(one, _Channel)]

    def _unfinished(self) -> bool:
        return self._workers.busy or any(channel.total_outbufs_len for channel in self._channels())


@contextmanager
def running(app: Application, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Serve in a thread of its own while the block runs, and yield the URL. Port 0 takes a free one."""
    server = Server(app, host, port)
    thread = threading.Thread(target=server.run, name="output-mock-server", daemon=True)
    thread.start()
    try:
        yield server.url
    finally:
        server.close()
        thread.join()


def _listening(host: str, port: int) -> socket.socket:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    # Of a name with addresses of both kinds (localhost), the one that every client tries.
    family, kind, protocol, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener


def allow_many_connections() -> None:
    """Let this process open as many files as it may, where it was given fewer; each connection is one."""
    try:
        import resource
    except ImportError:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        # macOS has a limit of its own, which it does not tell.
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _most_connections() -> int:
    """How many files may be open, less some for other things; beyond that new connections have to wait."""
    try:
        import resource
    except ImportError:
        # Windows, where `select` takes no more than 512.
        return 500
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 100_000 if soft == resource.RLIM_INFINITY else max(soft - 50, soft // 2)


class _Workers(ThreadedTaskDispatcher):
    """As many threads as there are requests being answered at once, up to a limit."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit
        self._started: list[threading.Thread] = []
        self._serving = 0
        self._closed = False
        self._warned = False

    @property
    def busy(self) -> bool:
        """Whether a request is being answered, or waits for it."""
        with self.lock:
            return bool(self.queue) or self._serving > 0

    def add_task(self, task: Any) -> None:
        """Have a thread serve `task`, in its turn."""
        with self.lock:
            if self._closed:
                task.cancel()
                return
            self.queue.append(task)
            if len(self.queue) <= len(self._started) - self._serving:
                self.queue_cv.notify()
                return
            if len(self._started) >= self._limit:
                self._warn()
                return
            thread = threading.Thread(
                target=self._work, name=f"output-mock-{len(self._started) + 1}", daemon=True
            )
            try:
                thread.start()
            except RuntimeError:
                # The machine has no more of them: this is the limit, then.
                self._limit = max(1, len(self._started))
                self._warn()
                return
            self._started.append(thread)

    def _warn(self) -> None:
        if not self._warned:
            self._warned = True
            self.queue_logger.warning(
                "all %d threads are answering requests (streams, most likely); others wait for one to end",
                self._limit,
            )

    def _work(self) -> None:
        while True:
            with self.lock:
                while not self.queue:
                    if self._closed:
                        self._started.remove(threading.current_thread())
                        return
                    self.queue_cv.wait()
                task: Any = self.queue.popleft()
                self._serving += 1
            try:
                task.service()
            except BaseException:
                # Whatever it was, the thread goes on with the next request.
                if not self._closed:
                    self.logger.exception("Exception when servicing %r", task)
            finally:
                with self.lock:
                    self._serving -= 1

    def close(self) -> None:
        """Begin nothing more; threads end with what they are doing."""
        with self.lock:
            self._closed = True
            waiting: list[Any] = list(self.queue)
            self.queue.clear()
            for task in waiting:
                task.cancel()
            self.queue_cv.notify_all()

    def join(self) -> None:
        """Wait for all threads to end."""
        for thread in list(self._started):
            thread.join()


class _Reporting(Task):
    """Tells what was served. A stream is an answer that does not say how long it is."""

    _began = 0.0
    _streaming = False

    def service(self) -> None:
        self._began = monotonic()
        try:
            super().service()
        finally:
            _channel_of(self).unwatch()
            if self.wrote_header:
                self._report("stream ends" if self._streaming else "answered")

    def build_response_header(self) -> bytes:
        header = super().build_response_header()
        if self.content_length is None and self.has_body:
            self._streaming = True
            _channel_of(self).watch()
            self._report("stream begins")
        return header

    def _report(self, stage: Stage) -> None:
        server = self.channel.server
        assert isinstance(server, _Waitress)
        if server.on_served is not None:
            request: Any = self.request
            server.on_served(
                Served(
                    stage,
                    # A request that cannot even be read has neither.
                    getattr(request, "command", None) or "?",
                    getattr(request, "request_uri", "?"),
                    int(self.status[:3]),
                    monotonic() - self._began,
                )
            )


class _Task(_Reporting, WSGITask):
    def execute(self) -> None:
        try:
            super().execute()
        except (Dropped, TimedOut):
            raise
        except OSError as error:
            # Waitress takes each of these for a client that has gone, and says nothing. But what goes wrong
            # with a client's socket does not come here: this is a full disk, or a date that no clock has.
            raise RuntimeError(f"the application failed: {error}") from error

    def _give_up(self, answer: Response) -> None:
        """Have the client get this answer, as this task's thread does not come back, and end the connection.
        Called from another thread.
        """
        head = [f"HTTP/1.1 {answer.status}", *(f"{name}: {value}" for name, value in answer.headers)]
        text = "\r\n".join([*head, "Connection: close", "", ""]).encode("latin-1") + answer.get_data()
        # In the middle of an answer there is nothing that could be said.
        _channel_of(self).give_up(b"" if self.wrote_header else text)

    def get_environment(self) -> WSGIEnvironment:
        environ = super().get_environment()
        environ[WHEN_GONE] = _channel_of(self).when_gone
        environ[GIVE_UP] = self._give_up
        environ[RESET] = _channel_of(self).end_in_reset
        environ[LOCAL_ADDRESS] = _channel_of(self).local_address
        return environ


class _ErrorTask(_Reporting, ErrorTask):
    def execute(self) -> None:
        request: Any = self.request
        if isinstance(request.error, RequestHeaderFieldsTooLarge):
            self._refuse_head()
        else:
            super().execute()

    def _refuse_head(self) -> None:
        """Answer as Node does, which has no more to say than this."""
        self.status = status_line(head_limit.STATUS)
        self.wrote_header = True
        self.close_on_finish = True
        self.content_length = 0
        lines = [f"HTTP/1.1 {self.status}", *(f"{name}: {value}" for name, value in head_limit.HEADERS)]
        self.channel.write_soon("\r\n".join([*lines, "", ""]).encode())


class _Parser(HTTPRequestParser):
    """Reads a request, and refuses one whose head is too large for Node."""

    def received(self, data: bytes) -> int:
        begun = None if self.headers_finished else self.header_plus
        consumed = super().received(data)
        if begun is not None:
            head = begun + data[:consumed]
            # What is counted is never more than what there is.
            if len(head) >= head_limit.LIMIT and head_limit.size_of_bytes(head) >= head_limit.LIMIT:
                self.error = RequestHeaderFieldsTooLarge("")
                self.completed = True
        return consumed


def _channel_of(task: Task) -> _Channel:
    channel = task.channel
    assert isinstance(channel, _Channel)
    return channel


class _Channel(HTTPChannel):
    """A connection.

    While a request is being answered nothing more is read from it, so a client that only finishes sending
    still gets its answer. Not so when the connection is watched, which it is for streams and for requests
    that ask for it (`when_gone`): then its end is taken for the client's, and noticed at once.
    """

    parser_class = _Parser
    task_class = _Task
    error_task_class = _ErrorTask
    server: _Waitress
    watched = False
    parked = False
    _gone: Callable[[], object] | None = None
    _given_up = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Since when it waits for a request, or for the rest of one.
        self.since: float = monotonic()

    def watch(self) -> None:
        """Notice from now on when the client leaves, while its request is being answered."""
        if not self.watched:
            self.watched = True
            if self.server.parking is not None:
                self.server.parking.look_at(self)
            # The server's thread is waiting for sockets, and this is not one of them yet.
            self.server.pull_trigger()

    def unwatch(self) -> None:
        """The request has been answered."""
        self.watched, self._gone = False, None
        self._stir()

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

    def _stir(self) -> None:
        if self.server.parking is not None:
            self.server.parking.stir(self)

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
        self._stir()
        self.server.pull_trigger()

    def write_soon(self, data: Any) -> int:
        if self._given_up:
            raise ClientDisconnected
        try:
            return super().write_soon(data)
        finally:
            # What the client has not taken at once is sent by the server's thread.
            if self.writable():
                self._stir()

    def del_channel(self, map: Any = None) -> None:
        if self.server.parking is not None:
            self.server.parking.remove(self)
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


class _IdleStreams:
    """Where the connections are whose streams are silent.

    Waitress asks each of its sockets in each turn what to wait for, and there are some turns to a request:
    with a thousand open streams that took longer than the request itself. Those that are parked are left to
    the kernel (`epoll`), and cost nothing until something happens to them. For waitress this is one socket.

    All is done by the server's thread, but for `look_at` and `stir`, which any thread may call.
    """

    accepting = False

    def __init__(self, map: dict[int, Any], server: _Waitress) -> None:
        self._map = map
        self._server = server
        self._kernel = select.epoll()
        self._parked: dict[int, _Channel] = {}
        # Those that may be parked as soon as they are silent, and those that are no longer.
        self._candidates: deque[_Channel] = deque()
        self._stirred: deque[_Channel] = deque()

    def look_at(self, channel: _Channel) -> None:
        """Park it, as soon as it is silent."""
        self._candidates.append(channel)

    def stir(self, channel: _Channel) -> None:
        """It is no longer silent, if it was."""
        if channel.parked:
            self._stirred.append(channel)
            self._server.pull_trigger()

    def others(self) -> dict[int, Any]:
        """The sockets that a turn has to look at."""
        while self._stirred:
            self._leave(self._stirred.popleft())
        for _ in range(len(self._candidates)):
            self._consider(self._candidates.popleft())
        if not self._parked:
            return self._map
        found = {number: self._map[number] for number in self._map.keys() - self._parked.keys()}
        found[self._kernel.fileno()] = self
        return found

    def _consider(self, channel: _Channel) -> None:
        if channel.parked:
            # It was looked at for one request, and again for the next one.
            return
        if channel.silent:
            number = channel.fileno()
            self._kernel.register(number, select.EPOLLIN | select.EPOLLPRI)
            self._parked[number] = channel
            channel.parked = True
            # From now on it is stirred, but something may have happened just before.
            if channel.silent:
                return
        if not self._leave(channel) and channel.watched:
            self._candidates.append(channel)

    def _leave(self, channel: _Channel) -> bool:
        """Put it back among the others, and say whether it had been parked; it may be silent again soon."""
        if not channel.parked:
            return False
        self.remove(channel)
        if channel.watched:
            self._candidates.append(channel)
        return True

    def remove(self, channel: _Channel) -> None:
        """It is parked no longer."""
        if channel.parked:
            channel.parked = False
            number = channel.fileno()
            self._kernel.unregister(number)
            del self._parked[number]

    def close(self) -> None:
        """Give back what the kernel holds for it, when no connection is left."""
        self._kernel.close()

    # What waitress asks a socket for

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def handle_read_event(self) -> None:
        for number, flags in self._kernel.poll(0):
            channel = self._parked.get(number)
            if channel is not None:
                self._server.asyncore.readwrite(channel, flags)
                if not channel.silent:
                    self._leave(channel)


class _Waitress(TcpWSGIServer):
    channel_class = _Channel
    parking: _IdleStreams | None = None

    def __init__(
        self,
        app: Application,
        map: dict[int, Any],
        listener: socket.socket,
        workers: _Workers,
        on_served: OnServed | None,
    ) -> None:
        self.on_served = on_served
        adjustments = Adjustments(
            sockets=[listener],
            ident=None,
            connection_limit=_most_connections(),
            clear_untrusted_proxy_headers=False,
            # A client that breaks off is no error of this server.
            log_socket_errors=False,
            # Far beyond what the API takes, and refused before it fills the disk.
            max_request_body_size=_LARGEST_BODY,
            # So much waits for a client that reads slowly, and then its stream waits, too.
            outbuf_high_watermark=_UNREAD,
            # Enough for any head: what is not read when a connection closes has it end in a reset.
            recv_bytes=_READ,
        )
        super().__init__(
            app,
            map,
            _sock=listener,
            dispatcher=workers,
            adj=adjustments,
            sockinfo=(listener.family, listener.type, listener.proto, listener.getsockname()),
            bind_socket=False,
        )

    def stop_listening(self) -> None:
        """Accept no more connections; go on with those that there are."""
        self.accepting = False
        self.del_channel()
        assert self.socket is not None
        self.socket.close()

    def close_trigger(self) -> None:
        """Close what other threads wake the server's with."""
        trigger: Any = self.trigger
        trigger.close()
