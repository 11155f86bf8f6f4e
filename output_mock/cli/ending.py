"""Ends a served fake within a second of Ctrl-C or SIGTERM, whatever holds it up."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from output_mock.cli.last_resort import LastResort

if TYPE_CHECKING:
    from output_mock.control.saver import Saver

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# How many seconds after a signal the process ends, whatever holds it up. Freeing the memory of 200,000 runs
# takes the system another 0.3 s.
_LAST = 0.5
# How many more seconds the log has to report what is missing in the state file.
_TELLING = 0.1


class EndOfServing:
    """Makes Ctrl-C and SIGTERM call `close`, and end the process soon after.

    Create it in the main thread, and call `finish` at the end.
    """

    def __init__(self, close: Callable[[], object], saver: Saver | None) -> None:
        self._close = close
        self._saver = saver
        self._asked = False
        self._ending = threading.Lock()
        self._last_resort = LastResort(_SIGNALS)
        for number in _SIGNALS:
            signal.signal(number, self._stop)

    def finish(self, last_words: Callable[[], object]) -> None:
        """Serving is over: report what is left, and end the process if a signal asked for it."""
        # A second Ctrl-C must not disturb the end.
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        last_words()
        if self._asked:
            # The system frees the memory of runs; Python would need seconds for it.
            for stream in (sys.stdout, sys.stderr):
                with suppress(OSError, ValueError):
                    stream.flush()
            self._end()
        self._last_resort.close()

    def _stop(self, number: int, _: object) -> None:
        self._last_resort.heard()
        if not self._asked:
            self._asked = True
            # A garbage collection of a large heap would take seconds, for memory that is about to be freed
            # anyway.
            gc.disable()
            threading.Thread(target=self._end_late, name="output-mock-exit", daemon=True).start()
            if self._saver is not None:
                # What the last requests change is written when they are over.
                self._saver.hurry()
        self._close()

    def _end_late(self) -> None:
        """End the process, whatever holds it up: a script, an upload, a slow client."""
        time.sleep(_LAST)
        if self._saver is not None:
            self._saver.tell_missing()
            time.sleep(_TELLING)
        # Nothing is flushed: a pipe that nobody reads may be what holds the process up.
        self._end()

    def _end(self) -> None:
        """End the process, in one thread only: tools that act at the end, such as coverage, cannot cope with
        a second one.
        """
        if self._ending.acquire(blocking=False):
            # Tools may take some time then.
            self._last_resort.stand_down()
            os._exit(0)
        threading.Event().wait()
