"""Requests over HTTP: to this machine, and to allowed hosts. No other name is ever resolved."""

from __future__ import annotations

import gzip
import http.client
import ipaddress
import socket
import ssl
import zlib
from collections.abc import Collection

from output_mock.callbacks.no_answer import NotAllowed, NotSent, TookTooLong
from output_mock.callbacks.request import Request, Response

# How many bytes an answer may have.
_MOST = 16 * 1024 * 1024


def send(request: Request, hosts: Collection[str], timeout: float) -> Response:
    """Send a request to a loopback address, or to one of the hosts: names or addresses, as in URLs.

    Returns the answer, which may take `timeout` seconds.

    Raises `NotAllowed` before anything is sent, `NotSent` when there is no answer, and `TookTooLong`.
    """
    parts = request.parts
    host = (parts.hostname or "").lower()
    port = parts.port or (443 if parts.scheme == "https" else 80)
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
        return _exchanged(connection, request)
    except TimeoutError:
        raise TookTooLong from None
    except (OSError, http.client.HTTPException, zlib.error, EOFError):
        raise NotSent("SocketError: other side closed") from None
    finally:
        connection.close()


def _connected(address: str, host: str, port: int, scheme: str, timeout: float) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection(address, port, timeout=timeout)
    connection.connect()
    if scheme == "https":
        connection.sock = ssl.create_default_context().wrap_socket(connection.sock, server_hostname=host)
    return connection


def _exchanged(connection: http.client.HTTPConnection, request: Request) -> Response:
    parts = request.parts
    target = f"{parts.path}?{parts.query}" if parts.query else parts.path
    connection.putrequest(request.method, target, skip_host=True, skip_accept_encoding=True)
    connection.putheader("host", parts.netloc)
    connection.putheader("connection", request.connection)
    for name, value in request.headers:
        connection.putheader(name, value.encode("latin-1"))
    connection.endheaders(request.body or None)
    answer = connection.getresponse()
    body = answer.read(_MOST + 1)
    if len(body) > _MOST:
        raise http.client.HTTPException("the answer is too large")
    headers = tuple((name.lower(), value) for name, value in answer.getheaders())
    coding = (answer.getheader("content-encoding") or "").lower()
    if coding == "gzip":
        body = gzip.decompress(body)
    elif coding == "deflate":
        body = zlib.decompress(body)
    return Response(request.url, answer.status, answer.reason, headers, body)


def _loopback(host: str) -> str | None:
    """The loopback address of a host, without resolving names; None for any other host."""
    if host == "localhost" or host.endswith(".localhost"):
        return "127.0.0.1"
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return host if address.is_loopback else None
