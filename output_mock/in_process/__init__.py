"""Reaching a fake with no socket: what `requests` and `httpx` send to its URL is answered in process.

Only calls to the URL of a fake that is open here are taken, before anything else that a test has put in the
way of HTTP sees them; all other calls go where they would have gone.
"""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING

from output_mock.in_process.door import Door

if TYPE_CHECKING:
    from output_mock.http.app import OutputApp

# Nothing listens here (the discard service is long gone): a client that is not caught is refused at once, and
# does not leave this machine.
_FIRST, _LAST = 1, 250
_PORT = 9

_doors: list[Door] = []
_lock = threading.RLock()


def door_to(url: str) -> Door | None:
    """The open door that a request to `url` goes through; None when it is for somebody else."""
    for door in reversed(_doors):
        if door.leads_to(url):
            return door
    return None


@contextmanager
def reach(app: OutputApp, url: str | None = None) -> Iterator[str]:
    """Answer what is sent to `url` by `app` while the block runs, and yield the URL.

    Without one, a loopback address is taken where nothing listens. Raises `ValueError` for what is no URL.
    """
    with _lock:
        door = Door(app, url or _free_url())
        if not _doors:
            for client in _clients():
                client.install()
        _doors.append(door)
    try:
        yield door.url
    finally:
        with _lock:
            _doors.remove(door)
            if not _doors:
                for client in _clients():
                    client.uninstall()


def _free_url() -> str:
    taken = {door.url for door in _doors}
    for last in range(_FIRST, _LAST):
        url = f"http://127.0.0.{last}:{_PORT}"
        if url not in taken:
            return url
    raise RuntimeError(f"{_LAST - _FIRST} fakes are open in this process; close some, or give them URLs")


def _clients() -> Iterator[ModuleType]:
    """What knows how to catch the calls of a kind of client; httpx need not be there."""
    from output_mock.in_process import requests_client

    yield requests_client
    if importlib.util.find_spec("httpx") is not None:
        from output_mock.in_process import httpx_client

        yield httpx_client
