"""The states of a step: an attempt is in progress, waits for a retry, or has ended.

Hold the world's lock for all of this.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from output_mock.contract import events, failures
from output_mock.contract.failures import Cause
from output_mock.engine.commands import DESTINATIONS, STEP_CLOSED, Activity
from output_mock.engine.payload_limits import cannot_be_sent, refused_failure, refused_result
from output_mock.engine.pending import Work
from output_mock.engine.run import Run
from output_mock.engine.watchdog import is_for_the_process
from output_mock.javascript_json import UNDEFINED
from output_mock.sdk.failures import Application, Failure, StepFailure
from output_mock.sdk.http_requests import RequestPlan
from output_mock.sdk.values import copy_for_script


def retry(run: Run, activity: Activity) -> None:
    start(run, activity, run.world.clock.nanoseconds())


def start(run: Run, activity: Activity, now: int) -> None:
    """Begin an attempt."""
    if not run.running or activity.closed:
        return
    run.changed()
    if not run.catalog.worker:
        # From here on the step does nothing by itself, so nothing may wait for it.
        run.work.pop(activity, None)
        activity.due = 0
        run.catalog.when_worker_returns(Work(run, "step is tried again", activity))
        return
    activity.started_at = now
    length = activity.plan.takes + run.world.latency.step
    limit = _limit(run, activity)
    if length:
        run.note_if_outlasting(f"step {activity.plan.name!r}", min(length, limit), is_timeout=False)
    if length > limit:
        after(run, limit, activity, Work(run, "step takes too long", activity))
        return
    work = Work(run, "request is sent" if _sends(activity) else "step ends", activity)
    if length:
        after(run, length, activity, work)
    else:
        run.world.clock.call_soon(work)


def _sends(activity: Activity) -> bool:
    return isinstance(activity.plan, RequestPlan)


def _limit(run: Run, activity: Activity) -> int:
    """How long an attempt may take."""
    options = activity.options
    whole = options.schedule_to_close or run.info.timeout
    return min(options.start_to_close, whole or options.start_to_close)


def after(run: Run, length: int, activity: Activity, work: Work) -> None:
    """Schedule this work for a step after a number of nanoseconds."""
    try:
        due = run.world.clock.due_in(length, f"the end of step {activity.plan.name!r}, or its next attempt,")
    except ValueError as error:
        run.fail_as_mistaken(error)
        return
    activity.due = due
    run.work[activity] = None
    activity.timer = run.world.clock.call_at(due, work, is_timeout=activity.is_timeout)


def end(run: Run, activity: Activity) -> None:
    """End an attempt: find out whether it succeeded."""
    if run.work:
        run.work.pop(activity, None)
    if not run.running or activity.closed:
        return
    run.changed()
    if not run.catalog.worker:
        run.catalog.when_worker_returns(Work(run, "step ends", activity))
        return
    if _sends(activity) and activity.sent is None:
        # The world was restored after the answer.
        run.world.clock.call_soon(Work(run, "request is sent", activity))
        return
    if activity.plan is DESTINATIONS:
        info = run.info
        result: Any = run.world.traces.destinations(info.workflow_type, info.workflow_id, info.trace_start)
    else:
        plan = activity.plan
        try:
            result = run.world.watchdog.run(
                partial(_perform, run), activity, strict=False, run=run, step=plan.name
            )
        except Failure as failure:
            fail_attempt(run, activity, failure)
            return
        except BaseException as error:
            if is_for_the_process(error):
                raise
            run.script_is_wrong(error)
            return
    if cannot_be_sent(result):
        _never_end(run, activity)
        return
    _complete(run, activity, result)


def fail_attempt(run: Run, activity: Activity, failure: Failure) -> None:
    """An attempt has failed."""
    cause = activity.plan.cause(
        failure,
        run.definition.path,
        activity.options.non_retryable,
        by_name=run.world.deployment.fatal_by_name,
    )
    if cannot_be_sent(cause):
        _never_end(run, activity)
        return
    refused = refused_failure(cause)
    if refused is not None:
        _refuse(run, activity, refused, answered=True)
        return
    _fail(run, activity, failure, cause)


def _never_end(run: Run, activity: Activity) -> None:
    """The worker cannot report the end of an attempt, so the server believes that it still runs."""
    limit = _limit(run, activity)
    run.note_if_outlasting(f"step {activity.plan.name!r}", limit, is_timeout=False)
    left = max(0, activity.started_at + limit - run.world.clock.nanoseconds())
    after(run, left, activity, Work(run, "step takes too long", activity))


def _refuse(run: Run, activity: Activity, cause: Cause, *, answered: bool) -> None:
    """The server rejects the worker's report on an attempt, so the step fails."""
    failure = Failure(cause.message, name=cause.kind)
    _end_failed(run, activity, failure, cause, failures.NON_RETRYABLE, answered=answered)


def _perform(run: Run, activity: Activity) -> Any:
    """Run an attempt and return its result. Raises the failure if it fails."""
    if activity.sent is not None:
        return activity.sent.result()
    _look_inside(run, activity)
    return activity.plan.perform(
        run.definition.step_schema,
        activity.input,
        activity.attempt,
        only_checked=run.world.deployment.schemas_only_check,
    )


def _complete(run: Run, activity: Activity, result: Any) -> None:
    now = run.world.clock.nanoseconds()
    if not activity.started_at:
        activity.started_at = now
    refused = refused_result(result)
    if refused is not None:
        run.note_attempt(activity, now, None, result)
        _refuse(run, activity, refused, answered=False)
        return
    started = len(run.history.events) + 1
    activity.closed = True
    activity.result = result
    if activity.inside:
        run.note_attempt(activity, now, None, result)
    run.jobs.append((STEP_CLOSED, activity, result))
    run.write(
        now,
        _began(activity, answered=True),
        events.ActivityTaskCompleted(now, result, activity.scheduled, started),
    )


def _look_inside(run: Run, activity: Activity) -> None:
    """Record what an attempt does inside."""
    trace = activity.plan.trace
    if trace:
        activity.inside = trace(copy_for_script(activity.input)) if callable(trace) else trace


def take_too_long(run: Run, activity: Activity) -> None:
    run.work.pop(activity, None)
    if not run.running or activity.closed:
        return
    try:
        run.world.watchdog.run(
            partial(_look_inside, run), activity, strict=False, run=run, step=activity.plan.name
        )
    except BaseException as error:
        if is_for_the_process(error):
            raise
        run.script_is_wrong(error)
        return
    cause = failures.step_timeout("START_TO_CLOSE", "activity StartToClose timeout", activity.last_failure)
    _fail(run, activity, Failure(cause.message, name="TimeoutFailure"), cause)


def _fail(run: Run, activity: Activity, failure: Failure, cause: Cause) -> None:
    """An attempt failed: try again later, or give up."""
    run.changed()
    now = run.world.clock.nanoseconds()
    options = activity.options
    run.note_attempt(activity, now, cause, UNDEFINED)
    again = now + options.interval(activity.attempt)
    limit = options.schedule_to_close or run.info.timeout
    if isinstance(cause, Application) and cause.non_retryable:
        state = failures.NON_RETRYABLE
    elif activity.cancel_requested:
        state = failures.CANCEL_REQUESTED
    elif activity.attempt >= options.maximum_attempts:
        state = failures.MAXIMUM_ATTEMPTS
    elif limit and again > activity.scheduled_at + limit:
        state = failures.TIMEOUT
        # A failed attempt keeps its error (no_time_left_fails, no_time_left_times_out).
        if not isinstance(cause, Application):
            words = (
                "Not enough time to schedule next retry before activity ScheduleToClose timeout, "
                "giving up retrying"
            )
            cause = failures.step_timeout("SCHEDULE_TO_CLOSE", words, activity.last_failure)
    else:
        activity.attempt += 1
        activity.last_failure = cause
        # The next attempt has not begun yet.
        activity.started_at, activity.inside = 0, ()
        activity.sent = None
        after(run, again - now, activity, Work(run, "step is tried again", activity))
        run.wake()
        return
    answered = isinstance(cause, Application)
    _end_failed(run, activity, failure, cause, state, answered=answered)


def _end_failed(
    run: Run, activity: Activity, failure: Failure, cause: Cause, state: int, *, answered: bool
) -> None:
    """A step has failed for good. `answered`: whether the server accepted the worker's report."""
    now = run.world.clock.nanoseconds()
    activity.closed = True
    started = len(run.history) + 1
    chain = failures.activity_failure(
        activity.activity_type, activity.activity_id, activity.scheduled, started, state, cause
    )
    outcome = StepFailure(failure, chain)
    run.jobs.append((STEP_CLOSED, activity, outcome))
    closed: events.Event
    if cause.kind != "TimeoutFailure":
        closed = events.ActivityTaskFailed(now, cause, activity.scheduled, started, state, outcome)
    else:
        closed = events.ActivityTaskTimedOut(now, cause, activity.scheduled, started, state, outcome)
    run.write(now, _began(activity, answered=answered), closed)


def stop_waiting(run: Run, activity: Activity, now: int) -> None:
    """Cancel a step. If it waits for its next attempt, it ends at once (backoff_cancelled)."""
    if activity.closed or activity.started_at or activity not in run.work:
        return
    run.forget(activity)
    activity.closed = True
    run.jobs.append((STEP_CLOSED, activity, None))
    run.write(now, events.ActivityTaskCanceled(now, activity.cancel_requested, activity.scheduled))


def complete(run: Run, step: Activity, result: Any) -> None:
    """End a step with this result, and ignore its script."""
    run.forget(step)
    _complete(run, step, result)


def fail(run: Run, step: Activity, failure: Failure) -> None:
    """End a step with this failure, without a retry."""
    run.forget(step)
    if not step.started_at:
        step.started_at = run.world.clock.nanoseconds()
    where = step.plan.where(run.definition.path)
    _fail(run, step, failure, Application(failure, where=where, non_retryable=True))


def _began(activity: Activity, *, answered: bool) -> events.Event:
    """Record, after its end, that the last attempt began. `answered`: by its worker."""
    return events.ActivityTaskStarted(
        activity.started_at, activity.scheduled, activity.attempt, activity.last_failure, answered
    )
