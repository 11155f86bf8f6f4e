"""A client's own waiting moves the fake's clock instead of the wall.

While virtual time is on, `time.sleep`, `time.monotonic`, `time.time`, `datetime.now` and their kin mean the
fake's clock for the modules that it is on for, and so do the timers of asyncio's event loops. A loop that
would poll for 45 minutes ends in milliseconds, and a deadline passes when it would have passed.
"""

from __future__ import annotations

import datetime as datetime_module
import sys
import threading
import time
from asyncio import base_events
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

from output_mock.durations import SECOND
from output_mock.engine.wall import monotonic, unfrozen

if TYPE_CHECKING:
    from output_mock.http.app import OutputApp

# What has to keep the wall's time: what waits for real threads and sockets, and what measures tests.
_INFRASTRUCTURE = sys.stdlib_module_names | {
    "_pytest",
    "anyio",
    "coverage",
    "execnet",
    "freezegun",
    "hypothesis",
    "output_mock",
    "pluggy",
    "pytest",
    "pytest_asyncio",
    "pytest_benchmark",
    "pytest_cov",
    "pytest_output",
    "pytest_randomly",
    "pytest_timeout",
    "time_machine",
    "trio",
    "waitress",
    "werkzeug",
    "xdist",
}
# How long on the wall, in seconds, a thread that sleeps lets others move the clock before it does so itself.
_GRACE = 0.002
# How long, in seconds, an event loop waits for sockets before it takes them to have nothing to say.
_SETTLE = 0.01
# How long, in seconds, servers may have requests to answer before they are taken to be another fake's.
_SERVERS_PATIENCE = 1.0
# Who looks at a clock that often, and never sleeps, waits for it to move on: so it does, by so much a look.
_PATIENT_LOOKS = 10_000
_STEP = SECOND // 1000
_FROZEN = (
    "virtual time moves, and something else (freezegun?) holds time.monotonic still; use one of the two: "
    "@pytest.mark.output(start=…) says at what time virtual time begins"
)

if TYPE_CHECKING:
    _real_datetime = datetime_module.datetime
    _real_date = datetime_module.date
else:
    _real_datetime = unfrozen(datetime_module, "datetime")
    _real_date = unfrozen(datetime_module, "date")
_real_sleep = time.sleep
_real_loop_time = base_events.BaseEventLoop.time
_real_run_once: Callable[[Any], None] = base_events.BaseEventLoop._run_once  # type: ignore[attr-defined]


class VirtualTime:
    """The time that modules see while it is on.

    Takes the application whose world's clock it is, and the names of modules (and packages) that see it;
    none: all but the standard library, pytest and what else needs the wall.
    """

    def __init__(self, app: OutputApp, modules: Sequence[str] = ()) -> None:
        if app.world.clock.mode == "real":
            raise ValueError("virtual time needs a virtual clock; use clock='auto' or clock='manual'")
        self._app = app
        self._clock = app.world.clock
        self._modules = tuple(modules)
        self._thread = threading.get_ident()
        self._began = self._clock.nanoseconds()
        # Goes on at a whole second, so that differences in seconds are exact: a deadline that is 3600 seconds
        # away has passed after a sleep of 3600.
        self._monotonic = (time.monotonic_ns() // SECOND + 1) * SECOND
        self._looks = 0
        self._moved = threading.Condition()
        self._visible: dict[str, bool] = {}

    # What modules see

    def applies(self, depth: int = 2) -> bool:
        """Whether the caller's caller lives in virtual time."""
        name: str = sys._getframe(depth).f_globals.get("__name__", "")
        seen = self._visible.get(name)
        if seen is None:
            seen = self._visible[name] = self.includes(name)
        return seen

    def includes(self, name: str) -> bool:
        """Whether the module of this name lives in virtual time."""
        if self._modules:
            return any(name == one or name.startswith(f"{one}.") for one in self._modules)
        return name.partition(".")[0] not in _INFRASTRUCTURE

    def now(self) -> int:
        """Nanoseconds since 1970, on the fake's clock."""
        self._looks += 1
        if self._looks > _PATIENT_LOOKS:
            self._clock.advance(_STEP / SECOND)
        return self._clock.nanoseconds()

    def monotonic(self) -> int:
        """Nanoseconds of a clock that goes on from where the wall's was."""
        return self._monotonic + self.now() - self._began

    def sleep(self, seconds: float) -> None:
        """Let the clock move on by so much.

        The test's own thread moves it at once; another one lets others do so for a moment, so that threads
        that sleep at the same time sleep together.
        """
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        if time.monotonic is not _FUNCTIONS["monotonic"]:
            # Whoever sleeps until some time is reached would do so for ever.
            raise RuntimeError(_FROZEN)
        due = self._clock.nanoseconds() + round(seconds * SECOND)
        if threading.get_ident() != self._thread:
            with self._moved:
                while self._clock.nanoseconds() < due and self._moved.wait(_GRACE):
                    pass
        self._move(due)

    def _move(self, due: int) -> None:
        self._looks = 0
        with self._clock.lock:
            if self._clock.nanoseconds() < due:
                self._clock.jump(due)
        with self._moved:
            self._moved.notify_all()

    def loop_time(self) -> float:
        """What time it is for an event loop, in seconds."""
        return (self._monotonic + self._clock.nanoseconds() - self._began) / SECOND

    def before_waiting(self, loop: Any) -> None:
        """An event loop has nothing to do: unless a socket or a request is under way, move the clock to its
        next timer, by way of everything that is due before.
        """
        registered = loop._selector.get_map() if hasattr(loop._selector, "get_map") else None
        # The loop's own pipe is one of them; others may have something to say that is still on its way.
        settle = 0.0 if registered is not None and len(registered) <= 1 else _SETTLE
        limit = monotonic() + _SERVERS_PATIENCE
        while not loop._ready and not loop._stopping:
            timer = min((one._when for one in loop._scheduled if not one._cancelled), default=None)
            if timer is not None and timer <= self.loop_time() + loop._clock_resolution:
                return
            quiet = self._app.quiet and (self._served_quietly() or monotonic() > limit)
            if loop._selector.select(settle if quiet else _GRACE):
                return
            if not quiet or not self._app.quiet:
                continue
            target = None if timer is None else self._began + round(timer * SECOND) - self._monotonic
            with self._clock.lock:
                due = self._clock.next_due()
            if target is None or (due is not None and due < target):
                if due is None or (target is None and not self._app.world.parked()):
                    return
                target = due
            self._move(target)

    def _served_quietly(self) -> bool:
        """Whether all requests that servers have to answer wait for something to happen."""
        server = sys.modules.get("output_mock.server")
        return server is None or server.under_way() <= self._app.world.parked()

    # Turning it on and off

    def start(self) -> None:
        """Turn it on. Raises `RuntimeError` when it is on for another fake, or time is frozen."""
        global _current
        if _current is not None:
            raise RuntimeError("virtual time is on already, for another fake; one clock can move a program")
        if time.monotonic is not _REAL["monotonic"]:
            raise RuntimeError(_FROZEN)
        _current = self
        self._app.world.driver = self._thread
        for name, function in _FUNCTIONS.items():
            setattr(time, name, function)
        datetime_module.datetime = VirtualDatetime  # type: ignore[misc]
        datetime_module.date = VirtualDate  # type: ignore[misc]
        _drive_loops(_loop_time, _run_once)
        self._replaced = []
        for module, name, value in _references():
            if self.includes(module.__name__):
                self._replaced.append((module, name, value))
                setattr(module, name, _substitute(value))

    def stop(self) -> None:
        """Turn it off."""
        global _current
        for module, name, value in self._replaced:
            setattr(module, name, value)
        for name in _FUNCTIONS:
            setattr(time, name, _REAL[name])
        datetime_module.datetime = _real_datetime  # type: ignore[misc]
        datetime_module.date = _real_date  # type: ignore[misc]
        _drive_loops(_real_loop_time, _real_run_once)
        self._app.world.driver = None
        _current = None


_current: VirtualTime | None = None


@contextmanager
def virtual_time(app: OutputApp, modules: Sequence[str] = ()) -> Iterator[None]:
    """Virtual time for these modules (none: all) while the block runs."""
    time_of = VirtualTime(app, modules)
    time_of.start()
    try:
        yield
    finally:
        time_of.stop()


# What stands in the place of the real functions; whoever keeps one beyond the test gets the wall's time.


def _sleep(seconds: float) -> None:
    current = _current
    if current is not None and current.applies():
        current.sleep(seconds)
    else:
        _real_sleep(seconds)


def _reading(name: str, virtual: Callable[[VirtualTime], int], real: Callable[[], Any]) -> Callable[[], Any]:
    in_seconds = not name.endswith("_ns")

    def read() -> Any:
        current = _current
        if current is None or not current.applies():
            return real()
        value = virtual(current)
        return value / SECOND if in_seconds else value

    read.__name__ = read.__qualname__ = name
    return read


_READINGS: dict[str, Callable[[VirtualTime], int]] = {
    "time": VirtualTime.now,
    "time_ns": VirtualTime.now,
    "monotonic": VirtualTime.monotonic,
    "monotonic_ns": VirtualTime.monotonic,
    "perf_counter": VirtualTime.monotonic,
    "perf_counter_ns": VirtualTime.monotonic,
}
_REAL: dict[str, Callable[..., Any]] = {"sleep": _real_sleep} | {
    name: unfrozen(time, name) for name in _READINGS
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {"sleep": _sleep} | {
    name: _reading(name, virtual, _REAL[name]) for name, virtual in _READINGS.items()
}


class _LikeReal(type):
    """Instances of the real class are instances of the one that stands in its place."""

    real: type

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, cls.real)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, cls.real)


class VirtualDatetime(_real_datetime, metaclass=_LikeReal):
    """`datetime`, whose now is the fake's; everything that it makes is a real one."""

    real = _real_datetime

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """A real `datetime`."""
        return _real_datetime(*args, **kwargs)

    @classmethod
    def now(cls, tz: datetime_module.tzinfo | None = None) -> Any:
        """The time on the fake's clock."""
        current = _current
        if current is None or not current.applies():
            return _real_datetime.now(tz)
        return _real_datetime.fromtimestamp(current.now() / SECOND, tz)

    @classmethod
    def utcnow(cls) -> Any:
        """The time on the fake's clock, in UTC, and without saying so."""
        current = _current
        nanoseconds = current.now() if current is not None and current.applies() else _REAL["time_ns"]()
        utc = _real_datetime.fromtimestamp(nanoseconds / SECOND, datetime_module.timezone.utc)
        return utc.replace(tzinfo=None)

    @classmethod
    def today(cls) -> Any:
        """The local time on the fake's clock."""
        current = _current
        if current is None or not current.applies():
            return _real_datetime.today()
        return _real_datetime.fromtimestamp(current.now() / SECOND)


class VirtualDate(_real_date, metaclass=_LikeReal):
    """`date`, whose today is the fake's; everything that it makes is a real one."""

    real = _real_date

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """A real `date`."""
        return _real_date(*args, **kwargs)

    @classmethod
    def today(cls) -> Any:
        """The local date on the fake's clock."""
        current = _current
        if current is None or not current.applies():
            return _real_date.today()
        return _real_date.fromtimestamp(current.now() / SECOND)


def _drive_loops(time_of: Callable[[Any], float], run_once: Callable[[Any], None]) -> None:
    for name, function in (("time", time_of), ("_run_once", run_once)):
        setattr(base_events.BaseEventLoop, name, function)


def _loop_time(loop: Any) -> float:
    current = _current
    return _real_loop_time(loop) if current is None else current.loop_time()


def _run_once(loop: Any) -> None:
    current = _current
    if current is not None and not loop._ready and not loop._stopping:
        current.before_waiting(loop)
    _real_run_once(loop)


# Modules that have taken a function or a class by name (`from time import sleep`).

_STAND_INS: dict[int, Any] = {id(_REAL[name]): _FUNCTIONS[name] for name in _FUNCTIONS} | {
    id(_real_datetime): VirtualDatetime,
    id(_real_date): VirtualDate,
}
# Where the real ones were found, and the modules that have been looked through.
_found: list[tuple[ModuleType, str, Any]] = []
_searched: dict[str, ModuleType] = {}


def _substitute(value: Any) -> Any:
    return _STAND_INS[id(value)]


def _references() -> list[tuple[ModuleType, str, Any]]:
    """Each module's names for the real ones; a module is looked through once, as that takes a while."""
    for name, module in list(sys.modules.items()):
        if _searched.get(name) is module or name in _KEEP:
            continue
        _searched[name] = module
        for attribute, value in list(getattr(module, "__dict__", {}).items()):
            if id(value) in _STAND_INS:
                _found.append((module, attribute, value))
    return [(module, name, value) for module, name, value in _found if module.__dict__.get(name) is value]


_KEEP = frozenset({"time", "datetime", "_datetime", __name__})
