"""An application in the test's process that answers requests of workflows: WSGI or ASGI, without a socket."""

from __future__ import annotations

import asyncio
import inspect
import io
import sys
import threading
import traceback
from collections.abc import Callable, Iterable
from concurrent.futures import TimeoutError as FutureTimeout
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from output_mock.callbacks.limit import limited
from output_mock.callbacks.no_answer import TookTooLong
from output_mock.callbacks.request import Headers, Request, Response

# How long, in seconds, an ASGI application may take to start, and to stop.
_LIFESPAN = 10.0
_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding"})


class ApplicationError(Exception):
    """The application raised an error; the message is its traceback."""


class Application:
    """An application, and the URL below which it is reached.

    Takes the URL (`https://app.example`, with a path where it is mounted below one) and a WSGI or ASGI
    application. Raises `TypeError` for what is neither.
    """

    def __init__(self, url: str, application: Any) -> None:
        self.url: str = url.rstrip("/")
        if not callable(application):
            raise TypeError(f"an application must be a WSGI or ASGI callable, not {application!r}")
        self._application = application
        self._asgi = _Asgi(application) if _is_asgi(application) else None

    def has(self, url: str) -> bool:
        """Whether a URL belongs to this application."""
        return url == self.url or url.startswith((f"{self.url}/", f"{self.url}?"))

    def send(self, request: Request, timeout: float) -> Response:
        """What it answers.

        Raises `ApplicationError` when it raised an error, and `TookTooLong` after `timeout` seconds.
        """
        path = self.url.partition("://")[2].partition("/")[2]
        mounted = f"/{path}" if path else ""
        if self._asgi is not None:
            return self._asgi.send(request, mounted, timeout)
        return limited(partial(_wsgi, self._application, request, mounted), timeout)

    def close(self) -> None:
        """Shut down an ASGI application."""
        if self._asgi is not None:
            self._asgi.close()


def _is_asgi(application: Any) -> bool:
    """Whether it is called with `scope`, `receive` and `send`; a class of the old form is not."""
    called = application if inspect.isroutine(application) else type(application).__call__
    return inspect.iscoroutinefunction(called)


def _shown(headers: Iterable[tuple[str, str]]) -> Headers:
    return tuple((name.lower(), value) for name, value in headers if name.lower() not in _HOP_BY_HOP)


# WSGI


def _wsgi(application: Callable[..., Iterable[bytes]], request: Request, mounted: str) -> Response:
    parts = request.parts
    port = parts.port or (443 if parts.scheme == "https" else 80)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": mounted,
        "PATH_INFO": unquote(parts.path[len(mounted) :], "latin-1"),
        "QUERY_STRING": parts.query,
        "SERVER_NAME": parts.hostname or "",
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": parts.netloc,
        "HTTP_CONNECTION": request.connection,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": parts.scheme,
        "wsgi.input": io.BytesIO(request.body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "CONTENT_LENGTH": str(len(request.body)),
    }
    for name, value in request.headers:
        key = name.upper().replace("-", "_")
        environ[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"] = value
    begun: list[tuple[str, list[tuple[str, str]]]] = []
    written: list[bytes] = []

    def start_response(
        status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], object]:
        begun[:] = [(status, headers)]
        return written.append

    try:
        answer = application(environ, start_response)
        try:
            written.extend(answer)
        finally:
            close = getattr(answer, "close", None)
            if close is not None:
                close()
        if not begun:
            raise RuntimeError("the WSGI application has not called start_response")
    except Exception:
        raise ApplicationError(traceback.format_exc()) from None
    status, headers = begun[0]
    code, _, reason = status.partition(" ")
    return Response(request.url, int(code), reason, _shown(headers), b"".join(written))


# ASGI


class _Asgi:
    """An ASGI application on its own event loop in its own thread, as on a server."""

    def __init__(self, application: Any) -> None:
        self._application = application
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stop: asyncio.Event | None = None
        self._state: dict[str, Any] = {}

    def send(self, request: Request, mounted: str, timeout: float) -> Response:
        loop = self._running()
        if threading.current_thread() is self._thread:
            # Its event loop waits for this very answer.
            raise TookTooLong
        future = asyncio.run_coroutine_threadsafe(self._call(request, mounted), loop)
        try:
            return future.result(timeout)
        except FutureTimeout:
            future.cancel()
            raise TookTooLong from None

    def close(self) -> None:
        with self._lock:
            loop, thread, stop = self._loop, self._thread, self._stop
            self._loop = self._thread = self._stop = None
        if loop is None or thread is None or stop is None:
            return
        loop.call_soon_threadsafe(stop.set)
        if thread is not threading.current_thread():
            thread.join(_LIFESPAN)

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is not None:
                return self._loop
            ready = threading.Event()
            self._thread = threading.Thread(
                target=self._serve, args=(ready,), name="asgi-application", daemon=True
            )
            self._thread.start()
            ready.wait(_LIFESPAN)
            assert self._loop is not None
            return self._loop

    def _serve(self, ready: threading.Event) -> None:
        async def serve() -> None:
            self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
            stop = self._stop
            lifespan = asyncio.create_task(self._lifespan(ready, stop))
            await stop.wait()
            await asyncio.wait([lifespan], timeout=_LIFESPAN)

        asyncio.run(serve())

    async def _lifespan(self, ready: threading.Event, stop: asyncio.Event) -> None:
        """Start the application, and shut it down at the end. Applications without lifespan need neither."""
        sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        await sent.put({"type": "lifespan.startup"})

        async def send(message: Any) -> None:
            if message["type"].startswith("lifespan.startup."):
                ready.set()

        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self._state}
        task = asyncio.create_task(self._application(scope, sent.get, send))

        def ended(done: asyncio.Task[Any]) -> None:
            # An application without lifespan raises an error here, which is ignored.
            done.cancelled() or done.exception()
            ready.set()

        task.add_done_callback(ended)
        await stop.wait()
        await sent.put({"type": "lifespan.shutdown"})
        await asyncio.wait([task], timeout=_LIFESPAN)
        task.cancel()

    async def _call(self, request: Request, mounted: str) -> Response:
        parts = request.parts
        port = parts.port or (443 if parts.scheme == "https" else 80)
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": parts.scheme,
            "path": unquote(parts.path),
            "raw_path": parts.path.encode(),
            "root_path": mounted,
            "query_string": parts.query.encode(),
            "headers": [
                (b"host", parts.netloc.encode()),
                (b"connection", request.connection.encode()),
                *((name.encode(), value.encode("latin-1")) for name, value in request.headers),
            ],
            "client": ("127.0.0.1", 50000),
            "server": (parts.hostname, port),
            "state": dict(self._state),
        }
        begun: dict[str, Any] = {}
        pieces: list[bytes] = []
        over = asyncio.Event()
        bodies = iter([{"type": "http.request", "body": request.body, "more_body": False}])

        async def receive() -> Any:
            for message in bodies:
                return message
            await over.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                begun.update(message)
            elif message["type"] == "http.response.body":
                pieces.append(bytes(message.get("body", b"")))
                if not message.get("more_body"):
                    over.set()

        try:
            await self._application(scope, receive, send)
            if not begun:
                raise RuntimeError("the ASGI application has ended without an answer")
        except Exception:
            raise ApplicationError(traceback.format_exc()) from None
        headers = ((name.decode("latin-1"), value.decode("latin-1")) for name, value in begun["headers"])
        status = int(begun["status"])
        reason = HTTPStatus(status).phrase if status in set(HTTPStatus) else ""
        return Response(request.url, status, reason, _shown(headers), b"".join(pieces))
