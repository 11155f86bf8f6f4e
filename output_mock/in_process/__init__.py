"""The fake without a socket: answers `requests`, `httpx` and `httpx2` in the same process.

Only requests to the URL of an open fake are intercepted, before any other HTTP patches of the test see them.
All other requests are unaffected. The clients are never imported from here, only by the code that uses them.
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

# Nothing listens here (the discard service is long gone): a request that is not intercepted is refused at
# once, and does not leave this machine.
_FIRST, _LAST = 1, 250
_PORT = 9
# The packages whose requests can be answered.
CLIENTS = ("requests", "httpx", "httpx2")


class _Client(Protocol):
    """Intercepts the requests of one package."""

    def install(self) -> None:
        """Answer what is sent to the fakes that are open."""

    def uninstall(self) -> None:
        """Leave the package as it was."""


# What intercepts the requests of each imported package, and which of these are installed at the moment.
_known: dict[ModuleType, _Client] = {}
_installed: dict[ModuleType, _Client] = {}
_lock = threading.RLock()


@contextmanager
def reach(app: OutputApp, url: str | None = None) -> Iterator[str]:
    """Let `app` answer what is sent to `url` while the block runs, and yield the URL.

    Without `url`, it is a loopback address where nothing listens. Raises `ValueError` for an invalid URL.
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
    """Intercept the requests of a package that has been imported, as long as a fake is open."""
    client = _known.get(package)
    if client is None:
        # Without holding the lock: another thread may be importing the package, and then needs the lock.
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
        # `requests` was removed from `sys.modules` and imported again, as pytester does.
        requests_client = importlib.reload(requests_client)
    client: _Client = requests_client.RequestsClient()
    return client
