"""Answers requests of `requests` in process.

Everything but the socket is real: urllib3 writes the request, reads the answer, and retries. A session that
looks up the adapter for a fake's URL gets one of ours. Patching `HTTPAdapter.send` would not do: a test may
have `responses` there for other hosts, and the innermost patch takes all requests.
"""

from __future__ import annotations

import copy
import io
import math
import threading
from collections.abc import Callable
from email.utils import mktime_tz, parsedate_tz
from types import MethodType
from typing import Any
from weakref import WeakKeyDictionary

import requests
import urllib3
import urllib3.connection
from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3 import Timeout
from urllib3.exceptions import InvalidHeader, MaxRetryError, ProtocolError, ReadTimeoutError, ResponseError
from urllib3.util.retry import Retry

from output_mock.durations import SECOND
from output_mock.http.faults import Dropped
from output_mock.in_process import wire
from output_mock.in_process.mount import InProcessAnswer, MountedApp, app_for_url
from output_mock.patience import TimedOut


class _Socket:
    """The client's end of a connection to a fake: bytes of a request go in, bytes of the answer come out."""

    def __init__(self, mounted: MountedApp) -> None:
        self.mounted = mounted
        self.timeout: float | None = None
        self._sent: list[bytes] = []
        self._incoming: _Incoming | None = None

    def sendall(self, data: Any) -> None:
        """Send a part of a request."""
        self._sent.append(bytes(data))

    def settimeout(self, seconds: float | None) -> None:
        """Wait so long for an answer, and for each piece of a stream."""
        self.timeout = seconds

    def makefile(self, mode: str, *_: Any) -> io.BufferedReader:
        """A file from which the answer can be read."""
        sent, self._sent = b"".join(self._sent), []
        self._incoming = _Incoming(self, sent)
        return io.BufferedReader(self._incoming)

    def shutdown(self, how: int) -> None:
        """Let the thread that waits for bytes read the end instead. Any thread may call this."""
        if self._incoming is not None:
            self._incoming.shut()

    def close(self) -> None:
        """Close the connection."""
        if self._incoming is not None:
            self._incoming.leave()


class _Incoming(io.RawIOBase):
    """The bytes of an answer, as they come. The fake gets the request when the first byte is read."""

    def __init__(self, connection: _Socket, sent: bytes) -> None:
        self._connection = connection
        self._sent = sent
        self._answer: InProcessAnswer | None = None
        self._rest = b""
        self._ended = False
        self._is_shut = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Wait for the next bytes, and read as many as there is room for.

        Raises `TimeoutError` and `ConnectionResetError`, as a socket does.
        """
        while not self._rest and not self._ended:
            try:
                self._rest = self._next()
            except Dropped:
                self._ended = True
            except TimedOut as error:
                raise TimeoutError(str(error)) from None
            if self._is_shut:
                self._rest, self._ended = b"", True
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size

    def _next(self) -> bytes:
        if self._answer is None:
            try:
                request = wire.parse(self._sent)
            except ValueError:
                # The head promises chunks, and the body has none.
                self._ended = True
                return wire.REFUSED
            self._answer = answer = self._connection.mounted.ask(
                request.method,
                request.target,
                request.headers,
                request.body,
                patience=self._connection.timeout,
            )
            self._ended = answer.body is not None
            return wire.head(answer) + (answer.body or b"")
        piece = self._answer.next_piece()
        self._ended = piece is None
        if not wire.is_chunked(self._answer):
            return piece or b""
        return wire.chunk(piece)

    def shut(self) -> None:
        """Nobody reads any more: what still comes is dropped."""
        self._is_shut = True
        self.leave()

    def leave(self) -> None:
        """The client has disconnected, or has read all."""
        if self._answer is not None:
            self._answer.close()

    def close(self) -> None:
        self.leave()
        super().close()


class _Connection(urllib3.connection.HTTPConnection):
    """A connection that ends in this process."""

    def __init__(self, *args: Any, mounted: MountedApp, **options: Any) -> None:
        super().__init__(*args, **options)
        self._mounted = mounted
        # Otherwise the Host header of an https URL would have the port in it.
        self.default_port = mounted.default_port  # type: ignore[misc]

    def connect(self) -> None:
        """Connect to the fake."""
        self.sock = _Socket(self._mounted)

    @property
    def is_connected(self) -> bool:
        """Whether it can be used again, as there is no socket to ask."""
        return self.sock is not None


class HTTPConnectionPool(urllib3.HTTPConnectionPool):
    """The connections of one call. Errors name its class."""

    ConnectionCls = _Connection

    def __init__(self, mounted: MountedApp) -> None:
        super().__init__(mounted.host, mounted.port, mounted=mounted)
        self._mounted = mounted

    def urlopen(  # type: ignore[override]
        self,
        method: str,
        url: str,
        body: Any = None,
        headers: Any = None,
        retries: Any = None,
        *rest: Any,
        **options: Any,
    ) -> Any:
        """Send a request, with retries that pause on the fake's clock."""
        if isinstance(retries, Retry):
            retries = _pausing_on(self._mounted, retries)
        return super().urlopen(method, url, body, headers, retries, *rest, **options)


class _PausingRetry(Retry):
    """Retries that pause on the fake's clock."""

    mounted: MountedApp

    def new(self, **changes: Any) -> Any:
        """The retries that are left after a try."""
        left = super().new(**changes)
        left.mounted = self.mounted
        return left

    def parse_retry_after(self, retry_after: str) -> float:
        """How many seconds a `Retry-After` asks for. A date is on the fake's clock."""
        date = None if retry_after.strip().isdigit() else parsedate_tz(retry_after)
        if date is not None:
            now = self.mounted.app.world.clock.nanoseconds()
            retry_after = str(max(0, math.ceil(mktime_tz(date) - now / SECOND)))
        return super().parse_retry_after(retry_after)

    def sleep(self, response: Any = None) -> None:
        """Wait as long as `Retry-After` says, or else as these retries do by default."""
        told = None
        if response is not None and self.respect_retry_after_header:
            told = self.get_retry_after(response)
        self.mounted.pause(told or self.get_backoff_time())


# Classes of retries, and for each a subclass that pauses on the fake's clock.
_pausing: dict[type[Retry], type[_PausingRetry]] = {Retry: _PausingRetry}


def _pausing_on(mounted: MountedApp, retries: Retry) -> Retry:
    kind = type(retries)
    if kind.sleep is not Retry.sleep:
        # It has pauses of its own.
        return retries
    if kind not in _pausing:
        _pausing[kind] = type(kind.__name__, (_PausingRetry, kind), {})
    pausing: Any = copy.copy(retries)
    pausing.__class__ = _pausing[kind]
    pausing.mounted = mounted
    return pausing  # type: ignore[no-any-return]


class InProcessAdapter(HTTPAdapter):
    """Answers instead of `HTTPAdapter`."""

    def __init__(self) -> None:
        # No connections, hence no pools.
        self.max_retries: Retry = Retry(0, read=False)
        self.config: dict[str, Any] = {}

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> requests.Response:
        """Send a request, with the adapter's retries.

        Raises what `HTTPAdapter` raises: `ValueError` for an invalid timeout, and an exception of `requests`
        if there is no answer, or only bad ones.
        """
        url = request.url or ""
        mounted = app_for_url(url)
        if mounted is None:
            raise requests.ConnectionError(f"the fake at {url} is closed", request=request)
        self.add_headers(request, stream=stream, timeout=timeout, verify=verify, cert=cert, proxies=proxies)
        chunked = request.body is not None and "Content-Length" not in request.headers
        try:
            answer: Any = HTTPConnectionPool(mounted).urlopen(
                request.method or "GET",
                self.request_url(request, {}),
                body=request.body,
                headers=request.headers,
                redirect=False,
                assert_same_host=False,
                preload_content=False,
                decode_content=False,
                retries=self.max_retries,
                timeout=_timeout(timeout),
                chunked=chunked,
            )
        except MaxRetryError as error:
            kind: type[requests.RequestException] = requests.ConnectionError
            if isinstance(error.reason, ResponseError):
                kind = requests.exceptions.RetryError
            raise kind(error, request=request) from error
        except ReadTimeoutError as error:
            raise requests.ReadTimeout(error, request=request) from error
        except InvalidHeader as error:
            raise requests.exceptions.InvalidHeader(error, request=request) from error
        except (ProtocolError, OSError) as error:
            raise requests.ConnectionError(error, request=request) from error
        return self.build_response(request, answer)

    def get_connection_with_tls_context(
        self, request: requests.PreparedRequest, *_: Any, **__: Any
    ) -> urllib3.HTTPConnectionPool:
        """The connections on which `HTTPAdapter.send` sends, for a class that calls it by this name."""
        return self.get_connection(request.url)

    def get_connection(self, url: Any, *_: Any, **__: Any) -> urllib3.HTTPConnectionPool:
        """The same, in requests before 2.32."""
        mounted = app_for_url(url)
        if mounted is None:
            raise requests.ConnectionError(f"the fake at {url} is closed")
        return HTTPConnectionPool(mounted)


def _timeout(given: Any) -> Timeout:
    """A timeout in urllib3's form. Raises `ValueError` for an invalid one."""
    if isinstance(given, Timeout):
        return given
    if isinstance(given, tuple):
        try:
            connect, read = given
            return Timeout(connect=connect, read=read)
        except ValueError:
            raise ValueError(
                f"Invalid timeout {given}. Pass a (connect, read) timeout tuple, or a single float to set "
                "both timeouts to the same value."
            ) from None
    return Timeout(connect=given, read=given)


class _InnerAdapter(InProcessAdapter):
    """An adapter that another one sends with, also to other hosts."""

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        """Send a request to a fake, or as always."""
        if app_for_url(request.url or "") is None:
            return HTTPAdapter.send(self, request, *args, **options)
        return super().send(request, *args, **options)

    def get_connection_with_tls_context(
        self, request: requests.PreparedRequest, *args: Any, **options: Any
    ) -> Any:
        if app_for_url(request.url or "") is None:
            return HTTPAdapter.get_connection_with_tls_context(self, request, *args, **options)
        return super().get_connection_with_tls_context(request, *args, **options)

    def get_connection(self, url: Any, *args: Any, **options: Any) -> Any:
        if app_for_url(url) is None:
            return HTTPAdapter.get_connection(self, url, *args, **options)
        return super().get_connection(url, *args, **options)


# Classes of adapters, and for each a subclass that fakes answer: of those that sessions have, and of those
# that other adapters send with.
_Kinds = dict[type[HTTPAdapter], type[HTTPAdapter]]
_answering: _Kinds = {HTTPAdapter: InProcessAdapter}
_inner: _Kinds = {HTTPAdapter: _InnerAdapter}
# The inner adapters that currently send to fakes, and their original classes.
_taught: WeakKeyDictionary[HTTPAdapter, type[HTTPAdapter]] = WeakKeyDictionary()
_teaching = threading.Lock()


def _subclass(kind: type[HTTPAdapter], base: type[HTTPAdapter], known: _Kinds) -> type[HTTPAdapter]:
    """A subclass of `kind` in which `base` is below the client's own class, and above what opens a socket."""
    if kind not in known:
        known[kind] = type(kind.__name__, (kind, base), {})
    return known[kind]


def _teach(outer: BaseAdapter) -> bool:
    """Let the adapters that this one sends with send requests for fakes to them. Returns whether there are
    any.
    """
    found, seen, ahead = False, {id(outer)}, list(vars(outer).values())
    while ahead:
        one = ahead.pop()
        if isinstance(one, BaseAdapter) and id(one) not in seen:
            seen.add(id(one))
            if isinstance(one, HTTPAdapter):
                found = True
                with _teaching:
                    if not isinstance(one, InProcessAdapter):
                        # Change its class: a copy would not be what the outer adapter holds.
                        _taught[one] = kind = type(one)
                        one.__class__ = _subclass(kind, _InnerAdapter, _inner)
            ahead += vars(one).values()
        elif isinstance(one, (list, tuple)):
            ahead += one
        elif isinstance(one, dict):
            ahead += one.values()
    return found


def _standing_in_for(given: BaseAdapter) -> BaseAdapter:
    """An adapter that replaces the `given` one of a session. It keeps the retries, and whatever else the
    client's own class does (timeouts, logging, authentication).
    """
    has_inner = _teach(given)
    if not isinstance(given, HTTPAdapter):
        return given if has_inner else InProcessAdapter()
    answering = _subclass(type(given), InProcessAdapter, _answering)
    adapter: HTTPAdapter = answering.__new__(answering)
    # Both share one state.
    adapter.__dict__ = given.__dict__
    return adapter


# Where a session decides who sends a request.
_CHOICE = "get_adapter"
_below: Callable[[requests.Session, str], BaseAdapter] = requests.Session.get_adapter


class _Choice:
    """Replaces `Session.get_adapter`.

    It is a data descriptor, so that it wins over an attribute of the session: requests-mock gives sessions
    such an attribute, and leaves one behind.
    """

    def __get__(self, session: requests.Session | None, kind: type) -> Any:
        return _adapter_for if session is None else MethodType(_adapter_for, session)

    def __set__(self, session: requests.Session, method: Any) -> None:
        session.__dict__[_CHOICE] = method

    def __delete__(self, session: requests.Session) -> None:
        if session.__dict__.pop(_CHOICE, None) is None:
            raise AttributeError(_CHOICE)


def _adapter_for(session: requests.Session, url: str) -> BaseAdapter:
    if app_for_url(url) is not None:
        return _standing_in_for(_below(session, url))
    own: Any = session.__dict__.get(_CHOICE)
    if own is None or getattr(own, "__func__", None) is _adapter_for:
        return _below(session, url)
    adapter: BaseAdapter = own(url)
    return adapter


class RequestsClient:
    """Intercepts the requests of `requests`."""

    def install(self) -> None:
        """Answer what sessions send to open fakes."""
        global _below
        if not isinstance(requests.Session.__dict__[_CHOICE], _Choice):
            _below = requests.Session.get_adapter
            setattr(requests.Session, _CHOICE, _Choice())

    def uninstall(self) -> None:
        """Leave `requests` as it was."""
        if isinstance(requests.Session.__dict__[_CHOICE], _Choice):
            setattr(requests.Session, _CHOICE, _below)
        for adapter, kind in list(_taught.items()):
            adapter.__class__ = kind
        _taught.clear()
