"""Responses in WSGI's form."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

# As in Node (`http.STATUS_CODES` of Node 20). Some of Python's are different, and they change between
# versions.
PHRASES: dict[int, str] = {
    **{status.value: status.phrase for status in HTTPStatus},
    413: "Payload Too Large",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    418: "I'm a Teapot",
    422: "Unprocessable Entity",
    509: "Bandwidth Limit Exceeded",
}
# What Node says at the end of each head of a connection that stays open.
KEPT_OPEN: tuple[tuple[str, str], ...] = (("Connection", "keep-alive"), ("Keep-Alive", "timeout=5"))
# Express makes these after it has set the length.
_AFTER_LENGTH = ("ETag", "Date")


def status_line(status: int) -> str:
    """A status with its reason phrase: `404 Not Found`."""
    return f"{status} {PHRASES.get(status, 'unknown')}"


class WSGIResponse:
    """A status, headers, and a body or a stream of pieces of it.

    Werkzeug's own class does much that is not needed here, and takes longer than the rest of a short request.
    """

    __slots__ = ("body", "headers", "status", "stream")

    def __init__(
        self,
        status: int,
        headers: dict[str, str],
        body: bytes = b"",
        stream: Generator[bytes, None, None] | Iterator[bytes] | None = None,
    ) -> None:
        self.status: int = status
        self.headers: dict[str, str] = headers
        # The body; empty for a stream.
        self.body: bytes = body
        self.stream: Generator[bytes, None, None] | Iterator[bytes] | None = stream

    def wsgi_headers(self) -> list[tuple[str, str]]:
        """All headers. A stream does not say how long it is, unless it knows."""
        headers = list(self.headers.items())
        bodiless = self.status < 200 or self.status in (204, 304)
        if self.stream is None and not bodiless and "Content-Length" not in self.headers:
            place = next((place for place, (name, _) in enumerate(headers) if name in _AFTER_LENGTH), None)
            headers.insert(len(headers) if place is None else place, ("Content-Length", str(len(self.body))))
        return headers

    def close(self) -> None:
        """Close the stream, which nobody reads any more."""
        close = getattr(self.stream, "close", None)
        if close is not None:
            close()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response(status_line(self.status), self.wsgi_headers())
        if environ["REQUEST_METHOD"] == "HEAD":
            self.close()
            return ()
        return (self.body,) if self.stream is None else self.stream
