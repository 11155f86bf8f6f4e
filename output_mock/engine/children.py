"""The states of a child, as its parent sees them: it has started, was asked to stop, or has ended."""

from __future__ import annotations

from collections.abc import Callable

from output_mock.contract import events, failures
from output_mock.contract.run_start import ParentInfo
from output_mock.engine.commands import CHILD_CLOSED, CHILD_STARTED, Child
from output_mock.engine.run import Run
from output_mock.sdk.errors import ScriptError
from output_mock.sdk.failures import ChildFailure

_CHILD_CLOSED: dict[str, Callable[..., events.Event]] = {
    "cancelled": events.ChildWorkflowExecutionCanceled,
    "timed_out": events.ChildWorkflowExecutionTimedOut,
}


def start(parent: Run, child: Child[Run]) -> None:
    """Start the run of a child."""
    if not parent.running or child.closed:
        return
    root = parent.info.parent
    about = ParentInfo(
        parent.workflow_id,
        parent.run_id,
        child.initiated,
        root.root_workflow_id if root is not None else parent.workflow_id,
        root.root_run_id if root is not None else parent.run_id,
    )
    try:
        run = parent.world.start_child(parent, child, about)
    except ScriptError as error:
        parent.end_endless(error)
        return
    child.run = run
    run.parent, run.child = parent, child
    now = parent.world.clock.nanoseconds()
    child.started = len(parent.history) + 1
    parent.jobs.append((CHILD_STARTED, child, None))
    parent.write(
        now,
        events.ChildWorkflowExecutionStarted(
            now, child.workflow_id, run.run_id, child.workflow_type, child.initiated, None
        ),
    )


def cancel(parent: Run, child: Child[Run]) -> None:
    """Ask a child to stop."""
    run = child.run
    if not parent.running or child.closed or run is None:
        return
    now = parent.world.clock.nanoseconds()
    initiated = int(child.cancel_requested)
    parent.write(
        now,
        events.ExternalWorkflowExecutionCancelRequested(now, initiated, child.workflow_id, run.run_id),
    )
    run.request_cancel(events.Requester(parent.workflow_id, parent.run_id, initiated))


def close(parent: Run, child: Child[Run], run: Run) -> None:
    """Note that a child has ended. `run` is its run, or the last one of its chain."""
    if not parent.running or child.closed:
        return
    child.closed = True
    now = parent.world.clock.nanoseconds()
    about = (child.workflow_id, run.run_id, child.workflow_type, child.initiated, child.started)
    if run.status == "completed":
        parent.jobs.append((CHILD_CLOSED, child, run.result))
        parent.write(now, events.ChildWorkflowExecutionCompleted(now, *about, run.result))
        return
    cause = failures.as_seen_by_parent(run.status, run.failure or failures.cancelled())
    chain = failures.child_failure(
        run.status,
        parent.info.namespace,
        child.workflow_id,
        run.run_id,
        child.workflow_type,
        child.initiated,
        child.started,
        cause,
    )
    outcome = ChildFailure(run.status, chain)
    parent.jobs.append((CHILD_CLOSED, child, outcome))
    closed: events.Event
    if run.status == "failed":
        closed = events.ChildWorkflowExecutionFailed(now, *about, outcome, cause)
    else:
        kind = _CHILD_CLOSED.get(run.status, events.ChildWorkflowExecutionTerminated)
        closed = kind(now, *about, outcome)
    parent.write(now, closed)


def adopt(parent: Run, child: Child[Run], run: Run) -> None:
    """Become the parent of a child of the original run, for a run that is a reset."""
    run.changed()
    if run.running:
        run.parent, run.child = parent, child
    else:
        parent.world.stay_with(parent, run)
        close(parent, child, run)
