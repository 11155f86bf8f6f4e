"""Waits and pauses that are longer than what is left of their run: the execution timeout comes first."""

from __future__ import annotations

import inspect
import sys
from types import FrameType
from typing import TYPE_CHECKING

from output_mock.durations import format_duration
from output_mock.scripts.parts import place_of

if TYPE_CHECKING:
    from output_mock.engine.run import Run


# So many are noted of a world: how long a step takes may be different in every run.
_MOST = 1_000


def deadline_of(run: Run) -> int:
    """When a run reaches its execution timeout, or a parent does and takes it along; 0 for never."""
    deadline = run.deadline
    while run.parent is not None and run.child is not None and not run.child.detached:
        run = run.parent
        if run.deadline and (not deadline or run.deadline < deadline):
            deadline = run.deadline
    return deadline


def note_if_outlasting(run: Run, what: str, length: int, *, is_timeout: bool) -> None:
    """Note for the author of the script that something takes so many nanoseconds, if that is too long.

    `guard` says that it is the timeout of a wait, which can then never pass.
    """
    deadline = deadline_of(run)
    left = deadline - run.world.clock.nanoseconds()
    if not deadline or length < left:
        return
    place = _place(run)
    ending = "never passes" if is_timeout else "never ends"
    text = (
        f"workflow {run.definition.name!r}: {what} of {format_duration(length)} {ending}, as the run "
        f"reaches its execution timeout in {format_duration(max(0, left))}; make it shorter, or set a "
        f"longer execution_timeout ({place})"
    )
    _note(run, (place, what), (text, is_timeout))


def note_if_too_late(run: Run, name: str, after: int, place: str | None) -> None:
    """Note that a signal is due in so many nanoseconds, if the run has reached its execution timeout by then.

    `place` is where the signal is scripted; None for one that comes from elsewhere.
    """
    deadline = deadline_of(run)
    left = deadline - run.world.clock.nanoseconds()
    if not deadline or after < left:
        return
    place = place or place_of(run.definition)
    enough = format_duration(2 * (run.world.execution_timeout - left + after))
    text = (
        f"workflow {run.definition.name!r}: signal {name!r} is due after {format_duration(after)}, but the "
        f"run may take {format_duration(max(0, left))} only: set execution_timeout={enough!r} ({place})"
    )
    _note(run, (place, f"signal {name!r}"), (text, False))


def _note(run: Run, key: tuple[str, str], said: tuple[str, bool]) -> None:
    noted = run.world.outlasting
    if len(noted) < _MOST:
        noted.setdefault(key, said)


def _place(run: Run) -> str:
    """The line of the script that is running; where the script is written, when no line of it is."""
    script = run.definition.script
    code = None if inspect.ismethod(script) else getattr(inspect.unwrap(script), "__code__", None)
    frame: FrameType | None = sys._getframe(2)
    while code is not None and frame is not None:
        if frame.f_code.co_filename == code.co_filename:
            return f"{frame.f_code.co_filename}, line {frame.f_lineno}"
        frame = frame.f_back
    return place_of(run.definition)
