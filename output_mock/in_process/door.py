"""The way into a fake's WSGI application, for whatever client."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes, urlsplit

from output_mock.http.app import PATIENCE, WHEN_GONE

if TYPE_CHECKING:
    from output_mock.http.app import OutputApp

_PORTS = {"http": 80, "https": 443}


class Answer:
    """What the application has answered; the body comes in pieces, as it is made."""

    def __init__(self) -> None:
        self.status = 0
        self.reason = ""
        self.headers: list[tuple[str, str]] = []
        self.pieces: Iterator[bytes] = iter(())
        self._close: Callable[[], object] | None = None
        self._left: Callable[[], object] | None = None
        self._reading = False

    @property
    def whole(self) -> bool:
        """Whether the body is all there, as its length is known."""
        return any(name == "Content-Length" for name, _ in self.headers) or self.status in (204, 304)

    def begun(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        """WSGI's `start_response`."""
        code, _, self.reason = status.partition(" ")
        self.status = int(code)
        self.headers = headers

    def filled(self, body: Iterable[bytes]) -> Answer:
        """This answer with what the application has returned."""
        self.pieces = iter(body)
        self._close = getattr(body, "close", None)
        return self

    def when_left(self, callback: Callable[[], object]) -> None:
        """Call back when the client leaves before the end of the body."""
        self._left = callback

    def next_piece(self) -> bytes | None:
        """The next piece of the body, once it is there; None at its end.

        Raises `Dropped` when the connection ends before.
        """
        self._reading = True
        try:
            return next(self.pieces, None)
        finally:
            self._reading = False

    def close(self) -> None:
        """The client has gone, or has all. May be called from any thread, also while another one reads."""
        left, self._left = self._left, None
        if left is not None:
            left()
        if self._close is not None and not self._reading:
            close, self._close = self._close, None
            close()


class Door:
    """Where a fake is reached in process: a URL, and the application behind it.

    Raises `ValueError` for a URL that is none.
    """

    def __init__(self, app: OutputApp, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(f"{url!r} is no base URL; write it like 'http://localhost:3001'")
        self.app = app
        self.url = url.rstrip("/")
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
        answer = Answer()
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
            WHEN_GONE: answer.when_left,
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
        return answer.filled(self.app(environ, answer.begun))
