"""Decide whose calls get the fake's time: those of the code under test, not those of Python and pytest."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from types import CodeType, FrameType
from typing import Any
from weakref import WeakKeyDictionary

# Packages that measure tests and run them, and others that wait for real threads and sockets.
TOOLS: frozenset[str] = frozenset(
    {
        "_pytest",
        "anyio",
        "coverage",
        "execnet",
        "freezegun",
        "hypothesis",
        "output_mock",
        "pluggy",
        "pytest",
        "pytest_asyncio",
        "pytest_benchmark",
        "pytest_cov",
        "pytest_output",
        "pytest_randomly",
        "pytest_timeout",
        "time_machine",
        "trio",
        "waitress",
        "werkzeug",
        "xdist",
    }
)
# Modules that need real time.
_INFRASTRUCTURE = sys.stdlib_module_names - {"__main__"} | TOOLS


class Callers:
    """Tells the calls of the code under test from others.

    Takes the names of the modules and packages under test; none: all but the standard library, pytest and
    the like.
    """

    def __init__(self, modules: Sequence[str] = ()) -> None:
        self._modules = tuple(modules)
        self._known: dict[str, bool] = {}
        self._own: dict[tuple[CodeType, str], bool] = {}
        # Modules that hand a function to a thread, or to an executor.
        self.threads: WeakKeyDictionary[threading.Thread, bool] = WeakKeyDictionary()
        self.futures: WeakKeyDictionary[Future[Any], bool] = WeakKeyDictionary()

    def includes(self, module: str) -> bool:
        """Whether a module of this name is code under test."""
        known = self._known.get(module)
        if known is None:
            if self._modules:
                known = any(module == one or module.startswith(f"{one}.") for one in self._modules)
            else:
                known = module.partition(".")[0] not in _INFRASTRUCTURE
            self._known[module] = known
        return known

    def concerns(self, frame: FrameType, name: str) -> bool:
        """Whether a call of the function `name` in `frame` belongs to the code under test.

        The standard library calls functions that it was given (`Thread(target=time.sleep)`,
        `sched.scheduler`) on behalf of the code that gave them.
        """
        module: str = frame.f_globals.get("__name__", "")
        if self.includes(module):
            return True
        if module.partition(".")[0] not in _INFRASTRUCTURE:
            return False
        key = frame.f_code, name
        own = self._own.get(key)
        if own is None:
            own = self._own[key] = _calls_by_name(frame, name)
        return not own and self._given_by_code_under_test(frame)

    def innermost(self, frame: FrameType | None) -> bool:
        """Whether the innermost frame that is not the standard library's or pytest's is code under test."""
        while frame is not None:
            module: str = frame.f_globals.get("__name__", "")
            if module.partition(".")[0] not in _INFRASTRUCTURE:
                return self.includes(module)
            frame = frame.f_back
        return True

    def _given_by_code_under_test(self, frame: FrameType | None) -> bool:
        if not self._modules:
            return True
        while frame is not None:
            module: str = frame.f_globals.get("__name__", "")
            if module.partition(".")[0] not in _INFRASTRUCTURE:
                return self.includes(module)
            given: Any = frame.f_locals.get("self") if module in _HANDING else None
            future = getattr(given, "future", None)
            if isinstance(given, threading.Thread) and given in self.threads:
                return self.threads[given]
            if isinstance(future, Future) and future in self.futures:
                return self.futures[future]
            frame = frame.f_back
        return True


_HANDING = ("threading", "concurrent.futures.thread")


def _calls_by_name(frame: FrameType, name: str) -> bool:
    """Whether the code of this frame itself reads the time, or sleeps."""
    names = frame.f_code.co_names
    if name in names:
        return True
    function = getattr(sys.modules["time"], name, None)
    return function is not None and any(frame.f_globals.get(other) is function for other in names)
