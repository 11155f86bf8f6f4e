"""The event that each command of a workflow task leaves in the history."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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


class Written:
    """Where a workflow task writes its commands: when, after which event, and what its run knows by then."""

    __slots__ = ("completed", "details", "memo", "now")

    def __init__(self, now: int, completed: int, memo: Memo | None, details: WorkflowDetails | None) -> None:
        self.now: int = now
        # The number of the event that the task has completed with.
        self.completed: int = completed
        self.memo: Memo | None = memo
        self.details: WorkflowDetails | None = details


# Each takes what the command is about, the number of its event, which that is told, and where it is written.


def _memo(subject: Any, event_id: int, at: Written) -> events.Event:
    at.memo, names = subject
    return events.WorkflowPropertiesModified(at.now, at.completed, at.memo, names)


def _step(step: Activity, event_id: int, at: Written) -> events.Event:
    step.scheduled = event_id
    assert at.memo is not None
    assert at.details is not None
    return events.ActivityTaskScheduled(
        at.now,
        step.activity_id,
        step.activity_type,
        at.memo,
        at.details,
        step.input,
        at.completed,
        step.options,
    )


def _cancel_step(step: Activity, event_id: int, at: Written) -> events.Event:
    step.cancel_requested = event_id
    return events.ActivityTaskCancelRequested(at.now, step.scheduled, at.completed)


def _timer(timer: WorkflowTimer, event_id: int, at: Written) -> events.Event:
    timer.started = event_id
    return events.TimerStarted(at.now, timer.timer_id, timer.length, at.completed)


def _cancel_timer(timer: WorkflowTimer, event_id: int, at: Written) -> events.Event:
    return events.TimerCanceled(at.now, timer.timer_id, timer.started, at.completed)


def _child(child: Child[Any], event_id: int, at: Written) -> events.Event:
    child.initiated = event_id
    return events.StartChildWorkflowExecutionInitiated(
        at.now,
        workflow_id=child.workflow_id,
        workflow_type=child.workflow_type,
        given=child.input,
        invocation=child.invocation,
        close_policy=_ABANDON if child.detached else _TERMINATE,
        task_completed=at.completed,
        memo=child.memo,
    )


def _cancel_child(child: Child[Any], event_id: int, at: Written) -> events.Event:
    child.cancel_requested = event_id
    run_id = "" if child.run is None else child.run.run_id
    return events.RequestCancelExternalWorkflowExecutionInitiated(
        at.now, at.completed, child.workflow_id, run_id
    )


def _accept(update: Update, event_id: int, at: Written) -> events.Event:
    update.accepted = event_id
    return events.WorkflowExecutionUpdateAccepted(
        at.now,
        update.update_id,
        sequencing=update.admitted or at.completed - 2,
        update_name=update.name,
        given=update.payload,
        admitted=update.admitted,
    )


def _finish(update: Update, event_id: int, at: Written) -> events.Event:
    update.done = True
    return events.WorkflowExecutionUpdateCompleted(
        at.now,
        update.update_id,
        result=update.result,
        failure=update.failure,
        accepted=update.accepted,
    )


EVENT_OF: dict[int, Callable[[Any, int, Written], events.Event]] = {
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
