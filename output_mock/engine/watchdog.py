"""Notices a script that blocks its thread, and breaks it off.

A script runs in the thread of whichever request resumed it, so one that never returns would hang the
whole world. The watchdog is one thread for the process; it exists only while scripts run.
"""

from __future__ import annotations

import ctypes
import sys
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from output_mock.engine.instance import Instance

# The real worker calls a workflow task deadlocked after two seconds without a yield.
LIMIT = 2.0
_IDLE = 5.0


class ScriptBlockedError(Exception):
    """Raised inside a script that does not give its thread back."""

    def __init__(self, *args: object) -> None:
        super().__init__(
            f"the script blocked for more than {LIMIT:g} s without awaiting anything; use ctx.sleep instead "
            "of time.sleep, and ctx.step(…, takes=…) for work that takes time"
        )


class Watchdog:
    """Watches the one workflow task that a world's lock lets run at a time."""

    __slots__ = ("_broken", "_depth", "_since", "_thread", "_thread_id", "_watcher")

    def __init__(self) -> None:
        self._depth = 0
        self._since = 0.0
        self._thread_id = 0
        self._broken = False
        self._watcher: threading.Thread | None = None
        self._thread: threading.Thread | None = None

    def begin(self, instance: Instance) -> None:
        """A script is about to run in this thread."""
        self._depth += 1
        if self._depth == 1:
            self._thread_id = threading.get_ident()
            self._broken = False
            self._since = time.monotonic()
            watcher = self._watcher
            if watcher is None or not watcher.is_alive():
                self._watcher = threading.Thread(target=self._watch, name="output-mock-watchdog", daemon=True)
                self._watcher.start()

    def end(self) -> None:
        """The script has given the thread back."""
        self._depth -= 1

    def _watch(self) -> None:
        idle_since = time.monotonic()
        while True:
            time.sleep(LIMIT / 4)
            now = time.monotonic()
            if not self._depth:
                if now - max(idle_since, self._since) > _IDLE:
                    return
                continue
            if now - self._since > LIMIT and not self._broken and self._thread_id in sys._current_frames():
                self._broken = True
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(self._thread_id), ctypes.py_object(ScriptBlockedError)
                )
