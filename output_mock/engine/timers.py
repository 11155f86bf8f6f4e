"""The states of a timer: it runs, and it fires."""

from __future__ import annotations

from output_mock.contract import events
from output_mock.engine.commands import TIMER_FIRED, WorkflowTimer
from output_mock.engine.pending import Work
from output_mock.engine.run import Run


def start(run: Run, timer: WorkflowTimer, due: int) -> None:
    timer.due = due
    run.work[timer] = None
    timer.timer = run.world.clock.call_at(due, Work(run, "timer fires", timer), is_timeout=timer.is_timeout)


def fire(run: Run, timer: WorkflowTimer) -> None:
    run.work.pop(timer, None)
    if not run.running or timer.closed:
        return
    timer.closed = True
    run.jobs.append((TIMER_FIRED, timer, None))
    now = run.world.clock.nanoseconds()
    run.write(now, events.TimerFired(now, timer.timer_id, timer.started))
