"""The states of a step that sends a request: in progress, answered, or timed out.

Hold the world's lock for all of this. Only the request itself runs without it (`outgoing`).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from output_mock.callbacks.sending import TIMEOUT, TIMEOUT_WORDS
from output_mock.durations import SECOND
from output_mock.engine import steps
from output_mock.engine.pending import Work
from output_mock.sdk.failures import Failure

if TYPE_CHECKING:
    from output_mock.callbacks.sending import Sent
    from output_mock.engine.commands import Activity, Travelling
    from output_mock.engine.run import Run


def send(run: Run, activity: Activity) -> None:
    """Queue the request of an attempt, to be sent once the lock is free."""
    run.work.pop(activity, None)
    if not run.running or activity.closed:
        return
    if not run.catalog.worker:
        run.catalog.when_worker_returns(Work(run, "request is sent", activity))
        return
    run.changed()
    activity.sent, activity.is_timeout = None, False
    request = activity.request = run.world.outgoing.made(run, activity)
    late = request.delivery.late
    if not late:
        _arrives(run, activity, request, TIMEOUT * SECOND)
    elif late < TIMEOUT * SECOND:
        steps.after(run, late, activity, Work(run, "request arrives", activity))
    else:
        steps.after(run, TIMEOUT * SECOND, activity, Work(run, "request takes too long", activity))
        clock = run.world.clock
        clock.call_at(clock.last(clock.nanoseconds() + late), partial(run.world.outgoing.ask, request))


def arrive(run: Run, activity: Activity) -> None:
    """A delayed request has arrived."""
    request = activity.request
    if request is None:
        # The world was restored after the request was sent.
        send(run, activity)
        return
    run.work.pop(activity, None)
    if run.running and not activity.closed:
        _arrives(run, activity, request, TIMEOUT * SECOND - request.delivery.late)


def _arrives(run: Run, activity: Activity, request: Travelling, left: int) -> None:
    # A reader of the run must not wait for the end of the request.
    activity.is_timeout = not request.delivery.is_overtaken
    steps.after(run, left, activity, Work(run, "request takes too long", activity))
    run.world.outgoing.ask(request)


def answered(run: Run, activity: Activity, request: object, sent: Sent) -> None:
    """A request has ended. Ignore it if it timed out, or if its run has ended."""
    if activity.request is not request or not run.running or activity.closed:
        return
    run.changed()
    run.forget(activity)
    _over(activity)
    activity.sent = sent
    if sent.takes:
        steps.after(run, sent.takes, activity, Work(run, "step ends", activity))
    else:
        steps.end(run, activity)


def take_too_long(run: Run, activity: Activity) -> None:
    """The request has timed out (call_takes_too_long)."""
    run.work.pop(activity, None)
    if not run.running or activity.closed:
        return
    _over(activity)
    given = activity.input
    steps.fail_attempt(
        run, activity, Failure(f"{given['method']} {given['url']} {TIMEOUT_WORDS}", name="FatalError")
    )


def _over(activity: Activity) -> None:
    activity.request, activity.is_timeout = None, False
