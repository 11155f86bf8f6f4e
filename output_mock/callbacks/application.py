"""An application in the test's process that answers requests of workflows: WSGI or ASGI, without a socket."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import io
import sys
import threading
import traceback
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as FutureTimeout
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from output_mock.callbacks.limit import limited
from output_mock.callbacks.no_answer import LARGEST_ANSWER, TookTooLong, TooLarge
from output_mock.callbacks.request import Headers, Request, Response
from output_mock.real_time import monotonic

# How long, in seconds, an ASGI application may take to start, and to stop.
_LIFESPAN = 10.0
_CLOSED = "the application was closed while it answered"
_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding"})


class ApplicationError(Exception):
    """The application raised an error, or its answer is no answer of HTTP; the message is the traceback."""


class _Body:
    """The pieces of an answer, which may not go on without end. Raises `TooLarge` and `TookTooLong`."""

    def __init__(self, timeout: float) -> None:
        self._pieces: list[bytes] = []
        self._size = 0
        self._end = monotonic() + timeout

    def add(self, piece: object) -> None:
        if not isinstance(piece, (bytes, bytearray, memoryview)):
            raise TypeError(f"the body of an answer must be bytes, not {piece!r:.100}")
        self._pieces.append(bytes(piece))
        self._size += len(piece)
        if self._size > LARGEST_ANSWER:
            raise TooLarge
        if monotonic() > self._end:
            raise TookTooLong

    def whole(self) -> bytes:
        return b"".join(self._pieces)


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

        Raises `ApplicationError` when it raised an error, `TooLarge` when it answers more than the fake
        reads, and `TookTooLong` after `timeout` seconds.
        """
        path = self.url.partition("://")[2].partition("/")[2]
        mounted = f"/{path}" if path else ""
        if self._asgi is not None:
            return self._asgi.send(request, mounted, timeout)
        return limited(partial(_wsgi, self._application, request, mounted, timeout), timeout)

    def close(self) -> None:
        """Shut down an ASGI application."""
        if self._asgi is not None:
            self._asgi.close()


def _is_asgi(application: Any) -> bool:
    """Whether it is called with `scope`, `receive` and `send`; a class of the old form is not."""
    called = application if inspect.isroutine(application) else type(application).__call__
    return inspect.iscoroutinefunction(called)


def _shown(headers: Iterable[tuple[str, str]]) -> Headers:
    pairs = [(name.lower(), value) for name, value in headers]
    for name, value in pairs:
        if not isinstance(value, str):
            raise TypeError(f"the header {name!r} must be text, not {value!r}")
    return tuple(pair for pair in pairs if pair[0] not in _HOP_BY_HOP)


# WSGI


def _wsgi(
    application: Callable[..., Iterable[bytes]], request: Request, mounted: str, timeout: float
) -> Response:
    parts = request.parts
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": mounted,
        "PATH_INFO": unquote(parts.path[len(mounted) :], "latin-1"),
        "QUERY_STRING": parts.query,
        "SERVER_NAME": parts.hostname or "",
        "SERVER_PORT": str(request.port),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": request.host,
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
    body = _Body(timeout)

    def start_response(
        status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], object]:
        begun[:] = [(status, headers)]
        return body.add

    try:
        answer = application(environ, start_response)
        try:
            for piece in answer:
                body.add(piece)
        finally:
            close = getattr(answer, "close", None)
            if close is not None:
                close()
        if not begun:
            raise RuntimeError("the WSGI application has not called start_response")
        status, headers = begun[0]
        code, _, reason = status.partition(" ")
        return Response(request.url, _status(code), reason, _shown(headers), body.whole())
    except (TooLarge, TookTooLong):
        raise
    except BaseException as error:
        raise _failed(error) from None


def _failed(error: BaseException) -> BaseException:
    """What becomes of an error of the application: on a server, neither the end of the process that it may
    ask for nor the end of a test reaches whoever has sent the request. Ctrl-C goes on.
    """
    if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
        return error
    return ApplicationError("".join(traceback.format_exception(type(error), error, error.__traceback__)))


def _status(given: Any) -> int:
    status = int(given)
    if not 200 <= status < 600:
        raise ValueError(f"{given!r} is not the status of an answer")
    return status


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
        if threading.current_thread() is self._thread:
            # Its event loop waits for this very answer.
            raise TookTooLong
        loop = self._running()
        call = self._call(request, mounted, timeout)
        try:
            future = asyncio.run_coroutine_threadsafe(call, loop)
        except RuntimeError:
            call.close()
            raise ApplicationError(_CLOSED) from None
        try:
            outcome = future.result(timeout)
        except CancelledError:
            raise ApplicationError(_CLOSED) from None
        except FutureTimeout:
            future.cancel()
            raise TookTooLong from None
        if isinstance(outcome, Response):
            return outcome
        raise outcome

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

        loop = asyncio.new_event_loop()
        try:
            serving = loop.create_task(serve())
            while not serving.done():
                # One that a task of the application raises leaves the loop, and must not end it for others.
                with contextlib.suppress(SystemExit, KeyboardInterrupt):
                    loop.run_until_complete(serving)
        finally:
            if tasks := asyncio.all_tasks(loop):
                for task in tasks:
                    task.cancel()
                loop.run_until_complete(asyncio.wait(tasks, timeout=_LIFESPAN))
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()

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

    async def _call(self, request: Request, mounted: str, timeout: float) -> Response | BaseException:
        """The answer, or why there is none: an error that is raised here could end the event loop."""
        try:
            return await self._answer(request, mounted, timeout)
        except (TooLarge, TookTooLong) as error:
            return error
        except BaseException as error:
            return _failed(error)

    async def _answer(self, request: Request, mounted: str, timeout: float) -> Response:
        parts = request.parts
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
                (b"host", request.host.encode()),
                (b"connection", request.connection.encode()),
                *((name.encode(), value.encode("latin-1")) for name, value in request.headers),
            ],
            "client": ("127.0.0.1", 50000),
            "server": (parts.hostname, request.port),
            "state": dict(self._state),
        }
        begun: dict[str, Any] = {}
        body = _Body(timeout)
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
                body.add(message.get("body", b""))
                if not message.get("more_body"):
                    over.set()

        await self._application(scope, receive, send)
        if not begun:
            raise RuntimeError("the ASGI application has ended without an answer")
        status = _status(begun["status"])
        headers = (
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in begun.get("headers", ())
        )
        reason = HTTPStatus(status).phrase if status in set(HTTPStatus) else ""
        return Response(request.url, status, reason, _shown(headers), body.whole())
