"""Calls of `httpx` to a fake's URL, answered in process: sync ones in their thread, async ones in another."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from weakref import WeakKeyDictionary

import anyio
import anyio.to_thread
import httpx

from output_mock.http.faults import Dropped, TimedOut
from output_mock.in_process import door_to
from output_mock.in_process.door import Answer, Door

# As httpx words what happens when a server breaks off.
_NO_ANSWER = "Server disconnected without sending a response."
_HALF_AN_ANSWER = "peer closed connection without sending complete message body (incomplete chunked read)"


def _ask(door: Door, request: httpx.Request, body: bytes) -> Answer:
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw]
    patience = request.extensions.get("timeout", {}).get("read")
    try:
        return door.ask(
            request.method, request.url.raw_path.decode("ascii"), headers, body, patience=patience
        )
    except Dropped:
        raise httpx.RemoteProtocolError(_NO_ANSWER, request=request) from None
    except TimedOut as error:
        raise httpx.ReadTimeout(str(error), request=request) from None


def _response(answer: Answer, stream: httpx.SyncByteStream | httpx.AsyncByteStream) -> httpx.Response:
    return httpx.Response(
        answer.status,
        headers=answer.headers,
        stream=stream if answer.body is None else httpx.ByteStream(answer.body),
        extensions={"http_version": b"HTTP/1.1", "reason_phrase": answer.reason.encode("ascii", "replace")},
    )


class _Stream(httpx.SyncByteStream):
    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        try:
            while (piece := self._answer.next_piece()) is not None:
                yield piece
        except Dropped:
            raise httpx.RemoteProtocolError(_HALF_AN_ANSWER) from None

    def close(self) -> None:
        self._answer.close()


class _AsyncStream(httpx.AsyncByteStream):
    def __init__(self, answer: Answer, door: Door) -> None:
        self._answer = answer
        self._door = door

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            while (piece := await _in_thread(self._door, self._answer.next_piece)) is not None:
                yield piece
        except Dropped:
            raise httpx.RemoteProtocolError(_HALF_AN_ANSWER) from None

    async def aclose(self) -> None:
        self._answer.close()


async def _in_thread(door: Door, call: Callable[..., Any], *arguments: Any) -> Any:
    """What waits for the fake must not hold the client's event loop."""
    # As many as want to may wait; the event loop's own limit would hold back those whom they wait for.
    nobody_else = anyio.CapacityLimiter(1)
    with door.app.busy():
        return await anyio.to_thread.run_sync(call, *arguments, abandon_on_cancel=True, limiter=nobody_else)


class _Transport(httpx.BaseTransport):
    """Sends requests to the fakes that their URLs belong to."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        door = door_to(str(request.url))
        if door is None:
            return super().handle_request(request)
        answer = _ask(door, request, request.read())
        return _response(answer, _Stream(answer))


class _AsyncTransport(httpx.AsyncBaseTransport):
    """Sends requests to the fakes that their URLs belong to."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        door = door_to(str(request.url))
        if door is None:
            return await super().handle_async_request(request)
        body = await request.aread()
        answer = await _in_thread(door, _ask, door, request, body)
        return _response(answer, _AsyncStream(answer, door))


class _SocketTransport(_Transport, httpx.HTTPTransport):
    """Stands in the place of `HTTPTransport`."""


class _AsyncSocketTransport(_AsyncTransport, httpx.AsyncHTTPTransport):
    """Stands in the place of `AsyncHTTPTransport`."""


_TRANSPORTS = (httpx.BaseTransport, httpx.AsyncBaseTransport)
_SOCKET_TRANSPORTS = (httpx.HTTPTransport, httpx.AsyncHTTPTransport)
# Kinds of transports, and those that do all that they do, and send to fakes what is theirs.
_answering: dict[type, type] = {
    httpx.HTTPTransport: _SocketTransport,
    httpx.AsyncHTTPTransport: _AsyncSocketTransport,
}
# The transports inside of clients' own that send to fakes for the time being, and what they are otherwise.
_taught: WeakKeyDictionary[Any, type] = WeakKeyDictionary()


def _teach(transport: Any) -> bool:
    """Have a client's own transport send to fakes what is theirs, where it would send it to a socket: it may
    retry, log, sign. Returns whether there is such a place, in it or in a transport that it keeps.
    """
    found, seen, ahead = False, set(), [transport]
    while ahead:
        one = ahead.pop()
        if isinstance(one, _TRANSPORTS) and id(one) not in seen:
            seen.add(id(one))
            if isinstance(one, _SOCKET_TRANSPORTS):
                found = True
                if not isinstance(one, (_Transport, _AsyncTransport)):
                    # Its class changes, as neither a copy nor a wrapper would share its state with whoever
                    # keeps it, and as a method of the class is what pytest-httpx and vcrpy replace.
                    _taught[one] = kind = type(one)
                    one.__class__ = _answering_as(kind)
            ahead += vars(one).values()
        elif isinstance(one, (list, tuple)):
            ahead += one
        elif isinstance(one, dict):
            ahead += one.values()
    return found


def _answering_as(kind: type) -> type:
    if kind not in _answering:
        below = _SocketTransport if issubclass(kind, httpx.HTTPTransport) else _AsyncSocketTransport
        _answering[kind] = type(kind.__name__, (kind, below), {})
    return _answering[kind]


class _Sending:
    """A client that sends by this transport."""

    def __init__(self, client: Any, transport: Any) -> None:
        self._client = client
        self._transport = transport

    def _transport_for_url(self, url: httpx.URL) -> Any:
        return self._transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


def _chosen(client: Any, url: httpx.URL) -> Any:
    """The transport that a client has for this URL. Not as the client says, for whom respx may speak."""
    for pattern, transport in client._mounts.items():
        if pattern.matches(url):
            return client._transport if transport is None else transport
    return client._transport


# Private to httpx, and the last place that a request comes through whatever transport sends it; below it, a
# test's other tools (respx, pytest-httpx, vcrpy) have their own places.
_SEND = "_send_single_request"
_sends: dict[type, Callable[..., Any]] = {}


def install() -> None:
    """Answer what clients send to the fakes that are open. Raises `RuntimeError` for a version of httpx whose
    clients send otherwise.
    """
    for kind, transport in ((httpx.Client, _Transport), (httpx.AsyncClient, _AsyncTransport)):
        send = getattr(kind, _SEND, None)
        if send is None:
            raise RuntimeError(
                f"httpx {httpx.__version__} cannot be reached in process; install httpx>=0.24,<1, or use "
                "output_server"
            )
        _sends[kind] = send
        setattr(kind, _SEND, _sending(send, transport()))


def _sending(send: Callable[..., Any], direct: Any) -> Callable[..., Any]:
    @functools.wraps(send)
    def send_single_request(client: Any, request: httpx.Request) -> Any:
        if door_to(str(request.url)) is None:
            return send(client, request)
        own = _chosen(client, request.url)
        plain = type(own) in _SOCKET_TRANSPORTS
        return send(_Sending(client, direct if plain or not _teach(own) else own), request)

    return send_single_request


def uninstall() -> None:
    """Leave httpx as it was."""
    for kind, send in _sends.items():
        setattr(kind, _SEND, send)
    _sends.clear()
    for transport, kind in list(_taught.items()):
        transport.__class__ = kind
    _taught.clear()
