"""Calls of `requests` to a fake's URL, answered in process.

`responses` makes the answers, with the retries that the client's own adapter asks for. It is not put where
it usually is, in `HTTPAdapter.send`: a test may have `responses` there for its other hosts, and the innermost
one takes all. So a session that looks for the adapter of a fake's URL is given one of ours.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Generator
from http.client import IncompleteRead, RemoteDisconnected
from types import MethodType
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


_NO_RETRIES = Retry(0, read=False)


class _Answering(HTTPAdapter):
    """Where `responses` sits."""

    def __init__(self) -> None:
        # No connections, hence no pools.
        self.max_retries = _NO_RETRIES
        self.config: dict[str, Any] = {}

    def send(self, *args: Any, **kwargs: Any) -> requests.Response:
        """`responses` puts its own in the place of this."""
        raise NotImplementedError


_mock_is_on = False
# It sits there for good, as nobody but a fake's own adapter comes there.
_mock = responses.RequestsMock(
    assert_all_requests_are_fired=False, target=f"{__name__}.{_Answering.__name__}.send"
)


class InProcessAdapter(_Answering):
    """Answers in the place of `HTTPAdapter`."""

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Send a request, again where the adapter's retries say so, and with no pause between.

        Raises what `HTTPAdapter` raises when there is no answer, and when there were too many bad ones.
        """
        retries, method, url = self.max_retries, request.method or "GET", request.url
        while True:
            try:
                # `responses` itself counts only some of the retries.
                response = super().send(request, *args, **kwargs, retries=_NO_RETRIES)
            except _NoAnswer as lost:
                try:
                    retries = retries.increment(method, url, error=lost.error)
                except MaxRetryError as error:
                    raise requests.ConnectionError(error, request=request) from lost.error
                except ReadTimeoutError as error:
                    raise requests.ReadTimeout(error, request=request) from lost.error
                except ProtocolError as error:
                    raise requests.ConnectionError(error, request=request) from lost.error
                continue
            if not retries.is_retry(method, response.status_code, "Retry-After" in response.headers):
                return response
            try:
                retries = retries.increment(method, url, response=response.raw)
            except MaxRetryError as error:
                if retries.raise_on_status:
                    raise requests.exceptions.RetryError(error, request=request) from None
                return response


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
    headers = HTTPHeaderDict(answer.headers)
    given: dict[str, Any] = {
        "headers": headers,
        "status": answer.status,
        "reason": answer.reason,
        "preload_content": False,
        "request_method": method,
    }
    if "Set-Cookie" in headers:
        # `requests` looks for cookies in the response of `http.client` below urllib3's.
        below = io.BytesIO()
        below.close()
        given["original_response"] = HTTPResponse(below, msg=headers, preload_content=False)  # type: ignore[arg-type]
    if answer.body is not None:
        return HTTPResponse(io.BytesIO(answer.body), **given)
    headers["Transfer-Encoding"] = "chunked"
    return _Arriving(_Pieces(answer), **given)


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


# Kinds of adapters, and those that do all that they do, and are answered by fakes.
_answering: dict[type[HTTPAdapter], type[HTTPAdapter]] = {HTTPAdapter: InProcessAdapter}


def _standing_in_for(given: BaseAdapter) -> BaseAdapter:
    """An adapter that stands in for the `given` one of a session: with its retries, and what a client's own
    kind of adapter does besides (timeouts, logging, authentication).
    """
    if not isinstance(given, HTTPAdapter):
        return InProcessAdapter()
    kind = type(given)
    answering = _answering.get(kind)
    if answering is None:
        answering = _answering[kind] = type(kind.__name__, (kind, InProcessAdapter), {})
    adapter: HTTPAdapter = answering.__new__(answering)
    # The state is one and the same.
    adapter.__dict__ = given.__dict__
    return adapter


# Where a session decides who sends a request.
_CHOICE = "get_adapter"
_below: Callable[[requests.Session, str], BaseAdapter] = requests.Session.get_adapter


class _Choice:
    """Stands in the place of `Session.get_adapter`.

    A data descriptor, which goes before what a session itself has by this name: requests-mock gives
    sessions such a method, and leaves one there.
    """

    def __get__(self, session: requests.Session | None, kind: type) -> Any:
        return _adapter_for if session is None else MethodType(_adapter_for, session)

    def __set__(self, session: requests.Session, method: Any) -> None:
        session.__dict__[_CHOICE] = method

    def __delete__(self, session: requests.Session) -> None:
        if session.__dict__.pop(_CHOICE, None) is None:
            raise AttributeError(_CHOICE)


def _adapter_for(session: requests.Session, url: str) -> BaseAdapter:
    if door_to(url) is not None:
        return _standing_in_for(_below(session, url))
    own: Any = session.__dict__.get(_CHOICE)
    if own is None or getattr(own, "__func__", None) is _adapter_for:
        return _below(session, url)
    adapter: BaseAdapter = own(url)
    return adapter


def install() -> None:
    """Answer what sessions send to the fakes that are open."""
    global _below, _mock_is_on
    if not _mock_is_on:
        # Not while this module is imported: `responses` goes by its name, which Python 3.10 has not then.
        _mock.start()
        _mock_is_on = True
    if not isinstance(requests.Session.__dict__[_CHOICE], _Choice):
        _below = requests.Session.get_adapter
        setattr(requests.Session, _CHOICE, _Choice())


def uninstall() -> None:
    """Leave `requests` as it was."""
    if isinstance(requests.Session.__dict__[_CHOICE], _Choice):
        setattr(requests.Session, _CHOICE, _below)
