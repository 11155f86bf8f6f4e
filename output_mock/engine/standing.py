"""Where a run stands, in words for people: what it waits for, and for how long it has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from output_mock.durations import spoken
from output_mock.engine import history
from output_mock.engine.instance import DESTINATIONS, Activity, WorkflowTimer
from output_mock.engine.run import Arrival, Backoff

if TYPE_CHECKING:
    from output_mock.engine.run import Run


def standing(run: Run) -> str:
    """`waiting for signal 'approve' since 2h`, `failed: no credit`. Called with the world's lock held."""
    if not run.running:
        return _ended(run)
    if not run.catalog.worker:
        return "waiting for a worker: there is none for its catalog"
    waits = [*_work(run), *_children(run), *_messages(run)]
    if not waits:
        return "about to go on" if run.task_scheduled else "running"
    clock = run.world.clock
    since = spoken(clock.nanoseconds() - _last_task(run))
    virtual = "" if clock.mode == "real" else ", virtual"
    return f"waiting for {' and '.join(waits)} since {since}{virtual}{_limits(run)}"


def _ended(run: Run) -> str:
    if run.script_error is not None:
        return f"failed: {run.script_error.message}"
    if run.failure is not None and run.status in ("failed", "timed_out"):
        root = run.failure.root()
        return f"{run.status}: {root.message}" if root.message else run.status
    return run.status


def _last_task(run: Run) -> int:
    """When the script last ran."""
    for event in reversed(run.history.events):
        if event[0] == history.TASK_COMPLETED:
            time: int = event[1]
            return time
    return run.start_time


def _left(run: Run, due: int) -> str:
    return spoken(max(0, due - run.world.clock.nanoseconds()))


def _work(run: Run) -> list[str]:
    waits = []
    for thing in run.work:
        left = _left(run, thing.due)
        if isinstance(thing, Activity):
            name = "its traces' destinations" if thing.plan is DESTINATIONS else f"step {thing.plan.name!r}"
            attempt = f"attempt {thing.attempt}, " if thing.attempt > 1 else ""
            waits.append(f"{name} ({attempt}{left} to go)")
        elif isinstance(thing, WorkflowTimer) and not thing.guard:
            waits.append(f"a timer ({left} to go)")
        elif isinstance(thing, Backoff):
            waits.append(f"its first task after continuing as new ({left} to go)")
    return waits


def _children(run: Run) -> list[str]:
    return [
        f"child {child.workflow_type!r} ({child.workflow_id})" for child in run.children if not child.closed
    ]


def _messages(run: Run) -> list[str]:
    if run.instance is None:
        return []
    waits = [f"signal {name!r}" for name in run.instance.awaited_signals()]
    conditions = run.instance.open_conditions()
    if conditions:
        waits.append("a condition" if conditions == 1 else f"{conditions} conditions")
    return waits


def _limits(run: Run) -> str:
    """What will end the waiting."""
    limits = [
        f"signal {thing.name!r} comes in {_left(run, thing.due)}"
        for thing in run.work
        if isinstance(thing, Arrival)
    ]
    timeouts = [thing.due for thing in run.work if thing.guard]
    if timeouts:
        limits.append(f"it times out in {_left(run, min(timeouts))}")
    return f"; {', '.join(limits)}" if limits else ""
