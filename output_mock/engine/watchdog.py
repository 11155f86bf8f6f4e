"""Notices a script that blocks its thread, and breaks it off.

A script runs in the thread of whichever request resumed it, so one that never returns would hang the
whole world. One thread looks after all watchdogs of the process; it exists only while scripts run.
"""

from __future__ import annotations

import ctypes
import sys
import threading
import time
from threading import get_ident

from output_mock.engine.wall import monotonic

# The real worker calls a workflow task deadlocked after two seconds without a yield.
LIMIT = 2.0
_IDLE = 5.0


class ScriptBlockedError(Exception):
    """Raised inside a script that does not give its thread back."""

    def __init__(self, what: str | None = None) -> None:
        super().__init__(
            f"the script {what or f'blocked for more than {LIMIT:g} s without awaiting anything'}; use "
            "ctx.sleep instead of time.sleep, and ctx.step(…, returns=…, takes=…) for what comes from outside"
        )


# What blocks or leaves the world, as Python's audit events name it; `time.sleep` has one since 3.13.
_FORBIDDEN = {
    "time.sleep": "called time.sleep",
    "socket.connect": "opened a network connection",
    "socket.getaddrinfo": "looked up a host",
    "subprocess.Popen": "started a process",
}
# The threads in which a script is running at the moment.
_script_threads: set[int] = set()
# What was refused in a thread, in case that the script catches the error and goes on.
_refusals: dict[int, ScriptBlockedError] = {}
_hook_installed = False


def _audit(event: str, args: tuple[object, ...]) -> None:
    if event in _FORBIDDEN and (thread_id := get_ident()) in _script_threads:
        _refusals[thread_id] = refusal = ScriptBlockedError(_FORBIDDEN[event])
        raise refusal


def _install_hook() -> None:
    """Have Python tell of what a script does; a hook stays for as long as the process."""
    global _hook_installed
    if not _hook_installed:
        _hook_installed = True
        sys.addaudithook(_audit)


# The watchdogs of the worlds in which a script is running at the moment, and who looks after them.
_awake: set[Watchdog] = set()
_watcher: threading.Thread | None = None


class Watchdog:
    """Watches the one workflow task that a world's lock lets run at a time."""

    __slots__ = ("_broken", "_depth", "_since", "_thread_id")

    def __init__(self) -> None:
        self._depth = 0
        self._since = 0.0
        self._thread_id = 0
        self._broken = False

    def begin(self, *, strict: bool) -> None:
        """Code of a script is about to run in this thread; if `strict`, what leaves the world is refused."""
        self._depth += 1
        if self._depth == 1:
            thread_id = self._thread_id = get_ident()
            self._since = monotonic()
            self._broken = False
            if _refusals:
                _refusals.pop(thread_id, None)
            if strict:
                _script_threads.add(thread_id)
            _awake.add(self)
            if _watcher is None:
                _start_watching()

    def end(self) -> ScriptBlockedError | None:
        """The code has given the thread back. Returns what it was refused, also if it has caught that."""
        self._depth -= 1
        if not self._depth:
            _awake.discard(self)
            _script_threads.discard(self._thread_id)
            if _refusals:
                return _refusals.pop(self._thread_id, None)
        return None

    def look(self, now: float) -> None:
        """Break off a script that has been running for too long."""
        if self._depth and now - self._since > LIMIT and not self._broken:
            thread_id = self._thread_id
            if thread_id in sys._current_frames():
                self._broken = True
                _refusals[thread_id] = ScriptBlockedError()
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(thread_id), ctypes.py_object(ScriptBlockedError)
                )


def _start_watching() -> None:
    global _watcher
    _install_hook()
    _watcher = threading.Thread(target=_watch, name="output-mock-watchdog", daemon=True)
    _watcher.start()


def _watch() -> None:
    global _watcher
    idle_since = monotonic()
    while True:
        time.sleep(LIMIT / 4)
        now = monotonic()
        if _awake:
            idle_since = now
            for watchdog in list(_awake):
                watchdog.look(now)
        elif now - idle_since > _IDLE:
            _watcher = None
            return
