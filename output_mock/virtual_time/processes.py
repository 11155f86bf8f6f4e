"""Processes for whose end the code under test looks: `while process.poll() is None: time.sleep(1)`.

Such a process needs real time. So the sleep after each look takes as long as it would, or until the end of
the process.
"""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from output_mock.real_time import monotonic
from output_mock.virtual_time.threads import Work

# The class itself, also where another tool (pytest-subprocess) replaces it.
_POPEN: Any = subprocess.Popen
_PROCESS: Any = BaseProcess


class _Looked(NamedTuple):
    """A process that a thread has found running, and how to look again."""

    process: Any
    runs: Callable[[Any], bool]


class _Sleep(NamedTuple):
    """A sleep that began at this time, in seconds of real time, and lasts so long at most."""

    looked: _Looked
    began: float
    length: float


class Processes:
    """The processes that threads look for. Each holds up time for at most `patience` seconds of real time
    altogether, as it may be a server, which does not end.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._spent: WeakKeyDictionary[Any, float] = WeakKeyDictionary()
        self._found: dict[int, _Looked] = {}
        self._sleeps: dict[int, _Sleep] = {}
        self._poll, self._is_alive = _POPEN.poll, _PROCESS.is_alive

    def change(self) -> None:
        """Note which thread looks for which process."""
        found, poll, is_alive = self._found, self._poll, self._is_alive

        def noting_poll(process: Any) -> Any:
            code = poll(process)
            if code is None:
                found[threading.get_ident()] = _Looked(process, lambda one: poll(one) is None)
            return code

        def noting_is_alive(process: Any) -> Any:
            alive = is_alive(process)
            if alive:
                found[threading.get_ident()] = _Looked(process, is_alive)
            return alive

        _POPEN.poll, _PROCESS.is_alive = noting_poll, noting_is_alive

    def put_back(self) -> None:
        """Do not note it any more."""
        _POPEN.poll, _PROCESS.is_alive = self._poll, self._is_alive

    def begin_sleep(self, seconds: float) -> None:
        """This thread begins to sleep."""
        looked = self._found.pop(threading.get_ident(), None)
        if looked is not None:
            length = min(seconds, self._patience - self._spent.get(looked.process, 0.0))
            self._sleeps[threading.get_ident()] = _Sleep(looked, monotonic(), length)

    def end_sleep(self) -> None:
        """This thread has slept."""
        sleep = self._sleeps.pop(threading.get_ident(), None)
        if sleep is not None:
            process = sleep.looked.process
            self._spent[process] = self._spent.get(process, 0.0) + monotonic() - sleep.began

    def under_way(self) -> Iterator[Work]:
        """The processes that hold up time."""
        for (process, runs), began, length in list(self._sleeps.values()):
            if monotonic() - began < length and runs(process):
                yield Work(("process", id(process)), f"the process {process.pid}")
