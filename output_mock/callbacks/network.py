"""Requests over HTTP: to this machine, and to allowed hosts. No other name is ever resolved."""

from __future__ import annotations

import gzip
import http.client
import io
import ipaddress
import socket
import ssl
import zlib
from collections.abc import Collection
from typing import Any

from output_mock.callbacks.no_answer import LARGEST_ANSWER, NotAllowed, NotSent, TookTooLong, TooLarge
from output_mock.callbacks.request import Request, Response
from output_mock.real_time import monotonic


def send(request: Request, hosts: Collection[str], timeout: float) -> Response:
    """Send a request to a loopback address, or to one of the hosts: names or addresses, as in URLs.

    Returns the answer, which may take `timeout` seconds to its last byte.

    Raises `NotAllowed` before anything is sent, `NotSent` when there is no answer, and `TookTooLong`.
    """
    end = monotonic() + timeout
    parts = request.parts
    host = (parts.hostname or "").lower()
    port = request.port
    address = _loopback(host)
    if address is None and host not in hosts:
        raise NotAllowed(f"Error: connect ECONNREFUSED 127.0.0.1:{port}")
    try:
        connection = _connected(address or host, host, port, parts.scheme, timeout)
    except socket.gaierror:
        raise NotSent(f"Error: getaddrinfo ENOTFOUND {host}") from None
    except TimeoutError:
        raise TookTooLong from None
    except ConnectionRefusedError:
        raise NotSent(f"Error: connect ECONNREFUSED {address or host}:{port}") from None
    except OSError as error:
        raise NotSent(f"Error: {error.strerror or error}") from None
    try:
        return _exchanged(connection, request, end)
    except TimeoutError:
        raise TookTooLong from None
    except (OSError, http.client.HTTPException, zlib.error, EOFError, ValueError):
        raise NotSent("SocketError: other side closed") from None
    finally:
        connection.close()


def _connected(address: str, host: str, port: int, scheme: str, timeout: float) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection(address, port, timeout=timeout)
    connection.connect()
    if scheme == "https":
        connection.sock = ssl.create_default_context().wrap_socket(connection.sock, server_hostname=host)
    return connection


class _Timely(io.RawIOBase):
    """What comes through a socket until `end`, however slowly it drips."""

    def __init__(self, sock: Any, end: float) -> None:
        self._socket, self._end = sock, end
        self._file = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._end - monotonic()
        if left <= 0:
            raise TimeoutError
        self._socket.settimeout(left)
        read: int | None = self._file.readinto(buffer)
        return read

    def close(self) -> None:
        self._file.close()
        super().close()


class _Source:
    """What an `HTTPResponse` reads from, in the place of a socket."""

    def __init__(self, sock: Any, end: float) -> None:
        self._socket, self._end = sock, end

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Timely(self._socket, self._end))


def _exchanged(connection: http.client.HTTPConnection, request: Request, end: float) -> Response:
    def answer_from(sock: Any, *args: Any, **options: Any) -> http.client.HTTPResponse:
        source: Any = _Source(sock, end)
        return http.client.HTTPResponse(source, *args, **options)

    connection.response_class = answer_from  # type: ignore[assignment]
    parts = request.parts
    target = f"{parts.path}?{parts.query}" if parts.query else parts.path
    connection.putrequest(request.method, target, skip_host=True, skip_accept_encoding=True)
    connection.putheader("host", request.host)
    connection.putheader("connection", request.connection)
    for name, value in request.headers:
        connection.putheader(name, value.encode("latin-1"))
    connection.endheaders(request.body or None)
    with connection.getresponse() as answer:
        body = _limited(answer.read(LARGEST_ANSWER + 1))
        headers = tuple((name.lower(), value) for name, value in answer.getheaders())
    coding = (answer.getheader("content-encoding") or "").lower()
    if coding == "gzip":
        body = _limited(gzip.GzipFile(fileobj=io.BytesIO(body)).read(LARGEST_ANSWER + 1))
    elif coding == "deflate":
        body = _limited(zlib.decompressobj().decompress(body, LARGEST_ANSWER + 1))
    return Response(request.url, answer.status, answer.reason, headers, body)


def _limited(body: bytes) -> bytes:
    if len(body) > LARGEST_ANSWER:
        raise TooLarge
    return body


def _loopback(host: str) -> str | None:
    """The loopback address of a host, without resolving names; None for any other host."""
    if host == "localhost" or host.endswith(".localhost"):
        return "127.0.0.1"
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return host if address.is_loopback else None
