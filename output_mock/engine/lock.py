"""A world's lock, and what happens to waiting requests while a script blocks.

A script runs in the thread of the request that resumed it, with the world's lock held. So while it computes
or blocks, all other requests to this world wait here, and get an error that says why. Other worlds have
their own locks.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from output_mock.engine.errors import Ending, WorldBusyError, WorldStuckError
from output_mock.real_time import monotonic

if TYPE_CHECKING:
    from output_mock.engine.watchdog import Watchdog

    class _RLock:
        """The interface of `threading.RLock()`, whose class has no public name."""

        def acquire(self, blocking: bool = True, timeout: float = -1) -> bool: ...
        def release(self) -> None: ...
        def __enter__(self) -> bool: ...
        def __exit__(self, *error: object) -> None: ...

else:
    _RLock = type(threading.RLock())

# For how many seconds one script may block a world before waiting requests get an error.
PATIENCE = 10.0
# How long a request waits for a world that is busy with many things.
LONGEST_WAIT = 60.0
# How many requests may wait for a script that has blocked the world for longer than `_SHORT`, as each takes
# a thread.
MOST_WAITING = 50
_SHORT = 1.0
# How often waiting requests check, in seconds. No more than this counts between two checks, as the process
# may have stood still.
_LOOK = 0.2


class WorldLock(_RLock):
    """The lock of a world. `with` raises an error if the lock cannot be acquired in time.

    `acquire` waits for ever, as with every lock. The same thread may acquire it more than once.
    """

    def __init__(self) -> None:
        super().__init__()
        # The watchdog, which knows which script runs with the lock held.
        self.watchdog: Watchdog | None = None
        self.patience: float = PATIENCE
        # Why waiting for this world is pointless; None while it exists.
        self.ended: Ending | None = None
        # How often all waiters were woken, and why the last time.
        self.interruptions: int = 0
        self.interrupted: Ending | None = None
        self._waiting = 0
        self._counting = threading.Lock()
        # The number of the script for which a request has given up waiting.
        self._given_up = 0

    def __enter__(self) -> bool:
        return self.acquire(False) or self.wait_for_turn()

    def is_mine(self) -> bool:
        """Whether this thread holds it."""
        mine: bool = self._is_owned()  # type: ignore[attr-defined]
        return mine

    def wait_for_turn(self) -> bool:
        """Acquire it as soon as possible.

        Raises `WorldStuckError` if a script blocks it, `WorldBusyError` if it is not free for other reasons,
        and the error of `Ending.error` if the world ends meanwhile, or all waiters are woken.
        """
        with self._counting:
            self._waiting += 1
        try:
            self._wait()
        finally:
            with self._counting:
                self._waiting -= 1
        return True

    def _wait(self) -> None:
        interruptions = self.interruptions
        held_by = self._script()
        held = waited = 0.0
        before = monotonic()
        while not self.acquire(timeout=_LOOK):
            now = monotonic()
            passed, before = min(now - before, 2 * _LOOK), now
            script = self._script()
            held = held + passed if script and script == held_by else 0.0
            waited, held_by = waited + passed, script
            ending = self.ended or (self.interrupted if self.interruptions != interruptions else None)
            if ending is not None:
                raise ending.error()
            if script:
                crowded = held > _SHORT and self._waiting > MOST_WAITING
                if held > self.patience or crowded or script == self._given_up:
                    self._give_up(script)
            if waited > LONGEST_WAIT:
                raise WorldBusyError

    def _script(self) -> int:
        """The number of the script that runs with the lock held; 0 for none."""
        return 0 if self.watchdog is None else self.watchdog.running

    def _give_up(self, script: int) -> None:
        assert self.watchdog is not None
        words = self.watchdog.described()
        if words is not None:
            self._given_up = script
            raise WorldStuckError(words)

    def stuck(self) -> str | None:
        """The script that blocks the world, if a request has given up waiting for it; None otherwise."""
        script = self._script()
        if not script or script != self._given_up or self.watchdog is None:
            return None
        return self.watchdog.described()

    def wake_all_waiters(self, ending: Ending) -> None:
        """Wake everything that waits for the lock, with the error for this ending."""
        self.interrupted = ending
        self.interruptions += 1
