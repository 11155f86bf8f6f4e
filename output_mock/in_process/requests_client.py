"""Calls of `requests` to a fake's URL, answered in process.

`responses` makes the answers, with the retries that the client's own adapter asks for. It is not put where
it usually is, in `HTTPAdapter.send`: a test may have `responses` there for its other hosts, and the innermost
one takes all. So a session that looks for the adapter of a fake's URL is given one of ours.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Generator
from http.client import IncompleteRead, RemoteDisconnected
from typing import Any

import requests
import responses
from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3 import HTTPHeaderDict, HTTPResponse
from urllib3.exceptions import HTTPError, MaxRetryError, ProtocolError, ReadTimeoutError
from urllib3.util.retry import Retry

from output_mock.http.faults import Dropped, TimedOut
from output_mock.in_process import door_to
from output_mock.in_process.door import Answer


class _NoAnswer(Exception):
    """A call that got no answer; what urllib3 would have raised."""

    def __init__(self, error: HTTPError) -> None:
        super().__init__()
        self.error = error


class _Answering(HTTPAdapter):
    """Where `responses` sits."""

    def __init__(self, given: BaseAdapter) -> None:
        # No connections, hence no pools.
        retries = getattr(given, "max_retries", None)
        self.max_retries = retries if isinstance(retries, Retry) else Retry(0, read=False)
        self.config = {}

    def close(self) -> None:
        """There is nothing to close."""


# It sits there for good, as nobody but a fake's own adapter comes there.
_mock = responses.RequestsMock(
    assert_all_requests_are_fired=False, target=f"{__name__}.{_Answering.__name__}.send"
)


class InProcessAdapter(_Answering):
    """Stands in for the adapter that a session has `given` for this URL."""

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Send a request. Raises what `HTTPAdapter` raises when there is no answer."""
        retries = self.max_retries
        while True:
            try:
                return super().send(request, *args, **kwargs)
            except _NoAnswer as lost:
                try:
                    retries = retries.increment(request.method, request.url, error=lost.error)
                except MaxRetryError as error:
                    raise requests.ConnectionError(error, request=request) from lost.error
                except ReadTimeoutError as error:
                    raise requests.ReadTimeout(error, request=request) from lost.error
                except ProtocolError as error:
                    raise requests.ConnectionError(error, request=request) from lost.error


class _FromFake(responses.BaseResponse):
    """What `responses` finds for each request: the answer of the fake that its URL belongs to."""

    def matches(self, request: requests.PreparedRequest) -> tuple[bool, str]:
        """Every request that comes here is for a fake."""
        return True, ""

    def get_response(self, request: requests.PreparedRequest) -> HTTPResponse:
        """Ask the fake. Raises `_NoAnswer`."""
        # What `responses` notes down is noted by the fake as well.
        _mock.calls.reset()
        self.calls.reset()
        url, method = request.url or "", request.method or "GET"
        door = door_to(url)
        if door is None:
            raise requests.ConnectionError(f"the fake at {url} is closed", request=request)
        timeout = request.req_kwargs.get("timeout")  # type: ignore[attr-defined]
        patience = timeout[1] if isinstance(timeout, tuple) else timeout
        headers = [(name, _text(value)) for name, value in request.headers.items()]
        try:
            answer = door.ask(method, request.path_url, headers, _body(request.body), patience=patience)
        except Dropped:
            gone = RemoteDisconnected("Remote end closed connection without response")
            raise _NoAnswer(ProtocolError("Connection aborted.", gone)) from None
        except TimedOut as error:
            raise _NoAnswer(ReadTimeoutError(None, url, f"Read timed out: {error}")) from None  # type: ignore[arg-type]
        return _response(answer, method)


_mock.add(_FromFake("ANY", "http://fake/"))
_mock.start()


def _body(body: Any) -> bytes:
    if body is None:
        return b""
    if isinstance(body, str):
        return body.encode()
    if isinstance(body, bytes):
        return body
    if hasattr(body, "read"):
        return _body(body.read())
    return b"".join(_body(piece) for piece in body)


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _response(answer: Answer, method: str) -> HTTPResponse:
    if answer.body is not None:
        return HTTPResponse(
            body=io.BytesIO(answer.body),
            headers=HTTPHeaderDict(answer.headers),
            status=answer.status,
            reason=answer.reason,
            preload_content=False,
            request_method=method,
        )
    return _Arriving(
        body=_Pieces(answer),
        headers=HTTPHeaderDict([*answer.headers, ("Transfer-Encoding", "chunked")]),
        status=answer.status,
        reason=answer.reason,
        preload_content=False,
        request_method=method,
    )


class _Pieces(io.RawIOBase):
    """A body whose pieces can be read as they come."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Wait for a piece, and give as much of it as there is room for."""
        while not self._rest:
            try:
                piece = self._answer.next_piece()
            except Dropped:
                raise ProtocolError("Response ended prematurely", IncompleteRead(b"")) from None
            if piece is None:
                return 0
            self._rest = piece
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size

    def close(self) -> None:
        self._answer.close()
        super().close()


class _Arriving(HTTPResponse):
    """A chunked response: each piece is there as soon as it is sent, as it is from a socket."""

    def stream(
        self, amt: int | None = 2**16, decode_content: bool | None = None
    ) -> Generator[bytes, None, None]:
        """The body in pieces of at most `amt` bytes."""
        assert isinstance(self._fp, _Pieces)
        while piece := self._fp.read(amt or 2**16):
            yield piece
        self._fp.close()


# Where a session decides who sends a request.
_CHOICE = "get_adapter"
_get_adapter: Callable[[requests.Session, str], BaseAdapter] = requests.Session.get_adapter


def _adapter_for(session: requests.Session, url: str) -> BaseAdapter:
    given = _get_adapter(session, url)
    return given if door_to(url) is None else InProcessAdapter(given)


def install() -> None:
    """Answer what sessions send to the fakes that are open."""
    global _get_adapter
    _get_adapter = requests.Session.get_adapter
    setattr(requests.Session, _CHOICE, _adapter_for)


def uninstall() -> None:
    """Leave `requests` as it was."""
    if requests.Session.get_adapter is _adapter_for:
        setattr(requests.Session, _CHOICE, _get_adapter)
