"""How late answers are: a fixed or random time, on the fake's clock or in real time."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import TYPE_CHECKING, Any

from output_mock.durations import LONGEST, Duration, format_duration, nanoseconds

if TYPE_CHECKING:
    from output_mock.engine.world import World

# As users write it: a duration, `{"uniform": ["1s", "3s"]}`, or
# `{"lognormal": {"median": "200ms", "sigma": 0.5}}`.
WrittenDelay = Duration | Mapping[str, Any]
# The longest random delay in real time.
LONGEST_ON_THE_WALL = 3600.0
# How often, in seconds, a sleeping thread checks whether the server wants to end.
_NAP = 0.05
_FORMS = (
    'a delay must be a duration, {"uniform": [shortest, longest]}, or {"lognormal": {"median": …, "sigma": '
    "…}}"
)


class Delay:
    """A delay as it is written, which may be random.

    Raises `ValueError` for an invalid one.
    """

    def __init__(self, written: WrittenDelay) -> None:
        self.written = written
        self.words: str
        self._draw, self.words = _read(written)

    def draw(self, chance: Random) -> int:
        """A random length, in nanoseconds."""
        return min(LONGEST, self._draw(chance))

    def __bool__(self) -> bool:
        return self.words != "0s"


def _read(written: WrittenDelay) -> tuple[Callable[[Random], int], str]:
    if not isinstance(written, Mapping):
        length = nanoseconds(written)
        return lambda _: length, format_duration(length)
    if len(written) != 1:
        raise ValueError(_FORMS)
    ((kind, value),) = written.items()
    if kind == "uniform" and isinstance(value, Sequence) and len(value) == 2 and not isinstance(value, str):
        low, high = nanoseconds(value[0]), nanoseconds(value[1])
        if low > high:
            raise ValueError(
                f"the first of the two delays must be the shorter one, but {value[0]!r} is longer"
            )
        return lambda chance: chance.randint(low, high), f"{format_duration(low)} to {format_duration(high)}"
    if kind == "lognormal" and isinstance(value, Mapping) and set(value) <= {"median", "sigma"}:
        median, sigma = nanoseconds(value.get("median", -1)), value.get("sigma", 0.5)
        if not isinstance(sigma, (int, float)) or isinstance(sigma, bool) or not 0 <= sigma <= 10:
            raise ValueError(f"the sigma of a lognormal delay must be a number from 0 to 10, not {sigma!r}")
        spread = float(sigma)

        def draw(chance: Random) -> int:
            return round(median * math.exp(min(chance.gauss(0, spread), 100)))

        return draw, f"{format_duration(median)} in the middle"
    raise ValueError(_FORMS)


def sleep(world: World, seconds: float) -> None:
    """Sleep in real time, but end early when all waiters are woken."""
    clock, nobody = world.clock, threading.Event()
    lock = clock.lock
    interruptions = lock.interruptions
    end = clock.monotonic() + min(seconds, LONGEST_ON_THE_WALL)
    while lock.interruptions == interruptions and (rest := end - clock.monotonic()) > 0:
        clock.wait(nobody, min(rest, _NAP))
