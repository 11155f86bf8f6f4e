"""What is on its way to a run without being started by its script."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from output_mock.engine.clock import Timer
    from output_mock.scripts.definition import ScheduledSignal


class ContinueAsNewBackoff:
    """The pause before the first workflow task of a run that continues another one."""

    __slots__ = ("due", "is_timeout", "timer")

    def __init__(self, due: int) -> None:
        self.due: int = due
        self.is_timeout: bool = False
        self.timer: Timer | None = None


class IncomingSignal:
    """A signal that is on its way from outside, after some time."""

    __slots__ = ("due", "is_timeout", "name", "payload", "scheduled", "timer")

    def __init__(self, name: str, payload: Any, due: int, scheduled: ScheduledSignal | None) -> None:
        self.name: str = name
        self.payload: Any = payload
        self.due: int = due
        # Its entry in the workflow's definition; None for one that the test itself has sent.
        self.scheduled: ScheduledSignal | None = scheduled
        # For clients that wait for the run, it is something that will happen by itself.
        self.is_timeout: bool = False
        self.timer: Timer | None = None
