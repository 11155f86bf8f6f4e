"""The way into a fake's WSGI application, for whatever client."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes, urlsplit

from flask import Request, Response

from output_mock.http.exchange import PATIENCE, WHEN_GONE

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

    from output_mock.http.app import OutputApp

# Where a request keeps what shall happen when its client leaves.
_LEAVING = "output_mock.leaving"
_PORTS = {"http": 80, "https": 443}


class Answer:
    """What the application has answered; the body of a stream comes in pieces, as they are made."""

    def __init__(self, response: Response, environ: WSGIEnvironment) -> None:
        self.status: int = response.status_code
        self.reason: str = response.status.partition(" ")[2]
        self.headers: list[tuple[str, str]] = response.get_wsgi_headers(environ).to_wsgi_list()
        # The body; None for a stream.
        self.body: bytes | None = None
        if environ["REQUEST_METHOD"] == "HEAD" or not response.is_streamed:
            self.body = b"" if environ["REQUEST_METHOD"] == "HEAD" else response.get_data()
        self._response = response
        self._pieces: Iterator[Any] = iter(response.response) if self.body is None else iter(())
        self._left: list[Callable[[], object]] = environ[_LEAVING]
        self._reading = False

    def next_piece(self) -> bytes | None:
        """The next piece of a stream, once it is there; None at its end.

        Raises `Dropped` when the connection ends before.
        """
        self._reading = True
        try:
            piece: bytes | None = next(self._pieces, None)
        finally:
            self._reading = False
        return piece

    def close(self) -> None:
        """The client has gone, or has all. May be called from any thread, also while another one reads."""
        while self._left:
            self._left.pop()()
        if not self._reading:
            self._response.close()


class Door:
    """Where a fake is reached in process: a URL, and the application behind it.

    Raises `ValueError` for a URL that is none.
    """

    def __init__(self, app: OutputApp, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(f"{url!r} is no base URL; write it like 'http://localhost:3001'")
        self.app = app
        self.url: str = url.rstrip("/")
        self._origin = parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme]
        self._path = parts.path.rstrip("/")

    def leads_to(self, url: str) -> bool:
        """Whether a request to `url` goes through this door."""
        try:
            parts = urlsplit(url)
            port = parts.port or _PORTS.get(parts.scheme)
        except ValueError:
            return False
        if (parts.scheme, parts.hostname, port) != self._origin:
            return False
        path = self._path
        return not path or parts.path == path or parts.path.startswith(f"{path}/")

    def ask(
        self,
        method: str,
        target: str,
        headers: Iterable[tuple[str, str]],
        body: bytes,
        *,
        patience: float | None = None,
    ) -> Answer:
        """Send a request and return the answer.

        `target` is the path and query as they would be sent, `patience` how many seconds the client waits
        for an answer. Raises `Dropped` and `TimedOut` when there is none.
        """
        target = target[len(self._path) :] or "/"
        path, _, query = target.partition("?")
        scheme, host, port = self._origin
        leaving: list[Callable[[], object]] = []
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
            "QUERY_STRING": query,
            "RAW_URI": target,
            "SERVER_NAME": host,
            "SERVER_PORT": str(port),
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": scheme,
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            WHEN_GONE: leaving.append,
            _LEAVING: leaving,
        }
        if patience is not None:
            environ[PATIENCE] = patience
        for name, value in headers:
            key = name.upper().replace("-", "_")
            if key == "TRANSFER_ENCODING":
                continue
            if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
                key = f"HTTP_{key}"
            environ[key] = f"{environ[key]},{value}" if key in environ else value
        if body:
            environ["CONTENT_LENGTH"] = str(len(body))
        return Answer(self.app.answer(Request(environ)), environ)
