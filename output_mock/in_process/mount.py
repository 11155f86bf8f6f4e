"""A fake's WSGI application, mounted at a URL of this process."""

from __future__ import annotations

import errno
import io
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes, urlsplit
from weakref import WeakSet

from output_mock.contract.repeated_headers import that_count
from output_mock.durations import SECOND
from output_mock.http import head_limit
from output_mock.http.faults import Dropped
from output_mock.http.response import KEPT_OPEN, status_line
from output_mock.http.server_hooks import RESET, WHEN_GONE
from output_mock.patience import waiting_at_most

if TYPE_CHECKING:
    from output_mock.http.app import OutputApp

_PORTS = {"http": 80, "https": 443}
# What the name and the value of a header may be; Node does not read others.
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
# What Node says instead if it closes the connection.
_CLOSED = (("Connection", "close"),)


def _nothing() -> None:
    """Do nothing, where nothing needs to be closed."""


class InProcessAnswer:
    """The application's answer. The body of a stream comes in pieces, as they are made."""

    def __init__(
        self,
        status: int,
        reason: str,
        headers: list[tuple[str, str]],
        body: bytes | None,
        pieces: Iterator[bytes] | None = None,
        connection: _Connection | None = None,
        close: Callable[[], object] = _nothing,
        *,
        patience: float | None = None,
    ) -> None:
        self.status = status
        self.reason = reason
        self.headers = headers
        # The body; None for a stream.
        self.body = body
        self._pieces: Iterator[bytes] = iter(()) if pieces is None else pieces
        self._connection = connection or _Connection()
        self._close = close
        # How many seconds the client waits for the next piece.
        self._patience = patience
        self._reading = False

    def next_piece(self) -> bytes | None:
        """Wait for the next piece of a stream; None at its end.

        Raises `Dropped` or `ConnectionResetError` when the connection ends first, and `TimedOut` when the
        client's patience does.
        """
        self._reading = True
        try:
            with self._connection.losses(), waiting_at_most(self._patience):
                piece: bytes | None = next(self._pieces, None)
        finally:
            self._reading = False
        return piece

    def close(self) -> None:
        """The client has disconnected, or has read all. May be called from any thread, even while another
        one reads.
        """
        self._connection.close()
        if not self._reading:
            self._close()
            # A response that is kept must not keep the fake alive.
            self._pieces, self._close = iter(()), _nothing


class _Connection:
    """A request's connection to its client, as the application sees it."""

    def __init__(self) -> None:
        self._on_close: list[Callable[[], object]] = []
        self._reset = False

    def environment(self) -> dict[str, Any]:
        """The keys that the application finds in the WSGI environment."""
        return {WHEN_GONE: self._on_close.append, RESET: self._end_in_reset}

    def _end_in_reset(self) -> None:
        self._reset = True

    @contextmanager
    def losses(self) -> Iterator[None]:
        """Make a connection that is reset raise what it would raise on a socket."""
        try:
            yield
        except Dropped:
            if self._reset:
                raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)) from None
            raise

    def close(self) -> None:
        """Tell the application that the client has disconnected."""
        while self._on_close:
            self._on_close.pop()()


class MountedApp:
    """A URL of this process, and the application that answers there.

    Raises `ValueError` for what is not a base URL.
    """

    def __init__(self, app: OutputApp, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(f"{url!r} is not a base URL; write it like 'http://localhost:3001'")
        self._app: OutputApp | None = app
        # The streams that clients may still be reading.
        self._answers: WeakSet[InProcessAnswer] = WeakSet()
        self.url: str = url.rstrip("/")
        self.host: str = parts.hostname
        self.default_port: int = _PORTS[parts.scheme]
        self.port: int = parts.port or self.default_port
        self._origin = parts.scheme, self.host, self.port
        self._path = parts.path.rstrip("/")

    def close(self) -> None:
        """Answer no more, and release the application, as clients may keep references to this object."""
        self._app = None
        for answer in list(self._answers):
            answer.close()

    @property
    def app(self) -> OutputApp:
        """The application. Raises `ConnectionRefusedError` once it is unmounted."""
        if self._app is None:
            raise ConnectionRefusedError(errno.ECONNREFUSED, f"the fake at {self.url} is closed")
        return self._app

    def busy(self) -> AbstractContextManager[None]:
        """Count the application as busy while the block runs."""
        return nullcontext() if self._app is None else self._app.busy()

    def answers(self, url: str) -> bool:
        """Whether a request to `url` is for this application."""
        try:
            parts = urlsplit(url)
            port = parts.port or _PORTS.get(parts.scheme)
        except ValueError:
            return False
        if (parts.scheme, parts.hostname, port) != self._origin:
            return False
        path = self._path
        return not path or parts.path == path or parts.path.startswith(f"{path}/")

    def pause(self, seconds: float) -> None:
        """Wait before a client's next try, on the fake's clock."""
        world = self.app.world
        if seconds <= 0:
            return
        if world.clock.mode == "real":
            time.sleep(seconds)
        elif world.virtual is not None:
            world.virtual.pass_until(world.clock.nanoseconds() + round(seconds * SECOND))
        else:
            world.let_pass(round(seconds * SECOND))

    def ask(
        self,
        method: str,
        target: str,
        headers: Iterable[tuple[str, str]],
        body: bytes,
        *,
        patience: float | None = None,
    ) -> InProcessAnswer:
        """Send a request and return the answer.

        `target` is the path and query as they would be sent, `patience` how many seconds the client waits
        for an answer, and then for each piece of it.

        Raises `Dropped`, `ConnectionResetError` and `TimedOut` when there is none.
        """
        headers = list(headers)
        refused = head_limit.STATUS if head_limit.too_large(target, headers) else None
        if not all(_NAME.fullmatch(name) and _VALUE.fullmatch(value) for name, value in headers):
            refused = 400
        if refused is not None:
            # As with Node, the application is not told.
            return InProcessAnswer(refused, status_line(refused).partition(" ")[2], list(_CLOSED), b"")
        target = target[len(self._path) :] or "/"
        path, _, query = target.partition("?")
        connection = _Connection()
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
            "QUERY_STRING": query,
            "RAW_URI": target,
            "SERVER_NAME": self.host,
            "SERVER_PORT": str(self.port),
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": self._origin[0],
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            **connection.environment(),
        }
        joined = False
        for name, value in that_count(headers):
            if "_" in name:
                # `content_type` is not the header `Content-Type`, but WSGI would have it so.
                continue
            key = name.upper().replace("-", "_")
            if key == "TRANSFER_ENCODING":
                joined = True
                continue
            if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
                key = f"HTTP_{key}"
            environ[key] = f"{environ[key]}, {value}" if key in environ else value
        if body or joined:
            # A body that came in chunks has a length now, even if that is 0.
            environ["CONTENT_LENGTH"] = str(len(body))
        with connection.losses(), waiting_at_most(patience):
            response = self.app.answer(environ)
        closing = any(name.lower() == "connection" and value.lower() == "close" for name, value in headers)
        sent = [*response.wsgi_headers(), *(_CLOSED if closing else KEPT_OPEN)]
        if response.stream is not None and "Content-Length" not in response.headers:
            sent.append(("Transfer-Encoding", "chunked"))
        pieces: Iterator[Any] | None = None
        answered: bytes | None = b""
        if method != "HEAD" and response.stream is not None:
            answered, pieces = None, iter(response.stream)
        elif method != "HEAD":
            answered = response.body
        reason = status_line(response.status).partition(" ")[2]
        answer = InProcessAnswer(
            response.status, reason, sent, answered, pieces, connection, response.close, patience=patience
        )
        if pieces is not None:
            self._answers.add(answer)
        return answer


# The applications that are mounted at the moment.
MOUNTED: list[MountedApp] = []


def app_for_url(url: str) -> MountedApp | None:
    """The open fake that a request to `url` is for; None if it is for none of them."""
    # Of a copy, as other threads may close theirs meanwhile.
    for mounted in MOUNTED[::-1]:
        if mounted.answers(url):
            return mounted
    return None
