"""asyncio's event loops in virtual time: their clock, and what they wait for."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio import base_events, selector_events
from asyncio.base_subprocess import BaseSubprocessTransport
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import CodeType
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from output_mock.real_time import monotonic
from output_mock.virtual_time import sockets
from output_mock.virtual_time.awaiting import awaits_more_than_time, end_is_not_awaited
from output_mock.virtual_time.threads import Work

_real_time = base_events.BaseEventLoop.time
_real_run_once: Callable[[Any], None] = base_events.BaseEventLoop._run_once  # type: ignore[attr-defined]
_RUN_ONCE: CodeType = _real_run_once.__code__
_DATAGRAMS: Any = selector_events._SelectorDatagramTransport  # type: ignore[attr-defined]
_TRANSPORTS: list[Any] = [
    _DATAGRAMS,
    selector_events._SelectorSocketTransport,  # type: ignore[attr-defined]
    *(
        getattr(asyncio.unix_events, name)
        for name in ("_UnixReadPipeTransport", "_UnixWritePipeTransport")
        if sys.platform != "win32"
    ),
]
# After this many rounds without a pause, the rounds of a loop take real time.
_SPINNING = 10_000
# After this many rounds in a row with a timer that is due already, each further one takes this many seconds.
_TOO_SHORT, _A_LITTLE = 100, 1e-6
# How many seconds of real time a server outside this process may be silent in the middle of an answer.
SILENCE = 1.0


class LoopTime(Protocol):
    """What event loops need of virtual time."""

    def loop_time(self) -> float: ...
    def at_loop_time(self, when: float) -> int: ...
    def let_pass(self, seconds: float) -> None: ...
    def wait(self, waiter: LoopWaiter) -> bool: ...


class Loops:
    """The event loops while virtual time is on."""

    def __init__(self, virtual: LoopTime) -> None:
        self._virtual = virtual
        # Up to what time each loop's timers may run, in seconds of the loop.
        self._allowed: WeakKeyDictionary[Any, float] = WeakKeyDictionary()
        self._rounds: WeakKeyDictionary[Any, tuple[int, float]] = WeakKeyDictionary()
        # How many rounds in a row began with a timer that was due already.
        self._due_at_once: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
        # When each transport last sent and received something, in real time.
        self._sent: WeakKeyDictionary[Any, float] = WeakKeyDictionary()
        self._received: WeakKeyDictionary[Any, float] = WeakKeyDictionary()
        self._before: list[tuple[Any, str, Any]] = []

    def change(self) -> None:
        """Make all loops ask here before they wait."""
        self._set(base_events.BaseEventLoop, "time", self._time())
        self._set(base_events.BaseEventLoop, "_run_once", self._run_once())
        for name, noted in (
            ("write", self._sent),
            ("writelines", self._sent),
            ("sendto", self._sent),
            ("_read_ready", self._received),
        ):
            for kind in _TRANSPORTS:
                if name in vars(kind):
                    self._set(kind, name, _noting(getattr(kind, name), noted))

    def put_back(self) -> None:
        """Let them wait as usual again."""
        while self._before:
            kind, name, value = self._before.pop()
            setattr(kind, name, value)

    def _set(self, kind: Any, name: str, value: Any) -> None:
        self._before.append((kind, name, vars(kind)[name]))
        setattr(kind, name, value)

    def _time(self) -> Callable[[Any], float]:
        virtual, allowed = self._virtual, self._allowed

        def time(loop: Any) -> float:
            # The loop itself only runs the timers whose turn has come.
            if sys._getframe(1).f_code is _RUN_ONCE:
                return allowed.get(loop, 0.0)
            # The clock counts whole nanoseconds, so it can show a little less than the time of a timer that
            # has run.
            return max(virtual.loop_time(), allowed.get(loop, 0.0))

        return time

    def _run_once(self) -> Callable[[Any], None]:
        def run_once(loop: Any) -> None:
            if loop._stopping:
                pass
            elif not loop._ready:
                self.wait(loop)
            else:
                self._go_round(loop)
            _real_run_once(loop)

        return run_once

    def _go_round(self, loop: Any) -> None:
        """Let time pass for a loop whose tasks keep checking for something and never wait."""
        rounds, since = self._rounds.get(loop, (0, 0.0))
        if rounds == _SPINNING:
            since = monotonic()
        elif rounds > _SPINNING and rounds % 100 == 0:
            now = monotonic()
            self._virtual.let_pass(now - since)
            self._allowed[loop] = self._virtual.loop_time()
            since = now
        self._rounds[loop] = rounds + 1, since

    def _go_on_at_once(self, loop: Any) -> None:
        """Let time pass for a loop whose tasks keep sleeping for less than its clock can tell."""
        rounds = self._due_at_once[loop] = self._due_at_once.get(loop, 0) + 1
        if rounds > _TOO_SHORT:
            self._virtual.let_pass(_A_LITTLE)
            self._allowed[loop] = self._virtual.loop_time()

    def wait(self, loop: Any) -> None:
        """Wait until something comes for a loop that has nothing to do, or until its next timer's turn."""
        timer = min((one for one in loop._scheduled if not one._cancelled), default=None)
        when = None if timer is None else timer._when
        if when is not None and when <= self._allowed.get(loop, 0.0):
            self._go_on_at_once(loop)
            return
        self._rounds.pop(loop, None)
        self._due_at_once.pop(loop, None)
        waiter = LoopWaiter(self, loop, None if when is None else self._virtual.at_loop_time(when))
        waiter.limits = timer is not None and _is_deadline(timer)
        if self._virtual.wait(waiter) and when is not None:
            self._allowed[loop] = when

    def deadlines_only(self, loop: Any) -> bool:
        """Whether all timers of a loop limit how long something may take."""
        return all(_is_deadline(one) for one in list(loop._scheduled) if not one._cancelled)

    def outside(self, loop: Any) -> Iterator[Work]:
        """What a loop waits for that comes from outside the process, or has been sent already."""
        registered = [
            key
            for key in list(loop._selector.get_map().values())
            if loop._ssock is None or key.fd != loop._ssock.fileno()
        ]
        if not registered:
            return
        own = sockets.OwnSockets()
        awaited: bool | None = None
        for key in registered:
            one = sockets.end(key.fd)
            if one is not None and one.listens:
                continue
            if one is not None and own.is_within(one):
                if own.in_flight(one):
                    yield Work((key.fd, "in flight"), _words(one))
                continue
            transport = _transport(key.data)
            if type(transport).__name__ == "_UnixWritePipeTransport":
                # It is only watched for its end.
                continue
            if awaited is None:
                awaited = awaits_more_than_time(loop)
            if awaited and not self._is_silent(transport) and not _tells_of_an_unawaited_end(key.data):
                yield Work((key.fd, "outside"), _words_of_file(key.fd, one, transport))

    def _is_silent(self, transport: Any) -> bool:
        """Whether the server at the other end has answered, and has been silent since then.

        False if a task waits for the socket itself, with no transport, as `sock_connect` and `sock_recv` do.
        """
        if transport is None:
            return False
        one = _other_end(transport)
        if isinstance(one, _DATAGRAMS):
            # Nobody has to answer a datagram.
            return monotonic() - max(self._received.get(one, 0.0), self._sent.get(one, 0.0)) > SILENCE
        if isinstance(one, BaseSubprocessTransport) and not _is_asked(one):
            return False
        received, sent = self._received.get(one, 0.0), self._sent.get(one, 0.0)
        return received > sent and monotonic() - received > SILENCE


class LoopWaiter:
    """A loop that has nothing to do."""

    def __init__(self, loops: Loops, loop: Any, due: int | None) -> None:
        self._loops = loops
        self.loop = loop
        self.due = due
        self.limits = False
        self.sleeps: bool = True
        self.released: bool = False

    def ready(self) -> bool:
        """Whether the loop has something to do."""
        loop = self.loop
        return bool(loop._ready or loop._stopping or loop._selector.select(0))

    def under_way(self) -> Iterator[Work]:
        """What it waits for that is not a thread of this process."""
        return self._loops.outside(self.loop)

    def deadlines_only(self) -> bool:
        """Whether `due` only limits how long what it waits for may take."""
        return self._loops.deadlines_only(self.loop)

    def pause(self, seconds: float) -> None:
        """Wait in real time, at most this long, until something comes for it."""
        self.loop._selector.select(seconds)

    def release(self) -> None:
        """It is this loop's turn."""
        self.released = True
        self.loop._write_to_self()


def _noting(function: Callable[..., Any], when: WeakKeyDictionary[Any, float]) -> Callable[..., Any]:
    def method(transport: Any, *args: Any, **kwargs: Any) -> Any:
        when[_other_end(transport)] = monotonic()
        return function(transport, *args, **kwargs)

    return method


def _is_deadline(timer: Any) -> bool:
    """Whether a timer limits how long something may take, judged by the name of its callback."""
    callback = timer._callback
    name = str(getattr(callback, "__qualname__", type(callback).__qualname__)).lower()
    return any(word in name for word in ("timeout", "release_waiter", "deadline"))


def _transport(data: Any) -> Any:
    """The transport whose method is called when a file is ready."""
    for handle in data if isinstance(data, tuple) else ():
        owner = getattr(getattr(handle, "_callback", None), "__self__", None)
        if isinstance(owner, asyncio.BaseTransport):
            return owner
    return None


def _other_end(transport: Any) -> Any:
    """What all transports to the same process have in common; else the transport itself."""
    return getattr(getattr(transport, "_protocol", None), "proc", None) or transport


def _is_asked(process: BaseSubprocessTransport) -> bool:
    """Whether a process still gets input, and answers it. Others may be silent while they work."""
    given: Any = process.get_pipe_transport(0)
    return given is not None and not given.is_closing()


def _tells_of_an_unawaited_end(data: Any) -> bool:
    """Whether a file only tells of the end of a process, and no task waits for that."""
    handles = data if isinstance(data, tuple) else ()
    return any(end_is_not_awaited(getattr(one, "_args", None) or ()) for one in handles)


def _words(one: sockets.End) -> str:
    if isinstance(one.peer, tuple):
        return f"the connection to {one.peer[0]}:{one.peer[1]}"
    return f"the connection to {one.peer!r}" if one.peer else "a connection that is being made"


def _words_of_file(fd: int, one: sockets.End | None, transport: Any) -> str:
    if one is not None:
        return f"an answer on {_words(one)}" if one.peer else _words(one)
    process = getattr(getattr(transport, "_protocol", None), "proc", None)
    number = getattr(process, "_pid", None)
    if number is not None:
        return f"the process {number}, which writes to a pipe"
    with suppress(OSError):
        return f"another process ({os.readlink(f'/proc/self/fd/{fd}')})"
    return "another process"
