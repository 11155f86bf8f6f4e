"""HTTP/1.1 as bytes: read what a client writes, and write what it reads."""

from __future__ import annotations

from typing import NamedTuple

from output_mock.in_process.mount import InProcessAnswer

# What Node answers when it cannot read a request.
REFUSED = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"


class Request(NamedTuple):
    """A request that was read."""

    method: str
    # The path and the query, as they were sent.
    target: str
    headers: list[tuple[str, str]]
    body: bytes


def parse(data: bytes) -> Request:
    """Read one whole request, as a client library writes it. Raises `ValueError` when a body that should
    come in chunks does not.
    """
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = []
    for line in lines:
        name, _, value = line.partition(":")
        headers.append((name, value.strip(" \t")))
        if name.lower() == "transfer-encoding":
            body = _joined(body)
    return Request(method, target, headers, body)


def _joined(body: bytes) -> bytes:
    """The chunks of a body, joined."""
    pieces: list[bytes] = []
    begin = 0
    while True:
        end = body.index(b"\r\n", begin)
        size = int(body[begin:end].partition(b";")[0], 16)
        if not size:
            return b"".join(pieces)
        pieces.append(body[end + 2 : end + 2 + size])
        begin = end + 2 + size + 2


def is_chunked(answer: InProcessAnswer) -> bool:
    """Whether the body comes in chunks, because its length is not known at the start."""
    return answer.body is None and ("Transfer-Encoding", "chunked") in answer.headers


def head(answer: InProcessAnswer) -> bytes:
    """The status line and the headers of an answer."""
    lines = [f"HTTP/1.1 {answer.status} {answer.reason}"]
    lines += [f"{name}: {value}" for name, value in answer.headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def chunk(piece: bytes | None) -> bytes:
    """A piece of a body that comes in chunks; None is its end."""
    if piece is None:
        return b"0\r\n\r\n"
    return b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""
