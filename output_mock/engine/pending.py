"""Pending work: what has to be done for which run.

The clock keeps it until its time has come, and a catalog while it has no worker. `machines.HOW` does each
kind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

# What can be pending for a run. The state file has these words.
Kind = Literal[
    "workflow task",
    "first task after a pause",
    "timer fires",
    "step ends",
    "request is sent",
    "request arrives",
    "request takes too long",
    "step takes too long",
    "step is tried again",
    "child starts",
    "child is asked to stop",
    "signal arrives",
    "run times out",
    "trace is complete",
]


class DoesWork(Protocol):
    """A world, which can do each kind of work."""

    @property
    def how(self) -> Mapping[Kind, Callable[[Any, Any], None]]: ...


class Worked(Protocol):
    """What pending work needs of a run."""

    run_id: str
    running: bool

    @property
    def world(self) -> DoesWork: ...


@dataclass(slots=True, eq=False)
class Work:
    """A piece of work for a run, and the step, timer, child, pause or signal that it is about, if any.

    Calling it does it.
    """

    run: Worked
    kind: Kind
    about: Any = None

    def __call__(self) -> None:
        self.run.world.how[self.kind](self.run, self.about)
