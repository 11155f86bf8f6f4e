"""Where the threads of the process are."""

from __future__ import annotations

import gc
import os
import sys
import threading
from types import FrameType

# Two threads that switched the collector off and on crosswise would leave it off.
_alone = threading.RLock()

if hasattr(os, "register_at_fork"):
    # A fork meanwhile would leave it off in the child.
    os.register_at_fork(before=_alone.acquire, after_in_parent=_alone.release, after_in_child=_alone.release)


def current_frames() -> dict[int, FrameType]:
    """The frame that each thread is at, by the thread's number, as `sys._current_frames` has it.

    Python 3.11 holds a lock meanwhile that every thread needs to begin and to end. A garbage collection that
    comes just then may call Python code, and that may let another thread run, which may need the lock: then
    both wait for ever. So no collection may come here.
    """
    with _alone:
        collects = gc.isenabled()
        try:
            # Inside the block: a signal or an interruption may come as soon as this has returned.
            gc.disable()
            return sys._current_frames()  # noqa: TID251
        finally:
            if collects:
                gc.enable()
