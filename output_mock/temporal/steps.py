"""Steps as activities: what the workflow works out, and the activity that does it.

What a step returns may be a function of the script, which closes over what only this run knows. So the
workflow works out beforehand what each attempt will do, the same every time the run is played, and the
activity does just that. The plan stays out of the history, which is as the real SDK's workers write it: an
activity in the same process finds it there, and one on another machine asks the run for it with a query.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from google.protobuf.json_format import ParseDict
from temporalio import activity
from temporalio.api.failure.v1 import Failure as Proto
from temporalio.client import Client, WorkflowQueryFailedError
from temporalio.common import RawValue
from temporalio.service import RPCError, RPCStatusCode

from output_mock.callbacks.sending import Sender
from output_mock.contract.run_start import SEND_HTTP_REQUEST, TRACE_DESTINATIONS
from output_mock.durations import MILLISECOND, SECOND
from output_mock.javascript_json import UNDEFINED
from output_mock.real_time import time_ns
from output_mock.sdk.failures import Failure
from output_mock.sdk.http_requests import REQUEST_OPTIONS, RequestPlan
from output_mock.temporal.failures import Sent, saying
from output_mock.temporal.step_outcomes import StepOutcomes

if TYPE_CHECKING:
    from output_mock.temporal.served_catalog import ServedCatalog

# The query that tells what a step does, and the local activity that counts whose turn it is.
STEP_QUERY = "__output_mock_step"
TAKE_TURN = "__internal#takeTurn"
# How often a step says that it is alive; how long its run may think about what it does.
_BEAT = 30.0
_ASK_TIMEOUT = timedelta(seconds=10)
_ASK_AGAIN = 0.5


class StepActivities:
    """Does the steps of every workflow of an offer."""

    def __init__(self, offer: ServedCatalog, client: Client) -> None:
        self._offer = offer
        self._client = client

    @activity.defn(dynamic=True)
    async def perform(self, args: Sequence[RawValue]) -> Any:
        """One attempt of a step, or one of the worker's own activities."""
        info = activity.info()
        if info.activity_type == TRACE_DESTINATIONS:
            about = activity.payload_converter().from_payload(args[0].payload)
            start = about["startTime"] * MILLISECOND
            return self._offer.traces.destinations(about["workflowType"], about["workflowId"], start)
        if info.activity_type == SEND_HTTP_REQUEST:
            return await self._send(info, activity.payload_converter().from_payload(args[0].payload))
        if info.activity_type == TAKE_TURN:
            return self._offer.next_scripted_answer(
                activity.payload_converter().from_payload(args[0].payload)
            )
        began = time.monotonic()
        step = self._offer.steps.get((info.workflow_run_id or "", info.activity_id))
        if step is None:
            step = await self._ask(info)
        try:
            await _pass(step.takes / SECOND - (time.monotonic() - began), info.heartbeat_timeout)
        except asyncio.CancelledError:
            if activity.is_worker_shutdown():
                # Another worker tries again, as after any other failure.
                raise Sent.of(saying("the worker has stopped")) from None
            raise
        outcome = step.of(info.attempt)
        if "fails" in outcome:
            raise Sent(ParseDict(outcome["fails"], Proto()))
        return outcome.get("returns", UNDEFINED)

    async def _send(self, info: activity.Info, given: dict[str, Any]) -> Any:
        """One attempt of a request to the application."""
        sender = Sender(info.workflow_id or "", info.workflow_run_id or "", info.attempt, time_ns())
        delivery = self._offer.callbacks.delivery(given["url"])
        await asyncio.sleep(delivery.late / SECOND)
        send = partial(self._offer.callbacks.send, sender, given, delivery=delivery)
        sent = await asyncio.to_thread(send)
        await asyncio.sleep(sent.takes / SECOND)
        try:
            return sent.result()
        except Failure as failure:
            cause = RequestPlan().cause(failure, "", REQUEST_OPTIONS.non_retryable)
            raise Sent.of(cause) from None

    async def _ask(self, info: activity.Info) -> StepOutcomes:
        """What the step does, from the run, which another worker may hold."""
        run = self._client.get_workflow_handle(info.workflow_id or "", run_id=info.workflow_run_id)
        limit = time.monotonic() + (info.start_to_close_timeout or _ASK_TIMEOUT).total_seconds()
        while True:
            try:
                return StepOutcomes(*await run.query(STEP_QUERY, info.activity_id, rpc_timeout=_ASK_TIMEOUT))
            except (RPCError, WorkflowQueryFailedError) as error:
                gone = isinstance(error, RPCError) and error.status == RPCStatusCode.NOT_FOUND
                if gone or time.monotonic() > limit:
                    problem = f"the run does not tell what its step {info.activity_type} does: {error}"
                    raise Sent.of(saying(problem)) from None
            # Its worker may be busy or just gone; another one takes the run over.
            activity.heartbeat()
            await asyncio.sleep(_ASK_AGAIN)


async def _pass(seconds: float, heartbeat: timedelta | None) -> None:
    """Let time pass; Temporal hears from time to time that the step is alive, and says when to stop."""
    beat = _BEAT if heartbeat is None else max(0.05, min(_BEAT, heartbeat.total_seconds() / 2))
    due = time.monotonic() + seconds
    while (left := due - time.monotonic()) > 0:
        await asyncio.sleep(min(left, beat))
        activity.heartbeat()
