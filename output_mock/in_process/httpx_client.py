"""Calls of `httpx` to a fake's URL, answered in process: sync ones in their thread, async ones in another."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

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
    with door.app.busy():
        return await anyio.to_thread.run_sync(call, *arguments, abandon_on_cancel=True)


class _Transport(httpx.BaseTransport):
    def __init__(self, door: Door) -> None:
        self._door = door

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = _ask(self._door, request, request.read())
        return _response(answer, _Stream(answer))


class _AsyncTransport(httpx.AsyncBaseTransport):
    def __init__(self, door: Door) -> None:
        self._door = door

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = await request.aread()
        answer = await _in_thread(self._door, _ask, self._door, request, body)
        return _response(answer, _AsyncStream(answer, self._door))


# Private to httpx, and the one place where it decides where a request goes; below it, a test's other tools
# (respx, pytest-httpx, vcrpy) have their own places.
_CHOICE = "_transport_for_url"
_choices: dict[type, Callable[..., Any]] = {}


def install() -> None:
    """Answer what clients send to the fakes that are open. Raises `RuntimeError` for a version of httpx whose
    clients decide otherwise.
    """
    for kind, transport in ((httpx.Client, _Transport), (httpx.AsyncClient, _AsyncTransport)):
        choice = getattr(kind, _CHOICE, None)
        if choice is None:
            raise RuntimeError(
                f"httpx {httpx.__version__} cannot be reached in process; install httpx>=0.24,<1, or use "
                "output_server"
            )
        _choices[kind] = choice
        setattr(kind, _CHOICE, _choosing(choice, transport))


def _choosing(choice: Callable[..., Any], transport: Callable[[Door], Any]) -> Callable[..., Any]:
    def transport_for_url(client: Any, url: httpx.URL) -> Any:
        door = door_to(str(url))
        return choice(client, url) if door is None else transport(door)

    return transport_for_url


def uninstall() -> None:
    """Leave httpx as it was."""
    for kind, choice in _choices.items():
        setattr(kind, _CHOICE, choice)
    _choices.clear()
