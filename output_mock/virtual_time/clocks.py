"""What the functions of `time` and the class methods of `datetime` mean while virtual time is on."""

from __future__ import annotations

import datetime as datetime_module
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from output_mock.durations import SECOND
from output_mock.real_time import unfrozen
from output_mock.virtual_time import builtin_functions
from output_mock.virtual_time.builtin_functions import Changed, ChangedMethod, taken_methods

if TYPE_CHECKING:
    from output_mock.virtual_time.callers import Callers

_REAL_DATETIME: Any = unfrozen(datetime_module, "datetime")
_REAL_DATE: Any = unfrozen(datetime_module, "date")
_SINCE_1970 = ("time", "time_ns")
_SINCE_SOME_TIME = ("monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns")
# Where the time is now, if no other is given.
_WRITTEN = {"localtime": 0, "gmtime": 0, "ctime": 0, "asctime": 0, "strftime": 1}
_BY_NUMBER = ("clock_gettime", "clock_gettime_ns")


def _function(name: str) -> Any:
    return unfrozen(time, name)


# clock_gettime does not exist on every platform.
FUNCTIONS: dict[str, Any] = {
    name: _function(name)
    for name in ("sleep", *_SINCE_1970, *_SINCE_SOME_TIME, *_WRITTEN, *_BY_NUMBER)
    if hasattr(time, name)
}
_supported = builtin_functions.unsupported() is None
# The same functions, with real time.
REAL: dict[str, Any] = {
    name: builtin_functions.original(function) if _supported else function
    for name, function in FUNCTIONS.items()
}


def frozen() -> bool:
    """Whether another tool (freezegun) has replaced functions of `time`."""
    return time.monotonic is not FUNCTIONS["monotonic"]


class TellsTime(Protocol):
    """What clocks need of virtual time."""

    on: bool

    @property
    def callers(self) -> Callers: ...
    def now(self) -> int: ...
    def monotonic(self) -> int: ...
    def sleep(self, seconds: float) -> None: ...


class Clocks:
    """Changes functions and methods that tell the time, until they are put back."""

    def __init__(self, virtual: TellsTime) -> None:
        self._virtual = virtual
        self._changed: list[Changed | ChangedMethod] = []

    def change(self) -> None:
        """Let them use the fake's clock where code under test calls them."""
        for name, function in FUNCTIONS.items():
            self._changed.append(Changed(function, self._of_time(name, REAL[name])))
        taken = taken_methods((_REAL_DATETIME, _REAL_DATE), ("now", "utcnow", "today"))
        for kind, name in ((_REAL_DATETIME, "now"), (_REAL_DATETIME, "utcnow"), (_REAL_DATE, "today")):
            method = self._of_datetime(name, kind.__dict__[name])
            self._changed.append(ChangedMethod(kind, name, method))
            for one in taken:
                if one.__name__ == name:
                    self._changed.append(Changed(one, _called_as_taken(method, one.__self__)))

    def put_back(self) -> None:
        """Let them use the real clock everywhere."""
        while self._changed:
            self._changed.pop().put_back()

    def _of_time(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        virtual, concerns = self._virtual, self._virtual.callers.concerns
        value: Callable[..., Any]
        if name == "sleep":

            def value(seconds: float) -> None:
                virtual.sleep(seconds)

        elif name in _SINCE_1970 + _SINCE_SOME_TIME:
            read = virtual.now if name in _SINCE_1970 else virtual.monotonic
            value = read if name.endswith("_ns") else lambda: read() / SECOND
        elif name in _BY_NUMBER:
            readings = {time.CLOCK_REALTIME: virtual.now, time.CLOCK_MONOTONIC: virtual.monotonic}

            def value(clock: int) -> Any:
                if clock not in readings:
                    return real(clock)
                now = readings[clock]()
                return now if name.endswith("_ns") else now / SECOND

        else:
            given = _WRITTEN[name]
            as_tuple = name in ("asctime", "strftime")

            def value(*args: Any) -> Any:
                # `time.localtime(None)` means now, too.
                if len(args) != given and (as_tuple or args != (None,)):
                    return real(*args)
                seconds = virtual.now() / SECOND
                if as_tuple:
                    return real(*args, REAL["localtime"](seconds))
                return real(seconds)

        def function(*args: Any) -> Any:
            # Above this are the frame that calls it instead of the builtin function, and the caller's frame.
            return value(*args) if concerns(sys._getframe(2), name) else real(*args)

        return function

    def _of_datetime(self, name: str, real: Any) -> Callable[..., Any]:
        virtual, concerns = self._virtual, self._virtual.callers.concerns

        def method(kind: Any, *args: Any, **kwargs: Any) -> Any:
            frame = sys._getframe(1)
            while frame.f_code in _CALLS and frame.f_back is not None:
                frame = frame.f_back
            if not virtual.on or not concerns(frame, name):
                return real.__get__(None, kind)(*args, **kwargs)
            seconds = virtual.now() / SECOND
            if name == "utcnow":
                return kind.fromtimestamp(seconds, datetime_module.timezone.utc, *args).replace(tzinfo=None)
            return kind.fromtimestamp(seconds, *args, **kwargs)

        method.__name__ = method.__qualname__ = name
        return method


def _called_as_taken(method: Callable[..., Any], kind: Any) -> Callable[..., Any]:
    def taken(*args: Any, **kwargs: Any) -> Any:
        return method(kind, *args, **kwargs)

    return taken


# The frames between a caller and a method to which it holds a reference.
_CALLS = {_called_as_taken(print, None).__code__, builtin_functions.CALL_CODE}
