"""How requests get to the server under test: over a socket, or into a WSGI application in process.

Nothing is followed, guessed or rewritten on the way: a path goes out as it is written, a redirect is an
answer like any other, and no proxy is asked.
"""

from __future__ import annotations

import http.client
import io
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple, Protocol
from urllib.parse import unquote_to_bytes, urlsplit

Headers = list[tuple[str, str]]


class Reply(NamedTuple):
    """An answer whose body is still to be read; `close` may be called at any time, and has to be."""

    status: int
    headers: Headers
    pieces: Iterator[bytes]
    close: Callable[[], None]


class Transport(Protocol):
    """A way to a server. `url` is the base that reports and curl lines name."""

    url: str

    def send(self, method: str, path: str, headers: Headers, body: bytes | None, timeout: float) -> Reply:
        """Send a request. Raises `OSError` or `http.client.HTTPException` when there is no answer."""
        ...


class SocketTransport:
    """To the server at a base URL, one connection a request.

    Raises `ValueError` for a URL that is none.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(f"{url!r} is no base URL; write it like 'http://localhost:3001'")
        self.url = url.rstrip("/")
        self._https = parts.scheme == "https"
        self._host, self._port = parts.hostname, parts.port
        self._base = parts.path.rstrip("/")

    def send(self, method: str, path: str, headers: Headers, body: bytes | None, timeout: float) -> Reply:
        connection = (
            http.client.HTTPSConnection(self._host, self._port, timeout=timeout)
            if self._https
            else http.client.HTTPConnection(self._host, self._port, timeout=timeout)
        )
        try:
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
        except BaseException:
            connection.close()
            raise

        def pieces() -> Iterator[bytes]:
            while piece := response.read1(65536):
                yield piece

        def close() -> None:
            response.close()
            connection.close()

        return Reply(response.status, response.getheaders(), pieces(), close)


# A WSGI application, of whatever making.
Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Target:
    """A WSGI application of this process to check in place of a server, and the token that it asks for.

    As a plugin of pytest it tells the suite's own plugin what to check.
    """

    def __init__(self, app: Application, token: str | None = None) -> None:
        self.app = app
        self.token = token


class InProcessTransport:
    """Into a WSGI application of this process, with no socket between."""

    def __init__(self, app: Application, url: str = "http://fake.invalid") -> None:
        self.url = url
        self._app = app

    def send(self, method: str, path: str, headers: Headers, body: bytes | None, timeout: float) -> Reply:
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
        for name, value in headers:
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
        # An application may call `start_response` no sooner than its first piece is asked for.
        first = None if begun else next(pieces, None)
        status, given = begun[0]

        def body_of() -> Iterator[bytes]:
            if first is not None:
                yield first
            yield from pieces

        return Reply(status, given, body_of() if method != "HEAD" else iter(()), close)
