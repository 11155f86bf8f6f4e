"""Proxies to put in front of a server. Each of them breaks something."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

Headers = list[tuple[str, str]]
# Hop-by-hop headers, which are not passed on.
_OF_THE_CONNECTION = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}


@dataclass
class Passing:
    """A request on its way through a proxy, and later its response."""

    method: str
    path: str
    headers: Headers
    body: bytes
    status: int = 0
    answer_headers: Headers = field(default_factory=list)
    # The body of the answer. It may be a stream.
    pieces: Iterator[bytes] = field(default_factory=lambda: iter(()))

    def header(self, name: str) -> str | None:
        """A header of the request."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def without(self, *names: str) -> None:
        """Remove headers from the request."""
        self.headers = [pair for pair in self.headers if pair[0].lower() not in names]

    def answer_without(self, *names: str) -> None:
        """Remove headers from the response."""
        self.answer_headers = [pair for pair in self.answer_headers if pair[0].lower() not in names]

    def whole(self) -> bytes:
        """The complete body of the response."""
        body = b"".join(self.pieces)
        self.pieces = iter((body,))
        return body

    def say(self, status: int, body: str = "", kind: str = "text/html", **headers: str) -> None:
        """Send this response instead."""
        self.status, self.pieces = status, iter((body.encode(),))
        self.answer_headers = [
            ("Content-Type", kind),
            *((k.replace("_", "-"), v) for k, v in headers.items()),
        ]


# Gets a request and a function that asks the server. It may respond without asking the server.
Front = Callable[[Passing, Callable[[], None]], None]


@contextmanager
def in_front_of(url: str, front: Front, *, http_version: str = "HTTP/1.1") -> Iterator[str]:
    """The URL of a proxy in front of the server at another URL."""
    upstream = urlsplit(url)
    assert upstream.hostname is not None

    class Handler(BaseHTTPRequestHandler):
        protocol_version = http_version

        def _pass(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            passing = Passing(
                self.command,
                self.path,
                [pair for pair in self.headers.items() if pair[0].lower() not in _OF_THE_CONNECTION],
                self.rfile.read(length),
            )
            connections: list[http.client.HTTPConnection] = []

            def ask() -> None:
                assert upstream.hostname is not None
                connection = http.client.HTTPConnection(upstream.hostname, upstream.port, timeout=60)
                connections.append(connection)
                connection.putrequest(passing.method, passing.path, skip_accept_encoding=True)
                for name, value in passing.headers:
                    connection.putheader(name, value)
                connection.putheader("Content-Length", str(len(passing.body)))
                connection.endheaders(passing.body)
                response = connection.getresponse()
                passing.status = response.status
                passing.answer_headers = [
                    pair for pair in response.getheaders() if pair[0].lower() not in _OF_THE_CONNECTION
                ]
                passing.pieces = iter(lambda: response.read1(65536), b"")

            try:
                front(passing, ask)
                self._answer(passing)
            except (ConnectionError, TimeoutError):
                pass
            finally:
                self.close_connection = True
                for connection in connections:
                    connection.close()

        def _answer(self, passing: Passing) -> None:
            self.send_response_only(passing.status)
            for name, value in passing.answer_headers:
                self.send_header(name, value)
            self.send_header("Connection", "close")
            self.end_headers()
            for piece in passing.pieces:
                if self.command != "HEAD":
                    self.wfile.write(piece)
                    self.wfile.flush()

        def __getattr__(self, name: str) -> Callable[[], None]:
            if name.startswith("do_"):
                return self._pass
            raise AttributeError(name)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

        def handle_error(self, *_: object) -> None:
            """Ignore errors: a client may disconnect."""

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
