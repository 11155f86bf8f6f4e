"""What threads are doing: working, or waiting for something that another thread of the process has to do.

A thread that waits for a lock, a condition, a queue or another thread cannot go on by itself, so it is idle.
So is one that waits for a client to connect, or for the other end of a connection within the process to send
something. Any other thread is busy: it computes, or waits for something outside the process. The threads of
the fake's own servers count, too: nobody else knows yet of a request that one has read from its socket.
"""

from __future__ import annotations

import _socket
import _thread
import dis
import functools
import os
import queue
import selectors
import socket
import sys
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import process as processes
from concurrent.futures import thread as executors
from contextlib import suppress
from pathlib import Path
from types import (
    BuiltinMethodType,
    CodeType,
    FrameType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
    NoneType,
)
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from output_mock.callbacks import limit
from output_mock.engine.outgoing import Outgoing
from output_mock.engine.world import World
from output_mock.real_time import monotonic
from output_mock.thread_frames import current_frames
from output_mock.virtual_time import sockets
from output_mock.virtual_time.awaiting import awaits_more_than_time, end_is_not_awaited
from output_mock.virtual_time.callers import TOOLS

_RLOCK = type(threading.RLock())
# What threads wait for in C, by methods of their own.
_WAITED_FOR = (_thread.LockType, _RLOCK, queue.SimpleQueue, _socket.socket)
_OF_SSL = {"read": "recv", "write": "send"}
_WITH = ("BEFORE_WITH", "SETUP_WITH")
_RECEIVING = frozenset({"_accept", "accept", "recv", "recv_into", "recvfrom", "recvfrom_into"})
_SENDING = frozenset({"send", "sendall", "sendto"})
# Threads of the fake itself, which do nothing that anybody waits for; but those of its servers do.
_OWN_NAME, _SERVER_NAME = "output-mock", "output-mock-server"

# By these, a test run in several processes hears what to do next. That may come at any time.
_RUNNERS = frozenset({"execnet", "xdist"})

# Places in the standard library where threads wait.
_CONDITION_WAIT = threading.Condition.wait.__code__
_THREAD_RUN = threading.Thread.run.__code__
_TIMER_RUN = threading.Timer.run.__code__
_WORKER: CodeType = executors._worker.__code__
_WORK_ITEM: CodeType = executors._WorkItem.run.__code__
# The fake waits in these for what other threads tell it, and only has a look from time to time.
_LOOKING: set[CodeType] = {
    one.__code__ for one in (World.wait, Outgoing._wait_until_free, limit._in_another_thread)
}
_JOINING: set[CodeType] = {
    getattr(threading.Thread, name).__code__
    for name in ("join", "_wait_for_tstate_lock")
    if hasattr(threading.Thread, name)
}
_OF_ANOTHER_THREAD = frozenset({"result", "exception", "join", "_wait_for_tstate_lock"})
_SELECTS: set[CodeType] = {
    getattr(selectors, name).select.__code__
    for name in ("EpollSelector", "PollSelector", "KqueueSelector", "SelectSelector", "_PollLikeSelector")
    if hasattr(selectors, name)
}
# Waitress' main loop waits in one of these, as the system has it.
_WAITRESS_POLLS = frozenset({"poll", "poll2"})
# The thread of a pool of processes that hears from them (`ProcessPoolExecutor`).
_MANAGES_PROCESSES: CodeType = processes._ExecutorManagerThread.wait_result_broken_or_wakeup.__code__
# The threads of a `multiprocessing.Pool` that wait for its processes.
_OF_POOL = frozenset({"_handle_results", "_handle_workers"})
_OF_PROCESSES = frozenset({"concurrent", "multiprocessing", "selectors"})
_STANDARD = frozenset({"threading", "queue", "selectors", "socket", "ssl", "concurrent.futures._base"})


# The places where threads were found to do nothing but pause, so that the next test need not find out again.
_watching: set[Any] = set()


class Work(NamedTuple):
    """Something that is under way: a key that identifies it, and what it is in words."""

    key: Any
    words: str


class Pause(NamedTuple):
    """A thread that waits, for so many seconds of real time at most, for something that may come from
    another one.
    """

    key: Any
    seconds: float
    words: str
    # The timer whose thread this is, if it is one.
    timer: threading.Timer | None = None


class Look(NamedTuple):
    """What was seen of all threads at one moment."""

    under_way: list[Work]
    pauses: list[Pause]
    # Work items of executors that wait for another thread.
    blocked: list[Work]
    # Where each idle thread was.
    at_rest: dict[int, tuple[int, int]]


class Threads:
    """The threads of the process. Threads that exist already do not count until they do something else.

    Threads that do nothing but pause for `patience` seconds, in several pauses or one, only watch something,
    and do not count either. A timer counts for twice as long; timers that start each other, for half as long
    again.
    """

    def __init__(self, patience: float) -> None:
        frames = current_frames()
        named = dict(threading._active)  # type: ignore[attr-defined]
        # Where each of them was. The number of a thread that has ended is soon reused.
        self._before = {ident: (named.get(ident), _place(frame)) for ident, frame in frames.items()}
        for ident, thread in named.items():
            if ident == threading.get_ident() or thread.name.startswith(_SERVER_NAME):
                self._before.pop(ident, None)
        # Work items that executors have not begun.
        self.submitted: WeakKeyDictionary[Future[Any], ThreadPoolExecutor] = WeakKeyDictionary()
        # Since when a thread has done nothing but pause at some place, without result.
        self._idle_since: dict[Any, float] = {}
        self._patience = patience

    def look(self, waiting: set[int]) -> Look:
        """See what all threads are doing, except this one and those that are `waiting` for time to pass."""
        frames = current_frames()
        named = dict(threading._active)  # type: ignore[attr-defined]
        look = Look([], [], [], {})
        for thread in list(threading._limbo.values()):  # type: ignore[attr-defined]
            if not _only_watches(thread):
                look.under_way.append(Work(("starts", id(thread)), f"thread {thread.name!r}, which starts"))
        me = threading.get_ident()
        for ident, frame in frames.items():
            thread = named.get(ident)
            if ident == me or ident in waiting or (thread is not None and _only_watches(thread)):
                continue
            if _hears_from_the_runner(frame):
                continue
            name = "a thread" if thread is None else f"thread {thread.name!r}"
            was_there = self._before.get(ident) == (thread, _place(frame))
            self._see(look, frames, ident, frame, name, was_there)
        return look

    def _see(
        self,
        look: Look,
        frames: dict[int, FrameType],
        ident: int,
        frame: FrameType,
        name: str,
        was_there: bool,
    ) -> None:
        rests = self._rests(frame, frames)
        if was_there and rests is not False:
            look.at_rest[ident] = id(frame), frame.f_lasti
            return
        if isinstance(rests, float):
            pause = self._pause(ident, frame, rests, name)
            rests = True
            if pause is not None:
                look.pauses.append(pause)
        if not rests:
            look.under_way.append(Work((ident, _codes(frame)), f"{name}, {_where(frame)}"))
            return
        look.at_rest[ident] = id(frame), frame.f_lasti
        if frame.f_code is not _WORKER and _is_work_item(frame):
            look.blocked.append(Work((ident, _codes(frame)), f"{name}, {_where(frame)}"))

    def _pause(self, ident: int, frame: FrameType, seconds: float, name: str) -> Pause | None:
        """A wait with a timeout, if it is one that holds up time."""
        outer: FrameType | None = frame
        while outer is not None and outer.f_globals.get("__name__") in _STANDARD:
            if outer.f_code.co_name in _OF_ANOTHER_THREAD:
                return None
            if outer.f_code is _TIMER_RUN and seconds <= 2 * self._patience:
                timer = outer.f_locals["self"]
                # What it calls may start the next one, and so on; or it may limit how long a test takes.
                patience = max(1.5 * self._patience, seconds)
                if _module(timer) in TOOLS or self._does_nothing_else(None, _what(timer), patience):
                    return None
                return Pause((ident, id(frame)), seconds, f"{name}, a timer", timer)
            outer = outer.f_back
        if seconds >= self._patience or self._does_nothing_else(ident, _spot(frame), self._patience):
            return None
        return Pause((ident, id(frame)), seconds, f"{name}, {_where(frame)}")

    def _does_nothing_else(self, ident: int | None, spot: Any, patience: float) -> bool:
        """Whether what pauses here has done nothing else for so many seconds, without result."""
        if spot in _watching:
            return True
        if monotonic() - self._idle_since.setdefault((ident, spot), monotonic()) <= patience:
            return False
        _watching.add(spot)
        return True

    def something_came(self) -> None:
        """Note that what threads do between their pauses had a result."""
        self._idle_since.clear()

    def _rests(self, frame: FrameType, frames: dict[int, FrameType]) -> bool | float | None:
        """Whether a thread that is in this frame is idle: a number for one that waits at most so many
        seconds, None if unknown.
        """
        code = frame.f_code
        if code is _CONDITION_WAIT:
            return _rests_in_condition(frame)
        if _serves_idle_processes(frame):
            return True
        if code in _JOINING:
            thread = frame.f_locals.get("self")
            return isinstance(thread, threading.Thread) and thread.ident in frames
        if code is _WORKER:
            return self._rests_in_executor(frame)
        if code in _SELECTS:
            selector = frame.f_locals.get("self")
            registered = selector.get_map() if isinstance(selector, selectors.BaseSelector) else None
            if registered is None:
                return None
            return _all_rest(
                _nothing_comes(
                    key.fd, sockets.readable if key.events & selectors.EVENT_READ else sockets.writable
                )
                for key in list(registered.values())
            )
        if code.co_name in _WAITRESS_POLLS and frame.f_globals.get("__name__") == "waitress.wasyncore":
            return _rests_in_waitress(frame)
        if code.co_name == "_do_waitpid" and frame.f_globals.get("__name__") == "asyncio.unix_events":
            # As where a file descriptor tells of the end of a process: it counts if a task may wait for it.
            given, waits = frame.f_locals, "waitpid" in _names_on_line(code, frame.f_lasti)
            return waits and (end_is_not_awaited(given["args"]) or not awaits_more_than_time(given["loop"]))
        if code.co_name == "get_events" and frame.f_globals.get("__name__") == "trio._core._io_epoll":
            return _rests_in_trio(frame)
        return _rests_in_call(frame)

    def _rests_in_executor(self, frame: FrameType) -> bool:
        work = frame.f_locals.get("work_queue")
        if work is None or not work.empty() or "get" not in _names_on_line(frame.f_code, frame.f_lasti):
            return False
        # It may have just taken something, and not have begun with it.
        return not any(
            future._state == "PENDING" and executor._work_queue is work
            for future, executor in list(self.submitted.items())
        )


def _rests_in_condition(frame: FrameType) -> bool | float:
    given = frame.f_locals
    waiter = given.get("waiter")
    # A notified thread is no longer among the waiting ones, even if it has not woken up yet.
    if waiter is None or waiter not in given["self"]._waiters:
        return False
    timeout = given.get("timeout")
    outer: FrameType | None = frame
    while outer is not None and outer.f_code not in _LOOKING:
        outer = outer.f_back
    return True if timeout is None or outer is not None else float(timeout)


def _serves_idle_processes(frame: FrameType) -> bool:
    """Whether a thread of a pool of processes waits for them, and nobody has given them anything to do."""
    outer: FrameType | None = frame
    while outer is not None and _package(outer) in _OF_PROCESSES:
        if outer.f_code is _MANAGES_PROCESSES:
            return not outer.f_locals["self"].pending_work_items
        if outer.f_code.co_name in _OF_POOL and outer.f_globals.get("__name__") == "multiprocessing.pool":
            return not outer.f_locals["cache"]
        outer = outer.f_back
    return False


def _rests_in_trio(frame: FrameType) -> bool | float | None:
    """How long trio waits, unless something comes from outside. Its tasks and threads wake it by a socket."""
    given = frame.f_locals
    if not _names_on_line(frame.f_code, frame.f_lasti) & {"poll"}:
        return False
    registered = list(given["self"]._registered)
    rests = _all_rest(_nothing_comes(fd, sockets.readable) for fd in registered)
    return float(given["timeout"]) if rests else rests


def _rests_in_waitress(frame: FrameType) -> bool:
    """Whether waitress waits for its sockets, and nothing has come. It only handles them in further calls."""
    if not _names_on_line(frame.f_code, frame.f_lasti) & {"poll", "select"}:
        return False
    reading, writing = [], []
    for number, one in list(frame.f_locals["map"].items()):
        # To ask a listening socket is also to have it close old connections.
        if one.accepting or one.readable():
            reading.append(number)
        if not one.accepting and one.writable():
            writing.append(number)
    return not sockets.any_ready(reading, writing)


def _rests_in_call(frame: FrameType) -> bool | None:
    """Whether a thread waits in a call that its own code made directly."""
    code, offset = frame.f_code, frame.f_lasti
    operation = _lines(code).get(offset, (None, ""))[1]
    # `for item in iter(queue.get, None)` calls it, too.
    calls = operation.startswith("CALL") or operation == "FOR_ITER"
    if operation in _WITH:
        return _is_any_held(frame)
    if not calls:
        return None
    names = _names_on_line(code, offset)
    if _WITH_SPECIAL in names:
        return _is_any_held(frame)
    if frame.f_globals.get("__name__") == "ssl":
        names = frozenset(_OF_SSL.get(name, name) for name in names)
    rests = _rests_in(names, frame)
    if rests is not None:
        return rests
    # It may have such a function by another name, as `iter` and `functools.partial` do.
    held = [
        one
        for one in _within_reach(frame)
        if isinstance(one, BuiltinMethodType) and isinstance(one.__self__, _WAITED_FOR)
    ]
    return _rests_in(frozenset(one.__name__ for one in held), frame)


def _rests_in(names: frozenset[str], frame: FrameType) -> bool | None:
    """Whether a thread waits in a function of one of these names; None if it is not known."""
    if "acquire" in names and _is_any_held(frame):
        return True
    if "get" in names:
        queues = [one for one in _within_reach(frame) if isinstance(one, queue.SimpleQueue)]
        if queues:
            return all(one.empty() for one in queues)
    for some, ready in ((_RECEIVING, sockets.readable), (_SENDING, sockets.writable)):
        if names & some:
            found = [one for one in _within_reach(frame) if isinstance(one, socket.socket)]
            if found:
                return _all_rest(_nothing_comes(one.fileno(), ready) for one in found)
    return None


def _is_any_held(frame: FrameType) -> bool | None:
    """True if a lock that this frame can use is held; None if none is."""
    return any(_is_held(one) for one in _within_reach(frame)) or None


def _all_rest(each: Iterable[bool | None]) -> bool | None:
    known = list(each)
    if False in known:
        return False
    return None if None in known else True


def _place(frame: FrameType) -> tuple[CodeType, int]:
    return frame.f_code, frame.f_lasti


def _spot(frame: FrameType | None) -> tuple[tuple[CodeType, int], ...]:
    found = []
    while frame is not None:
        found.append(_place(frame))
        frame = frame.f_back
    return tuple(found)


def _what(timer: threading.Timer) -> Any:
    """What a timer has in common with the next one that does the same; itself if that is not known."""
    function = _called(timer)
    return timer if _module(timer) in sys.stdlib_module_names else getattr(function, "__code__", timer)


def _module(timer: threading.Timer) -> str:
    """The package of what a timer calls."""
    return str(getattr(_called(timer), "__module__", "")).partition(".")[0]


def _called(timer: threading.Timer) -> Any:
    function: Any = timer.function
    while isinstance(function, functools.partial):
        function = function.func
    return function


def _codes(frame: FrameType | None) -> tuple[CodeType, ...]:
    found = []
    while frame is not None:
        found.append(frame.f_code)
        frame = frame.f_back
    return tuple(found)


def _is_work_item(frame: FrameType | None) -> bool:
    """Whether a thread works on an item of an executor, or of anyio."""
    while frame is not None:
        if frame.f_code is _WORK_ITEM:
            return True
        if frame.f_code.co_name == "run" and frame.f_globals.get("__name__") == "anyio._backends._asyncio":
            return "future" in frame.f_locals and frame.f_locals.get("func") is not None
        frame = frame.f_back
    return False


def _only_watches(thread: threading.Thread) -> bool:
    """Whether a thread belongs to the fake, and not to one of its servers."""
    return thread.name.startswith(_OWN_NAME) and not thread.name.startswith(_SERVER_NAME)


def _hears_from_the_runner(frame: FrameType | None) -> bool:
    """Whether a thread is in pytest-xdist's own code, and not in a test that this has called."""
    own = _own(frame)
    return own is not None and _package(own) in _RUNNERS


def _own(frame: FrameType | None) -> FrameType | None:
    """The innermost frame of code that is not Python's own; None if there is none."""
    while frame is not None and _package(frame) in sys.stdlib_module_names:
        frame = frame.f_back
    return frame


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def _where(frame: FrameType) -> str:
    """Where a thread is, in words: the innermost code that is not Python's own, and the call that it waits
    in.
    """
    inner = frame
    own = _own(frame)
    if own is None:
        given = _given(inner)
        return f"in {_line(inner)}" if given is None else f"in {given}, which it was given"
    return f"in {_line(own)}" if own is inner else f"in {inner.f_code.co_name}, called from {_line(own)}"


def _given(frame: FrameType | None) -> str | None:
    """What a thread was given to do, by its name."""
    given: Any = None
    while frame is not None and given is None:
        if frame.f_code is _WORK_ITEM:
            given = frame.f_locals["self"].fn
        elif frame.f_code is _THREAD_RUN:
            given = getattr(frame.f_locals["self"], "_target", None)
        frame = frame.f_back
    while isinstance(given, functools.partial):
        # `asyncio.to_thread` runs it in a context.
        inside = given.args[:1] if getattr(given.func, "__name__", "") == "run" else ()
        given = inside[0] if inside and callable(inside[0]) else given.func
    return None if given is None else str(getattr(given, "__qualname__", given))


def _line(frame: FrameType) -> str:
    code = frame.f_code
    return f"{code.co_name} ({Path(code.co_filename).name}:{frame.f_lineno})"


# What `with` does has a name of its own from Python 3.14 on.
_WITH_SPECIAL = "LOAD_SPECIAL"


@functools.lru_cache(4096)
def _lines(code: CodeType) -> dict[int, tuple[int | None, str]]:
    """The line of each instruction, and its name."""
    lines = {offset: line for first, last, line in code.co_lines() for offset in range(first, last, 2)}
    return {one.offset: (lines.get(one.offset), one.opname) for one in dis.get_instructions(code)}


@functools.lru_cache(4096)
def _names_on_line(code: CodeType, offset: int) -> frozenset[str]:
    """The names of attributes and variables on the line of this instruction."""
    lines = _lines(code)
    line, _ = lines.get(offset, (None, ""))
    return frozenset(
        one.argval if isinstance(one.argval, str) else one.opname
        for one in dis.get_instructions(code)
        if (isinstance(one.argval, str) or one.opname == _WITH_SPECIAL) and lines[one.offset][0] == line
    )


def _within_reach(frame: FrameType) -> Iterator[Any]:
    """The objects that the code in a frame can use: its variables, their attributes, and the globals that it
    names.
    """
    named = [frame.f_globals[name] for name in frame.f_code.co_names if name in frame.f_globals]
    for one in [*frame.f_locals.values(), *named]:
        yield from _parts(one)
        with suppress(TypeError):
            if not _is_stand_in(one) and not isinstance(one, (type, ModuleType)):
                for part in list(vars(one).values()):
                    yield from _parts(part)


def _is_stand_in(one: Any) -> bool:
    """Whether this stands for another object, such as flask's `request`: even a look at its class would fetch
    that in the wrong thread, or fail.
    """
    return _makes_stand_ins(type(one))  # type: ignore[arg-type]


@functools.lru_cache(4096)
def _makes_stand_ins(kind: type) -> bool:
    if kind in weakref.ProxyTypes:
        return True
    return any(
        "__class__" in vars(one)
        or not isinstance(vars(one).get("__dict__"), (GetSetDescriptorType, MemberDescriptorType, NoneType))
        for one in kind.__mro__
        if one is not object
    )


def _parts(one: Any) -> Iterator[Any]:
    """An object, and those that it calls, if it is a method or a partial call: `Thread(target=queue.get)`."""
    if _is_stand_in(one):
        return
    yield one
    if isinstance(one, functools.partial):
        yield from _parts(one.func)
        for argument in one.args:
            yield from _parts(argument)
    elif isinstance(one, (BuiltinMethodType, MethodType)):
        yield one.__self__


def _is_held(lock: Any) -> bool:
    if isinstance(lock, _thread.LockType):
        return lock.locked()
    return isinstance(lock, _RLOCK) and repr(lock).startswith("<locked")


def _nothing_comes(fd: int, ready: Callable[[int], bool]) -> bool | None:
    """Whether only this process can send something to this socket, and nothing is on its way.

    None for a socket that may get something from outside.
    """
    if fd < 0 or ready(fd):
        return False
    one = sockets.end(fd)
    if one is None:
        return None
    if one.listens:
        return True
    own = sockets.OwnSockets()
    if not own.is_within(one):
        return None
    return not own.in_flight(one) and not ready(fd)


def switches() -> dict[int, int] | None:
    """How often each other thread has gone to sleep so far, as Linux counts it; None while one is awake.

    A thread that was woken runs, or waits for Python's lock, and is woken again for that. So if no thread
    was awake and none went to sleep while this thread had released the lock, none is about to do anything.
    On other systems nothing is known, and the dictionary is empty.
    """
    counts: dict[int, int] = {}
    if sys.platform != "linux":
        return counts
    me = threading.get_native_id()
    for thread in list(threading._active.values()):  # type: ignore[attr-defined]
        number = thread.native_id
        if number is None or number == me:
            continue
        with suppress(OSError):
            file = os.open(f"/proc/self/task/{number}/status", os.O_RDONLY)
            try:
                text = os.read(file, 4096)
            finally:
                os.close(file)
            if b"\nState:\tR" in text:
                return None
            _, _, rest = text.partition(b"\nvoluntary_ctxt_switches:")
            counts[number] = int(rest.split(None, 1)[0]) if rest else 0
    return counts
