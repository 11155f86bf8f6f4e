"""Requests as they are answered, each by a thread of its own."""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Protocol, cast

from waitress.task import ErrorTask, Task, WSGITask
from waitress.utilities import BadRequest, RequestHeaderFieldsTooLarge, ServerNotImplemented

from output_mock.contract.errors import OutputError
from output_mock.http import head_limit
from output_mock.http.diagnostics import HEADER
from output_mock.http.faults import Dropped
from output_mock.http.response import KEPT_OPEN, status_line
from output_mock.http.responses import error_reply, response_of
from output_mock.http.server_hooks import GIVE_UP, LOCAL_ADDRESS, RESET, WHEN_GONE
from output_mock.patience import TimedOut
from output_mock.real_time import monotonic
from output_mock.server.served import OnServed, Served, Stage

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_KEPT_OPEN = "".join(f"{name}: {value}\r\n" for name, value in KEPT_OPEN).encode()


def refusal(status: int) -> bytes:
    """All that Node answers to a request that it does not read, or not to its end."""
    return f"HTTP/1.1 {status_line(status)}\r\nConnection: close\r\n\r\n".encode()


class Connection(Protocol):
    """What a task can do with its connection (`channel.Channel`)."""

    @property
    def on_served(self) -> OnServed | None:
        """Who is told what the server has done."""

    def watch(self) -> None:
        """Notice from now on when the client leaves."""

    def unwatch(self) -> None:
        """The request has been answered."""

    def give_up(self, data: bytes) -> None:
        """Send this at the end, and nothing that the thread may write that answers the request."""

    def when_gone(self, callback: Callable[[], object]) -> None:
        """Call back once the client has gone."""

    def end_in_reset(self) -> None:
        """Have it end in a TCP reset."""

    def local_address(self) -> str:
        """The IP address of this machine that it has come in by."""


def _connection_of(task: Task) -> Connection:
    return cast("Connection", task.channel)


def _in_order(header: bytes, names: list[str]) -> bytes:
    """The head of an answer with these names as they are written, in this order: waitress sorts them, and
    writes `Etag`. What it has added comes last.
    """
    first, *lines = header.removesuffix(b"\r\n\r\n").split(b"\r\n")
    places = {name.lower(): place for place, name in enumerate(names)}

    def placed(line: bytes) -> tuple[int, bytes]:
        name, _, value = line.partition(b":")
        place = places.get(name.decode("latin-1").lower())
        if place is None:
            return len(names), line
        return place, names[place].encode("latin-1") + b":" + value

    written = [line for _, line in sorted(map(placed, lines), key=itemgetter(0))]
    return b"\r\n".join([first, *written, b"", b""])


class _ReportingTask(Task):
    """Tells what was served. A stream is an answer that does not say how long it is."""

    _began = 0.0
    _streaming = False

    def service(self) -> None:
        self._began = monotonic()
        try:
            super().service()
        finally:
            _connection_of(self).unwatch()
            if self.wrote_header:
                self._report("stream ends" if self._streaming else "answered")

    def build_response_header(self) -> bytes:
        names = [name for name, _ in self.response_headers]
        header = self._as_node_writes_it(_in_order(super().build_response_header(), names))
        if self.content_length is None and self.has_body:
            self._streaming = True
            _connection_of(self).watch()
            self._report("stream begins")
        return header

    def _as_node_writes_it(self, header: bytes) -> bytes:
        """The head of an answer, with what Node says of the connection."""
        if self.version != "1.1":
            return header
        asked = (
            getattr(self.request, "connection_close", False)
            or getattr(self.request, "headers", {}).get("CONNECTION", "").lower() == "close"
        )
        if not self.has_body and not asked and self.status.startswith(("204", "304")):
            # Where there is no body, nobody needs the end of the connection to see its end.
            self.close_on_finish = False
            header = header.replace(b"Connection: close\r\n", b"")
        if self.close_on_finish:
            return header
        return header[:-2] + _KEPT_OPEN + b"\r\n"

    def _report(self, stage: Stage) -> None:
        on_served = _connection_of(self).on_served
        if on_served is not None:
            request: Any = self.request
            on_served(
                Served(
                    stage,
                    # A request that cannot even be read has neither.
                    getattr(request, "command", None) or "?",
                    getattr(request, "request_uri", "?"),
                    int(self.status[:3]),
                    monotonic() - self._began,
                    next((text for name, text in self.response_headers if name == HEADER), None),
                )
            )


class ApiTask(_ReportingTask, WSGITask):
    def execute(self) -> None:
        try:
            super().execute()
        except (Dropped, TimedOut):
            raise
        except OSError as error:
            # Waitress takes each of these for a client that has gone, and says nothing. But what goes wrong
            # with a client's socket does not come here: this is a full disk, or a date that no clock has.
            raise RuntimeError(f"the application failed: {error}") from error

    def _give_up(self, error: OutputError, last_frame: bytes = b"") -> None:
        """Have the client get this error, as this task's thread does not come back, and end the connection.
        Called from another thread. A stream that has begun ends with `last_frame`.
        """
        if self.wrote_header:
            _connection_of(self).give_up(self._end_of_stream(last_frame))
            return
        answer = response_of(error_reply(error))
        head = [
            f"HTTP/1.1 {status_line(answer.status)}",
            *(f"{name}: {value}" for name, value in answer.wsgi_headers()),
        ]
        text = "\r\n".join([*head, "Connection: close", "", ""]).encode("latin-1") + answer.body
        _connection_of(self).give_up(text)

    def _end_of_stream(self, frame: bytes) -> bytes:
        """A stream's last frame as it is sent; nothing in the middle of another answer, or where the client
        has not taken what was there before.
        """
        if not frame or not self.chunked_response or self.channel.total_outbufs_len:
            return b""
        return b"%x\r\n%s\r\n0\r\n\r\n" % (len(frame), frame)

    def get_environment(self) -> WSGIEnvironment:
        environ = super().get_environment()
        environ[WHEN_GONE] = _connection_of(self).when_gone
        environ[GIVE_UP] = self._give_up
        environ[RESET] = _connection_of(self).end_in_reset
        environ[LOCAL_ADDRESS] = _connection_of(self).local_address
        return environ


class RefusingTask(_ReportingTask, ErrorTask):
    def execute(self) -> None:
        request: Any = self.request
        if isinstance(request.error, RequestHeaderFieldsTooLarge):
            self._refuse(head_limit.STATUS)
        elif isinstance(request.error, (BadRequest, ServerNotImplemented)):
            self._refuse(400)
        else:
            super().execute()

    def _refuse(self, status: int) -> None:
        self.status: str = status_line(status)
        self.wrote_header = True
        self.close_on_finish = True
        self.content_length: int | None = 0
        self.channel.write_soon(refusal(status))
