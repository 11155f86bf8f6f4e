"""The event that each command of a workflow task leaves in the history."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from output_mock.contract import events
from output_mock.contract.run_start import Memo, WorkflowDetails
from output_mock.engine.commands import (
    ACCEPT,
    CANCEL_CHILD,
    CANCEL_STEP,
    CANCEL_TIMER,
    CHILD,
    FINISH,
    MEMO,
    STEP,
    TIMER,
    Activity,
    Child,
    Update,
    WorkflowTimer,
)

# What becomes of a child when its parent ends.
_TERMINATE, _ABANDON = 1, 2


class Writes(Protocol):
    """The run that writes, and what it knows at that time."""

    memo: Memo | None
    details: WorkflowDetails | None


# Each takes what the command is about, which is told the number of its event, that number, the time, the
# number of the event that the task has completed with, and the run.


def _memo(subject: Any, event_id: int, now: int, completed: int, run: Writes) -> events.Event:
    memo, names = subject
    run.memo = memo
    return events.WorkflowPropertiesModified(now, completed, memo, names)


def _step(step: Activity, event_id: int, now: int, completed: int, run: Writes) -> events.Event:
    step.scheduled = event_id
    assert run.memo is not None
    assert run.details is not None
    return events.ActivityTaskScheduled(
        now,
        step.activity_id,
        step.activity_type,
        run.memo,
        run.details,
        step.input,
        completed,
        step.options,
    )


def _cancel_step(step: Activity, event_id: int, now: int, completed: int, run: Writes) -> events.Event:
    step.cancel_requested = event_id
    return events.ActivityTaskCancelRequested(now, step.scheduled, completed)


def _timer(timer: WorkflowTimer, event_id: int, now: int, completed: int, run: Writes) -> events.Event:
    timer.started = event_id
    return events.TimerStarted(now, timer.timer_id, timer.length, completed)


def _cancel_timer(timer: WorkflowTimer, event_id: int, now: int, completed: int, run: Writes) -> events.Event:
    return events.TimerCanceled(now, timer.timer_id, timer.started, completed)


def _child(child: Child[Any], event_id: int, now: int, completed: int, run: Writes) -> events.Event:
    child.initiated = event_id
    return events.StartChildWorkflowExecutionInitiated(
        now,
        workflow_id=child.workflow_id,
        workflow_type=child.workflow_type,
        given=child.input,
        invocation=child.invocation,
        close_policy=_ABANDON if child.detached else _TERMINATE,
        task_completed=completed,
        memo=child.memo,
    )


def _cancel_child(child: Child[Any], event_id: int, now: int, completed: int, run: Writes) -> events.Event:
    child.cancel_requested = event_id
    run_id = "" if child.run is None else child.run.run_id
    return events.RequestCancelExternalWorkflowExecutionInitiated(now, completed, child.workflow_id, run_id)


def _accept(update: Update, event_id: int, now: int, completed: int, run: Writes) -> events.Event:
    update.accepted = event_id
    return events.WorkflowExecutionUpdateAccepted(
        now,
        update.update_id,
        sequencing=update.admitted or completed - 2,
        update_name=update.name,
        given=update.payload,
        admitted=update.admitted,
    )


def _finish(update: Update, event_id: int, now: int, completed: int, run: Writes) -> events.Event:
    update.done = True
    return events.WorkflowExecutionUpdateCompleted(
        now,
        update.update_id,
        result=update.result,
        failure=update.failure,
        accepted=update.accepted,
    )


EVENT_OF: dict[int, Callable[[Any, int, int, int, Writes], events.Event]] = {
    MEMO: _memo,
    STEP: _step,
    CANCEL_STEP: _cancel_step,
    TIMER: _timer,
    CANCEL_TIMER: _cancel_timer,
    CHILD: _child,
    CANCEL_CHILD: _cancel_child,
    ACCEPT: _accept,
    FINISH: _finish,
}
