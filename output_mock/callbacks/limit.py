"""How long, in real time, an application in this process may keep whoever has called it.

The main thread calls applications itself: tests have much there, such as the transaction of a database. A
signal stops one that does not answer. Other threads cannot be stopped, so their application gets a thread,
which is left alone after that time.
"""

from __future__ import annotations

import signal
import sys
import threading
import traceback
from collections.abc import Callable
from contextvars import copy_context
from types import FrameType
from typing import TypeVar

from output_mock.callbacks.no_answer import TookTooLong
from output_mock.real_time import monotonic
from output_mock.thread_frames import current_frames

T = TypeVar("T")
# A signal that does nothing where nobody handles it. Windows has none.
_SIGNAL: int | None = getattr(signal, "SIGURG", None)
# How often, in seconds, it is tried to stop an application.
_AGAIN = 0.05
# How often, in seconds, it is looked whether a debugger has stopped it.
_LOOK = 1.0
_PACKAGE = __name__.partition(".")[0]
_DEBUGGERS = frozenset({"bdb", "pdb", "pydevd", "debugpy"})


class Stopped(BaseException):
    """Stops an application that does not answer. `except Exception` does not catch it."""


class _Call:
    """A call of an application by the main thread."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._over = threading.Event()
        self.until: float = monotonic() + seconds
        # Where the application was when it was stopped.
        self.stack: str | None = None

    def begin_again(self) -> None:
        """It has waited for the application of another call, or for somebody at a breakpoint, and has all the
        time again.
        """
        self.until = monotonic() + self._seconds

    def end(self) -> None:
        self._over.set()

    def watch(self) -> None:
        """Interrupt the main thread when the time is over. Runs in another thread."""
        main = threading.main_thread().ident
        assert main is not None
        assert _SIGNAL is not None
        while not self._over.wait(min(_LOOK, max(_AGAIN, self.until - monotonic()))):
            if _is_debugged(main):
                self.begin_again()
            elif self.is_due():
                signal.pthread_kill(main, _SIGNAL)

    def is_due(self) -> bool:
        """Whether the time is over, and the main thread is in no further call."""
        return _calls[-1:] == [self] and monotonic() >= self.until

    def stop(self, frame: FrameType | None) -> None:
        # It may be stopped again while the first `Stopped` is on its way out.
        if self.stack is None:
            self.stack = _stack(frame)
        raise Stopped


# The calls that the main thread is in.
_calls: list[_Call] = []


def limited(call: Callable[[], T], seconds: float) -> T:
    """What a call of an application returns.

    Raises `TookTooLong`, which says where the application was, after so many seconds of real time. It does
    not while a debugger has stopped it.
    """
    if threading.current_thread() is not threading.main_thread():
        return _in_another_thread(call, seconds)
    if _SIGNAL is None:
        return call()
    return _in_this_thread(call, seconds, _SIGNAL)


def stop_if_over() -> None:
    """Called when a request comes: whoever asks the fake again and again does not answer either."""
    if _calls and threading.current_thread() is threading.main_thread() and _calls[-1].is_due():
        _calls[-1].stop(sys._getframe(1))


def _in_this_thread(call: Callable[[], T], seconds: float, number: int) -> T:
    one = _Call(seconds)
    before = signal.signal(number, _on_signal)
    threading.Thread(target=one.watch, name="output-mock-limit", daemon=True).start()
    _calls.append(one)
    try:
        answer = call()
    except BaseException:
        if one.stack is None:
            raise
    finally:
        _calls.pop()
        one.end()
        signal.signal(number, before)
        if _calls:
            _calls[-1].begin_again()
    if one.stack is not None:
        raise TookTooLong(one.stack)
    return answer


def _on_signal(number: int, frame: FrameType | None) -> None:
    if not _calls or not _calls[-1].is_due():
        return
    # The fake is not stopped half-way through its own work, such as this call's end.
    for inner, _ in traceback.walk_stack(frame):
        if inner is not frame and inner.f_code is _in_this_thread.__code__:
            break
        if _is_of_the_fake(inner):
            return
    _calls[-1].stop(frame)


def _is_of_the_fake(frame: FrameType) -> bool:
    module = frame.f_globals.get("__name__", "")
    return module.partition(".")[0] == _PACKAGE and not module.startswith(f"{_PACKAGE}.callbacks.application")


def _in_another_thread(call: Callable[[], T], seconds: float) -> T:
    outcome: list[T | BaseException] = []
    over = threading.Event()

    def work() -> None:
        try:
            outcome.append(call())
        except BaseException as error:
            outcome.append(error)
        finally:
            over.set()

    thread = threading.Thread(target=copy_context().run, args=(work,), name="callback", daemon=True)
    thread.start()
    ident = thread.ident
    assert ident is not None
    until = monotonic() + seconds
    while not over.wait(min(_LOOK, max(_AGAIN, until - monotonic()))):
        if _is_debugged(ident):
            until = monotonic() + seconds
        elif monotonic() >= until:
            raise TookTooLong(_stack(current_frames().get(ident)))
    (answer,) = outcome
    if isinstance(answer, BaseException):
        raise answer
    return answer


def _stack(frame: FrameType | None) -> str:
    """Where the application is, without what has called it."""
    frames = []
    for inner, line in traceback.walk_stack(frame):
        if inner.f_globals.get("__name__", "").startswith(f"{_PACKAGE}.callbacks."):
            break
        frames.append((inner, line))
    return "".join(traceback.StackSummary.extract(reversed(frames)).format())


def _is_debugged(thread: int) -> bool:
    """Whether somebody may be looking at this thread in a debugger."""
    if "pydevd" in sys.modules:
        return True
    stack = traceback.walk_stack(current_frames().get(thread))
    return any(frame.f_globals.get("__name__", "").partition(".")[0] in _DEBUGGERS for frame, _ in stack)
