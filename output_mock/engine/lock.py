"""A world's lock, and what becomes of those that wait for it while a script does not give its thread back.

A script runs in the thread of whichever request resumed it, with the world's lock held. So while it spins or
blocks, everybody who wants something of this world waits here, and here they are told why. Other worlds have
locks of their own.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from output_mock.engine.errors import Ending, WorldBusyError, WorldStuckError
from output_mock.real_time import monotonic

if TYPE_CHECKING:
    from output_mock.engine.watchdog import Watchdog

    class _RLock:
        """What the class of `threading.RLock()`, which has no public name, looks like."""

        def acquire(self, blocking: bool = True, timeout: float = -1) -> bool: ...
        def release(self) -> None: ...
        def __enter__(self) -> bool: ...
        def __exit__(self, *error: object) -> None: ...

else:
    _RLock = type(threading.RLock())

# How many seconds one and the same script may hold a world until those that wait for it are told.
PATIENCE = 10.0
# How long anybody waits for a world that is busy with many things.
LONGEST_WAIT = 60.0
# How many may wait for a script that has held the world for longer than `_SHORT`: each takes a thread.
MOST_WAITING = 50
_SHORT = 1.0
# How often those that wait look, in seconds. So much at most counts of what passes between two looks: a
# process that stood still has not waited.
_LOOK = 0.2


class WorldLock(_RLock):
    """The lock of a world, taken by `with`, which raises when it cannot be had.

    `acquire` waits for ever, as that of every lock does. The same thread may take it more than once.
    """

    def __init__(self) -> None:
        super().__init__()
        # Knows which script runs with the lock held; without one, nothing is known.
        self.watchdog: Watchdog | None = None
        self.patience: float = PATIENCE
        # Why nobody needs to wait for this world any more; None while it is there.
        self.ended: Ending | None = None
        # How often everybody who waits was let go, and why they were the last time.
        self.interruptions: int = 0
        self.interrupted: Ending | None = None
        self._waiting = 0
        self._counting = threading.Lock()
        # The number of the script that somebody has given up waiting for.
        self._given_up = 0

    def __enter__(self) -> bool:
        return self.acquire(False) or self.wait_for_turn()

    def is_mine(self) -> bool:
        """Whether this thread holds it."""
        mine: bool = self._is_owned()  # type: ignore[attr-defined]
        return mine

    def wait_for_turn(self) -> bool:
        """Take it as soon as it can be had.

        Raises `WorldStuckError` when the script that holds it does not give it back, `WorldBusyError` when
        it cannot be had for other reasons, and what `Ending.error` says when the world ends meanwhile, or
        everybody who waits is let go.
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
        """The number of the script that runs with the lock held; 0 when none does."""
        return 0 if self.watchdog is None else self.watchdog.running

    def _give_up(self, script: int) -> None:
        assert self.watchdog is not None
        words = self.watchdog.described()
        if words is not None:
            self._given_up = script
            raise WorldStuckError(words)

    def stuck(self) -> str | None:
        """Which script holds the world that somebody has given up waiting for; None when none does."""
        script = self._script()
        if not script or script != self._given_up or self.watchdog is None:
            return None
        return self.watchdog.described()

    def wake_all_waiters(self, ending: Ending) -> None:
        """Whoever waits for the lock at the moment stops waiting, with the error of this ending."""
        self.interrupted = ending
        self.interruptions += 1
