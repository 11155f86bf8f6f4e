"""What the tasks of an event loop wait for: only for time, or for something else, too."""

from __future__ import annotations

import asyncio
from asyncio.base_subprocess import BaseSubprocessTransport
from asyncio.subprocess import SubprocessStreamProtocol
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

_SLEEPS = asyncio.futures._set_result_unless_cancelled  # type: ignore[attr-defined]


def awaits_more_than_time(loop: Any) -> bool:
    """Whether a task waits for something other than a sleep or another task."""
    sleeps = {
        id(one._args[0])
        for one in list(loop._scheduled)
        if not one._cancelled and one._callback is _SLEEPS and one._args
    }
    while True:
        with suppress(RuntimeError):
            tasks = asyncio.all_tasks(loop)
            break
    for task in tasks:
        awaited: Any = getattr(task, "_fut_waiter", None)
        if awaited is None or isinstance(awaited, (asyncio.Task, asyncio.tasks._GatheringFuture)):  # type: ignore[attr-defined]
            continue
        if id(awaited) not in sleeps:
            return True
    return False


def end_is_not_awaited(arguments: Sequence[Any]) -> bool:
    """Whether these, given to what waits for a process to end, name a process whose end no task waits for.

    What it writes to its pipes is another matter.
    """
    for one in arguments:
        if isinstance(one, (tuple, list)) and end_is_not_awaited(one):
            return True
        if isinstance(one, BaseSubprocessTransport):
            protocol = one.get_protocol()
            return isinstance(protocol, SubprocessStreamProtocol) and not one._exit_waiters
    return False
