"""Explain why no request has reached the fake of a failed test, as far as the failure shows it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from output_mock.in_process import CLIENTS

# How clients write an address in their error messages.
_WRITTEN = re.compile(
    r"(?P<host>localhost|127(?:\.\d{1,3}){3}|\[?::1\]?)['\"]?(?:, (?:port=)?|:)(?P<port>\d{1,5})\b"
)
_PORTS = {"http": 80, "https": 443}
Address = tuple[str, int]
# How pytest begins to say that no plugin runs a test that is a coroutine function.
_NOT_RUN = "async def functions are not natively supported"


def hint(url: str, error: BaseException | None, *, in_process: bool) -> str:
    """What may be the reason that no request has come to the fake at `url`, and what to do about it.

    `error` is what the test failed with; `in_process` says whether the fake has no socket.
    """
    if error is not None and str(error).startswith(_NOT_RUN):
        return (
            "the test itself did not run: pytest needs a plugin for async def tests. Install pytest-asyncio "
            "and set asyncio_mode = auto in the ini file, or mark the test with @pytest.mark.asyncio"
        )
    called = None if error is None else loopback_address(error)
    answered = f"{', '.join(CLIENTS[:-1])} and {CLIENTS[-1]}"
    socket = (
        f"output_mock only sees requests that {answered} make in this process. For aiohttp, urllib, "
        f"niquests, other clients and other processes, use the fixture output_server, which listens on a "
        f"socket"
    )
    if called is None:
        lines = [f"no request has reached this fake, which is at {url}"]
        if in_process:
            lines.append(socket)
        lines.append(_imported(in_process, "the address that it uses"))
    elif _is_same(called, url):
        lines = [
            f"the test failed with {_kind(error)} at {url}. That is this fake's URL, but the request "
            f"did not reach it"
        ]
        lines.append(
            socket if in_process else "see the client's own error for what it says about the connection"
        )
    else:
        host, port = called
        used = f"http://{host}:{port}"
        lines = [
            f"the test failed with {_kind(error)} at {used}, but this fake is at {url}",
            _imported(in_process, used),
        ]
    return "\n".join(lines)


def refused(url: str, error: BaseException | None) -> bool:
    """Whether the test failed as nothing listens at the URL of its fake, which is in process."""
    if error is None or not any(isinstance(one, ConnectionRefusedError) for one in _chain(error)):
        return False
    called = loopback_address(error)
    return called is not None and _is_same(called, url)


def _imported(in_process: bool, used: str) -> str:
    where = f"; or set output_url = {used} in the ini file" if in_process else ""
    return (
        "code that reads OUTPUT_API_URL at import time does not see the fake's address: read it when you "
        "make the "
        f"request{where}"
    )


def _kind(error: BaseException | None) -> str:
    return type(error).__name__


def _is_same(address: Address, url: str) -> bool:
    parts = urlsplit(url)
    return address == (parts.hostname, parts.port or _PORTS.get(parts.scheme))


def loopback_address(error: BaseException) -> Address | None:
    """The local address that could not be connected to, if the error tells it."""
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
        # httpx raises this for an error that has no request.
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
    # The message of a refused connection does not name the address, but the function that tried to open it
    # knows.
    traceback = error.__traceback__
    while traceback is not None:
        address = traceback.tb_frame.f_locals.get("address")
        if isinstance(address, tuple) and len(address) >= 2 and isinstance(address[1], int):
            yield str(address[0]), address[1]
        traceback = traceback.tb_next
