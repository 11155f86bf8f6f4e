"""Notices a script that blocks, and interrupts it.

A script runs in the thread of the request that resumed it, so one that never returns would hang the whole
world. One thread serves all watchdogs of the process; it exists only while scripts run.

Only what the script itself does counts. It may compute for as long as the limit, measured as CPU time of
its own thread, less what the garbage collector took. It may wait in a blocking call for as long: then its
thread uses no CPU, while the thread that looks is on time again and again. Time in which the process was
stopped, or got no CPU or interpreter lock, does not count.
"""

from __future__ import annotations

import ctypes
import gc
import inspect
import logging
import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import get_ident
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TypeVar

from output_mock.durations import SECOND, Duration, format_duration, nanoseconds
from output_mock.real_time import monotonic
from output_mock.thread_frames import current_frames

if TYPE_CHECKING:
    from output_mock.scripts.definition import WorkflowDefinition

T = TypeVar("T")
_log = logging.getLogger("output_mock.engine")
# The real worker calls a workflow task deadlocked after two seconds without a yield.
LIMIT = 2 * SECOND
# How long, in seconds, the thread stays when no script runs.
_IDLE = 5.0
# How often it looks: so often within the limit, but not more or less often than this.
_LOOKS = 8
_SHORTEST, _LONGEST = 0.02, 0.25
# Below which part of a core a thread counts as waiting, and above which as kept from running.
_WAITING, _STARVED = 0.02, 0.1
# A collection is not the script's doing, but one that collects without end is: so many limits at most.
_COLLECTING = 10
_PACKAGE = f"{Path(__file__).parents[1]}{os.sep}"
# Where a script has just begun, or is over already: an interruption must not come there.
_NOT_HERE = frozenset(
    str(Path(__file__).parents[1] / f"{name}.py")
    for name in ("engine/instance", "engine/run", "engine/steps", "engine/watchdog", "scripts/playing")
)


def is_for_the_process(error: BaseException) -> bool:
    """Whether an error that a script let through may be meant for the whole process.

    Ctrl-C and what ends a test reach the main thread only; all else, wherever it is raised, is the script's.
    """
    return not isinstance(error, (Exception, SystemExit)) and (
        threading.current_thread() is threading.main_thread()
    )


class Watched(Protocol):
    """The run whose script is watched."""

    @property
    def definition(self) -> WorkflowDefinition: ...
    @property
    def workflow_id(self) -> str: ...
    @property
    def run_id(self) -> str: ...


def checked_limit(limit: Duration) -> int:
    """The limit that a duration stands for, in nanoseconds. Raises `ValueError` for 0."""
    length = nanoseconds(limit)
    if not length:
        raise ValueError("the limit for scripts must be longer than 0; write it like '500ms', '2s' or '1m'")
    return length


_INSTEAD = (
    "; use ctx.sleep instead of time.sleep, and ctx.step(…, returns=…, takes=…) for what comes from outside"
)


class ScriptBlockedError(Exception):
    """Raised inside a script that blocks, or does what a script must not do.

    Without a message it is an interruption: the interpreter creates it in the interrupted thread.
    """

    def __init__(self, what: str | None = None, *, instead: str = _INSTEAD) -> None:
        if what is None:
            what = _break_offs.get(get_ident(), "was broken off")
            watchdog = _watchdog_of(get_ident())
            if watchdog is not None and watchdog.interruptions > 1:
                watchdog.insist(sys._getframe(1))
        super().__init__(f"the script {what}{instead}")


# What blocks or leaves the world, as Python's audit events name it; `time.sleep` has one since 3.13.
_FORBIDDEN = {
    "time.sleep": "called time.sleep",
    "builtins.input": "called input",
    "socket.connect": "opened a network connection",
    "socket.getaddrinfo": "looked up a host",
    "socket.gethostbyname": "looked up a host",
    "socket.gethostbyaddr": "looked up a host",
    "subprocess.Popen": "started a process",
    "os.system": "started a process",
    "os.posix_spawn": "started a process",
    "os.spawn": "started a process",
    "os.fork": "started a process",
    "os.forkpty": "started a process",
    "os.exec": "replaced the process",
}
# The threads in which a script is running at the moment.
_script_threads: set[int] = set()
# What was refused in a thread, in case the script catches the error and continues.
_refusals: dict[int, ScriptBlockedError] = {}
# Why the script of a thread is interrupted.
_break_offs: dict[int, str] = {}
_hook_installed = False


def _audit(
    event: str,
    args: tuple[object, ...],
    # As the interpreter ends it takes the names of this module away, and still tells of what happens.
    running: set[int] = _script_threads,
    forbidden: dict[str, str] = _FORBIDDEN,
    this_thread: Callable[[], int] = get_ident,
) -> None:
    if not running:
        return
    if event in forbidden and (thread_id := this_thread()) in running:
        _refuse(thread_id, forbidden[event])
    elif event == "open" and (thread_id := this_thread()) in running and _is_pipe(args[0]):
        _refuse(thread_id, f"opened {args[0]!r}, which is a pipe")


def refuse(what: str) -> NoReturn:
    """Raise an error in the script that runs in this thread, and let its run fail even if the script catches
    that.
    """
    _refusals[get_ident()] = refusal = ScriptBlockedError(what, instead="")
    raise refusal


def _refuse(thread_id: int, what: str) -> None:
    _refusals[thread_id] = refusal = ScriptBlockedError(what)
    raise refusal


def _is_pipe(path: object) -> bool:
    if not isinstance(path, (str, bytes, os.PathLike)):
        return False
    try:
        return stat.S_ISFIFO(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def _install_hook() -> None:
    """Install an audit hook that reports what a script does; it stays for the life of the process."""
    global _hook_installed
    if not _hook_installed:
        _hook_installed = True
        sys.addaudithook(_audit)


# The watchdogs of the worlds in which a script is running at the moment, and who looks after them.
_awake: set[Watchdog] = set()
_watcher: threading.Thread | None = None
# Held while a thread is being interrupted, so that no interruption comes when its script is over.
_interrupting = threading.Lock()


def _watchdog_of(thread_id: int) -> Watchdog | None:
    """The watchdog that has interrupted the script of this thread."""
    for watchdog in list(_awake):
        if watchdog.thread_id == thread_id and watchdog.broken:
            return watchdog
    return None


class Watchdog:
    """Watches the one workflow task that a world's lock lets run at a time."""

    __slots__ = (
        "_about",
        "_before",
        "_began",
        "_collecting",
        "_depth",
        "_idle",
        "_number",
        "_seen",
        "_starved",
        "_traced",
        "_used",
        "broken",
        "interruptions",
        "limit",
        "over",
        "refusal",
        "thread_id",
    )

    def __init__(self, limit: int = LIMIT) -> None:
        # How long, in nanoseconds, a script may compute or block.
        self.limit: int = limit
        self.thread_id: int = 0
        # Whether the running script was interrupted.
        self.broken: bool = False
        self._depth = 0
        # Which of the scripts that it has watched runs now, and which ran when it looked last.
        self._number = self._seen = 0
        # What CPU time the thread had used then, in seconds, and how much of it to collect garbage.
        self._before = 0.0, 0.0
        # How long the thread had waited for a core then, if it blocked; looked up only when it may.
        self._starved: float | None = None
        # For how many seconds the script has computed, blocked, and had garbage collected since it was first
        # looked at.
        self._used = self._idle = self._collecting = 0.0
        # How often it was interrupted.
        self.interruptions: int = 0
        # Whether that script has returned meanwhile.
        self.over: bool = False
        # The run whose script runs, and the name of its step, if it is a step's function that does.
        self._about: tuple[Watched | None, str | None] = None, None
        self._began = 0.0
        # What the script that ran last was refused.
        self.refusal: ScriptBlockedError | None = None
        # What traced the thread and its frames before it was broken off.
        self._traced: tuple[Any, list[tuple[FrameType, Any]]] | None = None

    def run(
        self,
        function: Callable[..., T],
        *args: Any,
        strict: bool,
        run: Watched | None = None,
        step: str | None = None,
    ) -> T:
        """Return what code of a script returns; if `strict`, it is refused whatever leaves the world.

        `run` is the one that it belongs to, `step` the step that is performed. Raises what the code raises.
        `refusal` has the last error that it was given, also if it has caught that.
        """
        self._depth += 1
        if self._depth == 1:
            thread_id = self.thread_id = get_ident()
            self._number += 1
            self.broken = self.over = False
            self.interruptions = 0
            self._about, self._began = (run, step), monotonic()
            self.refusal = None
            if strict:
                _script_threads.add(thread_id)
            if thread_id == _MAIN and not _signal_tried:
                _take_signal()
            _awake.add(self)
            if _watcher is None:
                _start_watching()
        try:
            return function(*args)
        finally:
            try:
                if self._depth == 1:
                    # First this, then the look: who interrupts does it the other way round, so one of them
                    # sees the other. It stays so until the next script begins, as who looks may have looked
                    # long ago.
                    self.over = True
                    while self.broken:
                        try:
                            self._give_back()
                        except ScriptBlockedError:
                            # It came late, and the script is over.
                            continue
            finally:
                # Whatever comes: who is watched on would be broken off in what the thread does later.
                self._depth -= 1
                if not self._depth:
                    _awake.discard(self)
                    _script_threads.discard(self.thread_id)
                    if _refusals:
                        self.refusal = _refusals.pop(self.thread_id, None)

    @property
    def running(self) -> int:
        """The number of the script that runs at the moment; 0 when none does. Asked by any thread."""
        return self._number if self._depth else 0

    @property
    def seconds(self) -> float:
        """For how many seconds the running script has been blocking. Any thread may call this."""
        return monotonic() - self._began if self._depth else 0.0

    def described(self) -> str | None:
        """Which script runs, where it is, and since when; None when none does. Asked by any thread."""
        (run, step), began, thread_id = self._about, self._began, self.thread_id
        frame = current_frames().get(thread_id)
        if not self._depth or frame is None:
            return None
        words = "a script" if run is None else f"the script of workflow {run.definition.name!r}"
        if step is not None:
            words += f", in step {step!r},"
        seconds = max(1, round(monotonic() - began))
        words += f" has been blocking for {seconds} s, at {_place(frame, run)}"
        return words if run is None else f"{words} (workflow id {run.workflow_id!r}, run {run.run_id})"

    def look(self, passed: float, *, on_time: bool) -> None:
        """Look what the script has done in the seconds that have `passed`, and break it off if it must be.

        It was `on_time` when the process could have run all the while.
        """
        thread_id, number = self.thread_id, self._number
        frame = current_frames().get(thread_id)
        if not self._depth or frame is None:
            return
        (cpu_before, collected_before), (cpu, collected) = (
            self._before,
            (
                _cpu(thread_id),
                _collected.get(thread_id, 0.0),
            ),
        )
        self._before = cpu, collected
        if number != self._seen:
            self._seen, self._used, self._idle, self._collecting = number, 0.0, 0.0, 0.0
            self._starved = None
            return
        # More than can have been used in that time was counted while a machine slept.
        computed = min(cpu - cpu_before, 2 * passed if on_time else _LONGEST)
        self._used += max(0.0, computed - (collected - collected_before))
        self._collecting += collected - collected_before
        if computed >= _WAITING * passed:
            self._idle = 0.0
            self._starved = None
        elif on_time:
            before_that = self._starved
            self._starved, asleep = _kept_waiting(thread_id)
            if asleep and before_that is not None and self._starved - before_that < _STARVED * passed:
                self._idle += passed
        limit = self.limit / SECOND
        if self._used > limit or self._collecting > _COLLECTING * limit:
            self._break_off(frame, "it was computing")
        elif self._idle > limit:
            self._break_off(frame, "it was waiting in a call that blocks", waiting=True)

    def _break_off(self, frame: FrameType, how: str, *, waiting: bool = False) -> None:
        thread_id, number = self.thread_id, self._number
        if frame.f_code.co_filename in _NOT_HERE:
            return
        with _interrupting:
            self.broken = True
            if self.over:
                return
            if not self._depth or self._seen != number:
                self.broken = False
                return
            self.interruptions += 1
            words = f"blocked for more than {format_duration(self.limit)} without awaiting anything ({how})"
            _break_offs[thread_id] = words
            _refusals[thread_id] = ScriptBlockedError(words)
            if waiting and _signal_taken and thread_id == _MAIN:
                # Its handler raises the error: that ends calls that nothing else ends.
                signal.pthread_kill(thread_id, _SIGNAL)
            else:
                raise_in(thread_id, ScriptBlockedError)

    def insist(self, frame: FrameType | None) -> None:
        """From now on interrupt the script on every line that it begins, should it catch this and go on.

        Called in its own thread, where it is at `frame`.
        """
        if self._traced is not None or not self._depth:
            return
        again = partial(_raise_while_traced, self.thread_id, ScriptBlockedError)
        self._traced = sys.gettrace(), []
        sys.settrace(_trace_nothing_more)
        while frame is not None:
            if not frame.f_code.co_filename.startswith(_PACKAGE):
                self._traced[1].append((frame, frame.f_trace))
                frame.f_trace = again
            elif frame.f_code is _RUN:
                return
            frame = frame.f_back

    def _give_back(self) -> None:
        """Interrupt the thread no more. Raises what is on its way to it."""
        if self._traced is not None:
            (before, frames), self._traced = self._traced, None
            sys.settrace(before)
            for frame, traced_by in frames:
                frame.f_trace = traced_by
        with _interrupting:
            pass
        _let_come()
        _break_offs.pop(self.thread_id, None)
        self.broken = False


def _place(frame: FrameType | None, run: Watched | None) -> str:
    """The file and the line that a script is at: in its own file if it can be, else where it is inside."""
    script: Any = None if run is None else inspect.unwrap(run.definition.script)
    code = getattr(script, "__code__", None)
    elsewhere: str | None = None
    while frame is not None and frame.f_code is not _RUN:
        file = frame.f_code.co_filename
        if code is not None and file == code.co_filename and not file.startswith(_PACKAGE):
            return f"{file}, line {frame.f_lineno}"
        if elsewhere is None and not file.startswith(_PACKAGE):
            elsewhere = f"{file}, line {frame.f_lineno}"
        frame = frame.f_back
    said = getattr(getattr(script, "__self__", None), "place", None)
    return str(said or elsewhere or "an unknown place")


_RUN = Watchdog.run.__code__


def _let_come() -> None:
    """Whatever the interpreter is to raise in this thread, it raises at the beginning of a call."""


# Called as it is: a function of Python's own between the two calls below would not begin.
_set_error = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_ulong, ctypes.py_object)(
    ("PyThreadState_SetAsyncExc", ctypes.pythonapi)
)


class _Taken(BaseException):
    """Raised and caught in one place, so that the interpreter looks for errors no more."""


def raise_in(thread_id: int, error: type[BaseException]) -> None:
    """Have the interpreter raise an error in another thread, as soon as that runs Python."""
    me = get_ident()
    try:
        _set_error(thread_id, error)
        # Until an error has come, the interpreter looks for one wherever a function begins. Where it is
        # traced (by a debugger, by coverage), Python 3.11 looks again and again, and begins none. An error
        # that comes in this thread ends that; the other thread looks once more by itself when it goes on.
        _set_error(me, _Taken)
        _let_come()
    except _Taken:
        pass


# The same as the trace function of a frame, whose three arguments it ignores. One that is written in Python
# would be what is interrupted, and the interpreter traces no more after an error in such a function.
_raise_while_traced = ctypes.PYFUNCTYPE(None, ctypes.c_ulong, *[ctypes.py_object] * 4)(
    ("PyThreadState_SetAsyncExc", ctypes.pythonapi)
)


def _nothing(frame: FrameType, event: str, arg: Any) -> None:
    pass


# Has the interpreter trace frames that have begun, and no others. Python 3.12 calls it before it looks for
# errors on their way, so it has to be in C there, for the same reason.
_trace_nothing_more: Callable[[FrameType, str, Any], Any] = (
    _nothing
    if sys.version_info < (3, 12)
    else ctypes.PYFUNCTYPE(None, *[ctypes.py_object] * 3)(("Py_IsInitialized", ctypes.pythonapi))
)


def _cpu(thread_id: int) -> float:
    """The CPU time of a thread that is there; where the system does not tell, that of the whole process."""
    if sys.platform == "win32" or sys.platform == "darwin":
        return time.process_time()
    return time.clock_gettime(time.pthread_getcpuclockid(thread_id))


def _kept_waiting(thread_id: int) -> tuple[float, bool]:
    """How many seconds a thread has waited for a core to run on, and whether it waits for something else now.

    The system adds a wait for a core only when that is over: meanwhile the thread counts as one that runs.
    Where the system does not tell, it is `(0, True)`.
    """
    if not sys.platform.startswith("linux"):
        return 0.0, True
    native_id = next((one.native_id for one in threading.enumerate() if one.ident == thread_id), None)
    try:
        of_thread = Path(f"/proc/self/task/{native_id}")
        waited = int((of_thread / "schedstat").read_text().split()[1]) / 1e9
        # After the name of the thread, which may have spaces and brackets of its own.
        return waited, (of_thread / "stat").read_text().rpartition(") ")[2][:1] == "S"
    except (OSError, ValueError, IndexError):
        return 0.0, True


# How many seconds of a script's thread the garbage collector took, and since when it is at work there.
_collected: dict[int, float] = {}
_collecting: dict[int, float] = {}


def _note_collection(phase: str, info: dict[str, int]) -> None:
    thread_id = get_ident()
    if phase == "start":
        if any(watchdog.thread_id == thread_id for watchdog in list(_awake)):
            _collecting[thread_id] = time.thread_time()
        return
    began = _collecting.pop(thread_id, None)
    if began is not None:
        _collected[thread_id] = _collected.get(thread_id, 0.0) + time.thread_time() - began


# The signal that ends a blocking call of the main thread. It means nothing to any program unless that asks
# for it, and nothing is lost when it comes late.
_SIGNAL: int = getattr(signal, "SIGURG", 0)
_signal_taken = _signal_tried = False
_MAIN = threading.main_thread().ident


def _take_signal() -> None:
    """Have `_SIGNAL` break off a script in this thread, which is the only one that Python has signals for."""
    global _signal_taken, _signal_tried
    _signal_tried = True
    if _SIGNAL and signal.getsignal(_SIGNAL) == signal.SIG_DFL:
        signal.signal(_SIGNAL, _signalled)
        _signal_taken = True


def _signalled(number: int, frame: FrameType | None) -> None:
    if _watchdog_of(get_ident()) is not None and frame and frame.f_code.co_filename not in _NOT_HERE:
        raise ScriptBlockedError


# Held while the thread that looks begins or ends.
_beginning = threading.Lock()


def _start_watching() -> None:
    global _watcher
    with _beginning:
        if _watcher is not None:
            return
        _install_hook()
        if _note_collection not in gc.callbacks:
            gc.callbacks.append(_note_collection)
        _watcher = threading.Thread(target=_watch, name="output-mock-watchdog", daemon=True)
        _watcher.start()


def _stop_watching() -> bool:
    """Returns whether this thread may end: a script that has begun just now counts on it."""
    global _watcher
    with _beginning:
        # First this, then the look: a script does it the other way round, so one of them sees the other.
        me, _watcher = _watcher, None
        if _awake:
            _watcher = me
            return False
        with suppress(ValueError):
            gc.callbacks.remove(_note_collection)
        _collected.clear()
        return True


def _watch() -> None:
    told: set[str] = set()
    over = False
    try:
        while not over:
            over = _watch_and_tell(told)
    finally:
        if not over:
            # Something came where nothing catches it, such as an interruption that was meant for a script.
            _watch_in_another_thread()


def _watch_and_tell(told: set[str]) -> bool:
    """Watch until an error occurs, and log it unless it was `told`, or until nobody needs it; then True."""
    try:
        _watch_until_idle()
        return True
    # Whatever it is, also an interruption that came to the wrong thread: scripts have to be watched.
    except BaseException as error:
        text = f"{type(error).__name__}: {error}"
        if text not in told:
            told.add(text)
            _log.warning(
                "an error occurred while watching scripts; watching continues: %s", text, exc_info=True
            )
        return False


def _watch_in_another_thread() -> None:
    global _watcher
    with _beginning:
        _watcher = None
    if _awake:
        _start_watching()


def _watch_until_idle() -> None:
    idle_since = before = monotonic()
    while True:
        awake = list(_awake)
        shortest = min((watchdog.limit for watchdog in awake), default=LIMIT) / SECOND
        tick = min(_LONGEST, max(_SHORTEST, shortest / _LOOKS))
        time.sleep(tick)
        now = monotonic()
        passed, before = now - before, now
        if awake:
            idle_since = now
            _look_at(awake, passed, on_time=passed < 1.5 * tick)
        elif now - idle_since > _IDLE and _stop_watching():
            return


# A function, so that nothing keeps the last one, and with it its world, until there is another.
def _look_at(awake: list[Watchdog], passed: float, *, on_time: bool) -> None:
    for watchdog in awake:
        watchdog.look(passed, on_time=on_time)


def _after_fork() -> None:
    global _watcher, _beginning
    # Threads do not survive, and locks stay as they are.
    _watcher, _beginning = None, threading.Lock()
    _awake.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
