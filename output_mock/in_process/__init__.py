"""The fake without a socket: answers `requests`, `httpx` and `httpx2` in the same process.

Only calls to the URL of a fake that is open here are taken, before anything else that a test has put in the
way of HTTP sees them; all other calls go where they would have gone. A client is imported by whoever uses it,
never from here.
"""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Protocol

from output_mock.in_process import imports
from output_mock.in_process.mount import MOUNTED, MountedApp

if TYPE_CHECKING:
    from output_mock.http.app import OutputApp

# Nothing listens here (the discard service is long gone): a client that is not caught is refused at once, and
# does not leave this machine.
_FIRST, _LAST = 1, 250
_PORT = 9
# The packages whose calls can be answered.
CLIENTS = ("requests", "httpx", "httpx2")


class _Client(Protocol):
    """How the calls of one package are caught."""

    def install(self) -> None:
        """Answer what is sent to the fakes that are open."""

    def uninstall(self) -> None:
        """Leave the package as it was."""


# How the calls of each package that was imported are caught, and which ones are at the moment.
_known: dict[ModuleType, _Client] = {}
_installed: dict[ModuleType, _Client] = {}
_lock = threading.RLock()


@contextmanager
def reach(app: OutputApp, url: str | None = None) -> Iterator[str]:
    """Answer what is sent to `url` by `app` while the block runs, and yield the URL.

    Without one, a loopback address is taken where nothing listens. Raises `ValueError` for what is no URL.
    """
    with _lock:
        mounted = MountedApp(app, url or _free_url())
        MOUNTED.append(mounted)
        imports.when_imported(CLIENTS, _install)
    try:
        for name in CLIENTS:
            if sys.modules.get(name) is not None:
                # Another thread may be importing it just now; this waits until it has.
                _install(importlib.import_module(name))
        yield mounted.url
    finally:
        with _lock:
            MOUNTED.remove(mounted)
            mounted.close()
            if not MOUNTED:
                imports.forget()
                while _installed:
                    _installed.popitem()[1].uninstall()


def _free_url() -> str:
    taken = {mounted.url for mounted in MOUNTED}
    for last in range(_FIRST, _LAST):
        url = f"http://127.0.0.{last}:{_PORT}"
        if url not in taken:
            return url
    raise RuntimeError(f"{_LAST - _FIRST} fakes are open in this process; close some, or give them URLs")


def _install(package: ModuleType) -> None:
    """Catch the calls of a package that has been imported, as long as a fake is open."""
    client = _known.get(package)
    if client is None:
        # Not with the lock held: another thread may import the package just now, and come here next.
        client = _client(package)
    with _lock:
        client = _known.setdefault(package, client)
        if MOUNTED and package not in _installed:
            client.install()
            _installed[package] = client


def _client(package: ModuleType) -> _Client:
    if package.__name__ != "requests":
        from output_mock.in_process.httpx_client import HttpxClient

        return HttpxClient(package)
    requests_client = importlib.import_module("output_mock.in_process.requests_client")
    if requests_client.requests is not package:
        # Somebody has taken `requests` out of `sys.modules` and imported it anew, as pytester does.
        requests_client = importlib.reload(requests_client)
    client: _Client = requests_client.RequestsClient()
    return client
