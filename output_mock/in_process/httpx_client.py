"""Answers requests of `httpx`, or of its successor `httpx2`, in process: sync ones in their thread, async
ones in another.
"""

from __future__ import annotations

import errno
import functools
import inspect
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary

# Both packages depend on them: on h11 through httpcore.
import anyio
import anyio.to_thread
import h11

from output_mock.http.faults import Dropped
from output_mock.in_process import wire
from output_mock.in_process.mount import InProcessAnswer, MountedApp, app_for_url
from output_mock.patience import TimedOut
from output_mock.real_time import monotonic

# As many bytes as httpx reads from a socket at once.
_READ = 64 * 1024
# As httpx words what happens when a server breaks off.
_NO_ANSWER = "Server disconnected without sending a response."
_HALF_A_BODY = "peer closed connection without sending complete message body"
_HALF_A_STREAM = f"{_HALF_A_BODY} (incomplete chunked read)"
# Private to httpx. Every request passes here, whatever transport sends it. Other tools (respx, pytest-httpx,
# vcrpy) patch places below it.
_SEND = "_send_single_request"
# The anyio option that lets a thread be abandoned; before 4.1 it had another name.
_LEAVE_BEHIND = (
    "abandon_on_cancel"
    if "abandon_on_cancel" in inspect.signature(anyio.to_thread.run_sync).parameters
    else "cancellable"
)


async def _in_thread(mounted: MountedApp, call: Callable[..., Any], *arguments: Any) -> Any:
    """Run it in a thread, so that waiting for the fake does not block the client's event loop."""
    # No limit on waiting threads: the event loop's own limit could hold back the requests that they wait for.
    nobody_else = anyio.CapacityLimiter(1)
    options: dict[str, Any] = {_LEAVE_BEHIND: True, "limiter": nobody_else}
    with mounted.busy():
        return await anyio.to_thread.run_sync(call, *arguments, **options)


class _Pool:
    """Counts how many connections a transport may have at once, and how many of them are free."""

    def __init__(self, most: int) -> None:
        self._free = most
        self._lock = threading.Lock()
        # Those that wait for a connection, in order.
        self._waiting: list[Callable[[], object]] = []

    def take(self, wake: Callable[[], object]) -> bool:
        """Take a connection. If none is free, `wake` is called as soon as one may be."""
        with self._lock:
            if self._free > 0:
                self._free -= 1
                return True
            self._waiting.append(wake)
            return False

    def give_up(self, wake: Callable[[], object]) -> None:
        """Stop waiting; the next in the queue is woken instead."""
        with self._lock:
            if wake in self._waiting:
                self._waiting.remove(wake)
                return
            following = self._waiting.pop(0) if self._waiting and self._free > 0 else None
        if following is not None:
            following()

    def give_back(self) -> None:
        """Give back a connection that is no longer in use."""
        with self._lock:
            self._free += 1
            following = self._waiting.pop(0) if self._waiting else None
        if following is not None:
            following()


class _Lease:
    """A connection in use. Giving it back twice has no further effect."""

    def __init__(self, pool: _Pool | None) -> None:
        self._pool = pool

    def end(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.give_back()


class _Writing:
    """Writes a request as it is written to a socket, by the same library, which refuses what is no HTTP: an
    empty token, a line break in a header, a body that is longer than its `Content-Length`.

    The request itself stays as it is: a body that can be read only once has been read then. Raises the
    package's `LocalProtocolError` for the head, and that of h11 for the body, as httpx does.
    """

    def __init__(self, package: Any, request: Any) -> None:
        self._connection = h11.Connection(h11.CLIENT)
        try:
            head = h11.Request(
                method=request.method, target=request.url.raw_path, headers=request.headers.raw
            )
        except h11.LocalProtocolError as error:
            raise package.LocalProtocolError(str(error)) from error
        self._written = [self._connection.send(head)]

    def add(self, piece: bytes) -> None:
        """Write a piece of the body."""
        self._written.append(self._connection.send(h11.Data(data=piece)))

    def end(self) -> wire.Request:
        """Write the end of the body, and return what a server reads."""
        self._written.append(self._connection.send(h11.EndOfMessage()))
        return wire.parse(b"".join(filter(None, self._written)))


class _Sending:
    """A client that sends with this transport."""

    def __init__(self, client: Any, transport: Any) -> None:
        self._client = client
        self._transport = transport

    def _transport_for_url(self, url: Any) -> Any:
        return self._transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


def _chosen(client: Any, url: Any) -> Any:
    """The transport that a client has for this URL. Does not ask the client, as respx may have
    patched that.
    """
    for pattern, transport in client._mounts.items():
        if pattern.matches(url):
            return client._transport if transport is None else transport
    return client._transport


def _attributes(transport: Any) -> Iterator[Any]:
    """The values of the attributes of a transport, of those in slots, too."""
    yield from vars(transport).values()
    for kind in type(transport).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            yield getattr(transport, name, None)


class HttpxClient:
    """Intercepts the requests of `httpx` or `httpx2`. Takes the package."""

    def __init__(self, package: ModuleType) -> None:
        self.package: Any = package
        self._stream: type = type("AnswerStream", (_Stream, package.SyncByteStream), {})
        self._async_stream: type = type("AsyncAnswerStream", (_AsyncStream, package.AsyncByteStream), {})
        self._answering, self._async_answering = _answering_transports(self)
        self._sockets: tuple[type, type] = (package.HTTPTransport, package.AsyncHTTPTransport)
        # Classes of transports, and for each a subclass that also sends requests to fakes.
        self._kinds: dict[type, type] = {}
        # The inner transports of clients that currently send to fakes, and their original classes.
        self._taught: WeakKeyDictionary[Any, type] = WeakKeyDictionary()
        self._sends: dict[type, Callable[..., Any]] = {}
        # By the connection pools of transports.
        self._pools: WeakKeyDictionary[Any, _Pool] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def install(self) -> None:
        """Answer what clients send to open fakes. Raises `RuntimeError` for an unsupported version of the
        package.
        """
        package = self.package
        for kind in (package.Client, package.AsyncClient):
            send = getattr(kind, _SEND, None)
            if send is None:
                raise RuntimeError(
                    f"requests of {package.__name__} {package.__version__} cannot be answered in process; "
                    f"use output_server, or install httpx>=0.24,<1 or httpx2>=2,<3"
                )
            self._sends[kind] = send
            setattr(kind, _SEND, self._sending(send))

    def uninstall(self) -> None:
        """Leave the package as it was."""
        for kind, send in self._sends.items():
            setattr(kind, _SEND, send)
        self._sends.clear()
        for transport, kind in list(self._taught.items()):
            transport.__class__ = kind
        self._taught.clear()

    def _sending(self, send: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(send)
        def send_single_request(client: Any, request: Any) -> Any:
            if app_for_url(str(request.url)) is None:
                return send(client, request)
            own = _chosen(client, request.url)
            if type(own) in self._sockets or not self._teach(own):
                own = _Direct(self, own)
            return send(_Sending(client, own), request)

        return send_single_request

    def _teach(self, transport: Any) -> bool:
        """Let a client's own transport, which may retry, log or sign, send requests for fakes to them where
        it would otherwise use a socket. Returns whether such a place exists, in it or in a transport or
        client that it sends with.
        """
        kinds = (self.package.BaseTransport, self.package.AsyncBaseTransport)
        clients = (self.package.Client, self.package.AsyncClient)
        found, seen, ahead = False, set(), [transport]
        while ahead:
            one = ahead.pop()
            if isinstance(one, kinds) and id(one) not in seen:
                seen.add(id(one))
                if isinstance(one, self._sockets):
                    found = True
                    if not isinstance(one, (self._answering, self._async_answering)):
                        # Change its class: a copy or a wrapper would not share its state with the code that
                        # holds it, and pytest-httpx and vcrpy replace methods of the class.
                        self._taught[one] = kind = type(one)
                        one.__class__ = self._answering_as(kind)
                ahead += _attributes(one)
            elif isinstance(one, clients):
                # What it sends comes by here, too.
                found = True
            elif isinstance(one, (list, tuple)):
                ahead += one
            elif isinstance(one, dict):
                ahead += one.values()
        return found

    def _answering_as(self, kind: type) -> type:
        if kind not in self._kinds:
            sync = issubclass(kind, self.package.HTTPTransport)
            mixin = self._answering if sync else self._async_answering
            base = self._sockets[0 if sync else 1]
            # Below the client's own class, and above what opens a socket.
            below = type(base.__name__, (mixin, base), {})
            self._kinds[kind] = below if kind is base else type(kind.__name__, (kind, below), {})
        return self._kinds[kind]

    # What a transport does

    def answer(self, mounted: MountedApp, request: Any, transport: Any) -> Any:
        """The fake's response to a request of this transport. Raises the package's own errors if there is
        none.
        """
        if _seconds(request, "connect") == 0:
            # A socket that does not wait is not connected yet.
            raise self.package.ConnectError(
                str(BlockingIOError(errno.EINPROGRESS, os.strerror(errno.EINPROGRESS)))
            )
        lease = self._lease(request, transport)
        try:
            writing = _Writing(self.package, request)
            for piece in request.stream:
                writing.add(piece)
            return self._response(self._ask(mounted, request, writing.end()), self._stream, mounted, lease)
        except BaseException:
            lease.end()
            raise

    async def answer_async(self, mounted: MountedApp, request: Any, transport: Any) -> Any:
        """The same, for an async transport."""
        if _seconds(request, "connect") == 0:
            raise self.package.ConnectTimeout("")
        lease = await self._lease_async(request, transport)
        try:
            writing = _Writing(self.package, request)
            async for piece in request.stream:
                writing.add(piece)
            answer = await _in_thread(mounted, self._ask, mounted, request, writing.end())
            return self._response(answer, self._async_stream, mounted, lease)
        except BaseException:
            lease.end()
            raise

    def _ask(self, mounted: MountedApp, request: Any, sent: wire.Request) -> InProcessAnswer:
        with self.errors(_NO_ANSWER):
            return mounted.ask(*sent, patience=_seconds(request, "read"))

    @contextmanager
    def errors(self, no_more: str) -> Iterator[None]:
        """Turn what happens to a connection into the package's errors; `no_more` is the message for a closed
        one.
        """
        package = self.package
        try:
            yield
        except Dropped:
            raise package.RemoteProtocolError(no_more) from None
        except ConnectionResetError as error:
            raise package.ReadError(str(error)) from None
        except TimedOut as error:
            raise package.ReadTimeout(str(error)) from None

    def _response(self, answer: InProcessAnswer, stream: type, mounted: MountedApp, lease: _Lease) -> Any:
        return self.package.Response(
            answer.status,
            headers=answer.headers,
            stream=stream(self, answer, mounted, lease),
            extensions={
                "http_version": b"HTTP/1.1",
                "reason_phrase": answer.reason.encode("ascii", "replace"),
            },
        )

    # Limits of connection pools

    def _pool(self, transport: Any) -> _Pool | None:
        """The pool of a transport; None when it has none, or one of an unknown kind."""
        pool = getattr(transport, "_pool", None)
        most = getattr(pool, "_max_connections", None)
        if not isinstance(most, int):
            return None
        with self._lock:
            known = self._pools.get(pool)
            if known is None:
                known = self._pools[pool] = _Pool(most)
            return known

    def _lease(self, request: Any, transport: Any) -> _Lease:
        pool = self._pool(transport)
        if pool is None:
            return _Lease(None)
        freed = threading.Event()
        seconds = _seconds(request, "pool")
        limit = None if seconds is None else monotonic() + seconds
        try:
            while not pool.take(freed.set):
                if not freed.wait(None if limit is None else max(0.0, limit - monotonic())):
                    raise self.package.PoolTimeout("")
                freed.clear()
        finally:
            pool.give_up(freed.set)
        return _Lease(pool)

    async def _lease_async(self, request: Any, transport: Any) -> _Lease:
        pool = self._pool(transport)
        if pool is None:
            return _Lease(None)
        freed = anyio.Event()
        try:
            with anyio.fail_after(_seconds(request, "pool")):
                while not pool.take(freed.set):
                    await freed.wait()
                    freed = anyio.Event()
        except TimeoutError:
            raise self.package.PoolTimeout("") from None
        finally:
            pool.give_up(freed.set)
        return _Lease(pool)


def _seconds(request: Any, which: str) -> float | None:
    """How long a client waits to be connected (`connect`), for a connection that is free (`pool`) or for
    bytes (`read`); None: for ever.
    """
    seconds: float | None = request.extensions.get("timeout", {}).get(which)
    return seconds


class _Direct:
    """Sends to fakes, in place of a plain transport."""

    def __init__(self, client: HttpxClient, transport: Any) -> None:
        self._client = client
        self._transport = transport

    def handle_request(self, request: Any) -> Any:
        return self._client.answer(_the_app(self._client, request), request, self._transport)

    async def handle_async_request(self, request: Any) -> Any:
        return await self._client.answer_async(_the_app(self._client, request), request, self._transport)


def _the_app(client: HttpxClient, request: Any) -> MountedApp:
    mounted = app_for_url(str(request.url))
    if mounted is None:
        raise client.package.ConnectError(f"the fake at {request.url} is closed")
    return mounted


def _answering_transports(client: HttpxClient) -> tuple[type, type]:
    """Mixins that make a transport, sync or async, send requests for fakes to them."""

    class Answering:
        def handle_request(self, request: Any) -> Any:
            mounted = app_for_url(str(request.url))
            if mounted is None:
                otherwise: Any = super()
                return otherwise.handle_request(request)
            return client.answer(mounted, request, self)

    class AsyncAnswering:
        async def handle_async_request(self, request: Any) -> Any:
            mounted = app_for_url(str(request.url))
            if mounted is None:
                otherwise: Any = super()
                return await otherwise.handle_async_request(request)
            return await client.answer_async(mounted, request, self)

    return Answering, AsyncAnswering


def _pieces(body: bytes) -> Iterator[bytes]:
    """A whole body, in the pieces in which it is read from a socket."""
    for begin in range(0, len(body), _READ):
        yield body[begin : begin + _READ]


class _Body:
    """The body of an answer, and its connection."""

    def __init__(
        self, client: HttpxClient, answer: InProcessAnswer, mounted: MountedApp, lease: _Lease
    ) -> None:
        self._client = client
        self._answer = answer
        self._mounted = mounted
        self._lease = lease
        self._received = 0

    def _next(self) -> bytes | None:
        headers = {name.lower(): value for name, value in self._answer.headers}
        expected = headers.get("content-length")
        half = _HALF_A_STREAM
        if expected is not None:
            half = f"{_HALF_A_BODY} (received {self._received} bytes, expected {expected})"
        with self._client.errors(half):
            piece = self._answer.next_piece()
        self._received += len(piece or b"")
        return piece

    def _end(self) -> None:
        self._answer.close()
        self._lease.end()


class _Stream(_Body):
    def __iter__(self) -> Iterator[bytes]:
        try:
            if self._answer.body is not None:
                yield from _pieces(self._answer.body)
                return
            while (piece := self._next()) is not None:
                yield piece
        except BaseException:
            self._end()
            raise

    def close(self) -> None:
        self._end()


class _AsyncStream(_Body):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            if self._answer.body is not None:
                for part in _pieces(self._answer.body):
                    yield part
                return
            while (piece := await _in_thread(self._mounted, self._next)) is not None:
                yield piece
        except BaseException:
            self._end()
            raise

    async def aclose(self) -> None:
        self._end()
