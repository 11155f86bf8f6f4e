"""Read script files that may never end, such as a Python file with an endless loop."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from output_mock.real_time import monotonic
from output_mock.thread_frames import current_frames

if TYPE_CHECKING:
    from output_mock.scripts.script import Scripted

# After how many seconds the user is told that a file is still being read.
SLOW = 5.0
# How many seconds a file that has changed may take.
LIMIT = 10.0
# The time between two checks, in seconds. If more time passes between them, the process stood still
# meanwhile.
_LOOK = 0.25


@contextmanager
def told_when_slow(file: str, tell: Callable[[str], None]) -> Iterator[None]:
    """If the block, in which this thread reads `file`, takes long, tell the user where it is."""
    thread_id = threading.get_ident()
    over = threading.Event()

    def wait() -> None:
        if not over.wait(SLOW):
            where = _place(thread_id, file)
            tell(f"{file}: still being read after {SLOW:g} s, {where}; press Ctrl-C to give up")

    threading.Thread(target=wait, name="output-mock-slow", daemon=True).start()
    try:
        yield
    finally:
        over.set()


@contextmanager
def ended_by_ctrl_c() -> Iterator[None]:
    """Let a second Ctrl-C end the process while the block runs, in case a script catches the first one."""
    pressed: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        pressed.append(number)
        if len(pressed) > 1:
            os._exit(128 + number)
        # A `raise` would look as if the script had done it.
        signal.default_int_handler(number, frame)

    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def read_within_limit(file: str) -> list[Scripted]:
    """Load a file with `load_file`, within the time limit.

    Raises `ScriptFileError`, also for a file that takes longer. Loading is then stopped, unless it blocks in
    a call.
    """
    from output_mock.places import Mistake
    from output_mock.scripts.file_error import ScriptFileError
    from output_mock.scripts.loading import load_file

    found: list[list[Scripted]] = []
    problems: list[ScriptFileError] = []

    def read() -> None:
        try:
            found.append(load_file(file))
        except ScriptFileError as error:
            problems.append(error)

    thread = threading.Thread(target=read, name="output-mock-read", daemon=True)
    thread.start()
    if not _ends(thread, LIMIT):
        where = _place(thread.ident, file)
        threading.Thread(target=_break_off, args=(thread,), name="output-mock-break-off", daemon=True).start()
        problem = f"loading takes too long and was stopped: after {LIMIT:g} s it is still {where}"
        raise ScriptFileError(f"{file}: {problem}", [Mistake(file, problem)])
    if problems:
        raise problems[0]
    return found[0]


def _ends(thread: threading.Thread, seconds: float) -> bool:
    """Whether a thread ends within this many seconds, not counting time in which the process stood still."""
    passed = 0.0
    while thread.is_alive() and passed < seconds:
        before = monotonic()
        thread.join(min(_LOOK, seconds))
        passed += min(monotonic() - before, 2 * _LOOK)
    return not thread.is_alive()


class _BrokenOff(BaseException):
    """Stops the top-level code of a file."""


def _break_off(thread: threading.Thread) -> None:
    from output_mock.engine.watchdog import raise_in

    while thread.is_alive():
        # Repeatedly, as the file may catch it.
        raise_in(thread.ident or 0, _BrokenOff)
        thread.join(_LOOK)


def _place(thread_id: int | None, file: str) -> str:
    """Where a thread is that reads a file, in words: the line of the file, or of what it imports."""
    frame: FrameType | None = current_frames().get(thread_id or 0)
    own, package = str(Path(file).absolute()), str(Path(__file__).parents[1])
    elsewhere: str | None = None
    while frame is not None:
        filename = frame.f_code.co_filename
        if filename == own:
            return f"at line {frame.f_lineno}"
        if elsewhere is None and not filename.startswith(package) and not filename.startswith("<"):
            elsewhere = f"at {filename}, line {frame.f_lineno}"
        frame = frame.f_back
    return elsewhere or "somewhere in it"
