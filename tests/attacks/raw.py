"""Raw requests, as an attacker writes them: nothing is added or corrected."""

from __future__ import annotations

import json
import socket
from typing import Any, NamedTuple
from urllib.parse import urlsplit


class RawAnswer(NamedTuple):
    """A response; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def send(url: str, first_line: str, *headers: str, body: bytes = b"", half_close: bool = False) -> RawAnswer:
    """Send a first line such as `GET /__mock__/clock` and header lines to the server at `url`.

    With `half_close`, close the sending side, so that the server does not wait for more.
    """
    parts = urlsplit(url)
    assert parts.hostname is not None
    lines = [f"{first_line} HTTP/1.1", *headers, "Connection: close"]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    with socket.create_connection((parts.hostname, parts.port or 80), timeout=30) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        received = b""
        while piece := connection.recv(65536):
            received += piece
    head, _, rest = received.partition(b"\r\n\r\n")
    first, *others = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(": ") for line in others)
    return RawAnswer(int(first.split()[1]), {name.lower(): value for name, _, value in pairs}, rest)
