"""Where the threads of the process are."""

from __future__ import annotations

import gc
import os
import sys
import threading
from types import FrameType

_alone = threading.RLock()


def _after_fork() -> None:
    global _alone
    _alone = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def current_frames() -> dict[int, FrameType]:
    """The frame that each thread is at, by the thread's number, as `sys._current_frames` has it.

    Python 3.11 holds a lock meanwhile that every thread needs to begin and to end. A garbage collection that
    comes just then may call Python code, and that may let another thread run, which may need the lock: then
    both wait for ever. So no collection may come here.
    """
    with _alone:
        collects = gc.isenabled()
        gc.disable()
        try:
            return sys._current_frames()  # noqa: TID251
        finally:
            if collects:
                gc.enable()
