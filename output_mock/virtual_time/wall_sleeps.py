"""How long the code under test has slept in real time, for a report that says how to avoid it."""

from __future__ import annotations

import asyncio
import sys
from asyncio import base_events
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from output_mock.real_time import monotonic
from output_mock.virtual_time import builtin_functions
from output_mock.virtual_time.builtin_functions import Changed
from output_mock.virtual_time.callers import Callers
from output_mock.virtual_time.clocks import FUNCTIONS, REAL

# Sleeps that take fewer seconds than this are not reported.
WORTH_TELLING = 1.0
_SLEEPS = asyncio.futures._set_result_unless_cancelled  # type: ignore[attr-defined]
_ASYNCIO_SLEEP = asyncio.sleep.__code__


class WallSleeps:
    """The sleeps of the code under test: where they began, when, and until when."""

    def __init__(self) -> None:
        self._callers = Callers()
        self._sleeps: list[tuple[float, float, str]] = []

    @property
    def seconds(self) -> float:
        """For how many seconds some thread slept."""
        total, end = 0.0, float("-inf")
        for since, until, _ in sorted(self._sleeps):
            total += max(0.0, until - max(since, end))
            end = max(end, until)
        return total

    def told(self) -> str | None:
        """What a report says about them; None if they were too short."""
        seconds = self.seconds
        if seconds < WORTH_TELLING:
            return None
        places: dict[str, float] = {}
        for since, until, place in self._sleeps:
            places[place] = places.get(place, 0.0) + until - since
        longest = sorted(places, key=places.__getitem__, reverse=True)[:3]
        listed = ", ".join(f"{places[place]:.1f} s in {place}" for place in longest)
        return (
            f"the code under test slept for {seconds:.1f} s in real time: {listed}. With output_sleep = "
            'virtual in the ini file, or @pytest.mark.output(sleep="virtual"), it moves the fake\'s clock '
            "instead, and takes no time"
        )

    @contextmanager
    def measured(self) -> Iterator[WallSleeps]:
        """Note all sleeps while the block runs."""
        global _measures
        if _measures or builtin_functions.unsupported() is not None:
            yield self
            return
        _measures = True
        changed = Changed(FUNCTIONS["sleep"], self._sleep)
        call_later: Any = base_events.BaseEventLoop.call_later
        loops: Any = base_events.BaseEventLoop
        loops.call_later = self._noting(call_later)
        try:
            yield self
        finally:
            loops.call_later = call_later
            changed.put_back()
            _measures = False

    def _sleep(self, seconds: float) -> None:
        frame = sys._getframe(2)
        if not self._callers.concerns(frame, "sleep"):
            REAL["sleep"](seconds)
            return
        since = monotonic()
        try:
            REAL["sleep"](seconds)
        finally:
            self._sleeps.append((since, monotonic(), _place(frame)))

    def _noting(self, call_later: Callable[..., Any]) -> Callable[..., Any]:
        def noting(loop: Any, delay: float, callback: Any, *args: Any, **kwargs: Any) -> Any:
            frame = sys._getframe(1)
            caller = frame.f_back
            if (
                callback is _SLEEPS
                and frame.f_code is _ASYNCIO_SLEEP
                and caller is not None
                and self._callers.concerns(caller, "sleep")
            ):
                module = caller.f_globals.get("__name__", "")
                place = _place(caller) if self._callers.includes(module) else "a task of asyncio"
                args[0].add_done_callback(self._ended(monotonic(), place))
            return call_later(loop, delay, callback, *args, **kwargs)

        return noting

    def _ended(self, since: float, place: str) -> Callable[[Any], None]:
        def ended(future: Any) -> None:
            if not future.cancelled():
                self._sleeps.append((since, monotonic(), place))

        return ended


# Whether sleeps are measured already.
_measures = False


def _place(frame: FrameType) -> str:
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
