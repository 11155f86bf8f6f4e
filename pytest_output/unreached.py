"""Why nothing has reached the fake of a test that has failed, as far as the failure tells."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from output_mock.in_process import CLIENTS

# What clients write of an address in the words of their errors.
_WRITTEN = re.compile(
    r"(?P<host>localhost|127(?:\.\d{1,3}){3}|\[?::1\]?)['\"]?(?:, (?:port=)?|:)(?P<port>\d{1,5})\b"
)
_PORTS = {"http": 80, "https": 443}
Address = tuple[str, int]


def hint(url: str, error: BaseException | None, *, in_process: bool) -> str:
    """What may be the reason that no request has come to the fake at `url`, and what to do about it.

    Takes what the test has failed with, and whether the fake is reached in process only.
    """
    called = None if error is None else loopback_address(error)
    answered = f"{', '.join(CLIENTS[:-1])} and {CLIENTS[-1]}"
    socket = (
        f"in process it answers {answered}; for aiohttp, urllib, niquests, other clients and other "
        "processes, use the fixture output_server in place of output_mock, which has a socket"
    )
    if called is None:
        lines = [f"nothing has reached this fake, which is at {url}"]
        if in_process:
            lines.append(socket)
        lines.append(_imported(in_process, "the address that it uses"))
    elif _is_same(called, url):
        lines = [f"the test has failed with {_kind(error)} at {url}: that is this fake, and no request came"]
        lines.append(socket if in_process else "what the client says of the connection is in its error")
    else:
        host, port = called
        used = f"http://{host}:{port}"
        lines = [
            f"the test has failed with {_kind(error)} at {used}, and this fake is at {url}",
            _imported(in_process, used),
        ]
    return "\n".join(lines)


def _imported(in_process: bool, used: str) -> str:
    where = f"; or set output_url = {used} in the ini file" if in_process else ""
    return (
        "code that reads OUTPUT_API_URL while it is imported does not see the fake's address: read it when "
        f"you make the request{where}"
    )


def _kind(error: BaseException | None) -> str:
    return type(error).__name__


def _is_same(address: Address, url: str) -> bool:
    parts = urlsplit(url)
    return address == (parts.hostname, parts.port or _PORTS.get(parts.scheme))


def loopback_address(error: BaseException) -> Address | None:
    """The address on this machine to which no connection came about, as far as an error tells."""
    for one in _chain(error):
        if not isinstance(one, OSError) and "Connect" not in type(one).__name__:
            continue
        for host, port in _addresses(one):
            if host in ("localhost", "::1") or host.startswith("127."):
                return host, port
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error, what it was raised for, and what it holds."""
    waiting, seen = [error], set()
    while waiting:
        one = waiting.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        held = (one.__cause__, one.__context__, getattr(one, "reason", None), *one.args)
        waiting += [other for other in (*held, *getattr(one, "exceptions", ())) if _is_error(other)]


def _is_error(value: object) -> bool:
    return isinstance(value, BaseException)


def _addresses(error: BaseException) -> Iterator[Address]:
    request: Any = None
    try:
        request = getattr(error, "request", None)
    except RuntimeError:
        # httpx says so of an error that has none.
        pass
    if request is not None:
        parts = urlsplit(str(getattr(request, "url", "")))
        if parts.hostname:
            yield parts.hostname, parts.port or _PORTS.get(parts.scheme, 0)
    host, port = getattr(error, "host", None), getattr(error, "port", None)
    if isinstance(host, str) and isinstance(port, int):
        yield host, port
    for found in _WRITTEN.finditer(str(error)):
        yield found["host"].strip("[]"), int(found["port"])
    # The words of a refused connection do not name it, but the function that has opened it knows.
    traceback = error.__traceback__
    while traceback is not None:
        address = traceback.tb_frame.f_locals.get("address")
        if isinstance(address, tuple) and len(address) >= 2 and isinstance(address[1], int):
            yield str(address[0]), address[1]
        traceback = traceback.tb_next
