"""Warns about waits and pauses that are longer than what is left of their run, so that the execution timeout
comes first.
"""

from __future__ import annotations

import inspect
import sys
from types import FrameType

from output_mock.durations import format_duration
from output_mock.scripts.definition import WorkflowDefinition
from output_mock.scripts.parts import place_of

# By place and kind: the warning, and whether it is about the timeout of a wait.
Noted = dict[tuple[str, str], tuple[str, bool]]

# The largest number of warnings of a world, as steps may take a different time in every run.
_MOST = 1_000


def note_wait(
    noted: Noted, definition: WorkflowDefinition, what: str, length: int, left: int, *, is_timeout: bool
) -> None:
    """Warn the author of the script that something takes longer than what is left, in nanoseconds.

    `is_timeout` says that it is the timeout of a wait, which can then never pass.
    """
    place = _place(definition)
    ending = "never passes" if is_timeout else "never ends"
    text = (
        f"workflow {definition.name!r}: {what} of {format_duration(length)} {ending}, as the run "
        f"reaches its execution timeout in {format_duration(max(0, left))}; make it shorter, or set a "
        f"longer execution_timeout ({place})"
    )
    _note(noted, (place, what), (text, is_timeout))


def note_signal(
    noted: Noted,
    definition: WorkflowDefinition,
    name: str,
    after: int,
    left: int,
    *,
    timeout: int,
    place: str | None,
) -> None:
    """Note that a signal is due `after` so many nanoseconds, when its run has reached its `timeout`.

    `place` is where the signal is scripted; None for one that comes from elsewhere.
    """
    place = place or place_of(definition)
    enough = format_duration(2 * (timeout - left + after))
    text = (
        f"workflow {definition.name!r}: signal {name!r} is due after {format_duration(after)}, but the run "
        f"may only take {format_duration(max(0, left))}: set execution_timeout={enough!r} ({place})"
    )
    _note(noted, (place, f"signal {name!r}"), (text, False))


def _note(noted: Noted, key: tuple[str, str], said: tuple[str, bool]) -> None:
    if len(noted) < _MOST:
        noted.setdefault(key, said)


def _place(definition: WorkflowDefinition) -> str:
    """The line of the script that is running; where the script is written, when no line of it is."""
    script = definition.script
    code = None if inspect.ismethod(script) else getattr(inspect.unwrap(script), "__code__", None)
    frame: FrameType | None = sys._getframe(2)
    while code is not None and frame is not None:
        if frame.f_code.co_filename == code.co_filename:
            return f"{frame.f_code.co_filename}, line {frame.f_lineno}"
        frame = frame.f_back
    return place_of(definition)
