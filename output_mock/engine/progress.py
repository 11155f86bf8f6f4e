"""Where a run stands, in words: what it waits for, and since when."""

from __future__ import annotations

from typing import TYPE_CHECKING

from output_mock.contract.events import ActivityTaskScheduled, step_timeouts
from output_mock.durations import format_duration
from output_mock.engine.commands import DESTINATIONS, Activity, WorkflowTimer
from output_mock.engine.on_the_way import ContinueAsNewBackoff, IncomingSignal
from output_mock.sdk.http_requests import RequestPlan

if TYPE_CHECKING:
    from output_mock.contract.failures import Cause
    from output_mock.engine.run import Run


def progress(run: Run) -> str:
    """`waiting for signal 'approve' since 2h`, `failed: no credit`. Called with the world's lock held."""
    if not run.running:
        return _ended(run)
    if run.unplayable is not None:
        return f"waiting for its script: {run.unplayable.message}"
    if not run.catalog.worker:
        return "waiting for a worker: there is none for its catalog"
    waits = [*_work(run), *_children(run), *_messages(run)]
    if not waits:
        return "about to continue" if run.task_scheduled else "running"
    clock = run.world.clock
    since = format_duration(clock.nanoseconds() - min(begun for _, begun in waits))
    virtual = "" if clock.mode == "real" else ", virtual"
    return f"waiting for {' and '.join(what for what, _ in waits)} since {since}{virtual}{_more(run)}"


def _ended(run: Run) -> str:
    if run.script_error is not None:
        return f"failed: {run.script_error.message}"
    late = ""
    if run.status == "timed_out":
        late = "".join(
            f"; signal {signal.name!r} was due "
            + (f"{format_duration(left)} later" if left else "at the same moment")
            for signal, left in run.unsent
        )
    if run.failure is not None and run.status in ("failed", "timed_out"):
        late = _too_long(run, run.failure) + late
        root = run.failure.root()
        return f"{run.status}: {root.message}{late}" if root.message else f"{run.status}{late}"
    return run.status


def _too_long(run: Run, failure: Cause) -> str:
    """The step that took too long, and its limit, if this is why the run failed."""
    for link in failure.chain():
        info = link.info.get("activityFailureInfo")
        if info is not None and link.cause is not None:
            kind = link.cause.info.get("timeoutFailureInfo", {}).get("timeoutType")
            event = run.history.events[int(info["scheduledEventId"]) - 1]
            if kind == "TIMEOUT_TYPE_START_TO_CLOSE" and isinstance(event, ActivityTaskScheduled):
                name = event.activity_type.rpartition("#")[2]
                limit = format_duration(step_timeouts(run.info, event.options)[1])
                return f"; step {name!r} took longer than its startToCloseTimeout, {limit}"
        if link.kind != "ActivityFailure":
            break  # The inner failures happened in a child, and their event is in the child's history.
    return ""


def _left(run: Run, due: int) -> str:
    return format_duration(max(0, due - run.world.clock.nanoseconds()))


# What it waits for, and since when.
Wait = tuple[str, int]


def _work(run: Run) -> list[Wait]:
    waits = []
    for thing in run.work:
        left = _left(run, thing.due)
        if isinstance(thing, Activity):
            name = _step(thing)
            attempt = f"attempt {thing.attempt}, " if thing.attempt > 1 else ""
            waits.append((f"{name} ({attempt}{left} to go)", thing.scheduled_at))
        elif isinstance(thing, WorkflowTimer) and not thing.is_timeout:
            waits.append((f"a timer ({left} to go)", thing.due - thing.length))
        elif isinstance(thing, ContinueAsNewBackoff):
            waits.append((f"its first task after continuing as new ({left} to go)", run.start_time))
    return waits


def _step(step: Activity) -> str:
    if step.plan is DESTINATIONS:
        return "its traces' destinations"
    if isinstance(step.plan, RequestPlan):
        return f"the answer to {step.input['method']} {step.input['url']}"
    return f"step {step.plan.name!r}"


def _children(run: Run) -> list[Wait]:
    return [
        (
            f"child {child.workflow_type!r} ({child.workflow_id})",
            run.world.clock.nanoseconds() if child.run is None else child.run.start_time,
        )
        for child in run.children
        if not child.closed
    ]


def _messages(run: Run) -> list[Wait]:
    if run.instance is None:
        return []
    waits = [(f"signal {name!r}", begun) for name, begun in run.instance.awaited_signals()]
    conditions = run.instance.open_conditions()
    if conditions:
        waits.append(
            ("a condition" if len(conditions) == 1 else f"{len(conditions)} conditions", min(conditions))
        )
    return waits


def _more(run: Run) -> str:
    """What will end the wait, and unread signals."""
    more = [
        f"signal {thing.name!r} comes in {_left(run, thing.due)}"
        for thing in run.work
        if isinstance(thing, IncomingSignal)
    ]
    timeouts = [thing.due for thing in run.work if thing.is_timeout]
    if timeouts:
        ahead, deadline = min(timeouts), run.ends_by()
        if deadline and deadline <= ahead:
            more.append(
                f"the run reaches its execution timeout in {_left(run, deadline)}, before the wait times out"
            )
        else:
            more.append(f"it times out in {_left(run, ahead)}")
    if run.instance is not None:
        more += [f"its signal {name!r} has not been read" for name in run.instance.unread_signals()]
    return f"; {', '.join(more)}" if more else ""
