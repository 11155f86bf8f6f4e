"""How requests get to a server: over a socket, or into a WSGI application of this process.

Nothing is followed, guessed or rewritten on the way: a path is sent as it is written, a redirect is an
ordinary answer, and no proxy is used.
"""

from __future__ import annotations

import http.client
import io
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple, Protocol
from urllib.parse import unquote_to_bytes, urlsplit

from output_mock.contract.repeated_headers import that_count

Headers = list[tuple[str, str]]

# How many bytes the body of an answer may have. The largest of real servers are a few megabytes.
MOST_BYTES = 16 * 1024 * 1024


class TooLarge(http.client.HTTPException):
    """A body that is larger than `MOST_BYTES`."""


class Reply(NamedTuple):
    """An answer whose body is still to be read; `close` may be called at any time, and has to be.

    `http_version` is 10 for HTTP/1.0 and 11 for HTTP/1.1, as `http.client` has it.
    """

    status: int
    headers: Headers
    pieces: Iterator[bytes]
    close: Callable[[], None]
    http_version: int = 11


class Transport(Protocol):
    """A way to a server. `url` is the base that reports and curl lines name."""

    url: str

    def send(
        self,
        method: str,
        path: str,
        headers: Headers,
        body: bytes | None,
        timeout: float,
        idle: float | None = None,
    ) -> Reply:
        """Send a request; the whole answer, to the last piece, may take `timeout` seconds.

        With `idle`, no more than that many seconds may pass without a byte. In process it means nothing.

        Raises `OSError` or `http.client.HTTPException` when there is no answer, and so do the pieces where it
        breaks off or is too large.
        """
        ...


def _bounded(pieces: Iterator[bytes], most: int = MOST_BYTES) -> Iterator[bytes]:
    """The pieces of a body, up to the most that there may be."""
    read = 0
    for piece in pieces:
        read += len(piece)
        if read > most:
            raise TooLarge(f"the body has more than {most // 1024**2} MiB")
        yield piece


class _Deadline:
    """Shuts a connection once its time is up, whatever it is waiting for then.

    The timeout of a socket begins anew with each byte: a server that lets its headers drip, or says 100
    Continue for ever, would never run into it.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._passed = False
        self._socket: socket.socket | None = None
        self._timer = threading.Timer(seconds, self._shut)
        self._timer.daemon = True
        self._timer.start()

    def watch(self, connection: socket.socket) -> None:
        """This is the connection."""
        self._socket = connection
        if self._passed:
            self._shut()

    def over(self) -> None:
        """The answer is there."""
        self._timer.cancel()

    def check(self) -> None:
        """Raise `TimeoutError` if the time was up."""
        if self._passed:
            raise TimeoutError(f"the answer is not whole after {self.seconds:.0f} seconds")

    def _shut(self) -> None:
        self._passed = True
        if self._socket is not None:
            with suppress(OSError):
                # Not that of a TLS socket, which would take its state away from who reads.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


class SocketTransport:
    """To the server at a base URL, one connection a request; no body may have more than `most_bytes`.

    Raises `ValueError` for a URL that is none.
    """

    def __init__(self, url: str, *, most_bytes: int = MOST_BYTES) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(f"{url!r} is not a base URL; write it like 'http://localhost:3001'")
        self.url: str = url.rstrip("/")
        self._https = parts.scheme == "https"
        self._host, self._port = parts.hostname, parts.port
        self._base = parts.path.rstrip("/")
        self._most_bytes = most_bytes

    def send(
        self,
        method: str,
        path: str,
        headers: Headers,
        body: bytes | None,
        timeout: float,
        idle: float | None = None,
    ) -> Reply:
        longest = timeout if idle is None else min(timeout, idle)
        connection = (
            http.client.HTTPSConnection(self._host, self._port, timeout=longest)
            if self._https
            else http.client.HTTPConnection(self._host, self._port, timeout=longest)
        )
        deadline = _Deadline(timeout)
        try:
            connection.connect()
            deadline.watch(connection.sock)
            connection.putrequest(method, self._base + path, skip_accept_encoding=True)
            for name, value in headers:
                connection.putheader(name, value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders()
            if body is not None:
                # A server may answer before it has read all, as for a body that is too large.
                with suppress(ConnectionError):
                    connection.send(body)
            response = connection.getresponse()
        except BaseException as error:
            deadline.over()
            connection.close()
            if isinstance(error, (OSError, http.client.HTTPException)):
                deadline.check()
            raise

        def pieces() -> Iterator[bytes]:
            try:
                while piece := response.read1(65536):
                    yield piece
            except (OSError, http.client.HTTPException):
                deadline.check()
                raise
            # A closed connection looks like a body that has ended.
            deadline.check()
            if response.length:
                raise http.client.IncompleteRead(b"", response.length)

        def close() -> None:
            deadline.over()
            response.close()
            connection.close()

        bounded = _bounded(pieces(), self._most_bytes)
        return Reply(response.status, response.getheaders(), bounded, close, response.version)


# Any WSGI application.
Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class InProcessTransport:
    """Sends requests to a WSGI application in this process, without a socket."""

    def __init__(self, app: Application, url: str = "http://fake.invalid") -> None:
        self.url = url
        self._app = app

    def send(
        self,
        method: str,
        path: str,
        headers: Headers,
        body: bytes | None,
        timeout: float,
        idle: float | None = None,
    ) -> Reply:
        raw, _, query = path.partition("?")
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_bytes(raw).decode("latin-1"),
            "QUERY_STRING": query,
            "RAW_URI": path,
            "SERVER_NAME": "fake.invalid",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body or b""),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        if body is not None:
            environ["CONTENT_LENGTH"] = str(len(body))
        for name, value in that_count(headers):
            key = name.upper().replace("-", "_")
            key = key if key == "CONTENT_TYPE" else f"HTTP_{key}"
            environ[key] = f"{environ[key]},{value}" if key in environ else value
        begun: list[tuple[int, Headers]] = []

        def start_response(status: str, headers: Headers, exc_info: Any = None) -> Callable[[bytes], object]:
            begun[:] = [(int(status.split()[0]), list(headers))]
            return lambda data: None

        answer = self._app(environ, start_response)
        close: Callable[[], None] = getattr(answer, "close", lambda: None)
        pieces = iter(answer)
        # An application may call `start_response` only when its first piece is requested.
        first = None if begun else next(pieces, None)
        status, given = begun[0]

        def body_of() -> Iterator[bytes]:
            if first is not None:
                yield first
            yield from pieces

        return Reply(status, given, _bounded(body_of()) if method != "HEAD" else iter(()), close)
