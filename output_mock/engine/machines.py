"""Executes the commands of a workflow task, and each kind of pending work.

A command of a script starts a state machine: `steps`, `timers`, `children`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from output_mock.engine import children, requests, steps, timers
from output_mock.engine.commands import (
    CANCEL_CHILD,
    CANCEL_STEP,
    CANCEL_TIMER,
    CHILD,
    STEP,
    TIMER,
    Activity,
    WorkflowTimer,
)
from output_mock.engine.pending import Kind, Work
from output_mock.engine.run import Run

# How to do each kind of pending work for a run.
HOW: dict[Kind, Callable[[Any, Any], None]] = {
    "workflow task": Run.run_task,
    "first task after a pause": Run.end_pause,
    "timer fires": timers.fire,
    "step ends": steps.end,
    "step takes too long": steps.take_too_long,
    "request is sent": requests.send,
    "request arrives": requests.arrive,
    "request takes too long": requests.take_too_long,
    "step is tried again": steps.retry,
    "child starts": children.start,
    "child is asked to stop": children.cancel,
    "signal arrives": Run.take_signal,
    "run times out": lambda run, _: run.time_out(),
    "trace is complete": lambda run, _: run.trace_settled(),
}


def begin(run: Run, kind: int, subject: Any, now: int) -> None:
    """Start what a command asks for, after its event was written."""
    if kind == STEP:
        subject.scheduled_at = now
        steps.start(run, subject, now)
    elif kind == CANCEL_STEP:
        steps.stop_waiting(run, subject, now)
    elif kind == TIMER:
        timers.start(run, subject, now + subject.length)
    elif kind == CANCEL_TIMER:
        run.forget(subject)
    elif kind == CHILD:
        run.children = (*run.children, subject)
        run.world.after(0, Work(run, "child starts", subject))
    elif kind == CANCEL_CHILD:
        run.world.after(0, Work(run, "child is asked to stop", subject))


def resume(run: Run, under_way: Iterable[Activity | WorkflowTimer]) -> None:
    """Continue where another run's history ends, for a run that was reset (`replay.reset_run`). What was
    under way at that point is started again.
    """
    run.changed()
    now = run.start_time
    if run.info.timeout:
        run.deadline = run.world.clock.last(now + run.info.timeout)
        run.world.deadlines.add(run)
    run.task_scheduled = len(run.history)
    run.enqueue_task()
    for thing in under_way:
        if isinstance(thing, WorkflowTimer):
            timers.start(run, thing, max(now, thing.due))
        else:
            steps.start(run, thing, now)
    for child in run.children:
        if child.run is not None and not child.closed:
            children.adopt(run, child, child.run.latest())
